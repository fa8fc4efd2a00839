"""Shelf and Campus as VoxelPose lays them out: the real files where they are at hand, and files the tests write."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import torch

from dispose.datasets.layouts.actors import (
    CAMPUS,
    CAMPUS_TEST,
    CAMPUS_TRAIN,
    CAMPUS_VALIDATION,
    SHELF,
    SHELF_TEST,
    SHELF_TRAIN,
    SHELF_VALIDATION,
    frames_of_annotation,
    imaged_frames,
    open_campus,
    open_shelf,
)
from dispose.datasets.layouts.source import Block, FrameKey, Layout, Split
from dispose.datasets.multiview import MultiViewDataset
from dispose.datasets.tables.reading import poses_of, read_cameras, read_poses
from dispose.errors import InputError
from dispose.formats.actors_mat import read_actors
from dispose.skeletons.catalog import SHELF_14


@dataclass(frozen=True)
class Kind:
    """What the tests need to know of a data set."""

    name: str
    open: object
    calibration: str
    picture: str
    size: tuple[int, int]
    cameras: int


SHELF_KIND = Kind("Shelf", open_shelf, "calibration_shelf.json", "img_{n:06d}.png", (1032, 776), 5)
CAMPUS_KIND = Kind("Campus", open_campus, "calibration_campus.json", "campus4-c{c}-{n:05d}.png", (360, 288), 3)
KINDS = pytest.mark.parametrize("kind", [SHELF_KIND, CAMPUS_KIND], ids=["shelf", "campus"])


def opened(kind: Kind, folder: Path, split: Split) -> Layout:
    return open_shelf(folder, split) if kind.name == "Shelf" else open_campus(folder, split)


def write_recording(folder: Path, kind: Kind, frames: int, pictures: range) -> np.ndarray:
    """A made recording; returns the metres written, NaN where nobody is annotated."""
    rng = np.random.default_rng(2)
    record = {}
    for camera in range(kind.cameras):
        # Straight ahead in the file's axes is world +y turned by `angle`; everybody stands before every camera.
        angle = 0.9 * camera
        ahead, across = [-np.sin(angle), np.cos(angle), 0.0], [np.cos(angle), np.sin(angle), 0.0]
        centre = -9000 * np.array(ahead) + [0, 0, 1700 + camera]
        record[str(camera)] = {
            "R": [across, [0.0, 0.0, -1.0], ahead], "T": centre[:, None].tolist(),
            "fx": 1000.0, "fy": 1010.0, "cx": 500.5, "cy": 380.25,
            "k": [[0.01], [-0.02], [0.003]], "p": [[0.001], [-0.002]],
        }  # fmt: skip
        place = folder / f"Camera{camera}"
        place.mkdir(parents=True)
        for number in pictures:
            flat = np.full(kind.size[::-1], 7 * number + camera, np.uint8)
            cv2.imwrite(str(place / kind.picture.format(c=camera, n=number)), flat)
    (folder / kind.calibration).write_text(json.dumps(record))
    metres = rng.uniform(-1.5, 1.5, (3, frames, 14, 3))
    metres[1, ::2] = metres[2] = np.nan
    table = np.empty((1, 3), object)
    for person in range(3):
        cells = np.empty((frames, 1), object)
        for frame in range(frames):
            joints = metres[person, frame]
            cells[frame, 0] = np.zeros((1, 0)) if np.isnan(joints).all() else joints
        table[0, person] = cells
    scipy.io.savemat(folder / "actorsGT.mat", {"actor3D": table, "actor2D": table})
    return metres


def assert_projects_like_opencv(folder: Path, kind: Kind, source: Layout) -> int:
    """Every annotated joint in every view against OpenCV on the file's own numbers; the number compared."""
    record = json.loads((folder / kind.calibration).read_text())
    cells = scipy.io.loadmat(folder / "actorsGT.mat")["actor3D"]
    compared = 0
    for key in source.keys:
        poses = source.truth(key).poses
        xy, _ = source.rigs[key.sequence].project(poses.xyz_world)
        for row, actor in enumerate(poses.id.tolist()):
            person = cells[0, actor]
            while person.size == 1 and person.dtype == object:
                person = person.flat[0]
            metres = person.flat[key.number]
            for view, name in enumerate(source.rigs[kind.name].names):
                entry = record[name.removeprefix("Camera")]
                R, C = np.array(entry["R"]), np.array(entry["T"]).reshape(3)
                k, p = np.ravel(entry["k"]), np.ravel(entry["p"])
                K = np.array([[entry["fx"], 0, entry["cx"]], [0, entry["fy"], entry["cy"]], [0, 0, 1]])
                local = (metres * 1000 - C) @ R.T
                theirs, _ = cv2.projectPoints(local, np.zeros(3), np.zeros(3), K, np.array([k[0], k[1], *p, k[2]]))
                np.testing.assert_allclose(xy[view, row].numpy(), theirs[:, 0], atol=1e-6, rtol=1e-9)
                compared += len(theirs)
    return compared


