"""The empty room in every pixel of a rig, drawn once per rig: exact distances, lit colours, and shadows on the floor.

Shadows are one map of the floor's brightness, which every view reads.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.tensors import ABSENT, TensorStruct, cat
from dispose_synthetic.people import rotation_about
from dispose_synthetic.renderer.lenses import Lenses
from dispose_synthetic.renderer.rooms import CEILING, CLOTH, FINISHES, FLOOR, Clutter, Finish, Light, Room
from dispose_synthetic.renderer.solids import Solids, strike

CELL_MM = 35.0
CELLS = 320
"""The map is a square of cells round the world's origin."""
_LOWEST_LAMP = 0.3
"""Sine of the lamp's height below which shadows grow no longer."""
_FAR = 30000


@dataclass(frozen=True, eq=False)
class Backdrop(TensorStruct):
    """The empty room in every pixel: lit colour (RGB), distance along the pixel's ray (mm), and the cell of the floor's
    shadow map, `ABSENT` where the pixel shows no floor.
    """

    colour: Float[Tensor, "pixels 3"]
    distance: Float[Tensor, " pixels"]
    cell: Int[Tensor, " pixels"]


def _cover(finish: Finish, surface: int, u: Tensor, v: Tensor) -> Float[Tensor, "points 3"]:
    """Colours of points of one flat surface; coordinates in mm."""
    base, second = finish.base[surface], finish.second[surface]
    kind, width = FINISHES[int(finish.kind[surface])], float(finish.width[surface])
    if kind == "plain":
        return base.expand(*u.shape, 3)
    if kind == "stripes":
        share = ((u / width).floor() % 2)[..., None]
        return torch.lerp(base, second, share)
    height = {"chequered": 1.0, "planks": 4.0, "bricks": 0.5}[kind] * width
    row = (v / height).floor()
    if kind == "chequered":
        share = ((row + (u / width).floor()) % 2)[..., None]
        return torch.lerp(base, second, share)
    # Every plank or brick has a shade of its own, and dark joints.
    place = u / width + 0.5 * row
    column = place.floor()
    share = (torch.sin(column * 12.9898 + row * 78.233) * 43.5453) % 1.0
    joint = (place - column < 0.035) | (v / height - row < 0.05)
    return torch.lerp(base, second, 0.4 * torch.where(joint, 2.0, share)[..., None])


def _hang_posters(room: Room, wall: int, u: Tensor, v: Tensor, colour: Tensor) -> Tensor:
    """Posters and a skirting board on one wall."""
    posters = room.posters
    for i in posters.shown[wall].nonzero()[:, 0].tolist():
        low, size, bars = (part[wall, i].tolist() for part in (posters.low, posters.size, posters.bars))
        inside = (u > low[0]) & (u < low[0] + size[0]) & (v > low[1]) & (v < low[1] + size[1])
        rows = inside.nonzero()[:, 0]
        barred = (bars[0] * u[rows] + bars[1] * v[rows]).sin() > 0.3
        colour[rows] = torch.where(barred[:, None], posters.colour[wall, i, 1], posters.colour[wall, i, 0])
    return torch.where((v < 90.0)[:, None], 0.5 * colour, colour)


