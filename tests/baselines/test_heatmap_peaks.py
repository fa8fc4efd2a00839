"""Exact peaks give exact people; false, missing and shared peaks, few views and nobody do what they must."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.association.imputation import STANDING, impute_joints
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.heatmap_peaks import MAP_GATES, PeakGates, joint_confidence, people_from_peaks
from dispose.baselines.integer_programme import integer_programme
from dispose.errors import ShapeError
from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.scene.peaks import JointPeaks, root_frame
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.tensors import ABSENT

PLACES = ((0.0, 0.0), (1100.0, 300.0), (-700.0, 900.0), (200.0, -1300.0))
ROOT = PANOPTIC_15.index("mid_hip")


def ring(views: int) -> Cameras:
    """Cameras on a circle at about 2.5 m height that look at the middle."""
    angle = 2 * math.pi * (torch.arange(views, dtype=torch.float64) + 0.3) / max(views, 1)
    height = 2300.0 + 150.0 * torch.arange(views, dtype=torch.float64)
    centre = torch.stack([4500 * angle.cos(), 4500 * angle.sin(), height], 1)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(views, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    matrix = torch.tensor([[850.0, 0, 640], [0, 850, 480], [0, 0, 1]], dtype=torch.float64)
    names = tuple(f"c{k}" for k in range(views))
    size = torch.tensor([[1280.0, 960.0]], dtype=torch.float64)
    distortion = torch.zeros(views, 8, dtype=torch.float64)
    return Cameras(names, size.repeat(views, 1), matrix.repeat(views, 1, 1), distortion, rotation, translation)


def people(count: int) -> Poses:
    """Standing people who face different ways."""
    standing = torch.tensor(STANDING.xyz, dtype=torch.float64)
    rows = []
    for person, (x, y) in enumerate(PLACES[:count]):
        cos, sin = math.cos(1.3 * person), math.sin(1.3 * person)
        turn = torch.tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
        rows.append(standing @ turn + torch.tensor([x, y, 900.0 + 30 * person], dtype=torch.float64))
    xyz = torch.stack(rows) if rows else torch.zeros(0, 15, 3, dtype=torch.float64)
    valid = torch.ones(len(rows), 15, dtype=torch.bool)
    return Poses(PANOPTIC_15, xyz, valid.double(), valid, torch.arange(len(rows)))


def peaks_of(cameras: Cameras, poses: Poses, *, false: int = 0, seed: int = 0) -> JointPeaks:
    """Exact peaks of all joints, in another order in every view, and false ones of lower score."""
    generator = torch.Generator().manual_seed(seed)
    xy, _ = cameras.project(poses.xyz_world)
    views, persons = xy.shape[:2]
    score = torch.full((views, persons, 15), 0.9, dtype=torch.float64)
    nowhere = torch.rand(views, false, 15, 2, generator=generator, dtype=torch.float64) * cameras.size[:, None, None]
    xy = torch.cat([xy, nowhere], 1)
    score = torch.cat([score, torch.full((views, false, 15), 0.3, dtype=torch.float64)], 1)
    order = torch.stack([torch.randperm(persons + false, generator=generator) for _ in range(views)])
    rows = torch.arange(views)[:, None]
    xy, score = xy[rows, order].transpose(1, 2), score[rows, order].transpose(1, 2)
    spacing = torch.full((views,), 8.0, dtype=torch.float64)
    return JointPeaks(PANOPTIC_15, xy, score, torch.ones_like(score, dtype=torch.bool), spacing)


def without(peaks: JointPeaks, missing: Tensor) -> JointPeaks:
    """The peaks without some."""
    return JointPeaks(peaks.skeleton, peaks.xy_image, peaks.score, peaks.valid & ~missing, peaks.spacing_px)


def farthest_mm(poses: Poses, truth: Poses) -> float:
    """Largest error of a joint, every true person compared with the nearest prediction."""
    gap = torch.linalg.vector_norm(poses.xyz_world[:, None] - truth.xyz_world[None], dim=-1)
    gap = torch.where(poses.valid[:, None], gap, 0.0)
    return float(
        gap.amin(0).max() if gap.shape[0] == 0 else gap[gap.mean(-1).argmin(0), torch.arange(gap.shape[1])].max()
    )


ASSOCIATORS = (partial(integer_programme, gate_mm=60.0), partial(greedy_agglomerative, gate_mm=60.0))


def found_in(
    cameras: Cameras, peaks: JointPeaks, associate, *, gates: PeakGates = MAP_GATES, number: int = 0
) -> Prediction:
    """Who is who by a classic associator, then everybody's joints."""
    association = associate(root_frame(number, cameras, peaks))
    return people_from_peaks(cameras, peaks, association, gates=gates, number=number)


