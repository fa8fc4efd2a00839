"""Many poses of one person at once: skeletons as a fan, and how far every joint is spread, seen from three sides."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from dispose.scene.lifted import spread_of
from dispose.skeletons.skeleton import Skeleton
from dispose_viz.scene.triangulation import ellipse_of
from dispose_viz.style import blend, dress, theme_of

CHI_90 = 4.605
"""90 % of a two-dimensional Gaussian lie within this squared radius (chi-square, two degrees of freedom)."""

MOST_DRAWN = 60
"""So many skeletons of a fan; more are a blot."""

REACH_MM = 1200.0
"""From the hips to the edges of a picture."""


@dataclass(frozen=True)
class Side:
    """From where poses in the camera's axes are looked at: the axis that goes right, the one that goes up, its sign."""

    title: str
    right: int
    up: int
    sign: float
    labels: tuple[str, str]


FRONT = Side("as the camera sees it", 0, 1, -1.0, ("right (mm)", "up (mm)"))
FLANK = Side("from the side", 2, 1, -1.0, ("away from the camera (mm)", "up (mm)"))
ABOVE = Side("from above", 0, 2, 1.0, ("right (mm)", "away from the camera (mm)"))
SIDES = (FRONT, FLANK, ABOVE)


def on_side(xyz: Float[Tensor, "*batch 3"], side: Side) -> Float[Tensor, "*batch 2"]:
    """What is right and up of points from a side, mm."""
    return torch.stack([xyz[..., side.right], side.sign * xyz[..., side.up]], -1)


def draw_fan(axes: Axes, xyz: Float[Tensor, "hypotheses joints 3"], skeleton: Skeleton, side: Side, color: str) -> Axes:
    """Evenly chosen poses as thin lines and their mean as a thick one, which the legend names."""
    drawn = xyz[:: max(1, len(xyz) // MOST_DRAWN)]
    places, bones = on_side(drawn, side).numpy(), skeleton.bone_indices
    lines = [one[[a, b]] for one in places for a, b in bones]
    pale = blend(color, theme_of(axes).paper, 0.35)
    thin = 0.12 if len(xyz) > 1 else 0.0
    axes.add_collection(LineCollection(lines, colors=pale, linewidths=1.0, alpha=thin, zorder=2))
    name = f"mean of {len(xyz)} poses" if len(xyz) > 1 else "pose"
    return draw_pose(axes, xyz.mean(0), skeleton, side, color, label=name)


def draw_pose(
    axes: Axes,
    xyz: Float[Tensor, "joints 3"],
    skeleton: Skeleton,
    side: Side,
    color: str,
    *,
    width: float = 2.6,
    label: str | None = None,
) -> Axes:
    """One pose from a side, by a name for the legend or without one."""
    place = on_side(xyz, side).numpy()
    bones = [place[[a, b]] for a, b in skeleton.bone_indices if np.isfinite(place[[a, b]]).all()]
    axes.add_collection(LineCollection(bones, colors=color, linewidths=width, capstyle="round", zorder=5, label=label))
    axes.plot(*place.T, "o", color=color, markersize=1.6 * width, markeredgewidth=0, zorder=5)
    return axes


def draw_truth(axes: Axes, xyz: Float[Tensor, "joints 3"], skeleton: Skeleton, side: Side) -> Axes:
    """The true pose from a side: thin and black, over whatever is drawn."""
    return draw_pose(axes, xyz, skeleton, side, "#000000", width=1.8, label="truth")


def draw_spread(axes: Axes, xyz: Float[Tensor, "hypotheses joints 3"], side: Side, color: str) -> Axes:
    """For every joint the ellipse that holds 90 % of a Gaussian with the spread of the poses."""
    places = on_side(xyz, side).double().transpose(0, 1)
    for middle, shape in zip(places.mean(1), spread_of(places), strict=True):
        ring = ellipse_of(shape, (float(middle[0]), float(middle[1])), 1.0, color, radius=CHI_90)
        ring.set(linewidth=1.2, alpha=0.9)
        axes.add_patch(ring)
    ring.set_label("90 % of a joint's places")
    return axes


def reach_of(xyz: Float[Tensor, "hypotheses joints 3"]) -> float:
    """How far from the hips a picture must reach to hold nearly every pose, mm."""
    far = torch.stack([on_side(xyz, side).abs().amax(-1) for side in (FRONT, ABOVE)]).amax(0)
    # The ellipses of the outermost joints reach a little farther than their poses.
    return max(1.15 * float(torch.quantile(far.flatten(), 0.995)), 300.0)


def frame_side(axes: Axes, side: Side, *, reach_mm: float = REACH_MM, title: str | None = None) -> Axes:
    """Limits, labels and a title for poses about the hips from a side."""
    axes.set(xlim=(-reach_mm, reach_mm), ylim=(-reach_mm, reach_mm), aspect="equal")
    axes.set(xlabel=side.labels[0], ylabel=side.labels[1], title=side.title if title is None else title)
    axes.locator_params(nbins=5)
    return dress(axes)
