"""What runs share that may be stopped, resumed, and spread over processes: folders, ranks, files built side by side."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.errors import InputError


def claim(folder: Path, text: str) -> None:
    """Write a run's recipe into its folder.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.json"
    if path.exists() and path.read_text() != text:
        raise InputError(f"{folder}: holds a run of another recipe ({path.name} differs); choose another folder")
    if is_first() and not path.exists():
        temporary = path.with_suffix(".part")
        temporary.write_text(text)
        os.replace(temporary, path)


def is_first() -> bool:
    """Whether this is the process that writes (``torchrun`` starts several)."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for(paths: Sequence[Path]) -> None:
    """Processes other than the first wait until its files are there (they are renamed into place when complete)."""
    while not all(path.exists() for path in paths):
        time.sleep(0.2)


def build_files(
    build: Callable[[int, Path], None],
    files: Sequence[tuple[int, Path]],
    title: str,
    *,
    workers: int | None = None,
) -> None:
    """Build the numbered files that are not there yet, in worker processes of one thread each, with a progress bar."""
    missing = [(number, path) for number, path in files if not path.exists()]
    if not missing:
        return
    workers = min(workers or os.cpu_count() or 1, len(missing))
    bar = tqdm(total=len(files), initial=len(files) - len(missing), desc=title, unit="chunk")
    with bar, ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        futures = [pool.submit(build, number, path) for number, path in missing]
        for future in as_completed(futures):
            future.result()
            bar.update()


def _one_thread() -> None:
    torch.set_num_threads(1)
