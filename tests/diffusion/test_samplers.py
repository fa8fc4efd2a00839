"""Laws of the reverse process, with a denoiser that knows the answer."""

import pytest
import torch

from dispose.diffusion.corruption import corrupt
from dispose.diffusion.samplers import Process, final, projected_ddim
from dispose.diffusion.schedules import cosine_alpha_bar, released_times

TRUTH = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
SCALE = 4.0


def alpha_bar(time: float) -> float:
    return float(cosine_alpha_bar(torch.tensor(time, dtype=torch.float64)))


def run(denoise, start, **options):
    times = [1 - k / 5 for k in range(5)]
    process = Process(denoise, lambda u: u.softmax(0) * 2, lambda x: SCALE * (2 * x - 1), alpha_bar)
    return projected_ddim(process, start, times, **options)


def test_an_exact_denoiser_is_followed_along_the_forward_process():
    """With the true clean mass at every step, the states are the forward corruption of one noise sample."""
    noise = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = []

    def denoise(mass, time):
        states.append((time, mass))
        return TRUTH

    start = corrupt(SCALE * (2 * TRUTH - 1), noise, torch.full((4,), alpha_bar(1.0), dtype=torch.float64))
    list(run(denoise, start))
    for time, mass in states:
        level = torch.full((4,), alpha_bar(time), dtype=torch.float64)
        expected = corrupt(SCALE * (2 * TRUTH - 1), noise, level).softmax(0) * 2
        torch.testing.assert_close(mass, expected, rtol=1e-9, atol=1e-9)


def test_states_are_yielded_one_by_one_and_the_denoiser_is_asked_once_each():
    calls = []
    steps = list(run(lambda mass, time: calls.append(time) or TRUTH, torch.zeros(4, dtype=torch.float64)))
    assert [step.time for step in steps] == calls == [1.0, 0.8, 0.6, 0.4, pytest.approx(0.2)]


def test_a_stochastic_run_repeats_with_its_seed_and_differs_without():
    def last(seed):
        generator = torch.Generator().manual_seed(seed)
        steps = run(lambda m, t: m / 2, torch.zeros(4, dtype=torch.float64), stochasticity=1.0, generator=generator)
        return final(steps).mass

    torch.testing.assert_close(last(1), last(1), rtol=0, atol=0)
    assert not torch.allclose(last(1), last(2))


def test_the_released_times_are_the_rounded_ones_of_the_paper():
    steps = [round(999 * t) for t in released_times()]
    assert steps == [999, 899, 799, 699, 599, 500, 400, 300, 200, 100, 0]


def test_the_schedule_has_the_published_noise_levels():
    time = torch.tensor(released_times(), dtype=torch.float64)
    noise = (1 - cosine_alpha_bar(time)).sqrt()
    published = [1.0, 0.988, 0.952, 0.893, 0.812, 0.712, 0.594, 0.462, 0.319, 0.167, 0.0]
    torch.testing.assert_close(noise, torch.tensor(published, dtype=torch.float64), rtol=0, atol=1e-3)


def test_a_sampler_without_times_is_an_error():
    with pytest.raises(ValueError, match="at least one time"):
        final(iter(()))
