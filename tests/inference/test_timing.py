"""Cameras that did not start together, or run at their own rates: shifts, interpolation, and who is told of what."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.cli.timing import TimeOptions, time_notes, timing_of
from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, select_frames, source_of
from dispose.inference.readings import Source
from dispose.inference.timing import CameraClock, clocks_of, retimed, shift_of, shifted
from dispose.scene.frame import Frame


def source(walk, frames: int = 12) -> Source:
    return Source.of([Frame(n, walk.rig(), walk.detections_at(n)) for n in range(frames)])


def sorted_people(frame: Frame, view: int) -> torch.Tensor:
    """Everybody's keypoints in one view, from left to right."""
    xy = frame.detections.xy_image[view][frame.detections.valid[view]]
    return xy[xy[:, :, 0].mean(1).argsort()]


def test_a_shifted_camera_shows_what_it_numbers_otherwise(walk) -> None:
    """Five frames late: its frame 8 is what the others' frame 3 shows."""
    whole = source(walk)
    moved = retimed(whole, [CameraClock(), CameraClock(-5.0), CameraClock(), CameraClock()])
    found, own, others = moved.read(3), whole.read(8), whole.read(3)
    assert found is not None and own is not None and others is not None
    torch.testing.assert_close(sorted_people(found.frame, 1), sorted_people(own.frame, 1))
    torch.testing.assert_close(sorted_people(found.frame, 2), sorted_people(others.frame, 2))
    assert found.frame.number == 3


def test_a_camera_without_a_frame_at_that_instant_sees_nobody_and_is_counted(walk) -> None:
    found = retimed(source(walk), [CameraClock(), CameraClock(-5.0), CameraClock(), CameraClock()]).read(10)
    assert found is not None
    assert found.frame.detections.counts.tolist() == [2, 0, 2, 2]
    assert [loss.camera for loss in found.missing] == [walk.rig().names[1]]


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_fractions_lie_between_two_frames(walk, part: float) -> None:
    """People walk straight, so that the image of a later part of a frame is known to far less than a pixel."""
    found = retimed(source(walk), [CameraClock(-part)] + [CameraClock()] * 3).read(4)
    assert found is not None
    before, after = (sorted_people(source(walk).read(n).frame, 0) for n in (4, 5))  # pyright: ignore
    torch.testing.assert_close(sorted_people(found.frame, 0), before + part * (after - before))


def test_cameras_of_different_rates_meet_by_time(walk) -> None:
    """The second camera takes every other frame: its frame 3 is the capture's frame 6, and 7 lies between 3 and 4."""
    every = [Frame(n, walk.rig(), walk.detections_at(n)) for n in range(12)]
    slow = [walk.detections_at(2 * n) for n in range(6)]
    frames = []
    for n, frame in enumerate(every):
        mine = frame.detections.select(views=[1])
        mine = slow[n].select(views=[1]) if n < 6 else replace(mine, valid=torch.zeros_like(mine.valid))
        parts = [frame.detections.select(views=[0]), mine, frame.detections.select(views=[2, 3])]
        frames.append(replace(frame, detections=torch_cat(parts)))
    clocks, rate = clocks_of([60.0, 30.0, 60.0, None])
    assert rate == 60.0 and [clock.ratio for clock in clocks] == [1.0, 0.5, 1.0, 1.0]
    moved = retimed(Source.of(frames), clocks)
    for number in (6, 7):
        found = moved.read(number)
        assert found is not None
        expected = sorted_people(every[number], 1)
        assert float((sorted_people(found.frame, 1) - expected).norm(dim=-1).max()) < 0.5


def torch_cat(parts):
    from dispose.tensors import cat

    return cat(parts, "views")


def test_what_cannot_be_a_shift_is_refused_in_a_sentence(walk) -> None:
    for wrong in ("cam02", "cam02=", "=5", "cam02=five", "cam02=nan", "cam02=1e9"):
        with pytest.raises(InputError, match="CAMERA=FRAMES"):
            shift_of(wrong)
    assert shift_of("my=cam=-2.5") == ("my=cam", -2.5)
    with pytest.raises(InputError, match="no such camera; the cameras are a, b"):
        shifted(["a", "b"], [CameraClock(), CameraClock()], [("c", 1.0)])
    with pytest.raises(InputError, match="no frame is left"):
        retimed(source(walk), [CameraClock(50.0)] * 4)


