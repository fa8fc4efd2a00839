"""All frames of a run by what went wrong: in order, as a table, and as one picture."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dispose.errors import InputError
from dispose.scene.results import FrameResult, Results
from dispose_viz.style import LIGHT, MAP, Theme, dress
from dispose_workbench.failures.facts import FrameFacts
from dispose_workbench.failures.measures import MEASURES, Failure, Measure, known_measures, rank
from dispose_workbench.failures.reasons import explain

MISTAKES = ("wrong_pairs", "missed", "extra", "joint_error_mm")
DOUBTS = ("disagreement", "entropy_bits", "reprojection_px")


@dataclass(frozen=True, eq=False)
class Ranking:
    """The frames of a run, worst first.

    Attributes:
        measure: what they are ranked by.
        known: all that these results could be ranked by.
        failures: what went wrong in every frame, in order of time.
        reasons: why, one sentence or two for every frame, in order of time.
        order: positions of the frames, worst first.
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
        words = [f"{measure.title} {_mistakes_text(measure, failure)}" for measure in listed]
        return "  ·  ".join(words) or "nothing wrong"

    @property
    def means(self) -> tuple[tuple[str, float], ...]:
        """The mean of every known measure over the frames that have it, by the measure's key."""
        return tuple((measure.key, _mean(measure, self.failures)) for measure in self.known)


def ranking_of(results: Results, rank_by: str = MEASURES[0].key) -> Ranking:
    """Measure, explain and rank all frames of a run.

    Raises:
        InputError: there is no measure of that name, or these results do not know it; the sentence lists what there is.
    """
    looked = [measure_and_explain(result) for result in results.cases]
    failures, reasons = tuple(failure for failure, _ in looked), tuple(why for _, why in looked)
    known = known_measures(failures) or MEASURES[:1]
    chosen = [measure for measure in known if measure.key == rank_by]
    if not chosen:
        names = ", ".join(measure.key for measure in known)
        what = "is not known of these results" if rank_by in [m.key for m in MEASURES] else "is no measure"
        raise InputError(f"frames cannot be ranked by {rank_by!r}: it {what}; there are {names}.")
    return Ranking(chosen[0], known, failures, reasons, rank(failures, chosen[0]))


def measure_and_explain(result: FrameResult) -> tuple[Failure, str]:
    """What went wrong in a frame and why; what both ask of the frame is worked out once."""
    facts = FrameFacts(result)
    return facts.failure, explain(facts)


def value_text(measure: Measure, failure: Failure) -> str:
    """A measure's value with its unit, a dash where it is not known."""
    value = measure.value(failure)
    if value is None or not math.isfinite(value):
        return "–"
    number = f"{value:.0f}" if float(value).is_integer() else f"{value:.1f}"
    return f"{number} {measure.unit}".strip()


def _mistakes_text(measure: Measure, failure: Failure) -> str:
    """A value as text; of extra people also how many of them the truth may just not know."""
    text = value_text(measure, failure)
    if measure.key != "extra" or not failure.unannotated:
        return text
    return f"{text} ({len(failure.unannotated)} of them not annotated)"


def ranking_table(ranking: Ranking, rows: int) -> str:
    """The worst frames as text: number, what they are ranked by, and why."""
    lines = [f"{'frame':>6}  {'':>8}  {ranking.measure.title}"]
    for place in ranking.order[:rows]:
        failure = ranking.failures[place]
        why = textwrap.shorten(ranking.reasons[place], 100, placeholder=" …")
        lines.append(f"{failure.number:>6}  {value_text(ranking.measure, failure):>8}  {why}")
    return "\n".join(lines)


def draw_ranking(axes: Axes, ranking: Ranking, *, marked: int = 3, theme: Theme = LIGHT) -> Axes:
    """Every measure (rows) of every frame (columns), each row from its least to its greatest value.

    Args:
        axes: where to draw.
        ranking: of at least one frame.
        marked: so many of the worst frames get an arrow.
        theme: its colours.
    """
    numbers = [failure.number for failure in ranking.failures]
    image = np.array([_scaled(measure, ranking.failures) for measure in ranking.known])
    drawn = axes.imshow(image, aspect="auto", cmap=f"{MAP}_r", vmin=0, vmax=1, interpolation="nearest")
    peaks = [_greatest(measure, ranking.failures) for measure in ranking.known]
    names = [f"{measure.title} (at most {peak})" for measure, peak in zip(ranking.known, peaks, strict=True)]
    axes.set_yticks(range(len(names)), names)
    ticks = np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), 13)).astype(int))
    axes.set_xticks(ticks, [str(numbers[i]) for i in ticks])
    for place in ranking.order[:marked]:
        axes.annotate(str(numbers[place]), (place, -0.5), (0, 14), textcoords="offset points", ha="center",
                      color=theme.alarm, fontsize=12, fontweight="bold",
                      arrowprops={"arrowstyle": "-|>", "color": theme.alarm})  # fmt: skip
    axes.set(xlabel="frame (number)")
    dress(axes, theme=theme)
    figure = axes.figure
    assert isinstance(figure, Figure)
    bar = figure.colorbar(drawn, ax=axes, label="share of the row's worst", pad=0.01)
    bar.ax.tick_params(colors=theme.ink, labelsize=11)
    bar.ax.yaxis.label.set(color=theme.ink, fontsize=12)
    return axes


def _values(measure: Measure, failures: Sequence[Failure]) -> np.ndarray:
    values = [measure.value(failure) for failure in failures]
    return np.array([np.nan if value is None else float(value) for value in values])


def _scaled(measure: Measure, failures: Sequence[Failure]) -> np.ndarray:
    """Values as shares of the greatest; NaN (nothing drawn) where one is not known."""
    values = _values(measure, failures)
    top = np.nanmax(values) if np.isfinite(values).any() else 0.0
    return values / top if top > 0 else values * 0.0


def _greatest(measure: Measure, failures: Sequence[Failure]) -> str:
    worst = max(failures, key=lambda failure: measure.value(failure) or 0.0)
    return value_text(measure, worst)


def _mean(measure: Measure, failures: Sequence[Failure]) -> float:
    values = _values(measure, failures)
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else math.nan
