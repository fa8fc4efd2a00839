"""Laws of synthetic rigs: proper cameras that look at people, and calibration errors of the size asked for."""

import pytest
import torch

from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import (
    ARCHETYPES,
    PERFECT_CALIBRATION,
    CalibrationError,
    miscalibrate,
    sample_rigs,
    sample_rooms,
)


def _source(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ARCHETYPES, ids=lambda kind: kind.name)
def test_cameras_are_proper_upright_and_see_the_middle_of_the_room(kind) -> None:
    for cameras in sample_rigs(torch.Generator().manual_seed(1), 10, kind.views[1], (kind,)):
        eye = torch.eye(3, dtype=torch.float64).expand(len(cameras), 3, 3)
        torch.testing.assert_close(cameras.rotation @ cameras.rotation.mT, eye, atol=1e-9, rtol=0)
        assert (torch.linalg.det(cameras.rotation) > 0).all()
        assert (cameras.rotation[:, 1, 2] < 0).all()  # the image's y axis points down
        height = cameras.centres[:, 2]
        assert (height >= kind.height[0] - 1).all() and (height <= kind.height[1] + 1).all()
        xy, front = cameras.project(torch.tensor([[0.0, 0.0, 1000.0]], dtype=torch.float64))
        assert front.all()
        assert cameras.inside(xy).double().mean() >= 0.5
        assert [list(map(int, size)) in [list(s) for s in kind.sizes] for size in cameras.size]


@pytest.mark.parametrize("kind", ARCHETYPES, ids=lambda kind: kind.name)
def test_lenses_can_be_undone_all_over_the_picture(kind) -> None:
    for cameras in sample_rigs(torch.Generator().manual_seed(2), 6, kind.views[1], (kind,)):
        grid = torch.cartesian_prod(torch.linspace(0, 1, 5), torch.linspace(0, 1, 5)).double()
        xy = grid * (cameras.size[:, None] - 1)
        ray = cameras.directions(xy)
        for v in range(len(cameras)):
            back, _ = cameras.project(cameras.centres[v] + 3000 * ray[v])
            torch.testing.assert_close(back[v], xy[v], atol=1.0, rtol=0)


def test_two_to_ten_cameras_of_many_kinds() -> None:
    for views in range(2, 11):
        rigs = sample_rooms(_source(views), 30, views)
        assert rigs.cameras.size.shape == (30, views, 2)
        assert len(rigs.cameras.size[:, 0].unique(dim=0)) > 1


def test_perfect_calibration_is_the_truth() -> None:
    rigs = sample_rooms(_source(3), 10, 4).cameras
    told = miscalibrate(_source(4), rigs, PERFECT_CALIBRATION)
    for name in ("matrix", "distortion", "rotation", "translation"):
        torch.testing.assert_close(getattr(told, name), getattr(rigs, name))


def test_calibration_errors_are_pixels_as_those_of_real_rigs() -> None:
    rigs = sample_rooms(_source(5), 200, 4).cameras
    told = miscalibrate(_source(6), rigs, CalibrationError(forgotten_distortion=0.0))
    middle = torch.tensor([[0.0, 0.0, 1000.0]], dtype=torch.float64)
    shift = []
    for frame in range(200):
        true, seen = rigs[frame], told[frame]
        difference = (true.project(middle)[0] - seen.project(middle)[0]).norm(dim=-1)
        shift.append((difference * 1000 / true.size[:, :1]).flatten())
    pixels = torch.cat(shift)
    assert 0.5 < float(pixels.median()) < 8.0
    assert float(pixels.quantile(0.95)) < 40.0
