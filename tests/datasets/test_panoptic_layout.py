"""CMU Panoptic in its original layout: the real files where they are at hand, and files that the tests write."""

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.datasets.layouts.panoptic import (
    CMU0,
    CMU0_3,
    CMU0_4,
    CMU0_6,
    CMU0_7,
    CMU1,
    CMU2,
    CMU3,
    CMU4,
    PANOPTIC,
    PANOPTIC_TEST,
    PANOPTIC_TRAIN,
    PANOPTIC_VALIDATION,
    annotated_frames,
    imaged_frames,
    open_panoptic,
)
from dispose.datasets.layouts.source import Block, Layout, Split
from dispose.datasets.multiview import MultiViewDataset, read_raw
from dispose.errors import InputError
from dispose.formats.body3d import read_bodies, world_from_panoptic
from dispose.skeletons.catalog import PANOPTIC_15, PANOPTIC_19

ALL = Split("all", (Block("walk"),), annotated_frames)
SIZE = (96, 54)
VIEWS = ("00_03", "00_06")


def write_sequence(root: Path, name: str, frames: range) -> Path:
    """A small sequence: two cameras, two people of whom one walks off, images of two frames."""
    folder = root / name
    rng = np.random.default_rng(5)
    cameras = []
    for node, angle in ((3, 0.3), (6, 1.7), (9, 3.0)):
        rotation = cv2.Rodrigues(np.array([0.1, angle, -0.05]))[0]
        cameras.append(
            {
                "name": f"00_{node:02d}", "type": "hd", "resolution": list(SIZE), "panel": 0, "node": node,
                "K": [[70.0, 0, 47.1], [0, 69.5, 26.8], [0, 0, 1]],
                "distCoef": [-0.28, 0.17, -0.0002, 0.0001, -0.04],
                "R": rotation.tolist(), "t": [[4.0], [100.0], [300.0 + node]],
            }
        )  # fmt: skip
    cameras.append({**cameras[0], "name": "01_01", "type": "vga"})
    (folder / "hdPose3d_stage1_coco19").mkdir(parents=True)
    (folder / f"calibration_{name}.json").write_text(json.dumps({"calibDataSource": "made", "cameras": cameras}))
    for number in frames:
        bodies = []
        for person in range(2 if number % 2 == 0 else 1):
            joints = np.concatenate([rng.normal(0, 40, (19, 3)) - [0, 90, 0], rng.uniform(0.2, 1, (19, 1))], 1)
            joints[7] = [0, 0, 0, -1]
            bodies.append({"id": 4 + person, "joints19": joints.reshape(-1).tolist()})
        path = folder / "hdPose3d_stage1_coco19" / f"body3DScene_{number:08d}.json"
        path.write_text(json.dumps({"version": 0.7, "univTime": 1.0, "bodies": bodies}))
    for view in VIEWS:
        (folder / "hdImgs" / view).mkdir(parents=True)
        for number in frames[:2]:
            picture = rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "hdImgs" / view / f"{view}_{number:08d}.jpg"), picture)
    return folder


def opencv_projection(calibration: Path, camera: str, joints: np.ndarray) -> np.ndarray:
    """Where OpenCV sees the file's own joints (cm, y down) with the file's own numbers."""
    entry = next(c for c in json.loads(calibration.read_text())["cameras"] if c["name"] == camera)
    rotation, _ = cv2.Rodrigues(np.array(entry["R"]))
    matrix, lens, shift = (np.array(entry[key], dtype=float) for key in ("K", "distCoef", "t"))
    points, _ = cv2.projectPoints(np.ascontiguousarray(joints), rotation, shift, matrix, lens)
    return points[:, 0]


def assert_projects_like_opencv(folder: Path, source: Layout) -> int:
    """Every known joint of every frame in every view, against the independent path; the number compared."""
    compared = 0
    for key in source.keys:
        path = folder / "hdPose3d_stage1_coco19" / f"body3DScene_{key.number:08d}.json"
        bodies = {b["id"]: np.array(b["joints19"]).reshape(-1, 4) for b in json.loads(path.read_text())["bodies"]}
        truth, cameras = source.truth(key), source.rigs[key.sequence]
        assert set(truth.poses.id.tolist()) <= set(bodies) and truth.annotated
        xy, _ = cameras.project(truth.poses.xyz_world)
        for row, person in enumerate(truth.poses.id.tolist()):
            joints = bodies[person][:15]
            assert truth.poses.valid[row].tolist() == (joints[:, 3] > 0.1).tolist()
            for view, name in enumerate(cameras.names):
                theirs = opencv_projection(folder / f"calibration_{folder.name}.json", name, joints[:, :3])
                known = truth.poses.valid[row].numpy()
                np.testing.assert_allclose(xy[view, row].numpy()[known], theirs[known], atol=1e-6, rtol=0)
                compared += int(known.sum())
    return compared


