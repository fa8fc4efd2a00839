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
        ([person(3, 19), person(3, 19, x=90)], "bodies: 1: id is 3, as that of body 0"),
        ([person(10**30, 19)], "id: a whole number of at most 18 digits is expected, not 1000"),
        ([{"id": 0.5, "joints19": [1.0] * 76}], "id: a whole number is expected, not 0.5"),
        ([{"id": 0, "joints19": ["1"] * 76}], "joints19: numbers are expected, not .'1'"),
        ([{"id": 0, "joints19": [10**400] * 76}], "joints19: numbers are expected, not .1000"),
        ([{"id": 0, "joints0": []}], "no joints .an entry such as 'joints19'; there is id, joints0"),
        ([{"id": 0, "joints99999999": []}], "no joints .an entry such as 'joints19'"),
    ],
)
def test_spoiled_bodies_are_named(tmp_path: Path, people: list[dict], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_body3d_files([body3d(tmp_path, 1, *people)])


@pytest.mark.parametrize("nothing", [-1.0, 0.0])
def test_bodies_without_scores(tmp_path: Path, nothing: float) -> None:
    body = {"id": 0, "joints19": [nothing] * 3 + [100.0, -150.0, 50.0] * 18}
    poses = read_body3d_files([body3d(tmp_path, 1, body)]).frames[0].poses
    assert poses.valid[0].tolist() == [False] + [True] * 18 and bool((poses.confidence[0, 1:] == 1).all())


def test_people_without_a_number_get_one(tmp_path: Path) -> None:
    nameless = {"joints19": person(0, 19)["joints19"]}
    saved = read_body3d_files([body3d(tmp_path, 1, person(-1, 19), person(1, 19), nameless, person(-1, 19))])
    assert saved.frames[0].poses.id.tolist() == [0, 1, 2, 3]
    assert "numbered in the order of every file" in saved.notes[0]
    assert read_body3d_files([body3d(tmp_path, 2, person(5, 19))]).notes == ()


def test_the_frames_number_is_what_follows_the_name(tmp_path: Path) -> None:
    path = body3d(tmp_path, 12, person(0, 19))
    assert read_body3d_files([path.rename(tmp_path / "body3DScene_00000012_v2.json")]).frames[0].number == 12
    with pytest.raises(InputError, match="more than 18 digits"):
        read_body3d_files([tmp_path / f"body3DScene_{'9' * 30}.json"])


def markers(names: tuple[str, ...], shift: float = 0.0, frames: tuple[int, ...] = (0, 1, 2)) -> Markers:
    random = torch.Generator().manual_seed(3)
    xyz = torch.randn(len(frames), len(names), 3, generator=random, dtype=torch.float64) * 1000 + shift
    return Markers(names, torch.tensor(frames), xyz, 25.0)


def write_markers(path: Path, one: Markers) -> None:
    write_trc(path, one.names, one.numbers.tolist(), [one.xyz_world], one.rate_hz)


def test_a_folder_of_trc_is_one_person_per_file(tmp_path: Path) -> None:
    one, two = markers(COCO_17.joints), markers(COCO_17.joints, 500.0, (1, 2, 3))
    two.xyz_world[1] = torch.nan
    one.xyz_world[2, 4] = torch.nan
    write_markers(tmp_path / "walk_P3.trc", one)
    write_markers(tmp_path / "S00_P01_walk_P7_0-3.trc", two)
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
    assert saved.skeleton.joints == ("r_hip", "Spot") and saved.skeleton.bones == ()
    poses = saved.frames[0].poses
    assert poses.id.tolist() == [1] and poses.valid.tolist() == [[True, False]]
    # y is up there, z here: x, y, z there are z, x, y of ours turned round the cycle.
    assert poses.xyz_world[0, 0].tolist() == [3 * mm, 1 * mm, 2 * mm]


def test_trc_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_markers(tmp_path / "walk_P1.trc", markers(("a", "b")))
    write_markers(tmp_path / "walk_P1_filtered.trc", markers(("a", "b")))
    with pytest.raises(InputError, match=r"walk_P1\.trc and walk_P1_filtered\.trc are both of person 1; name one"):
        read_trc_people(list(tmp_path.glob("*.trc")))
    write_markers(tmp_path / "walk_P2.trc", markers(("a", "c")))
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
    write_markers(path, markers(("a", "b")))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_trc_people([path])


HEADER = "PathFileType\t4\t(X/Y/Z)\tone.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataStartFrame\n"


def trc(path: Path, rows: str, *, frames: int = 2, first: int = 1, names: str = "RHip\t\t\tLBigToe\t\t") -> Path:
    axes = "\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n"
    path.write_text(f"{HEADER}60\t60\t{frames}\t2\tmm\t{first}\nFrame#\tTime\t{names}\n{axes}{rows}")
    return path


ROWS = "1\t0\t1\t2\t3\t4\t5\t6\n2\t0.02\t7\t8\t9\t10\t11\t12\n"


def test_trc_in_the_forms_that_programs_write(tmp_path: Path) -> None:
    plain = read_trc_people([trc(tmp_path / "one.trc", ROWS)])
    assert plain.skeleton.joints == ("r_hip", "l_big_toe") and plain.notes == ()
    text = (tmp_path / "one.trc").read_text()
    other = tmp_path / "other.trc"
    for spoilt in (
        text.replace("\n", "\r\n"),
        text.replace("\t", "  "),
        text.replace("\tmm\t", "\t MM \t"),
        text.replace("\n1\t0\t", "\n\n1.0\t0\t"),
        text.replace("\t\tX1\tY1\tZ1\tX2\tY2\tZ2\n", ""),
    ):
        other.write_bytes(spoilt.encode())
        again = read_trc_people([other])
        assert [frame.number for frame in again.frames] == [1, 2]
        for a, b in zip(again.frames, plain.frames, strict=True):
            assert torch.equal(a.poses.xyz_world, b.poses.xyz_world)


def test_markers_in_another_order_are_the_same_markers(tmp_path: Path) -> None:
    trc(tmp_path / "w_P1.trc", ROWS)
    trc(tmp_path / "w_P2.trc", ROWS, names="LBigToe\t\t\tRHip\t\t")
    one, two = read_trc_people(list(tmp_path.glob("*.trc"))).frames[0].poses.xyz_world
    assert torch.equal(one, two.flip(0))


def test_frames_counted_from_one_are_those_of_the_recording(tmp_path: Path) -> None:
    saved = read_trc_people([trc(tmp_path / "one.trc", ROWS, first=40)])
    assert [frame.number for frame in saved.frames] == [40, 41]
    assert saved.notes == ("frames are counted from 1 in these files, and the recording begins with 40: "
                           "shown as 40 to 41.",)  # fmt: skip
    trimmed = read_trc_people([trc(tmp_path / "one.trc", ROWS.replace("1\t0\t", "7\t0\t", 1), first=0)])
    assert [frame.number for frame in trimmed.frames] == [2, 7]


def test_other_counts_than_announced_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one\.trc: line 3: NumFrames is 5, and 2 frames follow"):
        read_trc_people([trc(tmp_path / "one.trc", ROWS, frames=5)])
    with pytest.raises(InputError, match=r"one\.trc: line 3: NumFrames is 1, and 2 frames follow"):
        read_trc_people([trc(tmp_path / "one.trc", ROWS, frames=1)])
    with pytest.raises(InputError, match=r"line 3: NumMarkers is '2', and line 4 names 3 markers"):
        read_trc_people([trc(tmp_path / "one.trc", ROWS, names="RHip\t\t\tLBigToe\t\t\tNose\t\t")])
    for length in range(len(ROWS) - 20, len(ROWS) - 4):
        with pytest.raises(InputError, match=r"one\.trc: breaks off in line 7, frame 2 of 5"):
            read_trc_people([trc(tmp_path / "one.trc", ROWS[:length], frames=5)])


@pytest.mark.parametrize("end", ["", "\t"])
@pytest.mark.parametrize("names", [("a", "b", "c")])
def test_no_lost_field_shifts_the_others(tmp_path: Path, names: tuple[str, ...], end: str) -> None:
    numbers = [f"{value}.5" for value in range(9)]
    known = {"all": numbers, "not the last": [*numbers[:6], "", "", ""], "not the first": ["", "", "", *numbers[3:]]}
    head = "\t\t\t".join(names)
    for what, fields in known.items():
        rows = [["1", "0", *numbers], ["2", "0.02", *fields]]
        path = tmp_path / "one.trc"
        for lost in range(2, 11):
            lines = [rows[0], [field for place, field in enumerate(rows[1]) if place != lost]]
            body = "".join("\t".join(line) + f"{end}\n" for line in lines)
            path.write_text(f"{HEADER}60\t60\t2\t3\tmm\t1\nFrame#\tTime\t{head}\n{body}")
            with pytest.raises(InputError, match="line 6: frame 2"):
                print(what, lost, read_trc_people([path]).frames[1].poses.xyz_world)
        # The only row there is has no other to be compared with.
        path.write_text(f"{HEADER}60\t60\t1\t3\tmm\t1\nFrame#\tTime\t{head}\n" + "\t".join(lines[1]) + f"{end}\n")
        if what != "not the last" or not end:
            with pytest.raises(InputError, match="line 5: frame 2"):
                read_trc_people([path])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1\t0\t1\t", "x\t0\t1\t", "line 6: a frame's number is expected, not 'x'"),
        ("1\t0\t1\t", f"{'9' * 30}\t0\t1\t", "line 6: a frame's number is expected, not '999"),
        ("2\t0.02", "1\t0.02", "line 7: frame 1 is there already, in line 6"),
        ("\t7\t", "\t7,5\t", "line 7: frame 2: marker RHip has '7,5', a number is expected, with a point"),
        ("\t12\n", "\t12\t13\n", "line 7: frame 2 has 7 coordinates, 2 markers have 6"),
        ("\t12\n", "\t12\t\n", "line 6: frame 1 has 6 fields behind its time, other rows have 7: one is lost"),
        (
            "2\tmm\t1\nFrame#\tTime\tRHip\t\t\tLBigToe",
            "1\tmm\t1\nFrame#\tTime\tRHip\t\t\t",
            "line 6: frame 1 has 6 coordinates, 1 markers have 3",
        ),
        ("LBigToe", "", "line 3: NumMarkers is '2', and line 4 names 1 markers"),
        ("\t7\t", "\t1_000\t", "line 7: frame 2: marker RHip has '1_000', a number is expected"),
        ("\t7\t", "\t٣\t", "line 7: frame 2: marker RHip has '٣', a number is expected"),
        ("\t7\t", "\tinf\t", "line 7: frame 2: marker RHip has 'inf', a number is expected"),
        ("\t7\t", "\t\t", "line 7: frame 2: marker RHip has not all three coordinates"),
        ("\n2\t", "\n1_0\t", "line 7: a frame's number is expected, not '1_0'"),
        ("RHip\t\t\tLBigToe\t\t", "", "line 4 names no marker"),
    ],
)
def test_spoiled_trc_rows_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = trc(tmp_path / "one.trc", ROWS)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read_trc_people([path])
    with pytest.raises(InputError, match="is no number for a person"):
        read_trc_people([trc(tmp_path / f"w_P{'9' * 25}.trc", ROWS)])


def test_a_file_without_a_frames_number_is_no_frame_among_others(tmp_path: Path) -> None:
    paths = [tmp_path / "body3DScene_x.json", tmp_path / "body3DScene_00000004.json"]
    for path in paths:
        path.write_text('{"bodies": []}')
    assert [one.number for one in read_body3d_files(paths[:1]).frames] == [0]
    with pytest.raises(InputError, match=r"body3DScene_x\.json: its name has no frame number"):
        read_body3d_files(paths)
