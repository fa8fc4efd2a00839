"""Laws of synthetic bodies: bones keep their length, joints their limits, feet the floor."""

import math

import pytest
import torch

from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.people import (
    ARM_LIMITS,
    LEG_LIMITS,
    TRUNK_LIMITS,
    Angles,
    PeopleConfig,
    forward_kinematics,
    place_people,
    sample_angles,
    sample_bodies,
    sample_people,
)
from dispose_synthetic.placement import CLOSEST_MM, sample_floor, sample_furniture
from dispose_synthetic.randomness import Noise, choose

CONFIG = PeopleConfig()


def _source(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def _length(xyz: torch.Tensor, a: str, b: str) -> torch.Tensor:
    return (xyz[..., COCO_17.index(a), :] - xyz[..., COCO_17.index(b), :]).norm(dim=-1)


@pytest.mark.parametrize(
    ("ends", "share"),
    [
        (("shoulder", "elbow"), (0.14, 0.22)),
        (("elbow", "wrist"), (0.12, 0.19)),
        (("hip", "knee"), (0.19, 0.29)),
        (("knee", "ankle"), (0.19, 0.29)),
    ],
)
def test_limbs_have_one_length_in_all_postures_and_a_human_one(ends, share) -> None:
    source = _source()
    bodies = sample_bodies(source, 1, 50)
    xyz = torch.stack([forward_kinematics(bodies, sample_angles(source, 1, 50, CONFIG)) for _ in range(8)])
    for side in ("l_", "r_"):
        length = _length(xyz, side + ends[0], side + ends[1])
        torch.testing.assert_close(length, length[:1].expand_as(length), atol=0.05, rtol=0)
        relative = length[0] / bodies.stature
        assert (relative > share[0]).all() and (relative < share[1]).all()


def test_left_and_right_are_mirror_images() -> None:
    source = _source(1)
    bodies, angles = sample_bodies(source, 1, 30), sample_angles(source, 1, 30, CONFIG)
    trunk = angles.trunk * torch.tensor([1.0, -1, 1, -1, -1, 1, -1, -1])
    swapped = Angles(trunk, angles.arms.flip(-2), angles.legs.flip(-2))
    mirrored = forward_kinematics(bodies, swapped)[..., COCO_17.mirror, :] * torch.tensor([1.0, -1, 1])
    torch.testing.assert_close(mirrored, forward_kinematics(bodies, angles), atol=0.05, rtol=0)


def test_upright_body_is_as_tall_as_it_says_and_looks_ahead() -> None:
    bodies = sample_bodies(_source(2), 1, 200)
    zero = Angles(torch.zeros(1, 200, 8), torch.zeros(1, 200, 2, 5), torch.zeros(1, 200, 2, 4))
    xyz = forward_kinematics(bodies, zero)
    ears = xyz[..., COCO_17.indices(("l_ear", "r_ear")), 2].mean(-1) - xyz[..., 15:17, 2].mean(-1) + bodies.ankle_height
    assert ((ears / bodies.stature > 0.86) & (ears / bodies.stature < 1.02)).all()
    nose, left = xyz[..., 0, :], xyz[..., COCO_17.index("l_wrist"), :]
    assert (nose[..., 0] > xyz[..., 3:5, 0].amax(-1)).all()
    assert (left[..., 1] > xyz[..., COCO_17.index("r_wrist"), 1]).all()


def test_joint_angles_stay_within_their_limits() -> None:
    angles = sample_angles(_source(3), 40, 20, PeopleConfig(angle_noise_deg=30.0))
    for part, limits in ((angles.trunk, TRUNK_LIMITS), (angles.arms, ARM_LIMITS), (angles.legs, LEG_LIMITS)):
        low, high = torch.tensor(limits, dtype=torch.float32).mul(math.pi / 180).unbind(-1)
        assert (part >= low - 1e-6).all() and (part <= high + 1e-6).all()


def test_a_bent_elbow_brings_the_hand_forward_and_a_bent_knee_the_foot_back() -> None:
    bodies = sample_bodies(_source(4), 1, 1)
    arms, legs = torch.zeros(1, 1, 2, 5), torch.zeros(1, 1, 2, 4)
    arms[..., 3], legs[..., 3] = 1.0, 1.0
    xyz = forward_kinematics(bodies, Angles(torch.zeros(1, 1, 8), arms, legs))[0, 0]
    assert (xyz[9:11, 0] > xyz[7:9, 0] + 50).all()
    assert (xyz[15:17, 0] < xyz[13:15, 0] - 50).all()


def test_nothing_lies_below_the_floor_and_somebody_touches_it() -> None:
    people = sample_people(_source(5), 60, 20, CONFIG)
    lowest = people.xyz_body[..., 2].amin(-1)
    assert (lowest > 15.0).all()
    assert (lowest < 130.0).float().mean() > 0.99


def test_placing_people_moves_them_rigidly() -> None:
    people = sample_people(_source(6), 4, 5, CONFIG).xyz_body
    floor, facing = torch.randn(4, 5, 2) * 1000, torch.rand(4, 5) * 6
    placed = place_people(people, floor, facing)
    torch.testing.assert_close(placed[..., 2], people[..., 2])
    torch.testing.assert_close(torch.cdist(placed, placed), torch.cdist(people, people), atol=0.5, rtol=1e-4)


def test_people_stand_apart_and_outside_the_furniture() -> None:
    source = _source(7)
    present = torch.ones(50, 6, dtype=torch.bool)
    room, cameras = torch.full((50,), 2500.0), torch.full((50, 1, 3), 9000.0)
    nothing = sample_furniture(source, room, torch.zeros(50))
    empty, _ = sample_floor(source, present, room, torch.full((50,), 0.2), nothing, cameras)
    gap = torch.cdist(empty, empty) + 1e4 * torch.eye(6)
    assert (gap.amin((1, 2)) > 0.8 * CLOSEST_MM).float().mean() > 0.95
    things = sample_furniture(source, room, torch.ones(50))
    floor, _ = sample_floor(source, present, room, torch.full((50,), 0.8), things, cameras)
    table = ((floor > things.low[:, :1, :2]) & (floor < things.high[:, :1, :2])).all(-1) & things.present[:, :1]
    assert table.float().mean() < 0.03


def test_choose_follows_its_weights_also_when_draws_are_correlated() -> None:
    weights = torch.tensor([1.0, 2.0, 0.0, 5.0])
    for correlation in (0.0, 0.7):
        drawn = choose(Noise(torch.Generator().manual_seed(1), correlation), (50, 1000), weights)
        share = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
        torch.testing.assert_close(share, weights / 8, atol=0.015, rtol=0)


def test_correlated_noise_keeps_its_spread_and_its_correlation() -> None:
    draws = Noise(torch.Generator().manual_seed(2), 0.8).normal((60, 4000))
    torch.testing.assert_close(draws.std(1), torch.ones(60), atol=0.06, rtol=0)
    assert abs(float((draws[1:] * draws[:-1]).mean()) - 0.8) < 0.03
