"""People drawn for lifters: keypoints and truth agree, and everything that may go wrong does."""

import math
from dataclasses import replace

import torch

from dispose.scene.lifted import place_before_camera
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.detectors.parameters import PERFECT, sample_detectors
from dispose_synthetic.detectors.points import fitted_points
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.one_view import OneViewConfig, apart, meeting_point, sample_views
from dispose_synthetic.randomness import Noise

CLEAR = OneViewConfig(exact=1.0, noise=(1e-6, 2e-6), whole=1.0, faceless=0.0)


def drawn(config: OneViewConfig, people: int = 400, seed: int = 0):
    return sample_views(Noise(torch.Generator().manual_seed(seed)), None, people, config)


def test_the_truth_is_seen_where_the_keypoints_are():
    people, xyz, known = drawn(CLEAR)
    whole = people.seen.all(1) & known.all(1)
    assert whole.sum() > 200
    plane = (people.uv * people.size[:, None, None]).double()[whole]
    weight = torch.ones(plane.shape[:2], dtype=torch.float64)
    place = place_before_camera(xyz.double()[whole], plane, weight)
    there = xyz.double()[whole] + place[:, None]
    # "Exact" keypoints keep a fiftieth of the noise.
    assert float((there[..., :2] / there[..., 2:] - plane).abs().max()) < 0.01
    assert float(place[:, 2].min()) > 0.5
    hips = xyz[:, [COCO_17.index("l_hip"), COCO_17.index("r_hip")]].mean(1)
    assert float(hips.abs().max()) < 0.05


def test_what_is_asked_for_goes_wrong():
    def share(flag: torch.Tensor) -> float:
        return float(flag.double().mean())

    def unseen(**options: float) -> float:
        return 1 - share(drawn(replace(OneViewConfig(whole=0.0, missing=0.0, faceless=0.0, limb_missing=0.0,
                                                     legs_hidden=0.0), **options))[0].seen[:, 13:])  # fmt: skip

    base = unseen()
    assert unseen(missing=0.9) > base + 0.15
    assert unseen(limb_missing=0.5) > base + 0.2
    assert unseen(legs_hidden=1.0) == 1.0
    assert unseen(legs_hidden=1.0, whole=1.0) == base
    assert not drawn(replace(CLEAR, faceless=1.0))[0].seen[:, :5].any()
    assert share(drawn(replace(CLEAR, upside=1.0))[0].up.any(1)) == 1.0
    assert not drawn(replace(CLEAR, upside=0.0))[0].up.any()


def test_people_of_the_recording_stand_before_its_cameras():
    people, _, known = drawn(replace(CLEAR, recording=1.0))
    assert float(people.seen.double().mean()) > 0.95 and bool(known.all())
    axis = human36m_rig("S1")
    middle = meeting_point(axis)
    direction = torch.cat([middle, middle.new_zeros(1)]) - axis.centres
    away = torch.linalg.cross(axis.rotation[:, 2], direction).norm(dim=-1)
    assert float(away.max()) < 1200.0


def test_fitted_points_are_as_uncertain_as_is_told():
    source = Noise(torch.Generator().manual_seed(1))
    people = 4000
    model = replace(sample_detectors(source, people, [PERFECT], [1.0]), noise_px=torch.full((people,), 2.0),
                    bias_mm=torch.full((people,), 30.0), view_bias_mm=torch.full((people,), 40.0))  # fmt: skip
    scale, width = torch.full((people,), 0.1), torch.full((people,), 1280.0)
    xy = torch.zeros(people, 2, 2)
    found, sigma = fitted_points(source, xy, scale, width, ("l_wrist", "pelvis"), model)
    for column in (0, 1):
        own = 0.8 if column == 0 else 1.0
        told = torch.hypot(torch.tensor(4.0 * own), torch.tensor((3.0, 5.0)[column]))
        assert torch.allclose(sigma[:, column], told.expand(people), rtol=1e-5)
        assert abs(float(found[:, column].std()) / float(told) - 1) < 0.05
    heavy = replace(model, outliers=torch.ones(people))
    wider, same = fitted_points(source, xy, scale, width, ("l_wrist", "pelvis"), heavy)
    assert torch.equal(same, sigma)
    assert abs(float(wider[:, 1].std()) / float(torch.hypot(torch.tensor(16.0), torch.tensor(5.0))) - 1) < 0.05


def test_hips_lie_as_far_apart_as_sets_have_them():
    xyz = torch.zeros(500, 3, 3, dtype=torch.float64)
    xyz[:, 0, 1], xyz[:, 1, 1], xyz[:, 2, 2] = 60.0, -60.0, 500.0
    moved = apart(Noise(torch.Generator().manual_seed(0)), xyz, ("l_hip", "r_hip", "nose"), "hip", (0.5, 2.0))
    width = (moved[:, 0] - moved[:, 1]).norm(dim=-1)
    assert 60.0 <= float(width.min()) < 70.0 and 220.0 < float(width.max()) <= 240.0
    assert abs(float(width.log().mean()) - math.log(120.0)) < 0.06
    assert torch.allclose(moved[:, :2].mean(1), xyz[:, :2].mean(1), atol=1e-9) and torch.equal(moved[:, 2], xyz[:, 2])
