"""Which camera of a calibration is which camera of the detections."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

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
