"""Pickles of plain values, and NumPy's files that hold objects, read without executing anything in them.

A pickle is a program that names functions and calls them. Here every name is looked up in a short list of stand-ins
of our own; NumPy's own constructors are not called either, because the state that a pickle may hand them (a data type
with changed flags) makes them read memory as objects. Arrays of objects are made here, item by item.
"""

import io
import math
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from io import BufferedIOBase
from pathlib import Path
from pickle import Unpickler
from typing import IO, cast

import numpy as np
from numpy.lib import format as npy

from dispose.errors import InputError
from dispose.formats.arrays import refuse_bomb, saying_what_is_broken
from dispose.formats.entry import short
from dispose.formats.files import reading

TYPES = re.compile(r"[?]|[biufSUV]\d{1,6}|[bhilqBHILQefdg]")
OBJECTS = re.compile(r"O\d?")
ORDERS = {"<": "<", ">": ">", "!": ">", "=": "=", "|": "="}
MOST_ELEMENTS = 2**33
MOST_VALUES = 2**28
MOST_BITS = 1024


class _RefusedError(Exception):
    """What a pickle holds that this reader does not admit."""


def load_plain_pickle(path: Path) -> object:
    """The value in a pickle of dictionaries, lists, tuples, numbers, texts, None and NumPy arrays of such values.

    A dictionary with a default becomes a plain one.

    Raises:
        InputError: the file is no pickle of Python 3, breaks off, or names anything else; nothing of it was executed.
    """
    with reading(path), open(path, "rb") as file:
        return unpickled(file, path)


def unpickled(file: BufferedIOBase, path: Path) -> object:
    """As `load_plain_pickle`, of an open file from where it stands; complaints name `path`."""
    try:
        start = file.tell()
        _look_at_orders(file)
        file.seek(start)
        found = _Plain(file).load()
        if file.read(1):
            raise _RefusedError("goes on behind its end")
        return _Finished().value(found)
    except _RefusedError as error:
        raise InputError(f"{path}: {error}; nothing in the file was executed.") from error
    except Exception as error:
        # Any damage may surface as any exception: an index, a key, a number that is too large.
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is no pickle of plain values, or breaks off ({why}).") from error


class _Plain(Unpickler):
    """An unpickler that knows the names of `_NAMES` and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        # NumPy 2 calls its core `_core`.
        known = (module.replace("numpy._core", "numpy.core"), name)
        if known not in _NAMES:
            called = "".join(letter if letter.isprintable() else "?" for letter in f"{module}.{name}"[:100])
            raise _RefusedError(f"holds {called}, which is neither a NumPy array nor a plain value")
        return _NAMES[known]

    def persistent_load(self, pid: object) -> object:
        raise _RefusedError("refers to objects outside of the file")


class _StandIn:
    """What a pickle may call; neither it nor what it makes has an attribute that a pickle could set."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("sets the state of a value that has none")


class _DataType(_StandIn):
    """A plain data type: what NumPy's would say, without its flags and metadata; `type` is None for objects."""

    __slots__ = ("code", "type")

    def __init__(self, code: object, *_: object) -> None:
        self.code = str(code).lstrip("<>=|!")
        if OBJECTS.fullmatch(self.code):
            self.type = None
        elif TYPES.fullmatch(self.code):
            self.type = np.dtype(self.code)
        else:
            raise _RefusedError(f"holds an array of the type {short(code)}, which is not plain")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ORDERS:
            raise _RefusedError("holds an array of a type that is not plain")
        rows, names, parts = state[2:5]
        if rows is None and names is None and parts is None:
            self.type = None if self.type is None else self.type.newbyteorder(ORDERS[state[1]])  # type: ignore[arg-type]
            return
        found = _type_of_rows(rows) if rows is not None else _type_of_records(self.code, names, parts)
        if not self.code.startswith("V") or found.itemsize != int(self.code[1:]):
            raise _RefusedError("holds an array of records that do not fit into their bytes")
        self.type = found


def _type_of_rows(rows: object) -> np.dtype:
    """The type of an element that is an array itself: of numbers or texts, of one shape."""
    if isinstance(rows, tuple) and len(rows) == 2 and isinstance(rows[0], _DataType) and rows[0].type is not None:
        return np.dtype((rows[0].type, _sizes(rows[1])))
    raise _RefusedError("holds an array of arrays that are not plain")


def _type_of_records(code: str, names: object, parts: object) -> np.dtype:
    """The type of records with named parts; NumPy refuses parts that lie outside of their record."""
    if not isinstance(names, tuple) or not isinstance(parts, dict) or not code.startswith("V"):
        raise _RefusedError("holds an array of records that are not plain")
    formats, offsets = [], []
    for name in names:
        part = parts.get(name)
        if not isinstance(part, tuple) or not isinstance(part[0], _DataType) or part[0].type is None:
            raise _RefusedError(f"holds an array of records with the part {short(name)}, which is not plain")
        formats.append(part[0].type)
        offsets.append(part[1])
    return np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": int(code[1:])})


class _Array(_StandIn):
    """An array while it is read; `array` is the result."""

    __slots__ = ("array",)

    def __init__(self, raw: object = b"", kind: object = None, shape: object = (0,), order: object = "C") -> None:
        # Protocol 5 says everything at once; older ones make an empty array and set its state.
        self.array = _numbers(raw, kind, shape, order) if isinstance(kind, _DataType) else np.zeros(0)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _RefusedError("holds an array of an unknown form")
        _, shape, kind, fortran, raw = state
        self.array = _numbers(raw, kind, shape, "F" if fortran else "C")


