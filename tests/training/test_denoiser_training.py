"""What a denoiser is shown in training: times, noise and states, read back from the masses, and what it is told."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from dispose.association.polytope import CandidateGraph, collate
from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.sampling import NoiseConfig
from dispose.training.associator import DenoiserTask, denoise_known
from dispose.training.config import DenoiserTraining
from dispose.training.examples import GraphBatch
from dispose_workbench.toy import ToyConfig, draw_toy_scene, toy_problem, true_mass

SAMPLES = 400
NOISE = NoiseConfig(latent_scale=1.0)
"""So small a scale that no mass comes near 0 or 1 and the latent can be read from it."""


class Told(Denoiser):
    """A denoiser that answers the same always and writes down what it was shown."""

    def __init__(self, logits: Tensor) -> None:
        nn.Module.__init__(self)
        self.logits = nn.Parameter(logits)
        self.shown: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, graph: CandidateGraph, mass: Tensor, time: Tensor, noise_level: Tensor) -> Tensor:
        self.shown.append((mass, time, noise_level))
        return self.logits.repeat(graph.samples)


@cache
def two_people(samples: int) -> tuple[CandidateGraph, Tensor]:
    """Two people in two views, so many times, and who is who."""
    scene = draw_toy_scene(ToyConfig(people=2), torch.Generator().manual_seed(0))
    return collate([toy_problem(scene).graph] * samples), true_mass(scene).repeat(samples)


def shown(pure_noise: float, seeds: range = range(SAMPLES)) -> tuple[Tensor, Tensor, Tensor]:
    """Time and noise level of every sample, and its noise along the one direction in which two people can err.

    The mass of the truth is the logistic function of that latent: ``2 scale sqrt(a) + sqrt(1 - a) noise``, half the
    sum of two normal numbers less two others, which is a normal number.
    """
    graph, truth = two_people(len(seeds))
    network = Told(torch.zeros(4))
    denoise_known(network, graph, truth, list(seeds), noise=NOISE, pure_noise=pure_noise)
    mass, time, level = (value.double() for value in network.shown[0])
    latent = torch.logit(mass[truth > 0].view(-1, 2)[:, 0])
    alpha_bar = NOISE.alpha_bar(time)
    return time, level, (latent - 2 * NOISE.latent_scale * alpha_bar.sqrt()) / (1 - alpha_bar).sqrt()


def test_times_are_spread_evenly_and_noise_has_unit_variance() -> None:
    time, level, noise = shown(pure_noise=0.0)
    assert (time < 1).all()
    assert (torch.histc(time, 4, 0.0, 1.0) / SAMPLES).tolist() == pytest.approx([0.25] * 4, abs=0.07)
    torch.testing.assert_close(level, (1 - NOISE.alpha_bar(time)).sqrt(), rtol=1e-5, atol=1e-5)
    # Where hardly anything is added, dividing by it finds rounding.
    for part in (time > 0.1, (time > 0.1) & (time < 0.5), time > 0.5):
        assert float(noise[part].mean()) == pytest.approx(0, abs=0.2)
        assert float(noise[part].std()) == pytest.approx(1, abs=0.15)


def test_a_share_of_the_samples_is_shown_where_the_sampler_starts_half_of_them_without_noise() -> None:
    time, _, noise = shown(pure_noise=0.4)
    pure = time == 1
    assert float(pure.double().mean()) == pytest.approx(0.4, abs=0.07)
    silent = noise.abs() < 1e-3
    assert float((silent & pure).sum() / pure.sum()) == pytest.approx(0.5, abs=0.12)
    assert not (silent & ~pure & (time > 0.2)).any()
    assert float(noise[pure & ~silent].std()) == pytest.approx(1, abs=0.15)


def test_all_samples_may_be_pure_noise() -> None:
    time, level, _ = shown(pure_noise=1.0)
    assert (time == 1).all() and level.tolist() == pytest.approx([math.sqrt(1 - 1e-4)] * SAMPLES)


def test_time_and_noise_follow_from_a_samples_own_seed() -> None:
    together = shown(0.3, range(10))
    for value, again in zip(together, shown(0.3, range(4, 10)), strict=True):
        torch.testing.assert_close(value[4:], again, rtol=1e-4, atol=1e-4)
    assert len({round(float(t), 6) for t in together[0] if t < 1}) == int((together[0] < 1).sum())


def test_the_divergence_is_per_detection_and_least_for_the_truth() -> None:
    """Undecided about two people: two true tuples of probability 1/2 over four detections, log(2) / 2."""
    graph, truth = two_people(3)
    sign = 2 * truth[:4].float() - 1
    # Logits of ± log(3) / 2 are probabilities of 3/4 and 1/4.
    for size, expected in ((0.0, math.log(2) / 2), (20.0, 0.0), (math.log(3) / 2, math.log(4 / 3) / 2)):
        found = denoise_known(Told(size * sign), graph, truth, [1, 2, 3], noise=NOISE, pure_noise=0.1)
        assert found.divergence.tolist() == pytest.approx([expected] * 3, abs=1e-5)


def test_the_task_pulls_logits_towards_the_truth() -> None:
    """The gradient of every logit is (mass - truth) over the detections, and the loss the mean over the graphs."""
    graph, truth = two_people(3)
    network = Told(torch.zeros(4))
    (term,) = DenoiserTask(network, DenoiserTraining(pure_noise=0.1), NOISE)(GraphBatch(graph, truth, (1, 2, 3)))
    assert float(term.value.detach()) == pytest.approx(math.log(2) / 2, abs=1e-5)
    term.value.backward()
    assert network.logits.grad is not None
    torch.testing.assert_close(network.logits.grad, (0.5 - truth[:4].float()) / 4)
