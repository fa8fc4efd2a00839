"""Opening files of others: regular ones only, since a pipe may wait forever and a device never ends."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dispose.errors import InputError


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """Around whatever opens a file to read it: its size in bytes, and failures of the file system in a sentence.

    Raises `InputError` where the file is missing or cannot be read, is larger than memory, and for everything that is
    no regular file: opening a pipe may wait forever, and a device never ends.
    """
    try:
        kind = path.stat()
        if not stat.S_ISREG(kind.st_mode):
            what = "a folder" if stat.S_ISDIR(kind.st_mode) else "a pipe, a device or a socket"
            raise InputError(f"{path}: is {what}; a file is expected.")
        yield kind.st_size
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory.") from error
    except ValueError as error:
        if "embedded null" not in str(error):
            raise
        raise InputError(f"{str(path)!r}: is no name of a file ({error}).") from error


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """The bytes of a file, if they are not more than told; `InputError` where it cannot be read (`reading`)."""
    with reading(path) as size:
        if most is not None and size > most:
            raise InputError(f"{path}: has {size:,} bytes; a file of this kind has at most {most:,}.")
        return path.read_bytes()
