"""Cues of candidate tuples, computed by hand: fused bodies, degrees of freedom, bones, and every named feature."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from dispose.association.cues import (
    HUMAN_BONES_MM,
    INCIDENCE_FEATURES,
    TUPLE_FEATURES,
    Fused,
    IncidenceTable,
    bone_ratios,
    degrees_of_freedom,
    fuse,
    incidence_features,
    incidences,
    noise_normalised_cue,
    packed_incidences,
    tuple_features,
)
from dispose.association.evidence import Placement, fuse_ready
from dispose.association.viewpoint import Viewpoints
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

EYE = torch.eye(3, dtype=torch.float64)


def doubles(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def spheres(means: torch.Tensor, variances: list[float], valid: torch.Tensor, origin: torch.Tensor | None = None):
    """Evidence of detections whose joints are known equally well in every direction."""
    variance = doubles(*variances)[:, None, None, None] * EYE
    origin = torch.zeros(1, 3, dtype=torch.float64) if origin is None else origin
    return fuse_ready(means, variance.expand(*means.shape, 3), valid, origin)


def test_bodies_are_fused_by_their_variances():
    """Variances 1 and 3, two things 4 apart: they meet a quarter of the way, and 4² is four times 1 + 3."""
    means = torch.zeros(3, 3, 3, dtype=torch.float64)
    means[1, 0] = doubles(4, 0, 0)
    means[1, 1] = doubles(0, 20, 0)
    means[2] = doubles(0, 0, 7)
    valid = torch.tensor([[True, False], [True, True]])
    visible = torch.zeros(2, 2, 3, dtype=torch.bool)
    visible[0, 0] = torch.tensor([True, True, False])
    visible[1, 0] = torch.tensor([True, False, False])
    evidence = spheres(means, [1.0, 3.0, 2.0], valid)
    members = torch.tensor([[0, 0], [0, ABSENT], [ABSENT, 1], [0, 1]])
    fused = fuse(evidence, members, visible)
    torch.testing.assert_close(fused.xyz[0], doubles([1, 0, 0], [0, 5, 0], [0, 0, 0]))
    torch.testing.assert_close(fused.misfit[0], doubles(4, 25, 0))  # 400 / 4 is capped
    torch.testing.assert_close(fused.misfit[3], doubles(49 / 3, 49 / 3, 49 / 3))
    torch.testing.assert_close(fused.xyz[3], doubles(0, 0, 7 / 3).expand(3, 3))
    torch.testing.assert_close(fused.misfit[1:3], torch.zeros(2, 3, dtype=torch.float64))
    torch.testing.assert_close(fused.seen, doubles([2, 1, 0], [1, 1, 0], [0, 0, 0], [1, 1, 0]))
    assert fused.size.tolist() == [2, 1, 1, 2]


def test_a_tuple_is_fused_from_its_own_frame():
    means = doubles([[1, 0, 0]], [[2, 0, 0]])
    valid = torch.ones(2, 1, 1, dtype=torch.bool)
    fused = fuse(spheres(means, [1.0, 1.0], valid), torch.zeros(2, 1).long(), valid[..., None], torch.tensor([1, 0]))
    torch.testing.assert_close(fused.xyz[:, 0, 0], doubles(2, 1))


def body(seen: list[float], misfit: list[float], size: int) -> Fused:
    xyz = torch.zeros(1, len(seen), 3, dtype=torch.float64)
    return Fused(xyz, doubles(misfit), doubles(seen), doubles(size))


def test_degrees_of_freedom():
    """Of a joint seen twice one number is left, of one seen four times five; four bodies have three more depths."""
    assert float(degrees_of_freedom(body([0, 1, 2, 3, 4], [0] * 5, 4))[0]) == 0 + 0 + 1 + 3 + 5 + 3
    assert float(degrees_of_freedom(body([1, 1], [0, 0], 2))[0]) == 1
    assert float(degrees_of_freedom(body([2] * 17, [0] * 17, 2))[0]) == 18


@pytest.mark.parametrize(
    ("misfit", "expected"), [(12.0, 1.0), (3.0, 1.0), (24.0, math.exp(-0.5)), (48.0, math.exp(-1.5))]
)
def test_the_cue_is_one_up_to_one_chi_square_per_degree_of_freedom(misfit, expected):
    assert float(noise_normalised_cue(body([2, 3, 4], [misfit, 0, 0], 4))[0]) == pytest.approx(expected)


def test_the_cue_of_fragments_and_of_a_lone_detection():
    """Two detections that share no joint still have a depth to agree on; one alone has the released constant."""
    assert float(noise_normalised_cue(body([1, 1, 0], [1.5, 1.5, 0], 2))[0]) == pytest.approx(math.exp(-1))
    assert float(noise_normalised_cue(body([1, 1, 0], [0, 0, 0], 1))[0]) == pytest.approx(0.3)


def standing(seen: Mapping[str, float], places: Mapping[str, tuple[float, float, float]], **joints: float) -> Fused:
    """A tuple's body: joints that are not named are at the origin and unseen."""
    xyz, count = torch.zeros(1, 17, 3, dtype=torch.float64), torch.zeros(1, 17, dtype=torch.float64)
    misfit = torch.zeros(1, 17, dtype=torch.float64)
    for name, times in seen.items():
        count[0, COCO_17.index(name)] = times
    for name, place in places.items():
        xyz[0, COCO_17.index(name)] = doubles(*place)
    for name, value in joints.items():
        misfit[0, COCO_17.index(name)] = value
    return Fused(xyz, misfit, count, doubles(max(seen.values(), default=1.0)))


