"""One frame of a finished run, live: its views, the scene to turn, what competed for a person, and how it went."""

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

import anywidget
import ipywidgets
import plotly.graph_objects as go
import traitlets
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from plotly.offline import get_plotlyjs

from dispose.scene.results import Results
from dispose_viz.inspector.camera_views import NO_VIEWS, draw_camera_views, grid_for
from dispose_viz.inspector.competitors import (
    Members,
    competitors_of,
    match_identities,
    people_to_inspect,
    why_no_competitors,
    why_no_diffusion,
)
from dispose_viz.inspector.ranking import value_text
from dispose_viz.inspector.tuple_table import mass_curve_images, rows_of, table_html
from dispose_viz.scene.plotly_scene import draw_stage, new_scene
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme
from dispose_viz.widgets import scrubber, still_images_of
from dispose_workbench.failures.measures import MEASURES, Failure

KEPT = 64
"""Frames whose images are kept once they are drawn."""

WIDTH, HEIGHT = 12.0, 5.6
"""Inches for all views of a frame."""

LEFT, RIGHT, BOTTOM, TOP = 0.66, 0.06, 0.5, 0.3
"""Inches round the views, for numbers and names."""

EYE = {"eye": {"x": 0.95, "y": -1.15, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.15}}
"""Where the reader looks from at first, in units of plotly's box."""

_LOAD = """
const module = {exports: {}};
"""

_DRAW = """
const Plotly = module.exports;
const CONFIG = {responsive: true, displaylogo: false};

function render({model, el}) {
  const plot = document.createElement("div");
  el.append(plot);
  let drawing = false, stale = true, gone = false;
  // One drawing at a time; what changed meanwhile is drawn once after it, from the newest state.
  async function draw() {
    if (drawing) return;
    drawing = true;
    try {
      while (stale && !gone) {
        stale = false;
        const figure = JSON.parse(model.get("figure"));
        await Plotly.react(plot, figure.data, figure.layout, CONFIG);
      }
    } finally {
      drawing = false;
    }
  }
  const changed = () => { stale = true; draw(); };
  model.on("change:figure", changed);
  // A page lays the element out after it was rendered.
  const sized = new ResizeObserver(() => { if (!gone && plot._fullLayout) Plotly.Plots.resize(plot); });
  sized.observe(el);
  draw();
  return () => { gone = true; model.off("change:figure", changed); sized.disconnect(); Plotly.purge(plot); };
}
export default {render};
"""


class FrameView:
    """Shows one frame of some results, and another one when `show` says so.

    Parts of its `widget` are what the cameras show (`views`), the people in 3-D (`scene`, whose viewpoint stays), for
    whose detections tuples compete (`person`), these tuples (`table`), and their mass over diffusion time (`curves`).
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
        competitors = competitors_of(result, match, members or (), self.results.method)
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
        return still_images_of([figure])[0]

    def _draw_curves(self, index: int, members: Members) -> tuple[bytes, ...]:
        result = self.results.cases[index]
        assert result.hypotheses is not None, "curves are drawn of what was weighed"
        competitors = competitors_of(result, match_identities(result), members, self.results.method)
        return mass_curve_images(result.hypotheses, competitors, theme=self.theme)


class LiveFigure(anywidget.AnyWidget):
    """A figure (plotly's JSON) that a page draws anew when it changes; the view stays where `uirevision` says so."""

    _esm = _LOAD + get_plotlyjs() + _DRAW
    figure = traitlets.Unicode().tag(sync=True)

    def __init__(self, figure: go.Figure, **traits: Any) -> None:
        super().__init__(figure=str(figure.to_json()), **traits)

    def show(self, figure: go.Figure) -> None:
        """Show another figure in the place of this one."""
        self.figure = str(figure.to_json())


def headline_html(results: Results, failure: Failure, why: str, *, theme: Theme = LIGHT) -> str:
    """The frame's number, everything that is known to be wrong with it, and why."""
    known = [(m, value_text(m, failure)) for m in MEASURES[1:] if m.value(failure) is not None]
    chips = "".join(
        f'<span style="display:inline-block;margin:0 14px 0 0;white-space:nowrap">{escape(measure.title)} '
        f"<b>{escape(text)}</b></span>"
        for measure, text in known
    )
    return (
        f'<div style="color:{theme.ink};line-height:1.5"><div style="font-size:20px;font-weight:600">'
        f"frame {failure.number} · {escape(results.method)}</div>"
        f'<div style="font-size:16px">{escape(why)}</div><div style="font-size:14px">{chips}</div></div>'
    )


def note_html(sentences: Sequence[str], *, theme: Theme = LIGHT, alarm: bool = False) -> str:
    """Sentences for the reader, one per line."""
    color = theme.alarm if alarm else theme.ink
    lines = "<br>".join(escape(sentence) for sentence in sentences)
    return f'<div style="color:{color};font-size:14px;line-height:1.4">{lines}</div>'
