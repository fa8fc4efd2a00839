"""The studies of what lifts one image, behind `dispose evaluate lifters`: each in small, with its controls.

They prove mechanisms on synthetic people before the real cameras of Human3.6M, not the accuracy on a data set. Every
line that is to hold is measured, and written down whether it holds or not.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dispose.errors import InputError
from dispose.workers import worker_pool
from dispose_benchmarks.report import require_numbers
from dispose_benchmarks.studies import lift_context, lift_gmm, lift_hypotheses
from dispose_benchmarks.studies.promises import Promise, StudyLine, write_study

SCHEMA = "dispose.lifters/1"


@dataclass(frozen=True)
class LiftStudy:
    """A study: what one seed says by a plan, the plans, and what is to hold."""

    name: str
    measure: Callable[[int, Any], list[StudyLine]]
    full: Any
    smoke: Any
    promises: tuple[Promise, ...]


PARTS = (
    LiftStudy(
        "hypotheses",
        lift_hypotheses.study_seed,
        lift_hypotheses.FULL,
        lift_hypotheses.SMOKE,
        lift_hypotheses.PROMISES,
    ),
    LiftStudy("gmm", lift_gmm.study_seed, lift_gmm.FULL, lift_gmm.SMOKE, lift_gmm.PROMISES),
    LiftStudy("context", lift_context.study_seed, lift_context.FULL, lift_context.SMOKE, lift_context.PROMISES),
)


@dataclass(frozen=True)
class Plans:
    """By which plan every study was run."""

    plans: dict[str, Any] = field(default_factory=dict)


def measure(seed: int, parts: Sequence[LiftStudy], smoke: bool) -> list[StudyLine]:
    """Everything that one seed says in some of the studies."""
    return [line for part in parts for line in part.measure(seed, part.smoke if smoke else part.full)]


def chosen(names: Sequence[str]) -> tuple[LiftStudy, ...]:
    """Studies by name; all where none is named. Raises `InputError` for a name that there is not."""
    known = {part.name: part for part in PARTS}
    for name in names:
        if name not in known:
            raise InputError(f"there is no study of lifters called {name!r}; there are {', '.join(known)}.")
    return tuple(known[name] for name in names) or PARTS


@dataclass(frozen=True)
class LiftersStudy:
    """The studies and where their figures go."""

    seeds: tuple[int, ...]
    names: tuple[str, ...]
    path: Path
    workers: int = 1
    smoke: bool = False

    def run(self) -> int:
        """Measure, print, write: after every seed what is known so far."""
        require_numbers("seeds", self.seeds, 0)
        parts, done = chosen(self.names), list[list[StudyLine]]()
        plans = Plans({part.name: asdict(part.smoke if self.smoke else part.full) for part in parts})
        promises = [promise for part in parts for promise in part.promises]
        work = partial(measure, parts=parts, smoke=self.smoke)
        with worker_pool(min(self.workers, len(self.seeds))) as pool:
            for lines in tqdm(pool.map(work, self.seeds), total=len(self.seeds)):
                done.append(lines)
                write_study(self.path, SCHEMA, plans, promises, done, unit_of)
        return 0


def unit_of(line: StudyLine) -> str:
    """How a line's value is called in the file; shares and ratios are plain values."""
    return (
        "value" if any(word in line.method for word in ("share", "error of calibration", "ratio", "largest")) else "mm"
    )
