"""What both 3-D renderers have in common: bodies as triangles, and where the reader stands.

A bone is a capsule (a cylinder with round ends). A joint that is less sure is paler and thinner.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.scene.stage import Stage, known_joints, name_signs, points_of, reach_of

METRE = 1000.0
RADIUS_MM = 44.0
GHOST_RADIUS_MM = 24.0
TRAIL_RADIUS_MM = 14.0
PALE = 0.8
"""Share of the paper's colour in what is not sure at all, or long ago."""

SIDES = 8
CAP_RINGS = 3
FINE = ("nose", "eye", "ear", "toe", "heel")
"""Joints so close to one another that bones of full thickness would hide them."""

UP = np.array([0.0, 0.0, 1.0])
FIELD_DEG = 45.0
"""Vertical field of view; plotly's cannot be changed, so everybody uses it."""

STEEP = 1e-9
"""Sine of the angle to the vertical below which a line of sight is vertical."""

BESIDE = 3.0
"""Cameras nearer to the eye than so many lengths of a frustum are left out."""


@dataclass(frozen=True, eq=False)
class Solid:
    """A surface of triangles, counter-clockwise seen from outside, between corners in the world (mm).

    The strength of a corner is in [0, 1]: 1 = in its full colour, 0 = pale.
    """

    xyz: Float[np.ndarray, "corners 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    strength: Float[np.ndarray, " corners"]


EMPTY = Solid(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), np.zeros(0))


def people_solid(poses: Poses, rows: Iterable[int], *, radius_mm: float = RADIUS_MM) -> Solid:
    """Several people as capsules, one surface; a known joint without a known neighbour is a ball."""
    known, xyz = known_joints(poses), poses.xyz_world.double().cpu().numpy()
    sure = np.clip(np.nan_to_num(poses.confidence.double().cpu().numpy()), 0.0, 1.0)
    fine = [any(part in name for part in FINE) for name in poses.skeleton.joints]
    radius = radius_mm * np.where(np.array(fine), 0.5, 1.0) * (0.6 + 0.4 * sure)
    parts = []
    for row in rows:
        bones = [(a, b) for a, b in poses.skeleton.bone_indices if known[row, a] and known[row, b]]
        alone = set(np.flatnonzero(known[row]).tolist()) - {joint for bone in bones for joint in bone}
        ends = [*bones, *((joint, joint) for joint in sorted(alone))]
        parts += [_capsule(xyz[row, pair], radius[row, pair], sure[row, pair]) for pair in ends]
    return join(parts)


def path_solid(path: Float[np.ndarray, "steps 3"]) -> Solid:
    """A way (mm, oldest first) as a tube that gets stronger towards the present; a gap where a place is not known."""
    strength, radius = np.linspace(0.0, 1.0, len(path)), np.full(2, TRAIL_RADIUS_MM)
    pairs = [np.array([i, i + 1]) for i in range(len(path) - 1)]
    return join([_capsule(path[p], radius, strength[p]) for p in pairs if np.isfinite(path[p]).all()])


def balls(places: Float[np.ndarray, "points 3"], radius_mm: float) -> Solid:
    """A ball around every place (mm)."""
    radius, strength = np.full(2, radius_mm), np.ones(2)
    return join([_capsule(np.stack([place, place]), radius, strength) for place in places])


def join(solids: Sequence[Solid]) -> Solid:
    """Several surfaces as one."""
    solids = [EMPTY, *solids]
    first = np.cumsum([0, *(len(solid.xyz) for solid in solids[:-1])])
    return Solid(
        np.concatenate([solid.xyz for solid in solids]),
        np.concatenate([solid.triangles + start for solid, start in zip(solids, first, strict=True)]),
        np.concatenate([solid.strength for solid in solids]),
    )


