"""The reverse process with denoisers that are known, and what is decided from its states."""

import math

import pytest
import torch
from torch import Tensor

from dispose.association.polytope import CandidateGraph, collate, every_tuple, everybody_once
from dispose.diffusion.samplers import Step, log_of_mass
from dispose.models.dispose.sampling import (
    RELEASED_SAMPLER,
    NoiseConfig,
    Problem,
    SamplerConfig,
    decide,
    over_starts,
    posterior_of,
    project_converged,
    trajectory,
    two_sweeps,
)
from dispose.tensors import ABSENT
from dispose_kernels.sinkhorn import marginal_residual, sweep_projection

TRUTH = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)


class Told:
    """A denoiser that answers the same always and writes down what it was shown."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.shown: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, graph: CandidateGraph, mass: Tensor, time: Tensor, noise_level: Tensor) -> Tensor:
        self.shown.append((mass, time, noise_level))
        return self.logits.repeat(graph.samples)


def two_people() -> Problem:
    """Two people in two views, who is who unknown: the doubly stochastic matrices of two rows."""
    members = every_tuple(2, 2)
    features = torch.zeros(4, 1)
    graph = CandidateGraph(
        members=members,
        detections=features,
        tuples=features,
        incidences=torch.zeros(8, 1),
        cue=torch.ones(4),
        tuple_of=torch.arange(4).repeat_interleave(2),
        detection_of=(members + torch.tensor([0, 2])).flatten(),
        sample=torch.zeros(4, dtype=torch.long),
        marginals=everybody_once(2, 2),
    )
    return Problem(graph, members, torch.zeros(4, dtype=torch.float64))


def same_people(latent: Tensor) -> Tensor:
    """The projection of a two by two latent, in closed form: mass of the diagonal."""
    return torch.sigmoid((latent[0] + latent[3] - latent[1] - latent[2]) / 2)


def perfect() -> Told:
    return Told(40.0 * (2 * TRUTH - 1).float())


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("noise", [NoiseConfig(), NoiseConfig(2.0, (3.0, -7.0))], ids=["cosine", "even"])
def test_the_denoiser_is_asked_at_even_times_from_one_down_and_told_their_noise(steps: int, noise: NoiseConfig) -> None:
    denoiser = perfect()
    list(trajectory(denoiser, two_people(), SamplerConfig(steps=steps), noise=noise))
    times = [1 - k / steps for k in range(steps)]
    assert [float(time) for _, time, _ in denoiser.shown] == pytest.approx(times)
    levels = [(1 - noise.signal(time)) ** 0.5 for time in times]
    assert [float(level) for _, _, level in denoiser.shown] == pytest.approx(levels)


def test_signal_fractions() -> None:
    """The cosine schedule falls to 1e-4; an even one is the logistic of its ends and their middle."""
    assert NoiseConfig().signal(0.0) == 1.0 and NoiseConfig().signal(1.0) == pytest.approx(1e-4)
    even = NoiseConfig(log_snr=(3.0, -7.0))
    expected = [1 / (1 + math.exp(-x)) for x in (3.0, -2.0, -7.0)]
    assert [even.signal(t) for t in (0.0, 0.5, 1.0)] == pytest.approx(expected)


def test_the_clean_latent_is_plus_scale_where_true_and_minus_scale_where_false() -> None:
    mass = torch.tensor([1.0, 0.0, 0.5, 0.75, 1.5])
    expected = torch.tensor([4.0, -4, 0, 2, 4], dtype=torch.float64)
    torch.testing.assert_close(NoiseConfig().clean_latent(mass), expected)
    torch.testing.assert_close(NoiseConfig(latent_scale=2.0).clean_latent(mass), expected / 2)


@pytest.mark.parametrize("noise", [NoiseConfig(), NoiseConfig(2.0, (3.0, -7.0))], ids=["cosine", "even"])
def test_a_perfect_denoiser_is_shown_states_that_lead_to_the_truth(noise: NoiseConfig) -> None:
    """The states are ``sqrt(a) u0 + sqrt(1 - a) n``, n being the noise that makes the first latent of the truth 0."""
    denoiser = perfect()
    steps = list(trajectory(denoiser, two_people(), SamplerConfig(steps=4), noise=noise))
    clean = noise.latent_scale * (2 * TRUTH - 1)
    first = noise.signal(1.0)
    drawn = -((first / (1 - first)) ** 0.5) * clean
    shown = torch.stack([mass for mass, _, _ in denoiser.shown]).double()
    for mass, step in zip(shown, steps, strict=True):
        level = noise.signal(step.time)
        diagonal = same_people(level**0.5 * clean + (1 - level) ** 0.5 * drawn)
        torch.testing.assert_close(mass, torch.where(TRUTH > 0, diagonal, 1 - diagonal), rtol=0, atol=1e-6)
        torch.testing.assert_close(step.mass, mass, rtol=0, atol=1e-6)
        torch.testing.assert_close(step.clean, TRUTH, rtol=0, atol=1e-6)
    assert float(shown[0, 0]) == 0.5 and float(shown[-1, 0]) > 0.9, "a latent of the wrong sign leads away"
    assert (shown[:, 0].diff() > 0).all()


def test_random_starts_are_projections_of_noise_of_unit_variance() -> None:
    """Half the diagonal less half the other one of four normal numbers is a normal number."""
    denoiser, starts = perfect(), 400
    list(trajectory(denoiser, two_people(), SamplerConfig(1, starts), torch.Generator().manual_seed(0)))
    latent = torch.logit(denoiser.shown[0][0].double().view(starts, 4)[:, 0])
    assert float(latent.mean()) == pytest.approx(0, abs=0.15) and float(latent.std()) == pytest.approx(1, abs=0.1)


def recorded(first: list[float], last: list[float]) -> list[Step]:
    """Three steps, the masses shown in them undecided."""
    clean = [torch.tensor(values, dtype=torch.float64) for values in (first, [0.25] * len(first), last)]
    shown = torch.full((len(first),), 0.5, dtype=torch.float64)
    return [Step(time, shown, mass) for time, mass in zip((1.0, 2 / 3, 1 / 3), clean, strict=True)]


def test_the_posterior_is_of_the_first_and_of_the_last_clean_state() -> None:
    posterior = posterior_of(two_people(), recorded([0.6, 0.4, 0.4, 0.6], [1.0, 0.0, 0.0, 1.0]))
    assert posterior.marginal.tolist() == [0.6, 0.4, 0.4, 0.6]
    assert posterior.sampled.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert posterior.mean.tolist() == pytest.approx([0.8, 0.2, 0.2, 0.8])


def test_random_starts_are_averaged() -> None:
    steps = recorded([0.6, 0.4, 0.4, 0.6, 0.2, 0.8, 0.8, 0.2], [1.0, 0, 0, 1, 0, 1, 1, 0])
    assert over_starts(two_people(), steps[0].clean).tolist() == pytest.approx([0.4, 0.6, 0.6, 0.4])
    assert posterior_of(two_people(), steps).sampled.tolist() == [0.5] * 4


def pair_or_apart(samples: int = 1) -> Problem:
    """One detection in each of two views: together, either alone, and what nobody claims."""
    members = torch.tensor([[0, 0], [0, ABSENT], [ABSENT, 0], [ABSENT, ABSENT]])
    graph = two_people().graph
    graph = CandidateGraph(**{**vars(graph), "members": members, "cue": torch.tensor([0.9, 0.3, 0.3, 0.0])})
    whole = collate([graph] * samples) if samples > 1 else graph
    return Problem(whole, members.repeat(samples, 1), torch.tensor([2.0, 0, 0, 0], dtype=torch.float64).repeat(samples))


@pytest.mark.parametrize(("first", "last", "together"), [(0.3, 0.0, True), (0.15, 0.0, False), (0.1, 0.9, True)])
def test_who_is_more_probable_than_a_tenth_by_both_answers_is_one_person(first, last, together) -> None:
    """The confidence of a group is what was thought before sampling."""
    steps = recorded([first, 1 - first, 1 - first, first], [last, 1 - last, 1 - last, last])
    found = decide(pair_or_apart(), steps, [2])[0]
    assert found.association.members.tolist() == ([[0, 0]] if together else [])
    assert found.association.confidence.tolist() == pytest.approx([first] if together else [])


def test_what_was_weighed_is_told_without_the_fallback_and_sample_by_sample() -> None:
    one, other = [0.6, 0.4, 0.4, 0.6], [0.2, 0.8, 0.8, 0.2]
    found = decide(pair_or_apart(2), recorded(one + other, other + one), [2, 2])
    for result, first, last in zip(found, (one, other), (other, one), strict=True):
        told = result.hypotheses
        assert told is not None and told.members.tolist() == [[0, 0], [0, ABSENT], [ABSENT, 0]]
        assert told.time.tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
        assert told.marginal.tolist() == first[:3] and told.mass[-1].tolist() == last[:3]
        assert told.mass[:-1].tolist() == [[0.5] * 3] * 3
        assert told.cost.tolist() == [2, 0, 0] and told.cue.tolist() == pytest.approx([0.9, 0.3, 0.3])
        assert result.association.confidence.tolist() == pytest.approx(first[:1])


def test_a_sampler_is_run_as_it_is_asked_to_be() -> None:
    """From the zero latent nothing is random; with fresh noise, or from the logarithm of the mass, states differ."""

    def shown(**options) -> Tensor:
        denoiser = Told(torch.tensor([0.4, -0.4, -0.4, 0.4]))
        sampler = SamplerConfig(steps=3, **options)
        list(trajectory(denoiser, two_people(), sampler, torch.Generator().manual_seed(1)))
        return torch.stack([mass for mass, _, _ in denoiser.shown])

    plain = shown()
    torch.testing.assert_close(shown(stochasticity=0.0), plain)
    assert (shown(stochasticity=1.0)[1:] - plain[1:]).abs().max() > 0.05
    lifted = shown(observe=lambda latent, mass: latent + torch.tensor([5.0, 0, 0, 5.0]).double())
    assert (lifted[1:, 0] - plain[1:, 0]).abs().min() > 0.05
    assert RELEASED_SAMPLER.steps == 10 and RELEASED_SAMPLER.observe is log_of_mass


def test_the_released_projection_is_two_sweeps() -> None:
    latent = torch.tensor([3.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    graph = two_people().graph
    torch.testing.assert_close(two_sweeps(graph)(latent), sweep_projection(latent, graph.marginals, 2))
    mass = project_converged(graph)(latent)
    assert float(marginal_residual(mass, graph.marginals).max()) < 1e-7
