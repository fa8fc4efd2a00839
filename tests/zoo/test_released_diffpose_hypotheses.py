"""Holmquist and Wandt's DiffPose as released: names, sizes and what it computes, against its formulas."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dispose.cli.main import main
from dispose.diffusion.samplers import ancestral_step, mean_step
from dispose.errors import InputError
from dispose.models.diffpose_hypotheses.network import HypothesesNetwork
from dispose.models.diffpose_hypotheses.sampling import MEAN, Sighted, draw_poses, see_heatmaps
from dispose.released.diffpose_hypotheses import MPII_16, RELEASED_HYPOTHESES
from dispose.zoo.checkpoints import load_weights
from dispose.zoo.import_lifters import import_hypotheses

CHANS, WIDE, LAYERS, CONDITION, WIDTH, STATE, STEPS = 128, 512, 4, 2048, 1024, 48, 25
TABLES = (
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "p2_loss_weight",
)  # fmt: skip


def biased(name: str, outward: int, inward: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outward, inward)
    yield f"{name}.bias", (outward,)


def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from biased("condition_emb.pos_proj", CHANS, CHANS)
    yield "condition_emb.joint_embedding.weight", (16, CHANS)
    yield "condition_emb.pos_encoder.centers", (64,)
    for k in range(LAYERS):
        layer = f"condition_emb.transformer.layers.{k}"
        yield f"{layer}.self_attn.in_proj_weight", (3 * CHANS, CHANS)
        yield f"{layer}.self_attn.in_proj_bias", (3 * CHANS,)
        yield from biased(f"{layer}.self_attn.out_proj", CHANS, CHANS)
        yield from biased(f"{layer}.linear1", WIDE, CHANS)
        yield from biased(f"{layer}.linear2", CHANS, WIDE)
        for norm in ("norm1", "norm2"):
            yield f"{layer}.{norm}.weight", (CHANS,)
            yield f"{layer}.{norm}.bias", (CHANS,)
    yield from biased("condition_emb.conf_out", 1, CHANS)
    yield from biased("condition_emb.pos_out", CONDITION, 16 * CHANS)
    yield from biased("denoise_fn.upscale", WIDTH, STATE + CONDITION + 1)
    for block in (1, 2):
        for part in (1, 2):
            yield from biased(f"denoise_fn.res_pose{block}.l{part}", WIDTH, WIDTH)
            for name in ("weight", "bias", "running_mean", "running_var"):
                yield f"denoise_fn.res_pose{block}.bn{part}.{name}", (WIDTH,)
            yield f"denoise_fn.res_pose{block}.bn{part}.num_batches_tracked", ()
    yield from biased("denoise_fn.pose", STATE, WIDTH)
    for name in TABLES:
        yield name, (STEPS,)


def by_rule(name: str, shape: tuple[int, ...]) -> Tensor:
    """Waves whose frequency the name says; norms near one."""
    wave = torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) * (1 + 0.01 * (sum(map(ord, name)) % 97)))
    if ".norm" in name and name.endswith("weight"):
        return (1 + 0.1 * wave).float()
    return (wave.view(shape) * (2.0 / (shape[-1] if len(shape) > 1 else 10)) ** 0.5).float()


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {name: by_rule(name, shape) for name, shape in shapes()}


@pytest.fixture(scope="module")
def network(state, tmp_path_factory) -> HypothesesNetwork:
    path = tmp_path_factory.mktemp("released") / "model-final.pt"
    torch.save({"step": 700_000, "model": state, "ema": {}, "scaler": {}}, path)
    return import_hypotheses(path)


class Plain:
    """The released forward pass as its formulas say, sample by sample, in doubles."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.w = {name: value.double() for name, value in state.items()}

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt() * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def condition(self, xy: Tensor, likelihood: Tensor) -> Tensor:
        """`xy`: joints samples 2; `likelihood`: joints samples."""
        distance = xy.double()[..., None] - torch.linspace(-1, 1, 64).double()
        code = torch.where(distance.abs() <= 1 / 16, torch.cos(8 * math.pi * distance) ** 2, 0.0)
        scaled = code.flatten(-2) * likelihood.double()[..., None]
        x = self.linear(scaled, "condition_emb.pos_proj").sum(1) + self.w["condition_emb.joint_embedding.weight"]
        for k in range(LAYERS):
            layer = f"condition_emb.transformer.layers.{k}"
            x = self.norm(x + self.attention(x, layer), f"{layer}.norm1")
            fed = self.linear(self.linear(x, f"{layer}.linear1").clamp(min=0), f"{layer}.linear2")
            x = self.norm(x + fed, f"{layer}.norm2")
        return self.linear(x.flatten(), "condition_emb.pos_out")

    def attention(self, x: Tensor, layer: str) -> Tensor:
        joined = x @ self.w[f"{layer}.self_attn.in_proj_weight"].T + self.w[f"{layer}.self_attn.in_proj_bias"]
        query, key, value = (part.view(16, 4, 32).transpose(0, 1) for part in joined.split(CHANS, -1))
        share = (query @ key.mT / 32**0.5).softmax(-1)
        return self.linear((share @ value).transpose(0, 1).reshape(16, CHANS), f"{layer}.self_attn.out_proj")

    def noise(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
        x = self.linear(torch.cat([x, torch.tensor([float(step)]).double(), condition]), "denoise_fn.upscale")
        for block in ("denoise_fn.res_pose1", "denoise_fn.res_pose2"):
            inside = _leaky(self.linear(x, f"{block}.l1"))
            x = x + _leaky(self.linear(inside, f"{block}.l2"))
        return self.linear(x, "denoise_fn.pose")

    def mean_trajectory(self, x: Tensor, condition: Tensor) -> Tensor:
        """The posterior's mean at every step, as the release samples z0; then metres from the hips, signs undone."""
        f = [math.cos((k / STEPS + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(STEPS + 1)]
        beta = [min(1 - f[k + 1] / f[k], 0.999) for k in range(STEPS)]
        bar = [math.prod(1 - b for b in beta[: k + 1]) for k in range(STEPS)]
        for k in reversed(range(STEPS)):
            before = bar[k - 1] if k else 1.0
            clean = (x - (1 - bar[k]) ** 0.5 * self.noise(x, k, condition)) / bar[k] ** 0.5
            kept = (1 - before) * (1 - beta[k]) ** 0.5 / (1 - bar[k]) * x
            x = beta[k] * before**0.5 / (1 - bar[k]) * clean.clamp(-30, 30) + kept
        xyz = (x / 10).view(3, 16).T * torch.tensor([1.0, -1.0, -1.0]).double()
        return xyz - (xyz[0] + xyz[3]) / 2


def _leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.01 * x)


def evidence(hypotheses: int = 2) -> Sighted:
    maps = torch.rand(1, 16, 64, 64, generator=torch.Generator().manual_seed(4)) ** 8 - 0.05
    return see_heatmaps(RELEASED_HYPOTHESES, maps, hypotheses, torch.Generator().manual_seed(5))


def test_the_released_sizes(state):
    learned = sum(value.numel() for name, value in state.items() if _is_learned(name))
    assert round(learned / 1e6, 2) == 11.41
    ours = HypothesesNetwork(RELEASED_HYPOTHESES)
    # Without the batch norms and the layer that nothing calls.
    assert learned - sum(p.numel() for p in ours.parameters()) == 8 * 1024 + 129
    assert len(MPII_16) == 16 and len(RELEASED_HYPOTHESES.joints) == 16
    assert sum(p.numel() for p in ours.condition.parameters()) == 5_008_000


def _is_learned(name: str) -> bool:
    return name not in TABLES and not name.endswith(("running_mean", "running_var", "num_batches_tracked", "centers"))


def test_the_condition_is_the_released_one(state, network):
    seen, plain = evidence(), Plain(state)
    with torch.no_grad():
        found = network.condition(seen.samples, seen.sight)
    for hypothesis in range(2):
        expected = plain.condition(seen.samples.xy[0, hypothesis], seen.samples.likelihood[0, hypothesis])
        torch.testing.assert_close(found[0, hypothesis].double(), expected, rtol=1e-3, atol=1e-3)
    assert not torch.equal(found[0, 0], found[0, 1])


def test_the_mean_trajectory_is_the_released_one(state, network):
    seen, plain = evidence(1), Plain(state)
    with torch.no_grad():
        found = draw_poses(network, seen, MEAN, torch.Generator().manual_seed(6))
    start = torch.randn(1, 1, STATE, generator=torch.Generator().manual_seed(6))[0, 0].double()
    condition = plain.condition(seen.samples.xy[0, 0], seen.samples.likelihood[0, 0])
    expected = plain.mean_trajectory(start, condition)
    torch.testing.assert_close(found[0, 0].double(), expected, rtol=1e-3, atol=2e-3)
    assert float(expected.abs().max()) > 0.3


def test_a_step_is_the_mean_and_noise_by_the_posterior_variance():
    assert MEAN.step is mean_step and RELEASED_HYPOTHESES.steps == 25
    assert ancestral_step is not mean_step


def test_the_number_of_steps_is_read_from_the_tables(state, tmp_path: Path):
    longer = {name: torch.zeros(50) if name in TABLES else value for name, value in state.items()}
    torch.save(longer, tmp_path / "fifty.pt")
    assert import_hypotheses(tmp_path / "fifty.pt").config.steps == 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("denoise_fn.pose.bias"), "lacks the tensor denoise_fn.pose.bias"),
        (lambda s: s.update({"denoise_fn.extra": torch.zeros(1)}), "has the tensor denoise_fn.extra"),
        (lambda s: s.update({"denoise_fn.pose.bias": torch.zeros(51)}), r"\(51,\)"),
        (lambda s: s.update({"denoise_fn.pose.bias": torch.full((48,), math.nan)}), "not finite"),
        (lambda s: s.pop("denoise_fn.upscale.weight"), "holds no DiffPose of many hypotheses"),
    ],
)
def test_other_state_dicts_are_refused(state, tmp_path: Path, change, says: str):
    changed = dict(state)
    change(changed)
    torch.save(changed, tmp_path / "other.pt")
    with pytest.raises(InputError, match=says):
        import_hypotheses(tmp_path / "other.pt")


def test_the_command_stores_the_network(state, network, tmp_path: Path):
    torch.save({"model": state}, tmp_path / "model-final.pt")
    out = tmp_path / "hypotheses.safetensors"
    assert main(["zoo", "import", str(tmp_path / "model-final.pt"), "--dataset", "human36m", "--out", str(out)]) == 0
    stored = load_weights(out, HypothesesNetwork)
    assert stored.config == RELEASED_HYPOTHESES
    for name, value in network.state_dict().items():
        assert torch.equal(stored.state_dict()[name], value)
