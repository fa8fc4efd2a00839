"""Trust in a heat map by what it looks like: a few numbers of every map and a small network, no images needed."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from dispose.nn.blocks import mlp
from dispose.skeletons.skeleton import Skeleton

STATISTICS = ("peak", "amount", "spread", "disorder", "rival", "mirror")
"""What is looked at; see `map_statistics`."""

RIVAL_DISTANCE = 4
"""A rival of the peak stands farther than so many pixels from it, along x or y."""


def map_statistics(
    maps: Float[Tensor, "*views joints height width"], skeleton: Skeleton
) -> Float[Tensor, "*views joints statistics"]:
    """Six numbers of every non-negative heat map, in the order of `STATISTICS`.

    The height of the peak; the logarithm of the squared heat; its standard deviation in pixels; its entropy; the
    highest heat far from the peak, as a share of it; and the mirror joint's heat right at the peak (0 for joints on the
    midline): both on one place means that one of them lies.
    """
    height, width = maps.shape[-2:]
    peak, place = maps.flatten(-2).max(-1)
    square = maps.square().flatten(-2)
    amount = square.sum(-1)
    share = square / amount.clamp(min=1e-12)[..., None]
    x, y = place % width, place // width
    column, row = (torch.arange(length, device=maps.device, dtype=maps.dtype) for length in (width, height))
    across, down = share.view(maps.shape).sum(-2), share.view(maps.shape).sum(-1)
    variance = across @ column.square() - (across @ column).square() + down @ row.square() - (down @ row).square()
    disorder = -(share * share.clamp(min=1e-12).log()).sum(-1)
    near = ((column - x[..., None]).abs() <= RIVAL_DISTANCE)[..., None, :]
    near = near & ((row - y[..., None]).abs() <= RIVAL_DISTANCE)[..., :, None]
    rival = maps.masked_fill(near, 0.0).flatten(-2).amax(-1) / peak.clamp(min=1e-12)
    # The largest heat of the 3 x 3 pixels around, as both maps' peaks are only so exact.
    blurred = max_pool2d(maps.flatten(0, -4), 3, 1, 1).view_as(maps).flatten(-2)[..., skeleton.mirror, :]
    sided = torch.tensor(skeleton.mirror, device=maps.device) != torch.arange(len(skeleton), device=maps.device)
    mirror = torch.where(sided, blurred.gather(-1, place[..., None])[..., 0], 0.0)
    numbers = (peak, amount.clamp(min=1e-12).log(), variance.clamp(min=0).sqrt(), disorder, rival, mirror)
    return torch.stack(numbers, dim=-1)


class MapTrust(nn.Module):
    """Logits of how far every map can be trusted, from its statistics and whose joint it is.

    Every view is judged alone: what the others see is for the triangulation to weigh.
    """

    def __init__(self, skeleton: Skeleton, chans: int = 32, embedding: int = 8) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.normalize = nn.BatchNorm1d(len(STATISTICS))
        self.joint = nn.Embedding(len(skeleton), embedding)
        self.judging = mlp([len(STATISTICS) + embedding, chans, chans, 1])

    def forward(self, maps: Float[Tensor, "*views joints height width"]) -> Float[Tensor, "*views joints"]:
        """No view's answer depends on another view's maps."""
        numbers = map_statistics(maps, self.skeleton)
        numbers = self.normalize(numbers.flatten(0, -2)).view_as(numbers)
        joint = self.joint.weight.expand(*numbers.shape[:-1], -1)
        return self.judging(torch.cat([numbers, joint], dim=-1))[..., 0]
