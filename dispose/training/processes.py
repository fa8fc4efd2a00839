"""What runs share that may be stopped, resumed, and spread over processes: folders, ranks, files built side by side."""

import datetime
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import distributed
from tqdm import tqdm

from dispose.errors import InputError
from dispose.formats.files import replacing

PATIENCE = datetime.timedelta(days=1)
"""How long processes wait for the one that draws or scores."""


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
        with replacing(path) as file:
            file.write(text)


def is_first() -> bool:
    """Whether this is the process that writes (``torchrun`` starts several)."""
    return int(os.environ.get("RANK", "0")) == 0


def meet() -> None:
    """Processes that ``torchrun`` started wait here for each other; alone there is nobody to wait for."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    # A sum on the CPU, for which gloo needs no device.
    distributed.all_reduce(torch.zeros(1))


def write_once(path: Path, write: Callable[[Path], None]) -> None:
    """The first process writes a file that is not there yet; the others go on when it is."""
    if is_first() and not path.exists():
        write(path)
    meet()


def build_files(
    build: Callable[[int, Path], None],
    files: Sequence[tuple[int, Path]],
    title: str,
    *,
    workers: int | None = None,
) -> None:
    """Build the numbered files that are not there yet, in worker processes of one thread each, with a progress bar.

    Of several processes the first one's workers build, and all go on together.
    """
    missing = [(number, path) for number, path in files if not path.exists()]
    if missing and is_first():
        workers = min(workers or os.cpu_count() or 1, len(missing))
        bar = tqdm(total=len(files), initial=len(files) - len(missing), desc=title, unit="chunk")
        with bar, ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            futures = [pool.submit(build, number, path) for number, path in missing]
            for future in as_completed(futures):
                future.result()
                bar.update()
    meet()


def _one_thread() -> None:
    torch.set_num_threads(1)
