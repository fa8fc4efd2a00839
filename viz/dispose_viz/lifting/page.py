"""What `dispose predict --model` found in one image: keypoints, every person's fan of poses, and where they stand."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from dispose.formats.lifted import LiftedFrame, LiftedHeader
from dispose.scene.lifted import spread_of
from dispose_viz.image.canvas import Name, draw_canvas, draw_names, draw_skeleton, name_of
from dispose_viz.lifting.fans import (
    CHI_90,
    FLANK,
    FRONT,
    SIDES,
    Side,
    draw_fan,
    draw_spread,
    frame_side,
    reach_of,
)
from dispose_viz.scene.triangulation import ellipse_of
from dispose_viz.style import add_legend, dress_chart, label_of, lay_out, new_figure, panels, person_color, write

MOST_PEOPLE = 3
"""So many people have rows of their own; the others are in the image and in the files."""

WIDTH, ROW = 16.0, 4.6
Picture = UInt8[np.ndarray, "height width 3"]


def draw_page(header: LiftedHeader, frame: LiftedFrame, image: Picture) -> Figure:
    """An image with its keypoints and everybody's place on the left, the fans of the first few people on the right."""
    shown = min(len(frame), MOST_PEOPLE)
    figure = new_figure(WIDTH + 3, max(ROW * shown, 8.6))
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.7], squeeze=False)[0]
    above, below = left.subplots(2, 1)
    draw_keypoints(above, header, frame, image)
    draw_places(below, frame)
    rows = right.subfigures(shown, 1, squeeze=False)[:, 0]
    for row, part in enumerate(rows):
        draw_person(part, header, frame, row, SIDES)
    return figure


def draw_keypoints(axes: Axes, header: LiftedHeader, frame: LiftedFrame, image: Picture) -> Axes:
    """The image with the keypoints that people were lifted from, and who is who."""
    names: list[Name] = []
    title = f"{header.model}, {header.hypotheses} poses each"
    draw_canvas(axes, torch.tensor(header.camera.size), title, image=image / 255.0)
    for person, xy, seen in zip(frame.person.tolist(), frame.xy_image, frame.seen, strict=True):
        color = person_color(person)
        draw_skeleton(axes, xy, seen, header.skeleton, color)
        names += name_of(label_of(person), xy, seen, color)
    return draw_names(axes, names)


def draw_places(axes: Axes, frame: LiftedFrame) -> Axes:
    """The room from above: where everybody's hips are before the camera in every pose, and the 90 % ellipse."""
    across, away = [0.0], [0.0]
    axes.plot(0, 0, "^", color="#808080", markersize=12)
    for row, person in enumerate(frame.person.tolist()):
        color, place = person_color(person), frame.placed.place[row][:, [0, 2]].double() / 1000
        axes.plot(*place.T.numpy(), ".", color=color, markersize=3, alpha=0.5)
        middle = (float(place[:, 0].mean()), float(place[:, 1].mean()))
        axes.add_patch(ellipse_of(spread_of(place), middle, 1.0, color, radius=CHI_90))
        write(axes, label_of(person), middle, (8, 8), color, bold=True)
        across += place[:, 0].tolist()
        away += place[:, 1].tolist()
    half = max(0.6 * (max(across) - min(across)), 0.6 * (max(away) - min(away)), 1.0)
    middle = (max(across) + min(across)) / 2
    axes.set(xlim=(middle - half, middle + half), ylim=(-0.15 * half, 1.85 * half), aspect="equal")
    axes.set(xlabel="right of the camera (m)", ylabel="away from the camera (m)", title="where they stand, from above")
    return dress_chart(axes)


def draw_person(
    part: Figure | SubFigure, header: LiftedHeader, frame: LiftedFrame, row: int, sides: Sequence[Side]
) -> None:
    """One person's fan of poses and the spread of their joints, from some sides."""
    person, xyz = int(frame.person[row]), frame.placed.lifted.xyz_camera[row]
    reach = reach_of(xyz)
    for side, axes in zip(sides, panels(part, len(sides), len(sides)), strict=True):
        draw_fan(axes, xyz, header.skeleton, side, person_color(person))
        if header.hypotheses > 1:
            draw_spread(axes, xyz, side, person_color(person))
        frame_side(axes, side, reach_mm=reach, title=f"{label_of(person)}, {side.title}")
    if row == 0:
        add_legend(axes, location="below")


def film_images(
    header: LiftedHeader, frames: Sequence[tuple[LiftedFrame, Picture]], *, width: float = 12.0
) -> Iterator[Picture]:
    """The images of a film: the video with its keypoints, and the fans of the first two people of every frame."""
    most = min(max((len(frame) for frame, _ in frames), default=1), 2)
    figure = new_figure(width, 2.0 + 2.4 * most)
    canvas = FigureCanvasAgg(figure)
    for frame, image in frames:
        figure.clear()
        left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1], squeeze=False)[0]
        draw_keypoints(left.subplots(), header, frame, image).set_title(f"frame {frame.number}")
        rows = right.subfigures(most, 1, squeeze=False)[:, 0]
        for row in range(min(len(frame), most)):
            draw_person(rows[row], header, frame, row, (FRONT, FLANK))
        lay_out(figure)
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()
