"""What studies share: figures by case and method, the lines that are to hold, and the files that say both."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from dispose_benchmarks.report import write_figures

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True)
class StudyLine:
    """The mean error of a method in a case of the study, mm; or another figure, where the method says so."""

    case: str
    method: str
    value: float


@dataclass(frozen=True)
class Promise:
    """A line that is to hold: the value of a method in a case, at most (or least) a factor times another's.

    Attributes:
        title: for people.
        case: of the study.
        method: whose value.
        bound: the factor, or the bound itself where there is no other method.
        against: the other method, in the same case.
        other_case: the case of the other value, where it is another one.
        least: the value is to be at least that, not at most.
    """

    title: str
    case: str
    method: str
    bound: float
    against: str = ""
    other_case: str = ""
    least: bool = False


def kept(promise: Promise, lines: Sequence[StudyLine]) -> float:
    """The value that a promise speaks of, as one seed has it."""
    found = {(line.case, line.method): line.value for line in lines}
    value = found[promise.case, promise.method]
    return value / found[promise.other_case or promise.case, promise.against] if promise.against else value


def write_study(
    path: Path,
    schema: str,
    plan: "DataclassInstance",
    promises: Sequence[Promise],
    done: Sequence[Sequence[StudyLine]],
    unit: Callable[[StudyLine], str],
) -> None:
    """Print the promises; write medians over the seeds that are done, and beside them, in ``…_lines``, the promises.

    Args:
        path: of the figures.
        schema: of both files.
        plan: how much was learned and scored.
        promises: what is to hold.
        done: the lines of every seed that is done, in the same order.
        unit: the name of a line's value in the file.
    """
    rows = []
    for place, line in enumerate(done[0]):
        value = median(lines[place].value for lines in done)
        rows.append({"kind": line.case, "method": line.method, unit(line): value, "seeds": len(done)})
    checks = []
    for promise in promises:
        value = median(kept(promise, lines) for lines in done)
        holds = value >= promise.bound if promise.least else value <= promise.bound
        asked = f"{'≥' if promise.least else '≤'} {promise.bound:g}"
        held = "yes" if holds else "no"
        checks.append({"line": promise.title, "value": value, "asked": asked, "holds": held, "seeds": len(done)})
        print(f"{promise.title:<72} {value:8.3f}  {asked:<8} {'' if holds else 'DOES NOT HOLD'}")
    write_figures(path, schema, {"plan": asdict(plan), "rows": rows})
    beside = path.with_name(f"{path.stem}_lines.json")
    write_figures(beside, schema, {"plan": asdict(plan), "rows": checks})
