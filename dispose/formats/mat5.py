"""Numbers and cells of MATLAB files (version 5 to 7.2), read without trusting a byte of them.

SciPy's reader ends the whole process on some damaged files and loops on others; this one reads the two kinds of arrays
that data sets are given out in, checks every length, and complains with an `InputError`.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dispose.errors import InputError

HEADER = 128
LARGEST = 1 << 30
"""Most bytes that a compressed variable may unfold to."""

DEEPEST = 8
"""Most cells within cells."""

MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""NumPy's names of the storage types."""

CELL, NUMERIC = 1, range(6, 16)
"""Classes of arrays: cells, and numbers of any kind."""


@dataclass(frozen=True, eq=False)
class MatArray:
    """A MATLAB array: cells in MATLAB's order (column by column), or numbers.

    Attributes:
        size: MATLAB's size of the array.
        cells: the elements of a cell array, else empty.
        numbers: the values of a numeric array, of that size; None for cells.
    """

    size: tuple[int, ...]
    cells: tuple["MatArray", ...]
    numbers: Float[np.ndarray, "..."] | None


@dataclass(frozen=True)
class Reader:
    """Bytes of a file with their byte order (``<`` or ``>``) and the file's name."""

    source: str
    data: bytes
    order: str

    def broken(self, what: str) -> InputError:
        """The complaint about a damaged file."""
        return InputError(f"{self.source}: is a damaged MATLAB file ({what}).")

    def elements(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Kind, begin and end of the elements between two places."""
        while start + 8 <= stop:
            kind, length = struct.unpack_from(f"{self.order}II", self.data, start)
            begin = start + 8
            following = begin + length
            if kind >> 16:  # up to four bytes lie within the tag
                kind, length, begin, following = kind & 0xFFFF, kind >> 16, start + 4, start + 8
            elif kind != COMPRESSED:
                following += -length % 8
            if begin + length > stop:
                raise self.broken(f"an element of {length} bytes at byte {start} does not fit")
            yield kind, begin, begin + length
            start = following

    def values(self, kind: int, begin: int, end: int) -> Float[np.ndarray, " count"]:
        """The numbers of an element."""
        if kind not in NUMBERS:
            raise self.broken(f"storage type {kind} where numbers are expected")
        stored = np.dtype(f"{self.order}{NUMBERS[kind]}")
        return np.frombuffer(self.data[begin : end - (end - begin) % stored.itemsize], stored).astype(np.float64)

    def head(self, begin: int, end: int) -> tuple[int, tuple[int, ...], str, list[tuple[int, int, int]]]:
        """Class, size and name of an array, and its remaining elements."""
        parts = self.elements(begin, end)
        try:
            flags, size, name = next(parts), next(parts), next(parts)
        except StopIteration:
            raise self.broken(f"an array at byte {begin} has no head") from None
        kinds, lengths = self.values(*flags), self.values(*size)
        whole = np.isfinite(np.concatenate([kinds, lengths])).all() and (lengths >= 0).all()
        if not len(kinds) or len(lengths) < 2 or not whole:
            raise self.broken(f"an array at byte {begin} has size {lengths.tolist()}")
        dimensions = tuple(int(n) for n in lengths)
        return int(kinds[0]) & 0xFF, dimensions, self.data[name[1] : name[2]].decode("latin-1"), list(parts)

    def array(self, begin: int, end: int, depth: int = 0) -> MatArray:
        """An array with everything in it; an element without bytes is an empty array."""
        if begin == end:
            return MatArray((0, 0), (), np.zeros((0, 0)))
        if depth > DEEPEST:
            raise self.broken(f"cells lie more than {DEEPEST} deep")
        kind, size, _, rest = self.head(begin, end)
        count = int(np.prod(size, dtype=object))
        if kind == CELL:
            if count != len(rest) or any(element[0] != MATRIX for element in rest):
                raise self.broken(f"{len(rest)} cells where {count} are expected")
            return MatArray(size, tuple(self.array(b, e, depth + 1) for _, b, e in rest), None)
        if kind not in NUMERIC:
            raise InputError(f"{self.source}: holds an array of class {kind}, numbers or cells are expected.")
        values = self.values(*rest[0]) if rest else np.zeros(0)
        if len(values) != count:
            raise self.broken(f"{len(values)} numbers where {count} are expected")
        return MatArray(size, (), values.reshape(size, order="F"))


def read_mat(path: Path, name: str) -> MatArray:
    """A variable of a MATLAB file; `InputError` lists the others where it is not there."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    orders = {b"IM": "<", b"MI": ">"}
    if len(data) < HEADER or not data.startswith(b"MATLAB 5.0") or data[126:128] not in orders:
        raise InputError(f"{path}: is no MATLAB file of version 5 to 7.2.")
    reader = Reader(str(path), data, orders[data[126:128]])
    found = []
    for kind, begin, end in reader.elements(HEADER, len(data)):
        here = reader
        if kind == COMPRESSED:
            here = Reader(reader.source, unfolded(reader, begin, end), reader.order)
            inner = next(here.elements(0, len(here.data)), None)
            if inner is None:
                raise reader.broken(f"nothing in the compressed variable at byte {begin}")
            kind, begin, end = inner
        if kind != MATRIX or begin == end:
            continue
        found.append(here.head(begin, end)[2])
        if found[-1] == name:
            return here.array(begin, end)
    raise InputError(f"{path}: no {name!r} (there is {', '.join(found) or 'nothing'}).")


def unfolded(reader: Reader, begin: int, end: int) -> bytes:
    """The bytes of a compressed variable."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(reader.data[begin:end], LARGEST)
    except zlib.error as error:
        raise reader.broken(f"the compressed variable at byte {begin}: {error}") from error
    if not stream.eof:
        raise reader.broken(f"the compressed variable at byte {begin} breaks off or unfolds to over {LARGEST} bytes")
    return data
