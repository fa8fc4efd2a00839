"""3-D people as CMU Panoptic and programs after it write them: `body3DScene_<frame>.json`, cm, y down."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.association.reconstruct import roots_of
from dispose.errors import InputError
from dispose.formats.calibration.json_files import PANOPTIC_FROM_OURS
from dispose.formats.entry import MOST_WHOLE, Entry
from dispose.formats.files import visible
from dispose.formats.predictions import SavedPredictions, nullable
from dispose.formats.units import require_size
from dispose.scene.frame import Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import PANOPTIC_15, PANOPTIC_19
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

FILES = "body3DScene_*.json"
NUMBER = re.compile(r"body3DScene_(\d+)|(?<!body)(\d+)\D*$")
JOINTS = re.compile(r"joints(\d+)")
SKELETONS = (PANOPTIC_15, PANOPTIC_19)
MOST_JOINTS = 1000
FARTHEST_CM = 1e8
SURER = "scores above 1 are taken as 1."
UNNUMBERED = "people without a number of their own (-1, or none) are numbered in the order of every file."


@dataclass(frozen=True, eq=False)
class Bodies:
    """The people of a file.

    Attributes:
        skeleton: of all of them; None where nobody is in the file.
        ids: their numbers, or None.
        rows: x, y, z, score of every joint, in the file's cm with y down.
    """

    skeleton: Skeleton | None
    ids: tuple[int | None, ...]
    rows: tuple[Float[Tensor, "joints 4"], ...]

    def poses(self, skeleton: Skeleton, *, known_above: float = 0.0) -> Poses:
        """The people in mm, z up; a joint is known where its place is finite and its score exceeds a number.

        Those without a number get the lowest that nobody has.
        """
        rows = torch.stack(self.rows) if self.rows else torch.zeros(0, len(skeleton), 4, dtype=torch.float64)
        score = torch.nan_to_num(rows[..., 3], nan=0.0)
        valid = torch.isfinite(rows[..., :3]).all(-1) & (score > known_above)
        xyz = torch.where(valid[..., None], world_from_panoptic(torch.nan_to_num(rows[..., :3])), 0.0)
        free = (number for number in count() if number not in self.ids)
        ids = [next(free) if number is None else number for number in self.ids]
        confidence = torch.where(valid, score.clamp(0, 1), 0.0)
        return Poses(skeleton, xyz, confidence, valid, torch.tensor(ids, dtype=torch.long))


def world_from_panoptic(xyz: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
    """Panoptic's cm with y down as mm with z up."""
    return 10 * xyz @ PANOPTIC_FROM_OURS


def body3d_files(folder: Path) -> list[Path]:
    """The frames of a folder, alphabetically."""
    return visible(folder.glob(FILES))


def read_body3d_files(paths: Sequence[Path]) -> SavedPredictions:
    """People of one file per frame; no cameras, no members. The frame's number ends the name of its file.

    A joint is known where its score is above 0 and its place is finite; in files without scores, where it is neither
    -1 -1 -1 nor 0 0 0. Joints in a number that no skeleton of Panoptic has keep numbers for names and have no bones.
    Raises `InputError` for files of different skeletons and for two files of one frame.
    """
    for path in paths if len(paths) > 1 else ():
        if NUMBER.search(path.stem) is None:
            raise InputError(f"{path}: its name has no frame number; body3DScene_00000042.json is frame 42.")
    files = sorted((number_of(path), path) for path in paths)
    for (number, path), (following, other) in pairwise(files):
        if number == following:
            raise InputError(f"{path} and {other.name} are both of frame {number}.")
    skeleton: Skeleton | None = None
    frames: list[tuple[int, Bodies]] = []
    for number, path in files:
        found = read_bodies(path)
        own = found.skeleton
        if own is not None and skeleton is not None and own != skeleton:
            raise InputError(f"{path}: people have {len(own)} joints, in the files before {len(skeleton)}.")
        skeleton = skeleton or own
        frames.append((number, found))
    chosen = skeleton or PANOPTIC_19
    sure = any(bool((rows[:, 3] > 1).any()) for _, bodies in frames for rows in bodies.rows)
    notes = (UNNUMBERED,) * any(None in bodies.ids for _, bodies in frames) + (SURER,) * sure
    predictions = tuple(prediction_of(number, bodies.poses(chosen)) for number, bodies in frames)
    if skeleton is not None:
        poses = [one.poses for one in predictions]
        known = torch.cat([one.valid for one in poses])
        require_size(f"{files[0][1]} and the others, in cm", torch.cat([one.xyz_world for one in poses]), known)
    return SavedPredictions(chosen, (), predictions, notes)


