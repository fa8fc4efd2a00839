"""Bodies as triangles: what both 3-D renderers show of a skeleton is made here, once.

A bone is a capsule (a cylinder with round ends). A joint that is less sure is paler and thinner.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.scene.stage import known_joints

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


@dataclass(frozen=True, eq=False)
class Solid:
    """A surface of triangles.

    Attributes:
        xyz: corners in the world, mm.
        triangles: three corners each, counter-clockwise seen from outside.
        strength: of every corner in [0, 1]: 1 = in its full colour, 0 = pale.
    """

    xyz: Float[np.ndarray, "corners 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    strength: Float[np.ndarray, " corners"]


EMPTY = Solid(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), np.zeros(0))


def skeleton_solid(poses: Poses, row: int, *, radius_mm: float = RADIUS_MM) -> Solid:
    """One person as capsules; a known joint without a known neighbour is a ball."""
    known = known_joints(poses)[row]
    xyz = poses.xyz_world[row].double().cpu().numpy()
    sure = np.clip(np.nan_to_num(poses.confidence[row].double().cpu().numpy()), 0.0, 1.0)
    fine = [any(part in name for part in FINE) for name in poses.skeleton.joints]
    radius = radius_mm * np.where(np.array(fine), 0.5, 1.0) * (0.6 + 0.4 * sure)
    bones = [(a, b) for a, b in poses.skeleton.bone_indices if known[a] and known[b]]
    alone = set(np.flatnonzero(known).tolist()) - {joint for bone in bones for joint in bone}
    parts = [_capsule(xyz[[a, b]], radius[[a, b]], sure[[a, b]]) for a, b in [*bones, *((a, a) for a in sorted(alone))]]
    return join(parts)


def people_solid(poses: Poses, rows: Iterable[int], *, radius_mm: float = RADIUS_MM) -> Solid:
    """Several people as one surface."""
    return join([skeleton_solid(poses, int(row), radius_mm=radius_mm) for row in rows])


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
    if not solids:
        return EMPTY
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
    triangles = np.stack([np.stack([corner, down, across], -1), np.stack([corner, across, right], -1)], 1)
    return Solid(xyz, triangles.reshape(-1, 3), np.ones(len(xyz))), place


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
    return Solid(rings.reshape(-1, 3), _ring_triangles(len(rings)), np.repeat(strength[end], SIDES))


def _ring_triangles(rings: int) -> Int[np.ndarray, "triangles 3"]:
    """The triangles between successive rings of `SIDES` corners."""
    here = np.arange(rings - 1)[:, None] * SIDES + np.arange(SIDES)
    following = np.arange(rings - 1)[:, None] * SIDES + (np.arange(SIDES) + 1) % SIDES
    above, diagonal = here + SIDES, following + SIDES
    pairs = np.stack([np.stack([here, following, diagonal], -1), np.stack([here, diagonal, above], -1)], -2)
    return pairs.reshape(-1, 3)
