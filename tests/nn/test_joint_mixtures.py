"""Mixtures of where a joint is: from heat maps with known kernels, from repeated detections, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.plain_pickle import load_plain_arrays
from dispose.nn.joint_mixtures import fit_mixture, mixture_of_detections, mixture_of_heatmaps
from dispose.skeletons.catalog import H36M_17

SIDES = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


def blob(height: int, width: int, x: float, y: float, sx: float, sy: float) -> torch.Tensor:
    down = torch.exp(-0.5 * ((torch.arange(height) - y) / sy) ** 2)
    return down[:, None] * torch.exp(-0.5 * ((torch.arange(width) - x) / sx) ** 2)


def test_a_kernel_is_found_in_a_map_that_is_not_square_and_brought_to_the_image():
    maps = blob(40, 64, 30.25, 12.5, 4.0, 2.5)[None, None]
    affine = torch.tensor([[[4.0, 0.0, 10.0], [0.0, 4.0, -20.0]]])
    found = mixture_of_heatmaps(maps, affine)
    assert found.weight.tolist() == [[[1.0]]]
    torch.testing.assert_close(found.mean[0, 0, 0], torch.tensor([131.0, 30.0]).double(), atol=0.1, rtol=0)
    torch.testing.assert_close(found.scale[0, 0, 0], torch.tensor([16.0, 10.0]).double(), rtol=0.03, atol=0)
    quarter = torch.tensor([[[0.0, -2.0, 0.0], [2.0, 0.0, 0.0]]])
    turned = mixture_of_heatmaps(maps, quarter)
    torch.testing.assert_close(turned.scale[0, 0, 0], torch.tensor([5.0, 8.0]).double(), rtol=0.03, atol=0)


def test_two_kernels_are_told_apart_the_likelier_first():
    maps = 0.5 * blob(48, 48, 10, 30, 2.0, 2.0) + blob(48, 48, 34, 14, 3.0, 3.0)
    found = mixture_of_heatmaps(maps[None, None], torch.eye(2, 3)[None], kernels=2)
    torch.testing.assert_close(found.mean[0, 0], torch.tensor([[34.0, 14.0], [10.0, 30.0]]).double(), atol=0.1, rtol=0)
    # Masses of a Gaussian are its height times its widths: 9 to 0.5 times 4.
    torch.testing.assert_close(found.weight[0, 0], torch.tensor([9 / 11, 2 / 11]).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(found.scale[0, 0, :, 0], torch.tensor([3.0, 2.0]).double(), rtol=0.06, atol=0)


def test_background_does_not_widen_a_kernel():
    maps = blob(64, 64, 32, 32, 2.0, 2.0) + 0.005
    found = mixture_of_heatmaps(maps[None, None], torch.eye(2, 3)[None])
    assert float(found.scale.max()) < 2.2


@pytest.mark.parametrize("kernels", [1, 2, 3])
def test_no_neighbouring_mixture_is_more_probable(kernels: int):
    """Expectation-maximisation ends where small changes do not help."""
    generator = torch.Generator().manual_seed(kernels)
    points = torch.randn(1, 300, 2, generator=generator).double() * 3
    points[:, 150:] += 12
    weight = torch.rand(1, 300, generator=generator).double()

    def likelihood(prior, mean, scale):
        distance = ((points[0, :, None] - mean) / scale).square().sum(-1)
        density = prior.log() - 0.5 * distance - scale.log().sum(-1)
        return float((weight[0] / weight.sum() * density.logsumexp(-1)).sum())

    found = fit_mixture(points, weight, kernels)
    best = likelihood(found.weight[0], found.mean[0], found.scale[0])
    assert float(found.weight.sum()) == pytest.approx(1.0)
    for _ in range(20):
        near = [v[0] * (1 + 0.05 * torch.randn(v[0].shape, generator=generator)) for v in (found.mean, found.scale)]
        assert likelihood(found.weight[0], *near) <= best + 1e-3


def test_repeated_detections():
    """Weighted mean and deviation; what has no score does not count, agreement is not certainty."""
    xy = torch.tensor([[[[0.0, 0.0], [4.0, 0.0], [999.0, torch.nan]]]])
    found = mixture_of_detections(xy, torch.tensor([[[1.0, 3.0, 0.0]]]))
    torch.testing.assert_close(found.mean[0, 0, 0], torch.tensor([3.0, 0.0]).double())
    torch.testing.assert_close(found.scale[0, 0, 0], torch.tensor([3.0**0.5, 1.0]).double())
    one = mixture_of_detections(xy[:, :, :1], torch.ones(1, 1, 1), kernels=3)
    assert one.weight[0, 0].sum() == pytest.approx(1.0)
    assert torch.isfinite(one.mean).all()
    assert (one.scale >= 1.0).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda maps: maps.index_put_((torch.tensor(1), torch.tensor(2)), torch.tensor(torch.nan)), "no number"),
        (lambda maps: maps.index_put_((torch.tensor(1), torch.tensor(2)), torch.tensor(0.0)), "is empty"),
    ],
)
def test_maps_that_say_nothing_are_refused(change, words: str):
    maps = torch.rand(2, 3, 8, 5, generator=torch.Generator().manual_seed(0)) + 0.1
    with pytest.raises(InputError, match=f"frame 1, joint 2.*{words}"):
        mixture_of_heatmaps(change(maps), torch.eye(2, 3).expand(2, 2, 3))


def test_detections_that_say_nothing_are_refused():
    xy, score = torch.zeros(1, 2, 3, 2), torch.ones(1, 2, 3)
    with pytest.raises(InputError, match=r"frame 0, joint 1: no detection"):
        mixture_of_detections(xy, score * torch.tensor([1.0, 0.0])[:, None])
    xy[0, 1, 2, 0] = torch.inf
    with pytest.raises(InputError, match=r"frame 0, joint 1: a detection"):
        mixture_of_detections(xy, score)
    with pytest.raises(InputError, match="at least one"):
        fit_mixture(torch.zeros(1, 2, 2), torch.ones(1, 2), 0)


def read(path: Path) -> dict[str, Any]:
    """The arrays of a file with objects, read as plain values."""
    return dict(load_plain_arrays(path))


def detections(path: Path, shift: float, *, frames: int = 4) -> Path:
    rng = np.random.default_rng(0)
    xy = [(100 * rng.random((4, 17, 2)) + shift).astype(np.float32)[:frames] for _ in range(4)]
    tree = {"S9": {"Walking": xy}}
    metadata = {"keypoints_symmetry": SIDES}
    np.savez(path, positions_2d=np.array(tree, object), metadata=np.array(metadata, object))
    return path


def test_the_command_writes_what_gongs_code_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first, second = detections(tmp_path / "a.npz", 0.0), detections(tmp_path / "b.npz", 6.0, frames=3)
    out = tmp_path / "gmm.npz"
    assert main(["labels", "uncertainty", str(first), str(second), "--out", str(out)]) == 0
    assert "12 pictures of 1 recordings; the likeliest kernels are 3.0 px wide" in capsys.readouterr().out
    stored = np.load(out, allow_pickle=True)["positions_2d"].item()["S9"]["Walking"]
    assert [one.shape for one in stored] == [(3, 17, 1, 5)] * 4
    assert read(out)["metadata"]["keypoints_symmetry"] == SIDES
    given = read(first)["positions_2d"]["S9"]["Walking"][2]
    np.testing.assert_allclose(stored[2][..., 0, 0], 1.0)
    np.testing.assert_allclose(stored[2][..., 0, 1:3], given[:3] + 3.0, atol=1e-3)
    np.testing.assert_allclose(stored[2][..., 0, 3:], 3.0, atol=1e-3)


def test_the_command_reads_heat_maps(tmp_path: Path):
    maps = torch.stack([blob(48, 64, 20 + k, 20, 2, 2) for k in range(17)])[None].numpy()
    affine = np.array([[[2.0, 0, 1], [0, 2, 0]]])
    stored: dict[str, Any] = {"S1/Eating/0": maps, "S1/Eating/0/image_from_map": affine}
    np.savez(tmp_path / "m.npz", **stored)
    out = tmp_path / "gmm.npz"
    arguments = ["labels", "uncertainty", str(tmp_path / "m.npz"), "--skeleton", "h36m_17", "--out", str(out)]
    assert main(arguments) == 0
    (found,) = read(out)["positions_2d"]["S1"]["Eating"]
    np.testing.assert_allclose(found[0, :, 0, 1], 41.0 + 2 * np.arange(17), atol=0.05)
    np.testing.assert_allclose(found[0, :, 0, 3:], 4.0, rtol=0.04)
    maps[0, 3] = 0
    np.savez(tmp_path / "m.npz", **stored)
    assert main(arguments) == 2


def test_files_that_do_not_fit_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    first = detections(tmp_path / "a.npz", 0.0)
    assert main(["labels", "uncertainty", str(first), "--out", str(tmp_path / "o.npz")]) == 2
    assert "name two or more" in capsys.readouterr().err
    np.savez(tmp_path / "m.npz", Eating=np.zeros((1, len(H36M_17), 8, 8)))
    out = ["--out", str(tmp_path / "o.npz")]
    assert main(["labels", "uncertainty", str(tmp_path / "m.npz"), "--skeleton", "h36m_17", *out]) == 2
    assert "SUBJECT/ACTION/CAMERA" in capsys.readouterr().err
    assert not (tmp_path / "o.npz").exists()
