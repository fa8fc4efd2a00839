"""MM-OR in its original layout, from files that the tests write."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dispose.datasets.layouts.mm_or import (
    MM_OR,
    MM_OR_TEST,
    MM_OR_TRAIN,
    MM_OR_VALIDATION,
    annotated_frames,
    imaged_frames,
    open_mm_or,
    read_people,
)
from dispose.datasets.layouts.source import Block, Split
from dispose.datasets.multiview import MultiViewDataset
from dispose.errors import InputError
from dispose.formats.calibration.mm_or import read_calibration_mm_or

SIZE = (128, 96)
VIEWS = ("camera01", "camera02")
ALL = Split("all", (Block("take"),), annotated_frames)
LENS = (0.1, -0.05, 0.0003, -0.0002, 0.01, 0.12, -0.04, 0.02)


def motion(rotation: np.ndarray, translation: np.ndarray) -> dict:
    """A rigid motion as the files have it."""
    x, y, z, w = Rotation.from_matrix(rotation).as_quat().tolist()
    t = translation.tolist()
    return {
        "rotation": {"w": w, "x": x, "y": y, "z": z},
        "translation": {"m00": t[0], "m10": t[1], "m20": t[2]},
    }


def matrix4(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation, translation
    return out


def looking_in(number: int) -> np.ndarray:
    """World from camera, metres: from above at the middle of the room, another place for every camera."""
    centre = np.array([2.5 * np.cos(2.0 * number), 2.5 * np.sin(2.0 * number), 2.6])
    ahead = np.array([0.1, -0.2, 0.9]) - centre
    ahead /= np.linalg.norm(ahead)
    across = np.cross(ahead, [0, 0, 1])
    across /= np.linalg.norm(across)
    return matrix4(np.stack([across, np.cross(ahead, across), ahead], 1), centre)


def write_camera(path: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write a calibration; returns R, t (mm) and K of our own convention, found by an independent chain of 4x4s.

    The camera is chosen in our conventions; the file's depth pose is what makes the chain of the format end there.
    """
    rng = np.random.default_rng(number)
    world_from_camera = looking_in(number)
    depth_from_colour = matrix4(Rotation.from_euler("x", 6, degrees=True).as_matrix(), rng.normal(0, 0.03, 3))
    up = matrix4(Rotation.from_euler("x", 90, degrees=True).as_matrix(), np.zeros(3))
    flip = matrix4(Rotation.from_euler("x", 180, degrees=True).as_matrix(), np.zeros(3))
    depth = np.linalg.inv(up) @ world_from_camera @ np.linalg.inv(flip) @ np.linalg.inv(depth_from_colour)
    K = np.array([[110.0 + number, 0, 63.2], [0, 111.5, 47.9], [0, 0, 1]])
    k1, k2, p1, p2, k3, k4, k5, k6 = LENS
    record = {
        "camera_pose": motion(depth[:3, :3], depth[:3, 3]),
        "color2depth_transform": motion(depth_from_colour[:3, :3], depth_from_colour[:3, 3]),
        "color_parameters": {
            # Column by column, and a last element that is not 1.
            "intrinsics_matrix": {f"m{c}{r}": K[r, c] if (r, c) != (2, 2) else 0.0 for c in range(3) for r in range(3)},
            "radial_distortion": dict(zip([f"m{i}0" for i in range(6)], (k1, k2, k3, k4, k5, k6), strict=True)),
            "tangential_distortion": {"m00": p1, "m10": p2},
            "width": SIZE[0], "height": SIZE[1],
        },
    }  # fmt: skip
    path.write_text(json.dumps({"value0": record}))
    camera_from_world = np.linalg.inv(world_from_camera)
    return camera_from_world[:3, :3], 1000 * camera_from_world[:3, 3], K


def write_take(root: Path, name: str = "take", frames: range = range(10, 14)) -> list:
    """A take of two cameras and two people of whom one has no known root."""
    folder = root / name
    for part in ("colorimage", "poses"):
        (folder / part).mkdir(parents=True)
    cameras = [write_camera(folder / f"{view}.json", number) for number, view in enumerate(VIEWS)]
    rng = np.random.default_rng(1)
    for number in frames:
        people = []
        for person, root_score in ((3, 0.9), (4, 0.1)):
            places = rng.normal(0, 500, (15, 3)) + np.array([0, 0, 900])
            joints = np.concatenate([places, rng.uniform(0.2, 1, (15, 1))], 1)
            joints[2, 3], joints[5, 3] = root_score, 0.0
            people.append({"id": person, "keypoints_xyzs": joints.tolist(), "label": "head_surgeon"})
        (folder / "poses" / f"frame_{number:06d}.json").write_text(json.dumps(people))
        for view in VIEWS:
            path = folder / "colorimage" / f"{view}_colorimage-{number:06d}.jpg"
            cv2.imwrite(str(path), rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8))
    return cameras


