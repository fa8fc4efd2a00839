"""The released pruning of candidates equals the released fixture and a full enumeration."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.released.candidates import (
    RootPoints,
    midpoint,
    released_candidates,
    released_cue,
    reprojection_error,
)
from dispose.scene.cameras import Cameras
from dispose.tensors import ABSENT

FIXTURE = Path(__file__).parents[2].parent / "shared" / "data" / "released_weights" / "fixture.npz"


def ring(views: int) -> Cameras:
    """Cameras on a circle of 4 m looking at its centre."""
    angle = torch.arange(views, dtype=torch.float64) / views * 2 * torch.pi
    forward = -torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1)
    down = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64).expand(views, 3)
    rotation = torch.stack([torch.linalg.cross(down, forward), down, forward], 1)
    matrix = torch.tensor([[800.0, 0, 640], [0, 800, 360], [0, 0, 1]], dtype=torch.float64).expand(views, 3, 3)
    distortion = torch.tensor([0.05, -0.02, 1e-3, -5e-4, 0, 0, 0, 0], dtype=torch.float64).expand(views, 8)
    centre = -4000.0 * forward
    translation = -(rotation @ centre[..., None])[..., 0]
    size = torch.tensor([1280.0, 720.0], dtype=torch.float64).expand(views, 2)
    return Cameras(tuple(f"c{v}" for v in range(views)), size, matrix, distortion, rotation, translation)


def roots(seed: int, views: int, people: int, noise_px: float = 20.0) -> RootPoints:
    random = torch.Generator().manual_seed(seed)
    xyz = (torch.rand(people, 3, generator=random, dtype=torch.float64) - 0.5) * 1500.0
    cameras = ring(views)
    xy, _ = cameras.project(xyz)
    xy = xy + noise_px * torch.randn(xy.shape, generator=random, dtype=torch.float64)
    score = 0.3 + 0.7 * torch.rand(views, people, generator=random, dtype=torch.float64)
    return RootPoints(cameras, xy, score, torch.rand(views, people, generator=random) < 0.9)


def released_sample(sample: int) -> tuple[RootPoints, torch.Tensor, torch.Tensor]:
    """Roots of a fixture sample, with its tuples and cues."""
    arrays = np.load(FIXTURE)
    vector = torch.tensor(arrays["cameras"][sample]).double()
    radial, tangential = vector[:, 42:48], vector[:, 48:50]
    cameras = Cameras(
        tuple("abcd"),
        torch.tensor([[1920.0, 1080.0]] * 4, dtype=torch.float64),
        vector[:, 24:33].reshape(4, 3, 3),
        torch.cat([radial[:, :2], tangential, radial[:, 2:]], 1),
        vector[:, :9].reshape(4, 3, 3),
        vector[:, 18:21],
    )
    score = torch.tensor(arrays["score"][sample, ..., 0, 0]).double()
    points = RootPoints(cameras, torch.tensor(arrays["image"][sample, :, :, 0, :2]).double(), score, score > 0)
    rows = torch.tensor(arrays["edge_tuples"])
    rows, cue = rows[rows[:, 0] == sample, 1:], torch.tensor(arrays["z_cue"])[rows[:, 0] == sample]
    return points, torch.where(rows == score.shape[1], ABSENT, rows), cue


@pytest.mark.parametrize("sample", [0, 1])
def test_the_released_candidates_and_cues_are_reproduced(sample):
    if not FIXTURE.exists():
        pytest.skip("needs ../shared/data/released_weights/fixture.npz")
    points, members, cue = released_sample(sample)
    found = released_candidates(points)
    assert found.members.tolist() == members.tolist()  # the same tuples in the same order
    torch.testing.assert_close(found.cue, cue.double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("seed", "views", "people", "threshold_px"), [(0, 3, 3, 64.0), (1, 4, 2, 20.0), (2, 2, 5, 30.0)]
)
def test_the_released_set_is_that_of_the_full_enumeration(seed, views, people, threshold_px):
    points = roots(seed, views, people)
    found = {tuple(row) for row in released_candidates(points, threshold_px=threshold_px).members.tolist()}
    slots = range(points.valid.shape[1])
    options = [[ABSENT, *(s for s in slots if bool(points.valid[v, s]))] for v in range(views)]
    expected = set()
    for row in itertools.product(*options):
        chosen = [v for v in range(views) if row[v] != ABSENT]
        pairs = [
            torch.tensor([[row[w] if w in pair else ABSENT for w in range(views)]])
            for pair in itertools.combinations(chosen, 2)
        ]
        fits = all(float(reprojection_error(points, pair)) < threshold_px**2 * views**2 for pair in pairs)
        if chosen and fits and float(reprojection_error(points, torch.tensor([row]))) <= threshold_px**2:
            expected.add(row)
    assert found == expected


def test_the_midpoint_of_meeting_rays_is_where_they_meet():
    xyz = torch.tensor([[100.0, -300.0, 250.0], [-700.0, 20.0, 0.0]], dtype=torch.float64)
    cameras = ring(3)
    rays = xyz[:, None] - cameras.centres
    rays = rays / rays.norm(dim=-1, keepdim=True)
    weight = torch.tensor([[0.2, 0.9, 0.5], [1.0, 0.0, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(midpoint(cameras.centres, rays, weight), xyz, rtol=0, atol=0.01)


def test_exact_roots_have_no_error_and_a_full_cue():
    points = roots(3, 4, 2, noise_px=0.0)
    everyone = RootPoints(points.cameras, points.xy_image, points.score, torch.ones_like(points.valid))
    members = torch.tensor([[0, 0, 0, 0], [1, 1, ABSENT, 1], [0, ABSENT, ABSENT, ABSENT]])
    error = reprojection_error(everyone, members)
    assert float(error.max()) < 1e-3
    cue = released_cue(error, (members != ABSENT).sum(1), 4)
    torch.testing.assert_close(cue, torch.tensor([1.0, 1.0, 0.3], dtype=torch.float64), rtol=0, atol=1e-4)
