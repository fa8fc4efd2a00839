"""Where the time of a computation goes, part by part, and the memory it takes."""

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import torch
from torch import nn

Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")

REST = "other"
"""What no part claims."""


@dataclass(frozen=True)
class Part:
    """One share of a computation's time: elapsed, and of the thread on a processor, whatever else the machine does."""

    name: str
    milliseconds: float
    processor_ms: float = 0.0


def peak_mib() -> float:
    """Largest resident memory of this process so far (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    """Time spent in named parts; what an inner part takes does not count for the outer one.

    On an accelerator every change of part waits until the device is done, which costs a little and tells the truth.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._spent: dict[str, tuple[float, float]] = {}
        self._open: list[str] = []
        self._since = 0.0, 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what is done inside for this part."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave()

    def wrap(self, name: str, work: Callable[Arguments, Found]) -> Callable[Arguments, Found]:
        """A function whose every call counts for this part."""

        def call(*arguments: Arguments.args, **options: Arguments.kwargs) -> Found:
            with self.part(name):
                return work(*arguments, **options)

        return call

    def watch(self, module: nn.Module, name: str) -> None:
        """Count every call of a module for this part."""
        module.register_forward_pre_hook(lambda *_: self._enter(name))
        module.register_forward_hook(lambda *_: self._leave())

    def parts(self) -> tuple[Part, ...]:
        """What was counted so far."""
        return tuple(Part(name, round(1e3 * a, 2), round(1e3 * b, 2)) for name, (a, b) in self._spent.items())

    def once(self, work: Callable[[], object]) -> tuple[Part, ...]:
        """The parts of one run."""
        self._spent.clear()
        with self.part(REST):
            work()
        return self.parts()

    def median(self, work: Callable[[], object], repeats: int) -> tuple[Part, ...]:
        """The parts of the run of median length, after one run that does not count."""
        runs = [self.once(work) for _ in range(repeats + 1)]
        middle = statistics.median_low(sum(part.milliseconds for part in run) for run in runs[1:])
        return next(run for run in runs[1:] if sum(part.milliseconds for part in run) == middle)

    def _enter(self, name: str) -> None:
        self._charge()
        self._open.append(name)

    def _leave(self) -> None:
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter(), time.thread_time()
        if self._open:
            elapsed, busy = self._spent.get(self._open[-1], (0.0, 0.0))
            self._spent[self._open[-1]] = elapsed + now[0] - self._since[0], busy + now[1] - self._since[1]
        self._since = now
