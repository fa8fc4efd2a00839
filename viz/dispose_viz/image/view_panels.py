"""Views side by side, blank or real: detections, what the 3-D people look like from there, what a network sees."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import (
    DETECTION_WIDTH,
    REPROJECTION_WIDTH,
    Name,
    columns_for,
    draw_canvas,
    draw_names,
    draw_skeleton,
    name_of,
    project_people,
    zoom_to_people,
    zoom_to_points,
)
from dispose_viz.image.residuals import Residuals, draw_arrows, draw_means, draw_scale, residuals_of
from dispose_viz.scene.stage import rows_of
from dispose_viz.style import LIGHT, MAP, add_colorbar, blend, color_of, dress, halo, label_of, panels, theme_of

GREYS = (0.15, 0.6, 0.35, 0.72, 0.5)
"""Shares of the paper's colour in the greys of detections that nobody owns."""

BONE_WIDTH = 2.0
HEAT_SHARE = 0.62
"""How much of the image a heat map hides: enough that nothing in the image is as bright as heat."""


def draw_detections(
    axes: Axes, detections: Detections, view: int, owners: Sequence[int], *, width: float = DETECTION_WIDTH
) -> Axes:
    """All detections of a view; `owners` gives every slot's person id, `ABSENT` is drawn muted.

    A name is the person's id, or the detection's number in its file where nobody owns it; neighbouring numbers have
    different greys. Names stay apart within the limits that the axes have now: zoom first.
    """
    names: list[Name] = []
    theme, words = theme_of(axes), slot_names(detections, view, owners)
    for slot in detections.valid[view].nonzero()[:, 0].tolist():
        grey = blend(theme.ink, theme.paper, GREYS[slot % len(GREYS)])
        color = grey if owners[slot] == ABSENT else color_of(owners[slot], theme)
        xy, visible = detections.xy_image[view, slot], detections.visible[view, slot]
        draw_skeleton(axes, xy, visible, detections.skeleton, color, width=width)
        names += name_of(words[slot], xy, visible, color)
    return draw_names(axes, names)


def slot_names(detections: Detections, view: int, owners: Sequence[int]) -> list[str]:
    """For every slot of a view who it is, or its number in its file where nobody owns it."""
    numbers = detections.index[view].tolist()
    return [label_of(i) if i != ABSENT else f"#{number}" for i, number in zip(owners, numbers, strict=True)]


def owners_of(prediction: Prediction, view: int, slots: int) -> list[int]:
    """The person id of every detection slot of a view, `ABSENT` where no person claims it."""
    owners = [ABSENT] * slots
    for person, slot in enumerate(prediction.association.members[:, view].tolist()):
        if slot != ABSENT:
            owners[slot] = int(prediction.poses.id[person])
    return owners


def draw_reprojection(axes: Axes, frame: Frame, prediction: Prediction, view: int) -> Axes:
    """The predicted 3-D people as this view would see them, in a lighter line."""
    poses, theme = prediction.poses, theme_of(axes)
    for person, xy, seen in zip(poses.id.tolist(), *project_people(frame.cameras, view, poses), strict=True):
        color = blend(color_of(person, theme), theme.paper, 0.45)
        draw_skeleton(axes, xy, seen, poses.skeleton, color, width=REPROJECTION_WIDTH)
    return axes


def draw_residuals(axes: Axes, frame: Frame, prediction: Prediction, view: int) -> Axes:
    """Arrows from every used keypoint towards its reprojection, several times as long as the error, with numbers.

    The longest error of every person is written at its arrow, everybody's mean error above the image; a free corner
    shows how long an arrow of 10 px is. Arrows fit what is shown now (`residuals.magnification`): zoom first.

    Joints that the skeletons of the detections and of the prediction share by name are compared; a view that shows
    nobody of the prediction says so.
    """
    return _draw_errors(axes, residuals_of(frame, prediction), frame.detections, view)


def _draw_errors(axes: Axes, residuals: Residuals, detections: Detections, view: int) -> Axes:
    draw_means(draw_arrows(axes, residuals, view), residuals, view)
    return draw_scale(axes, detections, view)


def draw_labels(figure: Figure, frame: Frame, labels: Labels) -> Figure:
    """Every view of a labelled frame in a grid, detections in the colour of the person they truly are."""
    for view, axes in enumerate(panels(figure, len(frame.cameras), 3)):
        draw_canvas(axes, frame.cameras.size[view], frame.cameras.names[view])
        zoom_to_people(axes, frame.detections, view)
        draw_detections(axes, frame.detections, view, labels.identity[view].tolist())
    return figure


def draw_views(figure: Figure, frame: Frame, *, prediction: Prediction | None = None) -> Figure:
    """Every view of a frame in a grid, as `draw_view` has it."""
    for view, axes in enumerate(panels(figure, len(frame.cameras), columns_for(frame.cameras))):
        draw_view(axes, frame, view, prediction=prediction)
    return figure


def draw_view(axes: Axes, frame: Frame, view: int, *, prediction: Prediction | None = None) -> Axes:
    """The part of a view where people were found: detections, and with a prediction their owners and reprojections."""
    slots = frame.detections.valid.shape[1]
    draw_canvas(axes, frame.cameras.size[view], frame.cameras.names[view])
    owners = [ABSENT] * slots if prediction is None else owners_of(prediction, view, slots)
    zoom_to_people(axes, frame.detections, view)
    draw_detections(axes, frame.detections, view, owners)
    return axes if prediction is None else draw_reprojection(axes, frame, prediction, view)


def draw_person_views(figure: Figure, frame: Frame, prediction: Prediction, person: int) -> Figure:
    """One person in every view, close up: the detection (strong), the reprojection (light) and the errors as arrows.

    Everybody else is a thin grey. A view that the person was not made of shows where they should be, and says so.

    Raises:
        InputError: the prediction has no such person.
    """
    rows = rows_of(prediction.poses, person)
    if not rows:
        raise InputError(f"frame {frame.number}: there is no person {person}, only {prediction.poses.id.tolist()}.")
    only = prediction.select(persons=rows)
    residuals = residuals_of(frame, only)
    detections = frame.detections
    for view, axes in enumerate(panels(figure, len(frame.cameras), columns_for(frame.cameras))):
        slot, name = int(only.association.members[0, view]), frame.cameras.names[view]
        draw_canvas(axes, frame.cameras.size[view], name if slot != ABSENT else f"{name}: not seen")
        for other in detections.valid[view].nonzero()[:, 0].tolist():
            xy_other, visible = detections.xy_image[view, other], detections.visible[view, other] & (other != slot)
            grey = theme_of(axes).grid
            draw_skeleton(axes, xy_other, visible, detections.skeleton, grey, width=REPROJECTION_WIDTH)
        owners = owners_of(only, view, detections.valid.shape[1])
        mine = replace(detections, valid=detections.valid & (torch.tensor(owners) == person))
        xy, seen = project_people(frame.cameras, view, only.poses)
        zoom_to_points(axes, torch.cat([xy[seen], residuals.xy_image[0, view][residuals.used[0, view]]]))
        draw_detections(axes, mine, view, owners)
        draw_reprojection(axes, frame, only, view)
        _draw_errors(axes, residuals, mine, view)
    return figure


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

    Heights are mostly in [0, 1], the axes in pixels of the original image, from which an affine map leads to the
    network's input; `stride` of that one's pixels are one of the heat map.
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
