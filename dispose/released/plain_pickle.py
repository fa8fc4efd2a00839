"""Pickles of plain values, read without executing anything in them.

A pickle is a program that names functions and calls them. Here every name is looked up in a short list of stand-ins
of our own; NumPy's own constructors are not called either, because the state that a pickle may hand them (a data type
with changed flags) makes them read memory as objects.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import Unpickler

import numpy as np

from dispose.errors import InputError

_TYPES = re.compile(r"[?]|[biufcSU]\d{1,6}|[bhilqBHILQefdgFD]")
_ORDERS = ("<", ">", "=", "|", "!")
MOST_BYTES = 2**33


class _RefusedError(Exception):
    """What a pickle holds that this reader does not admit."""


def load_plain_pickle(path: Path) -> object:
    """The value in a pickle of dictionaries, lists, tuples, numbers, texts, None and NumPy arrays of these.

    Raises:
        InputError: the file is no pickle, breaks off, or names anything else; nothing of it was executed.
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
        if (module, name) not in _NAMES:
            raise _RefusedError(f"holds {module}.{name}, which is neither a NumPy array nor a plain value")
        return _NAMES[module, name]

    def persistent_load(self, pid: object) -> object:
        raise _RefusedError("refers to objects outside of the file")


class _Name:
    """A name that a pickle may call; unlike a class or a function it has no attribute that a pickle could change."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise _RefusedError(f"sets {name} of a function")

    def __setstate__(self, state: object) -> None:
        raise _RefusedError("sets the state of a function")


class _DataType:
    """A plain data type: what NumPy's would say, without its flags, fields and metadata."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: object, *_: object) -> None:
        text = str(code)
        if text[:1] in _ORDERS:
            text = text[1:]
        if text not in ("O", "O8") and not _TYPES.fullmatch(text):
            raise _RefusedError(f"holds an array of the type {_short(code)}")
        self._code, self._order = text, "="

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in _ORDERS:
            raise _RefusedError("holds an array of a type that is not plain")
        if any(part is not None for part in state[2:5]):
            raise _RefusedError("holds an array of records")
        self._order = str(state[1])

    @property
    def of_objects(self) -> bool:
        """Whether the elements are Python's own."""
        return self._code[0] == "O"

    def dtype(self) -> np.dtype:
        """NumPy's name of it."""
        return np.dtype(self._code).newbyteorder({"!": ">", "|": "="}.get(self._order, self._order))  # type: ignore[arg-type]


class _Array:
    """An array while it is read; `array` is the result."""

    __slots__ = ("array",)

    def __init__(self, *_: object) -> None:
        self.array: np.ndarray = np.zeros(0)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise _RefusedError("holds an array of an unknown form")
        _, shape, kind, fortran, raw = state
        if isinstance(kind, _DataType) and kind.of_objects:
            self.array = _objects(shape, raw)
        else:
            self.array = _numbers(raw, kind, shape, "F" if fortran else "C")


def _numbers(raw: object, kind: object, shape: object, order: object = "C") -> np.ndarray:
    """A copy of some bytes as an array."""
    if not isinstance(raw, bytes | bytearray) or not isinstance(kind, _DataType) or kind.of_objects:
        raise _RefusedError("holds an array of an unknown form")
    flat = np.frombuffer(bytes(raw), kind.dtype())
    return flat.reshape(_shape(shape), order="F" if order == "F" else "C").copy()


def _objects(shape: object, raw: object) -> np.ndarray:
    """An array of plain values; its elements are what the pickle holds."""
    sizes = _shape(shape)
    if not isinstance(raw, list) or len(raw) != math.prod(sizes):
        raise _RefusedError("holds an array of an unknown form")
    flat = np.empty(len(raw), object)
    for place, value in enumerate(raw):
        flat[place] = _finished(value)
    return flat.reshape(sizes)


def _shape(shape: object) -> tuple[int, ...]:
    given = shape if isinstance(shape, tuple) else (shape,)
    sizes = tuple(size for size in given if isinstance(size, int) and size >= 0)
    if len(sizes) != len(given) or math.prod(sizes) > MOST_BYTES:
        raise _RefusedError(f"holds an array of the shape {_short(shape)}")
    return sizes


def _scalar(kind: object, raw: object = b"") -> object:
    if isinstance(kind, _DataType) and kind.of_objects:
        return _finished(raw)
    return _numbers(raw, kind, (1,))[0].item()


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """How old protocols write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _RefusedError(f"holds a text in the encoding {_short(encoding)}")
    return text.encode("latin1")


def _made(name: str, kind: Callable[..., object], sources: tuple[type, ...]) -> Callable[..., object]:
    """A builtin type made of nothing or of one value that is as large as the result: all that pickles need of it."""

    def make(*arguments: object) -> object:
        if len(arguments) > 1 or not all(isinstance(argument, sources) for argument in arguments):
            raise _RefusedError(f"calls {name} with {_short(arguments)}")
        return kind(*arguments)

    return make


def _names() -> Mapping[tuple[str, str], object]:
    """Everything a pickle may name, under the module paths of NumPy 1 and 2 and of Python 2 and 3."""
    table: dict[tuple[str, str], object] = {
        ("numpy", "dtype"): _Name(_DataType),
        ("numpy", "ndarray"): _Name(_Array),
        ("_codecs", "encode"): _Name(_encode),
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = _Name(_Array)
        table[f"{core}.multiarray", "scalar"] = _Name(_scalar)
        table[f"{core}.numeric", "_frombuffer"] = _Name(_frombuffer)
    several = (list, tuple, set, frozenset, dict)
    for kind in (dict, list, tuple, set, frozenset, int, float, complex, str, bytes, bytearray, bool):
        sources = several if kind in several else (bytes, bytearray) if kind is bytearray else (kind, str)
        for module in ("builtins", "__builtin__"):
            table[module, kind.__name__] = _Name(_made(kind.__name__, kind, sources))
    return table


def _frombuffer(raw: object, kind: object, shape: object, order: object, *_: object) -> "_Array":
    """How protocol 5 writes arrays."""
    array = _Array()
    array.array = _numbers(raw, kind, shape, order)
    return array


_NAMES = _names()


def _finished(value: object) -> object:
    """A value with NumPy's arrays instead of what they were read into."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, _Name | _DataType):
        raise _RefusedError("holds a function or type as a value")
    if isinstance(value, dict):
        for key, item in value.items():
            value[key] = _finished(item)
    elif isinstance(value, list):
        value[:] = [_finished(item) for item in value]
    elif isinstance(value, tuple):
        return tuple(_finished(item) for item in value)
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