def test_made_sequence_projects_like_opencv(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path, "walk", range(100, 106))
    source = open_panoptic(tmp_path, ALL, views=VIEWS)
    assert [key.number for key in source.keys] == [*range(100, 106)]
    assert source.rigs["walk"].size.tolist() == [list(SIZE)] * 2
    assert assert_projects_like_opencv(folder, source) == 9 * 14 * 2


def test_real_sequence_projects_like_opencv(shared_data: Path) -> None:
    root = shared_data / "raw" / "panoptic"
    split = Split("all", (Block("160906_band1"),), annotated_frames)
    source = open_panoptic(root, split)
    assert [key.number for key in source.keys] == [*range(168, 188)]
    assert source.rigs["160906_band1"].size.tolist() == [list(PANOPTIC.image_size)] * 5
    assert assert_projects_like_opencv(root / "160906_band1", source) > 20 * 2 * 10 * 5
    people = [source.truth(key).poses for key in source.keys]
    assert {len(poses.id) for poses in people} == {3}
    # Upright people on the floor of the dome: hips at a chair's or a standing person's height, heads above them.
    hips = torch.stack([poses.xyz_world[:, PANOPTIC_15.index("mid_hip"), 2] for poses in people])
    noses = torch.stack([poses.xyz_world[:, PANOPTIC_15.index("nose"), 2] for poses in people])
    assert float(hips.min()) > 400 and float(hips.max()) < 1200 and bool((noses > hips).all())


def test_real_sequence_agrees_with_the_converted_table(shared_data: Path) -> None:
    from dispose.datasets.tables.panoptic import Simulation, read_panoptic_mini

    split = Split("all", (Block("160906_band1"),), annotated_frames)
    source = open_panoptic(shared_data / "raw" / "panoptic", split)
    table = read_panoptic_mini(shared_data / "panoptic_mini", skeleton=PANOPTIC_15, simulation=Simulation(0.0, 0.0))
    for key, (frame, labels) in zip(source.keys, table, strict=True):
        truth = source.truth(key)
        assert frame.number == key.number and labels.poses.id.tolist() == truth.poses.id.tolist()
        torch.testing.assert_close(truth.poses.valid, labels.poses.valid)
        torch.testing.assert_close(truth.poses.xyz_world, labels.poses.xyz_world, atol=1e-3, rtol=0)
        cameras = source.rigs[key.sequence]
        torch.testing.assert_close(cameras.translation, frame.cameras.translation, atol=1e-6, rtol=0)
        torch.testing.assert_close(cameras.rotation, frame.cameras.rotation, atol=1e-9, rtol=0)


def test_real_pictures_with_their_cameras(shared_data: Path, tmp_path: Path) -> None:
    # The images belong to a sequence without truth: laid out as the tool box does, they are read as any other.
    raw = shared_data / "raw" / "panoptic" / "images"
    folder = tmp_path / "tent"
    (folder / "hdImgs").mkdir(parents=True)
    (folder / "calibration_tent.json").symlink_to(raw / "camera_parameters.json")
    for view in CMU0:
        (folder / "hdImgs" / view).symlink_to(raw / view)
    source = open_panoptic(tmp_path, Split("all", (Block("tent"),), imaged_frames))
    assert [key.number for key in source.keys] == [4500, 9348]
    frame, truth = MultiViewDataset(source, source.traits.input_size)[0]
    assert frame.require_images().pixels.shape == (5, 3, 512, 960) and bool(frame.require_images().present.all())
    assert not truth.annotated and len(truth.poses.id) == 0
    # The originals have no black columns: what is at their left edge is the image.
    raw = read_raw(source, source.keys[0])
    assert all(picture is not None and picture[:, 0].mean() > 40 for picture in raw.images)
    # 1920 x 1080 into 960 x 512: the image fills the height, and a strip at either side stays black.
    assert bool((frame.require_images().pixels[:, :, 256, 0] < frame.require_images().pixels[:, :, 256, 480]).any())
    scale = frame.require_images().input_from_image[0, 0, 0]
    torch.testing.assert_close(scale, torch.tensor(512 / 1080).double())


def test_units_and_axes() -> None:
    assert world_from_panoptic(torch.tensor([1.0, -2, 3]).double()).tolist() == [10.0, 30.0, 20.0]