def number_of(path: Path) -> int:
    """The frame's number from the name of its file; 0 where it has none."""
    match = NUMBER.search(path.stem)
    number = int(match[1] or match[2]) if match else 0
    if number > MOST_WHOLE:
        raise InputError(f"{path}: the frame's number in the name has more than 18 digits.")
    return number


def read_bodies(path: Path) -> Bodies:
    """The people of a file; `InputError` where they are of different skeletons or share a number."""
    ids: list[int | None] = []
    rows: list[Tensor] = []
    skeleton: Skeleton | None = None
    for body in Entry.of_json(path).at("bodies").items():
        key, own = skeleton_of_body(body)
        if skeleton is not None and own != skeleton:
            raise InputError(f"{body.place}: has {len(own)} joints, people before it {len(skeleton)}.")
        skeleton = own
        found = body.at("id").whole() if body.has("id") else -1
        if found >= 0 and found in ids:
            raise InputError(f"{body.place}: id is {found}, as that of body {ids.index(found)}.")
        ids.append(found if found >= 0 else None)
        rows.append(rows_of(body.at(key), len(own)))
        if bool((rows[-1][:, :3].abs() > FARTHEST_CM).any()):
            raise InputError(f"{body.place}: a joint is {float(rows[-1][:, :3].abs().nan_to_num().max()):g} cm away.")
    return Bodies(skeleton, tuple(ids), tuple(rows))


def skeleton_of_body(body: Entry) -> tuple[str, Skeleton]:
    """The name of the entry with the joints (``joints19``), and what they are."""
    for key, _ in body.entries():
        match = JOINTS.fullmatch(key)
        if match and 0 < int(match[1]) <= MOST_JOINTS:
            joints = int(match[1])
            known = next((skeleton for skeleton in SKELETONS if len(skeleton) == joints), None)
            names = tuple(f"joint {j}" for j in range(joints))
            return key, known or Skeleton(f"panoptic_{joints}", names, ())
    raise InputError(f"{body.place}: no joints (an entry such as 'joints19'; there is {', '.join(body.keys())}).")


def rows_of(entry: Entry, joints: int) -> Float[Tensor, "joints 4"]:
    """x, y, z, score of every joint; a file that has no scores says with -1 -1 -1 or 0 0 0 what it does not know."""
    if numbers_in(entry.value) == 3 * joints:
        xyz = nullable(entry, 3 * joints).reshape(-1, 3)
        there = ~((xyz == -1).all(-1) | (xyz == 0).all(-1))
        return torch.cat([xyz, there.double()[:, None]], -1)
    return nullable(entry, 4 * joints).reshape(-1, 4)


def numbers_in(values: object) -> int:
    """How many numbers a list, or nested lists, hold."""
    return sum(numbers_in(value) for value in values) if isinstance(values, list) else 1


def prediction_of(number: int, poses: Poses) -> Prediction:
    """A frame of people without members; a person's score is the mean confidence of their known joints."""
    score = poses.confidence.sum(-1) / poses.valid.sum(-1).clamp(min=1)
    members = torch.full((len(poses.id), 0), ABSENT, dtype=torch.long)
    return Prediction(
        number, Association(members, score), poses, roots_of(poses.skeleton, poses.xyz_world, poses.valid)
    )
