"""The rig from above: cameras, where they look, where people walked; and what a check says is wrong with it."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from dispose.inference.check.consistency import Consistency
from dispose.inference.check.diagnosis import Diagnosis
from dispose.scene.cameras import Cameras
from dispose.scene.results import Prediction
from dispose_viz.scene.solids import METRE, image_corners
from dispose_viz.scene.stage import rows_of
from dispose_viz.style import MAP, add_colorbar, color_of, dress, dress_chart, label_of, panels, theme_of, write
from dispose_viz.words import name_columns, name_rows, plain, tick_name

BEST_PX, WORST_PX = 1.0, 100.0
"""Ends of the colour map of reprojection errors."""

FAR = 1.5
"""People farther from the cameras' middle than this many times the rig's extent are left out of the picture."""

WIDTH = 118
"""Letters of a line below the pictures."""


def draw_rig_from_above(axes: Axes, cameras: Cameras, *, reach_mm: float = 1000.0) -> Axes:
    """Cameras as wedges that open towards what they see, with names; axes in metres, +Z towards the reader."""
    theme = theme_of(axes)
    corners = image_corners(cameras, reach_mm)[..., :2] / METRE
    centres = cameras.centres[:, :2].numpy() / METRE
    middle = centres.mean(0)
    for centre, wedge, name in zip(centres, corners, cameras.names, strict=True):
        hull = cv2.convexHull(np.concatenate([centre[None], wedge]).astype(np.float32))[:, 0]
        axes.add_patch(Polygon(hull, facecolor=theme.muted, edgecolor=theme.ink, alpha=0.35))
        axes.plot(*centre, "s", color=theme.ink, markersize=6)
        # A single camera looks away from its name.
        away = centre - (middle if len(centres) > 1 else wedge.mean(0))
        x, y = away / max(float(np.linalg.norm(away)), 1e-9)
        side = "center" if abs(x) < 0.5 else ("left" if x > 0 else "right")
        axes.annotate(tick_name(name), tuple(centre), (9 * x, 15 * y), textcoords="offset points", color=theme.ink,
                      fontsize=11, ha=side, va="center")  # fmt: skip
    axes.set(xlabel="x (m)", ylabel="y (m)", aspect="equal", title="Cameras from above")
    axes.margins(0.2)
    return dress_chart(axes)


def draw_walks(axes: Axes, predictions: Sequence[Prediction]) -> Axes:
    """Every person's root over time as one line from above; a dot and the id mark the last place.

    A line has a gap where the person is not there.
    """
    nowhere = torch.full((1, 3), torch.nan, dtype=torch.float64)
    for person in sorted({int(i) for p in predictions for i in p.poses.id}):
        roots = [torch.cat([p.root[rows_of(p.poses, person)].double(), nowhere])[0, :2] for p in predictions]
        walk = torch.stack(roots).numpy() / METRE
        seen = np.isfinite(walk).all(-1)
        if not seen.any():
            continue
        color, last = color_of(person, theme_of(axes)), walk[seen][-1]
        axes.plot(*walk.T, color=color, linewidth=2.2, solid_capstyle="round")
        axes.plot(*last, "o", color=color, markersize=8)
        write(axes, label_of(person), tuple(last), (7, 7), color, bold=True)
    return dress(axes)


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