def test_unknown_joints_and_people(tmp_path: Path) -> None:
    joints = np.ones((19, 4))
    joints[0, 3], joints[3] = 0.1, [0, 0, 0, -1]
    lost = joints.copy()
    lost[2, 3] = 0.05
    path = tmp_path / "body3DScene_00000001.json"
    bodies = [{"id": 7, "joints19": joints.reshape(-1).tolist()}, {"id": 8, "joints19": lost.reshape(-1).tolist()}]
    path.write_text(json.dumps({"bodies": bodies}))
    everybody = read_bodies(path).poses(PANOPTIC_19, known_above=0.1)
    assert everybody.id.tolist() == [7, 8] and everybody.valid[0].tolist() == [j not in (0, 3) for j in range(19)]
    assert bool((everybody.xyz_world[0, [0, 3]] == 0).all()) and bool((everybody.confidence <= 1).all())
    folder = write_sequence(tmp_path, "walk", range(1))
    path.rename(folder / "hdPose3d_stage1_coco19" / "body3DScene_00000000.json")
    source = open_panoptic(tmp_path, ALL, views=VIEWS)
    assert source.truth(source.keys[0]).poses.id.tolist() == [7]


def test_a_frame_without_people_is_annotated(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path, "walk", range(4))
    (folder / "hdPose3d_stage1_coco19" / "body3DScene_00000000.json").write_text('{"bodies": []}')
    source = open_panoptic(tmp_path, ALL, views=VIEWS)
    frame, truth = MultiViewDataset(source, source.traits.input_size)[0]
    assert truth.annotated and len(truth.poses.id) == 0 and bool(frame.require_images().present.all())


def test_training_frames_are_those_with_pictures(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path, "walk", range(100, 104))
    for path in (folder / "hdPose3d_stage1_coco19").iterdir():
        path.unlink()
    (folder / "hdPose3d_stage1_coco19").rmdir()
    (folder / "hdImgs" / "00_03" / "00_03_00000100.jpg").unlink()
    source = open_panoptic(tmp_path, Split("train", (Block("walk"),), imaged_frames), views=VIEWS)
    assert [key.number for key in source.keys] == [100, 101]
    frame, truth = MultiViewDataset(source, source.traits.input_size)[0]
    assert frame.require_images().present.tolist() == [False, True] and not truth.annotated
    with pytest.raises(InputError, match="hdPose3d_stage1_coco19"):
        open_panoptic(tmp_path, ALL, views=VIEWS)


def test_a_source_goes_to_the_workers_of_a_loader(tmp_path: Path) -> None:
    write_sequence(tmp_path, "walk", range(2))
    source = open_panoptic(tmp_path, ALL, views=VIEWS)
    there = pickle.loads(pickle.dumps(source))
    assert there.keys == source.keys and there.image(there.keys[1], 1) == source.image(source.keys[1], 1)
    assert torch.equal(there.truth(there.keys[0]).poses.xyz_world, source.truth(source.keys[0]).poses.xyz_world)


def test_every_twelfth_annotation_file(tmp_path: Path) -> None:
    write_sequence(tmp_path, "walk", range(150, 180))
    source = open_panoptic(tmp_path, Split("test", (Block("walk", every=12),), annotated_frames), views=VIEWS)
    assert [key.number for key in source.keys] == [150, 162, 174]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        open_panoptic(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"160906_pizza1.*160422_haggling1, 160906_ian5, 160906_band4"):
        open_panoptic(tmp_path)
    folder = write_sequence(tmp_path, "walk", range(2))
    with pytest.raises(InputError, match="00_30"):
        open_panoptic(tmp_path, ALL, views=(*VIEWS, "00_30"))
    (folder / "hdPose3d_stage1_coco19" / "body3DScene_00000001.json").write_text(
        '{"bodies": [{"id": 1, "joints19": [1]}]}'
    )
    source = open_panoptic(tmp_path, ALL, views=VIEWS)
    with pytest.raises(InputError, match=r"body3DScene_00000001\.json: bodies: 0: joints19: 76 numbers"):
        source.truth(source.keys[1])
    (folder / "calibration_walk.json").unlink()
    with pytest.raises(InputError, match=r"calibration_walk\.json"):
        open_panoptic(tmp_path, ALL, views=VIEWS)


def test_splits_and_set_ups_are_the_literatures() -> None:
    parts = [set(split.sequences) for split in (PANOPTIC_TRAIN, PANOPTIC_VALIDATION, PANOPTIC_TEST)]
    assert [len(part) for part in parts] == [9, 1, 4] and len(set.union(*parts)) == 14
    assert all(block.every == 12 for block in PANOPTIC_TEST.blocks)
    assert set(CMU0_3) < set(CMU0_4) < set(CMU0) < set(CMU0_6) < set(CMU0_7) and PANOPTIC.views == CMU0
    assert [len(s) for s in (CMU0_3, CMU0_4, CMU0, CMU0_6, CMU0_7)] == [3, 4, 5, 6, 7]
    assert CMU1 == ("00_01", "00_02", "00_03", "00_04", "00_06", "00_07", "00_10")
    assert CMU2 == ("00_12", "00_16", "00_18", "00_19", "00_22", "00_23", "00_30")
    assert CMU3 == ("00_10", "00_12", "00_16", "00_18") and CMU4 == ("00_06", "00_07", "00_10", "00_12")
