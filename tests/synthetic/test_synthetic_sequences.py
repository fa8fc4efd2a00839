"""Laws of synthetic sequences: the same people, moving as fast as people move, found again from frame to frame."""

from dataclasses import replace
from pathlib import Path

import torch

from dispose.formats.calibration.read import read_calibration
from dispose.formats.detections.read import open_detections
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.detectors.parameters import PERFECT
from dispose_synthetic.rigs import SHELF_LIKE, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence, write_capture

CAMERAS = sample_rigs(torch.Generator().manual_seed(1), 1, 4, (SHELF_LIKE,))[0]


def _sequence(frames: int, persons: int, config: SequenceConfig, seed: int = 0):
    return sample_sequence(torch.Generator().manual_seed(seed), frames, persons, CAMERAS, config)


def test_people_keep_their_bones_and_their_numbers_and_move_smoothly() -> None:
    drawn = _sequence(100, 4, SequenceConfig())
    assert [frame.number for frame, _ in drawn] == list(range(100))
    assert all(labels.poses.id.tolist() == [0, 1, 2, 3] for _, labels in drawn)
    xyz = torch.stack([labels.poses.xyz_world for _, labels in drawn])
    forearm = (xyz[:, :, 7] - xyz[:, :, 9]).norm(dim=-1)
    torch.testing.assert_close(forearm, forearm[:1].expand_as(forearm), atol=0.1, rtol=0)
    speed = xyz.diff(dim=0).norm(dim=-1) * 25
    hips = xyz[..., 11:13, :].mean(-2).diff(dim=0).norm(dim=-1) * 25
    assert float(hips.max()) < 3500 and float(speed.max()) < 12000
    assert float(hips.mean()) > 150
    assert float(xyz[..., 2].min()) > 15


def test_exact_sequences_are_projections() -> None:
    exact = SequenceConfig(detector=PERFECT)
    for frame, labels in _sequence(10, 3, exact):
        xy, _ = CAMERAS.project(labels.poses.xyz_world)
        for view, slot in frame.detections.valid.nonzero().tolist():
            seen = frame.detections.visible[view, slot]
            truth = xy[view, int(labels.identity[view, slot]), seen]
            torch.testing.assert_close(frame.detections.xy_image[view, slot, seen], truth, atol=1e-3, rtol=0)


def test_detections_of_neighbouring_frames_are_alike() -> None:
    def agreement(correlation: float) -> float:
        drawn = _sequence(60, 3, replace(SequenceConfig(), correlation=correlation), seed=4)
        seen = torch.stack(
            [torch.stack([(labels.identity == person).any(-1) for person in range(3)]) for _, labels in drawn]
        )
        joints = []
        for frame, labels in drawn:
            table = torch.zeros(4, 3, 17)
            for view, slot in (labels.identity >= 0).nonzero().tolist():
                table[view, int(labels.identity[view, slot])] = frame.detections.visible[view, slot].float()
            joints.append(table)
        flips = (torch.stack(joints).diff(dim=0) != 0).float().mean()
        assert float(seen.float().mean()) > 0.5
        return float(flips)

    assert agreement(0.95) < 0.6 * agreement(0.0)


def test_an_empty_sequence_is_empty() -> None:
    assert _sequence(0, 2, SequenceConfig()) == []
    assert len(_sequence(1, 1, SequenceConfig())) == 1


def test_a_written_capture_reads_back(tmp_path: Path) -> None:
    frames = [frame for frame, _ in _sequence(3, 2, SequenceConfig())]
    write_capture(tmp_path, frames)
    cameras = read_calibration(tmp_path / "calibration" / "Calib.toml")
    assert cameras.names == CAMERAS.names
    torch.testing.assert_close(cameras.translation, CAMERAS.translation, atol=1e-3, rtol=0)
    views = open_detections(tmp_path / "pose")
    assert tuple(view.camera for view in views) == CAMERAS.names
    for v, view in enumerate(views):
        assert view.numbers == (0, 1, 2)
        people = replace(view, skeleton=COCO_17).read(1, (1e4, 1e4))
        assert len(people.keypoints) == int(frames[1].detections.valid[v].sum())
