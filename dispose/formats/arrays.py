"""Named arrays of an `.npz`, looked at before they are used: no pickle, and complaints that name file and array."""

import math
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from dispose.errors import InputError
from dispose.tensors import ABSENT

INTEGERS, NUMBERS, TEXTS, FLAGS = "iu", "fiu", "U", "b"
"""Kinds of entries, as numpy's letters."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of one file by name."""

    path: Path
    columns: Mapping[str, Shaped[np.ndarray, "..."]]

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

    def finite(self, name: str, *shape: int | None) -> Shaped[np.ndarray, "..."]:
        """As `get`, of numbers. `InputError` says which row has one that is none."""
        array = self.get(name, NUMBERS, *shape)
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise InputError(
                f"{self.path}: array {name!r} has an entry that is not finite (row {row} of {len(array)})."
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


@contextmanager
def mapped_arrays(path: Path, wanted: Callable[[str], bool]) -> Iterator[Arrays]:
    """Those arrays of a file whose names are wanted, unpacked beside so that nothing is in memory before it is used.

    `InputError` for anything that is not a whole archive of arrays, and for one that is not as large as it says.
    """
    with tempfile.TemporaryDirectory(prefix="dispose-") as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist() if wanted(name.removesuffix(".npy"))]
                columns = {name: _unpacked(archive, name, Path(folder) / str(at)) for at, name in enumerate(names)}
        except FileNotFoundError as error:
            raise InputError(f"{path}: there is no such file.") from error
        except BROKEN as error:
            raise InputError(f"{path}: cannot be read as a whole ({error}); was its writing cut short?") from error
        yield Arrays(path, columns)


def _unpacked(archive: zipfile.ZipFile, name: str, place: Path) -> Shaped[np.ndarray, "..."]:
    """An array of an archive as a file, mapped; small ones are read. `ValueError` for other sizes than it claims."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as source, open(place, "wb") as target:
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_columns, dtype = readers[np.lib.format.read_magic(source)](source)
        size = math.prod(shape) * dtype.itemsize
        if dtype.hasobject or info.file_size - source.tell() != size:
            raise ValueError(f"array {name!r} is not as large as it says")
        shutil.copyfileobj(source, target, 1 << 20)
    order = "F" if by_columns else "C"
    if not size or not shape:
        return np.frombuffer(place.read_bytes(), dtype).reshape(shape, order=order)
    return np.memmap(place, dtype, "r", shape=shape, order=order)


BROKEN = (
    ValueError, OSError, EOFError, KeyError, RuntimeError, SyntaxError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What a damaged archive raises when it is read."""


def open_arrays(path: Path) -> Arrays:
    """All arrays of a file. `InputError` for anything that is not a whole archive of arrays."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: is a single array, not an archive of arrays.")
            return Arrays(path, {name: np.asarray(archive[name]) for name in archive.files})
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except BROKEN as error:
        raise InputError(f"{path}: cannot be read as a whole ({error}); was its writing cut short?") from error


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
