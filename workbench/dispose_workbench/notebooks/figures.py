"""After a run: the plotly figures of the executed notebook as PNG and SVG, by a process that drives a browser."""

import subprocess
import sys
from pathlib import Path

from dispose_workbench.notebooks.page import PLOTLY_MIME

NO_BROWSER = 3
"""Exit status of ``python -m dispose_viz.export`` where there is no browser to draw with."""

ADVICE = "no browser was found or it does not start; apt-get install chromium (Debian), or run plotly_get_chrome"
LIMIT_S = 300


def export_figures(notebook: Path, folder: Path) -> None:
    """Write every plotly figure of an executed notebook into a folder; what cannot be drawn is said in one sentence.

    The run is as good without these images: its page draws the same figures.
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
