"""Reading and replacing files: complaints name the file, a reader never meets half a file, a folder has one writer."""

import codecs
import hashlib
import json
import mmap
import os
import platform
import re
import shutil
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import escape
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Shaped

from dispose.errors import InputError, ShapeError, unwritable
from dispose.formats.arrays import SUMS, read_arrays, sum_of
from dispose.formats.opening import read_bytes, reading


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes `path`'s place when the block ends well; the old file stays when it does not.

    Example:
        >>> with replacing(Path("notes.txt")) as file:  # doctest: +SKIP
        ...     file.write("all or nothing")
    """
    # Names of files may hold letters that are none.
    with (
        replacing_path(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        yield file


@contextmanager
def replacing_path(path: Path) -> Iterator[Path]:
    """As `replacing`, for writers that want a path: a temporary name with the same ending in the same folder.

    Raises `OutputError` where the file cannot be written (a full disk, a folder of that name, no permission).
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f"{ASIDE}{os.getpid()}@{machine()}-"
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        with writing(path):
            yield temporary
            # mkstemp's file is private; what users write is as readable as any file of theirs.
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


ASIDE = ".dispose-part-"
"""How names of files begin that are being written; the number of the process, its machine and letters follow."""


def machine() -> str:
    """What tells this machine from others that share a folder with it: a few letters of a digest of its name."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Failures of the file system said with the name of the file that was to be written."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def visible(paths: Iterable[Path]) -> list[Path]:
    """Paths in alphabetical order without hidden ones: what a killed writer or another system left behind."""
    return sorted(path for path in paths if not path.name.startswith("."))


def remove_other_people(folder: Path, stem: str, ending: str, written: Sequence[Path]) -> None:
    """Remove the files ``<stem>_P<id><ending>`` of people whom an earlier run of that name found."""
    for old in folder.glob(f"{escape(stem)}_P*{ending}"):
        who = re.fullmatch(r"\d+(_part\d+)?", old.stem.removeprefix(f"{stem}_P"))
        if who and old not in written:
            old.unlink()


MOST_DIGITS = 18
"""Of whole numbers that fit into an array of integers."""


def frame_number(path: Path) -> int | None:
    """The last group of digits of a file name: ``cam01.0042.json``, ``video_000000000042_keypoints.json`` → 42.

    None where there is none, or one that no array of whole numbers holds.
    """
    groups = re.findall(r"[0-9]+", path.stem.removesuffix("_keypoints"))
    return int(groups[-1]) if groups and len(groups[-1].lstrip("0")) <= MOST_DIGITS else None


def numbered_files(folder: Path, endings: Sequence[str]) -> dict[int, Path]:
    """Files of some endings by the frame number in their names, ascending; `InputError` where names do not number."""
    return by_number([path for path in visible(folder.iterdir()) if path.suffix.lower() in endings])


def by_number(paths: Iterable[Path]) -> dict[int, Path]:
    """Files by the frame number in their names, ascending; `InputError` where one has none, or two have the same."""
    found: list[tuple[int, Path]] = []
    for path in paths:
        number = frame_number(path)
        if number is None:
            raise InputError(f"{path}: the file name holds no frame number of at most {MOST_DIGITS} digits.")
        found.append((number, path))
    found.sort()
    for (number, path), (following, other) in pairwise(found):
        if number == following:
            raise InputError(f"{path.parent}: frame {number} has two files, {path.name} and {other.name}.")
    return dict(found)


def name_without_number(path: Path) -> str:
    """What a file name says before its frame number: ``cam01_000000000042_keypoints.json`` → cam01."""
    return path.stem.removesuffix("_keypoints").rstrip("0123456789").rstrip("_.- ")


def decoded(data: bytes, path: Path) -> str:
    """The text in a file's bytes: UTF-8, or UTF-16 as Windows marks it; `InputError` where it is neither."""
    try:
        return data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file (byte {error.start} is no UTF-8); save it as UTF-8.") from error


def read_text(path: Path) -> str:
    """The text of a file, with plain line ends; `InputError` where it is missing, a folder, or no UTF-8 text."""
    text = decoded(read_bytes(path), path)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(text: str, source: str) -> object:
    """The value of a JSON text; `InputError` says where it breaks off."""
    return _parsed(text, source, lambda error: f"line {error.lineno}, column {error.colno}")


def parse_json_line(line: str, source: str) -> object:
    """As `parse_json` for one line of a file of JSON lines; the source says which."""
    return _parsed(line, source, lambda error: f"column {error.colno}")


def _parsed(text: str, source: str, place: Callable[[json.JSONDecodeError], str]) -> object:
    if not text.strip():
        raise InputError(f"{source}: is empty.")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) < len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise InputError(f"{source}: one object says {twice[:40]!r} twice.")
        return table

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        cut = "breaks off" if ended else "is no JSON"
        raise InputError(f"{source}: {cut} at {place(error)} ({error.msg}).") from error
    except RecursionError as error:
        raise InputError(f"{source}: is nested too deeply to be one of our formats.") from error
    except ValueError as error:
        # Python refuses whole numbers of more than some thousand digits.
        raise InputError(f"{source}: holds a number that is too long to be one ({error}).") from error


SCHEMA = "dispose.partial/2"
STATE = "state.npz"

Columns = list[tuple[str, Shaped[np.ndarray, "..."]]]
"""Arrays by name; those that are the rows of a table have the rows as their first axis."""


@dataclass(frozen=True)
class GrownColumn:
    """An array in a file of its own: its numbers one after the other, without a header."""

    path: Path
    dtype: str
    shape: tuple[int, ...]

    def array(self) -> Shaped[np.ndarray, "..."]:
        """The array, of which nothing is in memory before it is looked at."""
        if 0 in self.shape:
            return np.zeros(self.shape, np.dtype(self.dtype))
        return np.memmap(self.path, np.dtype(self.dtype), "r", shape=self.shape)


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


def write_npz(path: Path, columns: Iterable[tuple[str, Shaped[np.ndarray, "..."] | GrownColumn]]) -> None:
    """Write arrays as `np.savez_compressed` does; grown columns go through without being held in memory.

    Sums of all arrays are the last one, so that readers see what somebody changes later.
    """
    with replacing_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, column in columns:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                if isinstance(column, GrownColumn):
                    header = {"descr": column.dtype, "fortran_order": False, "shape": column.shape}
                    np.lib.format.write_array_header_1_0(member, header)
                    with open(column.path, "rb") as source:
                        shutil.copyfileobj(source, member, 1 << 20)
                else:
                    np.lib.format.write_array(member, column, allow_pickle=False)
        sums = np.array([sum_of(one) for one in archive.infolist()])
        with archive.open(f"{SUMS}.npy", "w") as member:
            np.lib.format.write_array(member, sums, allow_pickle=False)
