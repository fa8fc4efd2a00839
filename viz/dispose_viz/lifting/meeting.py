"""Clouds of one joint from several views in one room, and where they meet."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.lifted import spread_of
from dispose_viz.lifting.fans import CHI_90
from dispose_viz.scene.triangulation import ellipse_of
from dispose_viz.style import PALETTE, add_legend, dress_chart, theme_of
from dispose_viz.words import tick_name

HEIGHT = 2
"""The axis that is not seen from above."""

ROOM, FARTHEST_MM = 1.05, 3000.0
"""How much wider than the ellipses the picture is, and half its width at most."""


def draw_clouds(
    axes: Axes,
    names: Sequence[str],
    clouds: Float[Tensor, "views hypotheses 3"],
    truth: Float[Tensor, " 3"],
    met: tuple[Float[Tensor, " 3"], Float[Tensor, "3 3"]] | None = None,
    *,
    half_mm: float | None = None,
) -> Axes:
    """One joint from above: every view's poses with their 90 % ellipse, where all meet (black), and the truth (cross).

    Args:
        axes: where.
        names: of the views.
        clouds: the joint in every pose, mm in the room.
        truth: where it is.
        met: where the clouds meet, with its covariance.
        half_mm: from the truth to the edges; None = as far as the ellipses reach, `FARTHEST_MM` at most.
    """
    ink = theme_of(axes).ink
    for place, (name, cloud) in enumerate(zip(names, clouds.double(), strict=True)):
        color, flat = PALETTE[place % len(PALETTE)], cloud[:, :HEIGHT]
        axes.plot(*flat.T.numpy(), ".", color=color, markersize=3, alpha=0.35)
        axes.add_patch(ellipse_of(spread_of(flat), _pair(flat.mean(0)), 1.0, color, radius=CHI_90))
        axes.plot([], [], "-", color=color, linewidth=2.4, label=tick_name(name))
    if met is not None:
        place, shape = met[0].double(), met[1].double()
        axes.add_patch(ellipse_of(shape[:HEIGHT, :HEIGHT], _pair(place), 1.0, ink, radius=CHI_90))
        axes.plot([], [], "-", color=ink, linewidth=2.4, label=f"meeting, {float((place - truth).norm()):.0f} mm off")
    axes.plot(*_pair(truth), "x", color=theme_of(axes).alarm, markersize=14, markeredgewidth=3, zorder=6, label="truth")
    x, y = _pair(truth)
    half_mm = edge_of(clouds.double(), truth.double()) if half_mm is None else half_mm
    axes.set(xlim=(x - half_mm, x + half_mm), ylim=(y - half_mm, y + half_mm), aspect="equal")
    axes.set(xlabel="x in the room (mm)", ylabel="y in the room (mm)")
    return dress_chart(add_legend(axes, location="below"))


def edge_of(clouds: Float[Tensor, "views hypotheses 3"], truth: Float[Tensor, " 3"]) -> float:
    """From the truth to the farthest edge of the 90 % ellipses as seen from above, with a little room, mm."""
    flat = clouds[..., :HEIGHT]
    half = (CHI_90 * torch.diagonal(spread_of(flat), dim1=-2, dim2=-1)).sqrt()
    far = ((flat.mean(1) - truth[:HEIGHT]).abs() + half).max()
    return min(ROOM * float(far), FARTHEST_MM)


def draw_directions(axes: Axes, cameras: Cameras, views: Sequence[int], truth: Float[Tensor, " 3"]) -> Axes:
    """From where the views look at a place: lines that point at their cameras."""
    for place, view in enumerate(views):
        away = (cameras.centres[view] - truth)[:HEIGHT]
        start, end = truth[:HEIGHT], truth[:HEIGHT] + away
        axes.plot(*torch.stack([start, end], 1).numpy(), ":", color=PALETTE[place % len(PALETTE)], linewidth=1.4)
    return axes


def _pair(point: Float[Tensor, " dims"]) -> tuple[float, float]:
    return float(point[0]), float(point[1])