def test_cameras_that_count_from_another_number_are_named(capture_folder) -> None:
    """One from 1, the others from 0, all with as many frames: an instant off, and said."""
    for path in sorted((capture_folder.path / "pose" / "cam01_json").glob("*.json"), reverse=True):
        number = int(path.stem.rsplit(".", 1)[1])
        path.rename(path.with_name(f"cam01.{number + 1:04d}.json"))
    (note,) = [note for note in read_capture(capture_folder.path).notes if "count from" in note]
    assert note.startswith("cameras have as many frames, but count from different numbers (cam01: ")
    assert note.endswith("); if they began together, give --shift cam01=-1.")
    assert not [n for n in read_capture(capture_folder.path, shifts=["cam01=-1"]).notes if "count from" in n]
    path.with_name(f"cam01.{number + 1:04d}.json").unlink()
    assert not [n for n in read_capture(capture_folder.path).notes if "count from" in n]


def test_shifts_are_applied_by_predict(capture_folder, tmp_path: Path, capsys) -> None:
    """A camera whose files count from five: shifted back, everybody is found in every frame that all have."""
    for path in sorted((capture_folder.path / "pose" / "cam02_json").glob("*.json"), reverse=True):
        number = int(path.stem.rsplit(".", 1)[1])
        path.rename(path.with_name(f"cam02.{number + 5:04d}.json"))
    options = ["--associator", "greedy", "--no-evidence", "--shift", "cam02=-5"]
    assert main(["predict", str(capture_folder.path), "--out", str(tmp_path / "out"), *options]) == 0
    assert "frames are shifted: cam_02 by -5" in capsys.readouterr().out
    frames = read_predictions(tmp_path / "out" / "predictions.jsonl").frames
    members = frames[0].association.members
    assert len(members) == 2 and (members >= 0).all()
    assert main(["predict", str(capture_folder.path), "--out", str(tmp_path / "out2"), "--shift", "cam9=1"]) == 2
    assert "there is no such camera" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "predict", "calibrate refine"])
def test_cameras_that_count_from_elsewhere_are_shifted_in_every_command(
    walk, tmp_path: Path, capsys, command: str
) -> None:
    """No camera is lost whose numbers are no other's, and every instant has all of them."""
    rig, names = walk.rig(), ("cam01", "cam02", "cam03", "cam04")
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", rig)
    for number in range(14):
        write_openpose(tmp_path / "pose", number, names, walk.detections_at(number % 6))
    for row, name in enumerate(names):
        for path in sorted((tmp_path / "pose" / f"{name}_json").glob("*.json")):
            path.rename(path.with_name(f"{name}.{int(path.stem.split('.')[1]) + 1000 * row:06d}.json"))
    with pytest.raises(InputError, match="if they began together, give --shift cam02=-1000 --shift cam03=-2000"):
        read_capture(tmp_path)
    shifts = [word for row, name in enumerate(names) for word in ("--shift", f"{name}={-1000 * row}")]
    report = "--report" if "refine" in command else "--out"
    # Six frames over and over are too little to refine by: that is said after they were read.
    status = 2 if "refine" in command else 0
    assert main([*command.split(), str(tmp_path), report, str(tmp_path / "out"), *shifts]) == status
    said = capsys.readouterr().out
    assert "14 frames read, 112 detections." in said and "has no file" not in said
    assert command != "check" or f"dispose predict {tmp_path} --shift cam01=0 --shift cam02=-1000" in said


def test_frames_beyond_those_chosen_are_still_a_late_cameras(capture_folder) -> None:
    capture = select_frames(read_capture(capture_folder.path), 2, 4)
    moved = retimed(source_of(capture), [CameraClock(), CameraClock(-2.0), CameraClock(), CameraClock()])
    assert moved.numbers == (2, 3)
    late = moved.read(3)
    assert late is not None and late.missing == () and (late.frame.detections.counts == 2).all()
    beyond = retimed(source_of(capture), [CameraClock(), CameraClock(-3.0), CameraClock(), CameraClock()]).read(3)
    assert beyond is not None and [(one.camera, one.number) for one in beyond.missing] == [("cam_02", 3)]


def test_a_rate_told_of_one_camera_is_another_than_the_others(capture_folder) -> None:
    capture = read_capture(capture_folder.path)
    for rate_hz, ratio in ((None, 0.5), (60.0, 0.25)):
        times = timing_of(capture, TimeOptions(camera_rate=("cam_02=15",)), rate_hz)
        assert [clock.ratio for clock in times.clocks] == [1, ratio, 1, 1] and times.rate == (rate_hz or 30)


