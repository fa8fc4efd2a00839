"""What a terminal shows while a notebook runs: a bar with the section, or a line now and then where there is none."""

import sys
import time
from typing import Any

LINE_EVERY_S = 10.0


class LineStream:
    """A stream for a progress bar that nobody watches: a line per section, or per ten seconds, never the same twice."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.section, self.last = stream, "", 0.0

    def write(self, text: str) -> None:
        """Pass a state of the bar on where it says something new."""
        line = text.replace("\r", "").strip()
        section, now = line.rpartition("|")[0], time.monotonic()
        if line and (section != self.section or now - self.last >= LINE_EVERY_S):
            self.section, self.last = section, now
            self.stream.write(f"{line}\n")
            self.stream.flush()

    def flush(self) -> None:
        """Nothing is held back."""


def bar_options(name: str) -> dict[str, Any]:
    """Options of papermill's progress bar for the error stream as it is."""
    always = {"desc": name, "disable": False}  # whatever the kernel is told about bars
    if sys.stderr.isatty():
        looks = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"
        return {**always, "dynamic_ncols": True, "bar_format": looks}
    return {**always, "file": LineStream(sys.stderr), "bar_format": "{desc} | {n_fmt} of {total_fmt} cells, {elapsed}"}


def name_sections(manager: Any, name: str) -> None:
    """Let the bar of papermill's manager of one execution name the section that runs."""
    heading = ""

    def describe(cell: Any, escape_str: str = "") -> None:
        nonlocal heading
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("#"):
                    heading = line.lstrip("# ").strip()
                    break
        if manager.pbar:
            manager.pbar.set_description_str(f"{name}: {heading}" if heading else name)

    manager.get_cell_description = describe
