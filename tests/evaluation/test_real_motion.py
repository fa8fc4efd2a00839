"""Real motion before real cameras: who stands where, and what is told of them."""

from pathlib import Path

import pytest
import torch

from dispose.datasets.tables.human36m_motion import FLOOR_MM, place_clip, read_clips
from dispose.evaluation.real_motion import EXACT_PX, LIMBS, human36m_views, humaneva_views
from dispose.scene.lifted import place_before_camera
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.one_view import meeting_point

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not (DATA / "h36m_motion").is_dir(), reason="the converted tables are not here")


@needs_data
def test_clips_stand_where_the_rule_puts_them():
    clips = read_clips(DATA / "h36m_motion")
    (directions,) = [clip for clip in clips if clip.source == "S1/directions_1"]
    placed = place_clip(directions, meeting_point(human36m_rig("S1")))
    assert torch.allclose(placed[0, 0], torch.tensor([-943.9, -1008.8, 904.4], dtype=torch.float64), atol=0.1)
    for clip in clips[::10]:
        middle = meeting_point(human36m_rig(clip.subject))
        path = place_clip(clip, middle)[:, 0, :2]
        half = (path.amax(0) - path.amin(0)) / 2
        away = ((path.amax(0) + path.amin(0)) / 2 - middle).abs()
        if bool((half <= torch.from_numpy(FLOOR_MM)).all()):
            assert bool((half + away <= torch.from_numpy(FLOOR_MM) + 1e-6).all()), clip.source


@needs_data
@pytest.mark.parametrize("read", [lambda: humaneva_views(DATA, every=400), lambda: human36m_views(DATA, every=500)])
def test_keypoints_are_projections_of_the_truth(read):
    trial = read()
    people = trial.see(COCO_17.joints)
    rows = [COCO_17.joints.index(joint) for joint in LIMBS]
    assert people.seen[:, rows].all() and int(people.seen.sum()) == 12 * len(trial)
    assert torch.allclose(people.sigma[:, rows] * people.size[:, None] * trial.cameras.matrix[:, :1, 0, 0],
                          torch.full((1, 1), EXACT_PX, dtype=torch.float64), rtol=0.01)  # fmt: skip
    plane = (people.uv * people.size[:, None, None]).double()[:, rows]
    xyz = people.from_camera(trial.xyz_camera)
    place = place_before_camera(xyz, plane, torch.ones(plane.shape[:2], dtype=torch.float64))
    there = xyz + place[:, None]
    assert float((there[..., :2] / there[..., 2:] - plane).abs().max()) < 1e-4
    assert torch.allclose(people.to_camera(place[:, None])[:, 0, 2], trial.depth, rtol=1e-3)


@needs_data
def test_detection_noise_follows_its_seed():
    trial = humaneva_views(DATA, every=400)
    same, again, other = (trial.see(COCO_17.joints, seed=seed) for seed in (3, 3, 4))
    exact = trial.see(COCO_17.joints)
    assert torch.equal(same.uv, again.uv) and not torch.equal(same.uv, other.uv)
    off = ((same.uv - exact.uv).norm(dim=-1) / same.sigma)[exact.seen]
    assert 0.8 < float(off.median()) < 1.6
