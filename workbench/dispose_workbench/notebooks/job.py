"""One run of a sweep as a process: ``python -m dispose_workbench.notebooks.job NOTEBOOK FOLDER [KEY VALUE]…``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dispose.cli.main import Terminated, complain, ending_in_order
from dispose.errors import DisposeError
from dispose_workbench.notebooks.figures import export_figures
from dispose_workbench.notebooks.run import run_notebook


def job_command(notebook: Path, folder: Path, given: Sequence[tuple[str, str]]) -> list[str]:
    """The words that start this module for one run."""
    words = [word for pair in given for word in pair]
    return [sys.executable, "-m", "dispose_workbench.notebooks.job", str(notebook), str(folder), *words]


def main(words: Sequence[str]) -> int:
    """Run it; the exit status: 0 done, 2 failed or refused with a message, 143 asked to end."""
    notebook, folder, *rest = words
    given = list(zip(rest[::2], rest[1::2], strict=True))
    try:
        with ending_in_order():
            run_notebook(Path(notebook), given, Path(folder), finish=export_figures)
    except DisposeError as error:
        return complain(str(error))
    except (Terminated, KeyboardInterrupt):
        return 143
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
