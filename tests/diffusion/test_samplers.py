"""Laws of the reverse process, with a denoiser that knows the answer."""

import math
from functools import partial

import pytest
import torch

from dispose.diffusion.parameterisations import (
    Estimate,
    answer_named,
    bounded,
    clean_of,
    corrupt,
    noise_of,
    predict_clean,
    predict_noise,
    predict_velocity,
    velocity_of,
)
from dispose.diffusion.samplers import (
    Process,
    ancestral_step,
    ddim_step,
    final,
    fresh_noise,
    log_of_mass,
    mean_step,
    normal_start,
    opposite_starts,
    reverse_process,
    zero_start,
)
from dispose.diffusion.schedules import cosine_alpha_bar, cosine_betas, log_snr_alpha_bar, rounded_times, table_of_betas

TRUTH = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
SCALE = 4.0
STEPS = (ddim_step, partial(ddim_step, stochasticity=1.0), ancestral_step)


def alpha_bar(time: float) -> float:
    return float(cosine_alpha_bar(torch.tensor(time, dtype=torch.float64)))


def latent_of(mass):
    return SCALE * (2 * mass - 1)


def run(denoise, start, **options):
    times = [1 - k / 5 for k in range(5)]
    process = Process(denoise, lambda u: u.softmax(0) * 2, predict_clean(latent_of), alpha_bar)
    return reverse_process(process, start, times, **options)


