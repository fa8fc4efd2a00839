"""Folders of results: one writer at a time, room before the work, never old files beside new ones unmarked.

A folder may grow block by block, so that a run that was killed goes on.
"""

import json
import mmap
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from jaxtyping import Shaped

from dispose.errors import InputError, OutputError, ShapeError, unwritable
from dispose.formats.arrays import GrownColumn, read_arrays, write_npz
from dispose.formats.files import ASIDE, machine, reading, writing
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


SCHEMA = "dispose.partial/2"


STATE = "state.npz"


Columns = list[tuple[str, Shaped[np.ndarray, "..."]]]
"""Arrays by name; those that are the rows of a table have the rows as their first axis."""


def let_go(array: Shaped[np.ndarray, "..."]) -> None:
    """What memory holds of a mapped file goes; where somebody looks again it is read again."""
    if isinstance(array.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        array.base.madvise(mmap.MADV_DONTNEED)


def remove_at(path: Path) -> None:
    """Remove a file, a link or a folder with what is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


class GrowingFolder:
    """Text and tables in a folder that grow block by block.

    `commit` makes everything count that was appended since the last commit, in one step. What was not committed when a
    process ended is cut off when the folder is opened again.

    Attributes:
        about: a text that was committed beside the tables; empty before the first commit.
        arrays: likewise arrays, replaced as a whole by every commit.

    Raises `InputError` where what was committed is damaged, or was changed by somebody else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = ""
        self.arrays: Mapping[str, Shaped[np.ndarray, ...]] = {}
        if folder.is_symlink():
            # Whatever no commit knows is removed here: that must not be somebody's files elsewhere.
            raise InputError(f"{folder}: leads to another folder; remove the link.")
        self._kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._committed: dict[str, tuple[int, int]] = {}
        if (folder / STATE).is_file():
            columns = dict(read_arrays(folder / STATE, SCHEMA).columns)
            state = json.loads(str(columns.pop("state")))
            self.about, self.arrays, self._committed = state["about"], columns, state["files"]
            self._kinds = {name: (dtype, tuple(tail)) for name, (dtype, tail) in state["kinds"].items()}
        self._files = dict(self._committed)
        self._require_whole()
        self.roll_back()

    def _require_whole(self) -> None:
        """Raise `InputError` where a file lacks what was committed, or has other bytes: nothing is built on those."""
        for name, (count, crc) in self._committed.items():
            path = self.folder / name
            there = path.stat().st_size if path.is_file() else 0
            if there < count:
                raise InputError(f"{path}: has {there} of the {count} bytes that an unfinished run wrote there; remove "
                                 f"{self.folder} to begin anew.")  # fmt: skip
            if _crc_of(path, count) != crc:
                raise InputError(f"{path}: has other bytes than an unfinished run wrote there; remove {self.folder} to "
                                 "begin anew.")  # fmt: skip

    def append_text(self, name: str, text: str) -> None:
        """Text at the end of a file."""
        self._append(name, text.encode())

    def append_rows(self, columns: Columns) -> None:
        """Rows at the end of tables, a file per column. Raises `ShapeError` where they are not of one kind."""
        for name, rows in columns:
            kind = (rows.dtype.str, rows.shape[1:])
            if not len(rows) and name in self._kinds:
                continue  # such a block may not know how wide its rows are
            if self._files.get(name, NOTHING)[0] and self._kinds[name] != kind:
                raise ShapeError(f"{name}: rows of {kind[1]} {kind[0]} after rows of {self._kinds[name]}")
            self._kinds[name] = kind
            self._append(name, np.ascontiguousarray(rows).tobytes())

    def commit(self, about: str, arrays: Columns) -> None:
        """What was appended counts from now on, whatever happens; `about` and `arrays` replace the last ones."""
        state = json.dumps({"about": about, "files": self._files, "kinds": self._kinds})
        write_npz(self.folder / STATE, [("schema", np.array(SCHEMA)), ("state", np.array(state)), *arrays])
        self.about, self.arrays, self._committed = about, dict(arrays), dict(self._files)

    def roll_back(self) -> None:
        """Cut off whatever was not committed; a folder without a commit goes altogether."""
        self._files = dict(self._committed)
        if self.folder.is_dir() and not self.about:
            self.remove()
        for path in self.folder.glob("*"):
            if path.name in self._committed:
                os.truncate(path, self._committed[path.name][0])
            elif path.name != STATE:
                remove_at(path)

    def remove(self) -> None:
        """The folder goes, its state first: what is left of a killed removal is no run to go on with."""
        (self.folder / STATE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that there are."""
        return tuple(self._kinds)

    def column(self, name: str) -> GrownColumn:
        """A column as far as it has grown."""
        dtype, tail = self._kinds[name]
        width = int(np.prod(tail)) * np.dtype(dtype).itemsize
        return GrownColumn(self.folder / name, dtype, (self._files[name][0] // width if width else 0, *tail))

    def _append(self, name: str, data: bytes) -> None:
        path = self.folder / name
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:
                file.write(data)
        count, crc = self._files.get(name, NOTHING)
        self._files[name] = count + len(data), zlib.crc32(data, crc)


NOTHING = 0, 0
"""Length and CRC-32 of a file without bytes."""


def _crc_of(path: Path, count: int) -> int:
    """CRC-32 of so many first bytes of a file."""
    crc = 0
    with reading(path), open(path, "rb") as file:
        while part := file.read(min(count, 1 << 20)):
            crc, count = zlib.crc32(part, crc), count - len(part)
    return crc
