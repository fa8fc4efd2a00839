"""Convolution and attention on one graph that all samples share, such as the joints of a body and its bones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention, silu

from dispose.nn.blocks import require_heads

Adjacency = Float[Tensor, "nodes nodes"]


def row_normalised(nodes: int, edges: Sequence[tuple[int, int]]) -> Adjacency:
    """The adjacency of an undirected graph with loops at all nodes, every row of which sums to 1."""
    found = torch.eye(nodes)
    for a, b in edges:
        found[a, b] = found[b, a] = 1.0
    return found / found.sum(1, keepdim=True)


def chebyshev(adjacency: Adjacency, terms: int) -> Float[Tensor, "terms nodes nodes"]:
    """The Chebyshev polynomials of the Laplacian ``L = I - A``: ``T_0 = I, T_1 = L, T_k = 2 L T_{k-1} - T_{k-2}``."""
    one = torch.eye(len(adjacency))
    laplacian = one - adjacency
    found = [one, laplacian]
    while len(found) < terms:
        found.append(2 * laplacian @ found[-1] - found[-2])
    return torch.stack(found[:terms])


class ChebConv(nn.Module):
    """``sum_k T_k(L) x W_k + b``: what a node hears from itself and from the nodes up to ``terms - 1`` edges away.

    Source: Defferrard et al. 2016.
    """

    def __init__(self, inward: int, outward: int, adjacency: Adjacency, terms: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(terms, inward, outward))
        self.bias = nn.Parameter(torch.zeros(outward))
        # Follows from the graph, so no part of a checkpoint.
        self.basis: Tensor
        self.register_buffer("basis", chebyshev(adjacency, terms), persistent=False)
        nn.init.normal_(self.weight, std=(2 / (terms * inward + outward)) ** 0.5)

    def forward(self, x: Float[Tensor, "samples nodes inward"]) -> Float[Tensor, "samples nodes outward"]:
        """New features of every node."""
        terms, nodes, _ = self.basis.shape
        heard = (self.basis.transpose(0, 1).reshape(nodes * terms, nodes) @ x).view(len(x), nodes, -1)
        return heard @ self.weight.flatten(0, 1) + self.bias


class LearnedAdjacency(nn.Module):
    """Who listens to whom is learned: soft-max rows, so that shares are positive and sum to 1 whatever is learned.

    A learned matrix of any sign, divided by the roots of its sums as degrees are, is not a number as soon as one sum
    falls below 0. It begins with every node listening mostly to itself.
    """

    def __init__(self, nodes: int, own: float = 4.0) -> None:
        super().__init__()
        self.matrix = nn.Parameter(own * torch.eye(nodes))

    def forward(self) -> Adjacency:
        """Row i: how much node i hears from every node."""
        return self.matrix.softmax(-1)


class JointAttention(nn.Module):
    """Multi-head self-attention among the nodes of a sample; shares are dropped at random in training."""

    def __init__(self, chans: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        require_heads(chans, heads)
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(chans, chans) for _ in range(4))

    def forward(self, x: Float[Tensor, "samples nodes chans"]) -> Float[Tensor, "samples nodes chans"]:
        """Shape is kept."""
        split = [part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        mixed = scaled_dot_product_attention(*split, dropout_p=self.dropout if self.training else 0.0)
        return self.out(mixed.transpose(1, 2).flatten(2))


class GraphFeedForward(nn.Module):
    """``A relu(A x W1 + b1) W2 + b2`` with one learned adjacency A for both."""

    def __init__(self, chans: int, adjacency: nn.Module, expansion: int = 2) -> None:
        super().__init__()
        self.adjacency = adjacency
        self.first = nn.Linear(chans, expansion * chans)
        self.second = nn.Linear(expansion * chans, chans)

    def forward(self, x: Float[Tensor, "samples nodes chans"]) -> Float[Tensor, "samples nodes chans"]:
        """Shape is kept."""
        share = self.adjacency()
        return self.second(share @ relu(self.first(share @ x)))


@dataclass(frozen=True)
class GraphRules:
    """What layers of graph networks are made with: normalisation of so many channels, adjacency of so many nodes."""

    norm: Callable[[int], nn.Module] = nn.LayerNorm
    adjacency: Callable[[int], nn.Module] = LearnedAdjacency


OURS = GraphRules()


@dataclass(frozen=True)
class GraphSizes:
    """How large a graph network is.

    Attributes:
        chans: width of a node.
        layers: blocks.
        heads: of the attention.
        dropout: of what attention and learned adjacency add.
        inner_dropout: of attention's shares and in the convolutions.
    """

    chans: int = 96
    layers: int = 5
    heads: int = 4
    dropout: float = 0.25
    inner_dropout: float = 0.1


class GraphBlock(nn.Module):
    """Attention, a feed-forward block over a learned adjacency, then two convolutions along the bones; all residual.

    A condition, where the block takes one, is added between the convolutions.

    Source: Zhao et al. 2022 (GraFormer); Gong et al. 2023 for the condition.
    """

    def __init__(self, sizes: GraphSizes, adjacency: Adjacency, condition: int = 0, rules: GraphRules = OURS) -> None:
        super().__init__()
        chans = sizes.chans
        self.attention_norm, self.feed_forward_norm = rules.norm(chans), rules.norm(chans)
        self.attention = JointAttention(chans, sizes.heads, sizes.inner_dropout)
        self.feed_forward = GraphFeedForward(chans, rules.adjacency(len(adjacency)))
        self.first, self.second = ChebConv(chans, chans, adjacency), ChebConv(chans, chans, adjacency)
        self.condition = nn.Linear(condition, chans) if condition else None
        self.drop, self.inner_drop = nn.Dropout(sizes.dropout), nn.Dropout(sizes.inner_dropout)

    def forward(
        self, x: Float[Tensor, "samples nodes chans"], condition: Float[Tensor, "samples condition"] | None = None
    ) -> Float[Tensor, "samples nodes chans"]:
        """Shape is kept."""
        x = x + self.drop(self.attention(self.attention_norm(x)))
        x = x + self.drop(self.feed_forward(self.feed_forward_norm(x)))
        inner = self.inner_drop(relu(self.first(x)))
        if self.condition is not None and condition is not None:
            inner = inner + self.condition(silu(condition))[:, None]
        return x + self.inner_drop(relu(self.second(inner)))


class GraphNetwork(nn.Module):
    """Features of nodes in, features of nodes out: a convolution, blocks, a convolution."""

    def __init__(
        self,
        inward: int,
        outward: int,
        sizes: GraphSizes,
        adjacency: Adjacency,
        condition: int = 0,
        rules: GraphRules = OURS,
    ) -> None:
        super().__init__()
        self.enter = ChebConv(inward, sizes.chans, adjacency)
        self.blocks = nn.ModuleList(GraphBlock(sizes, adjacency, condition, rules) for _ in range(sizes.layers))
        self.leave = ChebConv(sizes.chans, outward, adjacency)

    def forward(
        self, x: Float[Tensor, "samples nodes inward"], condition: Float[Tensor, "samples condition"] | None = None
    ) -> Float[Tensor, "samples nodes outward"]:
        """The condition is one vector for all nodes of a sample."""
        return self.leave(self.features(x, condition))

    def features(
        self, x: Float[Tensor, "samples nodes inward"], condition: Float[Tensor, "samples condition"] | None = None
    ) -> Float[Tensor, "samples nodes chans"]:
        """What is known of every node before the last convolution."""
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, condition)
        return x
