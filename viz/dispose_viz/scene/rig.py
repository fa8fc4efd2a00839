"""The rig from above: cameras, where they look, and where people walked."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

from dispose.scene.cameras import Cameras
from dispose.scene.results import Prediction
from dispose_viz.scene.solids import METRE, image_corners
from dispose_viz.scene.stage import rows_of
from dispose_viz.style import color_of, dress, dress_chart, label_of, theme_of, write
from dispose_viz.words import tick_name


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
