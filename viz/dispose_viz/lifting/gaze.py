"""Where a network looks in the picture of one person, drawn on it; and what its maps hold."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from torch import Tensor

from dispose.formats.images.series import IMAGENET_DEVIATION, IMAGENET_MEAN
from dispose.skeletons.skeleton import Skeleton
from dispose_viz.image.canvas import draw_skeleton
from dispose_viz.style import MAP, PALETTE, add_legend, dress, dress_chart
from dispose_viz.words import name_columns

LARGEST = 90.0
"""Area of the mark of a place that has all the weight of its head, square points."""


def as_picture(pixels: Float[Tensor, "3 height width"]) -> Float[np.ndarray, "height width 3"]:
    """A picture as networks take it, as one to look at: values from 0 to 1."""
    mean, deviation = (pixels.new_tensor(numbers)[:, None, None] for numbers in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    return (pixels * deviation + mean).clamp(0, 1).permute(1, 2, 0).numpy()


def draw_cut(axes: Axes, pixels: Float[Tensor, "3 height width"], title: str) -> Axes:
    """The cut of one person."""
    axes.imshow(as_picture(pixels))
    axes.set(xticks=[], yticks=[], title=title)
    return dress(axes)


def draw_cut_joints(
    axes: Axes, xy_crop: Float[Tensor, "joints 2"], seen: Bool[Tensor, " joints"], skeleton: Skeleton
) -> Axes:
    """The keypoints in the cut that the network is told."""
    return draw_skeleton(axes, xy_crop, seen, skeleton, PALETTE[4], width=1.4)


def draw_looks(
    axes: Axes,
    place: Float[Tensor, "levels heads points 2"],
    weight: Float[Tensor, "levels heads points"],
    joint: Float[Tensor, " 2"],
) -> Axes:
    """Where one joint reads the maps: a mark for every place, as large as it counts, a colour for every map; lines lead
    there from the joint.
    """
    for level, (places, weights) in enumerate(zip(place, weight, strict=True)):
        at, size = places.reshape(-1, 2), LARGEST * weights.flatten()
        for x, y in at.tolist():
            axes.plot([float(joint[0]), x], [float(joint[1]), y], "-", color=PALETTE[level], linewidth=0.6, alpha=0.7)
        axes.scatter(*at.T.numpy(), s=size.numpy(), color=PALETTE[level], edgecolors="white", linewidths=0.5, zorder=5,
                     label=f"map {level + 1}")  # fmt: skip
    axes.plot(*joint.tolist(), "+", color="white", markersize=12, markeredgewidth=2.2, zorder=6)
    return axes


def draw_energy(axes: Axes, level: Float[Tensor, "chans height width"], title: str) -> Axes:
    """How strongly a map answers, over its channels."""
    axes.imshow(level.square().mean(0).sqrt().numpy(), cmap=MAP)
    axes.set(xticks=[], yticks=[], title=title)
    return dress(axes)


def draw_reach(
    axes: Axes,
    joints: Sequence[str],
    place: Float[Tensor, "persons levels joints heads points 2"],
    weight: Float[Tensor, "persons levels joints heads points"],
    xy_crop: Float[Tensor, "persons joints 2"],
) -> Axes:
    """How far from every joint its maps are read, in the mean by weight: pixels of the cut, a bar for every map."""
    off = (place - xy_crop[:, None, :, None, None]).norm(dim=-1)
    mean = (off * weight).sum((-1, -2)) / weight.sum((-1, -2))
    places = np.arange(len(joints))
    for level, values in enumerate(mean.mean(0)):
        axes.bar(places + 0.2 * (level - 1.5), values.numpy(), 0.19, color=PALETTE[level], label=f"map {level + 1}")
    name_columns(axes, places.tolist(), joints)
    axes.set(ylabel="mean distance (px)", xlim=(-0.6, len(joints) - 0.4))
    return dress_chart(add_legend(axes))
