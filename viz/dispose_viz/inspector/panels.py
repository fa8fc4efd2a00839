"""Panels of a failed frame besides its views: the scene, the competing tuples, and how their mass moved."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D

from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.scene.results import Hypotheses
from dispose.tensors import ABSENT
from dispose_viz.inspector.contest import COMPETITOR, Contender, Verdict
from dispose_viz.scene.stage import Stage, known_joints
from dispose_viz.style import LIGHT, Theme, blend, color_of, dress, label_of
from dispose_viz.words import shorter

METRE = 1000.0
HEADS = ("error (px)", "cost", "cue", "mass before", "mass after")
"""Columns of a table of tuples besides the views."""

HEADING = -1.0
"""Where they are named, in rows above the first."""

NAMED = 12
"""So many cameras have room for their names in a scene."""

ROOMY, SMALL = 8, 8
"""So many views have room for words in a table; of more, letters are this small."""


def draw_scene(axes: Axes3D, stage: Stage, *, theme: Theme = LIGHT) -> Axes3D:
    """People in their colours and the truth as wide pale ghosts, seen from obliquely above; axes in metres.

    Cameras stand on the floor below their place, or at its edge in their direction where they are further off.
    """
    middle, half, (floor, top) = _room(stage)
    # In the order drawn: a ghost must not hide whom it is compared with.
    axes.computed_zorder = False
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_zlim(floor, top)
    axes.set_box_aspect((1, 1, (top - floor) / (2 * half)))
    axes.view_init(elev=28, azim=-60)
    if stage.ghosts is not None:
        for row in range(len(stage.ghosts.id)):
            _draw_body(axes, stage.ghosts, row, blend(theme.muted, theme.paper, 0.5), 5.0)
    for row, number in enumerate(stage.people.id.tolist()):
        _draw_body(axes, stage.people, row, color_of(number, theme), 2.6)
        _write_id(axes, stage.people, row, top, theme)
    if stage.cameras is not None:
        centres = stage.cameras.centres.double().numpy() / METRE
        for name, centre in zip(stage.cameras.names, centres, strict=True):
            # Of many cameras the names would cover the people; their pictures name them.
            shown = name if len(centres) <= NAMED else ""
            _draw_camera(axes, shown, centre, (*middle, floor), half, theme)
    axes.set(xlabel="x (m)", ylabel="y (m)", zlabel="z (m)")
    return _dress_3d(axes, theme)


def _room(stage: Stage) -> tuple[Float[np.ndarray, " 2"], float, tuple[float, float]]:
    """Middle of the floor, half its side, and the heights between which people are; metres.

    A joint thrown far away must not make everybody small: a person is where the median of the joints is.
    """
    sets = [stage.people, *(() if stage.ghosts is None else (stage.ghosts,))]
    bodies = [xyz / METRE for poses in sets for xyz in _bodies(poses) if len(xyz)]
    if not bodies:
        return np.zeros(2), 1.5, (0.0, 2.0)
    places, everything = np.array([np.median(xyz, axis=0) for xyz in bodies]), np.concatenate(bodies)
    low, high = places[:, :2].min(0), places[:, :2].max(0)
    half = float(np.clip((high - low).max() / 2 + 0.7, 1.2, 8.0))
    feet, heads = np.percentile(everything[:, 2], (3, 97))
    floor = 0.0 if 0 <= feet <= 0.8 else float(feet) - 0.1
    return (low + high) / 2, half, (floor, floor + float(np.clip(heads + 0.2 - floor, 1.8, 3.0)))


def _bodies(poses: Poses) -> list[Float[np.ndarray, "_ 3"]]:
    """The known joints of every person, mm."""
    known = known_joints(poses)
    return [xyz[row] for xyz, row in zip(poses.xyz_world.double().numpy(), known, strict=True)]


def _draw_body(axes: Axes3D, poses: Poses, row: int, color: str, width: float) -> None:
    xyz = poses.xyz_world[row].double().numpy() / METRE
    known = known_joints(poses)[row]
    bones = [xyz[[a, b]] for a, b in poses.skeleton.bone_indices if known[a] and known[b]]
    if bones:
        lines = Line3DCollection(bones, colors=color, linewidths=width, capstyle="round", axlim_clip=True)
        axes.add_collection3d(lines, autolim=False)


def _write_id(axes: Axes3D, poses: Poses, row: int, top: float, theme: Theme) -> None:
    number = int(poses.id[row])
    known = _bodies(poses)[row] / METRE
    if len(known):
        x, y, z = known[known[:, 2].argmax()]
        axes.text(x, y, min(z + 0.15, top), label_of(number), color=color_of(number, theme), fontsize=12,
                  fontweight="bold", ha="center", axlim_clip=True)  # fmt: skip


def _draw_camera(
    axes: Axes3D, name: str, centre: np.ndarray, middle: tuple[float, float, float], half: float, theme: Theme
) -> None:
    """The camera's place on the floor; of one further off, the direction at the floor's edge."""
    away = centre[:2] - np.array(middle[:2])
    x, y = np.array(middle[:2]) + away * min(1.0, half / max(float(np.abs(away).max()), 1e-9))
    axes.plot([x], [y], [middle[2]], "s", color=theme.ink, markersize=5)
    axes.text(x, y, middle[2], f" {name}", color=theme.ink, fontsize=11, parse_math=False)


def _dress_3d(axes: Axes3D, theme: Theme) -> Axes3D:
    axes.set_facecolor(theme.paper)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color(theme.paper)  # pyright: ignore[reportAttributeAccessIssue]
        axis.label.set(color=theme.ink, fontsize=11)
        axis.set_tick_params(colors=theme.ink, labelsize=11)
        axis._axinfo["grid"]["color"] = theme.grid  # pyright: ignore[reportAttributeAccessIssue]
    axes.locator_params(nbins=4)
    return axes


def draw_contenders(
    axes: Axes,
    contenders: Sequence[Contender],
    verdict: Verdict,
    frame: Frame,
    *,
    theme: Theme = LIGHT,
) -> Axes:
    """The competing tuples as a table: a box is a detection, in the colour of the person that it truly is.

    Without a truth the boxes have the colours of the predicted owners. A tuple of one colour is one person.
    """
    common, names = short_names(frame.cameras.names)
    # Of many views the boxes are narrow: numbers alone in them, names upright above.
    unit, narrow = max(1.0, len(names) / ROOMY), len(names) > ROOMY
    left, step = unit * max([3.3, *(0.155 * len(speakers(one)) for one in contenders)]), 1.0
    at = [left + step * len(names) + unit * (0.6 + 1.2 * i) for i in range(len(HEADS))]
    write = partial(axes.text, ha="center", va="center", fontsize=11, color=theme.ink, parse_math=False)
    write(left, HEADING, common, ha="right")
    for view, name in enumerate(names):
        middle = left + step * (view + 0.5)
        write(middle, HEADING, shorter(name, 10), rotation=90 if narrow else 0, fontsize=SMALL if narrow else 11)
    for x, head in zip(at, HEADS, strict=True):
        write(x, HEADING, head.replace(" ", "\n"))
    for row, one in enumerate(contenders):
        strong = bool(one.said_by)
        axes.text(0.0, row, speakers(one), ha="left", va="center", fontsize=12, parse_math=False,
                  color=theme.ink if strong else theme.muted, fontweight="bold" if strong else "normal")  # fmt: skip
        for view, slot in enumerate(one.members):
            x = left + step * (view + 0.5)
            if slot == ABSENT:
                write(x, row, "·", color=theme.muted)
                continue
            face = box_color(contenders, verdict, view, slot, theme=theme)
            axes.add_patch(Rectangle((x - 0.42, row - 0.38), 0.84, 0.76, facecolor=face, edgecolor="none"))
            number = str(int(frame.detections.index[view, slot]))
            word, size = (number, SMALL) if narrow else (box_word(verdict, frame, view, slot), 11)
            write(x, row, word, color="#FFFFFF", fontweight="bold", fontsize=size)
        for x, text in zip(at, figures_of(one), strict=True):
            write(x, row, text, fontsize=12)
    axes.set(xlim=(0, at[-1] + 0.6 * unit), ylim=(max(len(contenders), 5) - 0.4, HEADING - 0.6))
    axes.set_axis_off()
    return axes


def short_names(names: Sequence[str]) -> tuple[str, list[str]]:
    """What more than three cameras' names all begin with, and the names without it; a number is never cut."""
    start = 0
    if len(names) > 3:
        shortest = min(len(name) for name in names)
        while start < shortest and len({name[start] for name in names}) == 1 and not names[0][start].isdigit():
            start += 1
    cut = [name[start:] for name in names]
    return (names[0][:start], cut) if all(cut) else ("", list(names))


