"""Named arrays of an `.npz`, written, and looked at before they are used: no pickle, complaints name file and array."""

import math
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from jaxtyping import Shaped
from numpy.lib import format as npy

from dispose.errors import InputError
from dispose.formats.files import reading, replacing_path
from dispose.tensors import ABSENT

INTEGERS, NUMBERS, TEXTS, FLAGS = "iu", "fiu", "U", "b"
"""Kinds of entries, as numpy's letters."""

LARGEST, UNFOLDED = 1 << 28, 200
"""An array larger than so many bytes must not unfold to more than so many times what it takes in its file."""

SUMS = "sums"
"""The array that says of every other one which bytes were written: `sum_of`."""

SMALL = 1 << 16
"""Bytes up to which an array is held in memory where larger ones are mapped."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of one file by name."""

    path: Path
    columns: Mapping[str, Any]  # arrays; whoever checked their types here would read them all

    def get(self, name: str, kinds: str, *shape: int | None) -> Shaped[np.ndarray, "..."]:
        """An array of a kind and shape (None: any length). `InputError` where it is missing or other than that."""
        if name not in self.columns:
            raise InputError(f"{self.path}: no array {name!r} in it.")
        array = self.columns[name]
        wanted = "x".join("?" if size is None else str(size) for size in shape)
        fits = array.ndim == len(shape) and all(w is None or w == s for w, s in zip(shape, array.shape, strict=False))
        if not fits:
            raise InputError(f"{self.path}: array {name!r} is {'x'.join(map(str, array.shape))}, not {wanted}.")
        if array.dtype.kind not in kinds:
            raise InputError(f"{self.path}: array {name!r} holds {array.dtype}, which is not what belongs there.")
        return array

    def finite(
        self, name: str, *shape: int | None, least: float = -math.inf, most: float = math.inf
    ) -> Shaped[np.ndarray, "..."]:
        """As `get`, of numbers. `InputError` says which row has one that is none, or lies outside of the bounds."""
        array = self.get(name, NUMBERS, *shape)
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise InputError(
                f"{self.path}: array {name!r} has an entry that is not finite (row {row} of {len(array)})."
            )
        if array.size and not least <= array.min() <= array.max() <= most:
            row = tuple(np.argwhere((array < least) | (array > most))[0].tolist())
            raise InputError(
                f"{self.path}: array {name!r} has {array[row]:g} in row {row[0]} of {len(array)}; possible are "
                f"{least:g} to {most:g}."
            )
        return array

    def text(self, name: str) -> str:
        """A single text."""
        return str(self.get(name, TEXTS))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        array = self.columns.get(name)
        # numpy has no kind for a list of no texts.
        if array is not None and array.shape == (0,):
            return ()
        return tuple(str(value) for value in self.get(name, TEXTS, None))

    def rows(self, name: str, count: int, *, rising: bool = False, absent: bool = False) -> Shaped[np.ndarray, " rows"]:
        """Positions in a table of `count` rows; `ABSENT` among them where that is allowed.

        Raises `InputError` for one beyond the table, and where they do not rise as asked.
        """
        array = self.get(name, INTEGERS, None)
        beyond = (array >= count) | (array < (ABSENT if absent else 0))
        if beyond.any():
            raise InputError(f"{self.path}: array {name!r} points to row {array[beyond].max()} of {count}.")
        if rising and (np.diff(array.astype(np.int64)) < 0).any():
            raise InputError(f"{self.path}: array {name!r} is not in order.")
        return array


class StoredArrays(Mapping[str, Shaped[np.ndarray, "..."]]):
    """The arrays of an archive; one is unfolded when it is first asked for, after its size was looked at."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> None:
        # The archive is open as long as somebody may ask: its directory is read once.
        self.path, self.archive, self.members = path, archive, members
        self._read: dict[str, Shaped[np.ndarray, ...]] = {}

    def __getitem__(self, name: str) -> Shaped[np.ndarray, "..."]:
        if name not in self._read:
            member = self.members[name]
            with saying_what_is_broken(self.path), self.archive.open(member) as file:
                self._read[name] = _array_in(cast(BufferedIOBase, file), member, f"{self.path}: array {name!r}")
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)


def _array_in(file: BufferedIOBase, member: zipfile.ZipInfo, place: str) -> Shaped[np.ndarray, "..."]:
    """The array of a member; its checksum is right, and it takes no more memory than it has bytes."""
    refuse_bomb(member, place)
    shape, order, kind, size = _head_of(file, place)
    data, filled = bytearray(min(size, member.file_size)), 0
    while filled < len(data) and (count := file.readinto(memoryview(data)[filled:])):
        filled += count
    # To its end: only there the checksum is looked at.
    if filled != size or file.read(1):
        raise InputError(f"{place} is said to be {'x'.join(map(str, shape))} {kind}, which are not the bytes in it.")
    array = np.frombuffer(data, kind) if kind.itemsize else np.zeros(math.prod(shape), kind)
    return array.reshape(shape, order=order)


def _head_of(file: BufferedIOBase, place: str) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype, int]:
    """Shape, order of the axes, type and bytes of the array that a member holds from here on."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise InputError(f"{place} is written in version {version} of NumPy's format, which is not known here.")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, kind = read_header(file)
    if kind.hasobject:
        raise InputError(f"{place} holds objects, not numbers or texts; nothing of it is executed.")
    return shape, "F" if fortran else "C", kind, math.prod(shape) * kind.itemsize