def test_truth_projects_like_opencv(tmp_path: Path) -> None:
    cameras = write_take(tmp_path)
    source = open_mm_or(tmp_path, ALL, views=VIEWS)
    assert [key.number for key in source.keys] == [10, 11, 12, 13]
    rig = source.rigs["take"]
    assert rig.size.tolist() == [list(SIZE)] * 2
    compared = 0
    for key in source.keys:
        path = tmp_path / "take" / "poses" / f"frame_{key.number:06d}.json"
        joints = np.array(json.loads(path.read_text())[0]["keypoints_xyzs"])
        poses = source.truth(key).poses
        assert poses.id.tolist() == [3] and poses.valid[0].tolist() == [j != 5 for j in range(15)]
        np.testing.assert_allclose(
            poses.xyz_world[0, poses.valid[0]].numpy(), joints[joints[:, 3] > 0.1, :3], atol=1e-6
        )
        xy, front = rig.project(poses.xyz_world)
        for view, (R, t, K) in enumerate(cameras):
            local = joints[:, :3] @ R.T + t
            theirs, _ = cv2.projectPoints(local, np.zeros(3), np.zeros(3), K, np.array(LENS))
            # Far outside the image both clamp the lens in ways of their own.
            near = poses.valid[0].numpy() & (local[:, 2] > 200) & (np.abs(local[:, :2] / local[:, 2:]) < 1).all(1)
            np.testing.assert_allclose(xy[view, 0].numpy()[near], theirs[near, 0], atol=1e-6, rtol=0)
            assert (front[view, 0].numpy() == (local[:, 2] > 0))[poses.valid[0].numpy()].all()
            compared += int(near.sum())
    assert compared >= 60


def test_cameras_come_back_to_a_millionth(tmp_path: Path) -> None:
    cameras = write_take(tmp_path)
    rig = read_calibration_mm_or(tmp_path / "take", VIEWS, size=(1, 1))
    for view, (R, t, K) in enumerate(cameras):
        np.testing.assert_allclose(rig.rotation[view].numpy(), R, atol=1e-9)
        np.testing.assert_allclose(rig.translation[view].numpy(), t, atol=1e-6)
        np.testing.assert_allclose(rig.matrix[view].numpy(), K, atol=1e-9)
        assert rig.distortion[view].tolist() == list(LENS)


def test_a_missing_picture_costs_its_view_only(tmp_path: Path) -> None:
    write_take(tmp_path)
    (tmp_path / "take" / "colorimage" / "camera02_colorimage-000011.jpg").unlink()
    source = open_mm_or(tmp_path, Split("train", (Block("take"),), imaged_frames), views=VIEWS)
    frame, truth = MultiViewDataset(source, source.traits.input_size)[1]
    assert frame.number == 11 and frame.require_images().present.tolist() == [True, False] and truth.annotated
    assert frame.require_images().pixels.shape == (2, 3, 576, 768)


def test_training_needs_no_annotation(tmp_path: Path) -> None:
    write_take(tmp_path)
    (tmp_path / "take" / "poses").rename(tmp_path / "elsewhere")
    source = open_mm_or(tmp_path, Split("train", (Block("take"),), imaged_frames), views=VIEWS)
    assert len(source.keys) == 4 and not source.truth(source.keys[0]).annotated
    with pytest.raises(InputError, match="poses"):
        open_mm_or(tmp_path, ALL, views=VIEWS)


def test_the_frame_is_the_number_behind_the_last_underscore(tmp_path: Path) -> None:
    write_take(tmp_path, frames=range(1))
    place = tmp_path / "take" / "poses"
    (place / "frame_000000.json").rename(place / "2024_01_02_000123.json")
    (place / "000124.json").write_text("[]")
    (place / "notes.json").write_text("{}")
    source = open_mm_or(tmp_path, ALL, views=VIEWS)
    assert [key.number for key in source.keys] == [123, 124]
    assert len(source.truth(source.keys[0]).poses.id) == 1
    nobody = source.truth(source.keys[1])
    assert nobody.annotated and len(nobody.poses.id) == 0


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"004_PKA.*011_TKA, 036_PKA"):
        open_mm_or(tmp_path)
    write_take(tmp_path)
    path = tmp_path / "take" / "camera02.json"
    record = json.loads(path.read_text())
    record["value0"]["camera_pose"]["rotation"]["w"] += 1
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"camera02\.json.*camera_pose.*length"):
        open_mm_or(tmp_path, ALL, views=VIEWS)
    del record["value0"]["color_parameters"]["radial_distortion"]["m50"]
    record["value0"]["camera_pose"] = record["value0"]["color2depth_transform"]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"camera02\.json.*'m50'"):
        open_mm_or(tmp_path, ALL, views=VIEWS)
    (tmp_path / "people_1.json").write_text('[{"id": 1, "keypoints_xyzs": [[1, 2, 3, 4]]}]')
    with pytest.raises(InputError, match=r"people_1\.json: 0: keypoints_xyzs: 60 numbers"):
        read_people(tmp_path / "people_1.json")


def test_splits_are_the_literatures() -> None:
    parts = [set(split.sequences) for split in (MM_OR_TRAIN, MM_OR_VALIDATION, MM_OR_TEST)]
    assert [len(part) for part in parts] == [16, 1, 3] and len(set.union(*parts)) == 20
    assert sum(block.most or 0 for block in MM_OR_TEST.blocks) == 750
    assert (MM_OR.image_size, MM_OR.input_size, MM_OR.score_threshold) == ((2048, 1536), (768, 576), 0.15)
