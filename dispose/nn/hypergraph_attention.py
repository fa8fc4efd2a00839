"""Attention between detections and the candidate tuples that contain them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.nn.blocks import ResidualMLP
from dispose_kernels.segment import segment_softmax, segment_sum


class IncidenceAttention(nn.Module):
    """Multi-head attention in which a target attends to the sources it is incident to, and to nothing else.

    Every incidence carries features of its own (here: what the member adds to the tuple's misfit); they enter
    keys and values additively, so that "the member that does not fit" is visible to both sides.
    """

    def __init__(self, chans: int, heads: int, incidence_chans: int) -> None:
        super().__init__()
        if chans % heads:
            raise ValueError(f"{chans} chans do not split over {heads} heads")
        self.heads = heads
        self.norm_source = nn.LayerNorm(chans)
        self.norm_target = nn.LayerNorm(chans)
        self.query = nn.Linear(chans, chans)
        self.key_value = nn.Linear(chans, 2 * chans)
        self.incidence = nn.Linear(incidence_chans, 2 * chans)
        self.out = nn.Linear(chans, chans)
        self.feed_forward = ResidualMLP(chans)

    def forward(
        self,
        target: Float[Tensor, "targets chans"],
        source: Float[Tensor, "sources chans"],
        features: Float[Tensor, "incidences incidence_chans"],
        target_of: Int[Tensor, " incidences"],
        source_of: Int[Tensor, " incidences"],
    ) -> Float[Tensor, "targets chans"]:
        """New target features; a target without incidences passes through its feed-forward block only."""
        width = target.shape[-1] // self.heads
        query = self.query(self.norm_target(target))[target_of]
        key, value = (self.key_value(self.norm_source(source))[source_of] + self.incidence(features)).chunk(2, dim=-1)
        split = (-1, self.heads, width)
        logit = (query.view(split) * key.view(split)).sum(-1) / width**0.5
        weight = segment_softmax(logit, target_of, target.shape[0])
        message = segment_sum((weight[..., None] * value.view(split)).flatten(1), target_of, target.shape[0])
        return self.feed_forward(target + self.out(message))


class SetAttention(nn.Module):
    """Self-attention among the tuples of one sample, through PyTorch's fused attention.

    Samples are attended one by one: their sizes differ by a factor of ten, so a padded batch would be mostly padding,
    and a sample's result does not depend on its neighbours.
    """

    def __init__(self, chans: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(chans)
        self.query_key_value = nn.Linear(chans, 3 * chans)
        self.out = nn.Linear(chans, chans)
        self.feed_forward = ResidualMLP(chans)

    def forward(
        self, x: Float[Tensor, "tuples chans"], sample: Int[Tensor, " tuples"], samples: int
    ) -> Float[Tensor, "tuples chans"]:
        """`sample` is non-decreasing: tuples of one sample stand together."""
        counts = torch.bincount(sample, minlength=samples).tolist()
        packed = self.query_key_value(self.norm(x)).view(len(x), 3, self.heads, -1).permute(1, 2, 0, 3)
        mixed = [
            nn.functional.scaled_dot_product_attention(*part[:, None].unbind(0))[0] for part in packed.split(counts, 2)
        ]
        return self.feed_forward(x + self.out(torch.cat(mixed, 1).transpose(0, 1).flatten(1)))