@pytest.mark.parametrize("associate", ASSOCIATORS, ids=("programme", "greedy"))
@pytest.mark.parametrize("views", [3, 5, 7])
def test_exact_peaks_give_exact_people(associate, views: int):
    cameras, truth = ring(views), people(4)
    found = found_in(cameras, peaks_of(cameras, truth), associate, number=7)
    assert found.number == 7 and len(found.association) == 4
    assert found.poses.valid.all()
    assert farthest_mm(found.poses, truth) < 1e-4
    assert (found.association.confidence > 0.5).all()


def test_false_peaks_change_nothing_about_people():
    cameras, truth = ring(5), people(3)
    found = found_in(cameras, peaks_of(cameras, truth, false=2), ASSOCIATORS[0])
    best = found.association.confidence.argsort(descending=True)[:3]
    assert farthest_mm(found.poses[best], truth) < 1e-4
    rest = found.association.confidence.sort(descending=True).values[3:]
    assert (rest < 0.3).all(), "what has no joints is nobody"


def test_members_are_slots_of_the_root_peaks():
    cameras, truth = ring(4), people(3)
    peaks = peaks_of(cameras, truth, seed=3)
    found = found_in(cameras, peaks, ASSOCIATORS[0])
    xy, _ = cameras.project(found.root)
    for person, members in enumerate(found.association.members):
        for view, slot in enumerate(members.tolist()):
            assert torch.allclose(peaks.xy_image[view, ROOT, slot], xy[view, person], atol=1e-6)


def test_joints_seen_by_one_view_are_not_valid_until_completed():
    cameras, truth = ring(3), people(1)
    peaks = peaks_of(cameras, truth)
    missing = torch.zeros_like(peaks.valid)
    wrist, knee = PANOPTIC_15.index("l_wrist"), PANOPTIC_15.index("r_knee")
    missing[1:, wrist] = True
    missing[:, knee] = True
    peaks = without(peaks, missing)
    found = found_in(cameras, peaks, ASSOCIATORS[0])
    assert (~found.poses.valid).nonzero().tolist() == [[0, wrist], [0, knee]]
    assert found.poses.confidence[0, wrist] == 0
    whole = impute_joints(found, cameras, peaks)
    assert whole.poses.valid.all()
    error = torch.linalg.vector_norm(whole.poses.xyz_world - truth.xyz_world, dim=-1)[0]
    # The person is the standing one, turned: limbs are where a standing person has them, the ray's joint exactly.
    assert error[wrist] < 1e-3 and error[knee] < 60 and error[[0, 1, 2]].max() < 1e-4
    known = found.poses.valid
    assert torch.equal(whole.poses.xyz_world[known], found.poses.xyz_world[known])


def test_no_peak_serves_two_people():
    cameras, truth = ring(4), people(2)
    peaks = peaks_of(cameras, people(1))
    members = torch.zeros(2, 4, dtype=torch.long)
    association = Association(members, torch.ones(2, dtype=torch.float64))
    root = truth.xyz_world[[0, 0], ROOT] + torch.tensor([[0.0, 0, 0], [40.0, 0, 0]], dtype=torch.float64)
    found = people_from_peaks(cameras, peaks, association, root)
    assert found.poses.valid.sum(1).tolist() == [15, 1], "the better one has the joints, the other the given root"


def test_crowded_people_keep_their_own_joints():
    cameras, truth = ring(5), people(2)
    shift = torch.tensor([[0.0, 0, 0], [-700.0, 0.0, 0]], dtype=torch.float64)
    close = Poses(PANOPTIC_15, truth.xyz_world + shift[:, None], truth.confidence, truth.valid, truth.id)
    found = found_in(cameras, peaks_of(cameras, close), partial(integer_programme, gate_mm=20.0))
    assert farthest_mm(found.poses, close) < 1e-4


