"""Pickles of plain values, read without executing anything in them.

A pickle is a program that names functions and calls them. Here every name is looked up in a short list of stand-ins
of our own; NumPy's own constructors are not called either, because the state that a pickle may hand them (a data type
with changed flags) makes them read memory as objects.
"""

import math
import re
from pathlib import Path
from pickle import Unpickler

import numpy as np

from dispose.errors import InputError
from dispose.formats.entry import short

TYPES = re.compile(r"[?]|[biufSU]\d{1,6}|[bhilqBHILQefdg]")
ORDERS = {"<": "<", ">": ">", "!": ">", "=": "=", "|": "="}
MOST_ELEMENTS = 2**33


class _RefusedError(Exception):
    """What a pickle holds that this reader does not admit."""


def load_plain_pickle(path: Path) -> object:
    """The value in a pickle of dictionaries, lists, tuples, numbers, texts, None and NumPy arrays of numbers or texts.

    Raises:
        InputError: the file is no pickle of Python 3, breaks off, or names anything else; nothing of it was executed.
    """
    try:
        with open(path, "rb") as file:
            return _finished(_Plain(file).load())
    except _RefusedError as error:
        raise InputError(f"{path}: {error}; nothing in the file was executed.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
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
            raise _RefusedError(f"holds {module}.{name}, which is neither a NumPy array nor a plain value")
        return _NAMES[known]

    def persistent_load(self, pid: object) -> object:
        raise _RefusedError("refers to objects outside of the file")


class _StandIn:
    """What a pickle may call; neither it nor what it makes has an attribute that a pickle could set."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("sets the state of a value that has none")


class _DataType(_StandIn):
    """A plain data type: what NumPy's would say, without its flags, fields and metadata."""

    __slots__ = ("code", "order")

    def __init__(self, code: object, *_: object) -> None:
        self.code, self.order = str(code).lstrip("<>=|!"), "="
        if not TYPES.fullmatch(self.code):
            raise _RefusedError(f"holds an array of the type {short(code)}, which is not plain")

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ORDERS:
            raise _RefusedError("holds an array of a type that is not plain")
        if any(part is not None for part in state[2:5]):
            raise _RefusedError("holds an array of records")
        self.order = ORDERS[state[1]]


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


_NAMES: dict[tuple[str, str], type] = {
    ("numpy", "dtype"): _DataType,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy.core.numeric", "_frombuffer"): _Array,
}


def _numbers(raw: object, kind: object, shape: object, order: object) -> np.ndarray:
    """A copy of some bytes as an array."""
    if not isinstance(raw, bytes | bytearray) or not isinstance(kind, _DataType):
        raise _RefusedError("holds an array of an unknown form")
    given = shape if isinstance(shape, tuple) else (shape,)
    sizes = tuple(size for size in given if isinstance(size, int) and size >= 0)
    if len(sizes) != len(given) or math.prod(sizes) > MOST_ELEMENTS:
        raise _RefusedError(f"holds an array of the shape {short(shape)}")
    flat = np.frombuffer(bytes(raw), np.dtype(kind.code).newbyteorder(kind.order))  # type: ignore[arg-type]
    return flat.reshape(sizes, order="F" if order == "F" else "C").copy()


def _finished(value: object) -> object:
    """A value with NumPy's arrays instead of what they were read into."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, type | _StandIn):
        raise _RefusedError("holds a function or type as a value")
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_finished(item) for item in value)
    return value
