"""How long everybody's bones are, before and after smoothing, and how far the frames disagree: a table."""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import torch

from dispose.scene.results import Prediction
from dispose.skeletons.skeleton import Skeleton

FEWEST = 3
"""A bone that fewer frames know is not listed."""


@dataclass(frozen=True)
class BoneRow:
    """One bone of one person.

    Attributes:
        person: their number.
        bone: its ends.
        frames: that know both, after smoothing.
        length_mm: median.
        spread_mm: standard deviation over the frames, by the middle half of them (0.74 times the distance of the
            quartiles), so that single frames do not count.
        before_mm: median of the frames by themselves.
        before_spread_mm: their spread.
    """

    person: int
    bone: str
    frames: int
    length_mm: float
    spread_mm: float
    before_mm: float
    before_spread_mm: float


def bone_table(before: Sequence[Prediction], after: Sequence[Prediction], skeleton: Skeleton) -> list[BoneRow]:
    """Everybody's bones that are known in a few frames at least."""
    told, found = _lengths(before, skeleton), _lengths(after, skeleton)
    rows = []
    for (person, bone), lengths in sorted(found.items(), key=lambda item: item[0]):
        earlier = told.get((person, bone), [])
        if len(lengths) >= FEWEST:
            name = "-".join(skeleton.bones[bone])
            rows.append(BoneRow(person, name, len(lengths), *_summary(lengths), *_summary(earlier)))
    return rows


def _lengths(frames: Sequence[Prediction], skeleton: Skeleton) -> dict[tuple[int, int], list[float]]:
    """Lengths, mm, of every bone (by its place) of every person."""
    found: dict[tuple[int, int], list[float]] = {}
    ends = torch.tensor(skeleton.bone_indices, dtype=torch.long).reshape(-1, 2)
    for frame in frames:
        poses = frame.poses
        length = (poses.xyz_world[:, ends[:, 0]] - poses.xyz_world[:, ends[:, 1]]).norm(dim=-1)
        both = poses.valid[:, ends[:, 0]] & poses.valid[:, ends[:, 1]]
        for row, bone in both.nonzero().tolist():
            found.setdefault((int(poses.id[row]), bone), []).append(float(length[row, bone]))
    return found


def _summary(lengths: Sequence[float]) -> tuple[float, float]:
    """Median and spread; NaN where nothing is known."""
    if not lengths:
        return float("nan"), float("nan")
    low, middle, high = np.quantile(lengths, (0.25, 0.5, 0.75)).tolist()
    return middle, 0.7413 * (high - low)


def csv_of(rows: Sequence[BoneRow]) -> str:
    """The table as comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(BoneRow)])
    for row in rows:
        writer.writerow([round(value, 1) if isinstance(value, float) else value for value in astuple(row)])
    return text.getvalue()


def text_of(rows: Sequence[BoneRow], limit: int = 3) -> str:
    """The table for a terminal: those people of whom most is known."""
    seen: dict[int, int] = {}
    for row in rows:
        seen[row.person] = max(seen.get(row.person, 0), row.frames)
    shown = sorted(seen, key=lambda person: (-seen[person], person))[:limit]
    lines = [f"{'person':>6}  {'bone':<24} {'frames':>6} {'length':>8} {'spread':>7}   frame by frame"]
    for row in rows:
        if row.person in shown:
            lines.append(
                f"{row.person:>6}  {row.bone:<24} {row.frames:>6} {row.length_mm:>5.0f} mm {row.spread_mm:>7.1f} "
                f"{row.before_mm:>8.0f} ± {row.before_spread_mm:.1f} mm"
            )
    return "\n".join(lines)
