"""Calibrations in the dialects that people bring: each read as its makers mean it, wrong ones named, none executed."""

import json
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import open_calibration, read_calibration
from dispose.formats.calibration.rig import OURS_FROM_UP, UP_AXES
from dispose.geometry.rigid import rotation_vector
from dispose.scene.cameras import Cameras
from tests.formats.rigs_of_others import POINTS, assert_same, in_world, kalibr, rig, vicon, voxelpose

# Units and axes.


@pytest.mark.parametrize("up", UP_AXES)
def test_any_axis_may_be_up(tmp_path: Path, up: str) -> None:
    write_calibration_toml(tmp_path / "rig.toml", in_world(rig(), up))
    found = read_calibration(tmp_path / "rig.toml", up=up)
    assert_close(found.centres, rig().centres, atol=1e-6, rtol=0)
    assert_same(found, rig())
    turn = torch.tensor(OURS_FROM_UP[up], dtype=torch.float64)
    assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64))
    assert float(torch.linalg.det(turn)) == pytest.approx(1)
    axis = torch.zeros(3, dtype=torch.float64)
    axis["xyz".index(up[-1])] = -1 if up[0] == "-" else 1
    assert (turn @ axis).tolist() == [0, 0, 1]


# TOML.

CALISCOPE = """[cameras.{key}]
cam_id = {key}
rotation_count = 0
ignore = false
size = {size}
matrix = {matrix}
distortions = {lens}
rotation = {rotation}
translation = {translation}
"""


def caliscope(cameras: Cameras) -> list[str]:
    return [
        CALISCOPE.format(
            key=v + 1, size=cameras.size[v].tolist(), matrix=cameras.matrix[v].tolist(),
            lens=cameras.distortion[v, :5].tolist(), rotation=rotation_vector(cameras.rotation[v]).tolist(),
            translation=(cameras.translation[v] / 1000).tolist(),
        )
        for v in range(3)
    ]  # fmt: skip


def test_caliscope_nested_ignored_and_uncalibrated(tmp_path: Path) -> None:
    path, blocks = tmp_path / "camera_array.toml", caliscope(rig())
    path.write_text("\n".join(blocks))
    found = open_calibration(path)
    assert found.cameras.names == ("1", "2", "3") and found.notes == ()
    assert_same(found.cameras, rig())
    starts = ("rotation =", "translation =")
    rotation, shift = (next(line for line in blocks[1].splitlines() if line.startswith(start)) for start in starts)
    without = {
        "it has no rotation": blocks[1].replace(rotation, 'rotation = "null"').replace(shift, 'translation = "null"'),
        "it has no translation": blocks[1].replace(shift + "\n", ""),
        "its file says ignored = true": blocks[1].replace("ignore = false", "ignored = true"),
        "its translation is [nan, 1, 2]: it was not calibrated": blocks[1].replace(shift, "translation = [nan, 1, 2]"),
        f"its matrix is {3 * [3 * [0]]}: it was not calibrated": "\n".join(
            f"matrix = {3 * [3 * [0]]}" if line.startswith("matrix") else line for line in blocks[1].splitlines()
        ),
        "its file says ignore = true": blocks[1].replace("ignore = false", "ignore = true"),
        "it has no matrix": "\n".join(line for line in blocks[1].splitlines() if not line.startswith("matrix")),
    }
    for why, block in without.items():
        path.write_text("\n".join([blocks[0], block, blocks[2]]))
        found = open_calibration(path)
        assert found.cameras.names == ("1", "3")
        assert found.notes == (f"camera 2 is left out: {why}.",)
        path.write_text("\n".join([blocks[0], block]))
        with pytest.raises(InputError, match=re.escape(f"there is 1 (1). Camera 2 is left out: {why}")):
            open_calibration(path)
    path.write_text("\n".join(blocks).replace("ignore = false", 'ignore = "false"', 1))
    with pytest.raises(InputError, match=r"camera 1: ignore: true or false is expected, not 'false'"):
        open_calibration(path)


