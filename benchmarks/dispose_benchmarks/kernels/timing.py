"""Measured figures as records, and the file they go to."""

import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Comparison:
    """One operator against its definition, on the same operands in the same run; best of some repetitions."""

    operator: str
    case: str
    fast_ms: float
    reference_ms: float
    ratio: float
    difference: float


@dataclass(frozen=True)
class Feasibility:
    """How well the converged projection meets its marginals on random captures."""

    captures: int
    false_people_per_view: int
    tuples: int
    worst_residual: float
    slowest_iterations: int
    seconds: float


@dataclass(frozen=True)
class Scale:
    """What one operator takes where its definition is out of reach; memory is the peak of the process so far."""

    operator: str
    case: str
    milliseconds: float
    tuples: int
    peak_mib: int


Result = Comparison | Feasibility | Scale


def peak_mib() -> int:
    """Largest resident memory of this process so far (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def milliseconds(function: Callable[[], object], repetitions: int) -> float:
    """Shortest wall time of some calls, after one that is not counted."""
    function()
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def compare(
    operator: str,
    case: str,
    fast: Callable[[], torch.Tensor],
    reference: Callable[[], torch.Tensor],
    *,
    repetitions: int = 5,
) -> Comparison:
    """Times of both, their ratio (above 1: the fast one is faster) and the largest difference of their results."""
    difference = float((fast() - reference()).abs().max())
    fast_ms, reference_ms = milliseconds(fast, repetitions), milliseconds(reference, max(1, repetitions // 3))
    return Comparison(
        operator, case, round(fast_ms, 4), round(reference_ms, 4), round(reference_ms / fast_ms, 2), difference
    )


def write_report(path: Path, results: list[Result]) -> None:
    """Write the figures as JSON, to a temporary name first: the file is either the old or the complete new one."""
    report = {
        "schema": "dispose.kernel-bench/1",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "results": [{"kind": type(result).__name__.lower(), **asdict(result)} for result in results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    os.replace(file.name, path)
