"""All frames of a run by what went wrong: in order, as a table, and as an image of all measures."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from dispose.errors import InputError
from dispose.scene.results import Results
from dispose_viz.style import MAP, add_colorbar, dress, theme_of
from dispose_workbench.failures.facts import FrameFacts
from dispose_workbench.failures.measures import MEASURES, Failure, Measure, known_measures, rank
from dispose_workbench.failures.reasons import explain

MISTAKES = ("wrong_pairs", "missed", "extra", "joint_error_mm")
DOUBTS = ("disagreement", "entropy_bits", "reprojection_px")


@dataclass(frozen=True, eq=False)
class Ranking:
    """The frames of a run by a measure, one of those that these results know.

    `failures` (what went wrong) and `reasons` (why, a sentence or two) are in order of time; `order` has the positions
    of the frames, worst first.
    """

    measure: Measure
    known: tuple[Measure, ...]
    failures: tuple[Failure, ...]
    reasons: tuple[str, ...]
    order: tuple[int, ...]

    def by(self, measure: Measure) -> "Ranking":
        """The same frames ranked by another measure."""
        return replace(self, measure=measure, order=rank(self.failures, measure))

    def headline(self, place: int) -> str:
        """What a frame was ranked by, and its mistakes (its doubts where there is no truth), with their values."""
        failure = self.failures[place]
        keys = MISTAKES if failure.wrong_pairs is not None or failure.missed is not None else DOUBTS
        listed = [self.measure] if self.measure.key not in (MEASURES[0].key, *keys) else []
        listed += [measure for measure in self.known if measure.key in keys and measure.value(failure)]
        words = [f"{measure.title} {value_text(measure, failure)}" for measure in listed]
        unknown = f" ({len(failure.unannotated)} of them not annotated)" if failure.unannotated else ""
        words = [word + unknown * (measure.key == "extra") for word, measure in zip(words, listed, strict=True)]
        return "  ·  ".join(words) or "nothing wrong"

    @property
    def means(self) -> tuple[tuple[str, float], ...]:
        """The mean of every known measure over the frames that have it, by the measure's key."""
        values = _values(self.known, self.failures)
        known = [row[np.isfinite(row)] for row in values]
        means = [float(row.mean()) if len(row) else math.nan for row in known]
        return tuple((measure.key, mean) for measure, mean in zip(self.known, means, strict=True))


def ranking_of(results: Results, rank_by: str = MEASURES[0].key) -> Ranking:
    """Measure, explain and rank all frames of a run.

    Raises:
        InputError: there is no measure of that name, or these results do not know it; the sentence lists what there is.
    """
    facts = [FrameFacts(result) for result in results.cases]  # what both ask of a frame is worked out once
    failures, reasons = tuple(one.failure for one in facts), tuple(explain(one) for one in facts)
    known = known_measures(failures) or MEASURES[:1]
    chosen = [measure for measure in known if measure.key == rank_by]
    if not chosen:
        names = ", ".join(measure.key for measure in known)
        what = "is not known of these results" if rank_by in [m.key for m in MEASURES] else "is no measure"
        raise InputError(f"frames cannot be ranked by {rank_by!r}: it {what}; there are {names}.")
    return Ranking(chosen[0], known, failures, reasons, rank(failures, chosen[0]))


def value_text(measure: Measure, failure: Failure) -> str:
    """A measure's value with its unit, a dash where it is not known."""
    value = measure.value(failure)
    if value is None or not math.isfinite(value):
        return "–"
    number = f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"
    return f"{number} {measure.unit}".strip()


def ranking_table(ranking: Ranking, rows: int) -> str:
    """The worst frames as text: number, what they are ranked by, and why."""
    lines = [f"{'frame':>6}  {'':>8}  {ranking.measure.title}"]
    for place in ranking.order[:rows]:
        failure = ranking.failures[place]
        why = textwrap.shorten(ranking.reasons[place], 100, placeholder=" …")
        lines.append(f"{failure.number:>6}  {value_text(ranking.measure, failure):>8}  {why}")
    return "\n".join(lines)


def draw_ranking(axes: Axes, ranking: Ranking, *, marked: int = 3) -> Axes:
    """Every measure (rows) of every frame (columns), each row from its least to its greatest value.

    There is at least one frame; so many of the worst get an arrow as are to be `marked`.
    """
    theme = theme_of(axes)
    numbers = [failure.number for failure in ranking.failures]
    values = _values(ranking.known, ranking.failures)
    greatest = np.nan_to_num(values).max(1, keepdims=True)
    shares = values / np.where(greatest > 0, greatest, 1.0)
    drawn = axes.imshow(shares, aspect="auto", cmap=f"{MAP}_r", vmin=0, vmax=1, interpolation="nearest")
    worst = [ranking.failures[int(row.argmax())] for row in np.nan_to_num(values)]
    peaks = [value_text(measure, failure) for measure, failure in zip(ranking.known, worst, strict=True)]
    names = [f"{measure.title} (at most {peak})" for measure, peak in zip(ranking.known, peaks, strict=True)]
    axes.set_yticks(range(len(names)), names)
    ticks = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), 13)).astype(int))
    axes.set_xticks(ticks, [str(numbers[i]) for i in ticks])
    for place in ranking.order[:marked]:
        axes.annotate(str(numbers[place]), (place, -0.5), (0, 14), textcoords="offset points", ha="center",
                      color=theme.alarm, fontsize=12, fontweight="bold",
                      arrowprops={"arrowstyle": "-|>", "color": theme.alarm})  # fmt: skip
    axes.set(xlabel="frame (number)")
    add_colorbar(axes, drawn, "share of the row's worst")
    return dress(axes)


def _values(measures: Sequence[Measure], failures: Sequence[Failure]) -> Float[np.ndarray, "measures frames"]:
    """Every measure of every frame, NaN where one is not known."""
    return np.array([[measure.value(failure) for failure in failures] for measure in measures], dtype=float)
