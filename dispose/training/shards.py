"""What runs share that may be stopped, resumed, spread over processes: folders, ranks, shards of records on disk.

A shard is made once, learned from often, read one record at a time; it is a function of the recipe and its number
alone. It appears complete or not at all, so that a run that was stopped goes on where it was.
"""

import datetime
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, distributed
from tqdm import tqdm

from dispose.errors import InputError
from dispose.formats.files import replacing, replacing_path
from dispose.tensors import TensorStruct
from dispose.workers import worker_pool

PATIENCE = datetime.timedelta(days=1)
"""How long processes wait for the one that draws or scores."""


def claim(folder: Path, text: str) -> None:
    """Write a run's recipe into its folder.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.json"
    if path.exists() and path.read_text() != text:
        raise InputError(f"{folder}: holds a run of another recipe ({path.name} differs); choose another folder")
    if is_first() and not path.exists():
        with replacing(path) as file:
            file.write(text)


def is_first() -> bool:
    """Whether this is the process that writes (``torchrun`` starts several)."""
    return int(os.environ.get("RANK", "0")) == 0


def meet() -> None:
    """Processes that ``torchrun`` started wait here for each other; alone there is nobody to wait for."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    # A sum on the CPU, for which gloo needs no device.
    distributed.all_reduce(torch.zeros(1))


def write_once(path: Path, write: Callable[[Path], None]) -> None:
    """The first process writes a file that is not there yet; the others go on when it is."""
    if is_first() and not path.exists():
        write(path)
    meet()


def build_files(
    build: Callable[[int, Path], None],
    files: Sequence[tuple[int, Path]],
    title: str,
    *,
    workers: int | None = None,
) -> None:
    """Build the numbered files that are not there yet, in worker processes of one thread each, with a progress bar.

    Of several processes the first one's workers build, and all go on together.
    """
    missing = [(number, path) for number, path in files if not path.exists()]
    if missing and is_first():
        workers = min(workers or os.cpu_count() or 1, len(missing))
        bar = tqdm(total=len(files), initial=len(files) - len(missing), desc=title, unit="chunk")
        with bar, worker_pool(workers) as pool:
            futures = [pool.submit(build, number, path) for number, path in missing]
            for future in as_completed(futures):
                future.result()
                bar.update()
    meet()


def build_shards(
    folder: Path, title: str, count: int, build: Callable[[int, Path], None], *, workers: int | None = None
) -> list[Path]:
    """The numbered shards of a run in its folder, after those that are not there yet are built (`build_files`)."""
    files = [(number, folder / "shards" / f"{title}_{number:05d}.safetensors") for number in range(count)]
    build_files(build, files, title, workers=workers)
    return [path for _, path in files]


Record = TypeVar("Record", bound=TensorStruct)


def save_shard(path: Path, records: Sequence[TensorStruct]) -> None:
    """Write records of one kind: their tensors one after the other, and the shape that every record's had."""
    rows = [_tensors(record) for record in records]
    columns = list(zip(*rows, strict=True))
    tensors = {column[0][0]: torch.cat([value.flatten() for _, value in column]) for column in columns}
    for column in columns:
        tensors[f"{column[0][0]} shape"] = torch.tensor([value.shape for _, value in column]).long()
    with replacing_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"records": str(len(records))}))


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
