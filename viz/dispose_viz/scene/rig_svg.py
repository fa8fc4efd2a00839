"""The cameras of a rig from above, as an SVG file written by hand: frusta, names, floor grid, people."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.scene.cameras import Cameras

WIDTH, HEIGHT, MARGIN = 900.0, 760.0, 70.0
INK, GRID, FRUSTUM, PEOPLE = "#1b1f24", "#d5dae0", "#2f6fb0", "#c2571a"
MOST_GRID_LINES = 40


@dataclass(frozen=True)
class Plane:
    """From world x, y (mm) to the picture: one scale for both axes, y upwards."""

    left: float
    bottom: float
    scale: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Picture coordinates of a floor point."""
        return MARGIN + (x - self.left) * self.scale, HEIGHT - MARGIN - (y - self.bottom) * self.scale


def draw_from_above(cameras: Cameras, people_xy: Float[Tensor, "points 2"], title: str) -> str:
    """The text of an SVG picture: 1 m grid (coarser or finer for other sizes), axes in m, frusta, names, people.

    Frusta show the horizontal field of view; where a camera looks steeply down, its triangle becomes short.
    """
    people_xy = _near(cameras, people_xy)
    floor = torch.cat([cameras.centres[:, :2], people_xy])
    low, high = floor.amin(0), floor.amax(0)
    extent = max(float((high - low).max()), 1e-6)
    pad = 0.28 * extent
    left, bottom = (float(v) - pad for v in low)
    width, height = (float(v) + 2 * pad for v in (high - low))
    scale = min((WIDTH - 2 * MARGIN) / width, (HEIGHT - 2 * MARGIN) / height)
    plane = Plane(left, bottom, scale)
    step = grid_step(max(width, height))
    body = [
        *_grid(plane, step, (WIDTH - 2 * MARGIN) / scale, (HEIGHT - 2 * MARGIN) / scale),
        *(_person(plane, float(x), float(y)) for x, y in people_xy),
        *_frusta(plane, cameras, 0.22 * extent),
        _text(MARGIN, 34.0, title, size=18, weight="bold"),
        _text(
            WIDTH / 2,
            HEIGHT - 16,
            f"x in m (grid {step / 1000:g} m; z points at you; dots are people)",
            anchor="middle",
        ),
        f'<g transform="rotate(-90 20 {HEIGHT / 2:g})">{_text(20.0, HEIGHT / 2, "y in m", anchor="middle")}</g>',
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" '
            f'height="{HEIGHT:g}" font-family="Helvetica, Arial, sans-serif" fill="{INK}">',
            f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _near(cameras: Cameras, people_xy: Float[Tensor, "points 2"]) -> Float[Tensor, "near 2"]:
    """People within three rig sizes of its middle: those that a wrong calibration throws far are not drawn."""
    middle = cameras.centres[:, :2].mean(0)
    size = (cameras.centres[:, :2] - middle).norm(dim=-1).max()
    return people_xy[(people_xy - middle).norm(dim=-1) <= 3 * size]


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


def _grid(plane: Plane, step: float, width: float, height: float) -> list[str]:
    """Grid lines with their coordinates in metres; labels as sparse as legibility needs."""
    parts = []
    every = max(1, math.ceil(46 / (step * plane.scale)))
    for k in range(math.ceil(plane.left / step), math.floor((plane.left + width) / step) + 1):
        (x, y0), (_, y1) = plane.at(k * step, plane.bottom), plane.at(k * step, plane.bottom + height)
        parts.append(f'<path d="M{x:.1f} {y0:.1f}V{y1:.1f}" stroke="{GRID}" stroke-width="{2 if k == 0 else 1}"/>')
        if k % every == 0:
            parts.append(_text(x, y0 + 20, f"{k * step / 1000:g}", anchor="middle", size=13))
    for k in range(math.ceil(plane.bottom / step), math.floor((plane.bottom + height) / step) + 1):
        (x0, y), (x1, _) = plane.at(plane.left, k * step), plane.at(plane.left + width, k * step)
        parts.append(f'<path d="M{x0:.1f} {y:.1f}H{x1:.1f}" stroke="{GRID}" stroke-width="{2 if k == 0 else 1}"/>')
        if k % every == 0:
            parts.append(_text(x0 - 8, y + 4, f"{k * step / 1000:g}", anchor="end", size=13))
    return parts


def _person(plane: Plane, x: float, y: float) -> str:
    px, py = plane.at(x, y)
    return f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{PEOPLE}" fill-opacity="0.45"/>'


def _frusta(plane: Plane, cameras: Cameras, length: float) -> list[str]:
    """A triangle per camera, and its name on the side away from the rig's middle."""
    parts = []
    middle = cameras.centres[:, :2].mean(0)
    labels: list[tuple[float, float]] = []
    for view, name in enumerate(cameras.names):
        centre = cameras.centres[view]
        edge = float(cameras.size[view, 0]) / 2 / float(cameras.matrix[view, 0, 0])
        corners = torch.tensor([[-edge, 0, 1], [edge, 0, 1]], dtype=torch.float64) @ cameras.rotation[view]
        tips = centre + corners / corners.norm(dim=-1, keepdim=True) * length
        points = [plane.at(float(p[0]), float(p[1])) for p in (centre, *tips)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polygon points="{path}" fill="{FRUSTUM}" fill-opacity="0.18" stroke="{FRUSTUM}"/>')
        x, y = points[0]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{FRUSTUM}"/>')
        away = centre[:2] - middle
        away = away / away.norm().clamp(min=1e-9)
        lx, ly = x + 14 * float(away[0]), y - 16 * float(away[1]) + 5
        while any(abs(lx - ox) < 60 and abs(ly - oy) < 15 for ox, oy in labels):
            ly += 15
        labels.append((lx, ly))
        anchor = "start" if float(away[0]) > 0.3 else "end" if float(away[0]) < -0.3 else "middle"
        parts.append(_text(lx, ly, f"{name} ({float(centre[2]) / 1000:.2g} m high)", anchor=anchor))
    return parts