class _Scalar(_StandIn):
    """A number of NumPy's, which becomes one of Python's."""

    __slots__ = ()

    def __new__(cls, kind: object, raw: object = b"") -> object:
        return _numbers(raw, kind, (1,), "C")[0].item()


class _List(_StandIn):
    """What a dictionary with a default is told to begin an entry with; itself no value."""

    __slots__ = ()


class _DefaultDictionary(_StandIn):
    """A dictionary whose missing entries are empty lists: a plain dictionary here."""

    __slots__ = ()

    def __new__(cls, default: object = None) -> object:
        if default is not _List and default is not None:
            raise _RefusedError("holds a dictionary whose default is no list")
        return {}


_NAMES: dict[tuple[str, str], type] = {
    ("numpy", "dtype"): _DataType,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy.core.numeric", "_frombuffer"): _Array,
    ("collections", "defaultdict"): _DefaultDictionary,
    ("builtins", "list"): _List,
    ("__builtin__", "list"): _List,
}


def _numbers(raw: object, kind: object, shape: object, order: object) -> np.ndarray:
    """A copy of some bytes, or of a list of objects, as an array."""
    objects = isinstance(kind, _DataType) and kind.type is None
    if not isinstance(raw, list if objects else bytes | bytearray) or not isinstance(kind, _DataType):
        raise _RefusedError("holds an array of an unknown form")
    sizes = _sizes(shape)
    if kind.type is None:
        # Their order is that of the places, however the array lay in memory.
        return _objects(list(raw), sizes)
    if kind.code.startswith("V") and kind.type.names is None and kind.type.subdtype is None:
        raise _RefusedError("holds an array of bytes without a meaning")
    flat = np.frombuffer(bytes(raw), kind.type)
    return flat.reshape(sizes, order="F" if order == "F" else "C").copy()


def _objects(values: list[object], sizes: tuple[int, ...]) -> np.ndarray:
    """Any values as an array of objects, one by one: NumPy would take lists and arrays for further axes."""
    flat = np.empty(len(values), object)
    for place, value in enumerate(values):
        flat[place] = value
    return flat.reshape(sizes)


def _sizes(shape: object) -> tuple[int, ...]:
    """The lengths of an array's axes, of an array that has room in memory."""
    given = shape if isinstance(shape, tuple) else (shape,)
    sizes = tuple(size for size in given if isinstance(size, int) and size >= 0)
    if len(sizes) != len(given) or math.prod(sizes) > MOST_ELEMENTS:
        raise _RefusedError(f"holds an array of the shape {short(shape)}")
    return sizes


def _look_at_orders(file: BufferedIOBase) -> None:
    """Refuse what would take memory that the file does not have bytes for, before anything is made of it.

    Places in the unpickler's memory are handed out one by one by whoever writes pickles; it makes room for any that a
    file names, the last of four thousand million too.
    """
    for count, (order, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], file))):
        if "PUT" in order.name and isinstance(argument, int) and not 0 <= argument <= count + 1:
            raise _RefusedError(f"remembers a value in place {short(argument)}, which no pickle of its size has")
        if isinstance(argument, int) and argument.bit_length() > MOST_BITS:
            raise _RefusedError(f"holds a whole number of {argument.bit_length()} bits")


class _Finished:
    """Values with NumPy's arrays instead of what they were read into; what is there twice is walked through once."""

    def __init__(self) -> None:
        # The second keeps the first alive, whose address the key is.
        self.seen: dict[int, tuple[object, object, int]] = {}

    def value(self, value: object) -> object:
        """The value. `_RefusedError` where it is not plain, contains itself, or repeats itself beyond all measure."""
        return self._walk(value)[0]

    def _walk(self, value: object) -> tuple[object, int]:
        """The value, and of how many it consists with all repetitions."""
        if isinstance(value, type | _StandIn) and not isinstance(value, _Array):
            raise _RefusedError("holds a function or type as a value")
        if not isinstance(value, _Array | np.ndarray | dict | list | tuple):
            return value, 1
        if id(value) in self.seen:
            _, found, size = self.seen[id(value)]
            if not size:
                raise _RefusedError("holds a value that contains itself")
            return found, size
        self.seen[id(value)] = (value, None, 0)
        found, size = self._parts(value)
        if size > MOST_VALUES:
            raise _RefusedError(f"repeats its values until they are more than {MOST_VALUES}")
        self.seen[id(value)] = (value, found, size)
        return found, size

    def _parts(self, value: "_Array | np.ndarray | dict | list | tuple") -> tuple[object, int]:
        if isinstance(value, _Array):
            return self._walk(value.array)
        if isinstance(value, np.ndarray):
            if not value.dtype.hasobject:
                return value, 1
            items, sizes = self._all(value.ravel())
            return _objects(items, value.shape), sizes
        if isinstance(value, dict):
            items, sizes = self._all(value.values())
            return dict(zip(value, items, strict=True)), sizes
        items, sizes = self._all(value)
        return type(value)(items), sizes

    def _all(self, values: Iterable[object]) -> tuple[list[object], int]:
        walked = [self._walk(one) for one in values]
        return [one for one, _ in walked], 1 + sum(size for _, size in walked)


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