def _walls(room: Room, ray: Tensor, origin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays leave the room: the distance, the face, and its colour before it is lit."""
    turn = rotation_about(2, room.turn)
    d, o = turn.T @ ray, (turn.T @ origin).tolist()
    half = (*room.half.tolist(), room.top.item())
    safe = torch.where(d.abs() < 1e-6, 1e-6, d)
    up = safe > 0
    leave = []
    for axis in range(3):
        low = 0.0 if axis == 2 else -half[axis]
        leave.append((torch.where(up[axis], half[axis], low) - o[axis]) / safe[axis])
    t, axis = torch.stack(leave).min(0)
    face = 2 * axis + up.gather(0, axis[None])[0]
    colour = torch.empty(t.shape[0], 3)
    for side in face.unique().tolist():
        rows = (face == side).nonzero()[:, 0]
        p = [o[k] + t[rows] * d[k, rows] for k in range(3)]
        u, v = (p[0], p[1]) if side in (FLOOR, CEILING) else (p[1 - side // 2], p[2])
        colour[rows] = _cover(room.finish, side, u, v)
        if side not in (FLOOR, CEILING):
            colour[rows] = _hang_posters(room, side, u, v, colour[rows])
    return t, face, colour


def _boxes(
    clutter: Clutter, ray: Tensor, origin: Tensor, distance: Tensor, colour: Tensor, normal: Tensor
) -> Bool[Tensor, " pixels"]:
    """Draw boxes before the walls, in place; which pixels show one."""
    inverse = torch.where(ray.abs() < 1e-6, 1e-6, ray).reciprocal()
    changed = torch.zeros_like(distance, dtype=torch.bool)
    for box in range(len(clutter.low)):
        a, b = ((corner[box] - origin)[:, None] * inverse for corner in (clutter.low, clutter.high))
        enter, axis = torch.minimum(a, b).max(0)
        leave = torch.maximum(a, b).amin(0)
        rows = ((enter < leave) & (enter > 0) & (enter < distance)).nonzero()[:, 0]
        distance[rows], changed[rows] = enter[rows], True
        side = axis[rows]
        p = [origin[k] + enter[rows] * ray[k, rows] - clutter.low[box, k] for k in range(3)]
        u, v = torch.where(side == 0, p[1], p[0]), torch.where(side == 2, p[1], p[2])
        colour[rows] = _cover(clutter.finish, box, u, v)
        towards = -ray[:, rows].gather(0, side[None])[0].sign()
        normal[rows] = torch.nn.functional.one_hot(side, 3) * towards[:, None]
    return changed


def _grain(room: Room, point: list[Tensor]) -> Float[Tensor, " pixels"]:
    """The cloth laid over all surfaces aslant, so that none of them lies along its threads."""
    step = room.grain_mm.item()
    i = ((point[0] + 0.7 * point[2]) / step).floor().long() & (CLOTH - 1)
    j = ((point[1] + 0.6 * point[2]) / step).floor().long() & (CLOTH - 1)
    return room.cloth.reshape(-1)[i * CLOTH + j]


def _draw_view(room: Room, ray: Tensor, origin: Tensor) -> Backdrop:
    """One view without poles; it stays in the processor's cache, which all views together would not."""
    distance, face, colour = _walls(room, ray, origin)
    normal = torch.zeros(ray.shape[1], 3)
    boxed = _boxes(room.clutter, ray, origin, distance, colour, normal)
    shade = torch.where(boxed[:, None], room.light.shade(normal), room.brightness[face][:, None])
    point = [origin[k] + distance * ray[k] for k in range(3)]
    floor = face == FLOOR
    rough = torch.where(floor, room.roughness[0], room.roughness[1]) * _grain(room, point)
    colour = colour * ((1 + rough)[:, None] * shade)
    cell = torch.where(floor & ~boxed, floor_cell(point[0], point[1]), ABSENT)
    return Backdrop(colour, distance, cell)


def draw_room(room: Room, lenses: Lenses) -> Backdrop:
    """Colour and distance of every pixel of the empty room, with the shadows of its furniture."""
    rays = lenses.direction.chunk(len(lenses.cameras), dim=1)
    views = [_draw_view(room, ray, origin) for ray, origin in zip(rays, lenses.centre, strict=True)]
    drawn = cat(views, "pixels")
    dark = box_shadow(room.clutter, room.light) * floor_shadow(room.clutter.poles, room.light)
    colour = drawn.colour * torch.cat([dark, torch.ones(1)])[drawn.cell][:, None]
    found = strike(room.clutter.poles, lenses, drawn.distance)
    colour[found.pixel] = room.clutter.paint[found.solid] * room.light.shade(found.normal)
    drawn.distance[found.pixel] = found.distance
    drawn.cell[found.pixel] = ABSENT
    return replace(drawn, colour=colour.clamp(0, 1))


def floor_cell(x: Float[Tensor, " pixels"], y: Float[Tensor, " pixels"]) -> Int[Tensor, " pixels"]:
    """Cell under a floor point (mm); `ABSENT` outside the map."""
    column, row = (x / CELL_MM + CELLS / 2).floor(), (y / CELL_MM + CELLS / 2).floor()
    inside = (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS)
    return torch.where(inside, row * CELLS + column, float(ABSENT)).long()


def _cast(points: Float[Tensor, "*points 3"], light: Light) -> list:
    """Cells in which the shadows of points fall."""
    low = light.towards[2].clamp(min=_LOWEST_LAMP)
    return _cells(points[..., :2] - points[..., 2:] / low * light.towards[:2])


def _cells(xy: Float[Tensor, "*points 2"]) -> list:
    return (xy / CELL_MM + CELLS / 2).round().int().clamp(-_FAR, _FAR).tolist()


def _strength(light: Light) -> float:
    return 0.8 * float(light.lamp / (light.lamp + light.ambient))


def floor_shadow(solids: Solids, light: Light) -> Float[Tensor, " cells"]:
    """Brightness of every cell: the lamp's shadow of solids, and darkness where they come near the floor."""
    ends = torch.stack([solids.base, solids.top], dim=1)
    shadow, contact = (np.zeros((CELLS, CELLS), np.float32) for _ in range(2))
    width = (2 * solids.reach.amax(-1) / CELL_MM).round().int().clamp(1, 255).tolist()
    for image, lines in ((shadow, _cast(ends, light)), (contact, _cells(ends[..., :2]))):
        for (start, end), thick in zip(lines, width, strict=True):
            cv2.line(image, start, end, 1.0, thick)
    soft, dark = cv2.GaussianBlur(shadow, (0, 0), 1.2), cv2.GaussianBlur(contact, (0, 0), 4.0)
    return torch.from_numpy((1 - _strength(light) * soft) * (1 - 0.4 * dark)).reshape(-1)


def box_shadow(clutter: Clutter, light: Light) -> Float[Tensor, " cells"]:
    """Brightness of every cell: the lamp's shadow of boxes."""
    image = np.zeros((CELLS, CELLS), np.float32)
    pick = torch.cartesian_prod(*[torch.tensor([False, True])] * 3)
    corners = torch.where(pick, clutter.high[:, None], clutter.low[:, None])
    for box in _cast(corners, light):
        cv2.fillConvexPoly(image, cv2.convexHull(np.array(box, np.int32)), 1.0)
    soft = cv2.GaussianBlur(image, (0, 0), 1.2)
    return torch.from_numpy(1 - _strength(light) * soft).reshape(-1)
