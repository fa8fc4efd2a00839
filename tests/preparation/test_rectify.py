"""What is put right: views that contradict, sides, left-over detections, bones."""

from dataclasses import replace

import pytest
import torch

from dispose.association.packing import gather_groups
from dispose.association.reconstruct import robust
from dispose.formats.entry import Entry
from dispose.preparation.anatomy import Bones, UsualBone, bones_of_json, fit_bones, misfits
from dispose.preparation.rectify import Rectified, RectifyConfig, Repairs, rectify, with_fitting_bones
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Poses
from dispose.scene.results import Association
from dispose.tensors import ABSENT
from dispose_synthetic.scenes import SceneConfig, sample_scenes


@pytest.fixture(scope="module")
def scene() -> tuple[Cameras, Poses]:
    """Five cameras, two true people."""
    config = SceneConfig(views=(5, 5), persons=(2, 2), ghosts=0, chunk=4)
    frame, labels = sample_scenes(torch.Generator().manual_seed(12), 1, config)[0]
    return frame.cameras, labels.poses


def seen_exactly(cameras: Cameras, poses: Poses) -> tuple[Frame, Association]:
    """Everybody where they are, in every view; who is who."""
    xy, _ = cameras.project(poses.xyz_world.double())
    points = torch.cat([xy, torch.full_like(xy[..., :1], 0.9)], -1)
    found = Detections.from_lists(poses.skeleton, [list(people) for people in points])
    members = torch.arange(len(poses.id))[:, None].expand(-1, len(cameras)).contiguous()
    return Frame(0, cameras, found), Association(members, torch.ones(len(poses.id), dtype=torch.float64))


def moved(frame: Frame, view: int, slot: int, by: float) -> Frame:
    xy = frame.detections.xy_image.clone()
    xy[view, slot] += by
    return replace(frame, detections=replace(frame.detections, xy_image=xy))


def test_a_view_that_contradicts_is_taken_out_and_nothing_else(scene) -> None:
    frame, association = seen_exactly(*scene)
    done = rectify([moved(frame, 2, 0, 400.0)], [association], robust, RectifyConfig())
    assert done.repairs == Repairs(views_taken_out=1)
    assert done.associations[0].members[0].tolist() == [0, 0, ABSENT, 0, 0]
    assert done.associations[0].members[1].tolist() == [1] * 5
    torch.testing.assert_close(done.poses.xyz_world[0], scene[1].xyz_world[0].double(), atol=1.0, rtol=0)


def test_exchanged_sides_are_put_right(scene) -> None:
    frame, association = seen_exactly(*scene)
    mirror = torch.tensor(frame.detections.skeleton.mirror)
    xy = frame.detections.xy_image.clone()
    xy[3, 1] = xy[3, 1, mirror]
    crossed = replace(frame, detections=replace(frame.detections, xy_image=xy))
    done = rectify([crossed], [association], robust, RectifyConfig(contradicts=1e9))
    assert done.repairs == Repairs(sides_switched=1)
    torch.testing.assert_close(done.frames[0].detections.xy_image, frame.detections.xy_image)


def test_a_left_over_detection_goes_to_the_person_it_shows(scene) -> None:
    frame, association = seen_exactly(*scene)
    members = association.members.clone()
    members[1, 4] = ABSENT
    done = rectify([frame], [replace(association, members=members)], robust, RectifyConfig())
    assert done.repairs == Repairs(attached=1)
    assert done.associations[0].members.tolist() == association.members.tolist()
    far = rectify([moved(frame, 4, 1, 900.0)], [replace(association, members=members)], robust, RectifyConfig())
    assert far.repairs == Repairs()


def many(poses: Poses, count: int) -> Poses:
    rows = torch.arange(len(poses.id)).repeat(count)
    generator = torch.Generator().manual_seed(0)
    some = poses.select(persons=rows)
    return replace(some, xyz_world=some.xyz_world + torch.randn(some.xyz_world.shape, generator=generator).double(),
                   confidence=torch.ones_like(some.confidence))  # fmt: skip


def test_bones_are_fitted_robustly_and_the_joint_at_the_end_of_two_wrong_ones_is_blamed(scene) -> None:
    poses = many(scene[1], 30)
    xyz = poses.xyz_world.clone()
    joint = poses.skeleton.index("l_knee")
    xyz[::10, joint] += 700.0
    wrong = replace(poses, xyz_world=xyz)
    fitted, plain = fit_bones(wrong), fit_bones(poses)
    assert len(plain.persons) == 2 * len(plain.everybody) > 10
    for key, bone in plain.persons.items():
        assert fitted.persons[key].mm == pytest.approx(bone.mm, rel=0.03)
    found = misfits(wrong, fitted, 3.5)
    assert found[::10, joint].all() and found.sum() == len(found[::10])


def test_a_joint_no_bone_allows_is_tried_without_its_worst_view_and_else_dropped(scene) -> None:
    cameras, truth = scene
    frame, association = seen_exactly(cameras, truth)
    bones = fit_bones(many(truth, 30))
    joint = truth.skeleton.index("l_wrist")

    def through_bones(views: list[int]) -> tuple[Rectified, torch.Tensor]:
        xyz = truth.xyz_world[0].double().clone()
        elbow = xyz[truth.skeleton.index("l_elbow")]
        xyz[joint] = elbow + 1.5 * (xyz[joint] - elbow)
        xy, _ = cameras.project(xyz[None])
        places = frame.detections.xy_image.clone()
        places[views, 0, joint] = xy[views, 0, joint]
        wrong = replace(frame, detections=replace(frame.detections, xy_image=places))
        poses = robust(gather_groups([wrong], [association]))
        lifted = poses.xyz_world.clone()
        lifted[0, joint] = xyz[joint]
        start = Rectified((wrong,), (association,), replace(poses, xyz_world=lifted, id=truth.id), Repairs())
        return with_fitting_bones(start, bones, robust, RectifyConfig()), truth.xyz_world[0, joint].double()

    mended, place = through_bones([0])
    assert mended.repairs == Repairs(joints_mended=1)
    torch.testing.assert_close(mended.poses.xyz_world[0, joint], place, atol=15.0, rtol=0)
    dropped, _ = through_bones([0, 1, 2, 3, 4])
    assert dropped.repairs == Repairs(joints_dropped=1)
    assert not bool(dropped.poses.valid[0, joint])


def test_bones_of_a_report_are_read_back() -> None:
    read = bones_of_json(Entry("bones.json", {"hip-knee": {"mm": 420.0, "spread": 0.1, "count": 30}}))
    assert read == Bones({"hip-knee": UsualBone(420.0, 0.1)})
    assert read.of(3, "hip-knee") == UsualBone(420.0, 0.1)
    assert read.of(3, "other") is None
