"""Other people's 3-D files as predictions: units, axes, ids and what is missing."""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.body3d import read_body3d_files
from dispose.formats.trc import Markers, read_trc_people, write_trc
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15, PANOPTIC_19


def body3d(folder: Path, number: int, *people: dict) -> Path:
    path = folder / f"body3DScene_{number:08d}.json"
    path.write_text(json.dumps({"version": 0.7, "bodies": list(people)}))
    return path


def person(number: int, joints: int, *, x: float = 0.0) -> dict:
    # One metre to the right, half a metre ahead, one and a half metres above the floor, in cm and y down.
    return {"id": number, f"joints{joints}": [100.0 + x, -150.0, 50.0, 0.9] * joints}


def test_panoptic_is_in_cm_with_y_down(tmp_path: Path) -> None:
    saved = read_body3d_files([body3d(tmp_path, 12, person(4, 19)), body3d(tmp_path, 7)])
    assert [frame.number for frame in saved.frames] == [7, 12] and saved.skeleton == PANOPTIC_19
    assert saved.cameras == ()
    poses = saved.frames[1].poses
    assert poses.id.tolist() == [4] and bool(poses.valid.all())
    assert_close(poses.xyz_world[0, 0], torch.tensor([1000.0, 500.0, 1500.0], dtype=torch.float64))
    assert_close(saved.frames[1].root, poses.xyz_world[:, 0])
    assert len(saved.frames[0].poses.id) == 0


def test_the_joints_say_which_skeleton(tmp_path: Path) -> None:
    assert read_body3d_files([body3d(tmp_path, 1, person(0, 15))]).skeleton == PANOPTIC_15
    unknown = read_body3d_files([body3d(tmp_path, 2, person(0, 26))])
    assert unknown.skeleton.joints[25] == "joint 25" and unknown.skeleton.bones == ()
    assert bool(unknown.frames[0].root.isnan().all())
    with pytest.raises(InputError, match="people have 26 joints, in the files before 15"):
        read_body3d_files([body3d(tmp_path, 1, person(0, 15)), body3d(tmp_path, 2, person(0, 26))])


def test_what_is_not_a_number_is_a_joint_that_is_not_known(tmp_path: Path) -> None:
    body = person(0, 19)
    body["joints19"][0], body["joints19"][5], body["joints19"][11] = float("nan"), None, -1
    poses = read_body3d_files([body3d(tmp_path, 1, body)]).frames[0].poses
    assert poses.valid[0].tolist() == [False, False, False] + [True] * 16
    assert bool(torch.isfinite(poses.xyz_world).all()) and float(poses.xyz_world[0, :3].abs().sum()) == 0


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([{"id": 0}], "no joints .an entry such as 'joints19'; there is id"),
        ([{"id": 0, "joints19": [1.0] * 7}], "76 numbers are expected, there are 7"),
        ([person(0, 19), person(1, 15)], "has 15 joints, people before it 19"),
    ],
)
def test_spoiled_bodies_are_named(tmp_path: Path, people: list[dict], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_body3d_files([body3d(tmp_path, 1, *people)])


def markers(names: tuple[str, ...], shift: float = 0.0, frames: tuple[int, ...] = (0, 1, 2)) -> Markers:
    random = torch.Generator().manual_seed(3)
    xyz = torch.randn(len(frames), len(names), 3, generator=random, dtype=torch.float64) * 1000 + shift
    return Markers(names, torch.tensor(frames), xyz, 25.0)


def test_a_folder_of_trc_is_one_person_per_file(tmp_path: Path) -> None:
    one, two = markers(COCO_17.joints), markers(COCO_17.joints, 500.0, (1, 2, 3))
    two.xyz_world[1] = torch.nan
    one.xyz_world[2, 4] = torch.nan
    write_trc(tmp_path / "walk_P3.trc", one)
    write_trc(tmp_path / "S00_P01_walk_P7_0-3.trc", two)
    saved = read_trc_people(list(tmp_path.glob("*.trc")))
    assert saved.skeleton == COCO_17
    assert [sorted(frame.poses.id.tolist()) for frame in saved.frames] == [[3], [3, 7], [3], [7]]
    third = saved.frames[2].poses
    assert third.valid[0].tolist() == [j != 4 for j in range(17)]
    assert_close(third.xyz_world[0][third.valid[0]], one.xyz_world[2][third.valid[0]], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("unit", "mm"), [("mm", 1.0), ("cm", 10.0), ("m", 1000.0)])
def test_trc_units_and_axes(tmp_path: Path, unit: str, mm: float) -> None:
    path = tmp_path / "one.trc"
    path.write_text(
        "PathFileType\t4\t(X/Y/Z)\tone.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
        f"60\t60\t1\t2\t{unit}\nFrame#\tTime\tRHip\t\t\tSpot\t\t\n\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n5\t0.1\t1\t2\t3\t\t\t\n"
    )
    saved = read_trc_people([path])
    assert saved.skeleton.joints == ("RHip", "Spot") and saved.skeleton.bones == ()
    poses = saved.frames[0].poses
    assert poses.id.tolist() == [1] and poses.valid.tolist() == [[True, False]]
    # y is up there, z here: x, y, z there are z, x, y of ours turned round the cycle.
    assert poses.xyz_world[0, 0].tolist() == [3 * mm, 1 * mm, 2 * mm]


def test_trc_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_trc(tmp_path / "walk_P1.trc", markers(("a", "b")))
    write_trc(tmp_path / "walk_P1_filtered.trc", markers(("a", "b")))
    with pytest.raises(InputError, match=r"walk_P1\.trc and walk_P1_filtered\.trc are both of person 1; name one"):
        read_trc_people(list(tmp_path.glob("*.trc")))
    write_trc(tmp_path / "walk_P2.trc", markers(("a", "c")))
    with pytest.raises(InputError, match=r"walk_P2\.trc: its 2 markers are not those of walk_P1\.trc"):
        read_trc_people([tmp_path / "walk_P1.trc", tmp_path / "walk_P2.trc"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("25\t25", "x\t25", "DataRate is 'x', a positive number of frames per second"),
        ("DataRate\t", "Rate\t", "DataRate is None"),
        ("\tm\t", "\tinch\t", "units are 'inch'"),
        ("\ta\t", "\tb\t", "line 4 names 2 markers, some twice"),
        ("PathFileType", "Path", "is no TRC file"),
    ],
)
def test_spoiled_trc_headers_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "walk_P1.trc"
    write_trc(path, markers(("a", "b")))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_trc_people([path])
