"""Reading and replacing files: regular ones only, complaints name the file, and a reader never meets half a file."""

import codecs
import hashlib
import json
import os
import platform
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from glob import escape
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from dispose.errors import InputError, unwritable


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
