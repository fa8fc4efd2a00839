"""Captures that are large, named in any language, seen through fisheyes, or filmed with a turned telephone."""

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.detections.people import BEYOND, counted
from dispose.formats.evidence import read_run
from dispose.formats.predictions import read_predictions
from dispose.geometry.rigid import rodrigues
from dispose.inference.capture import read_capture, read_frame, read_image_capture, read_raw
from dispose.inference.sizes import check_sizes
from dispose.scene.cameras import Cameras
from dispose_synthetic.detectors.parameters import PERFECT
from dispose_synthetic.rigs import SHELF_LIKE, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence, write_capture
from tests.inference.conftest import detections_at, people_at, rig

WORDS = ("Kamera süd", "caméra nord", "камера", "左 カメラ", "GoPro (1) ", "a&b")
FISHEYE = torch.tensor([0.05, -0.02, 0.01, -0.003, 0, 0, 0, 0], dtype=torch.float64)


@pytest.mark.slow
def test_sixteen_cameras_fisheyes_and_names_of_any_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(8)
    cameras = sample_rigs(generator, 1, 16, (SHELF_LIKE,))[0].to(torch.float64)
    fisheye = torch.arange(16) % 3 == 1
    lens = torch.where(fisheye[:, None], FISHEYE, cameras.distortion)
    names = tuple(f"{WORDS[v % 6]}{v + 1:02}" for v in range(16))
    cameras = replace(cameras, names=names, distortion=lens, fisheye=fisheye)
    frames = sample_sequence(generator, 5, 4, cameras, SequenceConfig(detector=PERFECT, ghosts=0, room_mm=1500.0))
    folder, out = tmp_path / "Größe 16 – 試し", tmp_path / "ergebnis ü"
    write_capture(folder, [frame for frame, _ in frames])
    assert main(["predict", str(folder), "--out", str(out)]) == 0
    capture = read_capture(folder)
    assert set(capture.cameras.names) == set(names) and capture.cameras.fisheye is not None
    found = read_predictions(out / "predictions.jsonl")
    assert len(found.frames) == 5
    for one, (_, labels) in zip(found.frames, frames, strict=True):
        truth, poses = labels.poses.xyz_world.double(), one.poses
        assert len(poses.id) == 4
        apart = (truth[:, None] - poses.xyz_world[None].double()).norm(dim=-1)
        valid = poses.valid[None].expand(4, 4, -1)
        error = torch.where(valid, apart, 0.0).sum(-1) / valid.sum(-1).clamp(min=1)
        assert sorted(error.argmin(1).tolist()) == [0, 1, 2, 3] and float(error.amin(1).max()) < 30
    ids = {tuple(sorted(one.poses.id.tolist())) for one in found.frames}
    assert len(ids) == 1
    kept = read_run(out)
    assert kept.cases[0].frame is not None and torch.equal(kept.cases[0].frame.cameras.lens, capture.cameras.lens)
    assert main(["check", str(folder), "--out", str(out)]) == 0
    assert "Good: people reproject" in capsys.readouterr().out


