"""How far detections lie from where the 3-D people project to: arrows, numbers, and which camera is to blame."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.offsetbox import AnchoredOffsetbox, AuxTransformBox, HPacker, TextArea, VPacker
from matplotlib.patches import FancyArrow, Rectangle
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT, TensorStruct
from dispose_viz.image.canvas import add_box
from dispose_viz.style import MAP, add_colorbar, color_of, dress, halo, label_of, theme_of
from dispose_viz.words import LETTER, name_columns, name_rows, size_of

LEAST_TOP_PX = 10.0
"""The colour scale of a matrix reaches at least this far, so that a good rig does not look alarming."""

SCALE_PX = 10
MEAN_SIZE, MEAN_GAP = 11.5, 7
"""Size of the letters of the mean errors, and room between them, points."""

USUAL = 5.0
LARGER, SMALLER = (USUAL, 10.0, 20.0, 50.0, 100.0), (USUAL, 2.0, 1.0)
LEAST_SHARE, LARGEST_SHARE = 0.015, 0.12
"""Of the width of what is shown, for the arrow of 10 px: less is not seen, more hides the people."""

LONGEST = 30.0
"""Pixels of an error whose arrow is cut."""

STANDS_OUT = 3.0
"""A camera is named when its median is this many times that of the other cameras."""


@dataclass(frozen=True, eq=False)
class Residuals(TensorStruct):
    """Every used keypoint (pixels) and where its person's joint projects to, over the joints that both skeletons name.

    The shift is reprojection minus keypoint; NaN where a person has no such keypoint, or no such joint in front of the
    camera.
    """

    joints: tuple[str, ...]
    person: tuple[int, ...]
    xy_image: Float[Tensor, "persons views joints 2"]
    shift_px: Float[Tensor, "persons views joints 2"]

    @property
    def used(self) -> Bool[Tensor, "persons views joints"]:
        """Which keypoints have a reprojection to compare with."""
        return torch.isfinite(self.shift_px).all(-1)

    @property
    def length_px(self) -> Float[Tensor, "persons views joints"]:
        """The reprojection error of every keypoint."""
        return self.shift_px.norm(dim=-1)


def residuals_of(frame: Frame, prediction: Prediction) -> Residuals:
    """The residuals of a prediction whose members are slots of the frame's detections.

    Raises:
        ShapeError: the prediction was made for another number of views.
    """
    poses, detections, members = prediction.poses, frame.detections, prediction.association.members
    views, slots = detections.valid.shape
    if members.shape[1] != views:
        raise ShapeError(f"frame {frame.number}: {views} views in the frame, {members.shape[1]} in the prediction")
    shared = tuple(j for j in poses.skeleton.joints if j in detections.skeleton.joints)
    ours, theirs = poses.skeleton.indices(shared), detections.skeleton.indices(shared)
    persons = len(members)
    if not persons or not slots:
        nothing = torch.full((persons, views, len(shared), 2), torch.nan, dtype=torch.float64)
        return Residuals(shared, tuple(poses.id.tolist()), nothing, nothing)
    xy, front = frame.cameras.project(poses.xyz_world[:, ours].double())
    rows, view = members.clamp(min=0), torch.arange(views)
    found = detections.xy_image[view, rows][..., theirs, :].double()
    used = detections.visible[view, rows][..., theirs] & detections.valid[view, rows][..., None]
    used &= (members != ABSENT)[..., None] & poses.valid[:, None, ours] & front.transpose(0, 1)
    shift = torch.where(used[..., None], xy.transpose(0, 1) - found, torch.nan)
    return Residuals(shared, tuple(poses.id.tolist()), found, shift)


def over_frames(every: Sequence[Residuals]) -> Residuals:
    """Several frames as one: a row per id that ever appears, with the joints of all frames side by side.

    Raises:
        ShapeError: there is no frame, or frames have different joints or numbers of views.
    """
    kinds = {(residuals.joints, residuals.xy_image.shape[1]) for residuals in every}
    if len(kinds) != 1:
        raise ShapeError(f"residuals of {len(every)} frames with {len(kinds)} kinds of views and joints, one is needed")
    ((joints, views),) = kinds
    ids = tuple(sorted({person for residuals in every for person in residuals.person}))
    shape = (len(ids), views, len(every), len(joints), 2)
    xy = torch.full(shape, torch.nan, dtype=torch.float64)
    shift = xy.clone()
    for number, residuals in enumerate(every):
        for row, person in enumerate(residuals.person):
            xy[ids.index(person), :, number] = residuals.xy_image[row]
            shift[ids.index(person), :, number] = residuals.shift_px[row]
    return Residuals(joints * len(every), ids, xy.flatten(2, 3), shift.flatten(2, 3))


def draw_arrows(axes: Axes, residuals: Residuals, view: int) -> Axes:
    """Arrows from every used keypoint towards its reprojection, `magnification` times as long as the error.

    An arrow is cut where it stands for `LONGEST` pixels, so that one wild keypoint does not cross the image. The
    longest error of the view is written beside its arrow, in pixels: a number for everybody would hide the others.
    """
    magnify, theme = magnification(axes), theme_of(axes)
    length = residuals.length_px[:, view]
    used = torch.isfinite(length)
    if not bool(used.any()):
        return axes
    start, length = residuals.xy_image[:, view][used], length[used]
    arrow = magnify * residuals.shift_px[:, view][used] * (LONGEST / length.clamp(min=LONGEST))[:, None]
    axes.quiver(*start.T.numpy(), *arrow.T.numpy(), angles="xy", scale_units="xy", scale=1,
                width=0.004, headwidth=3, headlength=3.5, headaxislength=3, minlength=0,
                color=theme.alarm, zorder=4)  # fmt: skip
    worst = int(length.argmax())
    axes.annotate(f"{float(length[worst]):.0f} px", tuple((start + arrow)[worst].tolist()), (4, 2), fontsize=12,
                  textcoords="offset points", color=theme.alarm, path_effects=halo(theme), clip_on=True,
                  zorder=6)  # fmt: skip
    return axes


def magnification(axes: Axes) -> float:
    """How many times as long as the errors arrows are: five, but fewer in small images and more in large ones."""
    shown = _shown_width(axes)
    if shown * LARGEST_SHARE < SCALE_PX * USUAL:
        return next((m for m in SMALLER if SCALE_PX * m <= LARGEST_SHARE * shown), SMALLER[-1])
    return next((m for m in LARGER if SCALE_PX * m >= LEAST_SHARE * shown), LARGER[-1])


def draw_scale(axes: Axes, detections: Detections, view: int) -> Axes:
    """In a free corner of the image: how long an arrow of 10 px is."""
    length, thick, alarm = SCALE_PX * magnification(axes), 0.004 * _shown_width(axes), theme_of(axes).alarm
    arrow = AuxTransformBox(axes.transData)
    arrow.add_artist(FancyArrow(0, 0, length, 0, width=thick, head_width=3 * thick, color=alarm,
                                head_length=min(3.5 * thick, length), length_includes_head=True))  # fmt: skip
    words = TextArea(f"{SCALE_PX} px", textprops={"color": alarm, "fontsize": 12})
    return add_box(axes, HPacker(children=[arrow, words], pad=0, sep=5, align="center"), detections, view)


def draw_means(axes: Axes, residuals: Residuals, view: int) -> Axes:
    """Between title and image: the mean error of every person of the view, in the person's colour."""
    mean, theme = residuals.length_px[:, view].nanmean(dim=-1).tolist(), theme_of(axes)
    known = sorted((i, value) for i, value in zip(residuals.person, mean, strict=True) if math.isfinite(value))
    words = [(f"{label_of(i)} {value:.1f}", color_of(i, theme)) for i, value in known]
    words = [("mean error (px)", theme.ink), *words] if words else [("nobody to compare", theme.ink)]
    packed = _lines_of(words, 1.15 * size_of(axes)[0])
    lines: list[Artist] = [HPacker(children=line, pad=0, sep=MEAN_GAP) for line in packed]
    box = AnchoredOffsetbox("lower center", child=VPacker(children=lines, pad=0, sep=1), pad=0.1, borderpad=0.1,
                            frameon=False, bbox_to_anchor=(0.5, 1.0), bbox_transform=axes.transAxes)  # fmt: skip
    axes.add_artist(box)
    # Empty lines of the title: the figure's layout leaves room for them, and the means stand there.
    axes.set_title(axes.get_title() + len(lines) * "\n ")
    return axes


