"""Folders of results: one writer at a time, room before the work, and never old files beside new ones unmarked."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from dispose.errors import InputError, OutputError, unwritable
from dispose.formats.files import ASIDE, machine
from dispose.options import require_folder

LEAST_ROOM = 16 << 20
"""Bytes that must be free before anything is computed."""

MARK = ".dispose-writing"
"""A file in a folder whose files are being replaced: what lies beside it may be of two runs."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """While the block runs, no other process that asks may write `folder`, which need not exist yet.

    The operating system keeps the promise with a lock on a hidden file beside the folder, so that it ends with the
    process, however that ends. What killed writers have left under temporary names is removed.

    Raises:
        InputError: another process is writing there.
        OutputError: nothing can be written beside the folder.
    """
    # However the folder is spelled, and through whatever links.
    whole = folder.resolve()
    path = whole.parent / f".{whole.name}.lock"
    lock = FileLock(path, blocking=False)
    new = [place for place in whole.parents if not place.exists()]
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        # A file system that makes no files there looks like another run's lock.
        require_room(whole.parent, 0)
        raise InputError(
            f"{folder}: another run is writing into this folder; wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        # Removed while it is still locked, so that nobody else's lock can be removed; Windows removes no open file.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        lock.release()
        # What was refused, or failed, before anything was written leaves no empty folders.
        with suppress(OSError):
            for place in new:
                place.rmdir()


def remove_leftovers(folder: Path, below: str = "**/") -> None:
    """Remove what writers that were killed have left in a folder and those below it under temporary names.

    Whether a writer on another machine is alive cannot be asked: theirs go when nothing was written there for a day.
    """
    for path in folder.glob(f"{below}{ASIDE}*"):
        writer, _, where = path.name.removeprefix(ASIDE).partition("-")[0].partition("@")
        if where not in ("", machine()):
            writing = _younger(path, A_DAY_S)
        else:
            writing = writer.isdecimal() and _alive(int(writer))
        if not writing:
            path.unlink(missing_ok=True)


A_DAY_S = 86400.0


def _younger(path: Path, seconds: float) -> bool:
    """Whether a file was written to in the last so many seconds; False where it is gone."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < seconds
    return False


def require_file(path: Path) -> Path:
    """The path for a result file, before the work: `InputError` where it is a folder or cannot be in one.

    What killed writers have left beside it is removed.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; the results go into a file, name another with --out.")
    require_folder(path.parent)
    remove_leftovers(path.parent, below="")
    return path


def _alive(process: int) -> bool:
    """Whether a process is there; on Windows, where asking would end it, ours alone are known to be."""
    if sys.platform == "win32":
        return process == os.getpid()
    with suppress(ProcessLookupError, OverflowError):
        with suppress(PermissionError):
            os.kill(process, 0)
        return True
    return False


def require_room(folder: Path, size: int = LEAST_ROOM) -> None:
    """Raise `OutputError` where a folder cannot be written, or has too little room, before hours of work.

    The folder need not exist yet, and is not made.
    """
    whole = folder.resolve()
    there = next(place for place in (whole, *whole.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        raise unwritable(folder, error) from error
    if free < size:
        raise OutputError(f"{folder}: {free >> 20} MiB are free there, {size >> 20} are needed; make room, or name "
                          "another folder.")  # fmt: skip


@contextmanager
def publishing(folder: Path) -> Iterator[None]:
    """While the files of a folder are replaced; where that is broken off the folder stays marked.

    Raises `OutputError` where the mark cannot be written.
    """
    mark = folder / MARK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise unwritable(mark, error) from error
    yield
    mark.unlink(missing_ok=True)


def refuse_unfinished(folder: Path) -> None:
    """Raise `InputError` where the files of a folder may be of two runs."""
    if (folder / MARK).exists():
        raise InputError(
            f"{folder}: its files are being written, or were when a run was killed; wait for it, or give the command "
            "that made them again."
        )


def watch(folder: Path) -> Callable[[], None]:
    """What to call when the files of a folder have been read: it raises `InputError` where others came meanwhile.

    Raises `InputError` at once where they may be of two runs.
    """
    refuse_unfinished(folder)
    before = _files_of(folder)

    def require_same() -> None:
        refuse_unfinished(folder)
        if _files_of(folder) != before:
            raise InputError(f"{folder}: its files were replaced while they were read; give the command again.")

    return require_same


def _files_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The files of a run by name, each with what tells it from one that took its place."""
    found = dict[str, tuple[int, int, int]]()
    for path in folder.glob("*.[jn]*"):
        with suppress(FileNotFoundError):  # gone since it was listed
            state = path.stat()
            found[path.name] = state.st_ino, state.st_mtime_ns, state.st_size
    return found
