"""Reading of converted tables: one `cameras.json` and flat `.npz` tables, a row per person."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.arrays import INTEGERS, NUMBERS, open_arrays
from dispose.formats.calibration.json_files import read_calibration_json
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.skeleton import Skeleton

FARTHEST_PX, FARTHEST_MM, SUREST = 1e5, 1e7, 2.0
"""Of a joint in an image and in a room; and of scores, which of some detectors are a little above 1."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of people with keypoints: detections by view (``x, y, score``), or poses by person (``x, y, z, valid``).

    The score of a row is 1 where the file gives none.
    """

    frame: Shaped[np.ndarray, " rows"]
    key: Shaped[np.ndarray, " rows"]
    keypoints: Shaped[np.ndarray, "rows joints columns"]
    score: Shaped[np.ndarray, " rows"]
    source: str = "the table"

    def __len__(self) -> int:
        return len(self.frame)

    def at(self, frame: int) -> "Table":
        """The rows of one frame, in file order."""
        return self.rows(self.frame == frame)

    def rows(self, which: Shaped[np.ndarray, " rows"]) -> "Table":
        """Some of the rows."""
        columns = (self.frame[which], self.key[which], self.keypoints[which], self.score[which])
        return Table(*columns, self.source)

    def of(self, skeleton: Skeleton) -> "Table":
        """The same table; `InputError` where people have other joints than the skeleton."""
        if self.keypoints.shape[1] != len(skeleton):
            joints = self.keypoints.shape[1]
            raise InputError(f"{self.source}: people have {joints} joints, {skeleton.name} has {len(skeleton)}.")
        return self


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """The frames of converted tables; iterates ``(Frame, Labels)`` in the order of the numbers."""

    cameras: Cameras
    numbers: tuple[int, ...]
    frame: Callable[[int], tuple[Frame, Labels]]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[tuple[Frame, Labels]]:
        return map(self.frame, self.numbers)


def require(path: Path) -> Path:
    """The path, or an `InputError` that names it where there is no such file."""
    if not path.is_file():
        raise InputError(f"no file {path}; data/README.md says how to obtain the data sets")
    return path


def read_columns(path: Path, names: Sequence[str]) -> list[Shaped[np.ndarray, "..."]]:
    """Columns of an `.npz` table by name, each as long as the first."""
    found = open_arrays(require(path)).columns
    for name in names:
        if name not in found:
            raise InputError(f"{path}: no column {name!r}")
        if len(found[name]) != len(found[names[0]]):
            rows = f"{len(found[name])} rows in column {name!r}, {len(found[names[0]])} in {names[0]!r}"
            raise InputError(f"{path}: {rows}")
    return [found[name] for name in names]


def read_detections(path: Path) -> Table:
    """A table of 2-D people: columns ``frame view kpts score``."""
    names = ("frame", "view", "kpts", "score")
    return _checked(Table(*read_columns(path, names), source=str(path)), names, (FARTHEST_PX, FARTHEST_PX, SUREST))


def all_rows(table: Table) -> Table:
    """The table as it is."""
    return table


def without_repeats(table: Table) -> Table:
    """The table without rows whose keypoints equal those of an earlier row of the same frame and view, bit for bit."""
    seen: set[tuple[int, int, bytes]] = set()
    keep = np.zeros(len(table), dtype=bool)
    for row in range(len(table)):
        keypoints = np.nan_to_num(table.keypoints[row], nan=-1.0)
        entry = (int(table.frame[row]), int(table.key[row]), keypoints.tobytes())
        keep[row] = entry not in seen
        seen.add(entry)
    return table.rows(keep)


def read_poses(path: Path, *, numbered: bool = True) -> Table:
    """A table of 3-D people: columns ``frame person_id kpts``; where people are `numbered` each is in a frame once."""
    names = ("frame", "person_id", "kpts")
    frame, person, keypoints = read_columns(path, names)
    table = Table(frame, person, keypoints, np.ones(len(frame)), str(path))
    _, first, times = np.unique(np.stack([frame, person]), axis=1, return_index=True, return_counts=True)
    for row in first[(times > 1) & numbered][:1].tolist():
        raise InputError(f"{path}: person {person[row]} is there twice in frame {frame[row]}.")
    return _checked(table, names, (FARTHEST_MM, FARTHEST_MM, FARTHEST_MM, SUREST))


def _checked(table: Table, names: Sequence[str], most: Sequence[float]) -> Table:
    """The table; `InputError` names the file, the row and the value of what cannot be: NaN is a joint not seen."""
    for name, column in ((names[0], table.frame), (names[1], table.key)):
        if column.dtype.kind not in INTEGERS or (column < 0).any():
            value = column[column < 0][0] if (column < 0).any() else column.dtype
            raise InputError(f"{table.source}: column {name!r} has {value}; whole numbers from 0 on are expected.")
    points = table.keypoints
    if points.ndim != 3 or points.shape[2] != len(most) or points.dtype.kind not in NUMBERS:
        shape = "x".join(map(str, points.shape))
        raise InputError(f"{table.source}: column {names[2]!r} is {shape} {points.dtype}; people, joints and "
                         f"{len(most)} numbers are expected.")  # fmt: skip
    for row, joint, at in np.argwhere(np.abs(points) > np.array(most))[:1].tolist():
        raise InputError(f"{table.source}: row {row}, frame {table.frame[row]}: joint {joint} has "
                         f"{points[row, joint, at]:g}; possible is up to {most[at]:g}.")  # fmt: skip
    return table


def read_cameras(path: Path) -> Cameras:
    """The cameras of a `cameras.json`, which has our own schema."""
    return read_calibration_json(require(path))


def detections_of(table: Table, skeleton: Skeleton, *, views: int) -> Detections:
    """The rows of one frame as padded detections; their index counts the rows of a view in file order.

    Raises `InputError` for a row of a view that is none of the cameras'.
    """
    odd = [int(view) for view in table.key if not 0 <= view < views]
    if odd:
        where = f"{table.source}: frame {int(table.frame[0])}"
        raise InputError(f"{where}: detections of view {odd[0]}, and there are {views} cameras.")
    keypoints: list[list[Float[Tensor, "joints 3"]]] = [[] for _ in range(views)]
    for view, person in zip(table.key, table.of(skeleton).keypoints, strict=True):
        points = torch.from_numpy(np.asarray(person, dtype=np.float64))
        keypoints[int(view)].append(torch.cat([points[:, :2], points[:, 2:].clamp(0, 1)], 1))
    return Detections.from_lists(skeleton, keypoints)


def poses_of(table: Table, skeleton: Skeleton, *, valid_above: float = 0.5) -> Poses:
    """The rows of one frame as poses; a joint is valid where its fourth column exceeds `valid_above`."""
    keypoints = torch.from_numpy(table.of(skeleton).keypoints.astype(np.float64))
    valid = (keypoints[..., 3] > valid_above) & torch.isfinite(keypoints).all(-1)
    xyz = torch.where(valid[..., None], keypoints[..., :3], 0.0)
    return Poses(skeleton, xyz, valid.to(torch.float64), valid, torch.from_numpy(table.key.astype(np.int64)))


def match_finite(cost: Float[Tensor, "slots people"]) -> list[tuple[int, int]]:
    """Pairs of a slot and a person, one to one and of least cost in sum; none whose cost is infinite."""
    finite = torch.where(torch.isfinite(cost), cost, 1e6)
    pairs = zip(*linear_sum_assignment(finite.numpy()), strict=True)
    return [(int(slot), int(person)) for slot, person in pairs if torch.isfinite(cost[slot, person])]
