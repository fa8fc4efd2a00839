"""The cameras of a rig from above, as an SVG file written by hand: frusta, names, floor grid, people.

Called as ``python -m dispose_viz.scene.rig_svg < RIG.json > IMAGE.svg``; it needs numpy alone, so that `dispose check`
has its drawing in every installation and at once.
"""

import json
import math
import sys
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from jaxtyping import Float

WIDTH, HEIGHT, MARGIN = 900.0, 760.0, 70.0
INK, GRID, FRUSTUM, PEOPLE = "#1b1f24", "#d5dae0", "#2f6fb0", "#c2571a"
MOST_GRID_LINES = 40


@dataclass(frozen=True, eq=False)
class Rig:
    """What the drawing shows: cameras by name and centre, and places of people on the floor (mm).

    Edges are unit directions to the left and the right edge of a camera's image, at half height.
    """

    names: tuple[str, ...]
    centres: Float[np.ndarray, "views 3"]
    edges: Float[np.ndarray, "views 2 3"]
    people: Float[np.ndarray, "persons 2"]


@dataclass(frozen=True)
class Plane:
    """From world x, y (mm) to the drawing: one scale for both axes, y upwards."""

    left: float
    bottom: float
    scale: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Coordinates of a floor point in the drawing."""
        return MARGIN + (x - self.left) * self.scale, HEIGHT - MARGIN - (y - self.bottom) * self.scale


def draw_from_above(rig: Rig, title: str) -> str:
    """The text of an SVG file: 1 m grid (coarser or finer for other sizes), axes in m, frusta, names, people.

    Frusta show the horizontal field of view; where a camera looks steeply down, its triangle becomes short. People
    beyond three rig sizes from its middle, whom a wrong calibration throws far, are not drawn.
    """
    middle = rig.centres[:, :2].mean(0)
    size = np.linalg.norm(rig.centres[:, :2] - middle, axis=-1).max()
    people = rig.people[np.linalg.norm(rig.people - middle, axis=-1) <= 3 * size]
    floor = np.concatenate([rig.centres[:, :2], people])
    low, high = floor.min(0), floor.max(0)
    extent = max(float((high - low).max()), 1e-6)
    pad = 0.28 * extent
    width, height = (float(v) + 2 * pad for v in (high - low))
    scale = min((WIDTH - 2 * MARGIN) / width, (HEIGHT - 2 * MARGIN) / height)
    plane = Plane(float(low[0]) - pad, float(low[1]) - pad, scale)
    step = grid_step(max(width, height))
    words = f"x in m (grid {step / 1000:g} m; z points at you; dots are people)"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" '
        f'height="{HEIGHT:g}" font-family="Helvetica, Arial, sans-serif" fill="{INK}">',
        f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#ffffff"/>',
        *_grid(plane, step),
        *(_dot(plane.at(float(x), float(y)), 3, f'fill="{PEOPLE}" fill-opacity="0.45"') for x, y in people),
        *_frusta(plane, rig, 0.22 * extent),
        _text(MARGIN, 34.0, title, size=18, weight="bold"),
        _text(WIDTH / 2, HEIGHT - 16, words, anchor="middle"),
        f'<g transform="rotate(-90 20 {HEIGHT / 2:g})">{_text(20.0, HEIGHT / 2, "y in m", anchor="middle")}</g>',
        "</svg>\n",
    ]
    return "\n".join(lines)


def grid_step(extent_mm: float) -> float:
    """1 m, or the power of ten (times 1, 2 or 5) that keeps the number of lines between 4 and 40."""
    step = 1000.0
    while extent_mm / step > MOST_GRID_LINES:
        step *= 10
    while extent_mm / step < 1:
        step /= 10
    return step


def _text(x: float, y: float, words: str, *, size: int = 14, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )


def _dot(place: tuple[float, float], radius: int, paint: str) -> str:
    return f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{radius}" {paint}/>'


def _grid(plane: Plane, step: float) -> list[str]:
    """Grid lines with their coordinates in metres; labels as sparse as legibility needs."""
    parts = []
    every = max(1, math.ceil(46 / (step * plane.scale)))
    right, top = plane.left + (WIDTH - 2 * MARGIN) / plane.scale, plane.bottom + (HEIGHT - 2 * MARGIN) / plane.scale
    (x0, y0), (x1, y1) = plane.at(plane.left, plane.bottom), plane.at(right, top)
    for upright, low, high in ((True, plane.left, right), (False, plane.bottom, top)):
        for k in range(math.ceil(low / step), math.floor(high / step) + 1):
            x, y = plane.at(k * step, k * step)
            path = f"M{x:.1f} {y0:.1f}V{y1:.1f}" if upright else f"M{x0:.1f} {y:.1f}H{x1:.1f}"
            parts.append(f'<path d="{path}" stroke="{GRID}" stroke-width="{2 if k == 0 else 1}"/>')
            if k % every == 0:
                place, anchor = ((x, y0 + 20), "middle") if upright else ((x0 - 8, y + 4), "end")
                parts.append(_text(*place, f"{k * step / 1000:g}", anchor=anchor, size=13))
    return parts


def _frusta(plane: Plane, rig: Rig, length: float) -> list[str]:
    """A triangle per camera, and its name on the side away from the rig's middle."""
    parts = []
    middle = rig.centres[:, :2].mean(0)
    labels: list[tuple[float, float]] = []
    for name, centre, edges in zip(rig.names, rig.centres, rig.edges, strict=True):
        points = [plane.at(float(p[0]), float(p[1])) for p in (centre, *(centre + length * edges))]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polygon points="{path}" fill="{FRUSTUM}" fill-opacity="0.18" stroke="{FRUSTUM}"/>')
        parts.append(_dot(points[0], 5, f'fill="{FRUSTUM}"'))
        away = centre[:2] - middle
        away = away / max(float(np.linalg.norm(away)), 1e-9)
        x, y = points[0][0] + 14 * float(away[0]), points[0][1] - 16 * float(away[1]) + 5
        while any(abs(x - ox) < 60 and abs(y - oy) < 15 for ox, oy in labels):
            y += 15
        labels.append((x, y))
        anchor = "start" if float(away[0]) > 0.3 else "end" if float(away[0]) < -0.3 else "middle"
        parts.append(_text(x, y, f"{name} ({float(centre[2]) / 1000:.2g} m high)", anchor=anchor))
    return parts


def main() -> int:
    """The drawing of what stdin says, on stdout."""
    given = json.load(sys.stdin)
    centres, edges, people = (np.array(given[name], dtype=float) for name in ("centres", "edges", "people"))
    sys.stdout.write(draw_from_above(Rig(tuple(given["names"]), centres, edges, people.reshape(-1, 2)), given["title"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
