"""Graph layers: how far a node hears, adjacencies that stay finite, and permutations of nodes."""

import torch

from dispose.nn.graph import (
    ChebConv,
    GraphNetwork,
    GraphSizes,
    JointAttention,
    LearnedAdjacency,
    chebyshev,
    row_normalised,
)
from dispose.released.diffpose_gmm import SignedAdjacency
from dispose.skeletons.catalog import H36M_17

EDGES = H36M_17.bone_indices
PATH = [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_rows_sum_to_one_and_edges_have_two_ends():
    adjacency = row_normalised(5, PATH)
    torch.testing.assert_close(adjacency.sum(1), torch.ones(5))
    assert ((adjacency > 0) == (adjacency > 0).T).all()
    torch.testing.assert_close(adjacency[0], torch.tensor([0.5, 0.5, 0, 0, 0]))
    torch.testing.assert_close(adjacency[1], torch.tensor([1, 1, 1, 0, 0]) / 3)


def test_polynomials_against_cosines():
    """On an eigenvalue x in [-1, 1] the k-th polynomial is cos(k arccos x)."""
    adjacency = row_normalised(17, EDGES)
    values, vectors = torch.linalg.eig((torch.eye(17) - adjacency).double())
    for k, term in enumerate(chebyshev(adjacency, 5)):
        found = torch.linalg.inv(vectors) @ term.to(vectors) @ vectors
        inside = values.real.abs() <= 1
        expected = torch.cos(k * torch.arccos(values.real.clamp(-1, 1)))
        torch.testing.assert_close(found.diagonal().real[inside], expected[inside], atol=1e-5, rtol=1e-4)


def test_a_convolution_hears_as_many_edges_as_its_order():
    conv = ChebConv(1, 1, row_normalised(5, PATH))
    x = torch.zeros(1, 5, 1)
    x[0, 0] = 1.0
    changed = (conv(x) - conv(torch.zeros_like(x)))[0, :, 0].abs() > 1e-7
    assert changed.tolist() == [True, True, True, False, False]


def test_a_convolution_is_the_sum_over_its_terms():
    conv = ChebConv(3, 4, row_normalised(17, EDGES))
    x = torch.randn(2, 17, 3, generator=torch.Generator().manual_seed(0))
    laplacian = torch.eye(17) - row_normalised(17, EDGES)
    terms = (torch.eye(17), laplacian, 2 * laplacian @ laplacian - torch.eye(17))
    expected = conv.bias + sum(term @ x @ weight for term, weight in zip(terms, conv.weight, strict=True))
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)


def test_ours_stays_finite_where_the_released_adjacency_does_not():
    ours, theirs = LearnedAdjacency(3), SignedAdjacency(3)
    learned = torch.tensor([[-1.0, 2.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with torch.no_grad():
        ours.matrix.copy_(learned)
        theirs.matrix.copy_(learned)
    assert not torch.isfinite(theirs()).all()
    share = ours()
    torch.testing.assert_close(share.sum(1), torch.ones(3))
    assert (share > 0).all()
    share.sum().backward()
    assert torch.isfinite(ours.matrix.grad).all()  # pyright: ignore[reportArgumentType]
    assert (LearnedAdjacency(17)().diagonal() > 0.5).all()


def test_attention_knows_no_order():
    torch.manual_seed(0)
    attention = JointAttention(8, 2).eval()
    x = torch.randn(2, 5, 8)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], atol=1e-6, rtol=1e-5)
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    parts = []
    for head in (slice(0, 4), slice(4, 8)):
        share = (query[..., head] @ key[..., head].mT / 2.0).softmax(-1)
        parts.append(share @ value[..., head])
    torch.testing.assert_close(attention(x), attention.out(torch.cat(parts, -1)), atol=1e-6, rtol=1e-5)


def test_every_part_of_a_network_is_trained_and_the_condition_counts():
    torch.manual_seed(1)
    network = GraphNetwork(5, 5, GraphSizes(chans=8, layers=2, heads=2), row_normalised(17, EDGES), condition=6)
    x, condition = torch.randn(3, 17, 5), torch.randn(3, 6)
    network(x, condition).square().sum().backward()
    slopes = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert len(slopes) == len(list(network.parameters()))
    assert all(torch.isfinite(slope).all() and slope.abs().max() > 0 for slope in slopes)
    network.eval()
    assert not torch.allclose(network(x, condition), network(x, condition + 1), atol=1e-3)
