"""A picture that keeps up with a process while a cell waits for it."""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from IPython.display import display
from matplotlib.figure import Figure

from dispose.errors import DisposeError

EVERY_S = 4.0


def follow(command: Sequence[str], log: Path, draw: Callable[[], Figure]) -> float:
    """Run a command to its end and show a picture of how far it is, drawn anew every few seconds; returns seconds.

    What the command prints goes into `log`. Interrupting the cell ends the command.

    Raises:
        DisposeError: the command failed; the message has its last lines.
    """
    started = time.perf_counter()
    shown = display(draw(), display_id=True)
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            while process.poll() is None:
                time.sleep(min(EVERY_S, 0.2 + (time.perf_counter() - started) / 10))
                if shown is not None:
                    shown.update(draw())
        finally:
            if process.poll() is None:
                process.terminate()
    if process.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-10:]
        raise DisposeError("\n".join([f"{' '.join(command)} ended with status {process.returncode}:", *lines]))
    if shown is not None:
        shown.update(draw())
    return time.perf_counter() - started