def floor_lines(low_mm: Float[np.ndarray, " 2"], high_mm: Float[np.ndarray, " 2"]) -> list[Float[np.ndarray, "2 3"]]:
    """The lines of a grid of one-metre squares at z = 0 that covers the corners given (mm)."""
    (x0, y0), (x1, y1) = np.floor(low_mm / METRE) * METRE, np.ceil(high_mm / METRE) * METRE
    lines = [np.array([[x, y0, 0.0], [x, y1, 0.0]]) for x in np.arange(x0, x1 + 1, METRE)]
    return lines + [np.array([[x0, y, 0.0], [x1, y, 0.0]]) for y in np.arange(y0, y1 + 1, METRE)]


def image_corners(cameras: Cameras, reach_mm: float) -> Float[np.ndarray, "views 4 3"]:
    """World points (mm) `reach_mm` along the rays of the four image corners, clockwise from the top left."""
    unit = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=cameras.size.dtype)
    xy = unit * cameras.size[:, None] - 0.5
    return (cameras.centres[:, None] + reach_mm * cameras.directions(xy)).numpy()


def frustum_lines(cameras: Cameras, reach_mm: float) -> list[Float[np.ndarray, "2 3"]]:
    """The edges (mm) of every camera's pyramid: four around its image, four from its centre."""
    lines = []
    for centre, corners in zip(cameras.centres.double().numpy(), image_corners(cameras, reach_mm), strict=True):
        lines += [np.stack([corners[i], corners[(i + 1) % 4]]) for i in range(4)]
        lines += [np.stack([centre, corner]) for corner in corners]
    return lines


def image_sheet(
    cameras: Cameras, view: int, reach_mm: float, columns: int, rows: int
) -> tuple[Solid, Float[np.ndarray, "corners 2"]]:
    """A camera's image hung into space as a grid of quads (two triangles each, row by row), its corners
    `reach_mm` away.

    Returns the sheet and, for every corner, its place in the image in [0, 1] from the top left.
    """
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    place = np.stack([u.ravel(), v.ravel()], -1)
    camera = cameras.select(views=[view])
    xy = torch.from_numpy(place) * camera.size[0].double() - 0.5
    direction = camera.directions(xy[None])[0]
    # All corners in one plane, through where the frustum's edges end.
    depth = direction @ camera.rotation[0, 2]
    plane = reach_mm * depth[[0, columns, -columns - 1, -1]].mean()
    xyz = (camera.centres[0] + plane * direction / depth[:, None]).numpy()
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    right, down, across = corner + 1, corner + columns + 1, corner + columns + 2
    return Solid(xyz, _halves(corner, down, across, right), np.ones(len(xyz))), place


def _capsule(
    ends: Float[np.ndarray, "2 3"], radius: Float[np.ndarray, " 2"], strength: Float[np.ndarray, " 2"]
) -> Solid:
    """A surface of revolution around the line between two ends, closed by half balls; a ball where they coincide."""
    axis = ends[1] - ends[0]
    length = float(np.linalg.norm(axis))
    axis = axis / length if length > 1e-6 else np.array([0.0, 0.0, 1.0])
    side = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    side = side / np.linalg.norm(side)
    around = 2 * math.pi * np.arange(SIDES) / SIDES
    circle = np.cos(around)[:, None] * side + np.sin(around)[:, None] * np.cross(axis, side)
    lift = math.pi / 2 * (1 - np.arange(CAP_RINGS + 1) / CAP_RINGS)[:-1]
    # From the pole of the first cap to its equator, then from the equator of the second to its pole.
    angle = np.concatenate([-lift, [0.0, 0.0], lift[::-1]])
    end = np.repeat([0, 1], CAP_RINGS + 1)
    centre = ends[end] + (radius[end] * np.sin(angle))[:, None] * axis
    rings = centre[:, None] + (radius[end] * np.cos(angle))[:, None, None] * circle
    here, step = np.arange(len(rings) - 1)[:, None] * SIDES, np.arange(SIDES)
    following = here + (step + 1) % SIDES
    quads = (here + step, following, following + SIDES, here + step + SIDES)
    return Solid(rings.reshape(-1, 3), _halves(*quads), np.repeat(strength[end], SIDES))


