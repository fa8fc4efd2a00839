"""All people as one table of text, a row per joint: what spreadsheets, R and pandas open."""

import csv
import math
from collections.abc import Callable
from pathlib import Path

from dispose.formats.files import replacing
from dispose.formats.person_table import PersonTable

COLUMNS = ("frame", "time_s", "person", "joint", "x_mm", "y_mm", "z_mm", "confidence")


def write_people_csv(path: Path, table: PersonTable, rate_hz: float, step: Callable[[], object]) -> None:
    """Write every person's joints, frame after frame: mm, z up, blanks where a joint is not known.

    Args:
        path: of the file.
        table: the people.
        rate_hz: frames per second: a frame's time is its number over that.
        step: called after every row of the table.
    """
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for frame, person, joints in zip(table.frame, table.id, table.joints, strict=True):
            time = f"{frame / rate_hz:.6f}"
            for name, (x, y, z, confidence) in zip(table.skeleton.joints, joints.tolist(), strict=True):
                known = all(map(math.isfinite, (x, y, z)))
                place = (f"{x:.3f}", f"{y:.3f}", f"{z:.3f}", f"{confidence:.6f}") if known else ("", "", "", "")
                writer.writerow((int(frame), time, int(person), name, *place))
            step()
