"""Which camera of a calibration is which camera of the detections."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

SERIAL = re.compile(r"\d{4,}")
"""A camera's serial number."""


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


def match_names(calibrated: Sequence[str], detected: Sequence[str]) -> NameMatch:
    """Match camera names: equal names first, then equal but for punctuation and case, then by their numbers.

    A looser rule is used only where it is unique on both sides: ``cam_01`` is ``cam01_json`` and, if nothing else
    is number 1, also ``camera1``. A serial number that stands in one recording's name only is that camera's
    (``21881`` is ``Trial 1_Miqus_1_21881``, as Qualisys and Vicon call their videos).
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
    serials = {j: [i for i in left if SERIAL.fullmatch(left[i]) and left[i] in SERIAL.findall(right[j])] for j in right}
    for j, held in serials.items():
        if len(held) == 1 and sum(held[0] in others for others in serials.values()) == 1:
            pairs.append((held[0], j))
            del left[held[0]], right[j]
    return NameMatch(tuple(sorted(pairs)), tuple(left.values()), tuple(right.values()))
