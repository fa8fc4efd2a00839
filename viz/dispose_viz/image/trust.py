"""Whom a triangulation believes, drawn where it was decided: at the keypoints of every view."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.skeletons.skeleton import Skeleton
from dispose_viz.image.canvas import draw_canvas, draw_skeleton, project_people
from dispose_viz.style import MAP, PALETTE, add_colorbar, dress, halo, panels, theme_of

LEAST_POINTS, MOST_POINTS = 4.0, 13.0
"""Diameters of the discs of keypoints without and with full trust, points."""

NOTHING = 0.02
"""Less trust than this is none: a cross."""

PORTRAIT, MARGIN = 0.62, 0.1
"""Width of a view's window by its height, and room around a person, as a share of theirs."""


def relative_trust(weight: Float[Tensor, "views joints"]) -> Float[Tensor, "views joints"]:
    """Weights of every joint as shares of its largest; 0 where no view counts."""
    most = weight.amax(0, keepdim=True)
    return weight / torch.where(most > 0, most, 1.0)


def draw_trust(
    axes: Axes,
    xy_image: Float[Tensor, "joints 2"],
    seen: Bool[Tensor, " joints"],
    trust: Float[Tensor, " joints"],
    skeleton: Skeleton,
) -> Axes:
    """The keypoints of one view over its image: a disc the larger and brighter the more it is trusted, else a cross.

    Args:
        axes: of the view's image (`canvas.draw_canvas`).
        xy_image: pixels.
        seen: which keypoints there are; others are not drawn.
        trust: in [0, 1].
        skeleton: bones between keypoints.
    """
    theme = theme_of(axes)
    draw_skeleton(axes, xy_image, seen, skeleton, theme.muted, width=1.6)
    xy, share = xy_image.detach().cpu(), trust.detach().cpu().clamp(0, 1)
    believed, doubted = seen.cpu() & (share >= NOTHING), seen.cpu() & (share < NOTHING)
    size = (LEAST_POINTS + (MOST_POINTS - LEAST_POINTS) * share[believed]) ** 2
    axes.scatter(*xy[believed].T.numpy(), s=size.numpy(), c=share[believed].numpy(), cmap=MAP, vmin=0, vmax=1,
                 edgecolors=theme.paper, linewidths=1.2, zorder=4)  # fmt: skip
    axes.plot(*xy[doubted].T.numpy(), "x", color=theme.ink, markersize=8, markeredgewidth=2.4, zorder=5,
              path_effects=halo(theme), linestyle="none")  # fmt: skip
    return axes


def draw_keypoint(axes: Axes, xy_image: Float[Tensor, " 2"], true: Float[Tensor, " 2"]) -> Axes:
    """One keypoint as a cross, and a ring where the joint truly is, pixels; told apart on any image."""
    theme = theme_of(axes)
    axes.plot(*true.tolist(), "o", markersize=17, markerfacecolor="none", markeredgecolor=theme.paper,
              markeredgewidth=3, zorder=4)  # fmt: skip
    axes.plot(*xy_image.tolist(), "x", color=PALETTE[1], markersize=13, markeredgewidth=4, path_effects=halo(theme),
              zorder=5)  # fmt: skip
    return axes


def draw_trusted_views(
    figure: Figure | SubFigure,
    cameras: Cameras,
    xy_image: Float[Tensor, "views joints 2"],
    seen: Bool[Tensor, "views joints"],
    weight: Float[Tensor, "views joints"],
    true: Poses,
    *,
    images: Sequence[UInt8[np.ndarray, "_ _ 3"] | None] = (),
) -> Figure | SubFigure:
    """One person in all views, side by side, as far as every keypoint is trusted (`draw_trust`); a scale beside them.

    Thin lines lead from the keypoints to where the joints truly are.

    Args:
        figure: an empty one.
        cameras: the rig.
        xy_image: the person's keypoints, pixels.
        seen: which there are.
        weight: how much a method lets them count, in any unit; compared joint by joint.
        true: the person.
        images: what the cameras saw; blank without.
    """
    trust, theme = relative_trust(weight), theme_of(figure)
    for view, axes in enumerate(panels(figure, len(cameras), len(cameras))):
        image = images[view] if images else None
        draw_canvas(axes, cameras.size[view], cameras.names[view], image=None if image is None else image / 255.0)
        place, front = project_people(cameras, view, true)
        both = seen[view] & front[0]
        ways = torch.stack([xy_image[view][both], place[0][both]], 1).detach().cpu().numpy()
        axes.add_collection(LineCollection(list(ways), colors=theme.alarm, linewidths=1.4, zorder=3))
        draw_trust(axes, xy_image[view], seen[view], trust[view], true.skeleton)
        show_person(axes, torch.cat([xy_image[view][seen[view]], place[0][front[0]]]).detach().cpu().numpy())
    return draw_trust_scale(figure)


def show_person(axes: Axes, xy: Float[np.ndarray, "points 2"]) -> Axes:
    """The part of an image around somebody, higher than wide; all of it where nothing is seen."""
    if len(xy) == 0:
        return axes
    low, high = xy.min(0), xy.max(0)
    half = 0.5 * (1 + 2 * MARGIN) * max(high[1] - low[1], (high[0] - low[0]) / PORTRAIT, 1.0)
    x, y = 0.5 * (low + high)
    axes.set(xlim=(x - PORTRAIT * half, x + PORTRAIT * half), ylim=(y + half, y - half), xlabel="", ylabel="")
    axes.set(xticks=[], yticks=[])
    return axes


def draw_trust_scale(figure: Figure | SubFigure) -> Figure | SubFigure:
    """One colour bar beside all images of a figure: what the colours of `draw_trust` mean."""
    label = "trust, relative to the best view"
    dress(add_colorbar(figure.axes, ScalarMappable(Normalize(0, 1), MAP), label, shrink=0.9).ax)
    return figure