def test_misspelt_names_and_texts_for_flags_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    write_calibration_toml(path, rig())
    text = path.read_text()
    for wrong in ("distorsions", "distortion", "Distortions", "dist0rtions"):
        path.write_text(text.replace("distortions", wrong, 1))
        with pytest.raises(InputError, match=rf"camera cam1: there is '{wrong}', but no 'distortions'; is it misspelt"):
            open_calibration(path)
    path.write_text(text.replace("rotation = ", "rotations = ", 1))
    with pytest.raises(InputError, match="there is 'rotations', but no 'rotation'"):
        open_calibration(path)
    for wrong in ('"true"', "1", '"false"'):
        path.write_text(text.replace("fisheye = false", f"fisheye = {wrong}", 1))
        with pytest.raises(InputError, match="camera cam1: fisheye: true or false is expected, not"):
            open_calibration(path)
    path.write_text(text.replace("rotation = [", "rotation = [9", 1))
    with pytest.raises(InputError, match=r"the rotation is a turn by .* radians; are these degrees"):
        open_calibration(path)
    path.write_text(text + text)
    with pytest.raises(InputError, match=r"rig\.toml: is no TOML"):
        open_calibration(path)


LENSES = {4: [], 5: [0.01], 8: [0.01, 0, 0, 0], 12: [0.01, 0, 0, 0, 0, 0, 0, 0], 14: [0.01] + [0] * 9}


@pytest.mark.parametrize("count", LENSES)
def test_as_many_coefficients_as_opencv_writes(tmp_path: Path, count: int) -> None:
    path = tmp_path / "rig.toml"
    write_calibration_toml(path, rig())
    text, lens = path.read_text(), rig().distortion[0, :4].tolist()
    path.write_text(text.replace(f"distortions = {lens}", f"distortions = {lens + LENSES[count]}"))
    found = read_calibration(path)
    assert found.distortion[0, :4].tolist() == lens and float(found.distortion[0, 4]) == (0.01 if count > 4 else 0)
    if count > 8:
        for row, name in enumerate(("s1", "s2", "s3", "s4", "tau_x", "tau_y")[: count - 8]):
            numbers = lens + LENSES[count]
            numbers[8 + row] = 0.002
            path.write_text(text.replace(f"distortions = {lens}", f"distortions = {numbers}"))
            with pytest.raises(InputError, match=rf"camera cam1: distortion {name} is 0\.002, but lenses with it"):
                read_calibration(path)
    path.write_text(text.replace(f"distortions = {lens}", f"distortions = {[*lens, 0, 0]}"))
    with pytest.raises(InputError, match="distortion has 6 numbers; it must have 4, 5, 8, 12 or 14"):
        read_calibration(path)


def test_fisheyes_go_there_and_back(tmp_path: Path) -> None:
    cameras = replace(rig(), fisheye=torch.tensor([False, True, True]))
    cameras.distortion[1:, :4] = torch.tensor([0.05, -0.02, 0.01, -0.003], dtype=torch.float64)
    write_calibration_toml(tmp_path / "rig.toml", cameras)
    found = read_calibration(tmp_path / "rig.toml")
    assert found.fisheye is not None and found.fisheye.tolist() == [False, True, True]
    assert_same(found, cameras)
    theirs, _ = cv2.fisheye.projectPoints(
        POINTS.numpy()[None], rotation_vector(cameras.rotation[1]).numpy(), cameras.translation[1].numpy(),
        cameras.matrix[1].numpy(), cameras.distortion[1, :4].numpy(),
    )  # fmt: skip
    assert_close(found.project(POINTS)[0][1], torch.from_numpy(theirs[0]), atol=1e-6, rtol=0)


# JSON.


def test_voxelpose_as_a_list_and_under_its_sequence(tmp_path: Path) -> None:
    path, cameras = tmp_path / "calibration.json", voxelpose(rig())
    for value in (cameras, {"my_sequence": cameras}):
        path.write_text(json.dumps(value))
        found = open_calibration(path)
        assert found.cameras.names == ("0", "1", "2") == found.guessed and not found.named
        assert_same(found.cameras, rig())
    path.write_text(json.dumps({"my_sequence": dict(zip(("left", "1", "c"), cameras, strict=True))}))
    found = open_calibration(path)
    assert found.cameras.names == ("left", "Camera1", "c") and found.named
    path.write_text(json.dumps({"one": cameras, "two": cameras}))
    with pytest.raises(InputError, match=r"calibration\.json: has several sequences \(one, two\)"):
        open_calibration(path)
    del cameras[1]["R"]
    path.write_text(json.dumps(cameras))
    assert open_calibration(path).notes == ("camera 1 is left out: it has no R.",)
    path.write_text(json.dumps(cameras).replace('"cx": ', '"cx": 1, "cx": ', 1))
    with pytest.raises(InputError, match=r"calibration\.json: one object says 'cx' twice"):
        open_calibration(path)


