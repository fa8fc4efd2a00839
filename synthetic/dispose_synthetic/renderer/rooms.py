"""Rooms before anybody enters: what their floor, walls, boxes, poles and light look like."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between, choose
from dispose_synthetic.renderer.solids import Solids, round_cones

CLOTH = 256
"""Pixels along the square of random grain that all surfaces share."""
FINISHES = ("plain", "chequered", "planks", "bricks", "stripes")
CLEAR_OF_LENS_MM = 1100.0
"""No box or pole stands nearer to a camera."""
BOXES, POLES, POSTERS = 8, 4, 6
FLOOR, CEILING = 4, 5
"""Faces of a room: 0-3 are walls."""


@dataclass(frozen=True, eq=False)
class Light(TensorStruct):
    """One lamp far away, in the unit direction `towards`, and light from everywhere, each of some strength."""

    towards: Float[Tensor, "3"]
    lamp: Float[Tensor, ""]
    ambient: Float[Tensor, ""]

    def shade(self, normal: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 1"]:
        """Brightness of surfaces by their normal: wrapped Lambert, brighter from above than from below."""
        facing = (normal @ self.towards)[..., None]
        sky = 0.85 + 0.15 * normal[..., 2:]
        return self.ambient * sky + self.lamp * (0.7 * facing + 0.3).clamp(min=0.0)


@dataclass(frozen=True, eq=False)
class Finish(TensorStruct):
    """How flat surfaces are covered: which of `FINISHES`, the width of a tile in mm, and two colours."""

    kind: Int[Tensor, " surfaces"]
    width: Float[Tensor, " surfaces"]
    base: Float[Tensor, "surfaces 3"]
    second: Float[Tensor, "surfaces 3"]


@dataclass(frozen=True, eq=False)
class Posters(TensorStruct):
    """Windows, doors, screens and posters: striped rectangles on every wall, those of them that are `shown`.

    Their left lower corners and sizes are in mm on the wall, their colours those of ground and bars, and `bars` are the
    wave numbers of the bars along both directions, per mm.
    """

    low: Float[Tensor, "walls posters 2"]
    size: Float[Tensor, "walls posters 2"]
    colour: Float[Tensor, "walls posters 2 3"]
    bars: Float[Tensor, "walls posters 2"]
    shown: Bool[Tensor, "walls posters"]


@dataclass(frozen=True, eq=False)
class Clutter(TensorStruct):
    """What stands in a room: boxes along the world's axes, by two corners (mm), and upright poles that are painted."""

    low: Float[Tensor, "boxes 3"]
    high: Float[Tensor, "boxes 3"]
    finish: Finish
    poles: Solids
    paint: Float[Tensor, "poles 3"]


@dataclass(frozen=True, eq=False)
class Room(TensorStruct):
    """A room round a rig; its walls are turned against the world's axes.

    `turn` is that of the walls about the vertical axis (radians), `half` half of length and width, and `top` the height
    of the ceiling (mm). The six faces have a finish and are lit evenly, each by its brightness; `cloth` is the grain of
    all surfaces, of one strength on the floor and another elsewhere, with pixels of `grain_mm`.
    """

    turn: Float[Tensor, ""]
    half: Float[Tensor, "2"]
    top: Float[Tensor, ""]
    finish: Finish
    brightness: Float[Tensor, "6"]
    posters: Posters
    clutter: Clutter
    cloth: Float[Tensor, "size size"]
    roughness: Float[Tensor, "2"]
    grain_mm: Float[Tensor, ""]
    light: Light


def sample_light(source: Noise) -> Light:
    """A lamp well above the horizon."""
    raw = source.normal((3,))
    raw[2] = raw[2].abs() + 0.9
    ambient = between(source, (), 0.4, 0.8)
    return Light(torch.nn.functional.normalize(raw, dim=-1), 1.2 - ambient, ambient)


def _muted(source: Noise, count: int) -> Float[Tensor, "surfaces 3"]:
    """Colours of rooms: greyish, light or dark."""
    grey = between(source, (count, 1), 0.18, 0.92)
    return (grey + between(source, (count, 1), 0.02, 0.13) * source.normal((count, 3))).clamp(0.04, 1.0)


def _finish(source: Noise, count: int) -> Finish:
    kind = choose(source, (count,), torch.tensor([0.35, 0.12, 0.25, 0.16, 0.12]))
    base, second = _muted(source, count), _muted(source, count)
    # Chequered and striped surfaces are rarely black and white.
    return Finish(kind, between(source, (count,), 150.0, 900.0), base, base + 0.6 * (second - base))


def _far_from(centres: Tensor, low: Tensor, high: Tensor) -> Bool[Tensor, " boxes"]:
    """Which boxes are clear of all cameras."""
    nearest = centres[:, None].maximum(low).minimum(high)
    return ((centres[:, None] - nearest).norm(dim=-1) > CLEAR_OF_LENS_MM).all(0)


