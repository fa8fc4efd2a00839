"""Hypergraph convolution: the operator is PyTorch Geometric's, and what nobody is in does nothing."""

import pytest
import torch
from torch.testing import assert_close

from dispose.nn.hypergraph import HypergraphConv, over_edges, over_nodes

NORMALIZE = {"node": over_nodes, "edge": over_edges}


def hypergraph(persons: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    incident = torch.rand(persons, 5, 9, generator=generator) > 0.5
    incident[0, 2] = False
    incident[0, :, 3] = False
    x = torch.randn(persons, 9, 12, generator=generator, requires_grad=True)
    attributes = torch.randn(persons, 5, 12, generator=generator, requires_grad=True)
    return x, attributes, incident


def incidences(incident: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    person, edge, node = incident.nonzero(as_tuple=True)
    return person * incident.shape[2] + node, person * incident.shape[1] + edge


def convolution(seed: int = 0) -> HypergraphConv:
    torch.manual_seed(seed)
    module = HypergraphConv(12, 6, heads=3)
    torch.nn.init.normal_(module.bias)
    return module


def gradients(out: torch.Tensor, wanted: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad((out * torch.arange(out.numel()).view_as(out).cos()).sum(), wanted))


@pytest.mark.parametrize("mode", ["node", "edge"])
def test_the_operator_is_that_of_pytorch_geometric(mode):
    geometric = pytest.importorskip("torch_geometric.nn", reason="torch-geometric (extra `dev`) is not installed")
    module = convolution(2)
    theirs = geometric.HypergraphConv(12, 6, use_attention=True, attention_mode=mode, heads=3, concat=False)
    theirs.load_state_dict(module.state_dict(), strict=True)
    x, attributes, incident = hypergraph(3, 3)
    node_of, edge_of = incidences(incident)
    expected = theirs(
        x.flatten(0, 1), torch.stack([node_of, edge_of]), hyperedge_attr=attributes.flatten(0, 1), num_edges=15
    )
    out = module(x, attributes, incident, NORMALIZE[mode])
    assert_close(out.flatten(0, 1), expected, rtol=1e-4, atol=1e-5)
    for one, other in zip(gradients(out.flatten(0, 1), [x, attributes]), gradients(expected, [x, attributes])):
        assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_people_do_not_know_each_other():
    module = convolution()
    x, attributes, incident = hypergraph(4, 5)
    together = module(x, attributes, incident, over_edges)
    alone = module(x[1:2], attributes[1:2], incident[1:2], over_edges)
    assert_close(together[1:2], alone)


def test_nobody_and_no_incidence_give_the_bias_and_finite_gradients():
    module = convolution()
    x, attributes, incident = hypergraph(2, 6)
    assert module(x[:0], attributes[:0], incident[:0], over_nodes).shape == (0, 9, 6)
    out = module(x, attributes, torch.zeros_like(incident), over_edges)
    assert_close(out, module.bias.expand_as(out))
    assert all(torch.isfinite(g).all() for g in gradients(out, [x, attributes, *module.parameters()]))
