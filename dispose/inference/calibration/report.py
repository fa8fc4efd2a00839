"""What a refinement is told by: a table, a JSON report, and a picture of where every camera disagrees."""

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.formats.files import replacing
from dispose.formats.folders import remove_leftovers
from dispose.geometry.pinhole import project_points
from dispose.inference.calibration.people import PlacedPeople
from dispose.inference.calibration.refine import Refinement, RigErrors, moved_by
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.refine/1"
COLUMNS = 8
"""Cells of an image from left to right in the picture; as many rows as keep them square."""

FEWEST_IN_CELL = 8


@dataclass(frozen=True)
class Verdict:
    """Whether a refined calibration is worth writing, and the sentences that say so."""

    better: bool
    sentences: tuple[str, ...]


def judge(refinement: Refinement) -> Verdict:
    """What held-out frames say."""
    worse = refinement.worse
    before, after = (float(errors.whole_px) for errors in (refinement.before, refinement.after))
    names = refinement.given.names
    said = [f"camera {names[left.view]} is left as it was: it {left.why}." for left in refinement.left]
    if worse:
        said.append(f"not better on held-out frames ({'; '.join(worse)}): the calibration as it was is kept.")
    else:
        said.append(f"better on held-out frames, in every camera: {before:.2f} px become {after:.2f} in all.")
    return Verdict(not worse, tuple(said))


def refine_table(refinement: Refinement, moved: Cameras) -> str:
    """Per camera its held-out error before and after, and by how much it moved to where it is written, `moved`."""
    names = (*refinement.given.names, "all")
    width = max(6, *(len(name) for name in names))
    mm, degrees = moved_by(refinement.given, moved)
    zoom = moved.matrix[:, 0, 0] / refinement.given.matrix[:, 0, 0]
    before, after = refinement.before, refinement.after
    lines = [
        f"{'':<{width}}   held-out frames: median px (90 %)",
        f"{'camera':<{width}} {'before':>16} {'after':>16} {'moved mm':>9} {'turned °':>9} {'focal %':>8}",
    ]
    for view, name in enumerate(refinement.given.names):
        cells = [f"{_px(e.median_px[view])} ({_px(e.p90_px[view])})" for e in (before, after)]
        change = f"{float(mm[view]):9.1f} {float(degrees[view]):9.2f} {100 * float(zoom[view]) - 100:+8.2f}"
        lines.append(f"{name:<{width}} {cells[0]:>16} {cells[1]:>16} {change}")
    lines.append(f"{'all':<{width}} {_px(before.whole_px):>16} {_px(after.whole_px):>16}")
    return "\n".join(lines)


def _px(value: Tensor) -> str:
    return "-" if math.isnan(float(value)) else "behind" if math.isinf(float(value)) else f"{float(value):.2f}"


def write_refinement(folder: Path, refinement: Refinement, moved: Cameras, verdict: Verdict) -> tuple[Path, ...]:
    """Write ``refine.json`` and ``refine.svg``; the paths written."""
    report, image = folder / "refine.json", folder / "refine.svg"
    given, views = refinement.given, refinement.views
    mm, degrees = moved_by(given, moved)
    record = {
        "schema": SCHEMA,
        "better": verdict.better,
        "said": list(verdict.sentences),
        "rounds": refinement.rounds,
        "whole_px": {"before": _finite(refinement.before.whole_px), "after": _finite(refinement.after.whole_px)},
        "cameras": [
            {
                "name": name,
                "adjusted": view in views,
                "before": _camera(refinement.before, view),
                "after": _camera(refinement.after, view),
                "moved_mm": round(float(mm[view]), 3),
                "turned_deg": round(float(degrees[view]), 4),
                "focal_px": {"before": float(given.matrix[view, 0, 0]), "after": float(moved.matrix[view, 0, 0])},
            }
            for view, name in enumerate(given.names)
        ],
    }
    remove_leftovers(folder, below="")
    with replacing(report) as file:
        json.dump(record, file, indent=1)
        file.write("\n")
    drawing = draw_residuals(refinement)
    with replacing(image) as file:
        file.write(drawing)
    return report, image


def _camera(errors: RigErrors, view: int) -> dict[str, float | None]:
    return {
        "median_px": _finite(errors.median_px[view]),
        "p90_px": _finite(errors.p90_px[view]),
        "agreeing": _finite(errors.agreeing[view]),
    }


def _finite(value: Tensor) -> float | None:
    return round(float(value), 4) if math.isfinite(float(value)) else None


def draw_residuals(refinement: Refinement) -> str:
    """Where every camera disagrees, before and after, as SVG by the viz package: `dispose` never draws."""
    cameras = refinement.given
    panels = []
    for view, name in enumerate(cameras.names):
        width, height = cameras.size[view].tolist()
        arrows = [
            _arrows(people, view, (width, height)) for people in (refinement.judged_before, refinement.judged_after)
        ]
        panels.append({"name": name, "size": [width, height], "before": arrows[0], "after": arrows[1]})
    command = [sys.executable, "-X", "utf8", "-m", "dispose_viz.scene.residual_svg"]
    given = json.dumps({"cameras": panels, "columns": COLUMNS})
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout


def _arrows(people: PlacedPeople, view: int, size: tuple[float, float]) -> list[list[float]]:
    """Per cell of an image its middle, and the median of projection less sighting of the joints there, pixels."""
    xy, off = residuals(people, view)
    side = size[0] / COLUMNS
    cell = torch.div(xy, side, rounding_mode="floor").long()
    found = []
    for column, row in cell.unique(dim=0).tolist():
        here = off[(cell[:, 0] == column) & (cell[:, 1] == row)]
        inside = 0 <= column < COLUMNS and 0 <= row * side < size[1]
        if inside and len(here) >= FEWEST_IN_CELL:
            found.append([(column + 0.5) * side, (row + 0.5) * side, *here.median(0).values.tolist()])
    return found


def residuals(people: PlacedPeople, view: int) -> tuple[Float[Tensor, "sightings 2"], Float[Tensor, "sightings 2"]]:
    """Where a camera sees joints whose place is known, and by how much they are projected elsewhere, pixels."""
    person, joint = torch.isfinite(people.error_px[..., view]).nonzero().unbind(1)
    cameras = people.groups.cameras
    rotation, translation = cameras.rotation[person, view], cameras.translation[person, view]
    xyz = (rotation @ people.xyz_world[person, joint][..., None])[..., 0] + translation
    xy = people.groups.xy_image[person, view, joint]
    return xy, project_points(xyz, cameras.matrix[person, view], cameras.lens[person, view]) - xy
