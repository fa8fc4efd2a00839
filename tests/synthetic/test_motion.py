"""Bodies in motion: forward kinematics, sizes, and where the joints of skeletons lie on them."""

import pytest
import torch

from dispose.datasets.cmu_motion import Motion, read_motion
from dispose.errors import InputError
from dispose.geometry.rigid import rodrigues, rotation_vector
from dispose.models.rays.body_axes import JOINT_NAMES
from dispose_synthetic.motion import (
    AS_CAPTURED,
    LANDMARKS,
    Variety,
    landmarks,
    part_of_joints,
    resize,
    sample_definitions,
    sample_moving_people,
    tree_places,
    vary,
)
from dispose_synthetic.randomness import Noise
from tests.synthetic.motions import small_motion

NAMES = list(LANDMARKS)


def noise(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def test_a_turned_thigh_takes_the_leg_along():
    motion = small_motion(2)
    knee = motion.joints.index("l_knee")
    rotations = torch.zeros(2, len(motion.joints), 3)
    # A quarter turn about the left-right axis: what hung down now points backward (-X), by the right-hand rule.
    rotations[1, knee, 1] = torch.pi / 2
    places, frames = tree_places(motion, motion.offsets[motion.skeleton], rotations, motion.root)
    rest, turned = places[:, motion.joints.index("l_ankle")] - places[:, motion.joints.index("l_hip")]
    assert rest.tolist() == pytest.approx([0.0, 0.0, -800.0], abs=1e-3)
    assert turned.tolist() == pytest.approx([-800.0, 0.0, 0.0], abs=1e-3)
    assert torch.allclose(frames[1, knee] @ torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)


def test_landmarks_lie_where_the_table_says():
    motion = small_motion(1)
    places, frames = tree_places(motion, motion.offsets[motion.skeleton], motion.rotations, motion.root)
    xyz = landmarks(motion, places, frames)[0]
    at = dict(zip(NAMES, xyz, strict=True))
    skull = places[0, motion.joints.index("skull_base")]
    assert (at["nose"] - skull).tolist() == pytest.approx([115.0, 0.0, 60.0], abs=1e-3)
    assert (at["l_ear"] - at["r_ear"]).tolist() == pytest.approx([0.0, 150.0, 0.0], abs=1e-3)
    assert torch.allclose(at["mid_hip"], (at["l_hip"] + at["r_hip"]) / 2)
    assert float(at["l_big_toe"][1] - at["l_ankle"][1]) < 0 < float(at["l_small_toe"][1] - at["l_ankle"][1])


def test_every_landmark_is_known_to_the_network_and_the_other_way_round():
    assert set(NAMES) == set(JOINT_NAMES)


def test_both_sides_of_a_body_are_equally_long():
    motion = small_motion(1)
    offsets = resize(noise(), motion, torch.zeros(64, dtype=torch.long))
    length = offsets.norm(dim=-1)
    left = [column for column, name in enumerate(motion.joints) if name.startswith("l_")]
    right = [motion.joints.index("r_" + motion.joints[column][2:]) for column in left]
    assert torch.allclose(length[:, left], length[:, right])
    knee = length[:, motion.joints.index("l_knee")] / 400.0
    assert 0.05 < float(knee.std()) < 0.2 and float(knee.max()) > 1.1


def test_children_are_among_them_and_smaller():
    motion = small_motion(1)
    rest = motion.offsets[0].norm(dim=-1).sum()
    size = resize(noise(), motion, torch.zeros(4000, dtype=torch.long)).norm(dim=-1).sum(1) / rest
    assert float((size < 0.8).double().mean()) == pytest.approx(0.1, abs=0.03)
    assert 0.4 < float(size.min()) < 0.6


def test_definitions_mirror_each_other_and_differ_between_people():
    shift = sample_definitions(noise(), 500)
    left, right = shift[:, NAMES.index("l_hip")], shift[:, NAMES.index("r_hip")]
    assert torch.allclose(left * torch.tensor([1.0, -1.0, 1.0]), right)
    assert float(left.std()) > 1.5 * float(shift[:, NAMES.index("l_wrist")].std())


def test_people_stand_on_the_floor_above_the_origin():
    xyz = sample_moving_people(noise(), small_motion(3), 40)
    assert xyz.shape == (40, len(NAMES), 3)
    assert xyz[..., 2].amin(1).tolist() == pytest.approx([0.0] * 40, abs=1e-3)
    assert float(xyz[:, NAMES.index("mid_hip"), :2].abs().max()) < 1e-3


def test_the_table_gives_back_its_own_joints(shared_data):
    import numpy as np

    folder = shared_data / "cmu_motion"
    motion = read_motion(folder)
    places, _ = tree_places(motion, motion.offsets[motion.skeleton], motion.rotations, motion.root)
    stored = torch.from_numpy(np.load(folder / "poses.npz")["kpts"])
    assert float((places[:, motion.joints.index("l_wrist")] - stored[:, 13, :3]).norm(dim=-1).max()) < 0.5
    assert isinstance(motion, Motion)


def test_a_missing_folder_and_a_foreign_description_are_named(tmp_path):
    with pytest.raises(InputError, match=r"holds neither meta\.json with poses\.npz nor any \.asf"):
        read_motion(tmp_path)
    (tmp_path / "meta.json").write_text('{"tree": {"rest_offsets_mm": {}}}')
    with pytest.raises(InputError, match=r"meta\.json: does not describe trees and clips"):
        read_motion(tmp_path)


def test_bodies_are_resized_or_those_that_were_captured(monkeypatch):
    monkeypatch.setattr("dispose_synthetic.motion.DEFINITION_MM", 0.0)
    motion, names = small_motion(40), list(LANDMARKS)
    forearms = []
    for variety in (AS_CAPTURED, Variety(exchanged=0.0, turned_deg=0.0, tipped=0.0), None):
        xyz = sample_moving_people(Noise(torch.Generator().manual_seed(3)), motion, 60, variety)
        forearms.append((xyz[:, names.index("l_wrist")] - xyz[:, names.index("l_elbow")]).norm(dim=-1))
    own = motion.offsets[:, motion.joints.index("l_wrist")].norm(dim=-1)
    assert float((forearms[0][:, None] - own).abs().amin(1).max()) < 0.01
    assert all(float(one.std()) > 10 for one in forearms[1:])


def test_postures_vary_limb_by_limb():
    motion = small_motion(40)
    source = Noise(torch.Generator().manual_seed(3))
    frame = torch.full((300,), 7)
    as_captured = rotation_vector(rodrigues(motion.rotations[frame]))
    same = vary(source, motion, frame, Variety(exchanged=0.0, turned_deg=0.0, tipped=0.0))
    assert torch.allclose(same, as_captured, atol=1e-5)
    part = part_of_joints(motion)
    assert [motion.joints[j] for j in (part == 1).nonzero()[:, 0]] == ["l_shoulder", "l_elbow", "l_wrist"]
    mixed = vary(source, motion, frame, Variety(exchanged=1.0, turned_deg=0.0, tipped=0.0))
    # Every bone of a limb turns with every instant by the same: what it was at tells whose limb this is.
    first = (mixed[:, part == 1] - mixed[:, part == 1][:, :1]).norm(dim=-1)
    assert float(first.max()) < 1e-4
    arms, legs = mixed[:, motion.joints.index("l_elbow")], mixed[:, motion.joints.index("r_knee")]
    assert float((arms - legs).norm(dim=-1).max()) > 0.1
    turned = vary(source, motion, frame, Variety(exchanged=0.0, turned_deg=10.0, tipped=0.0))
    angle = rotation_vector(rodrigues(turned) @ rodrigues(as_captured).mT).norm(dim=-1)
    assert 4.0 < float(torch.rad2deg(angle).mean()) < 13.0
    tipped = vary(source, motion, frame, Variety(exchanged=0.0, turned_deg=0.0, tipped=1.0))
    tip = rotation_vector(rodrigues(tipped[:, 0]) @ rodrigues(as_captured[:, 0]).mT).norm(dim=-1)
    assert float(tip.min()) > 0.29 and float(tip.max()) < 1.81
    assert torch.allclose(tipped[:, 1:], as_captured[:, 1:], atol=1e-5)