def test_bone_ratios_are_logarithms_over_human_lengths():
    places = {
        "r_shoulder": (340 * math.exp(0.2), 0, 0),
        "l_elbow": (0, -285 * math.exp(-0.4), 0),
        "l_hip": (0, 0, 495 * math.exp(3.0)),
        "l_knee": (400.0, 0, 495 * math.exp(3.0)),
    }
    seen = {"l_shoulder": 2, "r_shoulder": 3, "l_elbow": 2, "l_hip": 2, "l_knee": 1}
    ratio, known = bone_ratios(standing(seen, places), COCO_17)
    named = dict(zip(HUMAN_BONES_MM, ratio[0].tolist(), strict=True))
    assert named["l_shoulder", "r_shoulder"] == pytest.approx(0.2)
    assert named["l_shoulder", "l_elbow"] == pytest.approx(-0.4)
    assert named["l_shoulder", "l_hip"] == 1.5, "no bone counts for more"
    named_known = {bone for bone, there in zip(HUMAN_BONES_MM, known[0].tolist(), strict=True) if there}
    assert named_known == {("l_shoulder", "r_shoulder"), ("l_shoulder", "l_elbow"), ("l_shoulder", "l_hip")}
    assert all(value == 0 for bone, value in named.items() if bone not in named_known)


def test_memberships_are_listed_tuple_by_tuple_and_count_filled_slots_only():
    valid = torch.tensor([[True, False, True], [False, True, False]])
    table = incidences(torch.tensor([[2, 1], [0, ABSENT], [ABSENT, 1]]), valid)
    assert table.tuple_of.tolist() == [0, 0, 1, 2]
    assert table.view.tolist() == [0, 1, 0, 1]
    assert table.slot.tolist() == [2, 1, 0, 1]
    assert table.detection.tolist() == [1, 2, 0, 2]
    number = torch.tensor([[[0], [1]], [[2], [3]]])
    packed = packed_incidences(torch.tensor([[0, 0], [ABSENT, 0]]), torch.tensor([1, 0]), number)
    assert packed.detection.tolist() == [2, 3, 1]


def two_viewpoints(joints: int) -> Viewpoints:
    """A camera at the origin that looks along z, and one at z = 6 m that looks back."""
    back = torch.diag(doubles(1, -1, -1))
    one, each = doubles(1, 1), torch.ones(2, joints, dtype=torch.float64)
    centre, xy = doubles([0, 0, 0], [0, 0, 6000]), torch.zeros(2, joints, 2, dtype=torch.float64)
    return Viewpoints(centre, torch.stack([EYE, back]), xy, one, one, each.bool(), each, doubles(0.9, 0.5))


