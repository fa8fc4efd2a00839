"""Predictions as arrays: what predictions.npz holds, and what TRC files are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from dispose.errors import InputError
from dispose.formats.arrays import INTEGERS, NUMBERS, Arrays, open_arrays
from dispose.formats.files import digest_of
from dispose.formats.folders import Columns, let_go
from dispose.formats.predictions import SavedPredictions
from dispose.geometry.uncertainty import expected_error
from dispose.scene.results import Prediction
from dispose.skeletons.skeleton import Skeleton

SOME_ROWS = 4096
"""Rows that are in memory at a time where all are gone through."""


@dataclass(frozen=True, eq=False)
class PersonTable:
    """The rows of `prediction_rows` over all frames, and the numbers of these, also of those without people.

    Arrays in files are read as far as somebody looks.
    """

    skeleton: Skeleton
    numbers: Int[np.ndarray, " frames"]
    frame: Int[np.ndarray, " rows"]
    id: Int[np.ndarray, " rows"]
    joints: Float[np.ndarray, "rows joints 4"]

    @cached_property
    def _rows(self) -> dict[int, tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]]:
        """Every person's rows and the places of their frames, the latter rising."""
        order = np.argsort(self.numbers, kind="stable")
        place = order[np.searchsorted(self.numbers, self.frame, sorter=order)]
        rows = np.lexsort((place, self.id))
        people, first = np.unique(self.id[rows], return_index=True)
        parts = np.split(rows, first[1:]) if len(first) else []
        return {int(person): (part, place[part]) for person, part in zip(people, parts, strict=True)}

    @cached_property
    def _by_frame(self) -> Int[np.ndarray, " rows"]:
        """All rows, in the order of their frames' numbers."""
        return np.argsort(self.frame, kind="stable")

    def rows_at(self, number: int) -> Int[np.ndarray, " _"]:
        """The rows of a frame."""
        first, last = np.searchsorted(self.frame, (number, number + 1), sorter=self._by_frame)
        return self._by_frame[first:last]

    @property
    def people(self) -> tuple[tuple[int, int], ...]:
        """Every person's number and the number of frames they were found in, most frequent first."""
        count = [(person, len(rows)) for person, (rows, _) in self._rows.items()]
        return tuple(sorted(count, key=lambda item: (-item[1], item[0])))

    @property
    def without_joints(self) -> int:
        """How many rows say somebody of whom no joint is known."""
        found = 0
        for start in range(0, len(self.joints), SOME_ROWS):
            found += int(np.isnan(self.joints[start : start + SOME_ROWS, :, 0]).all(1).sum())
            let_go(self.joints)
        return found

    def extent(self, person: int) -> tuple[int, int]:
        """The places of a person's first frame and behind their last."""
        _, place = self._rows[person]
        return int(place[0]), int(place[-1]) + 1

    def clip(self, person: int, start: int, stop: int) -> Float[torch.Tensor, "frames joints 3"]:
        """One person's joints in the frames from one place to another, mm; NaN where not known."""
        rows, place = self._rows[person]
        first, last = np.searchsorted(place, (start, stop))
        xyz = torch.full((len(self.numbers[start:stop]), len(self.skeleton), 3), torch.nan, dtype=torch.float64)
        xyz[place[first:last] - start] = torch.from_numpy(self.joints[rows[first:last], :, :3])
        let_go(self.joints)
        return torch.where(torch.isfinite(xyz).all(-1, keepdim=True), xyz, torch.nan)


def typical_errors(
    people: Int[np.ndarray, " rows"], covariance: Float[np.ndarray, "rows joints 6"]
) -> dict[int, float]:
    """How far off every person's joints are expected to be, mm: the median over their frames of the median joint's.

    Args:
        people: whose rows these are.
        covariance: as `prediction_rows` has it; people whose joints nobody says to be uncertain have no entry.
    """
    middle = [np.zeros(0)]
    for start in range(0, len(covariance), SOME_ROWS):
        triangle = torch.from_numpy(np.array(covariance[start : start + SOME_ROWS], dtype=np.float64))
        whole = triangle[..., [0, 1, 2, 1, 3, 4, 2, 4, 5]].unflatten(-1, (3, 3))
        middle.append(expected_error(whole).nanmedian(-1).values.numpy())
        let_go(covariance)
    error = np.concatenate(middle)
    known = np.flatnonzero(np.isfinite(error))
    known = known[np.argsort(people[known], kind="stable")]
    found, first = np.unique(people[known], return_index=True)
    parts = np.split(error[known], first[1:]) if len(first) else []
    return {int(person): float(np.median(part)) for person, part in zip(found, parts, strict=True)}


