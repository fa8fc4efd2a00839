"""Predictions as files: JSON lines (what everything else reads) and `.npz`.

In a file, `Association.members` counts detections by their position in each camera's own source list, not by slot.
Where people were found in pictures there is no such list: a member names a camera that saw the person's root (the
middle of the hips), and its number is the rank of that point among the peaks of the camera's root heat map, 0 for the
highest. A person has two members at least; cameras without a picture, or that do not see the root, are left out.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import parse_json, read_text, replacing, replacing_path
from dispose.scene.detections import Detections
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

SCHEMA = "dispose.predictions/1"


@dataclass(frozen=True, eq=False)
class SavedPredictions:
    """The content of a prediction file.

    Attributes:
        skeleton: what the joint axis means.
        cameras: names of the views.
        frames: one prediction per frame; members are positions in each camera's source list, or ranks of root peaks.
    """

    skeleton: Skeleton
    cameras: tuple[str, ...]
    frames: tuple[Prediction, ...]


def by_source(prediction: Prediction, detections: Detections) -> Prediction:
    """A prediction whose members count positions in the camera's source list instead of slots."""
    members = prediction.association.members
    if detections.index.shape[1] == 0:
        return prediction
    views = torch.arange(members.shape[1]).expand_as(members)
    source = torch.where(members == ABSENT, ABSENT, detections.index[views, members.clamp(min=0)])
    return replace(prediction, association=replace(prediction.association, members=source))


def by_slot(prediction: Prediction, detections: Detections) -> Prediction:
    """The inverse of `by_source`: members as slots of the detections.

    Raises `InputError` for a member that is not among the detections.
    """
    members = prediction.association.members
    slots = torch.full_like(members, ABSENT)
    for row, view in (members != ABSENT).nonzero().tolist():
        found = (detections.valid[view] & (detections.index[view] == members[row, view])).nonzero()
        if not len(found):
            raise InputError(
                f"frame {prediction.number}: person {int(prediction.poses.id[row])} holds detection "
                f"{int(members[row, view])} of view {view}, which is not among the detections."
            )
        slots[row, view] = int(found[0])
    return replace(prediction, association=replace(prediction.association, members=slots))


def header_line(skeleton: Skeleton, cameras: Sequence[str]) -> str:
    """The first line of `predictions.jsonl`."""
    header = {
        "schema": SCHEMA,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "units": "mm",
        "cameras": list(cameras),
    }
    return json.dumps(header)


def frame_line(prediction: Prediction, cameras: Sequence[str]) -> str:
    """One further line: the persons of a frame. An unknown joint is ``[null, null, null, 0.0]``."""
    poses, association = prediction.poses, prediction.association
    persons = []
    for row in range(len(association)):
        members = association.members[row].tolist()
        persons.append(
            {
                "id": int(poses.id[row]),
                "score": _rounded(association.confidence[row], 6),
                "root": [_rounded(x, 3) for x in prediction.root[row]],
                "joints": [
                    [*(_rounded(x, 3) for x in xyz), _rounded(score, 6)] if valid else [None, None, None, 0.0]
                    for xyz, score, valid in zip(
                        poses.xyz_world[row].tolist(), poses.confidence[row].tolist(), poses.valid[row].tolist()
                    )
                ],
                "members": {camera: m for camera, m in zip(cameras, members, strict=True) if m != ABSENT},
            }
        )
    return json.dumps({"frame": prediction.number, "persons": persons})


def _rounded(value: torch.Tensor | float, digits: int) -> float | None:
    number = float(value)
    return round(number, digits) if math.isfinite(number) else None


def write_predictions(
    path: Path, skeleton: Skeleton, cameras: Sequence[str], predictions: Iterable[Prediction]
) -> None:
    """Write `predictions.jsonl`; an existing file is replaced only when the last frame has been written."""
    with replacing(path) as file:
        file.write(header_line(skeleton, cameras) + "\n")
        for prediction in predictions:
            file.write(frame_line(prediction, cameras) + "\n")


