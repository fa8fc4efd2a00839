"""From the joints of people to solids (trunk, head, limbs, hands and feet of realistic thickness) and their colours.

What people wear is a colour for every point of every part of a body, seen in the part's own frame.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from dispose.skeletons.catalog import COCO_17
from dispose.tensors import TensorStruct, cat
from dispose_synthetic.randomness import Noise, between, choose
from dispose_synthetic.renderer.solids import Solids, Strikes, ellipsoids, frame_along, round_cones

PARTS = (
    "pelvis", "belly", "chest", "yoke", "neck", "head", "nose", "l_ear", "r_ear", "bun",
    "l_upper_arm", "r_upper_arm", "l_forearm", "r_forearm", "l_hand", "r_hand",
    "l_thigh", "r_thigh", "l_shank", "r_shank", "l_foot", "r_foot", "seat",
)  # fmt: skip
"""Parts of a body, in the order of its solids; last the stool of who sits."""
_SITTING = 0.5
"""Who sits has thighs that rise or fall by less than this share of their length."""
_LOWEST_SEAT_MM = 330.0

PATTERNS = ("plain", "rings", "lengthwise stripes", "checks", "blotches")
SKINS = ((0.93, 0.76, 0.65), (0.86, 0.66, 0.52), (0.72, 0.51, 0.38), (0.52, 0.35, 0.25), (0.34, 0.22, 0.16))
HAIRS = (
    (0.08, 0.06, 0.05), (0.20, 0.13, 0.08), (0.36, 0.23, 0.12), (0.62, 0.47, 0.26), (0.48, 0.20, 0.09),
    (0.62, 0.61, 0.60), (0.85, 0.83, 0.80),
)  # fmt: skip
GARMENTS = ("skin", "shirt", "trousers", "shoes", "hair", "seat")
_SKIN, _SHIRT, _TROUSERS, _SHOES, _HAIR, _SEAT = range(6)
# Which garment a part shows, and which beyond the end of a sleeve or a trouser leg.
_OF = {
    "pelvis": _TROUSERS, "belly": _SHIRT, "chest": _SHIRT, "yoke": _SHIRT, "upper_arm": _SHIRT, "forearm": _SHIRT,
    "thigh": _TROUSERS, "shank": _TROUSERS, "foot": _SHOES, "bun": _HAIR, "seat": _SEAT,
}  # fmt: skip
_GARMENT = torch.tensor([_OF.get(part.removeprefix("l_").removeprefix("r_"), _SKIN) for part in PARTS])


@dataclass(frozen=True, eq=False)
class Builds(TensorStruct):
    """How thick people are.

    Attributes:
        size: all thicknesses relative to those of an adult of 1.72 m.
        girth: of the trunk, relative.
        limb: thickness of arms and legs, relative.
        hem: thickness that trousers and sleeves add, relative.
        bun: radius of a knot of hair at the back of the head, relative to the head (0: none).
    """

    size: Float[Tensor, " persons"]
    girth: Float[Tensor, " persons"]
    limb: Float[Tensor, " persons"]
    hem: Float[Tensor, " persons"]
    bun: Float[Tensor, " persons"]


def _rows(xyz: Tensor, *names: str) -> tuple[Tensor, ...]:
    return tuple(xyz[:, COCO_17.index(name)] for name in names)


def trunk_axes(xyz: Float[Tensor, "persons 17 3"]) -> tuple[Tensor, Tensor]:
    """Unit vectors to the front of the chest and to the front of the pelvis."""
    shoulders, hips = _rows(xyz, "l_shoulder", "r_shoulder"), _rows(xyz, "l_hip", "r_hip")
    up = (shoulders[0] + shoulders[1] - hips[0] - hips[1]) / 2
    across = (shoulders[0] - shoulders[1], hips[0] - hips[1])
    return tuple(normalize(torch.linalg.cross(side, up, dim=-1), dim=-1) for side in across)  # type: ignore[return-value]


def head_axes(xyz: Float[Tensor, "persons 17 3"]) -> tuple[Tensor, Tensor, Tensor]:
    """Middle between the ears, axes of the head as rows (front, left, up), and the width between the ears."""
    nose, left, right = _rows(xyz, "nose", "l_ear", "r_ear")
    middle = (left + right) / 2
    side = left - right
    # The nose lies a little below the ears: its direction is turned back up by that angle.
    axes = frame_along(side, nose - middle)
    front, left_axis = axes[:, 0], axes[:, 2]
    up = torch.linalg.cross(front, left_axis, dim=-1)
    # 0.44 forward, 0.05 down in shares of the head.
    front, up = normalize(front + 0.114 * up, dim=-1), normalize(up - 0.114 * front, dim=-1)
    return middle, torch.stack([front, left_axis, up], dim=-2), side.norm(dim=-1)


def _trunk(xyz: Tensor, builds: Builds, chest_front: Tensor, pelvis_front: Tensor) -> list[Solids]:
    l_shoulder, r_shoulder, l_hip, r_hip = _rows(xyz, "l_shoulder", "r_shoulder", "l_hip", "r_hip")
    neck, hips = (l_shoulder + r_shoulder) / 2, (l_hip + r_hip) / 2
    half = (l_shoulder - r_shoulder).norm(dim=-1) / 2
    hip_half = (l_hip - r_hip).norm(dim=-1) / 2
    thick = builds.size * builds.girth
    up = neck - hips
    waist, breast = hips + 0.34 * up, hips + 0.74 * up
    wide = hip_half + 48 * thick
    belly_front = normalize(chest_front + pelvis_front, dim=-1)
    pelvis = round_cones(hips - 0.02 * up, hips + 0.1 * up, (wide, wide * 0.98), pelvis_front, flat=0.68)
    belly = round_cones(hips + 0.12 * up, waist, (wide * 0.97, 0.82 * half + 12 * thick), belly_front, flat=0.7)
    chest = round_cones(waist, breast, (0.82 * half + 10 * thick, 0.86 * half + 16 * thick), chest_front, flat=0.68)
    yoke = round_cones(
        l_shoulder - 0.03 * up, r_shoulder - 0.03 * up, (58 * builds.size, 58 * builds.size), chest_front, flat=1.15
    )
    return [pelvis, belly, chest, yoke]


def _head(xyz: Tensor, builds: Builds, chest_front: Tensor) -> list[Solids]:
    (nose,) = _rows(xyz, "nose")
    l_shoulder, r_shoulder = _rows(xyz, "l_shoulder", "r_shoulder")
    l_ear, r_ear = _rows(xyz, "l_ear", "r_ear")
    middle, axes, width = head_axes(xyz)
    head = width / 0.66
    front, up = axes[:, 0], axes[:, 2]
    centre = middle + head[:, None] * (0.02 * front + 0.06 * up)
    radii = head[:, None] * torch.tensor([0.41, 0.33, 0.53])
    base = (l_shoulder + r_shoulder) / 2
    throat = middle - head[:, None] * (0.3 * up + 0.04 * front)
    neck = round_cones(base - 0.25 * (throat - base), throat, (56 * builds.size, 50 * builds.size), chest_front)
    tip = round_cones(
        nose - 0.13 * head[:, None] * (front - 0.9 * up),
        nose - 0.03 * head[:, None] * front,
        (0.035 * head, 0.055 * head),
        front,
    )
    ears = [ellipsoids(ear, axes, head[:, None] * torch.tensor([0.08, 0.045, 0.14])) for ear in (l_ear, r_ear)]
    knot = centre - head[:, None] * (0.42 * front - 0.12 * up)
    # Who wears no knot has one of no size inside the head.
    inner = torch.where((builds.bun > 0)[:, None], knot, centre)
    bun = ellipsoids(inner, axes, (head * builds.bun.clamp(min=0.02))[:, None].expand(-1, 3))
    return [neck, ellipsoids(centre, axes, radii), tip, *ears, bun]


def _sides(xyz: Tensor, *names: str) -> tuple[Tensor, ...]:
    """Joints of both sides (left, right) before the persons."""
    return tuple(torch.stack(_rows(xyz, f"l_{name}", f"r_{name}")) for name in names)


def _arms(xyz: Tensor, builds: Builds, front: Tensor) -> list[Solids]:
    shoulder, elbow, wrist = _sides(xyz, "shoulder", "elbow", "wrist")
    front = front.expand_as(shoulder)
    fore = normalize(wrist - elbow, dim=-1)
    thick = builds.size * builds.limb
    sleeve = thick * (1 + 0.5 * (builds.hem - 1))
    upper = round_cones(shoulder, elbow, (54 * sleeve, 41 * sleeve), front)
    lower = round_cones(elbow, wrist, (40 * thick, 27 * thick), front)
    palm = 88 * builds.size[:, None] * fore
    ends = wrist + 0.25 * palm, wrist + 1.4 * palm
    hand = round_cones(*ends, (34 * builds.size, 22 * builds.size), front, flat=0.75)
    return [upper, lower, hand]


def _legs(xyz: Tensor, builds: Builds, front: Tensor) -> list[Solids]:
    hip, knee, ankle = _sides(xyz, "hip", "knee", "ankle")
    front = front.expand_as(hip)
    thick = builds.size * builds.limb
    thigh = round_cones(hip, knee, (84 * thick * builds.girth, 57 * thick * builds.hem), front)
    shank = round_cones(knee, ankle, (56 * thick * builds.hem, 39 * thick * builds.hem), front)
    # Feet point where the pelvis points, across the shank; a bent knee points there too.
    down = normalize(ankle - knee, dim=-1)
    ahead = front + (knee - hip) / 300.0
    ahead = normalize(ahead - (ahead * down).sum(-1, keepdim=True) * down, dim=-1)
    size = builds.size[:, None]
    sole = ankle + 42 * size * down
    heel, toe = sole - 42 * size * ahead, sole + (150 * ahead + 8 * down) * size
    foot = round_cones(heel, toe, (40 * builds.size, 30 * builds.size), down)
    return [thigh, shank, foot]


def _seats(xyz: Tensor) -> list[Solids]:
    """A stool under people who sit; a grain of dust inside everybody else."""
    l_hip, r_hip, l_knee, r_knee = _rows(xyz, "l_hip", "r_hip", "l_knee", "r_knee")
    hips, knees = (l_hip + r_hip) / 2, (l_knee + r_knee) / 2
    rise = (knees - hips)[:, 2].abs() / (l_knee - l_hip).norm(dim=-1).clamp(min=1.0)
    sits = (rise < _SITTING) & (hips[:, 2] > _LOWEST_SEAT_MM)
    plate = hips - torch.tensor([0.0, 0.0, 220.0])
    foot = torch.where(sits[:, None], plate * torch.tensor([1.0, 1.0, 0.0]), hips)
    radius = torch.where(sits, 130.0, 1.0)
    across = torch.tensor([1.0, 0.0, 0.0]).expand_as(hips)
    top = torch.where(sits[:, None], plate, hips + torch.tensor([0.0, 0.0, 1.0]))
    return [round_cones(foot, top, (0.7 * radius, radius), across)]


def bodies(xyz_world: Float[Tensor, "persons 17 3"], builds: Builds) -> Solids:
    """The solids of people, part by part: `PARTS`-major, so that solid ``part * persons + person`` is theirs."""
    xyz = xyz_world.float()
    chest, pelvis = trunk_axes(xyz)
    trunk, head = _trunk(xyz, builds, chest, pelvis), _head(xyz, builds, chest)
    return cat([*trunk, *head, *_arms(xyz, builds, chest), *_legs(xyz, builds, pelvis), *_seats(xyz)], "solids")


def part_of(solid: Int[Tensor, "*hits"], persons: int) -> tuple[Int[Tensor, "*hits"], Int[Tensor, "*hits"]]:
    """Part and person of solids of `bodies`."""
    part = torch.div(solid, max(persons, 1), rounding_mode="floor")
    return part, solid - part * persons


@dataclass(frozen=True, eq=False)
class Outfits(TensorStruct):
    """Clothes of people.

    Attributes:
        base: colour of every garment (`GARMENTS`), RGB in [0, 1].
        second: the other colour of its pattern.
        pattern: which of `PATTERNS`.
        pitch: width of a stripe, mm.
        ends: per part, the place on the axis (0-1) beyond which skin shows.
        front: half width in radians of a panel down the front of the chest in the second colour (0: none).
        hairline: how far hair reaches over the forehead and down the neck (large: bald).
        cover: colour of a mask, and whether it is worn (last channel).
        beard: whether hair covers the chin.
    """

    base: Float[Tensor, "persons garments 3"]
    second: Float[Tensor, "persons garments 3"]
    pattern: Int[Tensor, "persons garments"]
    pitch: Float[Tensor, "persons garments"]
    ends: Float[Tensor, "persons parts"]
    front: Float[Tensor, " persons"]
    hairline: Float[Tensor, " persons"]
    cover: Float[Tensor, "persons 4"]
    beard: Float[Tensor, " persons"]


def _colours(source: Noise, shape: tuple[int, ...]) -> Tensor:
    """Cloth: any hue, often greyish, dark or white."""
    hue = source.uniform((*shape, 1)) + torch.tensor([0.0, 1 / 3, 2 / 3])
    pure = (2 * (hue % 1.0 - 0.5).abs() * 3 - 1).clamp(0, 1)
    saturation = source.uniform((*shape, 1)) ** 1.3
    value = between(source, (*shape, 1), 0.08, 1.0)
    return value * (1 - saturation * (1 - pure))


def _bare(source: Noise, persons: int) -> Tensor:
    """Where sleeves and trouser legs end."""
    ends = torch.full((persons, len(PARTS)), 2.0)
    sleeve = choose(source, (persons,), torch.tensor([0.45, 0.4, 0.15]))
    leg = choose(source, (persons,), torch.tensor([0.78, 0.22]))
    short = between(source, (persons,), 0.45, 0.8)
    rolled = between(source, (persons,), 0.35, 1.0)
    knee = between(source, (persons,), 0.6, 0.95)
    zero, long = torch.zeros(persons) - 1, torch.full((persons,), 2.0)
    upper = torch.where(sleeve == 1, short, torch.where(sleeve == 2, zero, long))
    fore = torch.where(sleeve == 0, rolled, zero)
    for side in ("l_", "r_"):
        ends[:, PARTS.index(side + "upper_arm")] = upper
        ends[:, PARTS.index(side + "forearm")] = fore
        ends[:, PARTS.index(side + "thigh")] = torch.where(leg == 0, long, knee)
        ends[:, PARTS.index(side + "shank")] = torch.where(leg == 0, long, zero)
    return ends


def sample_outfits(source: Noise, persons: int) -> Outfits:
    """Random clothes, skin and hair."""
    shape = (persons, len(GARMENTS))
    base, second = _colours(source, shape), _colours(source, shape)
    skin = torch.tensor(SKINS)[choose(source, (persons,), torch.ones(len(SKINS)))]
    base[:, _SKIN] = (skin * (1 + 0.06 * source.normal((persons, 3)))).clamp(0.05, 1.0)
    hair = torch.tensor(HAIRS)[choose(source, (persons,), torch.tensor([3.0, 3.0, 2.0, 1.5, 0.7, 0.8, 0.4]))]
    cap = source.uniform((persons, 1)) < 0.15
    base[:, _HAIR] = torch.where(cap, base[:, _HAIR], hair)
    second[:, _HAIR] = 0.8 * base[:, _HAIR]
    base[:, _SHOES] *= 0.7
    # Overalls and scrubs: one colour above and below.
    suit = source.uniform((persons, 1)) < 0.15
    base[:, _TROUSERS] = torch.where(suit, base[:, _SHIRT], base[:, _TROUSERS])
    pattern = choose(source, shape, torch.tensor([0.5, 0.2, 0.12, 0.1, 0.08]))
    pattern[:, [_SKIN, _SHOES, _SEAT]] = 0
    pattern[:, _HAIR] = PATTERNS.index("blotches")
    trousers = choose(source, (persons,), torch.tensor([0.8, 0.02, 0.08, 0.05, 0.05]))
    pattern[:, _TROUSERS] = trousers
    panel = between(source, (persons,), 0.08, 0.5) * (source.uniform((persons,)) < 0.45)
    bald = torch.where(source.uniform((persons,)) < 0.1, 1.1, between(source, (persons,), 0.05, 0.35))
    mask = torch.cat([_colours(source, (persons,)), (source.uniform((persons, 1)) < 0.12).float()], dim=-1)
    return Outfits(
        base, second, pattern, between(source, shape, 25.0, 90.0), _bare(source, persons), panel, bald, mask,
        (source.uniform((persons,)) < 0.18).float(),
    )  # fmt: skip


def _mix(strikes: Strikes, pattern: Tensor, pitch: Tensor) -> Tensor:
    """Share of the second colour, by the pattern."""
    x, y, z = strikes.point.unbind(-1)
    angle = torch.atan2(y, x)
    rings = (torch.sin(z * (math.pi / pitch)) * 4).clamp(-0.5, 0.5) + 0.5
    stripes = (torch.sin(angle * (400.0 / pitch).round()) * 4).clamp(-0.5, 0.5) + 0.5
    cloud = torch.sin(z * 2.6 / pitch + 2 * torch.sin(3 * angle + z / pitch)) * torch.sin(4 * angle + z / pitch)
    out = torch.zeros_like(x)
    for kind, value in enumerate((None, rings, stripes, rings * stripes, (2 * cloud + 0.3).clamp(0, 1))):
        if value is not None:
            out = torch.where(pattern == kind, value, out)
    return out


def _paint_heads(colour: Tensor, strikes: Strikes, part: Tensor, person: Tensor, outfits: Outfits) -> Tensor:
    """Faces: eyes, mouth, beard or mask before, hair above and behind."""
    rows = (part == PARTS.index("head")).nonzero()[:, 0]
    x, y, z = strikes.point[rows].unbind(-1)
    who = person[rows]
    face = outfits.base[who, _SKIN]
    ahead = x > 0
    cheek = 1 - 0.35 * torch.exp(-((z - 0.3) ** 2 + (y.abs() - 0.42) ** 2) / 0.02) * ahead
    face = face * cheek[:, None]
    eye = ahead & (((y.abs() - 0.42) / 0.14) ** 2 + ((z - 0.1) / 0.085) ** 2 < 1)
    brow = ahead & (((y.abs() - 0.42) / 0.26) ** 2 + ((z - 0.27) / 0.055) ** 2 < 1)
    mouth = ahead & ((y / 0.33) ** 2 + ((z + 0.5) / 0.09) ** 2 < 1)
    hair = outfits.base[who, _HAIR]
    below = (z < -0.28) & (x > -0.35 + 0.2 * z)
    face = torch.where((below & (outfits.beard[who] > 0))[:, None], hair, face)
    face = torch.where(mouth[:, None], face * torch.tensor([0.75, 0.42, 0.4]), face)
    face = torch.where(brow[:, None], hair * 0.7, face)
    face = torch.where(eye[:, None], torch.tensor([0.06, 0.06, 0.08]), face)
    masked = ahead & (z < 0.0) & (z > -0.8) & (outfits.cover[who, 3] > 0)
    face = torch.where(masked[:, None], outfits.cover[who, :3], face)
    scalp = 0.85 * z - 0.8 * x > outfits.hairline[who]
    strand = 1 + 0.12 * torch.sin(30 * y) * torch.sin(9 * z + 5 * x)
    colour[rows] = torch.where((scalp & (x < 0.8))[:, None], hair * strand[:, None], face)
    return colour


def paint(strikes: Strikes, persons: int, outfits: Outfits) -> Float[Tensor, "hits 3"]:
    """Unlit colours of all points of people that are seen; the solids are those of `bodies.bodies`."""
    part, person = part_of(strikes.solid, persons)
    garment = _GARMENT[part]
    colour, second = outfits.base[person, garment], outfits.second[person, garment]
    share = _mix(strikes, outfits.pattern[person, garment], outfits.pitch[person, garment])
    x, y = strikes.point[:, 0], strikes.point[:, 1]
    trunk = (part == PARTS.index("chest")) | (part == PARTS.index("belly"))
    panel = trunk & (torch.atan2(y, x).abs() < outfits.front[person])
    share = torch.where(panel, 1.0, share)
    colour = colour + share[:, None] * (second - colour)
    # A neckline below the chin and a belt tell the front and the height of a trunk.
    chest = part == PARTS.index("chest")
    neckline = chest & (y.abs() < 40.0) & (x > 0) & (strikes.along > 0.995)
    colour = torch.where(neckline[:, None], outfits.base[person, _SKIN], colour)
    belt = (part == PARTS.index("belly")) & (strikes.along < 0.04) & (strikes.point[:, 2] < 10)
    colour = torch.where(belt[:, None], colour * 0.35, colour)
    bare = strikes.along > outfits.ends[person, part]
    colour = torch.where(bare[:, None], outfits.base[person, _SKIN], colour)
    return _paint_heads(colour, strikes, part, person, outfits)