def prediction_names(skeleton: Skeleton, cameras: Sequence[str]) -> Columns:
    """What the columns of the table mean."""
    return [
        ("skeleton", np.array(skeleton.name)),
        ("joint_names", np.array(skeleton.joints)),
        ("cameras", np.array(cameras)),
        ("units", np.array("mm")),
    ]


def prediction_rows(frames: Sequence[Prediction], views: int, joints: int) -> Columns:
    """A row per person and frame.

    Columns: ``frame, id, score, association (rows,)``, ``root (rows, 3)``, ``joints (rows, joints, 4)`` = x y z
    confidence in mm (NaN NaN NaN 0 where unknown), ``covariance (rows, joints, 6)`` = xx xy xz yy yz zz in mm² (NaN
    where nobody says), ``members (rows, views)`` (-1 = not seen). ``score`` is how probably the person is right,
    ``association`` how probably these detections are one person; the same where only that is known.
    """
    places = [
        torch.cat([torch.where(valid, xyz, torch.nan), torch.where(valid, confidence[..., None], 0.0)], -1)
        for xyz, confidence, valid in (
            (f.poses.xyz_world, f.poses.confidence, f.poses.valid[..., None]) for f in frames
        )
    ]
    numbers = [torch.full((len(f.association),), f.number) for f in frames]
    return [
        ("frame", _joined(numbers, (0,)).astype(np.int64)),
        ("id", _joined([f.poses.id for f in frames], (0,)).astype(np.int64)),
        ("score", _joined([f.score for f in frames], (0,))),
        ("association", _joined([f.association.confidence for f in frames], (0,))),
        ("root", _joined([f.root for f in frames], (0, 3))),
        ("joints", _joined(places, (0, joints, 4))),
        ("covariance", _joined([_triangle(f) for f in frames], (0, joints, 6)).astype(np.float32)),
        ("members", _joined([f.association.members for f in frames], (0, views)).astype(np.int64)),
    ]


def _triangle(prediction: Prediction) -> Float[torch.Tensor, "persons joints 6"]:
    """Covariances as xx, xy, xz, yy, yz, zz; NaN where nobody says how uncertain a joint is."""
    poses = prediction.poses
    if poses.covariance is None:
        return poses.xyz_world.new_full((*poses.valid.shape, 6), torch.nan)
    row, column = torch.triu_indices(3, 3)
    return torch.where(poses.valid[..., None], poses.covariance[..., row, column], torch.nan)


def check_digest(table: Arrays, predictions: Path) -> None:
    """Raise `InputError` where a table is of other predictions than those beside it; earlier ones do not say."""
    if "predictions" in table.columns and table.text("predictions") != digest_of(predictions):
        raise InputError(f"{table.path}: belongs to other predictions than {predictions}; run `dispose predict` again.")


def with_covariances(path: Path, predictions: SavedPredictions) -> SavedPredictions:
    """Predictions from JSON lines with the covariances of the table beside them, mm².

    A table without covariances, as earlier versions wrote it, changes nothing. Raises `InputError` for a table of other
    people.
    """
    table = open_arrays(path)
    check_digest(table, path.with_name("predictions.jsonl"))
    if table.text("units") != "mm":
        raise InputError(f"{path}: units are {table.text('units')!r}, this version writes 'mm'.")
    if "covariance" not in table.columns:
        return predictions
    number = table.get("id", INTEGERS, None)
    frame = table.get("frame", INTEGERS, len(number))
    triangle = table.get("covariance", NUMBERS, len(number), len(predictions.skeleton), 6).astype(np.float64)
    if (triangle[..., (0, 3, 5)] < 0).any():
        raise InputError(f"{path}: array 'covariance' has variances below 0.")
    ours = [(one.number, person) for one in predictions.frames for person in one.poses.id.tolist()]
    if ours != list(zip(frame.tolist(), number.tolist(), strict=True)):
        raise InputError(f"{path}: holds other people than the predictions beside it.")
    row, column = torch.triu_indices(3, 3)
    whole = torch.zeros(*triangle.shape[:2], 3, 3, dtype=torch.float64)
    whole[..., row, column] = whole[..., column, row] = torch.from_numpy(triangle)
    frames, first = [], 0
    for one in predictions.frames:
        mine = whole[first : first + len(one.poses.id)]
        first += len(mine)
        said = one.poses.covariance is not None
        known = torch.where(one.poses.valid[..., None, None], mine, 0.0)
        frames.append(replace(one, poses=replace(one.poses, covariance=known)) if said else one)
    return replace(predictions, frames=tuple(frames))


def _joined(parts: list[torch.Tensor], empty: tuple[int, ...]) -> np.ndarray:
    return torch.cat(parts).numpy() if parts else np.zeros(empty)
