"""The people of one frame in space, seen from obliquely above: the still image of a page."""

import numpy as np
from jaxtyping import Float
from mpl_toolkits.mplot3d.art3d import Line3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D

from dispose.scene.frame import Poses
from dispose_viz.scene.solids import METRE
from dispose_viz.scene.stage import Stage, known_joints
from dispose_viz.style import blend, color_of, label_of, theme_of

NAMED = 12
"""So many cameras have room for their names in a scene."""


def draw_scene(axes: Axes3D, stage: Stage) -> Axes3D:
    """People in their colours and the truth as wide pale ghosts, seen from obliquely above; axes in metres.

    Cameras stand on the floor below their place, or at its edge in their direction where they are further off.
    """
    theme = theme_of(axes)
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
    for number, body in zip(stage.people.id.tolist(), _bodies(stage.people), strict=True):
        if len(body):
            x, y, z = body[body[:, 2].argmax()]
            axes.text(x, y, min(z + 0.15, top), label_of(number), color=color_of(number, theme), fontsize=12,
                      fontweight="bold", ha="center", axlim_clip=True)  # fmt: skip
    if stage.cameras is not None:
        centres = stage.cameras.centres.double().numpy() / METRE
        for name, centre in zip(stage.cameras.names, centres, strict=True):
            # Of many cameras the names would cover the people; their views name them.
            shown = name if len(centres) <= NAMED else ""
            _draw_camera(axes, shown, centre, (*middle, floor), half)
    axes.set(xlabel="x (m)", ylabel="y (m)", zlabel="z (m)")
    return _dress_3d(axes)


def _room(stage: Stage) -> tuple[Float[np.ndarray, " 2"], float, tuple[float, float]]:
    """Middle of the floor, half its side, and the heights between which people are; metres.

    A joint thrown far away must not make everybody small: a person is where the median of the joints is.
    """
    sets = [stage.people, *(() if stage.ghosts is None else (stage.ghosts,))]
    bodies = [body for poses in sets for body in _bodies(poses) if len(body)]
    if not bodies:
        return np.zeros(2), 1.5, (0.0, 2.0)
    places, everything = np.array([np.median(xyz, axis=0) for xyz in bodies]), np.concatenate(bodies)
    low, high = places[:, :2].min(0), places[:, :2].max(0)
    half = float(np.clip((high - low).max() / 2 + 0.7, 1.2, 8.0))
    feet, heads = np.percentile(everything[:, 2], (3, 97))
    floor = 0.0 if 0 <= feet <= 0.8 else float(feet) - 0.1
    return (low + high) / 2, half, (floor, floor + float(np.clip(heads + 0.2 - floor, 1.8, 3.0)))


def _bodies(poses: Poses) -> list[Float[np.ndarray, "_ 3"]]:
    """The known joints of every person, metres."""
    known = known_joints(poses)
    return [xyz[row] / METRE for xyz, row in zip(poses.xyz_world.double().numpy(), known, strict=True)]


def _draw_body(axes: Axes3D, poses: Poses, row: int, color: str, width: float) -> None:
    xyz, known = poses.xyz_world[row].double().numpy() / METRE, known_joints(poses)[row]
    bones = [xyz[[a, b]] for a, b in poses.skeleton.bone_indices if known[a] and known[b]]
    if bones:
        lines = Line3DCollection(bones, colors=color, linewidths=width, capstyle="round", axlim_clip=True)
        axes.add_collection3d(lines, autolim=False)


def _draw_camera(axes: Axes3D, name: str, centre: np.ndarray, middle: tuple[float, float, float], half: float) -> None:
    """The camera's place on the floor; of one further off, the direction at the floor's edge."""
    theme = theme_of(axes)
    away = centre[:2] - np.array(middle[:2])
    x, y = np.array(middle[:2]) + away * min(1.0, half / max(float(np.abs(away).max()), 1e-9))
    axes.plot([x], [y], [middle[2]], "s", color=theme.ink, markersize=5)
    axes.text(x, y, middle[2], f" {name}", color=theme.ink, fontsize=11, parse_math=False)


def _dress_3d(axes: Axes3D) -> Axes3D:
    theme = theme_of(axes)
    axes.set_facecolor(theme.paper)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_pane_color(theme.paper)  # pyright: ignore[reportAttributeAccessIssue]
        axis.label.set(color=theme.ink, fontsize=11)
        axis.set_tick_params(colors=theme.ink, labelsize=11)
        axis._axinfo["grid"]["color"] = theme.grid  # pyright: ignore[reportAttributeAccessIssue]
    axes.locator_params(nbins=4)
    return axes
