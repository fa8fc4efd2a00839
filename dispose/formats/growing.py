"""Files that grow while a run goes on and hold whole blocks only, whenever the run is killed."""

import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from dispose.errors import ShapeError
from dispose.formats.arrays import read_arrays
from dispose.formats.files import replacing_path, writing

SCHEMA = "dispose.partial/1"
STATE = "state.npz"

Columns = list[tuple[str, Shaped[np.ndarray, "..."]]]
"""Arrays by name; those that are the rows of a table have the rows as their first axis."""


@dataclass(frozen=True)
class GrownColumn:
    """An array in a file of its own: its numbers one after the other, without a header."""

    path: Path
    dtype: str
    shape: tuple[int, ...]

    def array(self) -> Shaped[np.ndarray, "..."]:
        """The array, of which nothing is in memory before it is looked at."""
        if 0 in self.shape:
            return np.zeros(self.shape, np.dtype(self.dtype))
        return np.memmap(self.path, np.dtype(self.dtype), "r", shape=self.shape)


class GrowingFolder:
    """Text and tables in a folder that grow block by block.

    `commit` makes everything count that was appended since the last commit, in one step. What was not committed when a
    process ended is cut off when the folder is opened again.

    Attributes:
        about: a text that was committed beside the tables; empty before the first commit.
        arrays: likewise arrays, replaced as a whole by every commit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = ""
        self.arrays: Mapping[str, Shaped[np.ndarray, ...]] = {}
        self._kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._committed: dict[str, int] = {}
        if (folder / STATE).is_file():
            columns = dict(read_arrays(folder / STATE, SCHEMA).columns)
            state = json.loads(str(columns.pop("state")))
            self.about, self.arrays, self._committed = state["about"], columns, state["bytes"]
            self._kinds = {name: (dtype, tuple(tail)) for name, (dtype, tail) in state["kinds"].items()}
        self._bytes = dict(self._committed)
        self.roll_back()

    def append_text(self, name: str, text: str) -> None:
        """Text at the end of a file."""
        self._append(name, text.encode())

    def append_rows(self, columns: Columns) -> None:
        """Rows at the end of tables, a file per column. Raises `ShapeError` where they are not of one kind."""
        for name, rows in columns:
            kind = (rows.dtype.str, rows.shape[1:])
            if not len(rows) and name in self._kinds:
                continue  # such a block may not know how wide its rows are
            if self._bytes.get(name) and self._kinds[name] != kind:
                raise ShapeError(f"{name}: rows of {kind[1]} {kind[0]} after rows of {self._kinds[name]}")
            self._kinds[name] = kind
            self._append(name, np.ascontiguousarray(rows).tobytes())

    def commit(self, about: str, arrays: Columns) -> None:
        """What was appended counts from now on, whatever happens; `about` and `arrays` replace the last ones."""
        state = json.dumps({"about": about, "bytes": self._bytes, "kinds": self._kinds})
        with replacing_path(self.folder / STATE) as temporary:
            head = {"schema": np.array(SCHEMA), "state": np.array(state)}
            np.savez(temporary, allow_pickle=False, **head, **dict(arrays))
        self.about, self.arrays, self._committed = about, dict(arrays), dict(self._bytes)

    def roll_back(self) -> None:
        """Cut off whatever was not committed; a folder without a commit goes altogether."""
        self._bytes = dict(self._committed)
        if self.folder.is_dir() and not self._committed:
            self.remove()
        for path in self.folder.glob("*"):
            if path.name in self._committed:
                os.truncate(path, self._committed[path.name])
            elif path.name != STATE:
                path.unlink()

    def remove(self) -> None:
        """The folder goes, its state first: what is left of a killed removal is no run to go on with."""
        (self.folder / STATE).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that there are."""
        return tuple(self._kinds)

    def column(self, name: str) -> GrownColumn:
        """A column as far as it has grown."""
        dtype, tail = self._kinds[name]
        width = int(np.prod(tail)) * np.dtype(dtype).itemsize
        return GrownColumn(self.folder / name, dtype, (self._bytes[name] // width if width else 0, *tail))

    def _append(self, name: str, data: bytes) -> None:
        path = self.folder / name
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:
                file.write(data)
        self._bytes[name] = self._bytes.get(name, 0) + len(data)


def write_npz(path: Path, columns: Iterable[tuple[str, Shaped[np.ndarray, "..."] | GrownColumn]]) -> None:
    """Write arrays as `np.savez_compressed` does; grown columns go through without being held in memory."""
    with replacing_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, column in columns:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                if isinstance(column, GrownColumn):
                    header = {"descr": column.dtype, "fortran_order": False, "shape": column.shape}
                    np.lib.format.write_array_header_1_0(member, header)
                    with open(column.path, "rb") as source:
                        shutil.copyfileobj(source, member, 1 << 20)
                else:
                    np.lib.format.write_array(member, column, allow_pickle=False)
