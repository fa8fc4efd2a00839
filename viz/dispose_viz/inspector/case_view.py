"""One frame of a finished run, live: its views, the scene to turn, what competed for a person, and how it went."""

from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO

import ipywidgets
import numpy as np
import plotly.graph_objects as go
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from PIL import Image

from dispose.scene.results import Hypotheses, Results
from dispose_viz.inspector.contest import (
    Contender,
    Members,
    contenders_of,
    contests_of,
    nothing_contested,
    nothing_moved,
    verdict_of,
)
from dispose_viz.inspector.html import note_html, table_html
from dispose_viz.inspector.live_figure import LiveFigure
from dispose_viz.inspector.page import NO_VIEWS
from dispose_viz.inspector.panels import draw_race, mark_step
from dispose_viz.inspector.views import columns_for, draw_case_views
from dispose_viz.scene.plotly_scene import draw_stage, new_scene
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme
from dispose_viz.widgets import scrubber

KEPT = 64
"""Frames whose pictures are kept once they are drawn."""

WIDTH, HEIGHT = 12.0, 5.2
"""Inches for all views of a frame."""

EYE = {"eye": {"x": 0.95, "y": -1.15, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.15}}
"""Where the reader looks from at first, in units of plotly's box."""


class CaseView:
    """Shows the frame that it is told to show.

    Attributes:
        widget: everything, laid out.
        picture: the views.
        scene: the people in 3-D; the reader's viewpoint stays when they change.
        person: whose detections are contested.
        table: the competing tuples.
        race: their mass over diffusion time, with a slider.
    """

    def __init__(self, results: Results, *, theme: Theme = LIGHT) -> None:
        self.results, self.theme = results, theme
        self.shown = -1
        self.picture = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
        self.scene = LiveFigure(self._empty_scene(), layout=ipywidgets.Layout(width="48%", overflow="hidden"))
        self.person = ipywidgets.Dropdown(description="contested:", style={"description_width": "initial"})
        self.table, self.race = ipywidgets.HTML(), ipywidgets.VBox()
        for part, name in (
            (self.picture, "dispose-views"), (self.person, "dispose-person"), (self.table, "dispose-table"),
            (self.race, "dispose-race"), (self.scene, "dispose-scene"),
        ):  # fmt: skip
            part.add_class(name)
        contest = ipywidgets.VBox([self.person, self.race], layout=ipywidgets.Layout(width="52%"))
        lower = ipywidgets.HBox([self.scene, contest])
        self.widget = ipywidgets.VBox([self.picture, lower, self.table], layout=ipywidgets.Layout(width="100%"))
        self.person.observe(self._contest, names="value")
        self._views = lru_cache(maxsize=KEPT)(self._draw_views)
        self._race = lru_cache(maxsize=KEPT)(self._draw_race)

    def show(self, index: int) -> None:
        """Show one of the frames."""
        self.shown = index
        case = self.results.cases[index]
        self.picture.value = self._views(index)
        self._show_scene(index)
        contests = contests_of(case, verdict_of(case))
        # One change of the list must not draw the contest of a person of the frame before.
        self.person.unobserve(self._contest, names="value")
        self.person.options = [(name, members) for name, members in contests]
        self.person.value = contests[0][1] if contests else None
        self.person.disabled = not contests
        self.person.observe(self._contest, names="value")
        self._contest(None)

    def _show_scene(self, index: int) -> None:
        case = self.results.cases[index]
        truth = None if case.labels is None else case.labels.poses
        stage = stage_of(case.frame, case.prediction, truth=truth)
        self.scene.show(draw_stage(self._empty_scene(), stage))

    def _empty_scene(self) -> go.Figure:
        """A scene in little room: people carry their names, and the eye is far enough back for all cameras."""
        return new_scene(theme=self.theme, height=430).update_layout(showlegend=False, scene_camera=EYE)

    def _contest(self, _: object) -> None:
        """Table and race of the person who is chosen."""
        index, members = self.shown, self.person.value
        case = self.results.cases[index]
        if members is None or case.frame is None:
            self.table.value = note_html([nothing_contested(case)], theme=self.theme)
            self._say_nothing_moved(nothing_moved(case, (), self.results.method))
            return
        verdict = verdict_of(case)
        contenders = contenders_of(case, verdict, members, self.results.method)
        self.table.value = table_html(contenders, verdict, case.frame, theme=self.theme)
        missing = nothing_moved(case, contenders, self.results.method)
        if case.hypotheses is None or missing:
            self._say_nothing_moved(missing)
            return
        times = case.hypotheses.time.tolist()
        slider = scrubber(self._race(index, members), [f"diffusion time {time:.2f}" for time in times],
                          description="step")  # fmt: skip
        # What was decided comes first; the reader goes back from there. The play button follows its own value.
        for part in slider.widget.children[0].children:
            part.value = len(times) - 1
        self.race.children = (slider.widget,)

    def _say_nothing_moved(self, sentence: str) -> None:
        self.race.children = (ipywidgets.HTML(note_html([sentence], theme=self.theme)),)

    def _draw_views(self, index: int) -> bytes:
        case = self.results.cases[index]
        frame = case.frame
        if frame is None or not len(frame.cameras):
            figure = Figure(figsize=(WIDTH, 0.6), dpi=POINTS_PER_INCH, facecolor=self.theme.paper)
            figure.text(0.02, 0.5, NO_VIEWS, fontsize=14, color=self.theme.ink, va="center")
            return drawn_png(figure)
        size = frame.cameras.size.double().numpy()
        aspect, views = float(np.median(size[:, 0] / size[:, 1])), len(frame.cameras)
        columns = columns_for(views, aspect, WIDTH, HEIGHT)
        rows = -(-views // columns)
        height = min(HEIGHT, rows * (WIDTH / columns / aspect + 0.4)) + 0.4
        # No wider than pictures of that height are.
        width = min(WIDTH, columns * (aspect * (height / rows - 0.5) + 0.45) + 0.5)
        figure = Figure(figsize=(width, height), dpi=POINTS_PER_INCH, facecolor=self.theme.paper)
        box = GridSpec(rows, columns, figure, left=0.66 / width, right=1 - 0.06 / width, bottom=0.5 / height,
                       top=1 - 0.3 / height, wspace=0.14, hspace=0.26)  # fmt: skip
        draw_case_views(figure, frame, case.prediction, verdict_of(case), box, theme=self.theme)
        return drawn_png(figure)

    def _draw_race(self, index: int, members: Members) -> tuple[bytes, ...]:
        case = self.results.cases[index]
        if case.hypotheses is None:
            return ()
        contenders = contenders_of(case, verdict_of(case), members, self.results.method)
        return race_images(case.hypotheses, contenders, theme=self.theme)


def race_images(
    hypotheses: Hypotheses, contenders: Sequence[Contender], *, theme: Theme = LIGHT
) -> tuple[bytes, ...]:  # fmt: skip
    """One picture per step of how the mass of the competing tuples moved, the step marked.

    The curves are drawn once and the marks painted over them: text is what takes time.
    """
    figure = Figure(figsize=(6.2, 3.4), dpi=POINTS_PER_INCH, facecolor=theme.paper)
    canvas = FigureCanvasAgg(figure)
    axes = draw_race(figure.add_axes((0.115, 0.165, 0.87, 0.82)), hypotheses, contenders, theme=theme)
    canvas.draw()
    curves, pictures = canvas.copy_from_bbox(figure.bbox), []
    for step in range(len(hypotheses.time)):
        canvas.restore_region(curves)
        marks = mark_step(axes, hypotheses, contenders, step, theme=theme)
        for mark in marks:
            axes.draw_artist(mark)
            mark.remove()
        pictures.append(png_of(np.asarray(canvas.buffer_rgba())))
    return tuple(pictures)


def png_of(pixels: UInt8[np.ndarray, "height width 4"]) -> bytes:
    """A picture as PNG, compressed little because it only goes from the kernel to the page."""
    buffer = BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


def drawn_png(figure: Figure) -> bytes:
    """A figure as PNG, likewise."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return png_of(np.asarray(canvas.buffer_rgba()))
