"""Acclaim's motion files, as mocap.cs.cmu.edu gives them: a skeleton (.asf) and its motions (.amc).

A bone turns by ``C M C⁻¹`` against its parent, C the bone's own axes and M the turn by the file's angles, x first.
Files have +Y up and people who face +Z; here +Z is up and they face +X. Lengths are in units of which the skeleton says
how many make an inch.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.entry import number_of
from dispose.formats.files import MOST_DIGITS, read_text

INCH_MM = 25.4
TURNED = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
"""From the file's axes to ours: forward z, left x, up y."""


@dataclass(frozen=True)
class Bone:
    """A bone at rest: offset of its end from its parent's end (file axes, mm), own axes, angles that frames give."""

    offset: tuple[float, float, float]
    axes: tuple[float, float, float] = (0.0, 0.0, 0.0)
    angles: tuple[str, ...] = ()


@dataclass(frozen=True)
class AcclaimSkeleton:
    """Bones by name, parents before children (the root is ``root``), and what a unit of length is, mm."""

    bones: dict[str, Bone]
    parent: dict[str, str]
    unit_mm: float


@dataclass(frozen=True, eq=False)
class AcclaimMotion:
    """Frames in our axes: place of the root, mm, and every bone's turn against its parent, in the skeleton's order."""

    root: Float[Tensor, "frames 3"]
    turns: Float[Tensor, "frames bones 3 3"]


KEYS = {
    ":units": "mass length angle",
    ":root": "order axis position orientation",
    ":bonedata": "begin end id name direction length axis dof limits bodymass cofmass",
}
"""What lines of a section begin with."""

ONLY = {
    (":units", "angle"): "deg",
    (":root", "axis"): "XYZ",
    (":root", "order"): "TX TY TZ RX RY RZ",
    (":root", "position"): "0 0 0",
    (":root", "orientation"): "0 0 0",
}
"""The one value that is read, where there is a choice."""


def read_asf(path: Path) -> AcclaimSkeleton:
    """A skeleton.

    Raises:
        InputError: no skeleton, an odd number, an unknown key, a choice of the format that is not read (degrees, x, y,
            z), or a bone without a parent.
    """
    unit, bones, parent, section = INCH_MM, {"root": Bone((0.0, 0.0, 0.0))}, dict[str, str](), ""
    bone: dict[str, list[str]] = {}
    for number, words in _lines(path):
        _check_key(path, number, section, words)
        if words[0].startswith(":"):
            section = words[0]
        elif section == ":units" and words[0] == "length":
            (length,) = _so_many(path, number, words[1:2], 1)
            if length <= 0:
                raise InputError(f"{path}: line {number}: the unit of length is {length:g}.")
            unit = INCH_MM / length
        elif section == ":bonedata" and words[0] == "end":
            bones["".join(bone.get("name", []))] = _bone(path, number, bone, unit)
            bone = {}
        elif section == ":bonedata":
            bone[words[0]] = words[1:]
        elif section == ":hierarchy" and words[0] not in ("begin", "end"):
            parent |= dict.fromkeys(words[1:], words[0])
    lost = [name for name in bones if name != "root" and parent.get(name) not in bones]
    if lost or len(bones) == 1:
        raise InputError(f"{path}: {f'bone {lost[0]} hangs on nothing' if lost else 'has no bones'}; not a skeleton.")
    return AcclaimSkeleton({name: bones[name] for name in _from_the_root(bones, parent)}, parent, unit)


def _check_key(path: Path, number: int, section: str, words: list[str]) -> None:
    """Raise `InputError` for a line that begins with nothing we know, or chooses what is not read."""
    key, said = words[0], " ".join(words[1:])
    if section in KEYS and not key.startswith((":", "(")) and key not in KEYS[section].split():
        known = KEYS[section].replace(" ", ", ")
        raise InputError(f"{path}: line {number}: {section} has no {key!r} (known are {known}); is it misspelt?")
    only = ONLY.get((section, key), said)
    if said != only and (only != "0 0 0" or any(_so_many(path, number, words[1:], 3))):
        raise InputError(f"{path}: line {number}: {section[1:]}: {key} is {said or 'nothing'}; only {only} is read.")


MOST_DEGREES = 36_000.0
"""A hundred turns, which nobody makes in a recording."""


LONGEST_MM, OFF_UNIT, FARTHEST_MM = 10_000.0, 0.05, 1e7
"""Of a bone, of its direction's length from 1, and of a root from the origin."""


