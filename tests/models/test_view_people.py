"""What networks for one image are told, and that answers come back into the camera's axes."""

import math

import torch

from dispose.models.lifting.residual import ResidualConfig, ResidualLifter
from dispose.models.lifting.told import EVIDENCE, evidence_of, told
from dispose.models.lifting.view import SMALLEST_SIZE, confidence_of, view_people
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17

JOINTS = ("l_hip", "r_hip", "nose")


def camera(roll: float = 0.0) -> Cameras:
    """A camera at height 1 m that looks along the world's +Y, rolled about its axis."""
    level = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    cos, sin = math.cos(roll), math.sin(roll)
    rotation = torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64) @ level
    matrix = torch.tensor([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]], dtype=torch.float64)
    lens = torch.tensor([-0.2, 0.1, 0.001, 0.0, 0, 0, 0, 0], dtype=torch.float64)
    shift = -rotation @ torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64)
    size = torch.tensor([640.0, 480.0], dtype=torch.float64)
    return Cameras(("a",), *(value[None, None] for value in (size, matrix, lens, rotation, shift)))


PLACES = torch.tensor([[[900.0, 4000, 1000], [700, 4100, 1020], [850, 3900, 1700]]], dtype=torch.float64)


def seen_by(cameras: Cameras, seen: list[bool] | None = None, **options: bool):
    xy, _ = cameras.project(PLACES)
    known = torch.tensor([seen or [True] * 3])
    return view_people(JOINTS, cameras, xy[:, 0], known.double(), known, torch.full((1, 3), 4.0), **options)


def test_keypoints_are_told_in_axes_that_look_at_the_person():
    cameras = camera()
    people = seen_by(cameras)
    xyz = cameras.to_camera(PLACES)[:, 0] @ people.rotation.mT
    plane = xyz[..., :2] / xyz[..., 2:]
    assert torch.allclose(people.uv.double() * people.size[:, None, None].double(), plane, atol=1e-6)
    rays = xyz / xyz.norm(dim=-1, keepdim=True)
    assert torch.allclose(rays.mean(1)[:, :2], torch.zeros(1, 2, dtype=torch.float64), atol=1e-9)
    extent = plane.square().sum(-1).mean(1).sqrt()
    assert torch.allclose(people.size.double(), extent, atol=1e-7)
    assert torch.allclose(people.sigma, (4.0 / (800 * extent)).float()[:, None].expand(1, 3), rtol=1e-6)


def test_up_is_that_of_the_world_and_unknown_where_the_camera_is_not_placed():
    people = seen_by(camera(roll=0.4))
    up = people.to_camera(people.up[:, None])[0, 0].double()
    assert torch.allclose(camera(roll=0.4).rotation[0, 0].mT @ up, torch.tensor([0.0, 0, 1]).double(), atol=1e-6)
    assert not seen_by(camera(), upright=False).up.any()


def test_unseen_keypoints_tell_nothing():
    people = seen_by(camera(), [True, True, False])
    other = seen_by(camera())
    for name in ("uv", "sigma", "confidence"):
        assert not vars(people)[name][0, 2].any(), name
    assert not torch.allclose(people.uv[0, 0], other.uv[0, 0])
    nobody = seen_by(camera(), [False] * 3)
    assert torch.isfinite(nobody.uv).all() and float(nobody.size) == torch.tensor(SMALLEST_SIZE)


def test_answers_return_to_the_camera():
    people = seen_by(camera())
    xyz = torch.randn(1, 5, 3, 3)
    assert torch.allclose(people.from_camera(people.to_camera(xyz)), xyz, atol=1e-5)
    middle = torch.tensor([[[0.0, 0.0, 1.0]]])
    ray = cameras_ray(people.to_camera(middle)[0, 0])
    expected = camera().to_camera(PLACES)[0, 0]
    expected = (expected / expected.norm(dim=-1, keepdim=True)).mean(0)
    assert torch.allclose(ray.double(), expected / expected.norm(), atol=1e-6)


