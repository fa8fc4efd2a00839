"""Gong's DiffPose as released: names, shapes and what it computes, against plain code from its pages."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.released.diffpose_gmm import ReleasedGraphDenoiser, ReleasedGraphLifter
from dispose.zoo.checkpoints import load_weights
from dispose.zoo.import_lifters import import_graph_pose

CHANS, TIME, LAYERS, HEADS, JOINTS = 96, 384, 5, 4, 17
EDGES = (
    (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10), (8, 11), (11, 12), (12, 13),
    (8, 14), (14, 15), (15, 16),
)  # fmt: skip


def shapes(outward: int, *, denoiser: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Entries of the released networks: GCNdiff, or GCNpose with its unused embedding of time."""
    inward = 5 if denoiser else 2
    for name, pair in (("gconv_input", (inward, CHANS)), ("gconv_output", (CHANS, outward))):
        yield f"{name}.weight", (3, 1, *pair)
        yield f"{name}.bias", (1, 1, pair[1])
    for k in range(LAYERS):
        for conv in ("gconv1", "gconv2"):
            yield f"gconv_layers.{k}.{conv}.gconv.weight", (3, 1, CHANS, CHANS)
            yield f"gconv_layers.{k}.{conv}.gconv.bias", (1, 1, CHANS)
        if denoiser:
            yield from biased(f"gconv_layers.{k}.temb_proj", CHANS, TIME)
        for part in range(4):
            yield from biased(f"atten_layers.{k}.self_attn.linears.{part}", CHANS, CHANS)
        yield f"atten_layers.{k}.feed_forward.A_hat", (JOINTS, JOINTS)
        yield from biased(f"atten_layers.{k}.feed_forward.gconv1.fc", 2 * CHANS, CHANS)
        yield from biased(f"atten_layers.{k}.feed_forward.gconv2.fc", CHANS, 2 * CHANS)
        for part in (0, 1):
            yield f"atten_layers.{k}.sublayer.{part}.norm.a_2", (CHANS,)
            yield f"atten_layers.{k}.sublayer.{part}.norm.b_2", (CHANS,)
    yield from biased("temb.dense.0", TIME, CHANS)
    yield from biased("temb.dense.1", TIME, TIME)


def biased(name: str, outward: int, inward: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outward, inward)
    yield f"{name}.bias", (outward,)


def by_rule(name: str, shape: tuple[int, ...]) -> Tensor:
    """Weights by a rule: waves whose frequency the name says; adjacencies near one, norms near one."""
    count = math.prod(shape)
    wave = torch.sin(torch.arange(count, dtype=torch.float64) * (1.0 + 0.01 * (sum(map(ord, name)) % 97)))
    if name.endswith("A_hat"):
        return (torch.eye(JOINTS, dtype=torch.float64) + 0.02 * wave.view(shape)).float()
    if name.endswith("a_2"):
        return (1 + 0.1 * wave).float()
    return (wave.view(shape) / max(shape[-2:][0] if len(shape) > 1 else 10, 10) ** 0.5).float()


def released(outward: int, *, denoiser: bool) -> dict[str, Tensor]:
    return {f"module.{name}": by_rule(name, shape) for name, shape in shapes(outward, denoiser=denoiser)}


