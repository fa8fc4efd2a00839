"""Records of tensors kept on disk, shard by shard: made once, learned from often, read one at a time.

A shard is a function of the recipe and its number alone. It appears complete or not at all, so that a run that was
stopped goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from dispose.formats.files import replacing_path
from dispose.tensors import TensorStruct

Record = TypeVar("Record", bound=TensorStruct)


def save_shard(path: Path, records: Sequence[TensorStruct]) -> None:
    """Write records of one kind: their tensors one after the other, and the shape that every record's had."""
    rows = [_tensors(record) for record in records]
    columns = list(zip(*rows, strict=True))
    tensors = {column[0][0]: torch.cat([value.flatten() for _, value in column]) for column in columns}
    for column in columns:
        tensors[f"{column[0][0]} shape"] = torch.tensor([value.shape for _, value in column]).long()
    with replacing_path(path) as temporary:
        save_file(tensors, temporary, metadata={"records": str(len(records))})


class Shards(Generic[Record]):
    """The records of some shards by number.

    Shapes lie in memory, values are read when they are asked for. No files are kept open, because loaders hand a source
    to other processes.

    Args:
        paths: the files.
        like: a record of this kind, whose plain values all of them have.
    """

    def __init__(self, paths: Sequence[Path], like: Record) -> None:
        self._paths, self._like, self._names = list(paths), like, [name for name, _ in _tensors(like)]
        self._shapes: list[dict[str, Tensor]] = []
        self._place: list[tuple[int, int]] = []
        for shard, path in enumerate(paths):
            with safe_open(path, "pt") as file:
                count = int(file.metadata()["records"])
                self._shapes.append({n: file.get_tensor(f"{n} shape") for n in self._names} if count else {})
            self._place += [(shard, row) for row in range(count)]
        self._first = [
            {n: [0, *accumulate(shape.prod(1).tolist())] for n, shape in shapes.items()} for shapes in self._shapes
        ]

    def __len__(self) -> int:
        return len(self._place)

    def shape(self, row: int, name: str) -> tuple[int, ...]:
        """The shape of a record's tensor, nested names joined by a point; nothing is read."""
        shard, place = self._place[row]
        return tuple(self._shapes[shard][name][place].tolist())

    def __getitem__(self, row: int) -> Record:
        shard, place = self._place[row]
        with safe_open(self._paths[shard], "pt") as file:
            return self._record(shard, place, lambda name, part: file.get_slice(name)[part])

    def read_all(self) -> list[Record]:
        """Every record; each file is read once."""
        files = [load_file(path) for path in self._paths]
        return [self._record(shard, place, lambda n, part, s=shard: files[s][n][part]) for shard, place in self._place]

    def _record(self, shard: int, place: int, read: Callable[[str, slice], Tensor]) -> Record:
        values = []
        for name in self._names:
            first, last = self._first[shard][name][place : place + 2]
            values.append(read(name, slice(first, last)).reshape(self._shapes[shard][name][place].tolist()))
        return _filled(self._like, iter(values))


def _tensors(record: TensorStruct, above: str = "") -> list[tuple[str, Tensor]]:
    """Names and tensors of a record and those inside it; what is None is left out."""
    found = []
    for name, value in vars(record).items():
        if isinstance(value, TensorStruct):
            found += _tensors(value, f"{above}{name}.")
        elif isinstance(value, Tensor):
            found.append((above + name, value))
    return found


def _filled(like: Record, values: Iterator[Tensor]) -> Record:
    """The record with other tensors, in the order of `_tensors`."""
    changed = {}
    for name, value in vars(like).items():
        if isinstance(value, TensorStruct):
            changed[name] = _filled(value, values)
        elif isinstance(value, Tensor):
            changed[name] = next(values)
    return replace(like, **changed)  # type: ignore[type-var]
