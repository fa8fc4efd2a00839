"""What the study must say: the best estimate is as good as predicted, and only the robust one survives a wrong view."""

import pytest
import torch

from dispose_benchmarks.studies.triangulation import (
    METHODS,
    all_seen,
    error_by_angle,
    error_by_noise,
    error_by_views,
    error_by_wrong_view,
    ring_of,
    two_cameras,
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_without_noise_every_method_is_exact(method) -> None:
    for cameras in (two_cameras(30.0), ring_of(5)):
        truth = torch.tensor([[300.0, -200.0, 150.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
        xy = cameras.project(truth)[0].movedim(0, 1)
        torch.testing.assert_close(method.solve(cameras, xy, all_seen(xy)), truth, atol=1e-6, rtol=0)


def test_the_angle_is_the_one_asked_for() -> None:
    first, second = two_cameras(40.0).rotation[:, 2]
    torch.testing.assert_close(first @ second, torch.deg2rad(torch.tensor(40.0, dtype=torch.float64)).cos())


def test_errors_are_as_predicted_and_fall_with_angle_and_views_and_rise_with_noise() -> None:
    by_angle = error_by_angle((4.0, 15.0, 90.0), 2.0, 2000, generator())
    by_views = error_by_views((2, 3, 6), 2.0, 2000, generator())
    by_noise = error_by_noise((1.0, 2.0, 4.0), 4, 2000, generator())
    for study in (by_angle, by_views, by_noise):
        assert study.methods[-1] == "robust"
        ratio = study.rms_mm[-1] / study.predicted_mm
        # Far beyond first order (4 degrees) the estimate may be a little off; elsewhere it is not.
        assert bool(((ratio > 0.93) & (ratio < 1.1)).all())
    assert bool((by_angle.rms_mm.diff(dim=1) < 0).all()) and bool((by_views.rms_mm.diff(dim=1) < 0).all())
    torch.testing.assert_close(by_noise.predicted_mm, by_noise.predicted_mm[0] * by_noise.at)


def test_only_the_robust_method_does_not_follow_a_view_that_is_wrong() -> None:
    study = error_by_wrong_view((0.0, 50.0, 200.0), 5, 2.0, 500, generator())
    followed = study.rms_mm[:, 2] / study.rms_mm[:, 0]
    assert float(followed[-1]) < 1.5 and float(followed[:-1].min()) > 5
    weighted, plain = study.methods.index("weighted DLT"), study.methods.index("DLT")
    assert float(study.rms_mm[weighted, 2]) < float(study.rms_mm[plain, 2]), "half as sure, followed less"