@pytest.mark.parametrize("views", [1, 2])
def test_few_views(views: int):
    cameras, truth = ring(views), people(1)
    found = found_in(cameras, peaks_of(cameras, truth), ASSOCIATORS[0])
    assert len(found.association) == views - 1
    assert farthest_mm(found.poses, truth) < 1e-4 if views == 2 else found.poses.valid.shape == (0, 15)


@pytest.mark.parametrize("persons", [0, 1])
def test_nobody(persons: int):
    cameras = ring(4)
    peaks = peaks_of(cameras, people(persons))
    peaks = without(peaks, torch.ones_like(peaks.valid))
    found = found_in(cameras, peaks, ASSOCIATORS[0])
    assert len(found.association) == 0 and found.association.members.shape == (0, 4)
    assert impute_joints(found, cameras, peaks).poses.xyz_world.shape == (0, 15, 3)


def test_wrong_sizes_and_skeletons_are_refused():
    cameras, truth = ring(3), people(1)
    peaks = peaks_of(cameras, truth)
    with pytest.raises(ShapeError, match="2 cameras, 3 views"):
        people_from_peaks(ring(2), peaks, Association(torch.zeros(0, 2).long(), torch.zeros(0).double()))
    with pytest.raises(ShapeError, match="15 joints in the peaks, 17"):
        JointPeaks(COCO_17, peaks.xy_image, peaks.score, peaks.valid, peaks.spacing_px)
    with pytest.raises(ShapeError, match="2 roots"):
        people_from_peaks(
            cameras, peaks, Association(torch.zeros(1, 3).long(), torch.ones(1).double()), torch.zeros(2, 3).double()
        )


def test_root_detections_are_the_root_peaks():
    cameras, truth = ring(3), people(2)
    peaks = peaks_of(cameras, truth)
    found = root_frame(0, cameras, peaks).detections
    assert torch.equal(found.valid, peaks.valid[:, ROOT])
    assert found.visible.sum(-1).eq(1).all()
    assert torch.equal(found.xy_image[:, :, ROOT], peaks.xy_image[:, ROOT])
    assert (found.index != ABSENT).all()


def test_gates_are_relative_to_the_heat_map_pixel():
    """Peaks that are off by more than the gate are not seen; a coarser map admits them."""
    cameras, truth = ring(4), people(1)
    exact = peaks_of(cameras, truth)
    moved = exact.xy_image.clone()
    moved[0, 5] += 30.0
    for spacing, agree in ((8.0, 3), (24.0, 4)):
        peaks = JointPeaks(PANOPTIC_15, moved, exact.score, exact.valid, torch.full((4,), spacing, dtype=torch.float64))
        found = found_in(cameras, peaks, ASSOCIATORS[0], gates=PeakGates(joint=2.0))
        confidence = float(found.poses.confidence[0, 5])
        assert (confidence <= 0.9 * agree / (agree + 1) + 1e-9) and found.poses.valid[0, 5]
        if agree == 3:
            assert torch.linalg.vector_norm(found.poses.xyz_world[0, 5] - truth.xyz_world[0, 5]) < 1e-3


def test_confidence_of_a_joint_is_score_times_views_times_agreement() -> None:
    """Of two views that agree, scores 0.9 and 0.7, errors 1 and 1 bounds: 0.8 · 2/3 · e^(-1/2); others do not count."""
    inlier = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    error = torch.tensor([[1.0, 1.0, 7.0], [0, 0, 0], [torch.nan, torch.inf, 3.0]], dtype=torch.float64)
    score = torch.tensor([[0.9, 0.7, 0.1], [1, 1, 1], [1, 1, 1]], dtype=torch.float64)
    expected = torch.tensor([0.8 * 2 / 3 * math.exp(-0.5), 3 / 4, 0], dtype=torch.float64)
    assert_close(joint_confidence(inlier, error, score), expected)
    uneven = torch.tensor([[2.0, 0.0, 7.0]], dtype=torch.float64)
    assert_close(joint_confidence(inlier[:1], uneven, score[:1]), expected[:1] * math.exp(0.5 - 1.0))
