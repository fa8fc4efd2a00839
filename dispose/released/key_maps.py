"""What the released Stage II does its own way: pixels, triangulation, view counts, attributes of hyperedges."""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.models.dispose.decoder_geometry import PixelRules, Points, Sizes, smallest_singular_vector
from dispose.models.dispose.decoder_layer import DecoderConfig, DecoderRules
from dispose.models.dispose.decoder_parts import PackedPersons

SLOTS = 10
"""People per sample that the released code has room for."""


def inside_released(xy: Points, size: Sizes) -> Bool[Tensor, "persons views joints"]:
    """Pixels from 0 up to, but without, the size."""
    return ((xy >= 0) & (xy < size)).all(-1)


def clip_released(xy: Points, size: Sizes) -> Points:
    """One pixel of room above and left, none below and right."""
    return xy.clamp(torch.full_like(size, -1.0), size - 1)


def fraction_released(xy: Points, size: tuple[int, int]) -> Points:
    """Pixel indices over the size: half a pixel up and left of where the pixel is."""
    return xy / torch.tensor(size, dtype=xy.dtype, device=xy.device)


def legacy_rows(roster: PackedPersons, first: int, second: int, instances: int) -> Int[Tensor, "persons edges"]:
    """The released mix-up: attributes lie family by family over the batch, edges sample by sample.

    Edge number k of the batch reads attribute number k. With one sample that is the right one; with more, a person's
    attributes depend on their sample's place in the batch and on how many there are.
    """
    slots = torch.arange(SLOTS, device=roster.sample.device)
    slot = roster.slot % SLOTS
    kind = torch.arange(second, device=slot.device)
    view = torch.arange(first, device=slot.device)
    per_sample = SLOTS * (first + second)
    mine = torch.cat([view * SLOTS + slot[:, None], SLOTS * first + slot[:, None] * second + kind], 1)
    number = roster.sample[:, None] * per_sample + mine
    laid_first = (slots % instances).repeat(roster.samples * first)
    laid_second = (instances + kind).repeat(roster.samples * SLOTS)
    return torch.cat([laid_first, laid_second])[number]


def legacy_members(roster: PackedPersons, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The other half of the mix-up: incidences lie sample by sample, their validity family by family over the batch.

    Sample b's families are blocks 2b and 2b + 1 of the incidences; blocks of validity are first all first families,
    then all second ones. So a person's hyperedges lack the nodes that somebody else in the batch does not show.
    """
    slot = roster.slot % SLOTS
    laid = []
    for family in (first, second):
        table = family.new_zeros((roster.samples, SLOTS, *family.shape[1:]))
        table[roster.sample, slot] = family
        laid.append(table.flatten(2))
    blocks = torch.cat(laid)
    block = 2 * roster.sample
    return blocks[block, slot].view_as(first), blocks[block + 1, slot].view_as(second)


def count_released(count: Int[Tensor, "persons joints"], chans: int) -> Float[Tensor, "persons joints chans"]:
    """Sines, then cosines, at frequencies from 1 down to 1e-4 itself: our ladder ends one rung before it."""
    half = chans // 2
    ladder = torch.arange(half, device=count.device) / (half - 1)
    angle = count[..., None] * torch.exp(-math.log(1e4) * ladder)
    return torch.cat([angle.sin(), angle.cos()], -1)


RELEASED_PIXELS = PixelRules(inside_released, clip_released, fraction_released)
RELEASED_RULES = DecoderRules(RELEASED_PIXELS, smallest_singular_vector, count=count_released)
"""The released decoder with every hyperedge's own attribute: a sample's result depends on nothing else."""
LEGACY_RULES = replace(RELEASED_RULES, rows=legacy_rows, members=legacy_members)
"""The released decoder as its weights were trained, with batches of several samples."""


def released_decoder_config(
    room_centre: tuple[float, float, float], room_size: tuple[float, float, float]
) -> DecoderConfig:
    """Sizes of the released decoder; the workspace box (mm) is the data set's."""
    return DecoderConfig(
        chans=256,
        feature_chans=256,
        layers=4,
        heads=8,
        points=8,
        hypergraph_heads=4,
        expansion=4,
        dropout=0.1,
        offset_limit=0.15,
        instances=SLOTS,
        room_centre=room_centre,
        room_size=room_size,
        residual_unit=1.0,
        windows=(),
        confidence=0,
    )
