"""An executed notebook as one HTML file that opens without a network, its 3-D scenes alive.

The usual export loads plotly, MathJax and a widget library from the net. Here plotly's script, which is installed
with the package, is written into the page once (only if a figure needs it) and nothing else is loaded.
"""

import copy
import html
import importlib.util
import json
from pathlib import Path
from typing import Any

from dispose.errors import MissingBackendError

PLOTLY_MIME = "application/vnd.plotly.v1+json"

STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto;
       max-width: 1100px; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2.2rem; } a.anchor-link { display: none; }
.highlight pre { background: #f5f6f7; padding: .7rem .9rem; overflow-x: auto; font-size: 13px; line-height: 1.4;
                 border-left: 3px solid #d9d9d9; }
.output pre, .output_area pre { font-size: 13px; overflow-x: auto; }
.prompt { display: none; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .3rem .8rem; text-align: right; }
th { border-bottom: 2px solid #1a1a1a; } td:first-child, th:first-child { text-align: left; }
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

    shown = copy.deepcopy(notebook)
    figures = _plotly_to_html(shown)
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(shown)
    script = f"<script>{plotly_script()}</script>" if figures else ""
    colors = HtmlFormatter(style="default").get_style_defs(".highlight")
    head = f'<meta charset="utf-8">\n<title>{html.escape(title_of(notebook))}</title>\n<style>{colors}{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}\n{script}</head>\n<body>\n{body}\n</body></html>\n'


def title_of(notebook: Any) -> str:
    """The text of the first heading, or an empty string."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    return line.lstrip("# ").strip()
    return ""


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
