"""HDF5 files, MATLAB's of version 7.3 among them, by h5py: it executes nothing, and reads the rows that are asked for.

PyTables, which wrote some of these files, would unpickle the attributes that it finds in them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from dispose.errors import InputError, MissingBackendError
from dispose.formats.arrays import LARGEST, NUMBERS, UNFOLDED
from dispose.formats.files import reading


@contextmanager
def open_hdf5(path: Path) -> Iterator[Mapping[str, Any]]:
    """The groups and arrays of a file while the block lasts.

    Raises:
        MissingBackendError: h5py is not installed.
        InputError: the file is missing, no HDF5 file, or damaged.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingBackendError(f"{path}: reading it needs the package h5py: pip install 'dispose[hdf5]'") from error
    with reading(path):
        pass
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError) as error:
        raise InputError(f"{path}: is no whole HDF5 file ({error}).") from error


def stored_array(file: Mapping[str, Any], name: str) -> Any:
    """The array of that name, not read yet; None where there is none: a group or a type may be called so."""
    import h5py

    found = file.get(name)
    return found if isinstance(found, h5py.Dataset) else None


def hdf5_array(path: Path, file: Mapping[str, Any], name: str, *shape: int | None) -> Shaped[np.ndarray, "..."]:
    """A whole array of numbers of a shape (None: any length); `InputError` where it is missing or other than that."""
    found = stored_array(file, name)
    if found is None:
        raise InputError(f"{path}: no array {name!r} in it (there is {', '.join(file) or 'nothing'}).")
    fits = len(found.shape) == len(shape) and all(w in (None, n) for w, n in zip(shape, found.shape, strict=False))
    if not fits or found.dtype.kind not in NUMBERS:
        wanted = "x".join("?" if size is None else str(size) for size in shape)
        raise InputError(f"{path}: array {name!r} is {found.dtype} {'x'.join(map(str, found.shape))}, not {wanted}.")
    return whole_array(path, found)


def whole_array(path: Path, found: Any) -> Shaped[np.ndarray, "..."]:
    """All of an array, numbers or records; `InputError` where it takes memory out of all proportion to its file."""
    if found.nbytes > max(LARGEST, UNFOLDED * found.id.get_storage_size()):
        raise InputError(f"{path}: array {found.name!r} unfolds to {found.nbytes:,} bytes; it is not read.")
    return found[()]
