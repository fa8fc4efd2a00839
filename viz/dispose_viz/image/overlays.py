"""Real images of all views: people drawn over them, and what a network sees in them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.image.canvas import draw_canvas, draw_skeleton, project_people
from dispose_viz.image.person_labels import Name, draw_names, name_of
from dispose_viz.style import LIGHT, MAP, add_colorbar, color_of, dress, halo, label_of, panels, theme_of

BONE_WIDTH = 2.0
HEAT_SHARE = 0.62
"""How much of the image a heat map hides: enough that nothing in the image is as bright as heat."""


def draw_images(
    figure: Figure, cameras: Cameras, images: Sequence[UInt8[np.ndarray, "_ _ 3"] | None], *, columns: int = 4
) -> Figure:
    """Every view's image in a grid, in pixels; a view without one is blank and says so."""
    for view, axes in enumerate(panels(figure, len(cameras), columns)):
        name, image = cameras.names[view], images[view]
        title = name if image is not None else f"{name}: no picture"
        draw_canvas(axes, cameras.size[view], title, image=None if image is None else image / 255.0)
    return figure


def draw_people(axes: Axes, cameras: Cameras, poses: Poses, view: int) -> Axes:
    """People in space as a view sees them, in the colour of their id; joints behind the camera are left out."""
    names: list[Name] = []
    for person, xy, seen in zip(poses.id.tolist(), *project_people(cameras, view, poses), strict=True):
        color = color_of(person, LIGHT)
        draw_skeleton(axes, xy, seen, poses.skeleton, color, width=BONE_WIDTH)
        names += name_of(label_of(person), xy, seen, color)
    return draw_names(axes, names)


def draw_heat(
    axes: Axes, heat: Float[Tensor, "height width"], input_from_image: Float[Tensor, "2 3"], stride: int
) -> Axes:
    """A heat map over the image that it was made from: the image in the dark, bright where the joint is seen.

    Args:
        axes: in pixels of the original image.
        heat: heights, mostly in [0, 1].
        input_from_image: affine from the original image to the network's input.
        stride: input pixels per heat-map pixel.
    """
    height, width = heat.shape
    edges = torch.tensor([[-0.5, -0.5], [width - 0.5, height - 0.5]], dtype=torch.float64)
    (left, top), (right, bottom) = apply(invert(input_from_image.double()), input_from_map(edges, stride)).tolist()
    limits = axes.get_xlim(), axes.get_ylim()
    values = heat.detach().cpu().clamp(0, 1).numpy()
    # The brighter, the less of the image is left: a mark on a white wall must not look like heat.
    veil = HEAT_SHARE + (1 - HEAT_SHARE) * np.sqrt(values)
    axes.imshow(values, extent=(left, right, bottom, top), cmap=MAP, vmin=0, vmax=1, alpha=veil)
    # What lies beside the image in the network's input is not shown.
    axes.set(xlim=limits[0], ylim=limits[1])
    return axes


def draw_heat_scale(figure: Figure) -> Figure:
    """One colour bar beside all images of a figure: what the colours of `draw_heat` mean."""
    colors = ScalarMappable(Normalize(0, 1), MAP)
    label = "height of the heat map (0 = not here, 1 = here)"
    dress(add_colorbar(figure.axes, colors, label, shrink=0.8).ax)
    return figure


def draw_joint(axes: Axes, cameras: Cameras, poses: Poses, view: int, joint: str) -> Axes:
    """Where one joint of everybody projects to: a ring in the person's colour, with the number.

    Raises:
        InputError: the skeleton has no such joint.
    """
    xy, seen = (values[:, poses.skeleton.index(joint)] for values in project_people(cameras, view, poses))
    theme = theme_of(axes)
    for row, person in enumerate(poses.id.tolist()):
        if bool(seen[row] & torch.isfinite(xy[row]).all()):
            there, color = tuple(xy[row].tolist()), color_of(person, theme)
            axes.plot(*there, "o", markersize=22, markerfacecolor="none", markeredgecolor=color, markeredgewidth=2.6,
                      scalex=False, scaley=False)  # fmt: skip
            axes.annotate(label_of(person), there, (12, 9), textcoords="offset points", color=color, fontsize=12,
                          fontweight="bold", path_effects=halo(theme), clip_on=True)  # fmt: skip
    return axes
