"""An executed notebook as one HTML file that opens without a network, its 3-D scenes alive, and as pictures.

The usual export loads plotly, MathJax and a widget library from the net. Here plotly's script, which is installed
with the package, is written into the page once (only if a figure needs it) and nothing else is loaded. A widget shows
the image that it brings along, and solutions of exercises stay folded until the reader opens them
(``templates/page/index.html.j2``).
"""

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from dispose.errors import MissingBackendError

PLOTLY_MIME = "application/vnd.plotly.v1+json"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
ALIVE = "A control that lives in JupyterLab and Voilà; it needs a running kernel."
TEMPLATES = Path(__file__).parent / "templates"
NO_BROWSER = 3
"""Exit status of ``python -m dispose_viz.export`` where there is no browser to draw with."""

ADVICE = "no browser was found or it does not start; apt-get install chromium (Debian), or run plotly_get_chrome"
LIMIT_S = 300


def page_of(notebook: Any) -> str:
    """The HTML text of an executed notebook (an nbformat v4 node, which is not changed)."""
    # Imported here: only runs of notebooks need them.
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    shown = without_widgets(copy.deepcopy(notebook))
    outputs = [output for cell in shown.cells for output in cell.get("outputs", [])]
    scenes = any(PLOTLY_MIME in output.get("data", {}) for output in outputs)
    exporter = HTMLExporter(template_name="page", extra_template_basedirs=[str(TEMPLATES)])
    exporter.environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    resources = {
        "title": title_of(notebook),
        "colors": HtmlFormatter(style="default").get_style_defs(".highlight"),
        "plotly": plotly_script() if scenes else "",
        "plotly_mime": PLOTLY_MIME,
    }
    return exporter.from_notebook_node(shown, resources)[0]


def without_widgets(notebook: Any) -> Any:
    """The same notebook, changed in place: a view of a widget, dead without its kernel, gives way to its image.

    An output that has no other image says that it was a control.
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


def export_figures(notebook: Path, folder: Path) -> None:
    """Write every plotly figure of an executed notebook into a folder, as PNG and SVG that a browser draws.

    What cannot be drawn is said in one sentence: a run is as good without, for its page draws the same figures.
    """
    if PLOTLY_MIME not in notebook.read_text(encoding="utf-8"):
        return  # the process takes seconds to find that out
    command = [sys.executable, "-m", "dispose_viz.export", str(notebook), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        _note(f"the browser did not finish within {LIMIT_S} s")
        return
    if done.returncode == NO_BROWSER:
        _note(ADVICE)
    elif done.returncode:
        _note((done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1])


def _note(reason: str) -> None:
    print(f"note: no PNG and SVG of the plotly figures, they are in the page only: {reason}", file=sys.stderr)
