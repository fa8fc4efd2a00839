"""Errors of lifted poses and calibration of hypotheses: by hand, by SciPy, and by drawing what is calibrated."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from dispose.metrics.lifting import (
    AUC_MM,
    NOT_IN_PCK,
    about_root,
    action_average,
    aligned,
    calibration,
    correct_poses_score,
    energy_score,
    expected_calibration_error,
    frame_average,
    independent_noise,
    known_lengths,
    least_squares_scale,
    over_hypotheses,
    pck,
    radial_quantile,
    rank_correlation,
    residual_bootstrap,
    scaled_mpjpe,
    spread_and_error,
    spread_error_correlation,
    symmetry_error,
    velocity_error,
    within_interval,
    without_joints,
    worst_joint,
)
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.skeletons.catalog import COCO_17, H36M_17, HUMANEVA_15


def rows(*values: list[float]) -> Tensor:
    """Joints along x, mm."""
    return torch.tensor([[[x, 0.0, 0.0] for x in some] for some in values], dtype=torch.float64)


def drawn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


ALL = torch.ones(1, 2, dtype=torch.bool)


def test_the_root_is_the_mean_of_its_joints() -> None:
    assert about_root(rows([1.0, 5.0, 9.0]), [0, 1])[0, :, 0].tolist() == [-2.0, 2.0, 6.0]


def test_frames_and_actions_are_averaged_differently() -> None:
    errors = torch.tensor([10.0, 20.0, 30.0, 80.0, math.nan])
    assert frame_average(errors).item() == pytest.approx(35.0)
    assert action_average(errors, ["Walk", "Walk", "Walk", "Sit", "Sit"]).item() == pytest.approx(50.0)


def test_scales_by_hand() -> None:
    predicted, truth = rows([1.0, 2.0]), rows([2.0, 6.0])
    assert least_squares_scale(predicted, truth).item() == pytest.approx(14 / 5)
    assert scaled_mpjpe(predicted, truth, ALL).item() == pytest.approx((0.8 + 0.4) / 2)


def test_a_joint_that_is_not_known_changes_no_scale() -> None:
    known = torch.tensor([[True, True, False]])
    far = scaled_mpjpe(rows([1.0, 2.0, 900.0]), rows([2.0, 6.0, 0.0]), known)
    assert far.item() == pytest.approx(scaled_mpjpe(rows([1.0, 2.0]), rows([2.0, 6.0]), ALL).item())


def test_alignment_is_that_of_pa_mpjpe(generator: torch.Generator) -> None:
    predicted, truth = drawn(generator, 4, 17, 3), drawn(generator, 4, 17, 3)
    known = torch.rand(4, 17, generator=generator) > 0.2
    after = mpjpe(aligned(predicted, truth, known), truth, known)
    torch.testing.assert_close(after, pa_mpjpe(predicted, truth, known))
    assert (after < mpjpe(predicted, truth, known)).all()


def test_correct_keypoints_by_hand() -> None:
    truth, predicted = rows([0.0, 0.0, 0.0, 0.0]), rows([149.0, 150.0, 151.0, 0.0])
    known = torch.tensor([[True, True, True, False]])
    assert pck(predicted, truth, known).item() == pytest.approx(2 / 3)
    one = torch.tensor([[False, True, False, False]])
    assert len(AUC_MM) == 31
    assert pck(predicted, truth, one, AUC_MM).item() == pytest.approx(1 / 31)
    assert pck(rows([62.0]), rows([0.0]), ALL[:, :1], AUC_MM).item() == pytest.approx(18 / 31)
    assert pck(predicted, truth, torch.zeros_like(known)).isnan().all()


def test_a_pose_is_correct_when_its_worst_joint_is() -> None:
    known = torch.tensor([[True, True, False]])
    assert worst_joint(rows([3.0, 50.5, 999.0]), rows([0.0, 0.0, 0.0]), known).item() == pytest.approx(50.5)
    # Correct from 51 mm on: 250 thresholds, the first step of the trapezoids a half.
    assert correct_poses_score(torch.tensor([50.5])).item() == pytest.approx(249.5)
    assert correct_poses_score(torch.tensor([0.0])).item() == pytest.approx(299.0)
    assert correct_poses_score(torch.tensor([0.0, 900.0])).item() == pytest.approx(149.5)
    assert correct_poses_score(torch.tensor([1.0])).item() == pytest.approx(298.5)


def test_joints_are_left_out_by_name() -> None:
    kept = without_joints(torch.ones(17, dtype=torch.bool), H36M_17.joints, NOT_IN_PCK)
    assert kept.sum().item() == 14
    assert not kept[H36M_17.index("spine")]


def test_hypotheses_are_summed_up() -> None:
    found = over_hypotheses(torch.tensor([[4.0, 1.0, 2.0, 9.0]]))
    assert (found.best.item(), found.mean.item(), found.median.item(), found.worst.item()) == (1.0, 4.0, 3.0, 9.0)


@pytest.mark.parametrize(("skeleton", "pairs"), [(H36M_17, 5), (COCO_17, 4), (HUMANEVA_15, 5)])
def test_symmetry_is_the_mean_difference_of_named_bones(skeleton, pairs: int, generator: torch.Generator) -> None:
    xyz = drawn(generator, 1, len(skeleton), 3)
    mirrored = xyz * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    for joint, other in enumerate(skeleton.mirror):
        xyz[:, joint] = (xyz[:, joint] if joint <= other else mirrored[:, other]) * (1 if joint != other else 0)
    everything = torch.ones(1, len(skeleton), dtype=torch.bool)
    assert symmetry_error(xyz, everything, skeleton.joints).item() == pytest.approx(0.0, abs=1e-12)
    wrist, elbow = skeleton.index("l_wrist"), skeleton.index("l_elbow")
    forearm = xyz[:, wrist] - xyz[:, elbow]
    xyz[:, wrist] += forearm / forearm.norm() * 7.0
    assert symmetry_error(xyz, everything, skeleton.joints).item() == pytest.approx(7.0 / pairs)
    known = everything.clone()
    known[:, wrist] = False
    assert symmetry_error(xyz, known, skeleton.joints).item() == pytest.approx(0.0, abs=1e-12)


def test_velocity_stops_at_the_end_of_a_clip() -> None:
    truth = torch.zeros(4, 1, 3)
    predicted = torch.tensor([0.0, 3.0, 100.0, 101.0])[:, None, None] * torch.tensor([0.0, 0.6, 0.8])
    known = torch.ones(4, 1, dtype=torch.bool)
    clip = torch.tensor([5, 5, 2, 2])
    assert velocity_error(predicted, truth, known, clip).item() == pytest.approx(2.0, abs=1e-4)
    known[0] = False
    assert velocity_error(predicted, truth, known, clip).item() == pytest.approx(1.0, abs=1e-4)


def test_the_quantile_counts_what_is_nearer_to_the_median() -> None:
    cloud = torch.tensor([-10.0, -1.0, 0.0, 2.0, 10.0])[None, :, None, None] * torch.tensor([1.0, 0.0, 0.0])
    assert radial_quantile(cloud, torch.tensor([[[1.5, 0.0, 0.0]]])).item() == pytest.approx(2 / 5)
    assert radial_quantile(cloud, torch.tensor([[[0.0, 2.0, 0.0]]])).item() == pytest.approx(2 / 5)
    assert radial_quantile(cloud, torch.tensor([[[0.0, 99.0, 0.0]]])).item() == 1.0


def test_calibration_error_by_hand() -> None:
    assert expected_calibration_error(torch.zeros(7)).item() == pytest.approx(0.5)
    assert expected_calibration_error(torch.ones(7)).item() == pytest.approx(0.5)
    assert expected_calibration_error(torch.linspace(0, 1, 21)[1:]).item() == pytest.approx(0.0, abs=1e-6)
    assert expected_calibration_error(torch.tensor([0.5])).item() == pytest.approx(5 / 19)


@pytest.mark.parametrize("count", [9, 19])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_few_draws_make_an_interval_of_the_right_share(count: int, share: float, generator: torch.Generator) -> None:
    truth, cloud = drawn(generator, 8000, 1, 3), drawn(generator, 8000, count, 1, 3)
    found = within_interval(cloud, truth, share).double().mean().item()
    assert found == pytest.approx(min(share, (count - 1) / (count + 1)), abs=0.01)


def test_what_is_drawn_like_the_truth_is_calibrated_and_what_is_not_is_not(generator: torch.Generator) -> None:
    axes = torch.tensor([30.0, 40.0, 90.0], dtype=torch.float64)
    truth, cloud = drawn(generator, 4000, 2, 3) * axes, drawn(generator, 4000, 60, 2, 3) * axes
    known = torch.ones(4000, 2, dtype=torch.bool)
    known[:100] = False
    truth[:100] = 1e6
    good = calibration(cloud, truth, known)
    assert good.error < 0.02
    torch.testing.assert_close(good.axes.mean((1, 2)), torch.tensor([0.5, 0.9]).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(good.radial.mean(1), torch.tensor([0.5, 0.9]).double(), atol=0.03, rtol=0)
    sure = calibration(cloud * 0.5, truth, known)
    assert sure.error > 0.2
    assert (sure.axes[1] < 0.65).all()
    one_axis = calibration(cloud * torch.tensor([1.0, 1.0, 3.0]), truth, known)
    assert (one_axis.axes[0, :, 2] > 0.8).all()
    torch.testing.assert_close(one_axis.axes[..., :2], good.axes[..., :2])


def test_an_interval_ends_where_one_more_draw_would_fall_with_its_share() -> None:
    cloud = torch.arange(1.0, 20.0)[None, :, None, None].expand(1, 19, 1, 3)
    for value, inside in ((4.9, False), (5.0, True), (15.0, True), (15.1, False)):
        assert within_interval(cloud, torch.full((1, 1, 3), value), 0.5).all().item() is inside
    for value, inside in ((0.9, False), (1.0, True), (19.0, True), (19.1, False)):
        assert within_interval(cloud, torch.full((1, 1, 3), value), 0.9).any().item() is inside


def test_the_energy_score_by_hand_and_without_bias(generator: torch.Generator) -> None:
    cloud = torch.tensor([0.0, 4.0, 4.0])[None, :, None, None] * torch.tensor([0.6, 0.8, 0.0])
    # Mean distance 8/3; the pairs are 4, 4 and 0 apart, each counted twice.
    assert energy_score(cloud, torch.zeros(1, 1, 3)).item() == pytest.approx(8 / 3 - 16 / 12)
    assert energy_score(cloud[:, 1:2], torch.zeros(1, 1, 3)).item() == pytest.approx(4.0)
    truth = drawn(generator, 6000, 1, 3)
    few, many = (energy_score(drawn(generator, 6000, n, 1, 3), truth).mean().item() for n in (2, 40))
    assert few == pytest.approx(many, abs=0.03)
    for wrong in (0.6, 1.6):
        assert energy_score(wrong * drawn(generator, 6000, 40, 1, 3), truth).mean().item() > many + 0.02


def test_rank_correlation_is_scipys(generator: torch.Generator) -> None:
    one = torch.randint(0, 8, (50,), generator=generator).double()
    other = one + 3 * drawn(generator, 50)
    expected = spearmanr(one.numpy(), other.numpy())[0]
    assert rank_correlation(one, other).item() == pytest.approx(expected)
    assert rank_correlation(one, other.exp()).item() == pytest.approx(expected)
    assert rank_correlation(one, torch.ones(50)).item() == 0.0


def test_spread_that_tells_the_error_correlates_and_the_controls_do_not(generator: torch.Generator) -> None:
    doubt = torch.rand(800, 1, 2, 1, generator=generator, dtype=torch.float64) * 90 + 10
    truth = torch.zeros(800, 2, 3, dtype=torch.float64)
    answer = (doubt * drawn(generator, 800, 1, 2, 3))[:, 0]
    known = torch.ones(800, 2, dtype=torch.bool)
    knowing = answer[:, None] + doubt * drawn(generator, 800, 30, 2, 3)
    assert spread_error_correlation(knowing, truth, known).min() > 0.4
    blind = residual_bootstrap(answer, truth - answer, 30, generator)
    assert spread_error_correlation(blind, truth, known).abs().max() < 0.12


def test_the_bootstrap_draws_whole_poses(generator: torch.Generator) -> None:
    answer, residuals = drawn(generator, 3, 2, 3), drawn(generator, 5, 2, 3)
    state = generator.get_state()
    found = residual_bootstrap(answer, residuals, 40, generator) - answer[:, None]
    distance = (found[:, :, None] - residuals).abs().amax((-1, -2))
    assert distance.amin(-1).max() < 1e-12
    assert len(distance.argmin(-1).unique()) == 5
    assert (distance[0].argmin(-1) != distance[1].argmin(-1)).any()
    generator.set_state(state)
    torch.testing.assert_close(residual_bootstrap(answer, residuals, 40, generator) - answer[:, None], found)


def test_spread_is_the_root_mean_square_about_the_mean(generator: torch.Generator) -> None:
    cloud, truth = drawn(generator, 4, 9, 2, 3), drawn(generator, 4, 2, 3)
    spread, error = spread_and_error(cloud, truth)
    mean = cloud.numpy().mean(1)
    expected = np.sqrt(((cloud.numpy() - mean[:, None]) ** 2).sum(-1).mean(1))
    np.testing.assert_allclose(spread.numpy(), expected)
    np.testing.assert_allclose(error.numpy(), np.sqrt(((mean - truth.numpy()) ** 2).sum(-1)))


def test_known_lengths_go_everywhere_as_far_as_the_truth(generator: torch.Generator) -> None:
    answer, truth = drawn(generator, 3, 2, 3), drawn(generator, 3, 2, 3)
    off = known_lengths(answer, truth, 5000, generator) - answer[:, None]
    length = (truth - answer).norm(dim=-1)
    torch.testing.assert_close(off.norm(dim=-1), length[:, None].expand(3, 5000, 2))
    assert (off.mean(1).norm(dim=-1) < 0.05 * length).all()


def test_noise_has_the_deviation_of_its_coordinate(generator: torch.Generator) -> None:
    deviation = torch.tensor([[[1.0, 5.0, 20.0], [0.0, 2.0, 9.0]]], dtype=torch.float64)
    found = independent_noise(torch.full((2, 2, 3), 7.0).double(), deviation, 4000, generator)
    torch.testing.assert_close(found.std(1), deviation.expand(2, 2, 3), rtol=0.06, atol=1e-9)
    assert found[0, :, 0, 1].corrcoef() == 1.0
    assert torch.corrcoef(torch.stack([found[0, :, 0, 1], found[1, :, 0, 1]]))[0, 1].abs() < 0.06
