"""An executed notebook as one HTML file that opens without a network, its 3-D scenes alive.

The usual export loads plotly, MathJax and a widget library from the net. Here plotly's script, which is installed
with the package, is written into the page once (only if a figure needs it) and nothing else is loaded. A widget shows
the picture that it brings along, and solutions of exercises stay folded until the reader opens them.
"""

import copy
import html
import importlib.util
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dispose.errors import MissingBackendError

PLOTLY_MIME = "application/vnd.plotly.v1+json"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
# Around cells with a tag: marks that pass through the exporter, which would close an open element at once, and what
# takes their place.
FENCES = {
    "solution": (
        ("dispose-solution-begins", '<details class="solution"><summary>Solution</summary>'),
        ("dispose-solution-ends", "</details>"),
    ),
    "exercise": (("dispose-exercise-begins", '<div class="exercise">'), ("dispose-exercise-ends", "</div>")),
}
ALIVE = "A control that lives in JupyterLab and Voilà; it needs a running kernel."

STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto;
       max-width: 1100px; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.2rem; } a.anchor-link { display: none; }
.highlight pre { background: #f5f6f7; padding: .7rem .9rem; overflow-x: auto; font-size: 13px; line-height: 1.4;
                 border-left: 3px solid #d9d9d9; }
.output pre, .output_area pre { font-size: 13px; white-space: pre-wrap; overflow-wrap: anywhere; }
.prompt { display: none; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .3rem .8rem; text-align: right; }
th { border-bottom: 2px solid #1a1a1a; } td:first-child, th:first-child { text-align: left; }
details.solution { border: 1px solid #d9d9d9; border-radius: 4px; padding: .4rem .9rem; margin: 1rem 0; }
details.solution > summary { cursor: pointer; font-weight: 600; }
div.exercise { border-left: 4px solid #0072B2; padding-left: .9rem; }
.output_stderr, .output_error { background: #fdecea; padding: .4rem .8rem; }
"""

DRAW = """<div id="{name}"></div><script>
(function () {{
  const figure = {figure};
  Plotly.newPlot("{name}", figure.data, figure.layout, {{responsive: true}})
    .then(() => Plotly.addFrames("{name}", figure.frames || []));
}})();
</script>"""


def page_of(notebook: Any) -> str:
    """The HTML text of an executed notebook (an nbformat v4 node, which is not changed)."""
    # Imported here: only runs of notebooks need them.
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    shown = without_widgets(copy.deepcopy(notebook))
    figures = _plotly_to_html(shown)
    shown.cells = _fenced(shown.cells)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(shown)
    for mark, element in itertools.chain(*FENCES.values()):
        body = body.replace(mark, element)
    script = f"<script>{plotly_script()}</script>" if figures else ""
    colors = HtmlFormatter(style="default").get_style_defs(".highlight")
    head = f'<meta charset="utf-8">\n<title>{html.escape(title_of(notebook))}</title>\n<style>{colors}{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}\n{script}</head>\n<body>\n{body}\n</body></html>\n'


def without_widgets(notebook: Any) -> Any:
    """The same notebook, changed in place: a view of a widget, dead without its kernel, gives way to its picture.

    An output that has no other picture says that it was a control.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if data.pop(WIDGET_MIME, None) is None:
                continue
            data.pop("text/plain", None)
            if not data:
                data["text/plain"] = ALIVE
    return notebook


def _fenced(cells: Sequence[Any]) -> list[Any]:
    """Cells with a mark before and after every group of exercises or solutions (see `FENCES`)."""
    from nbformat.v4 import new_raw_cell

    fenced: list[Any] = []
    for kind, group in itertools.groupby(cells, _kind):
        inside = list(group)
        for cell in inside:
            # The exporter would leave out what JupyterLab folds.
            cell.metadata.pop("jupyter", None)
        marks = [[new_raw_cell(mark)] for mark, _ in FENCES.get(kind, ())] or [[], []]
        fenced += [*marks[0], *inside, *marks[1]]
    return fenced


def _kind(cell: Any) -> str:
    tags = cell.metadata.get("tags", [])
    return next((kind for kind in FENCES if kind in tags), "")


def title_of(notebook: Any) -> str:
    """The text of the first heading, or an empty string."""
    return next((heading for cell in notebook.cells if (heading := heading_of(cell))), "")


def heading_of(cell: Any) -> str:
    """The text of the first heading of a cell, or an empty string."""
    lines = cell.source.splitlines() if cell.cell_type == "markdown" else []
    return next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), "")


def plotly_script() -> str:
    """plotly.js as the installed package carries it (found without importing plotly)."""
    spec = importlib.util.find_spec("plotly")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            # A closing tag inside the script would end it early.
            return path.read_text(encoding="utf-8").replace("</script", "<\\/script")
    raise MissingBackendError("plotly is not installed, so the page's 3-D scenes cannot be drawn; run `make setup`")


def _plotly_to_html(notebook: Any) -> int:
    """Give every plotly output an HTML form that draws itself; returns how many there are."""
    count = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            figure = output.get("data", {}).pop(PLOTLY_MIME, None)
            if figure is None:
                continue
            text = json.dumps(figure, separators=(",", ":")).replace("</", "<\\/")
            output["data"] = {"text/html": DRAW.format(name=f"figure-{count}", figure=text)}
            count += 1
    return count