def _halves(*corners: Int[np.ndarray, "*quads"]) -> Int[np.ndarray, "triangles 3"]:
    """Quads, given by their four corners in turn, as two triangles each."""
    a, b, c, d = corners
    return np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], -2).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """An eye that looks at a point, +Z upwards in the picture, with `FIELD_DEG` from top to bottom.

    Straight down or up, +Y is upwards, as on a map. Eye and target (the middle of the picture) are in mm.
    """

    eye: Float[np.ndarray, " 3"]
    target: Float[np.ndarray, " 3"]

    @property
    def axes(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
        """Unit vectors forward, to the right and downwards in the picture."""
        forward = self.target - self.eye
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, UP)
        if np.linalg.norm(right) < STEEP:
            right = np.cross(forward, [0.0, 1.0, 0.0])
        right = right / np.linalg.norm(right)
        return forward, right, np.cross(forward, right)

    def project(
        self, xyz_world: Float[np.ndarray, "points 3"], width: int, height: int
    ) -> tuple[Float[np.ndarray, "points 2"], Bool[np.ndarray, " points"]]:
        """Pixels of world points (mm) in a picture of this size, and which of them lie in front of the eye."""
        forward, right, down = self.axes
        seen = (xyz_world - self.eye) @ np.stack([right, down, forward], -1)
        depth = np.maximum(seen[:, 2:], 1e-6)
        focal = height / 2 / math.tan(math.radians(FIELD_DEG) / 2)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        return focal * seen[:, :2] / depth + centre, seen[:, 2] > 0


def overview(
    stage: Stage, *, azimuth_deg: float = -50.0, elevation_deg: float = 24.0, aspect: float = 4 / 3
) -> Viewpoint:
    """A viewpoint from which everything on the stage fills the picture but for a margin.

    Args:
        stage: what must be in the picture.
        azimuth_deg: direction of the eye seen from the middle, counter-clockwise from +X.
        elevation_deg: its height above the horizon.
        aspect: width by height of the picture.
    """
    points = np.concatenate([points_of(stage), *(place[None] for _, place in name_signs(stage))])
    target, distance = (points.min(0) + points.max(0)) / 2, 0.0
    a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
    away = np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])
    forward, right, down = Viewpoint(target + 1000.0 * away, target).axes
    slope = 0.9 * math.tan(math.radians(FIELD_DEG) / 2)
    # Nearer things look larger, so the middle of the picture is not the middle of the things: a few rounds settle it.
    for _ in range(4):
        x, y, depth = ((points - target) @ axis for axis in (right, down, forward))
        distance = max(500.0, float(np.max(np.maximum(np.abs(x) / (slope * aspect), np.abs(y) / slope) - depth)))
        across, along = x / (distance + depth), y / (distance + depth)
        shift = (across.max() + across.min()) / 2 * right + (along.max() + along.min()) / 2 * down
        target = target + distance * shift
    return Viewpoint(target - distance * forward, target)


def views_in_sight(stage: Stage, viewpoint: Viewpoint) -> list[int]:
    """The cameras of the stage but for those that the reader stands beside: they would hide everything else."""
    if stage.cameras is None:
        return []
    distance = np.linalg.norm(stage.cameras.centres.double().numpy() - viewpoint.eye, axis=-1)
    return np.flatnonzero(distance > BESIDE * reach_of(stage)).tolist()


def turn_viewpoint(viewpoint: Viewpoint, degrees: float) -> Viewpoint:
    """The viewpoint after the eye went around the target, counter-clockwise seen from above."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, z = viewpoint.eye - viewpoint.target
    return replace(viewpoint, eye=viewpoint.target + np.array([c * x - s * y, s * x + c * y, z]))


def approach(viewpoint: Viewpoint, share: float) -> Viewpoint:
    """The viewpoint after the eye went a share of the way to the target (negative: away from it)."""
    return replace(viewpoint, eye=viewpoint.eye + share * (viewpoint.target - viewpoint.eye))
