"""Rest poses fit their skeletons and look like people."""

import pytest

from dispose.errors import InputError
from dispose.skeletons.catalog import COCO_17, REST_POSES, RestPose, rest_pose


@pytest.mark.parametrize("pose", REST_POSES, ids=lambda pose: pose.skeleton.name)
def test_a_person_stands_upright_about_his_root(pose):
    joints = dict(zip(pose.skeleton.joints, pose.xyz))
    assert joints[pose.skeleton.root] == (0.0, 0.0, 0.0)
    assert joints["nose"][2] > joints["neck"][2] > 0 > joints["l_knee"][2] > joints["l_ankle"][2] > -1000
    for (x, _, _), mirror in zip(pose.xyz, pose.skeleton.mirror):
        assert abs(x + pose.xyz[mirror][0]) < 20
    assert rest_pose(pose.skeleton) is pose


def test_skeletons_without_one_are_named():
    with pytest.raises(InputError, match="coco_17"):
        rest_pose(COCO_17)
    with pytest.raises(ValueError, match="17 joints"):
        RestPose(COCO_17, ((0.0, 0.0, 0.0),))