# XML.


def qualisys(cameras: Cameras) -> str:
    flip = torch.diag(torch.tensor([1.0, -1, -1], dtype=torch.float64))
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<calibration><cameras>"]
    for v, name in enumerate(cameras.names):
        turn, centre = flip @ cameras.rotation[v], cameras.centres[v].tolist()
        places = " ".join(f'r{i + 1}{j + 1}="{float(turn[i, j])!r}"' for i in range(3) for j in range(3))
        # Centres count from the sensor's corner, of which the video shows a part.
        corner = (0, 0, 8, 4)
        shown = zip(((0, 0), (1, 1), (0, 2), (1, 2)), corner, strict=True)
        numbers = [64 * (float(cameras.matrix[v][at]) + start) for at, start in shown]
        keys = ("focalLengthU", "focalLengthV", "centerPointU", "centerPointV")
        inner = " ".join(f'{key}="{number!r}"' for key, number in zip(keys, numbers, strict=True))
        keys = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
        lens = " ".join(f'{key}="{64 * float(x)!r}"' for key, x in zip(keys, cameras.distortion[v], strict=False))
        lines += [
            f'<camera serial="{name}" model="Miqus Video" avg-residual="0.4">',
            '<fov_video left="8" top="4" right="1927" bottom="1083"/>',
            f'<transform x="{centre[0]!r}" y="{centre[1]!r}" z="{centre[2]!r}" {places}/>',
            f"<intrinsic {inner} {lens}/>", "</camera>",
        ]  # fmt: skip
    return "\n".join([*lines, "</cameras></calibration>"])


XML: dict[str, Callable[[Cameras], str]] = {"session.qca.txt": qualisys, "take.xcp": vicon}


@pytest.mark.parametrize("name", XML)
def test_calibrations_in_xml(tmp_path: Path, name: str) -> None:
    path, cameras = tmp_path / name, rig(("2111", "2112", "2113"))
    if name == "take.xcp":
        cameras.distortion[:, :5] = torch.tensor([-0.2, 0.05, 0, 0, 0.01], dtype=torch.float64)
    text = XML[name](cameras)
    path.write_text(text)
    found = open_calibration(path)
    assert found.cameras.names == ("2111", "2112", "2113")
    assert_same(found.cameras, cameras)
    path.write_text(text.replace("Miqus Video", "Miqus M3", 1).replace("VideoCamera", "T160", 1))
    assert open_calibration(path).notes == ("cameras that see markers only are left out: 2111.",)
    path.write_text(text.replace("<transform", "<place", 1).replace("POSITION", "POSITON", 1))
    assert open_calibration(path).cameras.names == ("2112", "2113")
    path.write_text(text.replace("1083", "wide", 1).replace('"1920 1080"', '"1920"', 1))
    with pytest.raises(InputError, match=rf"{name}: camera 2111: "):
        open_calibration(path)
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>'
    path.write_text(text.replace("<calibration>", bomb + "<calibration>").replace("<Cameras>", bomb + "<Cameras>"))
    with pytest.raises(InputError, match=f"{name}: declares entities"):
        open_calibration(path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=f"{name}: is no XML"):
        open_calibration(path)


def test_a_real_session_of_qualisys_is_what_pose2sim_makes_of_it(shared_data: Path) -> None:
    folder = shared_data / "raw" / "pose2sim_multi" / "calib"
    found, wanted = read_calibration(folder / "Calib.qca.txt"), read_calibration(folder / "Calib_qualisys.toml")
    assert found.names == wanted.names and torch.equal(found.size, wanted.size)
    xyz = torch.tensor([[0.0, 0, 1000], [500, -300, 200]], dtype=torch.float64)
    assert_close(found.project(xyz)[0], wanted.project(xyz)[0], atol=1e-3, rtol=0)
    assert_close(found.centres, wanted.centres, atol=0.01, rtol=0)