def read_amc(path: Path, skeleton: AcclaimSkeleton, *, every: int = 1) -> AcclaimMotion:
    """The frames of a motion, of which every so many-th.

    Raises:
        InputError: a bone that the skeleton does not have, or another number of angles than it says.
    """
    names = list(skeleton.bones)
    roots, turns = list[Tensor](), list[Tensor]()
    frame, wanted, said, told = 0, False, -1, list[list[str]]()
    for number, words in _lines(path):
        if words[0].upper() == ":RADIANS":
            raise InputError(f"{path}: line {number}: angles are in radians; degrees (:DEGREES) are read.")
        if len(words) == 1 and words[0].isdecimal():
            if len(words[0]) > MOST_DIGITS:
                raise InputError(f"{path}: line {number}: a frame's number of {len(words[0])} digits.")
            said, last = int(words[0]), said
            if said <= last:
                raise InputError(f"{path}: line {number}: frame {said} stands behind frame {last}.")
            wanted = frame % every == 0
            frame += 1
            told.append([])
            if wanted:
                roots.append(torch.zeros(3, dtype=torch.float64))
                turns.append(torch.zeros(len(names), 3, dtype=torch.float64))
        elif told and not words[0].startswith((":", "#")):
            told[-1].append(words[0])
            if not wanted:
                continue
            values = _numbers(path, number, words[1:])
            if words[0] not in skeleton.bones:
                raise InputError(f"{path}: line {number}: the skeleton has no bone {words[0]}.")
            angles = ("rx", "ry", "rz") if words[0] == "root" else skeleton.bones[words[0]].angles
            place = values[:3] if words[0] == "root" else []
            if words[0] == "root" and len(place) < 3:
                raise InputError(f"{path}: line {number}: {len(values)} numbers of the root, 6 are expected.")
            given = values[len(place) :]
            if len(given) != len(angles):
                raise InputError(
                    f"{path}: line {number}: {len(given)} angles of {words[0]}, {len(angles)} in the skeleton."
                )
            if place and max(map(abs, place)) * skeleton.unit_mm > FARTHEST_MM:
                raise InputError(f"{path}: line {number}: the root is at {place}, which is nowhere.")
            if place:
                roots[-1] = torch.tensor(place, dtype=torch.float64) * skeleton.unit_mm
            for angle, value in zip(angles, given, strict=True):
                if abs(value) > MOST_DEGREES:
                    raise InputError(f"{path}: line {number}: {words[0]} turns by {value:g} degrees.")
                turns[-1][names.index(words[0]), "xyz".index(angle[1])] = value
    if not roots:
        raise InputError(f"{path}: has no frames.")
    for at, bones in enumerate(told):
        if sorted(bones) != sorted(told[0]) or "root" not in bones:
            other = sorted({"root", *told[0]} ^ set(bones)) or ["a bone twice"]
            raise InputError(f"{path}: frame {at + 1} of the file: not the bones of the first ({other[0]}).")
    axes = euler(torch.tensor([bone.axes for bone in skeleton.bones.values()], dtype=torch.float64))
    turned = axes @ euler(torch.stack(turns)) @ axes.mT
    return AcclaimMotion(torch.stack(roots) @ TURNED.T, TURNED @ turned @ TURNED.T)


def euler(degrees: Float[Tensor, "*bones 3"]) -> Float[Tensor, "*bones 3 3"]:
    """Turn about x first, then y, then z: ``Rz Ry Rx``."""
    turned = Rotation.from_euler("xyz", degrees.reshape(-1, 3).numpy(), degrees=True).as_matrix()
    return torch.from_numpy(turned).reshape(*degrees.shape, 3)


def _bone(path: Path, number: int, words: dict[str, list[str]], unit: float) -> Bone:
    lacking = {"name", "direction", "length"} - words.keys()
    if lacking:
        raise InputError(f"{path}: the bone that ends in line {number} has no {sorted(lacking)[0]}.")
    (length,) = _so_many(path, number, words["length"], 1)
    direction = _so_many(path, number, words["direction"], 3)
    if not 0 <= length * unit <= LONGEST_MM or (length and abs(math.hypot(*direction) - 1) > OFF_UNIT):
        raise InputError(f"{path}: bone {' '.join(words['name'])}: length {length:g} and direction {direction} are "
                         "those of no bone; directions are 1 long.")  # fmt: skip
    x, y, z = (length * unit * part for part in direction)
    angles = words.get("dof", [])
    if not set(angles) <= {"rx", "ry", "rz"}:
        raise InputError(f"{path}: bone {' '.join(words['name'])}: turns by {' '.join(angles)}, not by rx, ry, rz.")
    axes = words.get("axis", ["0", "0", "0", "XYZ"])
    if axes[3:] not in ([], ["XYZ"]):
        raise InputError(f"{path}: bone {words['name'][0]}: the axis order is {axes[3]}; only XYZ is read.")
    a, b, c = _so_many(path, number, axes[:3], 3)
    return Bone((x, y, z), (a, b, c), tuple(angles))


def _so_many(path: Path, number: int, words: list[str], count: int) -> list[float]:
    """So many numbers; `InputError` where there are more or fewer."""
    found = _numbers(path, number, words)
    if len(found) != count:
        raise InputError(f"{path}: line {number}: {count} numbers are expected, there are {len(found)}.")
    return found


def _from_the_root(bones: dict[str, Bone], parent: dict[str, str]) -> list[str]:
    """Names, parents before children."""
    order = ["root"]
    for name in order:
        order += [child for child in bones if parent.get(child) == name and child not in order]
    return order


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and words of the lines that say something."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            yield number, words


def _numbers(path: Path, number: int, words: list[str]) -> list[float]:
    try:
        values = [number_of(word) for word in words]
    except ValueError:
        values = []
    if not values or not all(math.isfinite(value) for value in values):
        raise InputError(f"{path}: line {number}: {' '.join(words) or 'nothing'} where numbers should be.")
    return values
