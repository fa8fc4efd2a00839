"""One frame that went wrong as one page: views, scene, competing tuples, how they competed, and why it failed."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from mpl_toolkits.mplot3d.axes3d import Axes3D

from dispose.errors import InputError
from dispose.formats.files import replacing_path
from dispose.scene.results import FrameResult, Results
from dispose_viz.inspector.contest import (
    Contender,
    Verdict,
    contenders_of,
    contests_of,
    nothing_contested,
    nothing_moved,
    verdict_of,
)
from dispose_viz.inspector.panels import draw_contenders, draw_race, draw_scene
from dispose_viz.inspector.ranking import Ranking
from dispose_viz.inspector.views import columns_for, draw_case_views, say
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme
from dispose_workbench.failures.facts import failure_of

PAGE = (16.0, 11.0)
"""Inches: 1600 x 1100 pixels."""

NO_VIEWS = "no views: these results come without cameras or without detections"
TITLE_LETTERS = 92
"""As many fit into the page's width in the largest size; longer titles are smaller."""


def page_of(results: Results, index: int, *, headline: str = "", reason: str = "", theme: Theme = LIGHT) -> Figure:
    """The page of one frame.

    Args:
        results: a finished run.
        index: which of its frames.
        headline: what it was ranked by, behind the frame's number.
        reason: the sentence why it failed.
        theme: its colours.
    """
    case = results.cases[index]
    verdict = verdict_of(case)
    figure = Figure(figsize=PAGE, dpi=POINTS_PER_INCH, facecolor=theme.paper)
    parts = (results.name, results.method, f"frame {case.prediction.number}", headline)
    title = textwrap.shorten("  ·  ".join(part for part in parts if part), 150, placeholder=" …")
    _write(figure, 0.975, title, min(18, 18 * TITLE_LETTERS // len(title)), theme, bold=True)
    lines = textwrap.wrap(reason, 158, max_lines=3, placeholder=" …")
    _write(figure, 0.94, "\n".join(lines), 13, theme)
    right = _draw_views(figure, case, verdict, theme)
    scene = figure.add_axes((right + 0.01, 0.415, 0.95 - right, 0.46), projection="3d")
    assert isinstance(scene, Axes3D)
    truth = None if case.labels is None else case.labels.poses
    draw_scene(scene, stage_of(case.frame, case.prediction, truth=truth), theme=theme)
    _write(figure, 0.4, legend_of(case, verdict), 12, theme)
    _draw_contest(figure, results, case, verdict, theme)
    return figure


def legend_of(case: FrameResult, verdict: Verdict) -> str:
    """What the names and lines mean, and who is who."""
    if case.labels is None:
        return "P1: found with id 1; the truth is not known"
    pairs = ", ".join(f"{found.name} = {true.name}" for found, true in verdict.pairs)
    # As the headline counts them: somebody whose detections were found is missed where the skeleton is far off.
    numbers = failure_of(case).missed
    people = verdict.missed if numbers is None else [verdict.true_person(number) for number in numbers]
    missed = ", ".join(person.name for person in people)
    parts = (
        "P1: found with id 1, T1: person 1 of the truth (wide grey)",
        pairs,
        f"missed: {missed}" if missed else "",
        "dashed: at the wrong person, or left out" if (verdict.swapped | verdict.lost).any() else "",
    )
    return "   ·   ".join(textwrap.shorten(part, 110, placeholder=" …") for part in parts if part)


def _write(figure: Figure, y: float, text: str, size: int, theme: Theme, *, left: float = 0.02, bold: bool = False):
    figure.text(left, y, text, fontsize=size, fontweight="bold" if bold else "normal", color=theme.ink, va="top",
                parse_math=False)  # fmt: skip


def _draw_views(figure: Figure, case: FrameResult, verdict: Verdict, theme: Theme) -> float:
    """Views in the upper left, as large as they fit; where they end on the right."""
    left, right, low, high = 0.05, 0.645, 0.455, 0.85
    if case.frame is None or not len(case.frame.cameras):
        say(figure.add_axes((left, low, right - left, high - low)), NO_VIEWS, theme=theme)
        return right
    views, size = len(case.frame.cameras), case.frame.cameras.size.double().numpy()
    aspect, width, height = float(np.median(size[:, 0] / size[:, 1])), (right - left) * PAGE[0], (high - low) * PAGE[1]
    columns = columns_for(views, aspect, width, height)
    rows = -(-views // columns)
    # No wider than pictures of that height are: the rest is for the scene.
    needed = columns * aspect * (height - 0.55 * (rows - 1)) / rows + 0.6 * (columns - 1)
    right = min(right, left + needed / PAGE[0])
    box = GridSpec(rows, columns, figure, left, low, right, high, wspace=0.16, hspace=0.28)
    draw_case_views(figure, case.frame, case.prediction, verdict, box, theme=theme)
    return right


def _draw_contest(figure: Figure, results: Results, case: FrameResult, verdict: Verdict, theme: Theme) -> None:
    """The table of tuples in the lower left, their mass over time in the lower right."""
    contests = contests_of(case, verdict)
    table, race = figure.add_axes((0.02, 0.015, 0.62, 0.29)), figure.add_axes((0.71, 0.07, 0.275, 0.245))
    if not contests or case.frame is None:
        _write(figure, 0.355, "What competed", 14, theme, bold=True)
        say(table, nothing_contested(case), theme=theme)
        draw_time(race, case, (), results.method, theme=theme)
        return
    name, members = contests[0]
    contenders = contenders_of(case, verdict, members, results.method)
    _write(figure, 0.355, f"What competed for {name}", 14, theme, bold=True)
    draw_contenders(table, contenders, verdict, case.frame, theme=theme)
    draw_time(race, case, contenders, results.method, theme=theme)


def draw_time(
    axes: Axes, case: FrameResult, contenders: tuple[Contender, ...], method: str, *, theme: Theme = LIGHT
) -> Axes:  # fmt: skip
    """The mass of the competing tuples over time, or a line that says why there is none."""
    missing = nothing_moved(case, contenders, method)
    if case.hypotheses is None or missing:
        return say(axes, textwrap.fill(missing, 42), theme=theme)
    axes.set_title("Their mass while it is decided", loc="left", fontsize=14)
    return draw_race(axes, case.hypotheses, contenders, theme=theme)


def write_pages(results: Results, ranking: Ranking, folder: Path, count: int) -> tuple[Path, ...]:
    """The pages of the worst frames as ``01-frame-412.png``, …; the paths written, each whole or not at all.

    Raises:
        InputError: the folder holds pages already: two rankings in one folder could not be told apart.
    """
    there = sorted(folder.glob("[0-9]*-frame-*.png"))
    if there:
        raise InputError(f"{folder}: holds pages already ({there[0].name}); name another folder.")
    written = []
    for rank, place in enumerate(ranking.order[:count], start=1):
        page = page_of(results, place, headline=ranking.headline(place), reason=ranking.reasons[place])
        path = folder / f"{rank:02d}-frame-{results.cases[place].prediction.number}.png"
        with replacing_path(path) as temporary:
            page.savefig(temporary, format="png", facecolor=page.get_facecolor())
        written.append(path)
    return tuple(written)
