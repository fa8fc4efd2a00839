"""The two hypergraphs of a decoder layer, drawn on people: who exchanges messages with whom."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from dispose.skeletons.skeleton import Skeleton
from dispose_viz.image.canvas import draw_skeleton
from dispose_viz.style import PALETTE, blend, dress, theme_of, write
from dispose_viz.words import plain, shorten

PANEL = 1.0
"""Width of one view's panel; people are scaled to fit."""

LONGEST_NAME = 14
"""Letters of a camera's name above its panel."""

BODY_WIDTH, PART_WIDTH = 54, 26
"""Widths of the outlines of a body and of its parts, points."""


def draw_view_hypergraph(
    axes: Axes,
    skeleton: Skeleton,
    xy_image: Float[np.ndarray, "views joints 2"],
    visible: Bool[np.ndarray, "views joints"],
    cameras: Sequence[str],
    *,
    joints: Sequence[str],
) -> Axes:
    """One person in all views: a box is the edge of all joints of one view, a line that of one joint in all views.

    Args:
        axes: gets the drawing; it has no units, every view is scaled to the same height.
        skeleton: whose joints these are.
        xy_image: the joints in every view, pixels.
        visible: which of them are looked at; the others belong to no edge.
        cameras: names of the views.
        joints: those whose edges are drawn; every joint has one.
    """
    theme = theme_of(axes)
    place = np.stack(
        [_panel_place(xy, seen, view) for view, (xy, seen) in enumerate(zip(xy_image, visible, strict=True))]
    )
    for view, name in enumerate(cameras):
        look = {"facecolor": blend(theme.paper, theme.muted, 0.18), "edgecolor": theme.muted, "linewidth": 1.5}
        box = FancyBboxPatch((view * 1.25, -0.08), PANEL, 1.26, boxstyle="round,pad=0.03,rounding_size=0.08", **look)
        axes.add_patch(box)
        short = plain(shorten(name, LONGEST_NAME))
        axes.text(view * 1.25 + PANEL / 2, 1.28, short, ha="center", fontsize=13, color=theme.ink)
        _draw_nodes(axes, skeleton, place[view], visible[view])
    for number, joint in enumerate(joints):
        row = skeleton.index(joint)
        seen = visible[:, row]
        color = PALETTE[number % len(PALETTE)]
        axes.plot(*place[seen, row].T, "-", color=color, linewidth=3.5, alpha=0.85, zorder=4)
        axes.plot(*place[seen, row].T, "o", color=color, markersize=11, markeredgecolor=theme.paper, zorder=5)
        if seen.any():
            write(axes, _words(joint), tuple(place[seen, row][-1].tolist()), (10, 2), color, bold=True)
    axes.set(xlim=(-0.1, 1.25 * len(cameras) + 0.25), ylim=(-0.2, 1.45), aspect="equal", xticks=[], yticks=[])
    axes.set_title("box: all joints of one view · line: one joint in all views (every joint has one)")
    axes.spines[:].set_visible(False)
    return dress(axes)


def draw_part_hypergraph(
    axes: Axes, skeleton: Skeleton, xyz_world: Float[np.ndarray, "joints 3"], parts: Sequence[tuple[str, ...]]
) -> Axes:
    """One person from the front, in metres: the wide outline is the edge of all joints, a colour that of one part.

    Args:
        axes: gets the drawing.
        skeleton: whose joints these are.
        xyz_world: the joints, mm; one that is no number is left out of its edges.
        parts: joint names of every part.
    """
    theme = theme_of(axes)
    place = from_the_front(xyz_world, skeleton)
    known = np.asarray(np.isfinite(place).all(-1))
    body = blend(theme.paper, theme.muted, 0.3)
    for a, b in (bone for bone in skeleton.bone_indices if known[list(bone)].all()):
        axes.plot(*place[[a, b]].T, linewidth=BODY_WIDTH, color=body, solid_capstyle="round", zorder=1)
    for number, part in enumerate(parts):
        rows = [row for row in skeleton.indices(part) if known[row]]
        color = PALETTE[number % len(PALETTE)]
        axes.plot(*place[rows].T, linewidth=PART_WIDTH, color=color, alpha=0.55, solid_capstyle="round",
                  solid_joinstyle="round", zorder=2)  # fmt: skip
        if len(rows) == 1:
            axes.plot(*place[rows].T, "o", markersize=PART_WIDTH, color=color, alpha=0.55, zorder=2)
    _draw_nodes(axes, skeleton, place, known)
    axes.set(aspect="equal", xlabel="across (m)", ylabel="up (m)")
    axes.set_title(f"1 edge for the body, {len(parts)} for its parts")
    axes.margins(0.3, 0.15)
    return dress(axes)


def from_the_front(xyz_world: Float[np.ndarray, "joints 3"], skeleton: Skeleton) -> Float[np.ndarray, "joints 2"]:
    """A person as somebody sees them who stands before them: their left is to the right; metres.

    NaN for a joint that is no number; without both shoulders as somebody sees them who looks along +Y.
    """
    known = np.asarray(np.isfinite(xyz_world).all(-1))
    xyz = np.where(known[:, None], xyz_world, np.nan)
    across = (xyz[skeleton.index("l_shoulder")] - xyz[skeleton.index("r_shoulder")])[:2]
    across = across / max(float(np.linalg.norm(across)), 1e-9) if np.isfinite(across).all() else np.array([1.0, 0.0])
    middle = xyz[known, :2].mean(0) if known.any() else np.zeros(2)
    return np.stack([(xyz[:, :2] - middle) @ across, xyz[:, 2]], -1) / 1000


def _panel_place(
    xy: Float[np.ndarray, "joints 2"], seen: Bool[np.ndarray, " joints"], view: int
) -> Float[np.ndarray, "joints 2"]:
    """A view's person in its panel, y upwards."""
    if not seen.any():
        return np.full_like(xy, np.nan)
    low, high = xy[seen].min(0), xy[seen].max(0)
    scale = min(0.9 * PANEL / max(high[0] - low[0], 1e-6), 1.1 / max(high[1] - low[1], 1e-6))
    middle = (low + high) / 2
    return (xy - middle) * scale * np.array([1, -1]) + np.array([view * 1.25 + PANEL / 2, 0.55])


def _words(joint: str) -> str:
    """``l_wrist`` as people say it."""
    side = {"l_": "left ", "r_": "right "}.get(joint[:2], "")
    return (side + joint.removeprefix("l_").removeprefix("r_")).replace("_", " ")


def _draw_nodes(
    axes: Axes, skeleton: Skeleton, place: Float[np.ndarray, "joints 2"], seen: Bool[np.ndarray, " joints"]
) -> None:
    """The joints, which are the nodes, and the bones between them."""
    ink = theme_of(axes).ink
    draw_skeleton(axes, torch.from_numpy(place), torch.from_numpy(seen), skeleton, ink, width=1.6)
    axes.plot(*place[seen].T, "o", color=ink, markersize=4.5, zorder=3)
