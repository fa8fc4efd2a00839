"""The room before anybody enters: floor, walls, ceiling, boxes and poles, drawn once per rig."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.datasets.synthetic.drawing.lenses import Lenses
from dispose.datasets.synthetic.drawing.solids import Solids, round_cones, strike
from dispose.datasets.synthetic.kinematics import rotation_about
from dispose.datasets.synthetic.noise import Noise, between, choose
from dispose.tensors import TensorStruct

CLOTH = 256
"""Pixels of the square of random grain that all surfaces share."""
SHADOW_CELL_MM = 35.0
SHADOW_CELLS = 320
"""The floor's map of shadows: a square of cells round the middle of the room."""
CLEAR_OF_LENS_MM = 900.0
"""No box or pole stands nearer to a camera."""
POSTERS = 7


@dataclass(frozen=True, eq=False)
class Light(TensorStruct):
    """One lamp far away and light from everywhere.

    Attributes:
        towards: unit direction to the lamp.
        lamp: its strength.
        ambient: strength of the light from everywhere.
    """

    towards: Float[Tensor, "3"]
    lamp: Float[Tensor, ""]
    ambient: Float[Tensor, ""]

    def shade(self, normal: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 1"]:
        """Brightness of surfaces by their normal: wrapped Lambert, brighter from above than from below."""
        facing = (normal @ self.towards)[..., None]
        sky = 0.85 + 0.15 * normal[..., 2:]
        return self.ambient * sky + self.lamp * (0.7 * facing + 0.3).clamp(min=0.0)


@dataclass(frozen=True, eq=False)
class Clutter(TensorStruct):
    """What stands in a room: boxes along its axes, and poles."""

    low: Float[Tensor, "boxes 3"]
    high: Float[Tensor, "boxes 3"]
    poles: Solids


@dataclass(frozen=True, eq=False)
class Backdrop(TensorStruct):
    """The empty room in every pixel.

    Attributes:
        colour: lit, RGB.
        distance: along the pixel's ray, mm.
        cell: of the floor's shadow map, `ABSENT` where the pixel shows no floor.
    """

    colour: Float[Tensor, "pixels 3"]
    distance: Float[Tensor, " pixels"]
    cell: Int[Tensor, " pixels"]


def sample_light(source: Noise) -> Light:
    """A lamp above the horizon."""
    raw = source.normal((3,))
    raw[2] = raw[2].abs() + 0.9
    ambient = between(source, (), 0.35, 0.75)
    return Light(torch.nn.functional.normalize(raw, dim=-1), 1.15 - ambient, ambient)


def _far_from(centres: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Which boxes are clear of all cameras."""
    nearest = centres[:, None].maximum(low).minimum(high)
    return ((centres[:, None] - nearest).norm(dim=-1) > CLEAR_OF_LENS_MM).all(0)


def sample_clutter(
    source: Noise, low: Float[Tensor, "furniture 3"], high: Float[Tensor, "furniture 3"], room: float, centres: Tensor
) -> Clutter:
    """The given furniture, boxes outside the part of the room where people are, and a few poles."""
    centres = centres.float()
    count = 8
    angle = between(source, (count,), 0.0, 6.2832)
    away = room * between(source, (count,), 1.35, 3.0)
    middle = torch.stack([away * angle.cos(), away * angle.sin()], dim=-1)
    half = between(source, (count, 2), 120.0, 600.0)
    tops = between(source, (count, 1), 300.0, 2300.0)
    extra_low = torch.cat([middle - half, torch.zeros(count, 1)], dim=-1)
    extra_high = torch.cat([middle + half, tops], dim=-1)
    extra = (source.uniform((count,)) < 0.6) & ((away - half.norm(dim=-1)) > 1.05 * room)
    low, high = torch.cat([low, extra_low[extra]]), torch.cat([high, extra_high[extra]])
    clear = _far_from(centres, low, high)
    return Clutter(low[clear], high[clear], _sample_poles(source, room, centres))


def _sample_poles(source: Noise, room: float, centres: Tensor) -> Solids:
    """Thin columns and stands; they may stand among the people."""
    count = 4
    angle, away = between(source, (count,), 0.0, 6.2832), room * between(source, (count,), 0.5, 1.8)
    foot = torch.stack([away * angle.cos(), away * angle.sin(), torch.zeros(count)], dim=-1)
    top = foot + torch.tensor([0.0, 0.0, 1.0]) * between(source, (count, 1), 1000.0, 3500.0)
    radius = between(source, (count,), 15.0, 90.0)
    clear = _far_from(centres, foot - radius[:, None], top + radius[:, None])
    keep = (source.uniform((count,)) < 0.35) & clear
    across = torch.tensor([1.0, 0.0, 0.0]).expand(count, 3)
    return round_cones(foot[keep], top[keep], (radius[keep], radius[keep]), across[keep])


def grain(source: Noise) -> Float[Tensor, "size size"]:
    """Random cloudiness with detail at every scale, about 0 with deviation 1; it can be tiled."""
    out = torch.zeros(CLOTH, CLOTH)
    for cells in (8, 16, 32, 64, 128, 256):
        coarse = source.normal((1, 1, cells, cells))
        padded = torch.nn.functional.pad(coarse, (1, 1, 1, 1), mode="circular")
        fine = torch.nn.functional.interpolate(padded, scale_factor=CLOTH / cells, mode="bilinear")
        edge = CLOTH // cells
        out += fine[0, 0, edge : edge + CLOTH, edge : edge + CLOTH] / cells**0.4
    return (out - out.mean()) / out.std()


def _grain_at(cloth: Tensor, u: Tensor, v: Tensor, mm: float) -> Tensor:
    i = (u / mm).floor().long() & (CLOTH - 1)
    j = (v / mm).floor().long() & (CLOTH - 1)
    return cloth.reshape(-1)[i * CLOTH + j]


def _muted(source: Noise, count: int) -> Tensor:
    """Colours of rooms: greyish, light or dark."""
    grey = between(source, (count, 1), 0.15, 0.9)
    return (grey + between(source, (count, 1), 0.02, 0.16) * source.normal((count, 3))).clamp(0.03, 1.0)


def _tiles(source: Noise, u: Tensor, v: Tensor, base: Tensor, second: Tensor) -> Tensor:
    """One surface: plain, chequered, planks, bricks or stripes."""
    kind = int(choose(source, (), torch.tensor([0.3, 0.2, 0.25, 0.15, 0.1])))
    width = float(between(source, (), 150.0, 900.0))
    height = width * (4.0 if kind == 2 else 0.5 if kind == 3 else 1.0)
    if kind == 0:
        return base.expand(*u.shape, 3)
    row = (v / height).floor()
    column = (u / width + (0.5 * row if kind in (2, 3) else 0.0)).floor()
    if kind == 1:
        share = ((row + column) % 2).abs()
    elif kind == 4:
        share = (column % 2).abs()
    else:
        # Every plank or brick has a shade of its own, and dark joints.
        share = ((torch.sin(column * 12.9898 + row * 78.233) * 43758.5453) % 1.0).abs()
        joint = ((u / width + 0.5 * row) % 1.0 < 0.035) | ((v / height) % 1.0 < 0.05)
        share = torch.where(joint, 2.0, share)
    return base + share[..., None] * (second - base) * (1.0 if kind in (1, 4) else 0.4)


def _walls(source: Noise, lenses: Lenses, ray: Tensor, origin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, face (0-3 walls, 4 floor, 5 ceiling) and colour where rays leave a box round all cameras."""
    turn = rotation_about(2, between(source, (), 0.0, 1.5708))
    d, o = turn.T @ ray, turn.T @ origin
    margin = between(source, (2,), 300.0, 2500.0)
    half = (lenses.centre @ turn).abs().amax(0)[:2] + margin
    top = torch.maximum(lenses.centre[:, 2].amax() + 250.0, between(source, (), 2500.0, 4500.0))
    safe = torch.where(d.abs() < 1e-6, 1e-6, d)
    bound = torch.stack([
        torch.where(safe[0] > 0, half[0], -half[0]), torch.where(safe[1] > 0, half[1], -half[1]),
        torch.where(safe[2] > 0, top, torch.zeros(())),
    ])  # fmt: skip
    t, axis = ((bound - o) / safe).min(0)
    up = (safe.gather(0, axis[None])[0] > 0).long()
    face = torch.where(axis == 2, 4 + up, 2 * axis + up)
    point = o + t * d
    colour = torch.empty(t.shape[0], 3)
    base, second = _muted(source, 6), _muted(source, 6)
    base[5] = 0.6 + 0.35 * base[5]
    for side in range(6):
        rows = (face == side).nonzero()[:, 0]
        p = point[:, rows]
        u, v = (p[0], p[1]) if side >= 4 else (p[1 - side // 2], p[2])
        colour[rows] = _tiles(source, u, v, base[side], second[side])
        if side < 4:
            colour[rows] = _posters(source, u, v, colour[rows], float(half[1 - side // 2]))
    return t, face, colour


def _posters(source: Noise, u: Tensor, v: Tensor, colour: Tensor, half: float) -> Tensor:
    """Windows, doors, posters and screens on one wall, and a skirting board."""
    middle = between(source, (POSTERS,), -half, half)
    foot = between(source, (POSTERS,), 0.0, 1600.0)
    size = between(source, (POSTERS, 2), 200.0, 1500.0)
    shade, other = source.uniform((POSTERS, 3)), source.uniform((POSTERS, 3))
    pitch = between(source, (POSTERS,), 40.0, 500.0)
    shown = source.uniform((POSTERS,)) < 0.55
    for i in range(POSTERS):
        if not bool(shown[i]):
            continue
        x, y = (u - middle[i]).abs() / (size[i, 0] / 2), (v - foot[i]) / size[i, 1]
        inside = (x < 1) & (y > 0) & (y < 1)
        bars = ((u * shade[i, 0] + v * shade[i, 1]) / pitch[i]).sin() > 0.3
        filled = torch.where(bars[:, None], other[i], shade[i])
        colour = torch.where(inside[:, None], filled, colour)
    skirting = (v < 90.0)[:, None]
    return torch.where(skirting, 0.5 * colour, colour)


def _boxes(source: Noise, clutter: Clutter, ray: Tensor, origin: Tensor, t: Tensor, colour: Tensor, normal: Tensor):
    """Boxes before the walls, in place: distance, colour and normal."""
    safe = torch.where(ray.abs() < 1e-6, 1e-6, ray).reciprocal()
    base, second = _muted(source, len(clutter.low)), _muted(source, len(clutter.low))
    for box in range(len(clutter.low)):
        a, b = (clutter.low[box, :, None] - origin) * safe, (clutter.high[box, :, None] - origin) * safe
        enter, axis = torch.minimum(a, b).max(0)
        rows = ((enter < torch.maximum(a, b).amin(0)) & (enter > 0) & (enter < t)).nonzero()[:, 0]
        if not len(rows):
            continue
        t[rows] = enter[rows]
        point, side = origin[:, rows] + enter[rows] * ray[:, rows], axis[rows]
        u = torch.where(side == 0, point[1], point[0]) - clutter.low[box, 0]
        v = torch.where(side == 2, point[1] - clutter.low[box, 1], point[2])
        colour[rows] = _tiles(source, u, v, base[box], second[box])
        sign = -ray[:, rows].gather(0, side[None])[0].sign()
        normal[rows] = torch.nn.functional.one_hot(side, 3) * sign[:, None]


def draw_room(source: Noise, lenses: Lenses, clutter: Clutter, light: Light) -> Backdrop:
    """Colour and distance of every pixel of the empty room."""
    ray = lenses.direction
    per_view = lenses.pixels // len(lenses.cameras)
    origin = lenses.centre.T.repeat_interleave(per_view, dim=1)
    t, face, colour = _walls(source, lenses, ray, origin)
    # Walls are lit evenly, each a little different; their normals would leave some of them black.
    normal = torch.zeros(t.shape[0], 3)
    flat = between(source, (6,), 0.65, 1.0)
    shade = flat[face][:, None]
    before = t.clone()
    _boxes(source, clutter, ray, origin, t, colour, normal)
    changed = t < before
    if len(clutter.poles):
        found = strike(clutter.poles, lenses, t)
        t[found.pixel] = found.distance
        changed[found.pixel] = True
        normal[found.pixel] = found.normal
        colour[found.pixel] = _muted(source, len(clutter.poles))[found.solid]
    shade = torch.where(changed[:, None], light.shade(normal), shade)
    point = origin + t * ray
    cloth = grain(source)
    depth = between(source, (2,), 0.02, 0.12)
    rough = _grain_at(cloth, point[0] + 0.7 * point[2], point[1] + 0.6 * point[2], float(between(source, (), 8, 40)))
    colour = colour * (1 + torch.where(face == 4, depth[0], depth[1]) * rough)[:, None] * shade
    on_floor = (face == 4) & ~changed
    return Backdrop(colour.clamp(0, 1), t, shadow_cell(point[:2].T, on_floor))


def shadow_cell(xy: Float[Tensor, "pixels 2"], on_floor: Bool[Tensor, " pixels"]) -> Int[Tensor, " pixels"]:
    """Cell of the shadow map under a floor point; `ABSENT` off the floor and outside the map."""
    cell = (xy / SHADOW_CELL_MM + SHADOW_CELLS / 2).floor()
    inside = on_floor & ((cell >= 0) & (cell < SHADOW_CELLS)).all(-1)
    index = cell[:, 1] * SHADOW_CELLS + cell[:, 0]
    return torch.where(inside, index, -1.0).long()
