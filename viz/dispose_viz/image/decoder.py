"""Stage II: poses after every layer, where a layer looks, whom it trusts, how sure it is, its two hypergraphs."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

from dispose.models.dispose.decoder import LayerState
from dispose.models.dispose.decoder_layer import LayerUpdate, SamplingLocations
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.skeletons.skeleton import Skeleton
from dispose_viz.image.canvas import draw_canvas, draw_skeleton, show_part
from dispose_viz.style import (
    MAP,
    PALETTE,
    add_colorbar,
    add_legend,
    blend,
    dress,
    dress_chart,
    label_of,
    panels,
    person_color,
    theme_of,
    write,
)
from dispose_viz.words import name_rows, plain, shorten

LEVELS = (("fine", "o", "#E69F00"), ("middle", "s", "#56B4E9"), ("coarse", "^", "#CC79A7"))
"""Name, marker and colour of the samples of every resolution."""

MARGIN = 0.35

PANEL = 1.0
"""Width of one view's panel; people are scaled to fit."""

LONGEST_NAME = 14
"""Letters of a camera's name above its panel."""

BODY_WIDTH, PART_WIDTH = 54, 26
"""Widths of the outlines of a body and of its parts, points."""


def poses_by_layer(skeleton: Skeleton, moments: Sequence[LayerState]) -> tuple[Poses, ...]:
    """The people as rest poses and after every layer; ids are their order."""
    states = [moments[0].xyz_world, *(moment.step.xyz_world for moment in moments)]
    found = []
    for state in states:
        xyz = state.detach().double().cpu()
        there = torch.ones(xyz.shape[:2])
        found.append(Poses(skeleton, xyz, there.double(), there.bool(), torch.arange(len(xyz))))
    return tuple(found)


def errors_by_layer(layers: Sequence[Poses], truth: Poses) -> Float[np.ndarray, "states persons joints"]:
    """Distance (mm) of every joint from that of the true person who is nearest at the end; joints in the same order."""
    last = (layers[-1].xyz_world[:, None] - truth.xyz_world.double()).norm(dim=-1).mean(-1)
    meant = truth.xyz_world.double()[last.argmin(1)]
    return torch.stack([(poses.xyz_world - meant).norm(dim=-1) for poses in layers]).numpy()


def draw_refinement(
    figure: Figure,
    cameras: Cameras,
    image: UInt8[np.ndarray, "height width 3"],
    view: int,
    layers: Sequence[Poses],
    person: int,
) -> Figure:
    """One person in one view: the rest pose, and after every layer."""
    window = _window(cameras, layers, view, person)
    for number, (poses, axes) in enumerate(zip(layers, panels(figure, len(layers), len(layers)), strict=True)):
        title = "rest pose at the root" if number == 0 else f"after layer {number}"
        draw_canvas(axes, cameras.size[view], title, image=image / 255.0)
        xy, front = cameras.select(views=[view]).project(poses.xyz_world[person])
        draw_skeleton(axes, xy[0], front[0], poses.skeleton, person_color(person), width=2.6)
        axes.set(xlim=(window[0, 0], window[1, 0]), ylim=(window[1, 1], window[0, 1]))
        if number:
            axes.set(ylabel="")
    return figure


def _window(cameras: Cameras, layers: Sequence[Poses], view: int, person: int) -> Float[np.ndarray, "2 2"]:
    """Upper left and lower right corner of what a person covers in a view in any layer, with a margin."""
    xy = torch.cat([cameras.select(views=[view]).project(poses.xyz_world[person])[0][0] for poses in layers]).numpy()
    size = cameras.size[view].numpy()
    low, high = np.clip(xy.min(0), 0, size), np.clip(xy.max(0), 0, size)
    margin = MARGIN * float((high - low).max()) / 2
    return np.stack([np.clip(low - margin, -0.5, size - 0.5), np.clip(high + margin, -0.5, size - 0.5)])