def placed(log_depth: torch.Tensor, sigma: torch.Tensor, joints: int) -> Placement:
    each = torch.ones(2, joints, dtype=torch.float64)
    return Placement(log_depth, sigma, torch.zeros(2, joints, 3, dtype=torch.float64), each, each)


def described(log_depth: torch.Tensor, sigma: torch.Tensor) -> tuple[Fused, IncidenceTable, torch.Tensor]:
    """Two detections of five joints, origin 2 m before the first camera, the bodies 1 m behind the origin."""
    means = torch.zeros(2, 5, 3, dtype=torch.float64)
    means[..., 2] = 3000.0
    means[1, 0, 0], means[1, 1, 1] = 4.0, 8.0
    origin = doubles([0, 0, 2000], [0, 0, 2000])
    seen = two_viewpoints(5)
    seen.visible[0, 4] = seen.visible[1, 3] = seen.visible[1, 4] = False
    valid = torch.ones(2, 1, dtype=torch.bool)
    evidence = spheres(means, [1.0, 3.0], valid, origin)
    members = torch.tensor([[0, 0], [0, ABSENT], [ABSENT, 0]])
    fused, table = fuse(evidence, members, seen.visible[:, None]), incidences(members, valid)
    features = incidence_features(evidence, fused, table, seen, placed(log_depth, sigma, 5), origin)
    return fused, table, features


def test_features_of_memberships():
    """Misfits of the first member are 1 and 4 (one of three joints beyond 9 for the second: 3 and 12)."""
    log_depth = doubles(math.log(3000) - 0.2, math.log(3000) + 0.3)
    fused, _, features = described(log_depth, doubles(0.1, 0.2))
    torch.testing.assert_close(fused.misfit[0], doubles(4, 16, 0, 0, 0), rtol=0, atol=1e-6)
    expected = {
        "mean misfit of member": (math.log1p(5 / 4), math.log1p(15 / 3), 0, 0),
        "share of member's joints that misfit": (0, 1 / 3, 0, 0),
        "depth surprise": (2.0, -1.5, 0, 0),
        "joints seen": (4 / 5, 3 / 5, 4 / 5, 3 / 5),
        "share of its joints that others see": (3 / 4, 1, 0, 0),
        "score": (0.9, 0.5, 0.9, 0.5),
    }
    for name, column in zip(INCIDENCE_FEATURES, features.double().T, strict=True):
        torch.testing.assert_close(column, doubles(*expected[name]), rtol=0, atol=1e-5, msg=name)


def test_a_body_farther_than_expected_surprises_upwards_and_no_surprise_exceeds_five():
    surprise = INCIDENCE_FEATURES.index("depth surprise")
    farther, nearer = (described(doubles(d, d), doubles(0.05, 0.05))[2][0, surprise] for d in (7.9, 8.1))
    assert float(farther) == pytest.approx((math.log(3000) - 7.9) / 0.05, abs=1e-4)
    assert float(nearer) == pytest.approx((math.log(3000) - 8.1) / 0.05, abs=1e-4)
    features = described(doubles(7, 9), doubles(0.05, 0.05))[2]
    assert features[:2, surprise].tolist() == [5, -5]


