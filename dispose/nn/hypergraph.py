"""Attention and convolution on hypergraphs."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from dispose.nn.blocks import ResidualMLP, require_heads
from dispose_kernels.segment import segment_softmax, segment_sum


class IncidenceAttention(nn.Module):
    """Multi-head attention in which a target attends to the sources it is incident to, and to nothing else.

    Every incidence carries features of its own (here: what the member adds to the tuple's misfit); they enter
    keys and values additively, so that "the member that does not fit" is visible to both sides.
    """

    def __init__(self, chans: int, heads: int, incidence_chans: int) -> None:
        super().__init__()
        require_heads(chans, heads)
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


Logits = Float[Tensor, "persons heads edges nodes"]
Incident = Bool[Tensor, "persons edges nodes"]
Normalize = Callable[[Logits, Incident], Logits]
"""Attention from logits: `over_nodes` of an edge, or `over_edges` of a node."""


def over_nodes(logits: Logits, incident: Incident) -> Logits:
    """Soft-max over the nodes of every edge; 0 where there is no incidence."""
    return _masked_softmax(logits, incident[:, None], -1)


def over_edges(logits: Logits, incident: Incident) -> Logits:
    """Soft-max over the edges of every node; 0 where there is no incidence."""
    return _masked_softmax(logits, incident[:, None], -2)


def _masked_softmax(logits: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Zero instead of NaN, in value and gradient, where nothing is left."""
    least = torch.finfo(logits.dtype).min
    return logits.masked_fill(~mask, least).softmax(dim) * mask


class HypergraphConv(nn.Module):
    """``out_i = mean over heads of 1/deg(i) sum_e a_ie sum_j a_je / |e| W x_j + bias`` over the edges e of node i.

    The logit of an incidence is ``LeakyReLU(att · [W x_i | W h_e])`` with the attribute h of the edge. As PyTorch
    Geometric's `HypergraphConv` with attention (Bai et al. 2021), for many small hypergraphs of one layout with a mask;
    parameters are named as there.
    """

    def __init__(self, inward: int, outward: int, *, heads: int = 1, slope: float = 0.2, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.slope = heads, slope
        self.dropout = nn.Dropout(dropout)
        self.lin = nn.Linear(inward, heads * outward, bias=False)
        self.att = nn.Parameter(torch.empty(1, heads, 2 * outward))
        self.bias = nn.Parameter(torch.zeros(outward))
        nn.init.xavier_uniform_(self.lin.weight)
        nn.init.xavier_uniform_(self.att)

    def forward(
        self,
        x: Float[Tensor, "persons nodes inward"],
        attributes: Float[Tensor, "persons edges inward"],
        incident: Incident,
        normalize: Normalize,
    ) -> Float[Tensor, "persons nodes outward"]:
        """One hypergraph per person, all with the same nodes and edges but their own incidences.

        Nodes are gathered into their edges before they are multiplied by W: the same sum, and there are fewer edges
        than nodes.
        """
        weight = self.lin.weight.unflatten(0, (self.heads, -1))
        node_part, edge_part = self.att[0].chunk(2, dim=-1)
        node_logit = x @ torch.einsum("hd,hdc->ch", node_part, weight)
        edge_logit = attributes @ torch.einsum("hd,hdc->ch", edge_part, weight)
        logits = edge_logit.mT[..., None] + node_logit.mT[:, :, None]
        share = self.dropout(normalize(leaky_relu(logits, self.slope), incident))
        size = incident.sum(-1, keepdim=True).clamp(min=1)
        degree = incident.sum(-2)[..., None].clamp(min=1)
        gathered = (share / size[:, None]) @ x[:, None]
        edges = torch.einsum("phec,hdc->phed", gathered, weight)
        return (share.mT @ edges).mean(1) / degree + self.bias
