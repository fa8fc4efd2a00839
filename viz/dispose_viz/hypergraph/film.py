"""From noise to the match, as a film for talks: links between views carry the mass, people take their colour.

Between two steps of the sampler the mass is blended. That is no trick: a mean of feasible states is feasible.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from dispose.errors import InputError
from dispose.scene.frame import Detections
from dispose.tensors import ABSENT
from dispose_viz.hypergraph.trajectory import Trajectory
from dispose_viz.movie import RgbImage
from dispose_viz.style import Theme, blend, color_of, label_of, person_color, theme_of
from dispose_viz.words import LETTER, plain, shorten, size_of

THUMBNAIL = np.array([0.1, 0.36])
"""Half the size of a detection's thumbnail, in units of the distance between columns and between rows."""
DISC = 15.0
"""Radius of a detection's disc, points, where there is room for it."""
GAP = 0.13
"""Room between a detection's middle and its links, in units of the distance between columns; more beside wide discs."""
LABEL_SIZE = 12
WIDEST = 7.0
"""Width in points of a link that carries a whole detection."""
INVISIBLE = 2e-3
"""Links with less mass than this are not drawn."""


@dataclass(frozen=True, eq=False)
class DetectionColumns:
    """What stands in the columns of the film: one per camera, its detections below one another.

    Of every detection the bones are line segments in a unit box, y down; no bone = a dot.
    """

    cameras: tuple[str, ...]
    bones: tuple[tuple[Float[np.ndarray, "bones 2 2"], ...], ...]

    @property
    def tallest(self) -> int:
        """The number of rows: detections of the view that has most, at least one."""
        return max([*map(len, self.bones), 1])

    def place(self, view: int, slot: int) -> Float[np.ndarray, " 2"]:
        """Where a detection stands: columns of fewer detections are spread over the same height."""
        return np.array([view, (slot + 0.5) * self.tallest / len(self.bones[view]) - 0.5])


def columns_of(detections: Detections, cameras: Sequence[str]) -> DetectionColumns:
    """Thumbnails of all detections of a frame: their skeletons, each scaled to its own box."""
    counts = enumerate(detections.counts.tolist())
    bones = [tuple(_thumbnail(detections, view, slot) for slot in range(count)) for view, count in counts]
    return DetectionColumns(tuple(cameras), tuple(bones))


def draw_match(
    axes: Axes,
    columns: DetectionColumns,
    mass: Float[np.ndarray, " tuples"],
    members: Int[np.ndarray, "tuples views"],
    owners: Sequence[int],
) -> Axes:
    """One state: every tuple is a line through its detections, as wide and as opaque as its mass.

    A tuple that skips a view passes it by in a gap. Tuples that become people have their colour (and number, from half
    the mass on), the others are grey; a detection takes the colour of a person as its tuples gain mass.

    Args:
        owners: the person id that each tuple became, `ABSENT` = nobody (`association.owners_of_tuples`).
    """
    _check(columns, members, owners)
    # Points from column to column and from row to row, and of a disc's radius: as large as its neighbours leave room.
    wide, tall = size_of(axes)
    column, row = wide / max(len(columns.cameras), 1), tall / (columns.tallest + 0.65)
    disc = min(DISC, 0.3 * column, 0.47 * row)
    for view, name in enumerate(columns.cameras):
        words = plain(shorten(name, max(4, int(column / (LETTER * 13)) - 1)))
        axes.text(view, -0.78, words, ha="center", va="center", fontsize=13, color=theme_of(axes).ink)
    _draw_links(axes, columns, mass, members, owners, column, disc)
    _draw_discs(axes, columns, _tints(columns, mass, members, owners, theme_of(axes)), disc)
    axes.set(xlim=(-0.45, len(columns.cameras) - 0.55), ylim=(columns.tallest - 0.4, -1.05))
    axes.set_axis_off()
    return axes