def test_features_of_tuples():
    """Three of four views hold a body of four joints: every feature by its name."""
    seen = {"l_shoulder": 3, "r_shoulder": 2, "l_elbow": 2, "nose": 1}
    places = {
        "r_shoulder": (340 * math.exp(0.2), 0, 0),
        "l_elbow": (0, -285 * math.exp(-0.4), 0),
        "nose": (0, -2000, 0),  # above the picture of the view that is left out
        "l_ankle": (0, 2000, 0),  # below it, and seen by nobody
    }
    one = standing(seen, places, l_shoulder=1.0, r_shoulder=16.0, nose=4.0)
    fused = Fused(*(torch.cat([value, other]) for value, other in zip(vars(one).values(), vars(alone()).values())))
    members = torch.tensor([[0, 0, 0, ABSENT], [ABSENT, ABSENT, ABSENT, 0]])
    table = IncidenceTable(*torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 2, 3]]))
    of_incidences = torch.zeros(4, len(INCIDENCE_FEATURES))
    of_incidences[:, INCIDENCE_FEATURES.index("depth surprise")] = torch.tensor([-2.0, 1.0, 0.5, 0.0])
    of_incidences[:, INCIDENCE_FEATURES.index("joints seen")] = torch.tensor([0.5, 0.4, 0.3, 0.9])
    cameras = four_cameras()
    origin = doubles([0, 0, 3000], [0, 0, 3000])
    features = tuple_features(fused, table, of_incidences, members, looking(), cameras, COCO_17, origin)
    chi = 21 / (3 + 1 + 1 + 2)
    expected = {
        "members": math.log(3), "members of views": 3 / 4, "singleton": 0, "pair": 0,
        "chi² per degree of freedom": math.log1p(chi), "mean misfit of shared joints": math.log1p(17 / 3),
        "worst misfit of shared joints": math.log1p(16), "share of shared joints that misfit": 1 / 3,
        "mean misfit of all joints": math.log1p(21 / 17), "joints shared": 3 / 17, "joints seen": 4 / 17,
        "joints seen in three views": 1 / 17, "mean bone ratio": -0.1, "spread of bone ratios": 0.3,
        "worst bone ratio": 0.4, "bones known": 2 / 12, "absent views that should see it": 0.75 / 4,
        "most visible in an absent view": 0.75, "worst depth surprise": 2, "mean depth surprise": 3.5 / 3,
        "spread of rays": 1 - 3**-0.5, "mean score": 0.6, "lowest score": 0.3, "mean visible joints": 0.4,
        "fewest visible joints": 0.3, "cue": math.exp(-1.0),
    }  # fmt: skip
    for name, value in zip(TUPLE_FEATURES, features[0].tolist(), strict=True):
        assert value == pytest.approx(expected[name], abs=1e-6), name
    single: dict[str, float] = dict(zip(TUPLE_FEATURES, features[1].tolist(), strict=True))
    for name, value in {"singleton": 1, "members of views": 1 / 4, "cue": 0.3, "spread of rays": 0}.items():
        assert single[name] == pytest.approx(value), name
    assert single["mean score"] == pytest.approx(0.2) and single["mean visible joints"] == pytest.approx(0.9)


def test_a_pair_is_called_a_pair_and_views_that_are_not_there_do_not_count():
    fused = replace(alone(), size=doubles(2))
    table = IncidenceTable(*torch.tensor([[0, 0], [0, 1], [0, 0], [0, 1]]))
    cameras = replace(four_cameras()[:1], present=torch.tensor([[True, True, False, False]]))
    members, given = torch.tensor([[0, 0, ABSENT, ABSENT]]), torch.zeros(2, len(INCIDENCE_FEATURES))
    features = tuple_features(fused, table, given, members, looking(), cameras, COCO_17, doubles([0, 0, 3000]))
    named = dict(zip(TUPLE_FEATURES, features[0].tolist(), strict=True))
    assert named["pair"] == 1 and named["singleton"] == 0 and named["members of views"] == 1
    assert named["absent views that should see it"] == 0


def alone() -> Fused:
    """The body of one detection that shows its nose."""
    return standing({"nose": 1}, {})


def four_cameras() -> Cameras:
    """The same camera at the origin four times, looking along z, for two tuples."""
    matrix = doubles([1000, 0, 500], [0, 1000, 500], [0, 0, 1]).expand(2, 4, 3, 3)
    nothing = torch.zeros(2, 4, 11, dtype=torch.float64)
    size = torch.full((2, 4, 2), 1000.0, dtype=torch.float64)
    return Cameras((), size, matrix, nothing[..., :8], EYE.expand(2, 4, 3, 3), nothing[..., 8:])


def looking() -> Viewpoints:
    """Four detections that look along z, x, y and z."""
    axes = torch.stack([EYE, EYE[[1, 2, 0]], EYE[[2, 0, 1]], EYE])
    one, each = torch.ones(4, dtype=torch.float64), torch.ones(4, 17, dtype=torch.float64)
    xy, score = torch.zeros(4, 17, 2, dtype=torch.float64), doubles(0.9, 0.6, 0.3, 0.2)
    return Viewpoints(torch.zeros(4, 3, dtype=torch.float64), axes, xy, one, one, each.bool(), each, score)