def speakers(one: Contender) -> str:
    """Who holds a tuple to be a person, in a few words."""
    alone = sum(slot != ABSENT for slot in one.members) < 2
    words = [word.replace(COMPETITOR, "int. programme") for word in one.said_by] or [
        "weighed, alone" if alone else "also weighed"
    ]
    return " = ".join(words)


def figures_of(one: Contender) -> tuple[str, ...]:
    """Error, cost, cue and the two masses as text; a dash where the tuple was no candidate."""
    numbers = ((one.error_px, "{:.1f}"), (one.cost, "{:.0f}"), (one.cue, "{:.2f}"), (one.before, "{:.2f}"),
               (one.after, "{:.2f}"))  # fmt: skip
    return tuple(form.format(value) if np.isfinite(value) else "–" for value, form in numbers)


def box_word(verdict: Verdict, frame: Frame, view: int, slot: int) -> str:
    """A detection's number in its file and, where it is known, whose it is."""
    number = f"#{int(frame.detections.index[view, slot])}"
    true = int(verdict.identity[view, slot])
    return number if true == ABSENT else f"{number} {verdict.true_person(true).name}"


def box_color(contenders: Sequence[Contender], verdict: Verdict, view: int, slot: int, *, theme: Theme = LIGHT) -> str:
    """The colour of whom a detection truly is; where the truth knows nobody among these tuples, of who was given it."""
    members = {(v, s) for one in contenders for v, s in enumerate(one.members) if s != ABSENT}
    if any(verdict.identity[place] != ABSENT for place in members):
        true = int(verdict.identity[view, slot])
        return theme.muted if true == ABSENT else color_of(verdict.true_person(true).color, theme)
    owner = int(verdict.owner[view, slot])
    return color_of(owner, theme)