def read_predictions(path: Path) -> SavedPredictions:
    """Read `predictions.jsonl`; `InputError` names the line that is wrong."""
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: is empty.")
    header = Entry(f"{path}: line 1", parse_json(lines[0], f"{path}: line 1"))
    if header.at("schema").text() != SCHEMA:
        raise InputError(f"{path}: schema is {header.at('schema').text()!r}, this version reads {SCHEMA!r}.")
    joints = tuple(entry.text() for entry in header.at("joints").items())
    cameras = tuple(entry.text() for entry in header.at("cameras").items())
    skeleton = skeleton_of(header.at("skeleton").text(), joints)
    frames = []
    for number, line in enumerate(lines[1:], start=2):
        place = f"{path}: line {number}"
        frames.append(_parse_frame(Entry(place, parse_json(line, place)), skeleton, cameras))
    return SavedPredictions(skeleton, cameras, tuple(frames))


def skeleton_of(name: str, joints: tuple[str, ...]) -> Skeleton:
    """The catalogue's skeleton of that name and these joints, or one with the names and no bones."""
    for skeleton in CATALOG:
        if skeleton.name == name and skeleton.joints == joints:
            return skeleton
    return Skeleton(name, joints, (), None, ())


def _parse_frame(entry: Entry, skeleton: Skeleton, cameras: tuple[str, ...]) -> Prediction:
    persons = list(entry.at("persons").items())
    count, joints = len(persons), len(skeleton)
    table = torch.full((count, joints, 4), torch.nan, dtype=torch.float64)
    root = torch.full((count, 3), torch.nan, dtype=torch.float64)
    members = torch.full((count, len(cameras)), ABSENT, dtype=torch.long)
    for row, person in enumerate(persons):
        table[row] = nullable(person.at("joints"), 4 * joints).reshape(joints, 4)
        root[row] = nullable(person.at("root"), 3)
        for camera in person.at("members").keys():  # noqa: SIM118
            if camera not in cameras:
                raise InputError(f"{person.place}: member camera {camera!r} is not in the header.")
            members[row, cameras.index(camera)] = int(person.at("members").at(camera).number())
    valid = torch.isfinite(table[..., :3]).all(-1)
    poses = Poses(
        skeleton,
        torch.where(valid[..., None], table[..., :3], 0.0),
        torch.where(valid, torch.nan_to_num(table[..., 3], nan=0.0), 0.0),
        valid,
        torch.tensor([int(person.at("id").number()) for person in persons], dtype=torch.long),
    )
    scores = torch.tensor([person.at("score").number() for person in persons], dtype=torch.float64)
    return Prediction(int(entry.at("frame").number()), Association(members, scores), poses, root)


def nullable(entry: Entry, count: int) -> torch.Tensor:
    """Numbers where ``null`` stands for NaN."""
    try:
        array = np.asarray(entry.value, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise InputError(f"{entry.place}: numbers are expected.") from error
    if len(array) != count:
        raise InputError(f"{entry.place}: {count} numbers are expected, there are {len(array)}.")
    return torch.from_numpy(array.copy())


def write_predictions_npz(path: Path, saved: SavedPredictions) -> None:
    """Write a flat table, a row per person and frame.

    Arrays: ``frame, id, score (rows,)``, ``root (rows, 3)``, ``joints (rows, joints, 4)`` = x y z confidence in mm
    (NaN NaN NaN 0 where unknown), ``members (rows, views)`` (-1 = not seen), ``joint_names``, ``cameras``.
    """
    frames = saved.frames
    joints = [torch.where(f.poses.valid[..., None], f.poses.xyz_world, torch.nan) for f in frames]
    scores = [torch.where(f.poses.valid, f.poses.confidence, 0.0) for f in frames]
    views, width = len(saved.cameras), len(saved.skeleton)
    stacked = {
        "frame": _joined([torch.full((len(f.association),), f.number) for f in frames], (0,)).astype(np.int64),
        "id": _joined([f.poses.id for f in frames], (0,)).astype(np.int64),
        "score": _joined([f.association.confidence for f in frames], (0,)),
        "root": _joined([f.root for f in frames], (0, 3)),
        "joints": np.concatenate([_joined(joints, (0, width, 3)), _joined(scores, (0, width))[..., None]], -1),
        "members": _joined([f.association.members for f in frames], (0, views)).astype(np.int64),
    }
    with replacing_path(path) as temporary:
        np.savez_compressed(
            temporary,
            skeleton=saved.skeleton.name,
            joint_names=np.array(saved.skeleton.joints),
            cameras=np.array(saved.cameras),
            units="mm",
            **stacked,
        )


def _joined(parts: list[torch.Tensor], empty: tuple[int, ...]) -> np.ndarray:
    return torch.cat(parts).numpy() if parts else np.zeros(empty)
