"""Weights of graph models of TensorFlow.js: a JSON file that lists them, and files of their numbers back to back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from dispose.errors import InputError
from dispose.formats.files import parse_json

PLAIN = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}
HALF = np.dtype("<f2")


@dataclass(frozen=True, eq=False)
class GraphWeights:
    """The arrays of a graph model by name, floats and integers.

    Attributes:
        source: where they come from, for messages.
        arrays: in float32 or int32; half precision is the only quantisation that is read, since it is exact.
    """

    source: str
    arrays: Mapping[str, Shaped[np.ndarray, "..."]]


def read_graph_weights(graph: bytes, files: Mapping[str, bytes], source: str) -> GraphWeights:
    """The weights that a graph model's JSON lists, from the bytes of the files it names.

    Numbers lie back to back in the order of the list, little-endian; integers stand between the floats.

    Raises:
        InputError: the JSON lists no such weights, names a file that is not there, or the numbers are more or fewer
            than it lists; the message begins with `source`.
    """
    try:
        held = parse_json(graph.decode(), source)
    except UnicodeDecodeError:
        raise InputError(f"{source}: is no JSON text.") from None
    groups = held.get("weightsManifest") if isinstance(held, dict) else None
    if not isinstance(groups, list) or not groups:
        raise InputError(f"{source}: lists no weights (weightsManifest): no graph model of TensorFlow.js.")
    arrays: dict[str, Shaped[np.ndarray, ...]] = {}
    for group in groups:
        paths, entries = (group.get(key) if isinstance(group, dict) else None for key in ("paths", "weights"))
        if not isinstance(paths, list) or not isinstance(entries, list):
            raise InputError(f"{source}: a part of its weightsManifest has no lists of paths and weights.")
        lacking = [path for path in paths if not isinstance(path, str) or path not in files]
        if lacking:
            raise InputError(f"{source}: its weights lie in {lacking[0]!r}, which is not there.")
        # An entry may begin in one file and end in the next.
        stream, start = b"".join(files[path] for path in paths), 0
        for entry in entries:
            name, shape, kind = _entry(entry, source)
            count = math.prod(shape)
            if name in arrays:
                raise InputError(f"{source}: lists {name!r} twice.")
            if start + count * kind.itemsize > len(stream):
                raise InputError(f"{source}: its numbers break off in {name!r}, after {len(stream)} bytes.")
            read = np.frombuffer(stream, kind, count, start).reshape(shape)
            if not np.isfinite(read).all():
                raise InputError(f"{source}: {name!r} has values that are not finite.")
            arrays[name] = read.astype(np.float32) if kind == HALF else read
            start += count * kind.itemsize
        if start != len(stream):
            raise InputError(f"{source}: lists {start} bytes of weights, there are {len(stream)}.")
    return GraphWeights(source, arrays)


def _entry(entry: Any, source: str) -> tuple[str, tuple[int, ...], np.dtype]:
    """Name, shape and stored kind of an entry of the list."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise InputError(f"{source}: an entry of its weightsManifest has no name.")
    shape, dtype, stored = entry.get("shape"), entry.get("dtype"), entry.get("quantization")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise InputError(f"{source}: the shape of {name!r} is {shape!r}.")
    if stored is None and dtype in PLAIN:
        return name, tuple(shape), PLAIN[dtype]
    if dtype == "float32" and isinstance(stored, dict) and stored.get("dtype") == "float16":
        return name, tuple(shape), HALF
    raise InputError(f"{source}: {name!r} is stored as {dtype!r} ({stored!r}); float32, float16 and int32 are read.")
