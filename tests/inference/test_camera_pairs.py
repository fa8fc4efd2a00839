"""Which calibrated camera recorded what, where the calibration lies, and how large its pictures are."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import rig_of
from dispose.formats.calibration.rig import CalibratedRig
from dispose.formats.detections.openpose import write_openpose
from dispose.inference.capture import read_capture, read_image_capture
from dispose.inference.finding import find_calibration
from dispose.inference.pairing import pair_cameras
from dispose.scene.cameras import Cameras


def called(*names: str, named: bool = True) -> CalibratedRig:
    count = len(names)
    one = torch.ones(count, 3, 3, dtype=torch.float64)
    cameras = Cameras(names, one[:, 0, :2], one, torch.zeros(count, 8, dtype=torch.float64), one, one[:, 0])
    return CalibratedRig(cameras, named=named)


def paired(rig: CalibratedRig, *recorded: str, told: tuple[str, ...] = ()) -> dict[str, str]:
    match = pair_cameras("place", rig, recorded, told)
    return {rig.cameras.names[i]: recorded[j] for i, j in match.pairs}


ASKED = {
    "all": (("cam_0", "cam_1", "cam_2"), ("cam1", "cam2", "cam3")),
    "names alike": (("cam0", "cam1", "cam2"), ("cam1", "cam2", "cam3")),
    "other way round": (("cam1", "cam2", "cam3"), ("cam0", "cam1", "cam2")),
    "numbers only": (("0", "1", "2"), ("view1", "view2", "view3")),
    "one more calibrated": (("cam_0", "cam_1", "cam_2", "cam_3"), ("cam1", "cam2", "cam3")),
    "one not recorded": (("cam_0", "cam_1", "cam_2", "cam_3"), ("cam1", "cam2", "cam4")),
    "within names": (("cam_0", "cam_1", "cam_2"), ("trial2_cam1", "trial2_cam2", "trial2_cam3")),
    "before an ending": (
        ("cam_1_view", "cam_2_view", "cam_3_view"),
        ("take7_cam_0_view", "take7_cam_1_view", "take7_cam_2_view"),
    ),
    "leading zeros": (("cam00", "cam01", "cam02"), ("GoPro_1", "GoPro_2", "GoPro_3")),
}


@pytest.mark.parametrize("kind", ASKED)
def test_counting_from_0_and_from_1_is_asked_about(kind: str) -> None:
    names, recorded = ASKED[kind]
    with pytest.raises(InputError, match=r"so their names do not say which is which; say --cameras ") as caught:
        paired(called(*names), *recorded)
    # What the sentence shows is what can be typed.
    typed = str(caught.value).split("say --cameras ")[1].split(" if they are in the same order")[0].split()
    assert paired(called(*names), *recorded, told=tuple(typed)) == dict(pair.split("=") for pair in typed)
    assert len(typed) >= 3


@pytest.mark.parametrize(
    ("names", "recorded"),
    [
        (("cam0", "cam1", "cam2"), ("cam0", "cam1", "cam2")),
        (("cam1", "cam2", "cam3"), ("cam01", "cam02", "cam03")),
        (("cam0", "cam1", "cam2", "cam3"), ("cam1", "cam2", "cam3")),
        (("left", "right", "top"), ("LEFT", "Right_json", "top")),
        (("00_00", "00_01", "00_02"), ("00_01", "00_02", "50_01")),
    ],
)
def test_what_names_say_is_believed(names: tuple[str, ...], recorded: tuple[str, ...]) -> None:
    found = paired(called(*names), *recorded)
    assert found and all(int("".join(filter(str.isdigit, a)) or 0) == int("".join(filter(str.isdigit, b)) or 0)
                         for a, b in found.items())  # fmt: skip


def test_cameras_without_names_go_by_their_order() -> None:
    rig = called("0", "1", "2", named=False)
    assert paired(rig, "cam2", "cam10", "cam1") == {"0": "cam1", "1": "cam2", "2": "cam10"}
    assert paired(rig, "b0", "b2") == {"0": "b0", "2": "b2"}
    assert paired(called("1", "2", named=False), "left", "right") == {"1": "left", "2": "right"}
    with pytest.raises(InputError, match=r"a list of 3 cameras without names, and there are recordings of 2 \(a, b\)"):
        paired(rig, "a", "b")


def test_pairs_that_are_told() -> None:
    rig = called("cam_0", "cam_1", "Kamera drei=x")
    told = ("cam_1=a", "Kamera drei=x=b b")
    assert paired(rig, "a", "b b", "c", told=told) == {"cam_1": "a", "Kamera drei=x": "b b"}
    assert paired(rig, "a", "b", told=("cam_1=a_json", "cam_0=b")) == {"cam_1": "a", "cam_0": "b"}
    for wrong, sentence in {
        ("cam_1",): "it must be CALIBRATED=RECORDED",
        ("cam_7=a",): "the calibration has no camera 'cam_7'",
        ("cam_1=z",): "place has no camera 'z'",
        ("cam_1=a", "cam_1=b"): "--cameras names cam_1 more than once",
        ("cam_1=a", "cam_0=a"): "--cameras names a more than once",
    }.items():
        with pytest.raises(InputError, match=sentence):
            paired(rig, "a", "b", told=wrong)


# Where the calibration lies.


@pytest.mark.parametrize(
    "place",
    [
        "calib/Calib.toml", "Calibration/Rig.TOML", "S00_Calibration/Calib_scene.toml", "CALIB.toml", "cameras.json",
        "../calibration/a.toml", "../../S00_Calibration/a.toml", "../calib.toml", "camera_array.toml", "a.xcp",
    ],
)  # fmt: skip
def test_a_calibration_is_found(walk, tmp_path: Path, place: str) -> None:
    capture = tmp_path / "session" / "S00_P01" / "T01"
    (capture / "pose").mkdir(parents=True)
    (capture.parent / "S00_notes.toml").write_text("a = 1\n")
    path = capture / place
    write_calibration_toml(path.with_suffix(".toml") if path.suffix == ".x" else path, walk.rig())
    assert find_calibration(capture).resolve() == path.resolve()


XCP = "<Cameras>" + 2 * (
    '<Camera DEVICEID="1" SENSOR_SIZE="1920 1080"><KeyFrames><KeyFrame FOCAL_LENGTH="1000" PRINCIPAL_POINT="960 540" '
    'ORIENTATION="0 0 0 1" POSITION="0 0 0"/></KeyFrames></Camera>'
) + "</Cameras>"  # fmt: skip


def test_settings_beside_a_calibration_are_none(walk, tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "calibration" / "Calib_scene.toml", walk.rig())
    (tmp_path / "calibration" / "Config.toml").write_text("[project]\nframe_rate = 30\n")
    (tmp_path / "calibration" / "Image_points.json").write_text('{"intrinsics": []}')
    assert find_calibration(tmp_path).name == "Calib_scene.toml"
    # Pose2Sim writes its TOML beside the file that it converts.
    (tmp_path / "calibration" / "raw.xcp").write_text(XCP)
    assert find_calibration(tmp_path).name == "Calib_scene.toml"
    (tmp_path / "calibration" / "raw.xcp").unlink()
    (tmp_path / "calibration" / "Calib_scene.toml").write_text("[cam")
    with pytest.raises(InputError, match="several calibrations"):
        find_calibration(tmp_path)
    (tmp_path / "calibration" / "Image_points.json").unlink()
    (tmp_path / "calibration" / "Config.toml").unlink()
    # One that is damaged is still the one that is spoken of.
    assert find_calibration(tmp_path).name == "Calib_scene.toml"


def test_recordings_in_any_capitals(walk, tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "CALIB" / "Calib.toml", walk.rig())
    names = ("cam01", "cam02", "cam03", "cam04")
    for frame in range(2):
        write_openpose(tmp_path / "Pose", frame, names, walk.detections_at(frame))
    assert len(read_capture(tmp_path).views) == 4


def filled(walk, place: Path) -> Path:
    """A folder with the detections of four cameras for two frames."""
    for frame in range(2):
        write_openpose(place, frame, ("cam01", "cam02", "cam03", "cam04"), walk.detections_at(frame))
    return place


@pytest.mark.parametrize("name", ["json", "OpenPose output", "."])
def test_detections_in_a_folder_of_another_name(walk, tmp_path: Path, name: str) -> None:
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", walk.rig())
    place = filled(walk, tmp_path / name)
    capture = read_capture(tmp_path)
    assert len(capture.views) == 4
    assert any(note.startswith(f"detections: {place}, the only folder") for note in capture.notes)
    # The usual name is believed first.
    filled(walk, tmp_path / "pose")
    assert not any("the only folder" in note for note in read_capture(tmp_path).notes)


def test_several_folders_that_may_be_meant_and_trials_are_named(walk, tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", walk.rig())
    # A folder with one camera, and one of calibrations, are none.
    write_calibration_toml(tmp_path / "calib" / "cam" / "Calib.toml", walk.rig())
    for name in ("calib/a", "calib/b", "settings/a"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "one_000001.json").write_text("{}")
    with pytest.raises(InputError, match=r"no detections in it \(looked for pose-sync, pose, detections\)\.$"):
        read_capture(tmp_path)
    filled(walk, tmp_path / "P1" / "T1" / "pose")
    (tmp_path / "T2" / "videos").mkdir(parents=True)
    with pytest.raises(InputError, match=r"recordings lie in T2, P1/T1: name one of these folders as the capture"):
        read_capture(tmp_path)
    filled(walk, tmp_path / "before")
    filled(walk, tmp_path / "after")
    with pytest.raises(InputError, match=r"several folders of detections \(after, before\); choose one with --detect"):
        read_capture(tmp_path)


# How large the pictures are.


def without_sizes(path: Path, cameras: Cameras) -> None:
    record = {
        str(v): {
            "R": cameras.rotation[v].tolist(), "T": cameras.centres[v][:, None].tolist(),
            "fx": 1100.0, "fy": 1100.0, "cx": 950.3, "cy": 545.9, "k": [[0]] * 3, "p": [[0]] * 2,
        }
        for v in range(len(cameras))
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def picture(path: Path, width: int, height: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def test_sizes_are_taken_from_the_pictures_or_said_to_be_guessed(walk, tmp_path: Path) -> None:
    without_sizes(tmp_path / "calib" / "calib.json", walk.rig())
    names = ("Camera0", "Camera1", "Camera2", "Camera3")
    for frame in range(2):
        write_openpose(tmp_path / "pose", frame, names, walk.detections_at(frame))
    capture = read_capture(tmp_path)
    assert capture.cameras.size.tolist() == [[1902, 1093]] * 4
    guess = (
        "the calibration does not say the pictures' size: guessed as twice the principal point, Camera0 (1902 x 1093)"
    )
    assert capture.notes[0].startswith(guess)
    for name in names[:3]:
        picture(tmp_path / "images" / name / "000000.png", 1920, 1080)
    (tmp_path / "images" / "Camera1" / "000000.png").write_bytes(b"damaged")
    capture = read_capture(tmp_path)
    assert capture.cameras.size.tolist() == [[1920, 1080], [1902, 1093], [1920, 1080], [1902, 1093]]
    assert capture.notes[0].endswith("taken from the pictures, Camera0 (1920 x 1080), Camera2 (1920 x 1080).")
    assert capture.notes[1].endswith("principal point, Camera1 (1902 x 1093), Camera3 (1902 x 1093).")
    images = read_image_capture(tmp_path)
    assert images.cameras.size.tolist() == [[1920, 1080], [1902, 1093], [1920, 1080]]
    picture(tmp_path / "images" / "Camera2" / "000000.png", 960, 540)
    with pytest.raises(InputError, match=r"Camera2, frame 0: the picture is 960 x 540 pixels, but the calibration of"):
        read_image_capture(tmp_path)


@pytest.mark.parametrize(
    ("names", "typed"),
    [
        (("A", "B", "C", "D"), "--cameras A=cam01 B=cam02 C=cam03 D=cam04 if they are in the same order"),
        (("M 1139", "M1140", "M1141"), "--cameras 'M 1139=cam01'."),
    ],
)
def test_names_that_say_nothing_are_asked_about(walk, capture_folder, names: tuple[str, ...], typed: str) -> None:
    cameras = walk.rig().select(views=range(len(names)))
    write_calibration_toml(capture_folder.calibration, replace(cameras, names=names))
    with pytest.raises(InputError, match=r"at least two are needed; say which is which, as in ") as caught:
        read_capture(capture_folder.path)
    assert typed in str(caught.value)


def test_told_pairs_and_units_reach_the_capture(walk, capture_folder) -> None:
    capture = read_capture(
        capture_folder.path, mm_per_unit=1.0, up="-z", told=("cam_01=cam01", "cam_04=cam03", "cam_02=cam02")
    )
    assert capture.cameras.names == ("cam_01", "cam_02", "cam_04")
    assert [view.camera for view in capture.views] == ["cam01", "cam02", "cam03"]
    turned = walk.rig().select(views=[0, 1, 3]).centres / 1000 * torch.tensor([1.0, -1, -1])
    assert torch.allclose(capture.cameras.centres, turned)
    shutil.rmtree(capture_folder.path / "calib")
    with pytest.raises(InputError, match="no calibration in it, nor up to two folders above"):
        read_capture(capture_folder.path)


def test_a_serial_number_in_the_name_of_one_recording_says_which_camera_it_is() -> None:
    recorded = ("Trial 1_Miqus_2_21882", "Trial 1_Miqus_1_21881")
    assert paired(called("21881", "21882"), *recorded) == {"21881": recorded[1], "21882": recorded[0]}
    vicon = ("Trial.2111.20230101", "Trial.2112.20230101")
    assert paired(called("2111", "2112"), *vicon) == dict(zip(("2111", "2112"), vicon, strict=True))
    # A number that is part of another, one in two recordings, and two in one say nothing.
    assert paired(called("1188", "1189"), "a_21188_x", "b_21189_x") == {}
    assert paired(called("2111", "2112"), "a_2111_1", "b_2111_2", "c_2112_3") == {"2112": "c_2112_3"}
    assert paired(called("2111", "2112"), "a_2111_2112", "b_7_8") == {}
    # Short numbers may be a day or a trial.
    assert paired(called("211", "212"), "a_211_7", "b_212_8") == {}


def test_the_words_of_a_name_that_stand_in_another_say_which_camera_it_is() -> None:
    sides = ("back_cam", "front cam", "Left-Cam", "rightCam")
    assert paired(called("left", "right", "front", "back"), *sides[:3]) == {
        "left": "Left-Cam", "front": "front cam", "back": "back_cam",
    }  # fmt: skip
    assert paired(called("cam_A", "cam_B"), "A", "B") == {"cam_A": "A", "cam_B": "B"}
    assert paired(called("cam1", "cam2"), "trial2_cam1", "trial2_cam02") == {
        "cam1": "trial2_cam1", "cam2": "trial2_cam02",
    }  # fmt: skip
    # Words of two, in another order, a part of a word, and a small number alone say nothing.
    assert paired(called("front", "back"), "front_left", "front_right", "back_1") == {"back": "back_1"}
    assert paired(called("cam1", "cam2"), "1_cam_7", "2_cam_7") == {}
    assert paired(called("left", "right"), "leftmost", "rightmost") == {}
    assert paired(called("1", "2"), "trial_1_x_7", "trial_2_x_8") == {}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (("intri.yml",), r"calibration/intri\.yml: EasyMocap's calibration is intri\.yml and extri\.yml"),
        (("cameras.bin", "images.bin"), r"calibration/cameras\.bin: breaks off at byte 7"),
        (
            ("Calibration 1.cal", "a.mat"),
            r"Calibration 1\.cal: is a calibration of OptiTrack's Motive in its own binary",
        ),
        (("Calibration 1.foo", "a.mat"), r"calibration: no calibration that we know .*Calibration 1\.foo, a\.mat"),
    ],
)
def test_a_folder_of_calibrations_that_we_do_not_know_is_named(
    tmp_path: Path, files: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "calibration").mkdir()
    for name in files:
        (tmp_path / "calibration" / name).write_bytes(b"NPTRCAL")
    with pytest.raises(InputError, match=sentence):
        rig_of(find_calibration(tmp_path))
