"""Joints over time: against the dense solution of the same model, and what gaps and contradictions do."""

import pytest
import torch

from dispose.inference import smoothing
from dispose.inference.smoothing import AT_FIRST_MM_PER_S, LASTING, TRUNK, smooth_joints, sway

EYE = torch.eye(3, dtype=torch.float64)


def dense(place: torch.Tensor, variance: float, seconds: torch.Tensor, density: float) -> torch.Tensor:
    """Places of one joint along one axis by the inverse of one large matrix: all frames' states at once."""
    frames = len(place)
    # State k is (place, speed); the first one's prior, then every motion, then every observation, as weighted rows.
    rows, right = [], []

    def add(columns: list[tuple[int, float]], value: float, weight: float) -> None:
        row = torch.zeros(2 * frames, dtype=torch.float64)
        for column, factor in columns:
            row[column] += factor
        rows.append(row * weight)
        right.append(value * weight)

    add([(0, 1.0)], float(place[0]), 1 / 1e3)
    add([(1, 1.0)], 0.0, 1 / AT_FIRST_MM_PER_S)
    for k in range(1, frames):
        dt = float(seconds[k] - seconds[k - 1])
        drift = density * torch.tensor([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]], dtype=torch.float64)
        white = torch.linalg.inv(torch.linalg.cholesky(drift))
        goes_on = (([(2 * k, 1.0), (2 * k - 2, -1.0), (2 * k - 1, -dt)]), ([(2 * k + 1, 1.0), (2 * k - 1, -1.0)]))
        for i in range(2):
            add([(c, float(white[i, j]) * f) for j in range(2) for c, f in goes_on[j]], 0.0, 1.0)
    for k in range(frames):
        add([(2 * k, 1.0)], float(place[k]), variance**-0.5)
    matrix, value = torch.stack(rows), torch.tensor(right, dtype=torch.float64)
    return torch.linalg.lstsq(matrix, value[:, None]).solution[::2, 0]


def test_places_are_those_of_all_frames_at_once():
    generator = torch.Generator().manual_seed(2)
    seconds = torch.tensor([0.0, 0.04, 0.08, 0.2, 0.24])
    xyz = 10 * torch.randn(5, 1, 3, generator=generator, dtype=torch.float64)
    found = smooth_joints(
        xyz, 900 * EYE.expand(5, 1, 3, 3), torch.ones(5, 1, dtype=torch.bool), seconds, sway(("neck",))
    )
    for axis in range(3):
        wanted = dense(xyz[:, 0, axis], (1 - LASTING) * 900, seconds, TRUNK**2)
        assert found.xyz_world[:, 0, axis].tolist() == pytest.approx(wanted.tolist(), abs=1e-6)


def walk(frames: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Somebody's wrist on its way, and the times."""
    seconds = torch.arange(frames, dtype=torch.float64) / 30
    truth = torch.stack([1200 * seconds, 300 * (4 * seconds).sin(), 100 * seconds], -1)[:, None]
    return truth, seconds


def test_frames_together_are_better_than_alone():
    truth, seconds = walk()
    noise = 30 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    known = torch.ones(60, 1, dtype=torch.bool)
    found = smooth_joints(truth + noise, 900 * EYE.expand(60, 1, 3, 3), known, seconds, sway(("l_wrist",)))
    error = (found.xyz_world - truth).norm(dim=-1)
    assert float(error.mean()) < 0.6 * float(noise.norm(dim=-1).mean())
    sigma = torch.diagonal(found.covariance, dim1=-2, dim2=-1).sqrt()
    assert float(sigma.min()) > (LASTING * 900) ** 0.5 and float(sigma.max()) < 30


def test_a_gap_is_bridged_and_admitted():
    truth, seconds = walk()
    known = torch.ones(60, 1, dtype=torch.bool)
    known[25:35] = False
    found = smooth_joints(
        torch.where(known[..., None], truth, torch.nan),
        100 * EYE.expand(60, 1, 3, 3),
        known,
        seconds,
        sway(("l_wrist",)),
    )
    assert float((found.xyz_world - truth).norm(dim=-1).max()) < 60
    sigma = torch.diagonal(found.covariance, dim1=-2, dim2=-1).sum(-1).sqrt()[:, 0]
    assert float(sigma[30]) > 2.5 * float(sigma[10])


def test_a_frame_that_contradicts_its_neighbours_counts_less(monkeypatch):
    truth, seconds = walk()
    wrong = truth.clone()
    wrong[30] += 800.0
    known, covariance = torch.ones(60, 1, dtype=torch.bool), 400 * EYE.expand(60, 1, 3, 3)
    density = sway(("l_wrist",))
    doubting = smooth_joints(wrong, covariance, known, seconds, density)
    monkeypatch.setattr(smoothing, "DEGREES_OF_FREEDOM", 1e9)
    trusting = smooth_joints(wrong, covariance, known, seconds, density)
    off, trusted = ((one.xyz_world - truth)[30].norm() for one in (doubting, trusting))
    assert float(off) < 0.3 * float(trusted)


def test_a_tilted_covariance_is_used_as_such():
    truth, seconds = walk(20)
    along = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64) / 2**0.5
    covariance = 100 * EYE + 1e6 * along[:, None] * along
    noise = 500 * torch.randn(20, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * along
    known = torch.ones(20, 1, dtype=torch.bool)
    found = smooth_joints(truth + noise, covariance.expand(20, 1, 3, 3), known, seconds, sway(("l_wrist",)))
    across = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64) / 2**0.5
    assert float(((found.xyz_world - truth) @ across).abs().max()) < 15


def test_hands_are_more_restless_than_heads():
    density = sway(("l_wrist", "r_big_toe", "l_knee", "head"))
    assert density.tolist() == [1300.0**2, 1900.0**2, 1100.0**2, 700.0**2]
