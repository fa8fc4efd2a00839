"""Views side by side: detections in their person's colour, and what the 3-D people look like from there."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dispose.errors import InputError
from dispose.scene.frame import Detections, Frame, Labels
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import (
    DETECTION_WIDTH,
    REPROJECTION_WIDTH,
    columns_for,
    draw_canvas,
    draw_skeleton,
    project_people,
    zoom_to_people,
    zoom_to_points,
)
from dispose_viz.image.person_labels import Name, draw_names, name_of
from dispose_viz.image.residuals import Residuals, draw_arrows, draw_means, draw_scale, residuals_of
from dispose_viz.scene.stage import rows_of
from dispose_viz.style import blend, color_of, label_of, panels, theme_of

GREYS = (0.15, 0.6, 0.35, 0.72, 0.5)
"""Shares of the paper's colour in the greys of detections that nobody owns."""


def draw_detections(
    axes: Axes, detections: Detections, view: int, owners: Sequence[int], *, width: float = DETECTION_WIDTH
) -> Axes:
    """All detections of a view; `owners` gives every slot's person id, `ABSENT` is drawn muted.

    A name is the person's id, or the detection's number in its file where nobody owns it; neighbouring numbers have
    different greys. Names stay apart within the limits that the axes have now: zoom first.
    """
    names: list[Name] = []
    theme = theme_of(axes)
    for slot, owner in enumerate(owners):
        if not bool(detections.valid[view, slot]):
            continue
        owned = owner != ABSENT
        color = color_of(owner, theme) if owned else blend(theme.ink, theme.paper, GREYS[slot % len(GREYS)])
        xy, visible = detections.xy_image[view, slot], detections.visible[view, slot]
        draw_skeleton(axes, xy, visible, detections.skeleton, color, width=width)
        names += name_of(label_of(owner) if owned else f"#{int(detections.index[view, slot])}", xy, visible, color)
    return draw_names(axes, names)


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
