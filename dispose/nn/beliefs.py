"""What is believed about where keypoints are, as samples: drawn from heat maps or around keypoints, and as channels."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Samples(TensorStruct):
    """Places where a keypoint may be, and how likely each is; likelihoods are 0 where nothing is known of a joint."""

    xy: Float[Tensor, "*persons joints samples 2"]
    likelihood: Float[Tensor, "*persons joints samples"]

    def falling(self) -> "Samples":
        """The same samples, the likeliest first."""
        likelihood, order = self.likelihood.sort(dim=-1, descending=True, stable=True)
        return replace(self, xy=self.xy.take_along_dim(order[..., None], -2), likelihood=likelihood)


def sample_heatmaps(
    heatmaps: Float[Tensor, "persons joints height width"],
    count: int,
    generator: torch.Generator,
    *,
    hypotheses: int = 1,
    peak: bool = True,
) -> Samples:
    """Pixels of maps, drawn with replacement in proportion to their values; negative values count as 0.

    The places are in units of half the longer side, from the map's middle: x right, y down, in [-1, 1).

    Args:
        heatmaps: of every joint, raw values.
        count: samples per joint.
        generator: of the draws.
        hypotheses: how often all of them are drawn; the axes are ``persons hypotheses joints samples``.
        peak: whether the first sample is the largest pixel, and the others are drawn.

    Raises:
        InputError: a map has no positive value, or one that is not finite.

    Source: Holmquist & Wandt 2023.
    """
    height, width = heatmaps.shape[-2:]
    value = _checked(heatmaps).clamp(min=0).flatten(2)
    joints, drawn = value.shape[1], count - peak
    index = torch.zeros(len(value), joints, hypotheses, 0, dtype=torch.long, device=value.device)
    if drawn:
        flat = value.flatten(0, 1).to(generator.device)
        found = torch.multinomial(flat, hypotheses * drawn, replacement=True, generator=generator)
        index = found.to(value.device).view(len(value), joints, hypotheses, drawn)
    if peak:
        largest = value.argmax(-1)[:, :, None, None].expand(-1, -1, hypotheses, -1)
        index = torch.cat([largest, index], -1)
    index = index.transpose(1, 2)
    likelihood = value[:, None].expand(-1, hypotheses, -1, -1).gather(-1, index)
    xy = torch.stack([index % width - width / 2, index // width - height / 2], -1).to(value.dtype)
    return Samples(2 * xy / max(height, width), likelihood)


def _checked(heatmaps: Tensor) -> Tensor:
    """The same maps; `InputError` for the first that says nothing."""
    for bad, why in (
        (~heatmaps.isfinite().flatten(2).all(-1), "holds values that are not finite"),
        (~(heatmaps > 0).flatten(2).any(-1), "is empty: it holds no positive value"),
    ):
        if bool(bad.any()):
            person, joint = bad.nonzero()[0].tolist()
            raise InputError(f"the heat map of joint {joint} of person {person} {why}; leave such people out.")
    return heatmaps


def sample_keypoints(
    xy: Float[Tensor, "*persons joints 2"],
    sigma: Float[Tensor, "*persons joints"],
    confidence: Float[Tensor, "*persons joints"],
    seen: Bool[Tensor, "*persons joints"],
    count: int,
    generator: torch.Generator,
    *,
    peak: bool = True,
) -> Samples:
    """Places around keypoints, as if drawn from the heat maps ``confidence exp(-r² / 2 sigma²)``.

    Args:
        xy: the keypoints.
        sigma: their standard deviation in either direction.
        confidence: heights of the maps.
        seen: the others have likelihood 0.
        count: samples per joint.
        generator: of the draws.
        peak: whether the first sample is the keypoint itself.
    """
    noise = torch.randn(*seen.shape, count, 2, generator=generator, device=generator.device).to(xy)
    if peak:
        noise[..., 0, :] = 0.0
    height = torch.where(seen, confidence, 0.0)[..., None]
    return Samples(xy[..., None, :] + sigma[..., None, None] * noise, height * torch.exp(-noise.square().sum(-1) / 2))


def channels(
    place: Float[Tensor, "*places samples"], weight: Float[Tensor, "*#places samples"], count: int, reach: float = 1.0
) -> Float[Tensor, "*places count"]:
    """Weighted samples of a coordinate as activities of channels whose centres lie evenly in ``[-reach, reach]``.

    ``sum_s w_s cos²(pi count d_s / 8 reach)`` over the samples s that lie within ``4 reach / count`` of a centre, at a
    distance d_s: a sample excites about four channels.

    Source: Holmquist & Wandt 2023, after Granlund's channel representation.
    """
    spacing = 2 * reach / (count - 1)
    left = ((place + reach) / spacing).floor().long()
    centre = left[..., None] + torch.arange(-1, 3, device=place.device)
    angle = math.pi * count / (8 * reach) * (place[..., None] + reach - spacing * centre.to(place.dtype))
    inside = (angle.abs() <= math.pi / 2) & (centre >= 0) & (centre < count)
    activity = torch.where(inside, angle.cos().square(), 0.0) * weight[..., None]
    found = activity.new_zeros(*place.shape[:-1], count)
    return found.scatter_add(-1, centre.clamp(0, count - 1).flatten(-2), activity.flatten(-2))
