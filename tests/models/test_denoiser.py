"""The denoiser's answer depends on all it is shown: the state, the time, and the evidence as its gate is open."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dispose.association.polytope import CandidateGraph, collate
from dispose.models.dispose.denoiser import Denoiser, DenoiserConfig
from dispose_workbench.toy import TOY_DENOISER, ToyConfig, draw_toy_scene, toy_problem

SOME = 1e-4
"""More than rounding in single precision."""

ONE, HALF, NONE = torch.ones(1), torch.full((1,), 0.5), torch.zeros(1)


@pytest.fixture(scope="module")
def graph() -> CandidateGraph:
    return toy_problem(draw_toy_scene(ToyConfig(people=3), torch.Generator().manual_seed(1))).graph


@pytest.fixture(scope="module")
def mass(graph: CandidateGraph) -> Tensor:
    return torch.rand(len(graph.cue), generator=torch.Generator().manual_seed(2))


def network_of(config: DenoiserConfig) -> Denoiser:
    torch.manual_seed(0)
    network = Denoiser(config)
    # Blocks start as identities, which would hide what passes through them.
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


def moved(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def test_the_answer_depends_on_the_state(graph, mass) -> None:
    """The mass of every single tuple tells, and not by a constant on all logits, which the projection removes."""
    network = network_of(TOY_DENOISER)
    answer = network(graph, mass, ONE, ONE)
    for row in range(len(mass)):
        other = mass.clone()
        other[row] = 0.0
        change = network(graph, other, ONE, ONE) - answer
        assert moved(change, change.mean()) > SOME


def test_the_state_enters_as_its_standardised_logarithm_and_as_itself(graph, mass) -> None:
    """Masses of 0, e^-4, 1 and 3: nothing is below 1e-6, and nothing counts for more than 2."""
    network, entered = network_of(TOY_DENOISER), []
    network.state.register_forward_pre_hook(lambda _, given: entered.append(given[0]))
    network(graph, torch.cat([torch.tensor([0.0, math.exp(-4), 1.0, 3.0]), mass[4:]]), ONE, ONE)
    expected = [[(math.log(1e-6) + 4) / 4, 1e-6], [0, math.exp(-4)], [1, 1], [(math.log(3) + 4) / 4, 2]]
    torch.testing.assert_close(entered[0][:4], torch.tensor(expected), rtol=1e-5, atol=2e-6)


def test_the_answer_depends_on_the_time_of_its_own_sample(graph, mass) -> None:
    network, two = network_of(TOY_DENOISER), collate([graph, graph])
    late = network(graph, mass, ONE, ONE)
    early = network(graph, mass, HALF, ONE)
    assert moved(late, early) > SOME
    both = network(two, mass.repeat(2), torch.cat([ONE, HALF]), torch.ones(2))
    torch.testing.assert_close(both, torch.cat([late, early]), rtol=1e-4, atol=1e-5)


def test_evidence_stays_visible_at_the_end_as_far_as_the_floor_says(graph, mass) -> None:
    """With no floor the features of detections and tuples fade to nothing as the noise does."""
    blind = replace(graph, detections=torch.zeros_like(graph.detections), tuples=torch.zeros_like(graph.tuples))
    for floor, level, visible in ((1.0, NONE, True), (0.0, NONE, False), (0.0, ONE, True), (0.3, NONE, True)):
        network = network_of(replace(TOY_DENOISER, gate_floor=floor))
        change = moved(network(graph, mass, HALF, level), network(blind, mass, HALF, level))
        assert (change > SOME) is visible
        assert visible or change == 0


def test_the_gate_opens_from_its_floor_to_one_as_noise_rises(graph, mass) -> None:
    """A floor of 0.5 at noise 0.6 is no floor at noise 0.8; at full noise floors do not matter."""
    open_gate, half_gate = (network_of(replace(TOY_DENOISER, gate_floor=floor)) for floor in (0.0, 0.5))
    torch.testing.assert_close(half_gate(graph, mass, HALF, 0.6 * ONE), open_gate(graph, mass, HALF, 0.8 * ONE))
    torch.testing.assert_close(half_gate(graph, mass, HALF, ONE), open_gate(graph, mass, HALF, ONE))
    assert moved(half_gate(graph, mass, HALF, NONE), open_gate(graph, mass, HALF, NONE)) > SOME


def test_every_kind_of_evidence_is_read(graph, mass) -> None:
    network = network_of(TOY_DENOISER)
    answer = network(graph, mass, HALF, ONE)
    for name in ("detections", "tuples", "incidences"):
        other = replace(graph, **{name: getattr(graph, name) + 1.0})
        assert moved(network(other, mass, HALF, ONE), answer) > SOME, name
