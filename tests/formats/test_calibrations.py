"""Every calibration format: there and back, a second path through OpenCV, and refusals that name the culprit."""

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.calibration.json_files import PANOPTIC_FROM_OURS, SCHEMA, read_calibration_panoptic
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import read_calibration
from dispose.geometry.rigid import look_at, quaternion, rotation_vector
from dispose.scene.cameras import Cameras

POINTS = torch.tensor([[300.0, -200.0, 1500.0], [-500.0, 400.0, 900.0], [0.0, 0.0, 100.0]], dtype=torch.float64)


def rig(rational: bool = False) -> Cameras:
    angle = torch.arange(3, dtype=torch.float64) * 2
    centre = torch.stack([4000 * angle.cos(), 4000 * angle.sin(), 2000 + 200 * angle], -1)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(3, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    matrix = torch.tensor([[1100.5, 0, 959.5], [0, 1080.25, 539.5], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    lens = torch.tensor([-0.2, 0.05, 1e-3, -2e-3, 0.01, 0, 0, 0], dtype=torch.float64).repeat(3, 1)
    if rational:
        lens[:, 5:] = torch.tensor([0.05, -0.02, 0.001])
    size = torch.tensor([1920.0, 1080.0], dtype=torch.float64).repeat(3, 1)
    return Cameras(("cam_1", "cam_2", "Kamera drei"), size, matrix, lens, rotation, translation)


def write_panoptic(path: Path, cameras: Cameras) -> None:
    """Cameras as Panoptic writes them: cm, y down."""
    records = [
        {
            "name": name,
            "type": "hd",
            "resolution": [round(x) for x in cameras.size[v].tolist()],
            "K": cameras.matrix[v].tolist(),
            "distCoef": cameras.distortion[v].tolist()[: 8 if bool(cameras.distortion[v, 5:].any()) else 5],
            "R": (cameras.rotation[v] @ PANOPTIC_FROM_OURS.T).tolist(),
            "t": (cameras.translation[v] / 10)[:, None].tolist(),
        }
        for v, name in enumerate(cameras.names)
    ]
    path.write_text(json.dumps({"calibDataSource": "test", "cameras": records}, indent=1))


def write_voxelpose(path: Path, cameras: Cameras) -> None:
    """Cameras as the files of Shelf and Campus hold them; no skew, no rational lens."""
    record = {}
    for v, name in enumerate(cameras.names):
        matrix, lens = cameras.matrix[v], cameras.distortion[v].tolist()
        record[name.removeprefix("Camera")] = {
            "R": cameras.rotation[v].tolist(), "T": cameras.centres[v][:, None].tolist(),
            "fx": float(matrix[0, 0]), "fy": float(matrix[1, 1]), "cx": float(matrix[0, 2]), "cy": float(matrix[1, 2]),
            "k": [[lens[0]], [lens[1]], [lens[4]]], "p": [[lens[2]], [lens[3]]],
        }  # fmt: skip
    path.write_text(json.dumps(record, indent=1))


def write_colmap(folder: Path, cameras: Cameras, mm_per_unit: float = 250.0) -> None:
    """A model in COLMAP's text form (FULL_OPENCV, no points); no skew."""
    folder.mkdir()
    lenses, images = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"], ["# IMAGE_ID, QW, …, CAMERA_ID, NAME"]
    for v, name in enumerate(cameras.names):
        matrix, (width, height) = cameras.matrix[v], cameras.size[v].tolist()
        numbers = [matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5, *cameras.distortion[v]]
        lenses.append(f"{v + 1} FULL_OPENCV {round(width)} {round(height)} {' '.join(repr(float(x)) for x in numbers)}")
        pose = (*quaternion(cameras.rotation[v]), *(cameras.translation[v] / mm_per_unit))
        images += [f"{v + 1} {' '.join(repr(float(x)) for x in pose)} {v + 1} {name}.png", ""]
    (folder / "cameras.txt").write_text("\n".join(lenses) + "\n")
    (folder / "images.txt").write_text("\n".join(images) + "\n")


def write_opencv(folder: Path, cameras: Cameras) -> None:
    """``intri.yml`` and ``extri.yml`` as EasyMocap keeps them, metres."""
    folder.mkdir(exist_ok=True)
    for file in ("intri", "extri"):
        storage = cv2.FileStorage(str(folder / f"{file}.yml"), cv2.FILE_STORAGE_WRITE)
        storage.startWriteStruct("names", cv2.FILE_NODE_SEQ)
        for name in cameras.names:
            storage.write("", name)
        storage.endWriteStruct()
        for v, name in enumerate(cameras.names):
            if file == "intri":
                storage.write(f"K_{name}", cameras.matrix[v].contiguous().numpy())
                storage.write(f"dist_{name}", cameras.distortion[v][None].contiguous().numpy())
                storage.write(f"W_{name}", float(cameras.size[v, 0]))
                storage.write(f"H_{name}", float(cameras.size[v, 1]))
            else:
                storage.write(f"R_{name}", rotation_vector(cameras.rotation[v])[:, None].contiguous().numpy())
                storage.write(f"Rot_{name}", cameras.rotation[v].contiguous().numpy())
                storage.write(f"T_{name}", (cameras.translation[v] / 1000)[:, None].contiguous().numpy())
        storage.release()


def assert_same(found: Cameras, cameras: Cameras) -> None:
    assert len(found) == len(cameras)
    assert_close(found.project(POINTS)[0], cameras.project(POINTS)[0], atol=1e-7, rtol=0)
    assert_close(found.centres, cameras.centres, atol=1e-7, rtol=0)
    assert_close(found.size, cameras.size)


def write_calibration_json(path: Path, cameras: Cameras) -> None:
    views = [
        {
            "name": name,
            "width": float(cameras.size[v, 0]),
            "height": float(cameras.size[v, 1]),
            "K": cameras.matrix[v].tolist(),
            "R": cameras.rotation[v].tolist(),
            "t": cameras.translation[v].tolist(),
            "dist": cameras.distortion[v].tolist(),
        }
        for v, name in enumerate(cameras.names)
    ]
    path.write_text(json.dumps({"schema": SCHEMA, "units": "mm", "views": views}))


WRITERS: dict[str, Callable[[Path, Cameras], None]] = {
    "rig.toml": write_calibration_toml,
    "rig.json": write_calibration_json,
    "calibration_x.json": write_panoptic,
    "shelf.json": write_voxelpose,
    "opencv": write_opencv,
    "colmap": write_colmap,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("rational", [False, True])
def test_there_and_back(tmp_path: Path, name: str, rational: bool) -> None:
    cameras = rig(rational)
    if rational and name == "shelf.json":
        return
    WRITERS[name](tmp_path / name, cameras)
    found = read_calibration(tmp_path / name, mm_per_unit=250.0 if name == "colmap" else None)
    assert_same(found, cameras)
    assert found.names == cameras.names or name == "shelf.json"
    assert not [p.name for p in tmp_path.rglob(".*")]


def opencv_pixels(rotation: np.ndarray, metres: np.ndarray, matrix: np.ndarray, lens: np.ndarray) -> torch.Tensor:
    xy, _ = cv2.projectPoints(POINTS.numpy() / 1000, rotation, metres, matrix, lens)
    return torch.from_numpy(xy[:, 0])


def test_toml_as_pose2sim_reads_it(tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "Calib.toml", rig())
    tables = tomllib.loads((tmp_path / "Calib.toml").read_text())
    cameras = [table for table in tables.values() if "matrix" in table]
    for v, table in enumerate(cameras):
        xy = opencv_pixels(*(np.array(table[key]) for key in ("rotation", "translation", "matrix", "distortions")))
        assert_close(xy, rig().project(POINTS)[0][v], atol=1e-7, rtol=0)


def test_yaml_as_opencv_reads_it(tmp_path: Path) -> None:
    write_opencv(tmp_path, rig())
    extri = cv2.FileStorage(str(tmp_path / "extri.yml"), cv2.FILE_STORAGE_READ)
    intri = cv2.FileStorage(str(tmp_path / "intri.yml"), cv2.FILE_STORAGE_READ)
    name = rig().names[1]
    xy = opencv_pixels(
        extri.getNode(f"R_{name}").mat(), extri.getNode(f"T_{name}").mat(),
        intri.getNode(f"K_{name}").mat(), intri.getNode(f"dist_{name}").mat(),
    )  # fmt: skip
    assert_close(xy, rig().project(POINTS)[0][1], atol=1e-7, rtol=0)


def test_panoptic_axes_and_units(tmp_path: Path) -> None:
    write_panoptic(tmp_path / "c.json", rig())
    record = json.loads((tmp_path / "c.json").read_text())["cameras"][0]
    centimetres_y_down = np.stack([POINTS[:, 0], -POINTS[:, 2], POINTS[:, 1]], -1) / 10
    xy, _ = cv2.projectPoints(
        centimetres_y_down, np.array(record["R"]), np.array(record["t"]), np.array(record["K"]),
        np.array(record["distCoef"]),
    )  # fmt: skip
    assert_close(torch.from_numpy(xy[:, 0]), rig().project(POINTS)[0][0], atol=1e-7, rtol=0)


def test_the_shared_originals(shared_data: Path) -> None:
    raw, rigs = shared_data / "raw", shared_data / "rigs"
    for original, converted in (
        (raw / "shelf3" / "calibration_shelf.json", rigs / "shelf.json"),
        (raw / "campus3" / "calibration_campus.json", rigs / "campus.json"),
    ):
        found, wanted = read_calibration(original), read_calibration(converted)
        assert_close(found.project(POINTS)[0], wanted.project(POINTS)[0], atol=1e-3, rtol=0)
    calibration = raw / "panoptic" / "160906_band1" / "calibration_160906_band1.json"
    wanted = read_calibration(shared_data / "panoptic_mini" / "cameras.json")
    found = read_calibration_panoptic(calibration, wanted.names)
    assert_close(found.project(POINTS)[0], wanted.project(POINTS)[0], atol=1e-3, rtol=0)
    assert len(read_calibration(calibration)) == 31
    found = read_calibration(raw / "pose2sim_multi" / "calib" / "Calib_qualisys.toml")
    published = read_calibration(shared_data / "pose2sim" / "cameras.json")
    assert_close(found.centres, published.centres, atol=1e-3, rtol=0)
    assert_close(found.rotation, published.rotation, atol=1e-9, rtol=0)


def spoiled(cameras: Cameras, field: str, view: int, value: torch.Tensor) -> Cameras:
    tensor = cameras.__dict__[field].clone()
    tensor[view] = value
    return replace(cameras, **{field: tensor})


EYE = torch.eye(3, dtype=torch.float64)
IMPOSSIBLE = {
    "rotation is singular": ("rotation", torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]])),
    "rotation is not orthonormal": ("rotation", EYE * 1.01),
    "rotation is a reflection": ("rotation", torch.diag(torch.tensor([1.0, 1, -1]))),
    "focal length in x is -900": ("matrix", torch.tensor([[-900.0, 0, 5], [0, 900, 5], [0, 0, 1]])),
    "focal length in y is 0": ("matrix", torch.tensor([[900.0, 0, 5], [0, 0, 5], [0, 0, 1]])),
    "focal length in x is 3 pixels, which no lens has": ("matrix", torch.tensor([[3.0, 0, 5], [0, 900, 5], [0, 0, 1]])),
    "focal length in y is 5e+08 pixels": ("matrix", torch.tensor([[900.0, 0, 5], [0, 5e8, 5], [0, 0, 1]])),
    "principal point in x is 4000, far outside": ("matrix", torch.tensor([[900.0, 0, 4e3], [0, 900, 5], [0, 0, 1]])),
    "principal point in y is -1200, far out": ("matrix", torch.tensor([[900.0, 0, 5], [0, 900, -1200], [0, 0, 1]])),
    "the picture is 1.92e+08 x 1080": ("size", torch.tensor([1.92e8, 1080.0])),
    "translation is": ("translation", torch.tensor([1e13, 0.0, 0.0])),
    "the picture is 0 x 1080": ("size", torch.tensor([0.0, 1080.0])),
    "intrinsic matrix is not upper triangular": ("matrix", torch.tensor([[900.0, 0, 5], [0, 900, 5], [0, 0, 2]])),
}


@pytest.mark.parametrize("sentence", IMPOSSIBLE)
def test_impossible_cameras_are_named(tmp_path: Path, sentence: str) -> None:
    field, value = IMPOSSIBLE[sentence]
    write_calibration_json(tmp_path / "rig.json", spoiled(rig(), field, 1, value.double()))
    with pytest.raises(InputError, match=re.escape(f"rig.json: camera cam_2: {sentence}")):
        read_calibration(tmp_path / "rig.json")


def test_impossible_rigs_are_named(tmp_path: Path) -> None:
    cameras, path = rig(), tmp_path / "rig.json"
    write_calibration_json(path, cameras.select(views=[0]))
    with pytest.raises(InputError, match=r"rig\.json: at least two cameras are needed, there is 1 \(cam_1\)"):
        read_calibration(path)
    write_calibration_json(path, replace(cameras.select(views=[0, 1, 1]), names=("a", "b", "c")))
    with pytest.raises(InputError, match="cameras b and c stand at one place"):
        read_calibration(path)
    write_calibration_json(path, replace(cameras, names=("a", "b", "a")))
    with pytest.raises(InputError, match="camera a: the name occurs 2 times"):
        read_calibration(path)


def test_toml_rotation_matrices_and_lenses(tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "rig.toml", rig())
    text = (tmp_path / "rig.toml").read_text()
    matrix = [list(row) for row in rig().rotation[0].tolist()]
    vector = tomllib.loads(text)["cam_1"]["rotation"]
    (tmp_path / "matrix.toml").write_text(text.replace(f"rotation = {vector}", f"rotation = {matrix}"))
    assert_same(read_calibration(tmp_path / "matrix.toml"), rig())
    (tmp_path / "eye.toml").write_text(text.replace("fisheye = false", "fisheye = true", 1))
    with pytest.raises(InputError, match=r"eye\.toml: camera cam_1: distortion number 5 is 0\.01, but a fish"):
        read_calibration(tmp_path / "eye.toml")
    (tmp_path / "nan.toml").write_text(text.replace("size = [1920.0", "size = [nan", 1))
    with pytest.raises(InputError, match=r"nan\.toml: camera cam_1: size: number 1 is nan"):
        read_calibration(tmp_path / "nan.toml")
    for wrong in ('"1920"', "true", "[1, 2]", "1" + 400 * "0"):
        (tmp_path / "text.toml").write_text(text.replace("size = [1920.0", f"size = [{wrong}", 1))
        with pytest.raises(InputError, match=r"text\.toml: camera cam_1: size: numbers are expected, not"):
            read_calibration(tmp_path / "text.toml")


@pytest.mark.parametrize("name", ["rig.toml", "rig.json", "calibration_x.json", "shelf.json"])
def test_truncated_files_are_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    WRITERS[name](path, rig())
    text = path.read_text()
    for keep in (0, 1, 17, len(text) // 3, len(text) // 2):
        path.write_text(text[:keep])
        with pytest.raises(InputError, match=path.name) as caught:
            read_calibration(path)
        assert "\n" not in str(caught.value)


def test_other_broken_files(tmp_path: Path) -> None:
    binary = tmp_path / "rig.json"
    binary.write_bytes(b"\xff\xfd\x00\x9c")
    with pytest.raises(InputError, match=r"rig\.json: is not a text file"):
        read_calibration(binary)
    binary.write_text('{"other": 1}')
    with pytest.raises(InputError, match="no calibration we know"):
        read_calibration(binary)
    binary.write_text('{"views": [{"name": "a", "width": "wide", "height": 2}]}')
    with pytest.raises(InputError, match=r"rig\.json: camera a: width: a number is expected, not 'wide'"):
        read_calibration(binary)
    with pytest.raises(InputError, match="no such calibration"):
        read_calibration(tmp_path / "absent.toml")
    write_colmap(tmp_path / "model", rig())
    with pytest.raises(InputError, match="its scale is unknown; say how many mm one of its units is"):
        read_calibration(tmp_path / "model")
    write_calibration_toml(tmp_path / "rig.toml", rig())
    found = read_calibration(tmp_path / "rig.toml", mm_per_unit=250.0)
    assert_close(found.translation, rig().translation / 4)
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="mm per unit are given, which is no length"):
            read_calibration(tmp_path / "rig.toml", mm_per_unit=wrong)
    write_opencv(tmp_path / "easy", rig())
    extri = tmp_path / "easy" / "extri.yml"
    extri.write_text(extri.read_text().replace("T_cam_2", "U_cam_2"))
    with pytest.raises(InputError, match=r"extri\.yml: no matrix 'T_cam_2'"):
        read_calibration(tmp_path / "easy")
    extri.write_text("{ nonsense")
    with pytest.raises(InputError, match=r"extri\.yml"):
        read_calibration(tmp_path / "easy")


def test_colmap_words(tmp_path: Path) -> None:
    cameras, images = tmp_path / "cameras.txt", tmp_path / "images.txt"
    cameras.write_text("# c\n1 SIMPLE_RADIAL 1920 1080 1000 960 540 -0.1\n2 PINHOLE 640 480 500 510 320 240\n")
    images.write_text("1 1 0 0 0 0 0 4 1 left.jpg\n10 10 -1\n2 1 0 0 0 1 0 4 2 sub/right.png\n\n")
    found = read_calibration(tmp_path, mm_per_unit=1000.0)
    assert found.names == ("left", "sub/right")
    assert found.matrix[0, :2, 2].tolist() == [959.5, 539.5]
    assert found.distortion[0].tolist() == [-0.1, 0, 0, 0, 0, 0, 0, 0]
    assert found.translation[1].tolist() == [1000, 0, 4000]
    cameras.write_text("1 THIN_PRISM 1920 1080 1\n")
    with pytest.raises(InputError, match=r"cameras\.txt: camera 1: lens model 'THIN_PRISM' is not supported"):
        read_calibration(tmp_path, mm_per_unit=1.0)
    cameras.write_text("1 PINHOLE 640 480 500 510 320 240\n")
    images.write_text("1 0.5 0 0 0 0 0 4 1 left.jpg\n\n")
    with pytest.raises(InputError, match=r"quaternion has length 0\.5"):
        read_calibration(tmp_path, mm_per_unit=1.0)
    cameras.write_text(
        "1 OPENCV_FISHEYE 640 480 500 510 320 240 0.1 -0.02 0.003 -0.0004\n2 PINHOLE 640 480 500 510 320 240\n"
    )
    # An editor has taken the empty lines out: every line is a pose.
    images.write_text("1 1 0 0 0 0 0 4 1 left.jpg\n2 1 0 0 0 1 0 4 2 my right.png\n3 1 0 0 0 2 0 4 2 0003.png\n")
    found = read_calibration(tmp_path, mm_per_unit=1.0)
    assert found.names == ("left", "my right", "0003")
    assert found.fisheye is not None and found.fisheye.tolist() == [True, False, False]
    assert found.distortion[0].tolist() == [0.1, -0.02, 0.003, -0.0004, 0, 0, 0, 0]
    images.write_text("1 1 0 0 0 0 0 4 1 left.jpg\n1 1 0 0 0 1 0 4 2 right.png\n")
    with pytest.raises(InputError, match=r"images\.txt: line 2: image 1 is there twice \(line 1\)"):
        read_calibration(tmp_path, mm_per_unit=1.0)
    cameras.write_text("1 PINHOLE 640 480 500 510 320 240\n1 PINHOLE 640 480 500 510 320 240\n")
    with pytest.raises(InputError, match=r"cameras\.txt: camera 1: is there twice"):
        read_calibration(tmp_path, mm_per_unit=1.0)