def test_a_camera_with_half_the_frames_is_told(walk, tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", walk.rig())
    for number in range(50):
        some = ("cam01", "cam02", "cam03", "cam04") if number < 25 else ("cam01", "cam02", "cam03")
        write_openpose(tmp_path / "pose", number, some, walk.detections_at(number % 6).select(views=range(len(some))))
    capture = read_capture(tmp_path)
    (note,) = time_notes(capture, timing_of(capture, TimeOptions(), 50.0))
    assert note.endswith("if it took 0.5 as many frames per second as the others, give --camera-rate cam04=25.")
    assert time_notes(capture, timing_of(capture, TimeOptions(camera_rate=("cam_04=25",)), 50.0))[0].startswith(
        "frames per second differ (cam_01 50, cam_02 50, cam_03 50, cam_04 25)"
    )


def test_check_begins_with_the_rate_of_a_camera_with_half_the_frames(walk, tmp_path: Path, capsys) -> None:
    write_calibration_toml(tmp_path / "calib" / "Calib.toml", walk.rig())
    for number in range(50):
        write_openpose(tmp_path / "pose", number, ("cam01", "cam02", "cam03"),
                       walk.detections_at(0.5 * number).select(views=range(3)))  # fmt: skip
        if number < 25:
            write_openpose(tmp_path / "pose", number, ("cam04",), walk.detections_at(number).select(views=[3]))
    main(["check", str(tmp_path), "--out", str(tmp_path / "out"), "--rate-hz", "50"])
    first = f"dispose check {tmp_path} --rate-hz 50.0 --camera-rate cam04=25"
    assert f"type next:\n  {first}\n  dispose predict" in capsys.readouterr().out
    assert main([*first.split()[1:], "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "warning" not in said and "type next:\n  dispose predict" in said


def test_predict_smooths_as_smooth_does(capture_folder, tmp_path: Path, capsys) -> None:
    """`--smooth` writes what `dispose smooth` makes of the results, beside them; without a rate it is refused first."""
    folder, out = str(capture_folder.path), tmp_path / "out"
    assert main(["predict", folder, "--out", str(out), "--associator", "greedy", "--smooth"]) == 2
    assert "--smooth needs the frame rate" in capsys.readouterr().err and not out.exists()
    assert main(["predict", folder, "--out", str(out), "--associator", "greedy", "--smooth", "--rate-hz", "30"]) == 0
    assert main(["smooth", str(out), "--out", str(tmp_path / "again")]) == 0
    before, one, two = (
        np.load(path / "predictions.npz") for path in (out, tmp_path / "out-smooth", tmp_path / "again")
    )
    assert sorted(one.files) == sorted(two.files) and "filled" in one.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name])
    assert one["joints"].shape == before["joints"].shape and (one["joints"] != before["joints"]).any()
    assert {path.name for path in (tmp_path / "out-smooth" / "trc").iterdir()} == {
        "out_P1.trc",
        "out_P2.trc",
    }


def test_the_rate_of_a_camera_can_be_said(capture_folder) -> None:
    capture = read_capture(capture_folder.path)
    times = timing_of(capture, TimeOptions(camera_rate=("cam_01=60", "cam_02=30")), None)
    assert times.rate == 60.0 and times.clocks[1].ratio == 0.5 and times.retimes
    with pytest.raises(InputError, match="CAMERA=HZ"):
        timing_of(capture, TimeOptions(camera_rate=("cam_01=0",)), None)
    assert retimed(source_of(capture), [CameraClock()] * 4).read(0) is not None


def test_somebody_who_is_gone_for_a_second_keeps_their_number(shared_data: Path, tmp_path: Path, capsys) -> None:
    case = shared_data / "cases" / "leaves_60_frames"
    given = ["--rate-hz", "60", "--associator", "greedy", "--no-evidence", "--out", str(tmp_path)]
    assert main(["predict", str(case), *given]) == 0
    assert "2 people:" in capsys.readouterr().out
    assert len(list((tmp_path / "trc").glob("*.trc"))) == 2
    assert main(["predict", str(case), *given, "--patience-s", "0.5"]) == 0
    assert "3 people:" in capsys.readouterr().out
