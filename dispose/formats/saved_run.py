"""A finished run opened for going through it: nothing is in memory before somebody looks, however long the run is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from dispose.errors import InputError
from dispose.formats.arrays import INTEGERS, NUMBERS, mapped_arrays, open_arrays
from dispose.formats.calibration.rig import FARTHEST
from dispose.formats.evidence import EVIDENCE, PEOPLE, PREDICTIONS
from dispose.formats.folders import let_go, watch
from dispose.formats.person_table import PersonTable, check_digest
from dispose.formats.predictions import frame_numbers, header_of, skeleton_of

SPARSE = 20
"""More blank frames than this for one with the person in it, and frame numbers are no regular clock."""


@dataclass(frozen=True, eq=False)
class PersonClip:
    """One person from their first frame to their last, evenly spaced.

    Attributes:
        person: their number.
        first: number of the first frame.
        rate_hz: rows per second.
        xyz_world: mm, z up; NaN where a joint is not known.
    """

    person: int
    first: int
    rate_hz: float
    xyz_world: Float[np.ndarray, "frames joints 3"]


@dataclass(frozen=True, eq=False)
class SavedRun:
    """The people of a finished run, and frames per second where they are known.

    `members` says of every row of the table which detection of every camera it was made of, by its place in the
    camera's source list (`ABSENT`: not seen); None where nobody knows. `digest` is that of its predictions, which what
    lies beside has to be of.
    """

    table: PersonTable
    members: Int[np.ndarray, "rows views"] | None = None
    rate_hz: float | None = None
    digest: str | None = None


@contextmanager
def open_run(folder: Path) -> Iterator[SavedRun]:
    """A folder of `dispose predict`. `InputError` where its files are broken or not of one run."""
    require_same, path = watch(folder), folder / PEOPLE
    header = header_of(folder / PREDICTIONS)
    numbers = np.array(frame_numbers(folder / PREDICTIONS), dtype=np.int64)
    if header.frames not in (None, len(numbers)):
        raise InputError(
            f"{folder / PREDICTIONS}: line 1 announces {header.frames} frames, and {len(numbers)} follow: lines are "
            "lost, run `dispose predict` again."
        )
    wanted = ("skeleton", "joint_names", "units", "frame", "id", "joints", "members", "predictions")
    with mapped_arrays(path, lambda name: name in wanted) as arrays:
        check_digest(arrays, folder / PREDICTIONS)
        if (folder / EVIDENCE).is_file():
            check_digest(open_arrays(folder / EVIDENCE), folder / PREDICTIONS)
        skeleton = skeleton_of(arrays.text("skeleton"), arrays.texts("joint_names"))
        frame = arrays.get("frame", INTEGERS, None)
        people = arrays.get("id", INTEGERS, len(frame))
        joints = arrays.get("joints", NUMBERS, len(frame), len(skeleton), 4)
        if arrays.text("units") != "mm":
            raise InputError(f"{path}: units are {arrays.text('units')!r}, this version writes 'mm'.")
        _check_rows(path, frame, people, joints)
        if skeleton != header.skeleton or not np.isin(frame, numbers).all():
            raise InputError(f"{path}: holds other people than {PREDICTIONS} beside it; run `dispose predict` again.")
        members = arrays.get("members", INTEGERS, len(frame), len(header.cameras))
        require_same()
        digest = arrays.text("predictions") if "predictions" in arrays.columns else None
        yield SavedRun(PersonTable(skeleton, numbers, frame, people, joints), members, header.rate_hz, digest)


ROWS_AT_ONCE = 1 << 16
"""Of a table on the disk, which is looked through part by part and never held whole."""


def _check_rows(
    path: Path, frame: Int[np.ndarray, " rows"], people: Int[np.ndarray, " rows"],
    joints: Float[np.ndarray, "rows joints 4"],
) -> None:  # fmt: skip
    """Raise `InputError` where a person is twice in a frame, or a joint is nowhere or surer than sure."""
    pairs, count = np.unique(np.stack([frame, people]), axis=1, return_counts=True)
    if (count > 1).any():
        number, person = pairs[:, count.argmax()]
        raise InputError(f"{path}: person {person} is twice in frame {number}.")
    for start in range(0, len(joints), ROWS_AT_ONCE):
        part = joints[start : start + ROWS_AT_ONCE]
        known, confidence = np.isfinite(part[..., :3]), part[..., 3]
        placed = (known.all(-1) & (np.abs(part[..., :3]) <= FARTHEST).all(-1)) | np.isnan(part[..., :3]).all(-1)
        bad = ~(placed & (confidence >= 0) & (confidence <= 1))
        if bad.any():
            row, joint = np.argwhere(bad)[0]
            raise InputError(
                f"{path}: frame {frame[start + row]}: person {people[start + row]}: joint {joint} is "
                f"{part[row, joint].tolist()}, no x, y, z in mm and confidence from 0 to 1."
            )
        let_go(joints)


def clips_of(table: PersonTable, rate_hz: float) -> Iterator[PersonClip]:
    """Everybody's clip, one after the other, by their number.

    Frames between two that are there are blank rows, so that time runs evenly; where all frames are some apart, so are
    the rows. `InputError` for numbers so far apart that blanks would be most of the clip.
    """
    apart = gcd(*np.diff(np.sort(table.numbers)).tolist()) or 1
    for person in sorted(person for person, _ in table.people):
        first, stop = table.extent(person)
        numbers = table.numbers[first:stop]
        rows = (numbers - numbers.min()) // apart
        count = int(rows.max()) + 1
        if count > 1000 + SPARSE * len(numbers):
            raise InputError(
                f"person {person}: frames {numbers.min()} to {numbers.max()} are {len(numbers)} of {count}; frame "
                "numbers so far apart are no clock, write trc or csv, which keep them as they are."
            )
        xyz = np.full((count, len(table.skeleton), 3), np.nan)
        xyz[rows] = table.clip(person, first, stop).numpy()
        yield PersonClip(person, int(numbers.min()), rate_hz / apart, xyz)
