"""The view that does not exist: who is detected in it, where its camera stands, what it has to say of its lens."""

from dataclasses import replace

import torch

from dispose.inference.expected import with_expected
from dispose.scene.frame import Frame


def extended(walk, xyz: torch.Tensor, valid: torch.Tensor) -> Frame:
    return with_expected(Frame(0, walk.rig(), walk.detections_at(0)), xyz, valid, "expected")


def test_of_whom_four_joints_are_known_is_expected_and_of_whom_three_are_is_not(walk) -> None:
    xyz, known = walk.people_at(0), torch.zeros(2, 17, dtype=torch.bool)
    known[0, :3] = known[1, :4] = True
    frame = extended(walk, xyz, known)
    seen = frame.detections.select(views=[4])
    assert seen.valid.sum() == 1 and frame.cameras.names[4] == "expected"
    assert torch.equal(seen.visible[0, 0], known[1])
    torch.testing.assert_close(seen.xy_image[0, 0, :4], frame.cameras.project(xyz[1, :4])[0][4])
    assert seen.confidence[0, 0].unique().tolist() == [0.0, 0.9]
    assert len(extended(walk, xyz[:1], known[:1]).cameras) == 4


def test_its_camera_stands_four_metres_beside_the_known_joints_and_a_little_above(walk) -> None:
    """Joints that are not known lie anywhere; the middle of the others is in the middle of the image."""
    xyz, known = walk.people_at(0).clone(), torch.ones(2, 17, dtype=torch.bool)
    known[:, 9:] = False
    xyz[:, 9:] = 1e5
    middle, cameras = xyz[:, :9].flatten(0, 1).mean(0), extended(walk, xyz, known).cameras
    away = cameras.centres[4] - middle
    torch.testing.assert_close(away[:2].norm(), torch.tensor(4000.0, dtype=torch.float64))
    torch.testing.assert_close(away[2], torch.tensor(600.0, dtype=torch.float64))
    torch.testing.assert_close(cameras.project(middle[None])[0][4, 0], torch.full((2,), 999.5, dtype=torch.float64))


def test_it_joins_a_rig_of_which_some_lenses_are_fisheyes(walk) -> None:
    fisheye = torch.tensor([True, False, False, True])
    frame = Frame(0, replace(walk.rig(), fisheye=fisheye), walk.detections_at(0))
    cameras = with_expected(frame, walk.people_at(0), torch.ones(2, 17, dtype=torch.bool), "expected").cameras
    assert cameras.fisheye is not None and cameras.fisheye.tolist() == [True, False, False, True, False]
