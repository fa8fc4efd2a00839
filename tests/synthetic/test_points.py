"""Laws of the detector of points: noise as wide as asked, as many points wrong as asked, nobody confused."""

from dataclasses import replace

import pytest
import torch

from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.points import PointNoise, detect_points


def crowd(persons: int) -> tuple[Frame, Labels]:
    centres = torch.tensor([[6000.0, 0, 1000], [0, 6000, 1500]], dtype=torch.float64)
    rotation, translation = look_at(centres, torch.zeros(2, 3).double(), centres.new_tensor([0.0, 0.0, 1.0]))
    matrix = centres.new_tensor([[1000, 0, 500], [0, 1000, 400], [0, 0, 1]]).expand(2, 3, 3)
    size = centres.new_tensor([[1000.0, 800.0]]).expand(2, 2)
    cameras = Cameras(("a", "b"), size, matrix, torch.zeros(2, 8).double(), rotation, translation)
    xyz = 500 * torch.randn(persons, 17, 3, generator=torch.Generator().manual_seed(1)).double()
    known = torch.ones(persons, 17, dtype=torch.bool)
    truth = Poses(COCO_17, xyz, known.double(), known, 5 + torch.arange(persons))
    frame = Frame(0, cameras, Detections.from_lists(COCO_17, [[], []]))
    return frame, Labels.of_detections(torch.zeros(2, 0, dtype=torch.long), truth)


def offsets(noise: PointNoise, persons: int = 400, seed: int = 0) -> torch.Tensor:
    frame, labels = crowd(persons)
    seen, _ = detect_points(frame, labels, noise, torch.Generator().manual_seed(seed))
    return seen.detections.xy_image - frame.cameras.project(labels.poses.xyz_world)[0]


def test_points_scatter_as_asked_in_x_and_y() -> None:
    found = offsets(PointNoise(3.0, 0.0)).flatten(0, 2)
    assert found.std(0).tolist() == pytest.approx([3.0, 3.0], rel=0.03)
    assert float(torch.corrcoef(found.T)[0, 1]) == pytest.approx(0.0, abs=0.03)


def test_a_share_of_the_points_is_displaced_instead() -> None:
    found = offsets(PointNoise(0.001, 0.1, 30.0))
    wrong = found.norm(dim=-1) > 0.1
    assert float(wrong.double().mean()) == pytest.approx(0.1, abs=0.01)
    assert found[wrong].std(0).tolist() == pytest.approx([30.0, 30.0], rel=0.05)
    # A point is wrong or not by itself: neither a person nor a view is wrong as a whole.
    assert float(wrong.all(-1).double().mean()) < 0.01


def test_everybody_is_told_apart_and_nothing_hints_at_wrong_points() -> None:
    frame, labels = crowd(3)
    seen, known = detect_points(frame, labels, PointNoise(), torch.Generator().manual_seed(0))
    assert known.identity.tolist() == [[5, 6, 7]] * 2
    assert (seen.detections.confidence == 1).all() and seen.detections.valid.all()
    assert torch.equal(known.poses.xyz_world, labels.poses.xyz_world)


def test_what_is_not_known_or_behind_the_camera_is_not_seen() -> None:
    frame, labels = crowd(2)
    xyz, valid = labels.poses.xyz_world.clone(), labels.poses.valid.clone()
    xyz[0] += frame.cameras.centres[0] * 2  # behind the first camera
    valid[1, 4] = False
    hidden = replace(labels, poses=replace(labels.poses, xyz_world=xyz, valid=valid))
    seen, known = detect_points(frame, hidden, PointNoise(), torch.Generator().manual_seed(0))
    assert known.identity.tolist() == [[ABSENT, 6], [5, 6]]
    assert not seen.detections.visible[:, 1, 4].any() and (seen.detections.xy_image[:, 1, 4] == 0).all()


def test_the_same_seed_gives_the_same_points() -> None:
    assert torch.equal(offsets(PointNoise(), 5), offsets(PointNoise(), 5))
    assert not torch.equal(offsets(PointNoise(), 5), offsets(PointNoise(), 5, seed=1))
