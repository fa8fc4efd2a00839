"""What a terminal shows while a notebook runs: a bar with the section, or a line now and then where there is none."""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from dispose_workbench.notebooks.page import heading_of

LINE_EVERY_S = 10.0
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


@contextmanager
def progress(name: str, cells: int) -> Iterator[Callable[[Any], None]]:
    """To be called with every cell that begins; where nobody watches, a line per section or ten seconds."""
    watched, started, last, section = sys.stderr.isatty(), time.monotonic(), -math.inf, name
    with tqdm(total=cells, desc=name, bar_format=BAR, dynamic_ncols=True, disable=not watched) as bar:
        begun = 0

        def show(cell: Any) -> None:
            nonlocal begun, last, section
            heading, now = heading_of(cell), time.monotonic()
            section = f"{name}: {heading}" if heading else section
            if watched:
                bar.set_description_str(section)
                bar.update()
            elif heading or now - last >= LINE_EVERY_S:
                print(f"{section} | {begun} of {cells} cells, {now - started:.0f} s", file=sys.stderr, flush=True)
                last = now
            begun += 1

        yield show