def refuse_bomb(member: zipfile.ZipInfo, place: str) -> None:
    """Raise `InputError` for a member of an archive that takes memory out of all proportion to its file."""
    if member.file_size > max(LARGEST, UNFOLDED * member.compress_size):
        raise InputError(f"{place} unfolds from {member.compress_size} bytes to {member.file_size}; it is not read.")


@contextmanager
def saying_what_is_broken(path: Path) -> Iterator[None]:
    """Whatever reading a broken archive raises, as `InputError` that names the file."""
    try:
        with reading(path):
            yield
    except (
        ValueError, OSError, EOFError, KeyError, RuntimeError, SyntaxError, TypeError, MemoryError, OverflowError,
        zipfile.BadZipFile, zlib.error, tokenize.TokenError,
    ) as error:  # fmt: skip
        raise InputError(f"{path}: cannot be read as a whole ({error}); was its writing cut short?") from error


@contextmanager
def mapped_arrays(path: Path, wanted: Callable[[str], bool]) -> Iterator[Arrays]:
    """Those arrays of a file whose names are wanted, unpacked beside so that nothing is in memory before it is used.

    `InputError` for anything that is not a whole archive of arrays, and for one that is not as large as it says.
    """
    with tempfile.TemporaryDirectory(prefix="dispose-") as folder:
        with saying_what_is_broken(path), zipfile.ZipFile(path) as archive:
            _check_sums(path, archive)
            names = [name.removesuffix(".npy") for name in archive.namelist() if wanted(name.removesuffix(".npy"))]
            columns = {name: _unpacked(archive, name, Path(folder) / str(at)) for at, name in enumerate(names)}
        yield Arrays(path, columns)


def _unpacked(archive: zipfile.ZipFile, name: str, place: Path) -> Shaped[np.ndarray, "..."]:
    """An array of an archive as a file, mapped; small ones are read. `ValueError` for other sizes than it claims."""
    info = archive.getinfo(f"{name}.npy")
    if info.file_size <= SMALL:
        with archive.open(info) as source:
            return _array_in(cast(BufferedIOBase, source), info, f"{archive.filename}: array {name!r}")
    with archive.open(info) as source, open(place, "wb") as target:
        shape, order, kind, size = _head_of(cast(BufferedIOBase, source), f"{archive.filename}: array {name!r}")
        if info.file_size - source.tell() != size:
            raise ValueError(f"array {name!r} is not as large as it says")
        shutil.copyfileobj(source, target, 1 << 20)
    if not size or not shape:
        return np.frombuffer(place.read_bytes(), kind).reshape(shape, order=order)
    return np.memmap(place, kind, "r", shape=shape, order=order)


def sum_of(member: zipfile.ZipInfo) -> str:
    """Name and CRC-32 of an array as it is stored."""
    return f"{member.filename.removesuffix('.npy')} {member.CRC:08x}"


def _check_sums(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise `InputError` where a file that says what was written holds something else: NumPy writes other sums anew."""
    members = {member.filename: member for member in archive.infolist()}
    sums = members.pop(f"{SUMS}.npy", None)
    if sums is None:
        return
    with archive.open(sums) as file:
        written = _array_in(cast(BufferedIOBase, file), sums, f"{path}: array {SUMS!r}").ravel().tolist()
    if changed := sorted(one.split()[0] for one in {*map(str, written)} ^ {*map(sum_of, members.values())}):
        raise InputError(
            f"{path}: array {changed[0]!r} was changed after the run that wrote it; give the command that made the "
            "file again."
        )


def open_arrays(path: Path) -> Arrays:
    """The arrays of a file, each read when it is asked for.

    Raises:
        InputError: for anything that is not an archive of arrays, at once or when an array is asked for: it breaks
            off, is not what the archive's directory says, or would take memory out of all proportion.
    """
    with saying_what_is_broken(path):
        with open(path, "rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                raise InputError(f"{path}: is a single array, not an archive of arrays.")
        archive = zipfile.ZipFile(path)
        _check_sums(path, archive)
        members = [member for member in archive.infolist() if member.filename != f"{SUMS}.npy"]
    names = [member.filename.removesuffix(".npy") for member in members]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}: holds the array {twice[0]!r} twice.")
    return Arrays(path, StoredArrays(path, archive, dict(zip(names, members, strict=True))))


def read_arrays(path: Path, schema: str) -> Arrays:
    """All arrays of a file with that schema. `InputError` for anything that is not a whole file of ours."""
    arrays = open_arrays(path)
    check_schema(arrays, schema)
    return arrays


def check_schema(arrays: Arrays, schema: str) -> None:
    """Raise `InputError` where arrays are not a file of ours with that schema."""
    if "schema" not in arrays.columns:
        raise InputError(f"{arrays.path}: does not say what it is (no array 'schema').")
    found = str(arrays.columns["schema"])
    if found != schema:
        raise InputError(f"{arrays.path}: schema is {found!r}, this version reads {schema!r}.")


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
