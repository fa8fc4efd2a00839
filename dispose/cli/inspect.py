"""`dispose inspect`: the frames of finished results that went wrong, as a page to click through or as pictures."""

import importlib.util
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dispose.cli.drawing import draw
from dispose.cli.view import ResultsOptions
from dispose.errors import InputError, MissingBackendError
from dispose.options import Count, CountOption, PathOption, one_of, require_folder
from dispose.scene.results import Results
from dispose_workbench.failures.facts import failure_of, failures_of
from dispose_workbench.failures.measures import MEASURES, known_measures
from dispose_workbench.notebooks.inspector_page import page_notebook, serve, write_opener


@dataclass(frozen=True)
class InspectCommand(ResultsOptions):
    """Look at finished results frame by frame, worst first: views, 3-D, what competed, and why it failed.

    RESULTS is a folder of `dispose predict` or `dispose evaluate --save`, a predictions.jsonl, Panoptic's JSON
    (body3DScene_*.json) or TRC files; no model is needed. The page runs on this computer only; Ctrl-C ends it.
    """

    rank_by: Annotated[str, one_of(*(measure.key for measure in MEASURES))] = "trouble"
    """What makes a frame a bad one; the page can change it."""
    out: Path = Path("out/inspect")
    """Folder for the frames that you mark; marks that lie there are shown again."""
    port: CountOption = None
    """Port of the page (default: the first free one from 8866 on)."""
    browser: bool = True
    """Open the page in the browser."""
    pages: PathOption = None
    """Write the worst frames as one picture each into this folder, and open no page."""
    worst: Count = 10
    """How many of them."""

    def run(self) -> int:
        """Check the results, then write the pictures or serve the page."""
        results = self.read()
        self.check_measure(results)
        for note in results.notes:
            print(note, file=sys.stderr)  # the first line of the output is the address
        if self.pages is not None:
            return self.write_pages(require_folder(self.pages))
        if importlib.util.find_spec("voila") is None:
            raise MissingBackendError(
                "`dispose inspect` needs the package voila for its page: pip install 'dispose[notebooks]'; "
                "with --pages FOLDER it writes pictures without one."
            )
        require_folder(self.out)
        given = [("results", self.results), *self.beside(), ("out", self.out)]
        values = [(name, str(path.expanduser().resolve())) for name, path in given]
        with page_notebook([*values, ("rank_by", self.rank_by)]) as notebook, serve(notebook, self.port) as page:
            print(f"{page.address} shows {self.results}; Ctrl-C ends it.", flush=True)
            if self.browser:
                webbrowser.open(write_opener(page.address, notebook.parent).as_uri())
            return page.process.wait()

    def check_measure(self, results: Results) -> None:
        """Refuse to rank by what no frame knows, before a server is started for it."""
        measure = next(measure for measure in MEASURES if measure.key == self.rank_by)
        if measure is MEASURES[0] or any(measure.value(failure_of(result)) is not None for result in results.cases):
            return
        known = known_measures(failures_of(results.cases)) or MEASURES[:1]
        names = ", ".join(one.key for one in known)
        raise InputError(
            f"{self.results}: frames cannot be ranked by {self.rank_by!r}, which these results do not know; "
            f"there are {names}."
        )

    def write_pages(self, folder: Path) -> int:
        """Let the package of pictures draw them, in a process of its own."""
        if importlib.util.find_spec("matplotlib") is None:
            raise MissingBackendError("pictures need the package matplotlib: pip install 'dispose[viz]'")
        options = [f"--{name}={path}" for name, path in self.beside()]
        options += [f"--rank-by={self.rank_by}", f"--worst={self.worst}"]
        return draw("dispose_viz.inspector", self.results, folder, *options)
