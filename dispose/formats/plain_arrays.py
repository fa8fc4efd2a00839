"""NumPy's files that hold objects: dictionaries and lists saved as arrays, read without executing anything in them."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from dispose.errors import InputError
from dispose.formats.arrays import refuse_bomb, saying_what_is_broken
from dispose.formats.plain_pickle import unpickled


def load_plain_array(path: Path) -> object:
    """The value of an `.npy`: an array of numbers, texts or plain values, or the one object that was saved.

    Raises:
        InputError: the file is missing, no such file, breaks off, or holds what is not plain; nothing was executed.
    """
    with saying_what_is_broken(path), open(path, "rb") as file:
        return _value(file, path)


def load_plain_arrays(path: Path) -> Mapping[str, object]:
    """The values of an `.npz` by name, each as `load_plain_array` reads it; raises as that."""
    found = {}
    with saying_what_is_broken(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            refuse_bomb(member, f"{path}: array {member.filename!r}")
            found[member.filename.removesuffix(".npy")] = _value(io.BytesIO(archive.read(member)), path)
    return found


def _value(file: io.BufferedIOBase, path: Path) -> object:
    """The array that a file holds from where it stands; an array of no axes is the value in it."""
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, kind = read_header(file)
        if kind.kind == "O":
            array = unpickled(file, path)
        else:
            array = np.frombuffer(file.read(), kind).reshape(shape, order="F" if fortran else "C").copy()
    except (ValueError, SyntaxError, TypeError, MemoryError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is no whole NumPy array of plain values ({error}).") from error
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise InputError(f"{path}: does not hold the array of shape {shape} that it announces.")
    return array[()] if array.ndim == 0 else array
