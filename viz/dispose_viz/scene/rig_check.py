"""What is wrong with a rig, as a picture: the cameras from above, which pairs disagree, and the check's sentences."""

import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from dispose.inference.check.consistency import Consistency
from dispose.inference.check.diagnosis import Diagnosis
from dispose.scene.cameras import Cameras
from dispose_viz.scene.rig import draw_rig_from_above
from dispose_viz.scene.solids import METRE
from dispose_viz.style import MAP, add_colorbar, dress, panels, theme_of
from dispose_viz.words import name_columns, name_rows, plain

BEST_PX, WORST_PX = 1.0, 100.0
"""Ends of the colour map of reprojection errors."""

FAR = 1.5
"""People farther from the cameras' middle than this many times the rig's extent are left out of the picture."""

WIDTH = 118
"""Letters of a line below the pictures."""


def folder_tree(folder: Path) -> str:
    """What a folder holds, two levels deep: files by name where there are few, else how many of which kind."""
    lines = [f"{folder.name}/"]
    for path in sorted(folder.iterdir()):
        lines.append(f"  {path.name}/" if path.is_dir() else f"  {path.name}")
        for inner in sorted(path.iterdir()) if path.is_dir() else ():
            kinds = Counter(file.suffix for file in inner.iterdir()) if inner.is_dir() else Counter()
            words = ", ".join(f"{count} {kind or 'other'} files" for kind, count in kinds.items())
            lines.append(f"    {inner.name}/  ({words})" if inner.is_dir() else f"    {inner.name}")
    return "\n".join(lines)


def draw_pair_errors(axes: Axes, consistency: Consistency, cameras: Cameras) -> Axes:
    """Median reprojection error (px) of the people whom two cameras see, for every two cameras.

    A wrong camera is a bright cross; everything bright means that the whole rig is read wrongly. An infinite error
    means that rays meet behind the cameras, a dash that two cameras see nobody together.
    """
    views, ink = len(cameras), theme_of(axes).ink
    table = np.full((views, views), np.nan)
    for pair in consistency.pairs:
        table[pair.view_a, pair.view_b] = table[pair.view_b, pair.view_a] = pair.median_px
    shown = np.ma.masked_invalid(np.where(np.isinf(table), WORST_PX, table))
    drawn = axes.imshow(shown.clip(BEST_PX, WORST_PX), cmap=MAP, norm=LogNorm(BEST_PX, WORST_PX))
    for row in range(views):
        for column in range(views):
            if row == column:
                continue
            value = table[row, column]
            word = "–" if np.isnan(value) else "∞" if np.isinf(value) else f"{value:.0f}"
            dark = np.isnan(value) or value > 20
            axes.text(column, row, word, ha="center", va="center", fontsize=12,
                      color=ink if np.isnan(value) else "#000000" if dark else "#FFFFFF")  # fmt: skip
    name_rows(name_columns(axes, range(views), cameras.names), range(views), cameras.names)
    axes.set(title="Median error of every pair (px)")
    add_colorbar(axes, drawn, "px", shrink=0.8)
    return dress(axes)


def draw_check(figure: Figure, cameras: Cameras, diagnosis: Diagnosis, title: str) -> Figure:
    """The rig from above with the people who were triangulated, the errors of its pairs, and what the check says."""
    (above, pairs), theme = panels(figure, 2, 2), theme_of(figure)
    extent = float((cameras.centres[:, :2].amax(0) - cameras.centres[:, :2].amin(0)).max())
    draw_rig_from_above(above, cameras, reach_mm=0.18 * max(extent, 1e-3))
    people = diagnosis.consistency.xyz_world.nanmean(1)[:, :2].numpy() / METRE
    (left, right), (bottom, top) = above.get_xlim(), above.get_ylim()
    # A wrong rig puts people anywhere: those far outside do not shrink the picture.
    middle = cameras.centres[:, :2].mean(0).numpy() / METRE
    near = (np.abs(people - middle) < FAR * max(extent, 1e-6) / METRE).all(-1)
    above.plot(*people[near].T, "o", color=theme.alarm, markersize=4, alpha=0.5)
    low, high = np.array([left, bottom]), np.array([right, top])
    if near.any():
        low, high = np.minimum(low, people[near].min(0)), np.maximum(high, people[near].max(0))
    # A square of the floor: matplotlib would warn about limits that it has to widen itself.
    middle, half = (low + high) / 2, (high - low).max() / 2
    (x_low, y_low), (x_high, y_high) = middle - half, middle + half
    above.set(title=f"{title}: from above, dots are people", xlim=(x_low, x_high), ylim=(y_low, y_high))
    draw_pair_errors(pairs, diagnosis.consistency, cameras)
    sentences = [*(f"{finding.topic}: {finding.sentence}" for finding in diagnosis.findings), diagnosis.verdict]
    words = "\n" + "\n".join(line for sentence in sentences for line in textwrap.wrap(f"→ {sentence}", WIDTH))
    figure.supxlabel(plain(words), x=0.02, ha="left", fontsize=12, color=theme.ink)
    return figure
