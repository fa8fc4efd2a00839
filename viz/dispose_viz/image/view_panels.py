"""Views side by side: detections in their person's colour, and what the 3-D people look like from there.

Pixel centres are at integers, so a picture spans -0.5 … width - 0.5.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from dispose.errors import InputError
from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame, Labels
from dispose.scene.prediction import Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT
from dispose_viz.image.person_labels import Name, draw_names, name_of
from dispose_viz.image.residuals import draw_arrows, draw_means, draw_scale, of_person, residuals_of
from dispose_viz.scene.solids import color_of, label_of
from dispose_viz.style import LIGHT, Theme, blend, dress
from dispose_viz.words import title_of

DETECTION_WIDTH = 2.4
REPROJECTION_WIDTH = 1.2

LEAST_PART = 0.1
"""The smallest share of a picture that is zoomed to."""

GREYS = (0.15, 0.6, 0.35, 0.72, 0.5)
"""Shares of the paper's colour in the greys of detections that nobody owns."""


def draw_canvas(
    axes: Axes,
    size: Float[Tensor, " 2"],
    title: str,
    *,
    image: Float[np.ndarray, "height width 3"] | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Prepare an axes as one camera's picture: the real image (values in [0, 1]) or a blank one."""
    width, height = float(size[0]), float(size[1])
    if image is not None:
        axes.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal", title=title_of(axes, title))
    axes.set(xlabel="x (px)", ylabel="y (px)")
    axes.locator_params(nbins=4)
    return dress(axes, theme=theme)


def draw_skeleton(
    axes: Axes,
    xy_image: Float[Tensor, "joints 2"],
    visible: Bool[Tensor, " joints"],
    skeleton: Skeleton,
    color: str,
    *,
    width: float = DETECTION_WIDTH,
) -> Axes:
    """One 2-D skeleton as one line collection, with joints as dots.

    Bones with an unseen end are not drawn; a skeleton without a seen joint draws nothing. NaN is not seen.
    """
    xy = xy_image.detach().cpu().numpy()
    seen = visible.cpu().numpy() & np.isfinite(xy).all(-1)
    if not seen.any():
        return axes
    bones = [(xy[a], xy[b]) for a, b in skeleton.bone_indices if seen[a] and seen[b]]
    axes.add_collection(LineCollection(bones, colors=color, linewidths=width, capstyle="round"))
    axes.plot(*xy[seen].T, "o", color=color, markersize=1.6 * width, markeredgewidth=0)
    return axes


def draw_detections(
    axes: Axes,
    detections: Detections,
    view: int,
    owners: Sequence[int],
    *,
    width: float = DETECTION_WIDTH,
    theme: Theme = LIGHT,
) -> Axes:
    """All detections of a view; `owners` gives every slot's person id, `ABSENT` is drawn muted.

    A name is the person's id, or the detection's number in its file where nobody owns it; neighbouring numbers have
    different greys. Names stay apart within the limits that the axes have now: zoom first.
    """
    names: list[Name] = []
    for slot, owner in enumerate(owners):
        if not bool(detections.valid[view, slot]):
            continue
        owned = owner != ABSENT
        color = color_of(owner, theme) if owned else blend(theme.ink, theme.paper, GREYS[slot % len(GREYS)])
        xy, visible = detections.xy_image[view, slot], detections.visible[view, slot]
        draw_skeleton(axes, xy, visible, detections.skeleton, color, width=width)
        names += name_of(label_of(owner) if owned else f"#{int(detections.index[view, slot])}", xy, visible, color)
    return draw_names(axes, names, theme=theme)


def owners_of(prediction: Prediction, view: int, slots: int) -> list[int]:
    """The person id of every detection slot of a view, `ABSENT` where no person claims it."""
    owners = [ABSENT] * slots
    for person, slot in enumerate(prediction.association.members[:, view].tolist()):
        if slot != ABSENT:
            owners[slot] = int(prediction.poses.id[person])
    return owners


def draw_reprojection(axes: Axes, frame: Frame, prediction: Prediction, view: int, *, theme: Theme = LIGHT) -> Axes:
    """The predicted 3-D people as this view would see them, in a lighter line."""
    poses = prediction.poses
    xy, front = frame.cameras.select([view]).project(poses.xyz_world.double())
    for person, number in enumerate(poses.id.tolist()):
        color = blend(color_of(number, theme), theme.paper, 0.45)
        seen = front[0, person] & poses.valid[person]
        draw_skeleton(axes, xy[0, person], seen, poses.skeleton, color, width=REPROJECTION_WIDTH)
    return axes


def draw_residuals(
    axes: Axes,
    frame: Frame,
    prediction: Prediction,
    view: int,
    *,
    magnify: float | None = None,
    longest_px: float | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """Arrows from every used keypoint towards its reprojection, `magnify` times as long as the error, with numbers.

    The longest error of every person is written at its arrow, everybody's mean error above the picture; a free corner
    shows how long an arrow of 10 px is. An arrow that would be longer than `longest_px` is cut there, so that one wild
    keypoint does not cross the picture. Both fit the picture if they are not given (`residuals.magnification`).

    Joints that the skeletons of the detections and of the prediction share by name are compared; a view that shows
    nobody of the prediction says so.
    """
    residuals = residuals_of(frame, prediction)
    draw_arrows(axes, residuals, view, magnify=magnify, longest_px=longest_px, theme=theme)
    draw_means(axes, residuals, view, theme=theme)
    corner = free_corner(axes, frame.detections, view, height=0.1)
    return draw_scale(axes, magnify=magnify, corner=corner, theme=theme)


def free_corner(axes: Axes, detections: Detections, view: int, *, width: float = 0.28, height: float = 0.3) -> str:
    """The corner of a picture, as matplotlib calls it, where a box of this size (shares of it) hides fewest joints."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    seen = detections.visible[view] & detections.valid[view, :, None]
    xy = detections.xy_image[view][seen].double().numpy()
    across, down = (xy[:, 0] - left) / (right - left), (xy[:, 1] - top) / (bottom - top)
    corners = [(x, y) for x in (1, 0) for y in (0, 1)]
    hidden = [int(((np.abs(across - x) < width) & (np.abs(down - y) < height + 0.05)).sum()) for x, y in corners]
    return ("upper right", "lower right", "upper left", "lower left")[int(np.argmin(hidden))]


def zoom_to_people(axes: Axes, detections: Detections, view: int, *, margin: float = 0.12) -> Axes:
    """Show only the part of a picture where people were found, in the picture's own proportions.

    The margin is a share of that part; a view without detections stays as it is, and nothing outside is shown.
    """
    seen = detections.visible[view] & detections.valid[view, :, None]
    return zoom_to_points(axes, detections.xy_image[view][seen].double(), margin=margin)


def zoom_to_points(axes: Axes, xy_image: Float[Tensor, "points 2"], *, margin: float = 0.12) -> Axes:
    """Show only the part of a picture around some points, in the picture's own proportions; all of it for no points."""
    xy = xy_image[torch.isfinite(xy_image).all(-1)].numpy()
    if not len(xy):
        return axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    low, high = xy.min(0), xy.max(0)
    scale = max((high[0] - low[0]) / (right - left), (high[1] - low[1]) / (bottom - top)) * (1 + 2 * margin)
    half = 0.5 * min(max(scale, LEAST_PART), 1.0) * np.array([right - left, bottom - top])
    middle = np.clip(0.5 * (low + high), np.array([left, top]) + half, np.array([right, bottom]) - half)
    axes.set(xlim=(middle[0] - half[0], middle[0] + half[0]), ylim=(middle[1] + half[1], middle[1] - half[1]))
    return axes


def draw_labels(figure: Figure, frame: Frame, labels: Labels, *, columns: int = 3, theme: Theme = LIGHT) -> Figure:
    """Every view of a labelled frame in a grid, detections in the colour of the person they truly are."""
    views = len(frame.cameras)
    for view, name in enumerate(frame.cameras.names):
        axes = figure.add_subplot(math.ceil(views / columns), min(columns, views), view + 1)
        draw_canvas(axes, frame.cameras.size[view], name, theme=theme)
        zoom_to_people(axes, frame.detections, view)
        draw_detections(axes, frame.detections, view, labels.identity[view].tolist(), theme=theme)
    return figure


def draw_views(
    figure: Figure,
    frame: Frame,
    *,
    prediction: Prediction | None = None,
    images: Sequence[Float[np.ndarray, "height width 3"]] | None = None,
    columns: int | None = None,
    theme: Theme = LIGHT,
) -> Figure:
    """Every view of a frame in a grid: detections, and with a prediction their owners and reprojections.

    Without real images only the part of a picture is shown where people were found. `columns` are three, or more for
    upright pictures, if not given.
    """
    views = len(frame.cameras)
    columns = columns or columns_for(frame.cameras)
    for view in range(views):
        axes = figure.add_subplot(math.ceil(views / columns), min(columns, views), view + 1)
        draw_view(axes, frame, view, prediction=prediction, image=None if images is None else images[view], theme=theme)
    return figure


def columns_for(cameras: Cameras) -> int:
    """How many pictures of a rig stand side by side: three, or five where most of them are taller than wide."""
    upright = (cameras.size[:, 1] > cameras.size[:, 0]).double()
    return min(len(cameras), 5 if len(cameras) and float(upright.mean()) > 0.5 else 3)


def draw_view(
    axes: Axes,
    frame: Frame,
    view: int,
    *,
    prediction: Prediction | None = None,
    image: Float[np.ndarray, "height width 3"] | None = None,
    theme: Theme = LIGHT,
) -> Axes:
    """One view of a frame: detections, and with a prediction their owners and reprojections, as in `draw_views`."""
    slots = frame.detections.valid.shape[1]
    draw_canvas(axes, frame.cameras.size[view], frame.cameras.names[view], image=image, theme=theme)
    owners = [ABSENT] * slots if prediction is None else owners_of(prediction, view, slots)
    if image is None:
        zoom_to_people(axes, frame.detections, view)
    draw_detections(axes, frame.detections, view, owners, theme=theme)
    if prediction is not None:
        draw_reprojection(axes, frame, prediction, view, theme=theme)
    return axes


def draw_person_views(
    figure: Figure, frame: Frame, prediction: Prediction, person: int, *, theme: Theme = LIGHT
) -> Figure:
    """One person in every view, close up: the detection (strong), the reprojection (light) and the errors as arrows.

    Everybody else is a thin grey. A view that the person was not made of shows where he should be, and says so.

    Raises:
        InputError: the prediction has no such person.
    """
    rows = (prediction.poses.id == person).nonzero()[:, 0].tolist()
    if not rows:
        raise InputError(f"frame {frame.number}: there is no person {person}, only {prediction.poses.id.tolist()}.")
    only, residuals = _rows_of(prediction, rows), of_person(residuals_of(frame, prediction), person)
    views, detections, columns = len(frame.cameras), frame.detections, columns_for(frame.cameras)
    xy, front = frame.cameras.project(only.poses.xyz_world.double())
    for view, name in enumerate(frame.cameras.names):
        axes = figure.add_subplot(math.ceil(views / columns), min(columns, views), view + 1)
        slot = int(only.association.members[0, view])
        draw_canvas(axes, frame.cameras.size[view], name if slot != ABSENT else f"{name}: not seen", theme=theme)
        for other in detections.valid[view].nonzero()[:, 0].tolist():
            xy_other, visible = detections.xy_image[view, other], detections.visible[view, other] & (other != slot)
            draw_skeleton(axes, xy_other, visible, detections.skeleton, theme.grid, width=REPROJECTION_WIDTH)
        owners = owners_of(only, view, detections.valid.shape[1])
        mine = replace(detections, valid=detections.valid & (torch.tensor(owners) == person))
        seen = (front[view] & only.poses.valid).flatten()
        points = torch.cat([xy[view].flatten(0, 1)[seen], residuals.xy_image[0, view][residuals.used[0, view]]])
        zoom_to_points(axes, points)
        draw_detections(axes, mine, view, owners, theme=theme)
        draw_reprojection(axes, frame, only, view, theme=theme)
        draw_arrows(axes, residuals, view, theme=theme)
        draw_means(axes, residuals, view, theme=theme)
        draw_scale(axes, corner=free_corner(axes, mine, view, height=0.1), theme=theme)
    return figure


def _rows_of(prediction: Prediction, rows: list[int]) -> Prediction:
    """Some of the persons of a prediction."""
    poses, association = prediction.poses, prediction.association
    return replace(
        prediction,
        association=replace(association, members=association.members[rows], confidence=association.confidence[rows]),
        poses=replace(
            poses,
            xyz_world=poses.xyz_world[rows],
            confidence=poses.confidence[rows],
            valid=poses.valid[rows],
            id=poses.id[rows],
        ),
        root=prediction.root[rows],
    )
