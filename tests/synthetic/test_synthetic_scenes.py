"""Laws of synthetic frames: what the labels say is what the cameras would have seen."""

from dataclasses import replace

import pytest
import torch

from dispose.scene.frame import Frame, Labels
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.parameters import BOTTOM_UP, PERFECT, POOR, SCORELESS, TOP_DOWN
from dispose_synthetic.rigs import PERFECT_CALIBRATION
from dispose_synthetic.scenes import SceneConfig, sample_scenes

EXACT = SceneConfig(detectors=(PERFECT,), detector_weights=(1.0,), calibration=PERFECT_CALIBRATION, chunk=8)


def _frames(seed: int, count: int, config: SceneConfig) -> list[tuple[Frame, Labels]]:
    return sample_scenes(torch.Generator().manual_seed(seed), count, config)


def test_without_noise_detections_are_projections_of_the_labels() -> None:
    seen = 0
    for frame, labels in _frames(1, 40, EXACT):
        xy, _ = frame.cameras.project(labels.poses.xyz_world)
        row = {int(person): i for i, person in enumerate(labels.poses.id)}
        for view, slot in frame.detections.valid.nonzero().tolist():
            person = int(labels.identity[view, slot])
            assert person in row
            visible = frame.detections.visible[view, slot]
            truth = xy[view, row[person], visible]
            torch.testing.assert_close(frame.detections.xy_image[view, slot, visible], truth, atol=1e-3, rtol=0)
            seen += int(visible.sum())
    assert seen > 5000


def test_without_noise_everybody_inside_the_picture_is_found_once() -> None:
    for frame, labels in _frames(2, 16, EXACT):
        xy, front = frame.cameras.project(labels.poses.xyz_world)
        inside = (frame.cameras.inside(xy) & front).all(-1)
        for view in range(len(frame.cameras)):
            for i, person in enumerate(labels.poses.id):
                found = int((labels.identity[view] == person).sum())
                assert found <= 1
                if inside[view, i]:
                    assert found == 1


@pytest.mark.parametrize("kind", [TOP_DOWN, BOTTOM_UP, POOR, SCORELESS])
def test_labels_and_records_are_consistent(kind) -> None:
    config = SceneConfig(detectors=(kind,), detector_weights=(1.0,), chunk=8)
    for frame, labels in _frames(3, 24, config):
        found = frame.detections
        assert labels.identity.shape == found.valid.shape
        assert ((labels.identity == ABSENT) | found.valid).all()
        assert (found.visible.any(-1) == found.valid).all()
        assert (found.index >= 0).eq(found.valid).all()
        assert ((found.confidence > 0) == found.visible).all() and (found.confidence <= 1).all()
        assert (found.xy_image[~found.visible] == 0).all()
        assert frame.cameras.inside(found.xy_image)[found.visible].float().mean() > 0.9 if found.visible.any() else True
        for view in labels.identity:
            people = view[view != ABSENT].tolist()
            assert len(people) == len(set(people)) and set(people) <= set(labels.poses.id.tolist())


def test_same_seed_same_frames_and_longer_draws_begin_alike() -> None:
    config = SceneConfig(chunk=4)
    short, long = _frames(7, 8, config), _frames(7, 16, config)
    for (frame, labels), (again, labels_again) in zip(short, long, strict=False):
        assert frame.number == again.number
        assert torch.equal(frame.detections.xy_image, again.detections.xy_image)
        assert torch.equal(frame.cameras.rotation, again.cameras.rotation)
        assert torch.equal(labels.identity, labels_again.identity)
        assert torch.equal(labels.poses.xyz_world, labels_again.poses.xyz_world)
    other = _frames(8, 4, config)
    assert any(not torch.equal(a[1].poses.xyz_world, b[1].poses.xyz_world) for a, b in zip(short, other, strict=False))


def test_numbers_of_views_and_people_stay_in_their_ranges() -> None:
    config = replace(SceneConfig(), views=(3, 4), persons=(2, 5), chunk=8)
    drawn = _frames(4, 40, config)
    assert {len(frame.cameras) for frame, _ in drawn} == {3, 4}
    assert {len(labels.poses.id) for _, labels in drawn} == {2, 3, 4, 5}
