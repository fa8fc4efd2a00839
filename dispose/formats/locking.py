"""One writer per folder: whoever comes second is told so before anything is written."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

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
    lock = FileLock(path, blocking=False)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: another run is writing into this folder; wait for it, or name another folder."
        ) from None
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
    try:
        yield
    finally:
        # Removed while it is still locked, so that nobody else's lock can be removed; Windows removes no open file.
        if sys.platform != "win32":
            path.unlink(missing_ok=True)
        lock.release()
