"""Measured figures of operators as records. Times are those of `torch.utils.benchmark`."""

import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch.utils.benchmark import Measurement, Timer

LEAST_SECONDS = 0.2
"""An operator is called again and again for so long."""


@dataclass(frozen=True)
class Comparison:
    """One operator against its definition, on the same operands in the same run; medians of many calls."""

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


def row_of(result: Result) -> dict[str, object]:
    """A figure as the result file has it."""
    return {"kind": type(result).__name__.lower(), **asdict(result)}


def line_of(result: Result) -> str:
    """A figure for a terminal."""
    known = row_of(result)
    texts = [str(value) for value in known.values() if isinstance(value, str)]
    numbers = [f"{name.replace('_', ' ')} {value:.5g}" for name, value in known.items() if not isinstance(value, str)]
    return f"{': '.join(texts)}: {', '.join(numbers)}"


def time_calls(function: Callable[[], object]) -> Measurement:
    """Many calls of a function, after some that are not counted, on as many threads as torch may use."""
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    return timer.blocked_autorange(min_run_time=LEAST_SECONDS)


def compare(
    operator: str, case: str, fast: Callable[[], torch.Tensor], reference: Callable[[], torch.Tensor]
) -> Comparison:
    """Times of both, their ratio (above 1: the fast one is faster) and the largest difference of their results."""
    difference = float((fast() - reference()).abs().max())
    fast_ms, reference_ms = (1e3 * time_calls(function).median for function in (fast, reference))
    return Comparison(
        operator, case, round(fast_ms, 4), round(reference_ms, 4), round(reference_ms / fast_ms, 2), difference
    )