def draw_race(
    axes: Axes, hypotheses: Hypotheses, contenders: Sequence[Contender], *, theme: Theme = LIGHT
) -> Axes:  # fmt: skip
    """Mass of the competing tuples over diffusion time, from noise on the left to the decision on the right."""
    time = hypotheses.time.double().numpy()
    for one in reversed([one for one in contenders if one.row != ABSENT]):
        color, width, style = _line_of(one, theme)
        axes.plot(time, _mass(hypotheses, one), style, color=color, linewidth=width, label=_legend(one))
    axes.set(xlabel="diffusion time (1 = noise, 0 = decided)", ylabel="mass", xlim=(1.02, -0.02), ylim=(-0.03, 1.05))
    axes.grid(color=theme.grid, linewidth=0.6)
    handles, names = axes.get_legend_handles_labels()
    named = [(h, n) for h, n in zip(handles[::-1], names[::-1], strict=True) if not n.startswith("_")]
    if named:
        legend = axes.legend(*zip(*named, strict=True), fontsize=11, loc="best", facecolor=theme.paper,
                             edgecolor=theme.grid, labelcolor=theme.ink)  # fmt: skip
        legend.get_frame().set_alpha(0.85)
    return dress(axes, theme=theme)


def mark_step(
    axes: Axes, hypotheses: Hypotheses, contenders: Sequence[Contender], step: int, *, theme: Theme = LIGHT
) -> list[Line2D]:
    """A line at one step and a dot on every curve; the artists, so that they can be taken away again."""
    time = float(hypotheses.time[step])
    marks = [axes.axvline(time, color=theme.muted, linewidth=1.4)]
    for one in reversed([one for one in contenders if one.row != ABSENT]):
        color, width, _ = _line_of(one, theme)
        size = 2.5 * width + 3
        marks += axes.plot([time], [_mass(hypotheses, one)[step]], "o", color=color, markersize=size)
    return marks


def _mass(hypotheses: Hypotheses, one: Contender) -> Float[np.ndarray, " steps"]:
    return hypotheses.mass[:, one.row].double().numpy()


def _line_of(one: Contender, theme: Theme) -> tuple[str, float, str]:
    """Colour, width and stroke: what was decided is strong, the truth is dashed, the rest is faint."""
    if one.person != ABSENT:
        return color_of(one.person, theme), 3.2, "-"
    if one.right:
        return theme.alarm, 2.6, "--"
    if COMPETITOR in one.said_by:
        return theme.ink, 2.0, ":"
    return blend(theme.muted, theme.paper, 0.35), 1.4, "-"


def _legend(one: Contender) -> str:
    if not one.said_by:
        return "_weighed"
    return (f"P{one.person}: " if one.person != ABSENT else "") + speakers(one)
