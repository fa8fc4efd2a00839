"""What people wear: a colour for every point of every part of a body, seen in the part's own frame."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between, choose
from dispose_synthetic.renderer.bodies import PARTS, part_of
from dispose_synthetic.renderer.solids import Strikes

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