@KINDS
def test_made_recording(kind: Kind, tmp_path: Path) -> None:
    metres = write_recording(tmp_path, kind, 8, range(2, 5))
    source = opened(kind, tmp_path, Split("all", (Block(kind.name),), frames_of_annotation))
    assert [key.number for key in source.keys] == [*range(8)]
    assert source.rigs[kind.name].size.tolist() == [list(kind.size)] * kind.cameras
    assert assert_projects_like_opencv(tmp_path, kind, source) == (8 + 4) * 14 * kind.cameras
    for key in source.keys:
        poses = source.truth(key).poses
        assert poses.id.tolist() == ([0] if key.number % 2 == 0 else [0, 1]) and bool(poses.valid.all())
        expected = torch.from_numpy(1000 * metres[poses.id.numpy(), key.number])
        torch.testing.assert_close(poses.xyz_world, expected, atol=1e-6, rtol=0)
    frame, truth = (lambda s: MultiViewDataset(s, s.traits.input_size))(
        opened(kind, tmp_path, Split("some", (Block(kind.name),), imaged_frames))
    )[1]
    assert frame.number == truth.number == 3 and bool(frame.require_images().present.all())
    width, height = source.traits.input_size
    assert frame.require_images().pixels.shape == (kind.cameras, 3, height, width)
    value = 255 * (frame.require_images().pixels[2, 0, height // 2, width // 2] * 0.229 + 0.485)
    assert float(value) == pytest.approx(7 * 3 + 2, abs=1e-3)


@KINDS
def test_real_recording(kind: Kind, shared_data: Path) -> None:
    folder = shared_data / "raw" / f"{kind.name.lower()}3"
    source = opened(kind, folder, Split("all", (Block(kind.name),), frames_of_annotation))
    assert len(source.keys) == 3 and len(source.rigs[kind.name]) == kind.cameras
    people = sum(len(source.truth(key).poses.id) for key in source.keys)
    assert people == (6 if kind.name == "Shelf" else 3)
    assert assert_projects_like_opencv(folder, kind, source) == people * 14 * kind.cameras
    # People stand upright in the space that the data set's record says.
    centre, size = torch.tensor(source.traits.space_centre_mm), torch.tensor(source.traits.space_size_mm)
    for key in source.keys:
        poses = source.truth(key).poses
        assert bool(((poses.xyz_world.mean(1) - centre).abs() <= size / 2).all())
        top, foot = poses.xyz_world[:, SHELF_14.index("top_head"), 2], poses.xyz_world[:, 0, 2]
        assert bool((top - foot > 1300).all()) and bool((top - foot < 2100).all())


def test_real_campus_agrees_with_the_converted_table(shared_data: Path) -> None:
    source = open_campus(shared_data / "raw" / "campus3", Split("all", (Block("Campus"),), frames_of_annotation))
    cameras, table = (
        read_cameras(shared_data / "campus3" / "cameras.json"),
        read_poses(shared_data / "campus3/gt3d.npz"),
    )
    torch.testing.assert_close(source.rigs["Campus"].translation, cameras.translation, atol=1e-6, rtol=0)
    torch.testing.assert_close(source.rigs["Campus"].size, cameras.size)
    for key in source.keys:
        theirs, ours = poses_of(table.at(key.number), SHELF_14), source.truth(key).poses
        torch.testing.assert_close(ours.xyz_world, theirs.xyz_world, atol=1e-2, rtol=0)


def test_real_shelf_calibration_is_that_of_the_table(shared_data: Path) -> None:
    source = open_shelf(shared_data / "raw" / "shelf3", Split("all", (Block("Shelf"),), frames_of_annotation))
    cameras = read_cameras(shared_data / "shelf" / "cameras.json")
    torch.testing.assert_close(source.rigs["Shelf"].centres, cameras.centres, atol=1e-2, rtol=0)
    torch.testing.assert_close(source.rigs["Shelf"].rotation, cameras.rotation, atol=1e-6, rtol=0)


def test_training_needs_no_annotation(tmp_path: Path) -> None:
    write_recording(tmp_path, CAMPUS_KIND, 4, range(3))
    (tmp_path / "actorsGT.mat").unlink()
    source = open_campus(tmp_path, Split("train", (Block("Campus"),), imaged_frames))
    assert len(source.keys) == 3 and not source.truth(source.keys[0]).annotated
    with pytest.raises(InputError, match=r"actorsGT\.mat"):
        open_campus(tmp_path)


def test_frames_beyond_the_annotations_have_none(tmp_path: Path) -> None:
    write_recording(tmp_path, CAMPUS_KIND, 4, range(1))
    source = open_campus(tmp_path, Split("all", (Block("Campus"),), frames_of_annotation))
    assert not source.truth(FrameKey("Campus", 99)).annotated


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "actorsGT.mat"
    with pytest.raises(InputError, match="nowhere"):
        open_shelf(tmp_path / "nowhere")
    path.write_text("no MATLAB file")
    with pytest.raises(InputError, match=r"actorsGT\.mat"):
        read_actors(path)
    scipy.io.savemat(path, {"actors": np.zeros(3)})
    with pytest.raises(InputError, match=r"'actor3D'.*there is actors"):
        read_actors(path)
    cells = np.empty((1, 2), object)
    for person in range(2):
        cells[0, person] = np.empty((2, 1), object)
        cells[0, person][:, 0] = [np.zeros((14, 3)), np.zeros((13, 3))]
    scipy.io.savemat(path, {"actor3D": cells})
    with pytest.raises(InputError, match=r"actor 0, frame 1: 14 x 3 numbers are expected, not \(13, 3\)"):
        read_actors(path)
    folder = tmp_path / "campus"
    write_recording(folder, CAMPUS_KIND, 2, range(1))
    with pytest.raises(InputError, match="no camera 'Camera7'"):
        open_campus(folder, views=("Camera0", "Camera7"))
    record = (folder / "calibration_campus.json").read_text()
    (folder / "calibration_campus.json").write_text(record[:200])
    with pytest.raises(InputError, match=r"calibration_campus\.json"):
        open_campus(folder)


@pytest.mark.parametrize(
    ("train", "validation", "test", "frames"),
    [
        (SHELF_TRAIN, SHELF_VALIDATION, SHELF_TEST, 3200),
        (CAMPUS_TRAIN, CAMPUS_VALIDATION, CAMPUS_TEST, 2000),
    ],
    ids=["shelf", "campus"],
)
def test_splits(train: Split, validation: Split, test: Split, frames: int) -> None:
    def numbers(split: Split) -> set[int]:
        return {n for block in split.blocks for n in block.of(range(frames))}

    assert numbers(train) < set(range(frames)) - numbers(test)
    held_back = sorted(numbers(validation))
    assert len(held_back) == 300
    # Fifty frames, two seconds, lie between what is trained on and what chooses between models.
    for other in (numbers(train), numbers(test)):
        assert min(abs(n - held_back[0]) for n in other) > 50 and not other & set(held_back)


def test_the_sizes_are_the_data_sets_own() -> None:
    assert (SHELF.image_size, SHELF.input_size) == ((1032, 776), (800, 608))
    assert (CAMPUS.image_size, CAMPUS.input_size) == ((360, 288), (800, 640))
