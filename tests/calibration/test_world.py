"""Where a rig is in the world, how large it is and how it stands: what is asked for, and nothing else."""

import math

import pytest
import torch

from dispose.errors import InputError
from dispose.geometry.rigid import Similarity, rodrigues
from dispose.inference.calibration.world import (
    CameraDistance,
    carry_cameras,
    factor_by_distance,
    factor_by_height,
    level,
    onto_rig,
    scaling,
)
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose.skeletons.skeleton import Skeleton
from tests.calibration.walkers import people_at, ring


def moved(scale: float = 1.3) -> Similarity:
    turn = rodrigues(torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64))
    return Similarity(torch.tensor(scale, dtype=torch.float64), turn, torch.tensor([500.0, -80, 220]).double())


def walked() -> torch.Tensor:
    return torch.cat([people_at(0.7 * k) for k in range(12)])


@pytest.mark.parametrize("views", [2, 3, 5])
def test_a_moved_rig_is_brought_back_whatever_the_number_of_cameras(views: int) -> None:
    rig = ring(views)
    away = carry_cameras(rig, moved())
    xyz = people_at(0.0)
    torch.testing.assert_close(away.project(moved().apply(xyz))[0], rig.project(xyz)[0])
    back = carry_cameras(away, onto_rig(away, rig))
    torch.testing.assert_close(back.rotation, rig.rotation)
    torch.testing.assert_close(back.translation, rig.translation)


def test_size_by_a_distance_and_by_height() -> None:
    rig = ring()
    factor = factor_by_distance(rig, CameraDistance("cam_02", "cam_05", 4321.0))
    middle = rig.centres.mean(0)
    larger = carry_cameras(rig, scaling(factor, middle))
    assert float((larger.centres[1] - larger.centres[4]).norm()) == pytest.approx(4321)
    torch.testing.assert_close(larger.centres.mean(0), middle)
    torch.testing.assert_close(larger.rotation, rig.rotation)
    # Twice the height, twice the size; an adult of usual height is about as large as they are.
    people = walked()
    one = factor_by_height(people, COCO_17, 1700.0)
    assert factor_by_height(people / 1000, COCO_17, 1700.0) == pytest.approx(1000 * one)
    assert factor_by_height(people, COCO_17, 3400.0) == pytest.approx(2 * one) and one == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("name", "other", "words"), [("cam_01", "x", "names the camera x"), ("a", "a", "camera a"),
                                                      ("cam_01", "cam_01", "twice")])  # fmt: skip
def test_a_distance_of_cameras_that_are_not_there(name: str, other: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        factor_by_distance(ring(), CameraDistance(name, other, 3.0))
    with pytest.raises(InputError, match="no arm, leg or trunk"):
        factor_by_height(walked() * math.nan, COCO_17, 1700.0)


def test_the_floor_is_levelled_whatever_the_world_is(generator: torch.Generator) -> None:
    people = walked()
    people = people + 10 * torch.randn(people.shape, generator=generator, dtype=torch.float64)
    # Every fourth person has a foot in the air, and one in nine is misplaced.
    people[::4, COCO_17.index("l_ankle"), 2] += 350
    people[::9, COCO_17.index("r_ankle"), 2] -= 300
    for turn in ([0.1, -0.06, 0.0], [-math.pi / 2, 0.0, 0.0], [math.pi - 1e-3, 0.0, 0.0]):
        shift = torch.full((3,), 700.0, dtype=torch.float64)
        tilt = Similarity(torch.tensor(1.0).double(), rodrigues(torch.tensor(turn).double()), shift)
        flat = level(tilt.apply(people), COCO_17)
        together = flat.motion.rotation @ tilt.rotation
        assert math.degrees(math.acos(float(together[2, 2]))) < 0.7
        feet = flat.motion.apply(tilt.apply(walked()))[:, COCO_17.indices(("l_ankle", "r_ankle")), 2]
        assert float(feet.median()) == pytest.approx(90, abs=12)
        assert flat.tilt_deg == pytest.approx(math.degrees(float(torch.tensor(turn).norm())), abs=0.7)


def test_no_floor_without_feet_all_over_it() -> None:
    people = walked()
    with pytest.raises(InputError, match="needs 20 people with both feet"):
        level(people[:12], COCO_17)
    with pytest.raises(InputError, match="lie in a strip"):
        level(people_at(0.0)[:1].repeat(30, 1, 1), COCO_17)
    with pytest.raises(InputError, match="the skeleton hands has none"):
        level(people[:, :2], Skeleton("hands", ("l_wrist", "r_wrist"), ()))


def test_what_is_carried_is_a_rig() -> None:
    cameras: Cameras = carry_cameras(ring(), moved(0.4))
    eye = torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    torch.testing.assert_close(cameras.rotation @ cameras.rotation.mT, eye)
    torch.testing.assert_close(cameras.centres, moved(0.4).apply(ring().centres))
