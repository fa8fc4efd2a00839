"""MATLAB's files of versions 5 to 7.2, as far as data sets need them: numbers, and cells of them.

SciPy's reader ends the whole process on some damaged files. This one knows only cells and numbers, hands out no byte
beyond an element's end, and executes nothing.
"""

import math
import struct
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from dispose.errors import InputError
from dispose.formats.files import read_bytes

HEADER = 128
ORDERS = {b"IM": "<", b"MI": ">"}
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""NumPy's names of the storage types."""

CELLS, NUMBERS = 1, range(6, 16)
"""Classes of arrays: cells, and numbers of any kind."""

LARGEST = 1 << 30
"""Most bytes that a compressed variable may unfold to."""

DEEPEST = 8
"""Most cells within cells."""


def open_cells(value: Shaped[np.ndarray, "..."], where: object) -> list[Shaped[np.ndarray, "..."]]:
    """The elements of a cell array; a cell that holds nothing but another cell array is opened."""
    while value.dtype == object and value.size == 1 and value.flat[0].dtype == object:
        value = value.flat[0]
    if value.dtype != object:
        raise InputError(f"{where}: cells are expected, not numbers of size {value.shape}.")
    return list(value.ravel("F"))


class _DamagedError(Exception):
    """What is wrong with the bytes of a file."""


def read_mat_cells(path: Path, name: str) -> list[Shaped[np.ndarray, "..."]]:
    """The elements of a variable that is a cell array; `InputError` lists the variables where it is not there."""
    data = read_bytes(path)
    order = ORDERS.get(data[126:128], "")
    if len(data) < HEADER or not data.startswith(b"MATLAB 5.0") or not order:
        raise InputError(f"{path}: is no MATLAB file of version 5 to 7.2.")
    found = []
    try:
        for kind, content in _elements(memoryview(data)[HEADER:], order):
            if kind == COMPRESSED:
                kind, content = next(iter(_elements(_unfolded(content), order)), (0, content))
            if kind == MATRIX and len(content):
                found.append(_head(content, order)[2])
                if found[-1] == name:
                    return open_cells(_array(content, order), path)
    except (_DamagedError, zlib.error) as error:
        raise InputError(f"{path}: is a damaged MATLAB file ({error}).") from error
    raise InputError(f"{path}: no {name!r} (there is {', '.join(found) or 'nothing'}).")


def _elements(data: memoryview, order: str) -> list[tuple[int, memoryview]]:
    """Kind and bytes of the elements that lie one after the other."""
    found = []
    while len(data) >= 8:
        kind, length = struct.unpack_from(f"{order}II", data)
        begin, following = 8, 8 + length + (0 if kind == COMPRESSED else -length % 8)
        if kind >> 16:  # up to four bytes lie within the tag
            kind, length, begin, following = kind & 0xFFFF, kind >> 16, 4, 8
        if begin + length > len(data):
            raise _DamagedError(f"an element of {length} bytes does not fit into the {len(data)} that are left")
        found.append((kind, data[begin : begin + length]))
        data = data[following:]
    return found


def _unfolded(data: memoryview) -> memoryview:
    """The bytes of a compressed variable; their checksum is right."""
    stream = zlib.decompressobj()
    unfolded = stream.decompress(data, LARGEST)
    if not stream.eof:
        raise _DamagedError(f"a compressed variable breaks off or unfolds to over {LARGEST} bytes")
    return memoryview(unfolded)


def _numbers(element: tuple[int, memoryview], order: str) -> Float[np.ndarray, " count"]:
    """The numbers of an element."""
    kind, data = element
    if kind not in STORED:
        raise _DamagedError(f"storage type {kind} where numbers are expected")
    stored = np.dtype(f"{order}{STORED[kind]}")
    return np.frombuffer(data[: len(data) - len(data) % stored.itemsize], stored).astype(np.float64)


def _head(data: memoryview, order: str) -> tuple[int, tuple[int, ...], str, list[tuple[int, memoryview]]]:
    """Class, size and name of an array, and its remaining elements."""
    parts = _elements(data, order)
    if len(parts) < 3:
        raise _DamagedError("an array has no head")
    kinds, lengths = _numbers(parts[0], order), _numbers(parts[1], order)
    whole = np.isfinite(np.concatenate([kinds, lengths])).all() and (lengths >= 0).all()
    if not len(kinds) or len(lengths) < 2 or not whole:
        raise _DamagedError(f"an array has the size {lengths.tolist()}")
    return int(kinds[0]) & 0xFF, tuple(int(n) for n in lengths), bytes(parts[2][1]).decode("latin-1"), parts[3:]


def _array(data: memoryview, order: str, depth: int = 0) -> Shaped[np.ndarray, "..."]:
    """Numbers, or cells as an array of arrays; an element without bytes is an empty array."""
    if not len(data):
        return np.zeros((0, 0))
    if depth > DEEPEST:
        raise _DamagedError(f"cells lie more than {DEEPEST} deep")
    kind, size, _, rest = _head(data, order)
    if kind == CELLS:
        if any(inner != MATRIX for inner, _ in rest):
            raise _DamagedError("a cell holds no array")
        values = np.empty(len(rest), object)
        for place, (_, cell) in enumerate(rest):
            values[place] = _array(cell, order, depth + 1)
    elif kind in NUMBERS:
        values = _numbers(rest[0], order) if rest else np.zeros(0)
    else:
        raise _DamagedError(f"an array of class {kind} where numbers or cells are expected")
    if len(values) != math.prod(size):
        raise _DamagedError(f"{len(values)} values where {math.prod(size)} are expected")
    return values.reshape(size, order="F")