def draw_sampling(figure: Figure, sampling: SamplingLocations, step: LayerUpdate, *, person: int, joint: int) -> Figure:
    """The samples that a layer takes about one joint in every image, and where it then moves the joint.

    The views are those of `overlays.draw_images`, of which half is shown about the joint. A sample's area is its
    weight; its shape and colour are the resolution that it reads. Titles say how much of the weight lies beside the
    image, where there is nothing to read.
    """
    for view, axes in enumerate(list(figure.axes)):
        if not bool(sampling.visible[person, view, joint]):
            axes.set_title(f"{axes.get_title()}: not looked at")
            continue
        left, right, bottom, top = *axes.get_xlim(), *axes.get_ylim()
        place, end = (xy[person, view, joint].detach().numpy() for xy in (sampling.xy_image, step.xy_image))
        samples = sampling.samples[person, view, joint].detach().numpy()
        weight = sampling.weight[person, view, joint].detach().numpy()
        for level, (_, marker, color) in enumerate(LEVELS):
            rows = sampling.level.numpy() == level
            axes.scatter(*samples[rows].T, s=3000 * weight[rows], marker=marker, color=color, alpha=0.8, linewidths=0.6,
                         edgecolors="#1A1A1A", zorder=4)  # fmt: skip
        axes.annotate("", tuple(end), tuple(place), zorder=6, arrowprops={
            "arrowstyle": "-|>", "color": "#FFFFFF", "linewidth": 2.5, "mutation_scale": 16, "shrinkA": 0, "shrinkB": 0,
        })  # fmt: skip
        axes.plot(*place, "x", color="#FFFFFF", markersize=9, markeredgewidth=2.5, zorder=5)
        axes.set(xlim=(left, right), ylim=(bottom, top))
        show_part(axes, place, 0.5)
        x, y = samples.T
        share = float(weight[(x < left) | (x > right) | (y < top) | (y > bottom)].sum())
        axes.set_title(f"{axes.get_title()}: {share:.0%} beside the picture")
    handles = [Line2D([], [], marker=marker, color=color, linestyle="", markersize=10, label=f"{name} map",
                      markeredgecolor="#1A1A1A") for name, marker, color in LEVELS]  # fmt: skip
    theme = theme_of(figure)
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=12,
                  labelcolor=theme.ink, facecolor=theme.paper, edgecolor=theme.grid)  # fmt: skip
    return figure


def draw_layer_errors(axes: Axes, error_mm: Float[np.ndarray, "states persons"]) -> Axes:
    """Mean joint error of every person, from the rest pose on through the layers."""
    steps = range(len(error_mm))
    for person in range(error_mm.shape[1]):
        color = person_color(person)
        axes.plot(steps, error_mm[:, person], "o-", color=color, linewidth=2.2)
        axes.annotate(label_of(person), (steps[-1], error_mm[-1, person]), (10, 0), textcoords="offset points",
                      color=color, fontsize=13, fontweight="bold", va="center")  # fmt: skip
    axes.set_xticks(list(steps), ["rest pose", *(f"layer {n}" for n in steps[1:])])
    axes.set(ylabel="mean joint error (mm)", title="Error after every layer", ylim=(0, None))
    axes.set_xlim(-0.2, len(error_mm) - 0.5)
    return dress_chart(axes)


def draw_trust(
    axes: Axes, weight: Float[Tensor, "views joints"], cameras: Sequence[str], joints: Sequence[str]
) -> Axes:
    """How much every view counts in the triangulation of every joint; a column sums to one."""
    drawn = axes.imshow(weight.detach().numpy(), cmap=MAP, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(joints)), [j.replace("_", " ") for j in joints], rotation=45, ha="right")
    name_rows(axes, range(len(cameras)), cameras)
    axes.set(title="Trust in every view (a column sums to 1)")
    add_colorbar(axes, drawn, "weight")
    return dress(axes)


def draw_confidence(
    axes: Axes,
    confidence: Float[Tensor, "persons joints"],
    error_mm: Float[np.ndarray, "persons joints"],
    *,
    below_mm: float,
) -> Axes:
    """Every joint: how sure the network is that its error is below a bound, and its error."""
    for person, (sure, error) in enumerate(zip(confidence.detach().numpy(), error_mm, strict=True)):
        axes.plot(sure, error, "o", color=person_color(person), markersize=8, alpha=0.85, label=label_of(person))
    alarm = theme_of(axes).alarm
    axes.axhline(below_mm, color=alarm, linestyle="--", linewidth=1.6)
    axes.annotate(f"{below_mm:g} mm", (1.0, below_mm), (-4, 5), xycoords=("axes fraction", "data"), ha="right",
                  textcoords="offset points", color=alarm, fontsize=12)  # fmt: skip
    axes.set(xlabel=f"confidence: P(error below {below_mm:g} mm)", ylabel="true error (mm)", yscale="log",
             xlim=(0, 1), title="One dot is one joint")  # fmt: skip
    known = error_mm[np.isfinite(error_mm)] if np.isfinite(error_mm).any() else np.array([below_mm])
    ticks = [value for value in (10, 20, 50, 100, 200, 500, 1000) if known.min() / 1.5 < value < known.max() * 1.5]
    axes.set_yticks(ticks, [f"{value}" for value in ticks])
    axes.minorticks_off()
    return dress_chart(add_legend(axes) if len(error_mm) else axes)


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

    The drawing has no units: every view's joints (pixels) are scaled to the same height. Those that are not visible
    belong to no edge; edges are drawn of some `joints`, though every joint has one.
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

    A joint (mm) that is no number is left out of its edges; parts are named by their joints.
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
