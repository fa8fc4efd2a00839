"""Deformable attention around the places where points of space appear in the images.

Every query knows its image and a reference point there. It looks at the feature pyramid at that point, decides from
what it sees (and from its own state, if it has one) where else to look, and returns the weighted samples.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.nn.blocks import require_heads
from dispose_kernels.deformable_attention import deformable_attention, deformable_gather

REACH = 0.05
"""How far outside the image, in fractions of it, a reference may lie; farther ones are brought to that margin."""

Maps = Float[Tensor, "maps inward _ _"]


class ProjectiveAttention(nn.Module):
    """One read of the pyramid for packed queries; parameters are named as in the released weights.

    The offset and weight predictors are shared by the levels; the weights of a head sum to one over all of its
    levels and points. Samples are taken before the value projection, which is the same sum and spares projecting
    tens of thousands of positions; the bias counts by the weight that fell inside the maps.

    Args:
        chans: width of queries and results.
        heads: attention heads.
        points: samples per head and level.
        inward: channels of the maps, if they are to be brought to `chans` by a shared 1x1 convolution first.
    """

    def __init__(self, chans: int, *, heads: int = 8, points: int = 8, inward: int | None = None) -> None:
        super().__init__()
        require_heads(chans, heads)
        self.heads, self.points = heads, points
        self.feature_proj = None if inward is None else nn.Conv2d(inward, chans, 1)
        self.sampling_offsets = nn.Linear(chans, 2 * heads * points)
        self.attention_weights = nn.Linear(chans, heads * points)
        self.value_proj = nn.Linear(chans, chans)
        self.output_proj = nn.Linear(chans, chans)
        for linear in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(compass(heads, points).flatten())

    def forward(
        self,
        levels: Sequence[Maps],
        map_of: Int[Tensor, " queries"],
        reference: Float[Tensor, "queries 2"],
        query: Float[Tensor, "queries chans"] | None = None,
    ) -> Float[Tensor, "queries chans"]:
        """Features of every query.

        Args:
            levels: feature maps of all images, one tensor per resolution.
            map_of: the image that a query reads.
            reference: fractions of the image's width and height (`dispose.geometry.image_affine.fraction`).
            query: the state that helps to decide where to look; without one the image alone decides.
        """
        location, weight = self.gaze(levels, map_of, reference, query)
        sampled, coverage = deformable_gather(levels, map_of, location, weight)
        # Every head's part of the value projection applied to that head's samples.
        weight = self.value_proj.weight.unflatten(0, (self.heads, -1))
        bias = self.value_proj.bias.unflatten(0, (self.heads, -1))
        value = torch.einsum("qhc,hdc->qhd", self.inward(sampled, coverage), weight)
        return self.output_proj((value + coverage[..., None].to(value.dtype) * bias).flatten(1))

    def gaze(
        self,
        levels: Sequence[Maps],
        map_of: Int[Tensor, " queries"],
        reference: Float[Tensor, "queries 2"],
        query: Float[Tensor, "queries chans"] | None = None,
    ) -> tuple[Float[Tensor, "queries heads levels points 2"], Float[Tensor, "queries heads levels points"]]:
        """Where every query samples the maps (fractions of the image), and how much each sample counts."""
        seen = self.at_reference(levels, map_of, reference)
        state = seen if query is None else seen + query[:, None]
        split = (len(map_of), len(levels), self.heads, self.points)
        offset = self.sampling_offsets(state).float().view(*split, 2).transpose(1, 2)
        logit = self.attention_weights(state).float().view(split).transpose(1, 2)
        weight = logit.flatten(2).softmax(-1).view_as(logit)
        size = offset.new_tensor([[level.shape[-1], level.shape[-2]] for level in levels])
        return reference.to(offset.dtype)[:, None, None, None] + offset / size[:, None], weight

    def at_reference(
        self, levels: Sequence[Maps], map_of: Int[Tensor, " queries"], reference: Float[Tensor, "queries 2"]
    ) -> Float[Tensor, "queries levels chans"]:
        """The projected features of every level right at the reference."""
        location = reference.float().clamp(-REACH, 1 + REACH)[:, None, None, None]
        one = torch.ones_like(location[..., 0])
        if self.feature_proj is None:
            return torch.stack([deformable_attention([level], map_of, location, one) for level in levels], 1)
        read = [deformable_gather([level], map_of, location, one) for level in levels]
        sampled = torch.cat([sample for sample, _ in read], 1)
        return self.inward(sampled, torch.cat([coverage for _, coverage in read], 1))

    def inward(
        self, sampled: Float[Tensor, "queries heads inward"], coverage: Float[Tensor, "queries heads"]
    ) -> Float[Tensor, "queries heads chans"]:
        """The shared 1x1 convolution applied to samples: the same as sampling its result."""
        if self.feature_proj is None or self.feature_proj.bias is None:
            return sampled
        linear = nn.functional.linear(sampled, self.feature_proj.weight[:, :, 0, 0])
        return linear + coverage[..., None].to(linear.dtype) * self.feature_proj.bias


def compass(heads: int, points: int) -> Float[Tensor, "heads points 2"]:
    """Initial offsets, in pixels of a level: one direction per head, one step farther for every point."""
    angle = torch.arange(heads) * (2 * math.pi / heads)
    direction = torch.stack([angle.cos(), angle.sin()], -1)
    direction = direction / direction.abs().amax(-1, keepdim=True)
    return direction[:, None] * torch.arange(1, points + 1)[:, None]
