"""One frame that went wrong as one page: views, scene, competing tuples, how they competed, and why it failed."""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.text import Text
from mpl_toolkits.mplot3d.axes3d import Axes3D

from dispose.errors import InputError
from dispose.formats.files import replacing_path
from dispose.scene.results import FrameResult, Results
from dispose_viz.inspector.camera_views import NO_VIEWS, draw_camera_views, draw_scene, draw_sentence, grid_for
from dispose_viz.inspector.competitors import (
    IdentityMatch,
    competitors_of,
    match_identities,
    people_to_inspect,
    why_no_competitors,
    why_no_diffusion,
)
from dispose_viz.inspector.ranking import Ranking
from dispose_viz.inspector.tuple_table import draw_mass_curves, draw_table, rows_of
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme, label_of, theme_of
from dispose_workbench.failures.facts import failure_of

PAGE = (16.0, 11.0)
"""Inches: 1600 x 1100 pixels."""

TITLE_LETTERS = 92
"""As many fit into the page's width in the largest size; longer titles are smaller."""


def page_of(results: Results, index: int, *, headline: str = "", reason: str = "", theme: Theme = LIGHT) -> Figure:
    """The page of one frame: what it was ranked by stands behind its number, below it the sentence why it failed."""
    result = results.cases[index]
    match = match_identities(result)
    figure = Figure(figsize=PAGE, dpi=POINTS_PER_INCH, facecolor=theme.paper)
    parts = (results.name, results.method, f"frame {result.prediction.number}", headline)
    title = textwrap.shorten("  ·  ".join(part for part in parts if part), 150, placeholder=" …")
    _write(figure, 0.975, title, min(18, 18 * TITLE_LETTERS // len(title)), bold=True)
    _write(figure, 0.94, "\n".join(textwrap.wrap(reason, 158, max_lines=3, placeholder=" …")), 13)
    right = _draw_views(figure, result, match)
    scene = figure.add_axes((right + 0.01, 0.415, 0.95 - right, 0.46), projection="3d")
    assert isinstance(scene, Axes3D)
    truth = None if result.labels is None else result.labels.poses
    draw_scene(scene, stage_of(result.frame, result.prediction, truth=truth))
    _write(figure, 0.4, legend_of(result, match), 12)
    _draw_competitors(figure, results.method, result, match)
    return figure


def legend_of(result: FrameResult, match: IdentityMatch) -> str:
    """What the names and lines mean, and who is who."""
    if result.labels is None:
        return "P1: found with id 1; the truth is not known"
    # As the headline counts them: somebody whose detections were found is missed where the skeleton is far off.
    measured = failure_of(result).missed
    missed = ", ".join(f"T{number}" for number in (match.missed if measured is None else measured))
    rows = zip(match.ids.tolist(), match.truth_of.tolist(), strict=True)
    parts = (
        "P1: found with id 1, T1: person 1 of the truth (wide grey)",
        ", ".join(f"{label_of(number)} = T{true}" for number, true in rows if true in match.truths),
        f"missed: {missed}" if missed else "",
        "dashed: at the wrong person, or left out" if (match.swapped | match.lost).any() else "",
    )
    return "   ·   ".join(textwrap.shorten(part, 110, placeholder=" …") for part in parts if part)


def _write(figure: Figure, y: float, text: str, size: int, *, bold: bool = False) -> Text:
    weight, ink = "bold" if bold else "normal", theme_of(figure).ink
    return figure.text(0.02, y, text, fontsize=size, fontweight=weight, color=ink, va="top", parse_math=False)


def _draw_views(figure: Figure, result: FrameResult, match: IdentityMatch) -> float:
    """Views in the upper left, as large as they fit; where they end on the right, the rest is for the scene."""
    left, right, low, high = 0.05, 0.645, 0.455, 0.85
    if result.frame is None or not len(result.frame.cameras):
        draw_sentence(figure.add_axes((left, low, right - left, high - low)), NO_VIEWS)
        return right
    grid = grid_for(result.frame.cameras, (right - left) * PAGE[0], (high - low) * PAGE[1])
    right = left + grid.width / PAGE[0]
    box = GridSpec(grid.rows, grid.columns, figure, left, low, right, high, wspace=0.16, hspace=0.28)
    draw_camera_views(figure, result.frame, result.prediction, match, box)
    return right


def _draw_competitors(figure: Figure, method: str, result: FrameResult, match: IdentityMatch) -> None:
    """The table of tuples in the lower left, their mass over time in the lower right."""
    people = people_to_inspect(result, match)
    table, curves = figure.add_axes((0.02, 0.015, 0.62, 0.29)), figure.add_axes((0.71, 0.07, 0.275, 0.245))
    name, members = people[0] if people else ("", ())
    competitors = competitors_of(result, match, members, method)
    _write(figure, 0.355, f"What competed for {name}" if people else "What competed", 14, bold=True)
    if competitors and result.frame is not None:
        rows = rows_of(competitors, match, result.frame, theme=theme_of(figure))
        draw_table(table, rows, result.frame.cameras.names)
    else:
        draw_sentence(table, why_no_competitors(result))
    missing = why_no_diffusion(result, competitors, method)
    if result.hypotheses is None or missing:
        draw_sentence(curves, textwrap.fill(missing, 42))
        return
    curves.set_title("Their mass while it is decided", loc="left", fontsize=14)
    draw_mass_curves(curves, result.hypotheses, competitors)


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