def medians_px(residuals: Residuals) -> Float[np.ndarray, "persons views"]:
    """The median error of every person in every view; NaN where the view does not show the person."""
    return _median(residuals.length_px.numpy())


def view_medians_px(residuals: Residuals) -> Float[np.ndarray, " views"]:
    """The median error of every view over everybody; NaN where it shows nobody."""
    length = residuals.length_px.numpy()
    return _median(length.transpose(1, 0, 2).reshape(length.shape[1], -1))


def suspects(residuals: Residuals) -> tuple[int, ...]:
    """The views whose median error is three times that of the other views together, and more than 10 px."""
    length, found = residuals.length_px.numpy(), []
    for view, value in enumerate(view_medians_px(residuals)):
        (rest,) = _median(np.delete(length, view, axis=1).reshape(1, -1))
        if value > LEAST_TOP_PX and value > STANDS_OUT * rest:
            found.append(view)
    return tuple(found)


def draw_matrix(axes: Axes, residuals: Residuals, names: Sequence[str], *, top_px: float | None = None) -> Axes:
    """Median reprojection error as a table of colours: a row per person, a column per camera, everybody below.

    A wrong camera is a bright column, a wrong person a bright row; a dash means that the view does not show the person.
    `top_px` is the error of the brightest colour (at least the largest there is, and 10 px, if not given).

    Raises:
        ShapeError: not as many names as views.
    """
    table, theme = np.concatenate([medians_px(residuals), view_medians_px(residuals)[None]]), theme_of(axes)
    if table.shape[1] != len(names):
        raise ShapeError(f"{table.shape[1]} views in the residuals, {len(names)} names")
    largest = float(np.nanmax(table)) if np.isfinite(table).any() else 0.0
    scale = Normalize(0, max(LEAST_TOP_PX, largest) if top_px is None else top_px, clip=True)
    image = axes.imshow(np.ma.masked_invalid(table), cmap=MAP, norm=scale, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        known = bool(np.isfinite(value))
        ink = theme.muted if not known else ("#1A1A1A" if scale(value) > 0.5 else "#FFFFFF")
        axes.text(column, row, f"{value:.1f}" if known else "–", ha="center", va="center", color=ink, fontsize=13)
    wrong = suspects(residuals)
    for view in wrong:
        axes.add_patch(Rectangle((view - 0.5, -0.5), 1, len(table), fill=False, edgecolor=theme.alarm, linewidth=3.5))
    rows = [*(label_of(person) for person in residuals.person), "everybody"]
    axes.axhline(len(table) - 1.5, color=theme.paper, linewidth=4)
    axes.set(xlabel="camera", ylabel="person")
    name_columns(axes, range(len(names)), [f"{name} ✗" if v in wrong else name for v, name in enumerate(names)])
    name_rows(axes, range(len(rows)), rows)
    dress(add_colorbar(axes, image, "median reprojection error (px)").ax)
    return dress(axes)


def _shown_width(axes: Axes) -> float:
    """Pixels of the image from the left to the right of what is shown."""
    left, right = axes.get_xlim()
    return abs(right - left)


def _lines_of(words: Sequence[tuple[str, str]], width: float) -> list[list[Artist]]:
    """Words in their colours, as many in a line as fit its width (points)."""
    lines: list[list[Artist]] = []
    room = 0.0
    for text, color in words:
        needed = LETTER * MEAN_SIZE * len(text) + MEAN_GAP
        if not lines or needed > room:
            lines.append([])
            room = width
        lines[-1].append(TextArea(text, textprops={"color": color, "fontsize": MEAN_SIZE}))
        room -= needed
    return lines


def _median(values: Float[np.ndarray, "*rows count"]) -> Float[np.ndarray, "*rows"]:
    """The median of what is known along the last axis, NaN where nothing is (numpy would warn)."""
    return np.ma.median(np.ma.masked_invalid(values), axis=-1).filled(np.nan)
