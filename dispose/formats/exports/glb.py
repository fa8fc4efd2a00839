"""The container of glTF 2.0: one JSON and one block of bytes, both in a ``.glb``.

Written here because arrays go to disk as they come; the packages for glTF hold the whole file in memory.
"""

import json
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from jaxtyping import Shaped

from dispose.errors import OutputError
from dispose.formats.files import replacing_path, writing

FLOAT, SHORT = 5126, 5123
KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
MOST_BYTES = 2**32 - 1


class GlbWriter:
    """Arrays on disk and what is said of them, until `save` makes a file of both.

    Attributes:
        parts: the lists of a glTF file by name (nodes, meshes, …), to be filled by who knows what it shows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts: dict[str, list[dict[str, object]]] = {"accessors": [], "bufferViews": []}
        self._bytes = TemporaryFile()  # noqa: SIM115  (closed with the writer)
        self._size = 0

    def add(self, part: str, entry: dict[str, object]) -> int:
        """An entry at the end of a list; its position."""
        self.parts.setdefault(part, []).append(entry)
        return len(self.parts[part]) - 1

    def array(self, array: Shaped[np.ndarray, "rows columns"], *, bounds: bool = False) -> int:
        """An array of float32 or uint16; its accessor. Extremes are said where the format asks for them."""
        kind = SHORT if array.dtype == np.uint16 else FLOAT
        extremes = {"min": array.min(0).tolist(), "max": array.max(0).tolist()} if bounds else {}
        accessor = self._accessor(len(array), array.shape[1], kind, extremes)
        with writing(self.path):
            self._bytes.seek(self._size)
            self._bytes.write(np.ascontiguousarray(array).tobytes())
        self._size += array.nbytes
        return accessor

    def tracks(
        self, count: int, frames: int, width: int, blocks: Callable[[Shaped[np.ndarray, "tracks frames width"]], None]
    ) -> list[int]:
        """Several arrays of float32, filled by somebody who goes through frames and not arrays; their accessors."""
        first = self._size
        accessors = []
        for _ in range(count):
            accessors.append(self._accessor(frames, width, FLOAT, {}))
            self._size += frames * width * 4
        with writing(self.path):
            self._bytes.truncate(self._size)
            if self._size > first:
                room = np.memmap(self._bytes, np.float32, "r+", offset=first, shape=(count, frames, width))
                blocks(room)
                room.flush()
        return accessors

    def save(self, head: Mapping[str, object]) -> None:
        """Write the file. Raises `OutputError` where it would be larger than the format can say."""
        parts = {name: entries for name, entries in self.parts.items() if entries}
        text = json.dumps({**head, **parts, "buffers": [{"byteLength": self._size}]}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + self._size
        if total > MOST_BYTES:
            raise OutputError(f"{self.path}: would be {total / 1e9:.1f} GB, a .glb holds 4; export fewer frames.")
        with replacing_path(self.path) as temporary, open(temporary, "wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, total))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", self._size, b"BIN\0"))
            self._bytes.seek(0)
            shutil.copyfileobj(self._bytes, file, 1 << 20)
        self._bytes.close()

    def _accessor(self, rows: int, columns: int, kind: int, extremes: Mapping[str, object]) -> int:
        """What is said of an array that begins where the bytes end now."""
        size = rows * columns * (2 if kind == SHORT else 4)
        view = self.add("bufferViews", {"buffer": 0, "byteOffset": self._size, "byteLength": size})
        entry = {"bufferView": view, "componentType": kind, "count": rows, "type": KINDS[columns], **extremes}
        return self.add("accessors", entry)
