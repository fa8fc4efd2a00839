"""Which camera of a calibration took which recordings: told, by their names, or by their order where there are none."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dispose.errors import InputError
from dispose.formats.calibration.rig import CalibratedRig

SERIAL_DIGITS = 4
"""A number of at least so many digits tells a camera by itself: its serial number."""


@dataclass(frozen=True)
class NameMatch:
    """Positions (calibration, detections) of cameras that are the same, and the names of those that one has alone."""

    pairs: tuple[tuple[int, int], ...]
    only_calibrated: tuple[str, ...]
    only_detected: tuple[str, ...]


def plain(name: str) -> str:
    """A camera name without case, punctuation and the endings that detectors add."""
    lower = name.lower().removesuffix("_json").removesuffix(".mp4")
    return "".join(letter for letter in lower if letter.isalnum())


def digits(name: str) -> str:
    """The numbers in a camera name without leading zeros; empty where there are none."""
    return ".".join(str(int(group)) for group in re.findall(r"\d+", name))


def words(name: str) -> list[str]:
    """The words and the numbers of a camera name, in their order, without case and leading zeros."""
    lower = name.lower().removesuffix("_json").removesuffix(".mp4")
    return [one.lstrip("0") or "0" if one.isdigit() else one for one in re.findall(r"[^\W\d_]+|\d+", lower)]


def is_part(name: str, other: str) -> bool:
    """Whether the words of a name stand in a row in the other one; a small number alone tells nothing."""
    short, whole = words(name), words(other)
    tells = any(not one.isdigit() or len(one) >= SERIAL_DIGITS for one in short)
    return tells and any(whole[at : at + len(short)] == short for at in range(len(whole) - len(short) + 1))


def match_names(calibrated: Sequence[str], detected: Sequence[str]) -> NameMatch:
    """Match camera names: equal names first, then equal but for punctuation and case, then by their numbers.

    A looser rule is used only where it is unique on both sides: ``cam_01`` is ``cam01_json`` and, if nothing else
    is number 1, also ``camera1``. At last the words of one name may stand in the other: ``left`` is ``left_cam``, and
    ``21881`` is ``Trial 1_Miqus_1_21881``, as Qualisys and Vicon call their videos.
    """
    left, right = dict(enumerate(calibrated)), dict(enumerate(detected))
    pairs: list[tuple[int, int]] = []
    for rule in (str, plain, digits):
        # Among all names, matched ones too: of cameras a_1 and b_1 the second is not c1 because the first is a1.
        keys_left, keys_right = [rule(name) for name in calibrated], [rule(name) for name in detected]
        for i, name in list(left.items()):
            key = rule(name)
            if key == "" or keys_left.count(key) != 1 or keys_right.count(key) != 1:
                continue
            j = keys_right.index(key)
            if j in right:
                pairs.append((i, j))
                del left[i], right[j]
    within = [(i, j) for i in left for j in right if is_part(left[i], right[j]) or is_part(right[j], left[i])]
    for i, j in within:
        if sum(i == one for one, _ in within) == 1 == sum(j == one for _, one in within):
            pairs.append((i, j))
            del left[i], right[j]
    return NameMatch(tuple(sorted(pairs)), tuple(left.values()), tuple(right.values()))


Pairs = tuple[tuple[int, int], ...]


def pair_cameras(place: str, calibration: CalibratedRig, recorded: Sequence[str], told: Sequence[str]) -> NameMatch:
    """The cameras that are the same.

    Args:
        place: of the recordings, for complaints.
        calibration: its cameras.
        recorded: names of those that recorded.
        told: pairs ``calibrated=recorded``; where there are any, no others are made.

    Raises:
        InputError: a pair that is told names a camera that is not there; or the names do not say who is who, because
            one side counts from 0 and the other from 1: the sentence shows what to type.
    """
    names = calibration.cameras.names
    if told:
        pairs = _told_pairs(place, names, recorded, told)
        return _match_of(pairs, names, recorded)
    if not calibration.named:
        return _by_order(place, names, recorded)
    match = match_names(names, recorded)
    other = _counted_apart(names, recorded, match)
    if other:
        raise InputError(_question(place, names, recorded, other, match.pairs))
    return match


def _match_of(pairs: Pairs, names: Sequence[str], recorded: Sequence[str]) -> NameMatch:
    """Pairs, and the names of those that are in none."""
    alone = tuple(name for i, name in enumerate(names) if i not in [a for a, _ in pairs])
    lone = tuple(name for j, name in enumerate(recorded) if j not in [b for _, b in pairs])
    return NameMatch(tuple(sorted(pairs)), alone, lone)


def _told_pairs(place: str, names: Sequence[str], recorded: Sequence[str], told: Sequence[str]) -> Pairs:
    pairs: list[tuple[int, int]] = []
    bare = [name.removesuffix("_json") for name in recorded]
    for pair in told:
        cuts = [at for at, letter in enumerate(pair) if letter == "="]
        if not cuts:
            raise InputError(f"--cameras is {pair!r}; it must be CALIBRATED=RECORDED, as in cam_0=cam1.")
        # A name may hold the sign itself: the cut is where both sides are names.
        sides = [(pair[:at], pair[at + 1 :].removesuffix("_json")) for at in cuts]
        left, right = next((one for one in sides if one[0] in names and one[1] in bare), sides[0])
        if left not in names:
            raise InputError(
                f"--cameras {pair}: the calibration has no camera {left!r} (there are {', '.join(names)})."
            )
        if right not in bare:
            raise InputError(f"--cameras {pair}: {place} has no camera {right!r} (there are {', '.join(recorded)}).")
        pairs.append((names.index(left), bare.index(right)))
    for side, what in ((0, names), (1, recorded)):
        rows = [pair[side] for pair in pairs]
        twice = [row for row in rows if rows.count(row) > 1]
        if twice:
            raise InputError(f"--cameras names {what[twice[0]]} more than once.")
    return tuple(pairs)


def number_of(name: str) -> int | None:
    """The one number in a camera's name; None where there is none or there are several."""
    found = digits(name)
    return int(found) if found.isdigit() and len(found) < 10 else None


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `cam2` before `cam10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name.lower()) if part]


def _by_order(place: str, names: Sequence[str], recorded: Sequence[str]) -> NameMatch:
    """The pairs of a list without names: by numbers where recordings count as lists do, else in the order of names."""
    numbers = [number_of(name) for name in recorded]
    counted = [number_of(name) for name in names]
    if numbers.count(counted[0]) == 1 and all(number in counted for number in numbers):
        return match_names(names, recorded)
    if len(names) != len(recorded):
        raise InputError(
            f"{place}: the calibration is a list of {len(names)} cameras without names, and there are recordings of "
            f"{len(recorded)} ({', '.join(recorded)}); say which is which, as in --cameras "
            f"{_typed([(names[0], recorded[0])])}."
        )
    order = sorted(range(len(recorded)), key=lambda j: natural(recorded[j]))
    return NameMatch(tuple(enumerate(order)), (), ())


def _counted_apart(names: Sequence[str], recorded: Sequence[str], match: NameMatch) -> Pairs:
    """The other pairs that are as likely, where one side counts from 0 and the other from 1; else none."""
    ours, theirs = _numbered(names), _numbered(recorded)
    if not ours or not theirs or (min(ours), min(theirs)) not in ((0, 1), (1, 0)):
        return ()
    shift = min(theirs) - min(ours)
    shifted = tuple((i, theirs[n + shift]) for n, i in ours.items() if n + shift in theirs)
    alike = all(_bare(names[i]) == _bare(recorded[j]) for i, j in match.pairs)
    # Names that are the same to the letter are believed, unless they leave somebody without a calibration.
    suspicious = len(shifted) > len(match.pairs) or (len(shifted) == len(match.pairs) and not alike)
    return shifted if suspicious else ()


def _numbered(names: Sequence[str]) -> dict[int, int]:
    """Positions by the number in every name; empty where names do not have one each, or two the same.

    What all names begin and end with says nothing: ``trial2_cam1`` and ``trial2_cam2`` are 1 and 2.
    """
    rest = [words(name) for name in names]
    for end in (0, -1):
        while len(rest) > 1 and all(rest) and len({one[end] for one in rest}) == 1:
            rest = [one[1:] if end == 0 else one[:-1] for one in rest]
    numbers = [number_of(" ".join(one)) for one in rest]
    found = {number: row for row, number in enumerate(numbers) if number is not None}
    return found if len(found) == len(names) else {}


def _bare(name: str) -> str:
    return name.removesuffix("_json").lower()


def _question(place: str, names: Sequence[str], recorded: Sequence[str], other: Pairs, same: Pairs) -> str:
    first, start = min(_numbered(names)), min(_numbered(recorded))
    by_order = _typed([(names[i], recorded[j]) for i, j in other])
    by_number = _typed([(names[i], recorded[j]) for i, j in same])
    otherwise = f", or --cameras {by_number} if the same number is the same camera" if same else ""
    return (
        f"{place}: the calibration counts its cameras from {first} ({', '.join(names)}) and the recordings count from "
        f"{start} ({', '.join(recorded)}), so their names do not say which is which; say --cameras {by_order} if they "
        f"are in the same order{otherwise}."
    )


def to_type(names: Sequence[str], recorded: Sequence[str]) -> str:
    """How to say which camera is which, where names do not: as an example, in the order of the names."""
    if not names or not recorded:
        return ""
    order = zip(names, sorted(recorded, key=natural), strict=False)
    same = len(names) == len(recorded)
    given = _typed(list(order) if same else list(order)[:1])
    return f"; say which is which, as in --cameras {given}{' if they are in the same order' if same else ''}"


def _typed(pairs: Sequence[tuple[str, str]]) -> str:
    """Pairs as they are typed."""
    return " ".join(shlex.quote(f"{a}={b}") for a, b in pairs)


def same_names(names: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """Of every name the other one that is the same but for case, punctuation and endings."""
    found = {plain(name): name for name in others}
    return {name: found[plain(name)] for name in names if plain(name) in found}


def match_notes(match: NameMatch, calibrated: Sequence[str], recorded: Sequence[str], what: str) -> list[str]:
    """Which camera is which where names differ, and who is left out, as sentences."""
    other = [(calibrated[i], recorded[j]) for i, j in match.pairs if calibrated[i] != recorded[j]]
    notes = []
    if other:
        notes.append(f"cameras matched: {', '.join(f'{a} is {b}' for a, b in other)}.")
    if match.only_calibrated:
        notes.append(f"calibrated cameras without {what}, left out: {few(match.only_calibrated)}.")
    if match.only_detected:
        notes.append(f"{what} of cameras without calibration, left out: {few(match.only_detected)}.")
    return notes


def few(names: Sequence[str]) -> str:
    """The first eight names, and how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
