"""Laws of noise: marginals of the forward process, kernels by their weights, starts that are informed."""

import pytest
import torch

from dispose.diffusion.noise import (
    Mixture,
    NoiseLaw,
    antithetic_steps,
    corrupt_about,
    diagonal,
    draw_kernel,
    draw_noise,
    law_of_kernel,
)
from dispose.diffusion.parameterisations import predict_noise
from dispose.diffusion.samplers import Process, final, reverse_process
from dispose.diffusion.schedules import StepTable, linear_betas, table_of_betas
from dispose.errors import InputError

TABLE = table_of_betas(linear_betas())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_published_table():
    """Gong's 51 rates; deviations in metres as the prototypes measured them."""
    assert len(TABLE) == 51
    for step, deviation in ((6, 0.033), (12, 0.052), (24, 0.089), (50, 0.166)):
        assert (1 - TABLE.alpha_bar[step]) ** 0.5 == pytest.approx(deviation, abs=1e-3)
    product = 1.0
    for step in range(51):
        product *= 1 - (1e-4 + 9e-4 * step / 50)
        assert TABLE.alpha_bar[step] == pytest.approx(product, rel=1e-12)


def test_the_step_that_matches_an_error():
    assert TABLE.matched_step(0.089) == 24
    assert TABLE.matched_step(0.0) == 0
    assert TABLE.matched_step(1.0) == 50


def test_times_go_from_a_step_to_zero():
    assert [TABLE.step_at(time) for time in TABLE.times_between(12, 2)] == [12, 0]
    assert [TABLE.step_at(time) for time in TABLE.times_between(50, 5)] == [50, 38, 25, 12, 0]
    assert TABLE.at(TABLE.times_between(24, 1)[0]) == TABLE.alpha_bar[24]
    for start, count in ((51, 2), (3, 5), (3, 0), (-1, 1)):
        with pytest.raises(InputError, match="there are not so many"):
            TABLE.times_between(start, count)
    assert StepTable((0.5,)).times_between(0, 1) == [0.0]


@pytest.mark.parametrize("step", [6, 24, 50])
@pytest.mark.parametrize("centred", [False, True])
def test_marginals_of_the_forward_process(step: int, centred: bool):
    """Mean and standard deviation at a step, axis by axis."""
    scale = torch.tensor([0.01, 0.3, 1.0, 2.0])
    clean, centre = torch.tensor([1.0, -0.5, 0.0, 2.0]), torch.tensor([3.0, 0.0, -1.0, 1.0])
    law = NoiseLaw(centre, scale) if centred else diagonal(scale)
    like = clean.expand(40_000, 4)
    level = torch.tensor(TABLE.alpha_bar[step])
    latent = corrupt_about(law, like, draw_noise(law, like, generator(step)), level)
    deviation = (1 - level).sqrt() * scale
    assert ((latent.std(0) / deviation - 1).abs() < 0.03).all()
    middle = law.centre + level.sqrt() * (clean - law.centre)
    assert ((latent.mean(0) - middle).abs() < 0.03 * deviation).all()


@pytest.mark.parametrize("centred", [False, True])
def test_an_oracle_leads_back_to_the_data(centred: bool):
    """From a corrupted state over a few steps, the noise known: the data to 1e-5."""
    data = torch.randn(4, 17, 5, generator=generator(1))
    law = NoiseLaw(torch.randn(4, 17, 5, generator=generator(2)), torch.rand(4, 17, 5, generator=generator(3)))
    law = law if centred else diagonal(law.scale)
    noise = draw_noise(law, data, generator(4))
    start = corrupt_about(law, data, noise, torch.tensor(TABLE.alpha_bar[50]))
    process = Process(lambda state, time: noise, lambda state: state, predict_noise(lambda state: state), TABLE.at)
    for count in (1, 2, 5):
        last = final(reverse_process(process, start - law.centre, TABLE.times_between(50, count)))
        torch.testing.assert_close(last.clean + law.centre, data, rtol=0, atol=1e-5)


def test_isotropic_is_white_noise():
    like = torch.zeros(50_000)
    drawn = draw_noise(diagonal(like.new_ones(())), like, generator())
    assert abs(float(drawn.std()) - 1) < 0.02
    clean = torch.ones(3)
    found = corrupt_about(diagonal(clean.new_ones(())), clean, torch.full((3,), 2.0), torch.tensor(0.36))
    torch.testing.assert_close(found, torch.full((3,), 0.6 + 0.8 * 2.0))


def test_kernels_are_drawn_by_their_weights_and_apart():
    """Everything with a mixture draws for itself; a kernel without weight is never drawn."""
    weight = torch.tensor([0.0, 0.2, 0.0, 0.8, 0.0])
    mean = torch.arange(5.0)[:, None] * torch.tensor([[1.0, 10.0]])
    mixture = Mixture(weight.expand(20_000, 2, 5), mean.expand(20_000, 2, 5, 2), (1 + mean).expand(20_000, 2, 5, 2))
    kernel = draw_kernel(mixture, generator(5))
    assert set(kernel.unique().tolist()) == {1, 3}
    assert abs(float((kernel == 3).double().mean()) - 0.8) < 0.01
    both = ((kernel[:, 0] == 3) & (kernel[:, 1] == 3)).double().mean()
    assert abs(float(both) - 0.64) < 0.015
    law = law_of_kernel(mixture, kernel)
    torch.testing.assert_close(law.centre[..., 0], kernel.float())
    torch.testing.assert_close(law.scale[..., 1], 1 + 10 * kernel.float())
    assert torch.equal(kernel, draw_kernel(mixture, generator(5)))


def test_steps_to_learn_from_come_in_pairs():
    steps = antithetic_steps(7, 51, generator())
    assert len(steps) == 7
    assert (steps[:3] + steps[4:] == 50).all()
    many = antithetic_steps(50_000, 51, generator())
    assert many.min() == 0
    assert many.max() == 50
    assert (torch.bincount(many) / 50_000 * 51 - 1).abs().max() < 0.15