def seen_by_angle(cameras: Cameras, view: int, xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels of a fisheye as its formula has them at any angle off the axis, and these angles."""
    there = cameras.to_camera(xyz)[view]
    aside = there[..., :2].norm(dim=-1)
    theta = torch.atan2(aside, there[..., 2])
    grown = theta * (1 + sum(float(k) * theta ** (2 * n + 2) for n, k in enumerate(cameras.distortion[view, :4])))
    xy = there[..., :2] / aside[..., None] * grown[..., None] * cameras.matrix[view, 0, 0]
    return xy + cameras.matrix[view, :2, 2], theta.rad2deg()


def test_what_a_fisheye_shows_beyond_its_side_is_not_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lens of 220 degrees that looks past the people: of some joints more than 90 degrees."""
    cameras, aside = rig(), torch.deg2rad(torch.tensor([0.0, 80.0, 0.0], dtype=torch.float64))
    matrix, lens, turn = cameras.matrix.clone(), cameras.distortion.clone(), rodrigues(aside)
    matrix[1, 0, 0] = matrix[1, 1, 1] = 300.0
    lens[1, :4] = torch.tensor([0.01, -0.002, 0.0005, 0.0])
    rotation, translation = cameras.rotation.clone(), cameras.translation.clone()
    rotation[1], translation[1] = turn @ rotation[1], turn @ translation[1]
    cameras = replace(cameras, matrix=matrix, distortion=lens, rotation=rotation, translation=translation,
                      fisheye=torch.tensor([False, True, False, False]))  # fmt: skip
    write_calibration_toml(tmp_path / "calib.toml", cameras)
    behind = 0
    for frame in range(4):
        found, people = detections_at(cameras, frame), people_at(frame)
        xy, angle = seen_by_angle(cameras, 1, people)
        front = angle < 89.9
        exact = cameras.project(people)[0][1]
        torch.testing.assert_close(xy[front], exact[front], atol=1e-6, rtol=0)
        found.xy_image[1] = xy.flip(0) if (1 + frame) % 2 else xy
        behind += int((~front).sum())
        write_openpose(tmp_path / "pose", frame, cameras.names, found)
    assert 10 < behind < 4 * 17 - 10
    capture = read_capture(tmp_path)
    seen = [read_frame(capture, number) for number in capture.numbers]
    odd = counted(one for reading in seen for one in reading.odd)
    assert [one.count for one in odd if one.kind == BEYOND] == [behind]
    assert main(["predict", str(tmp_path), "--out", str(tmp_path / "out"), "--triangulator", "robust"]) == 0
    assert "90 degrees or more off the axis of a fisheye" in capsys.readouterr().out
    for frame, one in enumerate(read_predictions(tmp_path / "out" / "predictions.jsonl").frames):
        apart = (people_at(frame)[:, None] - one.poses.xyz_world[None].double()).norm(dim=-1)
        assert len(one.poses.id) == 2 and float(apart.mean(-1).amin(1).max()) < 0.1


def turned_video(path: Path, turns: int) -> None:
    """A video of 320 x 240, white at the top left, whose container says to turn it by so many quarters clockwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    for _ in range(3):
        frame = np.zeros((240, 320, 3), np.uint8)
        frame[:60, :80] = 255
        writer.write(frame)
    writer.release()
    data, one = bytearray(path.read_bytes()), 1 << 16
    cos, sin = ((one, 0), (0, one), (-one, 0), (0, -one))[turns]
    start = data.index(b"tkhd") + 44  # the matrix of the track's header
    data[start : start + 36] = struct.pack(">9i", cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def test_videos_are_read_as_players_turn_them(walk, tmp_path: Path) -> None:
    cameras, sizes = walk.rig(), torch.tensor([[320.0, 240], [240, 320], [320, 240], [240, 320]], dtype=torch.float64)
    matrix = cameras.matrix.clone()
    matrix[:, :2, 2] = sizes / 2
    cameras = replace(cameras, size=sizes, matrix=matrix)
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", cameras)
    for turns in range(4):
        turned_video(tmp_path / "videos" / f"cam0{turns + 1}.mp4", turns)
    capture = read_image_capture(tmp_path)
    check_sizes(capture.cameras, capture.views)
    raw, _, damaged = read_raw(capture, 1)
    assert damaged == ()
    # The white corner goes round clockwise.
    corners = ((20, 20), (20, -20), (-20, -20), (-20, 20))
    for image, corner in zip(raw.images, corners, strict=True):
        assert image is not None and image[corner].min() > 200
        assert sum(int(image[other].max() > 100) for other in corners) == 1
    upright = replace(cameras, size=torch.tensor([[320.0, 240]], dtype=torch.float64).expand(4, 2))
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", upright)
    with pytest.raises(InputError, match="240 x 320 pixels, the calibration is for 320 x 240; one of them is turned"):
        capture = read_image_capture(tmp_path)
        check_sizes(capture.cameras, capture.views)


def test_detections_of_one_camera_in_anothers_place_are_told(tmp_path: Path) -> None:
    cameras = rig()
    write_calibration_toml(tmp_path / "calib.toml", cameras)
    for frame in range(3):
        write_openpose(tmp_path / "pose", frame, cameras.names, detections_at(cameras, frame))
    one, other = (tmp_path / "pose" / f"{name}_json" for name in cameras.names[:2])

    def told() -> list[str]:
        notes = read_capture(tmp_path, calibration=tmp_path / "calib.toml").notes
        return [note for note in notes if "the same people" in note or "called after" in note]

    assert told() == []
    for a, b in ((one, tmp_path / "aside"), (other, one), (tmp_path / "aside", other)):
        a.rename(b)
    named = [f"is called after camera {name}, and is read as of" for name in reversed(cameras.names[:2])]
    assert [said in note for said, note in zip(named, told(), strict=True)] == [True, True]
    shutil.rmtree(other)
    shutil.copytree(one, other)
    first, *_ = told()
    assert (
        f"cameras {cameras.names[0]} and {cameras.names[1]} have the same people, 100 % of them to the digit" in first
    )
