"""Real pictures of all views: people drawn over them, and what a network sees in them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.scene.cameras import Cameras
from dispose.scene.poses import Poses
from dispose_viz.image.person_labels import Name, draw_names, name_of
from dispose_viz.image.view_panels import draw_canvas, draw_skeleton
from dispose_viz.scene.solids import color_of, label_of
from dispose_viz.style import LIGHT, MAP, Theme, dress

BONE_WIDTH = 2.0
HEAT_SHARE = 0.62
"""How much of the picture a heat map hides: enough that nothing in the picture is as bright as heat."""


def draw_images(
    figure: Figure,
    cameras: Cameras,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None],
    *,
    columns: int = 4,
    theme: Theme = LIGHT,
) -> Figure:
    """Every view's picture in a grid, in pixels; a view without one is blank and says so."""
    rows = math.ceil(len(cameras) / columns)
    for view, (name, picture) in enumerate(zip(cameras.names, pictures, strict=True)):
        axes = figure.add_subplot(rows, min(columns, len(cameras)), view + 1)
        image = None if picture is None else picture / 255.0
        draw_canvas(axes, cameras.size[view], name if picture is not None else f"{name}: no picture", image=image,
                    theme=theme)  # fmt: skip
    return figure


def draw_people(axes: Axes, cameras: Cameras, poses: Poses, view: int) -> Axes:
    """People in space as a view sees them, in the colour of their id; joints behind the camera are left out."""
    xy, front = cameras.select([view]).project(poses.xyz_world.double())
    names: list[Name] = []
    for row, person in enumerate(poses.id.tolist()):
        seen = front[0, row] & poses.valid[row]
        color = color_of(person, LIGHT)
        draw_skeleton(axes, xy[0, row], seen, poses.skeleton, color, width=BONE_WIDTH)
        names += name_of(label_of(person), xy[0, row], seen, color)
    return draw_names(axes, names)


def draw_heat(
    axes: Axes, heat: Float[Tensor, "height width"], input_from_image: Float[Tensor, "2 3"], stride: int
) -> Axes:
    """A heat map over the picture that it was made from: the picture in the dark, bright where the joint is seen.

    Args:
        axes: in pixels of the original picture.
        heat: heights, mostly in [0, 1].
        input_from_image: affine from the original picture to the network's input.
        stride: input pixels per heat-map pixel.
    """
    height, width = heat.shape
    edges = torch.tensor([[-0.5, -0.5], [width - 0.5, height - 0.5]], dtype=torch.float64)
    (left, top), (right, bottom) = apply(invert(input_from_image.double()), input_from_map(edges, stride)).tolist()
    limits = axes.get_xlim(), axes.get_ylim()
    values = heat.detach().cpu().clamp(0, 1).numpy()
    # The brighter, the less of the picture is left: a mark on a white wall must not look like heat.
    veil = HEAT_SHARE + (1 - HEAT_SHARE) * np.sqrt(values)
    axes.imshow(values, extent=(left, right, bottom, top), cmap=MAP, vmin=0, vmax=1, alpha=veil)
    # What lies beside the picture in the network's input is not shown.
    axes.set(xlim=limits[0], ylim=limits[1])
    return axes


def draw_heat_scale(figure: Figure, *, theme: Theme = LIGHT) -> Figure:
    """One colour bar beside all pictures of a figure: what the colours of `draw_heat` mean."""
    colors = ScalarMappable(Normalize(0, 1), MAP)
    bar = figure.colorbar(colors, ax=figure.axes, label="height of the heat map (0 = not here, 1 = here)", shrink=0.8)
    dress(bar.ax, theme=theme)
    return figure


def draw_joint(axes: Axes, cameras: Cameras, poses: Poses, view: int, joint: str, *, theme: Theme = LIGHT) -> Axes:
    """Where one joint of everybody projects to: a ring in the person's colour, with the number.

    Raises:
        InputError: the skeleton has no such joint.
    """
    if joint not in poses.skeleton.joints:
        known = ", ".join(poses.skeleton.joints)
        raise InputError(f"skeleton {poses.skeleton.name} has no joint {joint!r} (it has: {known}).")
    place = poses.skeleton.index(joint)
    xy, front = cameras.select([view]).project(poses.xyz_world[:, place].double())
    outline = [withStroke(linewidth=3, foreground=theme.paper)]
    for row, person in enumerate(poses.id.tolist()):
        if bool(front[0, row] & poses.valid[row, place] & torch.isfinite(xy[0, row]).all()):
            there, color = tuple(xy[0, row].tolist()), color_of(person, theme)
            axes.plot(*there, "o", markersize=22, markerfacecolor="none", markeredgecolor=color, markeredgewidth=2.6,
                      scalex=False, scaley=False)  # fmt: skip
            axes.annotate(label_of(person), there, (12, 9), textcoords="offset points", color=color, fontsize=12,
                          fontweight="bold", path_effects=outline, clip_on=True)  # fmt: skip
    return axes
