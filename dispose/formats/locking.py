"""One writer per folder: whoever comes second is told so before anything is written."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispose.errors import InputError, OutputError


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """While the block runs, no other process that asks may write `folder`, which need not exist yet.

    The operating system keeps the promise with a lock on a hidden file beside the folder, so that it ends with the
    process, however that ends.

    Raises:
        InputError: another process is writing there.
        OutputError: nothing can be written beside the folder.
    """
    path = folder.parent / f".{folder.name}.lock"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(path)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
    if handle is None:
        raise InputError(f"{folder}: another run is writing into this folder; wait for it, or name another folder.")
    try:
        yield
    finally:
        # Removed while it is still locked, so that nobody else's lock can be removed.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        os.close(handle)
        if sys.platform == "win32":
            path.unlink(missing_ok=True)


def _locked(path: Path) -> int | None:
    """The open and locked file of that name, or None where another process holds it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(handle):
            os.close(handle)
            return None
        try:
            same = os.path.samestat(os.fstat(handle), path.stat())
        except FileNotFoundError:
            same = False
        if same:
            return handle
        # Its last holder removed the file between our opening and our locking it.
        os.close(handle)


def _lock(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
