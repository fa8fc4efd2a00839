"""What a terminal shows while a notebook runs: a bar with the section, or a line now and then where there is none."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from dispose_workbench.notebooks.page import heading_of

LINE_EVERY_S = 10.0
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"
LINE = "{desc} | {n_fmt} of {total_fmt} cells, {elapsed}"


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


@contextmanager
def progress(name: str, cells: int) -> Iterator[Callable[[Any], None]]:
    """A bar over the cells of a notebook on the error stream; to be called with every cell that begins."""
    watched = sys.stderr.isatty()
    stream, looks = (sys.stderr, BAR) if watched else (LineStream(sys.stderr), LINE)
    with tqdm(total=cells, desc=name, file=stream, bar_format=looks, dynamic_ncols=watched, disable=False) as bar:

        def show(cell: Any) -> None:
            heading = heading_of(cell)
            if heading:
                bar.set_description_str(f"{name}: {heading}")
            bar.update()

        yield show