def film_frames(
    figure: Figure,
    columns: DetectionColumns,
    trajectory: Trajectory,
    owners: Sequence[int],
    *,
    between: int = 6,
    rest: int = 8,
) -> Iterator[RgbImage]:
    """The images of the film, drawn one after the other on the same figure.

    Args:
        figure: an empty figure of the film's size.
        between: images from one step of the sampler to the next.
        rest: how often the first and the last image are repeated.

    Raises:
        InputError: the trajectory has no step, or a number of pictures is not positive.
    """
    if len(trajectory.time) == 0:
        raise InputError("a film needs at least one step of a sampler, this trajectory has none.")
    if between < 1 or rest < 1:
        raise InputError(f"a film needs at least one picture a step, got {between} between steps and {rest} at rest.")
    canvas = FigureCanvasAgg(figure)
    figure.set_layout_engine("none")  # laying out anew for every image takes longer than drawing it
    states = blend_states(trajectory, between)
    for number, (time, mass) in enumerate(states):
        figure.clear()
        axes = draw_match(figure.add_axes((0.02, 0.09, 0.96, 0.9)), columns, mass, trajectory.members, owners)
        _draw_clock(axes, time)
        canvas.draw()
        image = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        yield from [image] * (rest if number in (0, len(states) - 1) else 1)


def blend_states(trajectory: Trajectory, between: int) -> list[tuple[float, Float[np.ndarray, " tuples"]]]:
    """Diffusion time and mass of every image: the sampler's states and `between - 1` means of neighbours."""
    states = [(float(trajectory.time[0]), trajectory.mass[0])]
    for step in range(len(trajectory.time) - 1):
        for share in np.arange(1, between + 1) / between:
            here, after = trajectory.mass[step], trajectory.mass[step + 1]
            time = (1 - share) * trajectory.time[step] + share * trajectory.time[step + 1]
            states.append((float(time), (1 - share) * here + share * after))
    return states


def _check(columns: DetectionColumns, members: np.ndarray, owners: Sequence[int]) -> None:
    if members.shape[1] != len(columns.cameras):
        raise InputError(f"tuples of {members.shape[1]} views cannot be drawn between {len(columns.cameras)} columns.")
    if len(owners) != len(members):
        raise InputError(f"{len(members)} tuples and {len(owners)} owners: every tuple needs one, or ABSENT.")
    for name, bones, worst in zip(columns.cameras, columns.bones, members.max(0, initial=ABSENT), strict=True):
        if worst >= len(bones):
            raise InputError(f"view {name} has {len(bones)} detections, a tuple names number {worst}.")


def _draw_links(
    axes: Axes,
    columns: DetectionColumns,
    mass: np.ndarray,
    members: np.ndarray,
    owners: Sequence[int],
    column: float,
    disc: float,
) -> None:
    """All tuples, the lightest first, as one collection; a person's number stands beside its first detection."""
    theme = theme_of(axes)
    segments, colors, widths = [], [], []
    gap = np.array([min(max(GAP, (disc + 3) / column), 0.35), 0.0])
    for row in np.argsort(mass, kind="stable").tolist():
        seen = [(view, int(slot)) for view, slot in enumerate(members[row]) if slot != ABSENT]
        if mass[row] <= INVISIBLE or len(seen) < 2:
            continue
        owner, strength = owners[row], min(float(mass[row]), 1.0)
        color = color_of(owner, theme)
        opacity = 0.08 + (0.5 if owner == ABSENT else 0.92) * strength
        ends = [columns.place(view, slot) for view, slot in seen]
        links = [(a + gap, b - gap) for a, b in pairwise(ends)]
        segments += links
        colors += [to_rgba(color, opacity)] * len(links)
        widths += [0.6 + (WIDEST - 0.6) * strength] * len(links)
        if owner != ABSENT and strength > 0.5:
            # Beside the disc, however wide the number is, but never beyond the middle of the link.
            half = (0.5 * LETTER * LABEL_SIZE * len(label_of(owner)) + 5) / column
            start, end = links[0]
            share = min(max(0.12, half / max(end[0] - start[0], 1e-9)), 0.5)
            (x, y), shown = ((1 - share) * start + share * end).tolist(), min(4 * strength - 2, 1.0)
            box = {"boxstyle": "round,pad=0.25", "facecolor": color, "linewidth": 0, "alpha": shown}
            axes.text(x, y, label_of(owner), ha="center", va="center", fontsize=LABEL_SIZE,
                      fontweight="bold", color=theme.paper, alpha=shown, zorder=4, bbox=box)  # fmt: skip
    axes.add_collection(LineCollection(segments, colors=colors, linewidths=widths, capstyle="round", zorder=1))


