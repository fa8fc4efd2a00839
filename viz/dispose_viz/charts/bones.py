"""Everybody's bone lengths, frame by frame and after smoothing.

Called as ``python -m dispose_viz.charts.bones BONES.csv`` (a table of `dispose smooth`); the picture is written
beside it.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from dispose.inference.trajectories.bones import BoneRow
from dispose_viz.style import add_legend, dress_chart, label_of, new_figure, panels, person_color, save_figure, theme_of

MOST_PEOPLE = 6
"""Charts of people beside each other: those of whom most frames are known."""

COLUMNS = 3


def read_bones(path: Path) -> list[BoneRow]:
    """The rows of a table."""
    with open(path, encoding="utf-8", newline="") as file:
        return [
            BoneRow(
                int(row["person"]),
                row["bone"],
                int(row["frames"]),
                *(float(row[name]) for name in ("length_mm", "spread_mm", "before_mm", "before_spread_mm")),
            )
            for row in csv.DictReader(file)
        ]


def draw_bones(figure: Figure, bones: Sequence[BoneRow]) -> Figure:
    """A chart for every person: each bone's median with its spread over the frames, before (grey) and after."""
    known: dict[int, int] = {}
    for bone in bones:
        known[bone.person] = max(known.get(bone.person, 0), bone.frames)
    people = sorted(known, key=lambda person: (-known[person], person))[:MOST_PEOPLE]
    for person, axes in zip(people, panels(figure, len(people), COLUMNS), strict=True):
        mine = [bone for bone in bones if bone.person == person]
        place = list(range(len(mine)))
        axes.errorbar(
            [bone.before_mm for bone in mine], place, xerr=[bone.before_spread_mm for bone in mine], fmt="o",
            markersize=4, elinewidth=1, color=theme_of(axes).muted, label="frame by frame",
        )  # fmt: skip
        axes.errorbar(
            [bone.length_mm for bone in mine], place, xerr=[bone.spread_mm for bone in mine], fmt="o", markersize=5,
            elinewidth=3, color=person_color(person), label="smoothed",
        )  # fmt: skip
        axes.set_yticks(place, [bone.bone for bone in mine])
        axes.invert_yaxis()
        axes.set(title=f"{label_of(person)}, {known[person]} frames", xlabel="length and spread, mm")
        dress_chart(axes)
    if people:
        add_legend(figure.axes[0], location="below")
    return figure


def main(arguments: Sequence[str]) -> int:
    """Draw the picture of a table."""
    path = Path(arguments[0])
    bones = read_bones(path)
    if not bones:
        print("no picture of the bones: none is known")
        return 0
    people = min(len({bone.person for bone in bones}), MOST_PEOPLE)
    height = 0.3 * max(sum(bone.person == one for bone in bones) for one in {bone.person for bone in bones}) + 1.4
    figure = new_figure(5.5 * min(people, COLUMNS), height * -(-people // COLUMNS))
    save_figure(draw_bones(figure, bones), path.with_suffix(""))
    print(f"wrote {path.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
