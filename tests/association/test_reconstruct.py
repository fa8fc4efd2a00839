"""Skeletons of groups: exact on exact rays, silent where rays disagree, the same in any order of cameras."""

from dataclasses import replace

import pytest
import torch

from dispose.association.reconstruct import reconstruct_frame
from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association
from dispose.skeletons.catalog import COCO_17

SEEN_ONCE, UNSEEN, TORN = COCO_17.index("l_ear"), COCO_17.index("r_ear"), COCO_17.index("r_wrist")


def corner_cameras() -> Cameras:
    """Four cameras on the axes, 5 m away, level and looking at the middle."""
    rotations = []
    for k in range(4):
        turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64).matrix_power(k)
        first = torch.tensor([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]], dtype=torch.float64)
        rotations.append(first @ turn.mT)
    matrix = torch.tensor([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]], dtype=torch.float64)
    return Cameras(
        ("a", "b", "c", "d"),
        torch.full((4, 2), 1000.0, dtype=torch.float64),
        matrix.repeat(4, 1, 1),
        torch.zeros(4, 8, dtype=torch.float64),
        torch.stack(rotations),
        torch.tensor([[0.0, 0.0, 5000.0]], dtype=torch.float64).repeat(4, 1),
    )


def observed(generator: torch.Generator, *, noise_px: float = 0.0) -> tuple[Frame, torch.Tensor]:
    """One person in four views; three joints are troubled."""
    cameras = corner_cameras()
    scale = torch.tensor([300.0, 300.0, 500.0], dtype=torch.float64)
    xyz = (torch.rand(17, 3, generator=generator, dtype=torch.float64) - 0.5) * scale
    xy, front = cameras.project(xyz)
    assert front.all()
    xy = xy + noise_px * torch.randn(xy.shape, generator=generator, dtype=torch.float64)
    score = torch.full((4, 17, 1), 0.9, dtype=torch.float64)
    score[1:, SEEN_ONCE] = 0.0
    score[:, UNSEEN] = 0.0
    score[2:, TORN] = 0.0
    xy[1, TORN, 1] += 400.0
    keypoints = torch.cat([xy, score], -1)
    return Frame(7, cameras, Detections.from_lists(COCO_17, [[keypoints[v]] for v in range(4)])), xyz


def everybody(views: int = 4) -> Association:
    return Association(torch.zeros(1, views, dtype=torch.long), torch.ones(1, dtype=torch.float64))


def test_exact_rays_meet_where_the_joint_is(generator: torch.Generator) -> None:
    frame, xyz = observed(generator)
    prediction = reconstruct_frame(frame, everybody())
    sound = [j for j in range(17) if j not in (SEEN_ONCE, UNSEEN, TORN)]
    torch.testing.assert_close(prediction.poses.xyz_world[0, sound], xyz[sound], rtol=0, atol=1e-5)
    hips = COCO_17.indices(("l_hip", "r_hip"))
    torch.testing.assert_close(prediction.root[0], xyz[hips].mean(0), rtol=0, atol=1e-5)
    assert prediction.number == 7


def test_joints_without_two_agreeing_views_are_not_valid(generator: torch.Generator) -> None:
    poses = reconstruct_frame(observed(generator)[0], everybody()).poses
    assert (~poses.valid[0]).nonzero()[:, 0].tolist() == sorted((SEEN_ONCE, UNSEEN, TORN))
    assert (poses.xyz_world[~poses.valid] == 0).all() and (poses.confidence[~poses.valid] == 0).all()


def test_confidence_falls_with_noise_and_with_views(generator: torch.Generator) -> None:
    state = generator.get_state()
    clean = reconstruct_frame(observed(generator)[0], everybody()).poses.confidence.sum()
    generator.set_state(state)
    frame, _ = observed(generator, noise_px=8.0)
    noisy = reconstruct_frame(frame, everybody()).poses
    assert noisy.confidence.sum() < clean
    assert ((noisy.confidence >= 0) & (noisy.confidence <= 1)).all()
    generator.set_state(state)
    two = Association(torch.tensor([[0, 0, -1, -1]]), torch.ones(1, dtype=torch.float64))
    assert reconstruct_frame(observed(generator)[0], two).poses.confidence.sum() < clean


def test_order_of_cameras_does_not_matter(generator: torch.Generator) -> None:
    frame, _ = observed(generator, noise_px=5.0)
    forth, back = (
        reconstruct_frame(frame, everybody()),
        reconstruct_frame(frame.select(views=[2, 0, 3, 1]), everybody()),
    )
    assert torch.equal(forth.poses.valid, back.poses.valid)
    torch.testing.assert_close(forth.poses.xyz_world, back.poses.xyz_world, rtol=0, atol=1e-6)
    torch.testing.assert_close(forth.poses.confidence, back.poses.confidence)


def test_no_groups_no_detections_and_a_wrong_number_of_views(generator: torch.Generator) -> None:
    frame, _ = observed(generator)
    nobody = Association(torch.zeros(0, 4, dtype=torch.long), torch.zeros(0, dtype=torch.float64))
    assert reconstruct_frame(frame, nobody).poses.xyz_world.shape == (0, 17, 3)
    empty = replace(frame, detections=Detections.from_lists(COCO_17, [[], [], [], []]))
    assert len(reconstruct_frame(empty, nobody).root) == 0
    with pytest.raises(ShapeError, match="frame 7: 4 views, 3"):
        reconstruct_frame(frame, everybody(3))
    legless = replace(frame.detections, visible=frame.detections.visible & (torch.arange(17) < 11))
    assert reconstruct_frame(replace(frame, detections=legless), everybody()).root.isnan().all()