def _draw_discs(axes: Axes, columns: DetectionColumns, tints: Sequence[Sequence[str]], disc: float) -> None:
    """All detections: a disc with the body, or with the number where there is no body."""
    theme = theme_of(axes)
    segments, segment_colors, places, colors = [], [], [], []
    for view, bodies in enumerate(columns.bones):
        for slot, bones in enumerate(bodies):
            place, color = columns.place(view, slot), tints[view][slot]
            places.append(place)
            colors.append(color)
            segments += list(bones * THUMBNAIL + place)
            segment_colors += [color] * len(bones)
            if not len(bones):
                axes.text(place[0], place[1], str(slot), ha="center", va="center", color=color, fontsize=13, zorder=4)
    if places:
        pale = [blend(color, theme.paper, 0.85) for color in colors]
        axes.scatter(*np.stack(places).T, s=(2 * disc) ** 2, c=pale, edgecolors=colors, linewidths=1.4, zorder=2)
    axes.add_collection(LineCollection(segments, colors=segment_colors, linewidths=2.2, capstyle="round", zorder=3))


def _tints(
    columns: DetectionColumns, mass: np.ndarray, members: np.ndarray, owners: Sequence[int], theme: Theme
) -> list[list[str]]:
    """For every detection a grey that turns into the colour of the person whose tuple has most mass there."""
    tints = [[theme.muted] * len(bodies) for bodies in columns.bones]
    best = np.zeros((len(columns.bones), columns.tallest))
    for row in (r for r, owner in enumerate(owners) if owner != ABSENT):
        for view, slot in enumerate(members[row].tolist()):
            if slot != ABSENT and mass[row] > best[view, slot]:
                best[view, slot] = mass[row]
                tints[view][slot] = blend(theme.muted, person_color(owners[row]), min(float(mass[row]), 1.0))
    return tints


def _thumbnail(detections: Detections, view: int, slot: int) -> Float[np.ndarray, "bones 2 2"]:
    """Bones in a box of height 2 around the origin, their proportions kept as a thumbnail can."""
    seen = detections.visible[view, slot].numpy()
    xy = detections.xy_image[view, slot].double().numpy()
    pairs = [(a, b) for a, b in detections.skeleton.bone_indices if seen[a] and seen[b]]
    if not pairs:
        return np.zeros((0, 2, 2))
    low, high = xy[seen].min(0), xy[seen].max(0)
    size = max(float(high[1] - low[1]), 2.0 * float(high[0] - low[0]), 1e-6)
    unit = (xy - 0.5 * (low + high)) * (np.array([4.0, 2.0]) / size)
    return np.stack([unit[[a, b]] for a, b in pairs])


def _draw_clock(axes: Axes, time: float) -> None:
    """A bar that empties from noise to match, with words."""
    theme = theme_of(axes)
    words = "noise" if time > 0.995 else "match" if time < 0.005 else f"time {time:.2f}"
    left, right = 0.3, 0.7
    axes.plot([left, right], [-0.02] * 2, transform=axes.transAxes, color=theme.grid, linewidth=5, clip_on=False)
    axes.plot([left, right - (right - left) * time], [-0.02] * 2, transform=axes.transAxes, color=theme.ink,
              linewidth=5, clip_on=False)  # fmt: skip
    axes.text(right + 0.02, -0.02, words, transform=axes.transAxes, va="center", fontsize=13, color=theme.ink)
