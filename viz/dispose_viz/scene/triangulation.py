"""Rays that should meet in a joint: close up, with the points that methods make of them and how sure these are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose_benchmarks.studies.triangulation import Study
from dispose_viz.style import PALETTE, add_legend, dress, dress_chart, halo, theme_of, write
from dispose_viz.words import tick_name

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
AXES = "xyz"
HALF_MM, REACH_MM = 60.0, 100.0
"""From the middle to the edges of a close-up and of a cloud."""

MAGNIFY = 10.0
CHI_95 = 5.991
"""95 % of a two-dimensional Gaussian lie within this squared radius (chi-square, two degrees of freedom)."""


@dataclass(frozen=True, eq=False)
class NamedPoint:
    """A point with a name, mm."""

    name: str
    xyz_world: Float[Tensor, " 3"]


def draw_close_up(
    axes: Axes,
    cameras: Cameras,
    xy_image: Float[Tensor, "views 2"],
    centre: Float[Tensor, " 3"],
    *,
    plane: tuple[int, int] = (0, 1),
) -> Axes:
    """The rays through one pixel per view around a place in space, seen along the third axis; in mm from there.

    Views whose pixel is not a number have no ray. A ray's name stands where it enters, on the side of its camera.
    """
    theme = theme_of(axes)
    directions = cameras.directions(torch.nan_to_num(xy_image.double()))
    for view, name in enumerate(cameras.names):
        if not bool(torch.isfinite(xy_image[view]).all()):
            continue
        start = (cameras.centres[view] - centre)[list(plane)].numpy()
        along = directions[view, list(plane)].numpy()
        foot = start - along * (start @ along) / max(along @ along, 1e-12)
        length = max(float(np.linalg.norm(along)), 1e-9)
        far = 4 * HALF_MM * along / length
        axes.plot(*np.stack([foot - far, foot + far]).T, color=theme.ink, linewidth=1.8, zorder=2)
        # Where it enters the square, on the way from its camera.
        inside = np.stack([foot - s * along / length for s in np.linspace(0, 2 * HALF_MM, 200)])
        shown = inside[np.abs(inside).max(1) < 0.85 * HALF_MM]
        if len(shown):
            axes.annotate(tick_name(name), tuple(shown[-1]), color=theme.ink, fontsize=12, ha="center", va="center",
                          path_effects=halo(theme), zorder=3)  # fmt: skip
    first, second = (AXES[axis] for axis in plane)
    hidden = AXES[({0, 1, 2} - set(plane)).pop()]
    axes.set(xlim=(-HALF_MM, HALF_MM), ylim=(-HALF_MM, HALF_MM), aspect="equal", title=f"seen along {hidden}")
    axes.set(xlabel=f"{first} from the true joint (mm)", ylabel=f"{second} from the true joint (mm)")
    return dress(axes)


def draw_marks(
    axes: Axes, marks: Sequence[NamedPoint], centre: Float[Tensor, " 3"], *, plane: tuple[int, int] = (0, 1)
) -> Axes:
    """Points in a close-up, each with its own colour and marker; the legend says how far each is from the centre."""
    theme = theme_of(axes)
    for place, mark in enumerate(marks):
        offset = mark.xyz_world - centre
        label = f"{mark.name}: {float(offset.norm()):.0f} mm"
        axes.plot(*offset[list(plane)].tolist(), MARKERS[place % len(MARKERS)], color=PALETTE[place % len(PALETTE)],
                  markersize=max(17 - 2 * place, 8), markeredgecolor=theme.paper, label=label, zorder=5,
                  linestyle="none")  # fmt: skip
    axes.plot(0, 0, "+", color=theme.alarm, markersize=18, markeredgewidth=3, label="truth", zorder=6, linestyle="none")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, fontsize=12, handletextpad=0.3,
                columnspacing=1.2, frameon=False, labelcolor=theme.ink)  # fmt: skip
    return axes


def draw_cloud(
    axes: Axes,
    points: Float[Tensor, "draws 3"],
    covariance: Float[Tensor, "3 3"],
    centre: Float[Tensor, " 3"],
    *,
    plane: tuple[int, int] = (0, 1),
) -> Axes:
    """Repeated triangulations as dots, and the ellipse that should hold 95 % of them; mm from the centre."""
    rows = list(plane)
    offsets = (points - centre)[:, rows]
    shape = covariance[rows][:, rows]
    axes.plot(*offsets.T.numpy(), ".", color=PALETTE[4], markersize=4, alpha=0.5, zorder=2, label="measured again")
    axes.add_patch(ellipse_of(shape, (0.0, 0.0), 1.0, theme_of(axes).alarm))
    inside = (torch.einsum("ni,ij,nj->n", offsets, torch.linalg.inv(shape), offsets) < CHI_95).double().mean()
    first, second = (AXES[axis] for axis in plane)
    axes.set(xlim=(-REACH_MM, REACH_MM), ylim=(-REACH_MM, REACH_MM), aspect="equal")
    axes.set(xlabel=f"{first} (mm)", ylabel=f"{second} (mm)", title=f"the ellipse holds {100 * float(inside):.1f} %")
    return dress_chart(axes)


def draw_ellipses_from_above(
    axes: Axes, places: Float[Tensor, "points 3"], covariance: Float[Tensor, "points 3 3"]
) -> Axes:
    """The 95 % ellipses of places, `MAGNIFY` times as large as they are, in an image of the rig from above (metres).

    Places that fewer than two views see (NaN) get a cross. The largest and the smallest ellipse say how far they reach.
    """
    sizes = torch.linalg.eigvalsh(torch.nan_to_num(covariance[:, :2, :2])).amax(-1).sqrt() * math.sqrt(CHI_95)
    known, theme = torch.isfinite(covariance).all(-1).all(-1), theme_of(axes)
    for place, shape, fine in zip(places, covariance, known.tolist(), strict=True):
        middle = (float(place[0]) / 1000, float(place[1]) / 1000)
        if fine:
            axes.add_patch(ellipse_of(shape[:2, :2], middle, MAGNIFY / 1000, theme.alarm))
        else:
            axes.plot(*middle, "x", color=theme.muted, markersize=10, markeredgewidth=2)
    told = {int(sizes.argmax()), int(torch.where(known, sizes, torch.inf).argmin())} if bool(known.any()) else set()
    for chosen in told:
        middle = (float(places[chosen, 0]) / 1000, float(places[chosen, 1]) / 1000)
        write(axes, f"±{float(sizes[chosen]):.0f} mm", middle, (0, 20), align="center", base="center")
    # Now and not when it is drawn: the figure's layout asks for the limits first.
    axes.autoscale_view()
    axes.set_title(f"95 % ellipses, {MAGNIFY:g} times enlarged")
    return dress(axes)


def draw_study(axes: Axes, study: Study, xlabel: str) -> Axes:
    """The error of every method over what varies, and, dashed, the best that is possible."""
    at, ink = study.at.numpy(), theme_of(axes).ink
    for row, name in enumerate(study.methods):
        axes.plot(at, study.rms_mm[row].numpy(), **_look(row), label=name)
    if bool(torch.isfinite(study.predicted_mm).any()):
        axes.plot(at, study.predicted_mm.numpy(), "--", color=ink, linewidth=1.8, zorder=9, label="best possible")
    axes.set(xlabel=xlabel, ylabel="error in space (mm, RMS)", ylim=(0, None))
    return dress_chart(add_legend(axes))


def draw_shares(axes: Axes, names: Sequence[str], errors_mm: Float[Tensor, "methods points"]) -> Axes:
    """For every method, which share of the points is nearer to the truth than so many mm; NaN points are left out."""
    for row, (name, errors) in enumerate(zip(names, errors_mm, strict=True)):
        known = np.sort(errors[torch.isfinite(errors)].numpy())
        if len(known):
            share = 100 * np.arange(1, len(known) + 1) / len(known)
            label = f"{name}: median {np.median(known):.0f} mm"
            axes.plot(known, share, **_look(row), markevery=0.08, label=label)
    axes.set(xscale="log", xlabel="error in space (mm)", ylabel="joints nearer than that (%)", ylim=(0, 102))
    axes.xaxis.set_major_formatter("{x:g}")
    return dress_chart(add_legend(axes, location="lower right"))


def _look(row: int) -> dict[str, Any]:
    """Colour, marker and width of a method's line.

    Methods often agree to a percent: each is drawn thinner than the one below it.
    """
    return {
        "color": PALETTE[row % len(PALETTE)], "marker": MARKERS[row % len(MARKERS)], "zorder": 3 + row,
        "linewidth": max(6 - 1.3 * row, 1.0), "markersize": max(12 - 2 * row, 5),
    }  # fmt: skip


def ellipse_of(
    shape: Float[Tensor, "2 2"], middle: tuple[float, float], scale: float, color: str, *, radius: float = CHI_95
) -> Ellipse:
    """The ellipse of a two-dimensional covariance: of 95 %, or of another squared radius."""
    values, vectors = torch.linalg.eigh(shape)
    width, height = (2 * scale * math.sqrt(radius * max(float(value), 0.0)) for value in (values[1], values[0]))
    angle = math.degrees(math.atan2(float(vectors[1, 1]), float(vectors[0, 1])))
    return Ellipse(middle, width, height, angle=angle, fill=False, edgecolor=color, linewidth=2.4, zorder=4)
