"""A plotly figure in a live page that shows its present state, however late the page opens.

Plotly's own `FigureWidget` sends changes; one that arrives while a page still loads plotly is lost for good, and the
page shows what was there before. Here the whole figure is the state, and the page draws the newest it knows.
"""

from typing import Any

import anywidget
import plotly.graph_objects as go
import traitlets
from plotly.offline import get_plotlyjs

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


class LiveFigure(anywidget.AnyWidget):
    """A figure that a page draws, and draws anew when it changes; the reader's view stays where `uirevision` says so.

    Attributes:
        figure: the figure as plotly's JSON.
    """

    _esm = _LOAD + get_plotlyjs() + _DRAW
    figure = traitlets.Unicode().tag(sync=True)

    def __init__(self, figure: go.Figure, **traits: Any) -> None:
        super().__init__(figure=str(figure.to_json()), **traits)

    def show(self, figure: go.Figure) -> None:
        """Show another figure in the place of this one."""
        self.figure = str(figure.to_json())