def cameras_ray(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm()


def test_a_mirror_is_what_a_mirrored_camera_sees():
    people, swap = seen_by(camera()), [1, 0, 2]
    mirrored = people.mirror(swap)
    assert torch.allclose(mirrored.uv[0, 0], people.uv[0, 1] * torch.tensor([-1.0, 1.0]))
    assert torch.allclose(mirrored.up, people.up * torch.tensor([-1.0, 1, 1]))
    assert mirrored.joints == people.joints
    flip = torch.tensor([-1.0, 1.0, 1.0])
    xyz = torch.randn(1, 4, 3)
    assert torch.allclose(mirrored.to_camera(xyz * flip), people.to_camera(xyz) * flip, atol=1e-6)
    assert float(torch.linalg.det(mirrored.rotation)) > 0


def test_the_residual_network_reads_all_that_is_told():
    network = ResidualLifter(ResidualConfig(joints=JOINTS, width=16, blocks=1))
    people = seen_by(camera())
    assert network(people).shape == (1, 3, 3)
    assert told(people).shape[1] == 5 * 3 + 4
    for name in ("uv", "sigma", "confidence", "up"):
        value = vars(people)[name].clone()
        changed = type(people)(**{**vars(people), name: value + 0.1})
        assert not torch.allclose(network(changed), network(people)), name
    assert sum(p.numel() for p in ResidualLifter(ResidualConfig(joints=COCO_17.joints)).parameters()) < 1_000_000


def test_an_unseen_keypoint_that_is_no_number_spoils_nothing():
    cameras = camera()
    xy, _ = cameras.project(PLACES)
    wild = xy[:, 0].clone()
    wild[0, 2] = torch.nan
    known, noise = torch.tensor([[True, True, False]]), torch.full((1, 3), 4.0)
    people = view_people(JOINTS, cameras, wild, known.double(), known, noise)
    other = view_people(JOINTS, cameras, xy[:, 0], known.double(), known, noise)
    assert torch.equal(people.uv, other.uv) and torch.equal(people.rotation, other.rotation)
    assert torch.isfinite(people.sigma).all()


def test_the_virtual_camera_keeps_the_cameras_up():
    """+Y of the virtual image points down as in the camera's: a head above hips has a smaller v."""
    people = seen_by(camera())
    assert people.uv[0, 2, 1] < people.uv[0, :2, 1].min() - 1
    # Left of the image stays left.
    assert (people.uv[0, 0, 0] > people.uv[0, 1, 0]) == (PLACES[0, 0, 0] > PLACES[0, 1, 0])


def test_a_score_falls_with_the_noise_in_shares_of_the_width():
    told = confidence_of(torch.tensor([0.0, 10.0, 80.0]), torch.tensor([640.0]))
    torch.testing.assert_close(told, torch.tensor([1.0, math.exp(-0.125), math.exp(-1.0)]))


def test_pixels_that_are_not_square_count_by_their_mean_focal_length():
    wide, plain = camera(), camera()
    wide.matrix[..., 0, 0] = 1200.0
    people = seen_by(wide)
    torch.testing.assert_close(people.sigma, (4.0 / (1000 * people.size))[:, None].expand(1, 3))
    assert not torch.allclose(people.sigma, seen_by(plain).sigma)


def test_up_is_mirrored_with_the_people():
    people = seen_by(camera(roll=0.4))
    assert float(people.up[0, 0].abs()) > 0.1
    torch.testing.assert_close(people.mirror([1, 0, 2]).up, people.up * torch.tensor([-1.0, 1.0, 1.0]))


def test_what_is_told_of_a_joint_is_its_doubt_and_what_its_person_is_like():
    people = seen_by(camera(roll=0.4), [True, True, False])
    found = evidence_of(people)
    assert found.shape == (1, 3, EVIDENCE)
    person = torch.cat([people.size.log(), people.up[0]])
    for joint in range(3):
        own = torch.stack([10 * people.sigma[0, joint], people.confidence[0, joint], people.seen[0, joint].float()])
        torch.testing.assert_close(found[0, joint], torch.cat([own, person]))