class Plain:
    """The released forward pass written down from its formulas, one joint's neighbours at a time, in doubles."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.w = {name.removeprefix("module."): value.double() for name, value in state.items()}
        adjacency = torch.eye(JOINTS, dtype=torch.float64)
        for a, b in EDGES:
            adjacency[a, b] = adjacency[b, a] = 1
        one = torch.eye(JOINTS, dtype=torch.float64)
        laplacian = one - adjacency / adjacency.sum(1, keepdim=True)
        self.powers = (one, laplacian, 2 * laplacian @ laplacian - one)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def conv(self, x: Tensor, name: str) -> Tensor:
        weight = self.w[f"{name}.weight"]
        return sum(power @ x @ weight[k, 0] for k, power in enumerate(self.powers)) + self.w[f"{name}.bias"][0, 0]

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        deviation = ((x - mean) ** 2).sum(-1, keepdim=True).div(CHANS - 1).sqrt()
        return self.w[f"{name}.a_2"] * (x - mean) / (deviation + 1e-6) + self.w[f"{name}.b_2"]

    def attend(self, x: Tensor, name: str) -> Tensor:
        query, key, value = (self.linear(x, f"{name}.linears.{k}") for k in range(3))
        width, found = CHANS // HEADS, []
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            share = (query[:, part] @ key[:, part].T / math.sqrt(width)).softmax(-1)
            found.append(share @ value[:, part])
        return self.linear(torch.cat(found, 1), f"{name}.linears.3")

    def spread(self, x: Tensor, name: str) -> Tensor:
        matrix = self.w[f"{name}.A_hat"]
        degree = (matrix.sum(0) + 1e-5) ** -0.5
        share = degree[:, None] * matrix * degree[None]
        return self.linear(share @ self.linear(share @ x, f"{name}.gconv1.fc").relu(), f"{name}.gconv2.fc")

    def __call__(self, x: Tensor, step: int | None) -> Tensor:
        """One person."""
        x = self.conv(x.double(), "gconv_input")
        if step is not None:
            angle = step * torch.exp(-torch.arange(CHANS // 2) * math.log(10_000) / (CHANS // 2 - 1)).double()
            time = self.linear(torch.cat([angle.sin(), angle.cos()]), "temb.dense.0")
            time = self.linear(time * time.sigmoid(), "temb.dense.1")
        for k in range(LAYERS):
            at = f"atten_layers.{k}"
            x = x + self.attend(self.norm(x, f"{at}.sublayer.0.norm"), f"{at}.self_attn")
            x = x + self.spread(self.norm(x, f"{at}.sublayer.1.norm"), f"{at}.feed_forward")
            inner = self.conv(x, f"gconv_layers.{k}.gconv1.gconv").relu()
            if step is not None:
                inner = inner + self.linear(time * time.sigmoid(), f"gconv_layers.{k}.temb_proj")
            x = x + self.conv(inner, f"gconv_layers.{k}.gconv2.gconv").relu()
        return self.conv(x, "gconv_output")


def saved(path: Path, state: dict[str, Tensor]) -> Path:
    """As the release writes it: a list of the state, the optimiser's, and how far it was."""
    torch.save([state, {"state": {}, "param_groups": []}, 3, 700], path)
    return path


def test_the_denoiser_computes_what_the_release_does(tmp_path: Path):
    state = released(5, denoiser=True)
    network = import_graph_pose(saved(tmp_path / "diff.pth", state))
    assert isinstance(network, ReleasedGraphDenoiser)
    assert sum(p.numel() for p in network.parameters()) == 1_025_674
    x = torch.randn(3, JOINTS, 5, generator=torch.Generator().manual_seed(1))
    found = network(x, torch.tensor([0.0, 12.0, 50.0]))
    for row, step in enumerate((0, 12, 50)):
        expected = Plain(state)(x[row], step)
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert (found[0] - network(x, torch.full((3,), 12.0))[0]).abs().max() > 1e-3 * found.abs().max()


def test_the_initial_pose_computes_what_the_release_does(tmp_path: Path):
    state = released(3, denoiser=False)
    network = import_graph_pose(saved(tmp_path / "pose.pth", state))
    assert isinstance(network, ReleasedGraphLifter)
    assert sum(p.numel() for p in network.parameters()) == 839_432
    x = torch.randn(2, JOINTS, 2, generator=torch.Generator().manual_seed(2))
    for row in range(2):
        expected = Plain(state)(x[row], None)
        found = network(x)[row].double()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_the_command_imports_both_and_what_does_not_fit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    state, out = released(5, denoiser=True), tmp_path / "gong.safetensors"
    path = saved(tmp_path / "diff.pth", state)
    assert main(["zoo", "import", str(path), "--dataset", "human36m", "--out", str(out)]) == 0
    assert "1.03 million" in capsys.readouterr().out
    x, step = torch.randn(1, JOINTS, 5), torch.tensor([6.0])
    assert torch.equal(load_weights(out, ReleasedGraphDenoiser)(x, step), import_graph_pose(path)(x, step))

    column = state["module.atten_layers.2.feed_forward.A_hat"].clone()
    column[:, 4] = -0.1
    odd = {
        "lacks": {n: v for n, v in state.items() if "temb.dense.1.bias" not in n},
        "does not know": {**state, "module.extra": torch.zeros(1)},
        "sums to less than 0": {**state, "module.atten_layers.2.feed_forward.A_hat": column},
        "must be": {**state, "module.gconv_input.weight": torch.zeros(3, 1, 4, CHANS)},
        "not finite": {**state, "module.gconv_output.bias": torch.full((1, 1, 5), torch.nan)},
    }
    for words, changed in odd.items():
        with pytest.raises(InputError, match=words):
            import_graph_pose(saved(tmp_path / "odd.pth", changed))