def _ring(source: Noise, count: int, low: float, high: float) -> Tensor:
    angle, away = between(source, (count,), 0.0, 2 * math.pi), between(source, (count,), low, high)
    return torch.stack([away * angle.cos(), away * angle.sin()], dim=-1)


def sample_clutter(
    source: Noise,
    low: Float[Tensor, "furniture 3"],
    high: Float[Tensor, "furniture 3"],
    floor_mm: float,
    centres: Float[Tensor, "views 3"],
) -> Clutter:
    """The given furniture, boxes outside the floor where people are, and a few poles."""
    middle = _ring(source, BOXES, 1.35 * floor_mm, 3.0 * floor_mm)
    half = between(source, (BOXES, 2), 120.0, 600.0)
    tops = between(source, (BOXES, 1), 300.0, 2300.0)
    outside = middle.norm(dim=-1) - half.norm(dim=-1) > 1.05 * floor_mm
    extra = (source.uniform((BOXES,)) < 0.6) & outside
    low = torch.cat([low, torch.cat([middle - half, torch.zeros(BOXES, 1)], dim=-1)[extra]])
    high = torch.cat([high, torch.cat([middle + half, tops], dim=-1)[extra]])
    clear = _far_from(centres.float(), low, high)
    poles = _poles(source, floor_mm, centres.float())
    return Clutter(low[clear], high[clear], _finish(source, int(clear.sum())), poles, _muted(source, len(poles)))


def _poles(source: Noise, floor_mm: float, centres: Tensor) -> Solids:
    """Thin columns and stands; they may stand among the people."""
    foot = torch.cat([_ring(source, POLES, 0.5 * floor_mm, 1.8 * floor_mm), torch.zeros(POLES, 1)], dim=-1)
    top = foot + torch.tensor([0.0, 0.0, 1.0]) * between(source, (POLES, 1), 1000.0, 3500.0)
    radius = between(source, (POLES,), 15.0, 80.0)
    clear = _far_from(centres, foot - radius[:, None], top + radius[:, None])
    keep = (source.uniform((POLES,)) < 0.35) & clear
    across = torch.tensor([1.0, 0.0, 0.0]).expand(POLES, 3)
    return round_cones(foot[keep], top[keep], (radius[keep], radius[keep]), across[keep])


def _posters(source: Noise, half: Tensor) -> Posters:
    """Walls 0 and 1 run along the second axis of the room, walls 2 and 3 along the first."""
    shape = (4, POSTERS)
    run = torch.stack([half[1], half[1], half[0], half[0]])[:, None]
    size = between(source, (*shape, 2), 200.0, 1500.0)
    low = torch.stack([between(source, shape, -run, run), between(source, shape, 0.0, 1600.0)], dim=-1)
    bars = source.normal((*shape, 2)) / between(source, (*shape, 1), 40.0, 500.0)
    colour = _muted(source, 4 * POSTERS * 2).reshape(*shape, 2, 3)
    vivid = source.uniform((*shape, 2, 3))
    colour = torch.where(source.uniform((*shape, 1, 1)) < 0.4, vivid, colour)
    return Posters(low, size, colour, bars, source.uniform(shape) < 0.55)


def cloudy(source: Noise) -> Float[Tensor, "size size"]:
    """Random cloudiness with detail at every scale, about 0 with deviation 1; it can be tiled."""
    out = torch.zeros(CLOTH, CLOTH)
    for cells in (8, 16, 32, 64, 128, 256):
        padded = torch.nn.functional.pad(source.normal((1, 1, cells, cells)), (1, 1, 1, 1), mode="circular")
        fine = torch.nn.functional.interpolate(padded, scale_factor=CLOTH / cells, mode="bilinear")
        edge = CLOTH // cells
        out += fine[0, 0, edge : edge + CLOTH, edge : edge + CLOTH] / cells**0.4
    return (out - out.mean()) / out.std()


def sample_room(source: Noise, centres: Float[Tensor, "views 3"], clutter: Clutter) -> Room:
    """A room that holds all cameras."""
    turn = between(source, (), 0.0, math.pi / 2)
    cos, sin = turn.cos(), turn.sin()
    far = (centres[:, :2].float() @ torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])).abs().amax(0)
    half = far + between(source, (2,), 300.0, 2500.0)
    top = torch.maximum(centres[:, 2].amax().float() + 250.0, between(source, (), 2500.0, 4500.0))
    finish = _finish(source, 6)
    finish.base[CEILING] = 0.6 + 0.35 * finish.base[CEILING]
    return Room(
        turn, half, top, finish, between(source, (6,), 0.65, 1.0), _posters(source, half), clutter, cloudy(source),
        between(source, (2,), 0.02, 0.12), between(source, (), 8.0, 40.0), sample_light(source),
    )  # fmt: skip