def test_unknown_xml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rig.mcal"
    path.write_bytes("<MotiveProfile><Camera><Extrinsic X='1'/></Camera></MotiveProfile>".encode("utf-16"))
    with pytest.raises(InputError, match=r"rig\.mcal: is a calibration of OptiTrack's Motive, which is not read"):
        open_calibration(path)
    path.write_text("<html/>")
    with pytest.raises(InputError, match=r"rig\.mcal: is XML, but no calibration we know"):
        open_calibration(path)


# Pickles.


def opencap(cameras: Cameras, v: int) -> dict:
    return {
        "distortion": cameras.distortion[v, None, :5].numpy(), "intrinsicMat": cameras.matrix[v].numpy(),
        "imageSize": np.array([[1080.0], [1920.0]]), "rotation": cameras.rotation[v].numpy(),
        "translation": cameras.translation[v, :, None].numpy(), "rotation_EulerAngles": np.zeros((3, 1)),
    }  # fmt: skip


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("executed"),))


def test_opencap_is_read_without_executing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for v in range(3):
        (tmp_path / "Videos" / f"Cam{v}").mkdir(parents=True)
        path = tmp_path / "Videos" / f"Cam{v}" / "cameraIntrinsicsExtrinsics.pickle"
        path.write_bytes(pickle.dumps(opencap(in_world(rig(), "-y"), v)))
    for given in (tmp_path / "Videos", tmp_path / "Videos" / "Cam1" / "cameraIntrinsicsExtrinsics.pickle"):
        found = open_calibration(given)
        assert found.cameras.names == ("Cam0", "Cam1", "Cam2")
        assert_same(found.cameras, rig())
    path.write_bytes(pickle.dumps(opencap(rig(), 2) | {"translation": None}))
    assert open_calibration(tmp_path / "Videos").notes == ("camera Cam2 is left out: it has no translation.",)
    path.write_bytes(pickle.dumps(opencap(rig(), 2) | {"rotation": np.zeros(4)}))
    with pytest.raises(InputError, match=r"camera Cam2: rotation is no array of 9 finite numbers"):
        open_calibration(tmp_path / "Videos")
    path.write_bytes(pickle.dumps({"rotation": Evil()}))
    with pytest.raises(InputError, match="nothing in the file was executed"):
        open_calibration(tmp_path / "Videos")
    assert not (tmp_path / "executed").exists()


# Told apart by content.


def test_the_ending_does_not_decide(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(kalibr(rig(("cam0", "cam1", "cam2"))).replace("cam0:", "---\ncam0:", 1))
    assert open_calibration(tmp_path / "a.json").cameras.names == ("cam0", "cam1", "cam2")
    (tmp_path / "b.yml").write_text(json.dumps(dict(zip("abc", voxelpose(rig()), strict=True))))
    assert_same(read_calibration(tmp_path / "b.yml"), rig())
    (tmp_path / "c.txt").write_text(vicon(rig()))
    assert open_calibration(tmp_path / "c.txt").cameras.names == ("cam1", "cam2", "cam3")
    write_calibration_toml(tmp_path / "d.txt", rig())
    assert_same(read_calibration(tmp_path / "d.txt"), rig())


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(InputError, match=r"pipe\.toml: is a pipe"):
        open_calibration(tmp_path / "pipe.toml")
    (tmp_path / "large.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(InputError, match=r"large\.json: has 5,242,880 bytes"):
        open_calibration(tmp_path / "large.json")
    (tmp_path / "empty.yml").write_text(" \n")
    with pytest.raises(InputError, match=r"empty\.yml: is empty"):
        open_calibration(tmp_path / "empty.yml")
    with pytest.raises(InputError, match="no calibration in it that we know"):
        open_calibration(tmp_path)
    with pytest.raises(InputError):
        open_calibration(Path("a\0b.toml"))


def test_a_camera_that_vicon_did_not_calibrate_is_left_out(tmp_path: Path) -> None:
    path, cameras = tmp_path / "take.xcp", rig(("2111", "2112", "2113"))
    focal = f'FOCAL_LENGTH="{float(cameras.matrix[0, 0, 0])!r}"'
    path.write_text(vicon(cameras).replace(focal, 'FOCAL_LENGTH="0"', 1))
    found = open_calibration(path)
    assert found.cameras.names == ("2112", "2113")
    assert found.notes == ("camera 2111 is left out: its FOCAL_LENGTH is 0.",)