def test_an_exact_denoiser_is_followed_along_the_forward_process():
    """With the true clean mass at every step, the states are the forward corruption of one noise sample."""
    noise = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = []

    def denoise(mass, time):
        states.append((time, mass))
        return TRUTH

    start = corrupt(latent_of(TRUTH), noise, torch.full((4,), alpha_bar(1.0), dtype=torch.float64))
    list(run(denoise, start))
    for time, mass in states:
        level = torch.full((4,), alpha_bar(time), dtype=torch.float64)
        expected = corrupt(latent_of(TRUTH), noise, level).softmax(0) * 2
        torch.testing.assert_close(mass, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("step", STEPS)
def test_an_exact_denoiser_recovers_the_data(step):
    """Any tensor, nothing to project, by either answer: the last clean estimate is the data."""
    generator = torch.Generator().manual_seed(2)
    data = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    times = [1 - k / 20 for k in range(20)]

    def level(time):
        return float(cosine_alpha_bar(torch.tensor(time, dtype=torch.float64)))

    def noise(latent, time):
        return noise_of(latent, data, level(time))

    for denoise, answer in ((lambda u, t: data, predict_clean(lambda u: u)), (noise, predict_noise(lambda u: u))):
        start = normal_start(data, generator)
        last = final(
            reverse_process(Process(denoise, lambda u: u, answer, level), start, times, step=step, generator=generator)
        )
        torch.testing.assert_close(last.clean, data, rtol=0, atol=1e-9)
        assert (last.mass - data).abs().max() < 10 * (1 - level(times[-1])) ** 0.5


def test_parameterisations_convert_into_each_other():
    generator = torch.Generator().manual_seed(3)
    clean, noise = torch.randn(2, 7, generator=generator, dtype=torch.float64)
    for level in (1e-3, 0.4, 0.999):
        latent = corrupt(clean, noise, torch.tensor(level, dtype=torch.float64))
        torch.testing.assert_close(noise_of(latent, clean, level), noise)
        torch.testing.assert_close(clean_of(latent, noise, level), clean)
        one = predict_clean(lambda u: u)(latent, clean, level)
        other = predict_noise(lambda u: u)(latent, noise, level)
        torch.testing.assert_close(one.noise, other.noise)
        torch.testing.assert_close(one.clean, other.clean)


def test_ddim_with_full_noise_is_the_ancestral_step():
    """The same draw gives the same latent, so mean and variance agree; without noise nothing is drawn."""
    clean, noise = torch.randn(2, 9, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    for now, then in ((0.1, 0.3), (0.5, 0.9), (1e-4, 0.2)):
        latent = corrupt(clean, noise, torch.tensor(now, dtype=torch.float64))
        estimate = Estimate(clean, clean, noise)
        one = ddim_step(latent, estimate, now, then, torch.Generator().manual_seed(5), stochasticity=1.0)
        other = ancestral_step(latent, estimate, now, then, torch.Generator().manual_seed(5))
        torch.testing.assert_close(one, other)
        assert 0 < fresh_noise(now, then) ** 2 < 1 - then
        torch.testing.assert_close(ddim_step(latent, estimate, now, then), ddim_step(latent, estimate, now, then))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_keeps_the_forward_process(step):
    """Latents of pure noise about the clean one, stepped with the true estimate, have the forward process' spread."""
    generator = torch.Generator().manual_seed(6)
    clean, noise = torch.full((40_000,), 2.0, dtype=torch.float64), torch.randn(40_000, generator=generator).double()
    latent = corrupt(clean, noise, torch.tensor(0.2, dtype=torch.float64))
    after = step(latent, Estimate(clean, clean, noise), 0.2, 0.7, generator)
    assert float(after.mean()) == pytest.approx(2 * 0.7**0.5, abs=0.02)
    assert float(after.var()) == pytest.approx(0.3, abs=0.02)


def test_states_are_yielded_one_by_one_and_the_denoiser_is_asked_once_each():
    calls = []
    steps = list(run(lambda mass, time: calls.append(time) or TRUTH, torch.zeros(4, dtype=torch.float64)))
    assert [step.time for step in steps] == calls == [1.0, 0.8, 0.6, 0.4, pytest.approx(0.2)]


def test_a_stochastic_run_repeats_with_its_seed_and_differs_without():
    def last(seed):
        generator = torch.Generator().manual_seed(seed)
        step = partial(ddim_step, stochasticity=1.0)
        return final(run(lambda m, t: m / 2, zero_start(TRUTH), step=step, generator=generator)).mass

    torch.testing.assert_close(last(1), last(1), rtol=0, atol=0)
    assert not torch.allclose(last(1), last(2))


def test_the_schedule_falls_from_signal_to_noise():
    time = torch.linspace(0, 1, 50, dtype=torch.float64)
    level = cosine_alpha_bar(time)
    assert level[0] == 1 and level[-1] < 1e-3 and (level.diff() < 0).all()


def test_rounded_times_have_the_published_steps_and_noise_levels():
    steps = [round(999 * t) for t in rounded_times()]
    assert steps == [999, 899, 799, 699, 599, 500, 400, 300, 200, 100, 0]
    noise = (1 - cosine_alpha_bar(torch.tensor(rounded_times(), dtype=torch.float64))).sqrt()
    published = [1.0, 0.988, 0.952, 0.893, 0.812, 0.712, 0.594, 0.462, 0.319, 0.167, 0.0]
    torch.testing.assert_close(noise, torch.tensor(published, dtype=torch.float64), rtol=0, atol=1e-3)


def test_the_logarithm_of_signal_over_noise_falls_evenly():
    """3 at time 0, -2 halfway, -7 at time 1."""
    level = log_snr_alpha_bar(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    torch.testing.assert_close((level / (1 - level)).log(), torch.tensor([3.0, -2.0, -7.0], dtype=torch.float64))


def test_the_cosine_schedule_without_offset_is_a_cosine_squared():
    level = cosine_alpha_bar(torch.tensor([0.0, 1 / 3, 0.5, 2 / 3], dtype=torch.float64), offset=0.0)
    torch.testing.assert_close(level, torch.tensor([1.0, 0.75, 0.5, 0.25], dtype=torch.float64))


def test_every_state_is_that_of_its_own_noise_level():
    """Signal 0.2, 0.5 and 0.8 at the three times: noise 1 about the data 3, exactly as asked for at each."""
    level, seen = {1.0: 0.2, 0.6: 0.5, 0.3: 0.8}, []
    data, noise = torch.tensor([3.0], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)
    process = Process(lambda u, t: seen.append((t, float(u))) or data, lambda u: u, predict_clean(lambda u: u),
                      level.__getitem__)  # fmt: skip
    steps = list(reverse_process(process, corrupt(data, noise, torch.tensor([0.2]).double()), list(level)))
    expected = [(t, a**0.5 * 3 + (1 - a) ** 0.5) for t, a in level.items()]
    assert seen == [(t, pytest.approx(u)) for t, u in expected]
    assert [float(step.mass) for step in steps] == pytest.approx([u for _, u in expected])


def test_a_step_may_go_on_from_what_was_observed():
    """The noise is what separates the observed latent from the clean one, whatever the latent was."""
    process = Process(lambda u, t: torch.zeros(1).double(), lambda u: u + 2, predict_clean(lambda u: u),
                      {1.0: 0.36, 0.5: 0.64}.__getitem__, observe=lambda latent, mass: 4 * mass)  # fmt: skip
    steps = list(reverse_process(process, torch.ones(1, dtype=torch.float64), [1.0, 0.5]))
    assert float(steps[0].mass) == 3
    assert float(steps[1].mass) == pytest.approx(0.6 * (12 / 0.8) + 2)


def test_a_sampler_without_times_is_an_error():
    with pytest.raises(ValueError, match="at least one time"):
        final(iter(()))


def test_a_velocity_says_both_the_clean_latent_and_the_noise():
    generator = torch.Generator().manual_seed(7)
    clean, noise = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in "ab")
    for level in (1e-6, 0.3, 0.999):
        share = torch.tensor(level, dtype=torch.float64)
        found = predict_velocity(lambda u: 2 * u)(corrupt(clean, noise, share), velocity_of(clean, noise, share), level)
        torch.testing.assert_close(found.clean, clean)
        torch.testing.assert_close(found.noise, noise)
        torch.testing.assert_close(found.state, 2 * clean)


@pytest.mark.parametrize("name", ["noise", "velocity", "clean"])
def test_every_answer_is_read_as_it_is_asked_for(name: str):
    generator = torch.Generator().manual_seed(7)
    clean, noise = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in "ab")
    share, kind = torch.tensor(0.3, dtype=torch.float64), answer_named(name)
    found = kind.read(_same)(corrupt(clean, noise, share), kind.target(clean, noise, share), 0.3)
    torch.testing.assert_close(found.clean, clean)
    torch.testing.assert_close(found.noise, noise)


def test_a_bounded_answer_stays_within_its_bounds_and_explains_the_latent():
    latent, noise = torch.tensor([3.0, -9.0, 0.1]).double(), torch.tensor([0.5, 1.0, 0.2]).double()
    free, held = (make(latent, noise, 0.04) for make in (predict_noise(_same), bounded(predict_noise(_same), 4.0)))
    assert float(free.clean.abs().max()) > 4 and float(held.clean.abs().max()) == 4
    torch.testing.assert_close(held.clean, free.clean.clamp(-4, 4))
    torch.testing.assert_close(held.state, held.clean)
    torch.testing.assert_close(0.2 * held.clean + 0.96**0.5 * held.noise, latent)


def _same(latent: torch.Tensor) -> torch.Tensor:
    return latent


def test_the_mean_step_is_the_ancestral_one_without_its_noise():
    latent = torch.full((20_000,), 1.3, dtype=torch.float64)
    estimate = predict_clean(_same)(latent, torch.full_like(latent, -0.4), 0.3)
    mean = mean_step(latent, estimate, 0.3, 0.6)
    draws = ancestral_step(latent, estimate, 0.3, 0.6, torch.Generator().manual_seed(0))
    assert float(draws.mean()) == pytest.approx(float(mean[0]), abs=0.02)
    beta = 1 - 0.3 / 0.6
    assert float(draws.var()) == pytest.approx(beta * (1 - 0.6) / (1 - 0.3), rel=0.05)
    by_hand = 0.6**0.5 * beta / 0.7 * -0.4 + (0.3 / 0.6) ** 0.5 * 0.4 / 0.7 * 1.3
    assert float(mean[0]) == pytest.approx(by_hand)


def test_the_posterior_of_a_gaussian_is_sampled():
    """A 2-D Gaussian seen through noise has a Gaussian posterior in closed form; the exact denoiser's samples have its
    mean and variance, by every step and by fewer.
    """
    prior = torch.tensor([[1.0, 0.6], [0.6, 0.8]], dtype=torch.float64)
    mean, seen, noise = torch.tensor([2.0, -1.0]).double(), torch.tensor([2.8, -2.5]).double(), 0.5
    gain = prior @ torch.linalg.inv(prior + noise**2 * torch.eye(2).double())
    expected, covariance = mean + gain @ (seen - mean), prior - gain @ prior
    table = table_of_betas(cosine_betas(200))

    def denoise(latent: torch.Tensor, time: float) -> torch.Tensor:
        share = table.at(time)
        spread = share * covariance + (1 - share) * torch.eye(2).double()
        off = latent - share**0.5 * expected
        return (1 - share) ** 0.5 * off @ torch.linalg.inv(spread)

    process = Process(denoise, _same, bounded(predict_noise(_same), 30.0), table.at)
    for step, count in ((ancestral_step, 200), (ddim_step, 60)):
        generator = torch.Generator().manual_seed(3)
        start = normal_start(torch.zeros(60_000, 2, dtype=torch.float64), generator)
        times = table.times_between(199, count)
        found = final(reverse_process(process, start, times, step=step, generator=generator)).clean
        torch.testing.assert_close(found.mean(0), expected, rtol=0.03, atol=0.01)
        torch.testing.assert_close(found.T.cov(), covariance, rtol=0.03, atol=0.01)


def test_the_cosine_table_of_25_steps():
    """The product of ``1 - beta`` where the cosine's rate is cut at 0.999, by hand in double precision."""
    f = [math.cos((k / 25 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(26)]
    expected = [f[k + 1] / f[0] for k in range(24)]
    expected.append(expected[-1] * (1 - 0.999))
    table = table_of_betas(cosine_betas(25))
    torch.testing.assert_close(torch.tensor(table.alpha_bar), torch.tensor(expected), rtol=0, atol=1e-6)
    assert table.alpha_bar[:3] == pytest.approx((0.995, 0.982, 0.961), abs=1e-3)
    assert round(table.alpha_bar[23], 4) == 0.0039 and table.alpha_bar[24] < 1e-5


def test_every_second_start_is_the_one_before_it_with_the_other_sign():
    start = opposite_starts(torch.zeros(3, 5, 2, dtype=torch.float64), torch.Generator().manual_seed(1))
    assert start.shape == (3, 5, 2)
    assert torch.equal(start[:, 1], -start[:, 0]) and torch.equal(start[:, 3], -start[:, 2])
    assert not torch.equal(start[:, 0], start[:, 2]) and not torch.equal(start[0], start[1])
    many = opposite_starts(torch.zeros(500, 3, 4), torch.Generator().manual_seed(2))
    assert abs(float(many[:, 2].std()) - 1) < 0.05


def test_the_logarithm_of_mass_is_bounded_below_and_the_cosine_too():
    mass = torch.tensor([1.0, 1e-4, 0.0], dtype=torch.float64)
    expected = [0.0, math.log(1e-4), math.log(1e-12)]
    assert log_of_mass(torch.zeros(3).double(), mass).tolist() == pytest.approx(expected)
    assert float(cosine_alpha_bar(torch.tensor(1.0, dtype=torch.float64))) == 1e-4
    assert fresh_noise(0.5, 1.0) == 0.0
