"""The rig from above: cameras, where they look, and where people walked."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.prediction import Prediction
from dispose_viz.scene.frusta import image_corners
from dispose_viz.scene.solids import color_of, label_of
from dispose_viz.style import LIGHT, Theme, dress
from dispose_viz.words import LONGEST_TICK, plain, shorter

METRE = 1000.0


def draw_rig_from_above(axes: Axes, cameras: Cameras, *, reach_mm: float = 1000.0, theme: Theme = LIGHT) -> Axes:
    """Cameras as wedges that open towards what they see, with names; axes in metres, +Z towards the reader."""
    corners = image_corners(cameras, reach_mm)[..., :2] / METRE
    centres = cameras.centres[:, :2].numpy() / METRE
    middle = centres.mean(0)
    for centre, wedge, name in zip(centres, corners, cameras.names, strict=True):
        order = np.concatenate([centre[None], wedge])
        axes.add_patch(Polygon(_hull(order), facecolor=theme.muted, edgecolor=theme.ink, alpha=0.35))
        axes.plot(*centre, "s", color=theme.ink, markersize=6)
        # A single camera looks away from its name.
        away = centre - (middle if len(centres) > 1 else wedge.mean(0))
        x, y = away / max(float(np.linalg.norm(away)), 1e-9)
        side = "center" if abs(x) < 0.5 else ("left" if x > 0 else "right")
        short = plain(shorter(name, LONGEST_TICK))
        axes.annotate(short, tuple(centre), (9 * x, 15 * y), textcoords="offset points", color=theme.ink,
                      fontsize=11, ha=side, va="center")  # fmt: skip
    axes.set(xlabel="x (m)", ylabel="y (m)", aspect="equal", title="Cameras from above")
    axes.margins(0.2)
    axes.grid(color=theme.grid, linewidth=0.6)
    axes.set_axisbelow(True)
    return dress(axes, theme=theme)


def draw_walks(axes: Axes, predictions: Sequence[Prediction], *, theme: Theme = LIGHT) -> Axes:
    """Every person's root over time as one line from above; a dot and the id mark the last place."""
    for person in sorted({int(i) for p in predictions for i in p.poses.id}):
        places = [_root_of(p, person)[:2].numpy() / METRE for p in predictions]
        walk = np.array(places)
        seen = np.isfinite(walk).all(-1)
        if not seen.any():
            continue
        color = color_of(person, theme)
        axes.plot(*walk.T, color=color, linewidth=2.2, solid_capstyle="round")
        last = walk[seen][-1]
        axes.plot(*last, "o", color=color, markersize=8)
        outline = [withStroke(linewidth=3, foreground=theme.paper)]
        axes.annotate(label_of(person), tuple(last), (7, 7), textcoords="offset points", color=color, fontsize=12,
                      fontweight="bold", path_effects=outline)  # fmt: skip
    return dress(axes, theme=theme)


def _root_of(prediction: Prediction, person: int) -> Float[Tensor, " 3"]:
    """A person's root in one frame, NaN where the person is not there: the line then has a gap."""
    rows = prediction.poses.id == person
    if not bool(rows.any()):
        return prediction.root.new_full((3,), float("nan"))
    return prediction.root[rows][0]


def _hull(points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "corners 2"]:
    """Corners of the convex hull, in order (Andrew's monotone chain: also for degenerate wedges)."""
    ordered = sorted(map(tuple, points))
    halves = []
    for half in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for p in half:
            while len(chain) >= 2 and _turn(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        halves.append(chain[:-1])
    return np.array(halves[0] + halves[1])


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
