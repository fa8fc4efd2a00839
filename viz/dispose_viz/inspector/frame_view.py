"""One frame of a finished run, live: its views, the scene to turn, what competed for a person, and how it went."""

from functools import lru_cache

import ipywidgets
import numpy as np
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from dispose.scene.results import Results
from dispose_viz.inspector.camera_views import NO_VIEWS, draw_camera_views, grid_for
from dispose_viz.inspector.competitors import competitors_of, people_to_inspect, why_no_competitors, why_no_diffusion
from dispose_viz.inspector.html import note_html
from dispose_viz.inspector.identities import Members, match_identities
from dispose_viz.inspector.live_figure import LiveFigure
from dispose_viz.inspector.mass_curves import mass_curve_images, png_of
from dispose_viz.inspector.tuple_table import rows_of, table_html
from dispose_viz.scene.plotly_scene import draw_stage, new_scene
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme
from dispose_viz.widgets import scrubber

KEPT = 64
"""Frames whose images are kept once they are drawn."""

WIDTH, HEIGHT = 12.0, 5.6
"""Inches for all views of a frame."""

LEFT, RIGHT, BOTTOM, TOP = 0.66, 0.06, 0.5, 0.3
"""Inches round the views, for numbers and names."""

EYE = {"eye": {"x": 0.95, "y": -1.15, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.15}}
"""Where the reader looks from at first, in units of plotly's box."""


class FrameView:
    """Shows one frame of some results, and another one when `show` says so.

    Attributes:
        widget: everything, laid out.
        views: what the cameras show.
        scene: the people in 3-D; the reader's viewpoint stays when they change.
        person: for whose detections tuples compete.
        table: the competing tuples.
        curves: their mass over diffusion time, with a slider.
    """

    def __init__(self, results: Results, *, theme: Theme = LIGHT) -> None:
        self.results, self.theme = results, theme
        self.shown = -1
        self.views = ipywidgets.Image(format="png", layout=ipywidgets.Layout(max_width="100%"))
        self.scene = LiveFigure(self._empty_scene(), layout=ipywidgets.Layout(width="48%", overflow="hidden"))
        self.person = ipywidgets.Dropdown(description="contested:", style={"description_width": "initial"})
        self.table, self.curves = ipywidgets.HTML(), ipywidgets.VBox()
        for part, name in (
            (self.views, "views"), (self.person, "person"), (self.table, "table"), (self.curves, "curves"),
            (self.scene, "scene"),
        ):  # fmt: skip
            part.add_class(f"dispose-{name}")
        competition = ipywidgets.VBox([self.person, self.curves], layout=ipywidgets.Layout(width="52%"))
        lower = ipywidgets.HBox([self.scene, competition])
        self.widget = ipywidgets.VBox([self.views, lower, self.table], layout=ipywidgets.Layout(width="100%"))
        self.person.observe(self._show_competitors, names="value")
        self._views = lru_cache(maxsize=KEPT)(self._draw_views)
        self._curves = lru_cache(maxsize=KEPT)(self._draw_curves)

    def show(self, index: int) -> None:
        """Show one of the frames."""
        self.shown = index
        result = self.results.cases[index]
        self.views.value = self._views(index)
        truth = None if result.labels is None else result.labels.poses
        stage = stage_of(result.frame, result.prediction, truth=truth)
        self.scene.show(draw_stage(self._empty_scene(), stage))
        people = people_to_inspect(result, match_identities(result))
        # One change of the list must not draw the competitors of a person of the frame before.
        self.person.unobserve(self._show_competitors, names="value")
        self.person.options = people
        self.person.value = people[0][1] if people else None
        self.person.disabled = not people
        self.person.observe(self._show_competitors, names="value")
        self._show_competitors(None)

    def _empty_scene(self) -> go.Figure:
        """A scene in little room: people carry their names, and the eye is far enough back for all cameras."""
        return new_scene(theme=self.theme, height=430).update_layout(showlegend=False, scene_camera=EYE)

    def _show_competitors(self, _: object) -> None:
        """Table and curves of the person who is chosen."""
        result, members = self.results.cases[self.shown], self.person.value
        match = match_identities(result)
        competitors = competitors_of(result, match, members, self.results.method) if members else ()
        if competitors and result.frame is not None:
            rows = rows_of(competitors, match, result.frame, theme=self.theme)
            self.table.value = table_html(rows, result.frame.cameras.names, theme=self.theme)
        else:
            self.table.value = note_html([why_no_competitors(result)], theme=self.theme)
        missing = why_no_diffusion(result, competitors, self.results.method)
        if result.hypotheses is None or missing:
            self.curves.children = (ipywidgets.HTML(note_html([missing], theme=self.theme)),)
            return
        times = result.hypotheses.time.tolist()
        slider = scrubber(self._curves(self.shown, members), [f"diffusion time {time:.2f}" for time in times])
        # What was decided comes first; the reader goes back from there. The play button follows its own value.
        for part in slider.widget.children[0].children:
            part.value = len(times) - 1
        self.curves.children = (slider.widget,)

    def _draw_views(self, index: int) -> bytes:
        result = self.results.cases[index]
        frame = result.frame
        if frame is None or not len(frame.cameras):
            figure = Figure(figsize=(WIDTH, 0.6), dpi=POINTS_PER_INCH, facecolor=self.theme.paper)
            figure.text(0.02, 0.5, NO_VIEWS, fontsize=14, color=self.theme.ink, va="center")
        else:
            grid = grid_for(frame.cameras, WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP)
            width, height = grid.width + LEFT + RIGHT, grid.height + BOTTOM + TOP
            figure = Figure(figsize=(width, height), dpi=POINTS_PER_INCH, facecolor=self.theme.paper)
            box = GridSpec(grid.rows, grid.columns, figure, LEFT / width, BOTTOM / height, 1 - RIGHT / width,
                           1 - TOP / height, wspace=0.14, hspace=0.26)  # fmt: skip
            draw_camera_views(figure, frame, result.prediction, match_identities(result), box)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return png_of(np.asarray(canvas.buffer_rgba()))

    def _draw_curves(self, index: int, members: Members) -> tuple[bytes, ...]:
        result = self.results.cases[index]
        assert result.hypotheses is not None, "curves are drawn of what was weighed"
        competitors = competitors_of(result, match_identities(result), members, self.results.method)
        return mass_curve_images(result.hypotheses, competitors, theme=self.theme)
