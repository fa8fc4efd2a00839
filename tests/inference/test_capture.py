"""Captures: what is matched, what is lost and counted, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.inference.capture import read_capture, read_frame, select_frames
from dispose.inference.check.footage import even_steps
from dispose.inference.pairing import match_names
from dispose.inference.readings import Summary, gaps_of, spans, spans_of
from dispose.inference.skeleton_choice import choose_skeleton
from dispose.skeletons.catalog import BODY_25, BODY_25B, COCO_17, HALPE_26
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT


def account(folder: Path) -> Summary:
    capture = read_capture(folder)
    summary = Summary()
    for number in capture.numbers:
        summary = summary.plus(read_frame(capture, number))
    return summary


def test_a_capture_is_what_was_written(walk, capture_folder) -> None:
    capture = read_capture(capture_folder.path)
    assert (capture.skeleton, capture.numbers) == (COCO_17, tuple(range(walk.frames)))
    assert capture.notes == ("cameras matched: cam_01 is cam01, cam_02 is cam02, cam_03 is cam03, cam_04 is cam04.",)
    assert_close(capture.cameras.project(walk.people_at(0))[0], walk.rig().project(walk.people_at(0))[0])
    for number in capture.numbers:
        found, wanted = read_frame(capture, number).frame.detections, walk.detections_at(number)
        assert_close(found.xy_image, wanted.xy_image)
        assert torch.equal(found.index, wanted.index)
    assert account(capture_folder.path).sentences() == ("6 frames read, 48 detections.",)


def test_other_formats_by_their_own_paths(walk, capture_folder, tmp_path: Path) -> None:
    write_calibration_toml(tmp_path / "rig.toml", walk.rig())
    records = []
    for number in range(3):
        found = walk.detections_at(number)
        people = torch.cat([found.xy_image, found.confidence[..., None]], -1)
        for view, slot in found.valid.nonzero().tolist():
            image, keypoints = f"{walk.rig().names[view]}/{number:06d}", people[view, slot].flatten().tolist()
            records.append({"image_id": image, "keypoints": keypoints, "score": 1.0})
    (tmp_path / "results.json").write_text(json.dumps(records))
    capture = read_capture(tmp_path, calibration=tmp_path / "rig.toml", detections=tmp_path / "results.json")
    assert (capture.numbers, capture.notes) == ((0, 1, 2), ())
    assert_close(read_frame(capture, 2).frame.detections.xy_image, walk.detections_at(2).xy_image)


def test_names_are_matched_tolerantly_but_never_wildly() -> None:
    match = match_names(("cam_01", "cam_02", "Top"), ("cam02_json", "cam1", "side"))
    assert match.pairs == ((0, 1), (1, 0))
    assert (match.only_calibrated, match.only_detected) == (("Top",), ("side",))
    assert match_names(("a_1", "b_1"), ("c1", "a1")).pairs == ((0, 1),)
    assert match_names(("cam1", "cam2"), ("x1_2", "y1_1")).pairs == ()
    exact_first = match_names(("1", "01"), ("01", "1"))
    assert exact_first.pairs == ((0, 1), (1, 0))


def test_cameras_without_partner_are_left_out_and_named(capture_folder) -> None:
    shutil.move(capture_folder.path / "pose" / "cam02_json", capture_folder.path / "pose" / "other_json")
    capture = read_capture(capture_folder.path)
    assert capture.cameras.names == ("cam_01", "cam_03", "cam_04")
    notes = " ".join(capture.notes)
    assert "calibrated cameras without detections, left out: cam_02." in notes
    assert "detections of cameras without calibration, left out: other." in notes
    for camera in ("cam03", "cam04"):
        shutil.rmtree(capture_folder.path / "pose" / f"{camera}_json")
    with pytest.raises(InputError, match=r"pose: 1 of its cameras \(cam01, other\) belong to the calibrated ones"):
        read_capture(capture_folder.path)


def test_a_missing_and_a_damaged_frame_cost_one_view_each(capture_folder) -> None:
    capture_folder.frame_file("cam02", 3).unlink()
    damaged = capture_folder.frame_file("cam04", 1)
    damaged.write_text(damaged.read_text()[:200])
    summary = account(capture_folder.path)
    assert summary.found == 48 - 4
    first, second, third = summary.sentences()
    assert first == "6 frames read, 44 detections."
    assert second == "camera cam_02 has no file for 1 frames (3)."
    assert third.startswith("lost: ")
    assert "cam04.0001.json: camera cam04, frame 1: breaks off" in third


def test_an_empty_frame_is_legal(capture_folder) -> None:
    for camera in ("cam01", "cam02", "cam03", "cam04"):
        capture_folder.frame_file(camera, 2).write_text('{"people": []}')
    capture = read_capture(capture_folder.path)
    reading = read_frame(capture, 2)
    assert int(reading.frame.detections.valid.sum()) == 0
    assert (reading.missing, reading.damaged) == ((), ())


def renumber(folder, camera: str, offset: int) -> None:
    for path in sorted((folder.path / "pose" / f"{camera}_json").glob("*.json"), reverse=True):
        number = int(path.stem.split(".")[1])
        path.rename(path.with_name(f"{camera}.{number + offset:04d}.json"))


def test_frame_numbers_that_do_not_match(capture_folder) -> None:
    renumber(capture_folder, "cam01", 500)
    capture = read_capture(capture_folder.path)
    assert capture.cameras.names == ("cam_02", "cam_03", "cam_04")
    left_out = "camera cam01 is left out: its frames (500-505) occur in no other camera; if they began together, give "
    assert f"{left_out}--shift cam01=-500." in capture.notes
    renumber(capture_folder, "cam02", 1000)
    renumber(capture_folder, "cam03", 2000)
    with pytest.raises(InputError, match=r"no frame number occurs in two cameras \(cam01: 500-505, cam02: 1000-1005"):
        read_capture(capture_folder.path)


ODD_VALUES = {
    "joint nose: y is nan": lambda v: [v[0], float("nan"), *v[2:]],
    "joint l_eye: x is inf": lambda v: [*v[:3], float("inf"), *v[4:]],
    "joint nose: score is 1.5": lambda v: [v[0], v[1], 1.5, *v[3:]],
    "joint nose: x is -3.0": lambda v: [-3.0, *v[1:]],
    "16 joints, coco_17 has 17 joints": lambda v: v[:-3],
    "no keypoints": lambda v: [],
}


@pytest.mark.parametrize("words", ODD_VALUES)
def test_an_odd_value_is_counted_and_its_place_named(capture_folder, words: str) -> None:
    capture_folder.spoil_person("cam03", 4, ODD_VALUES[words])
    first, second = account(capture_folder.path).sentences()
    assert first.startswith("6 frames read, 4")
    place = f"{capture_folder.frame_file('cam03', 4)}: camera cam03, frame 4, person 1"
    assert f": 1 (the first: {place}" in second and words in second


def test_a_trial_uses_the_calibration_of_its_session(capture_folder) -> None:
    trial = capture_folder.path / "trial_1"
    trial.mkdir()
    shutil.move(capture_folder.path / "pose", trial / "pose")
    capture = read_capture(trial)
    assert len(capture.cameras) == 4
    assert capture.notes[0] == f"calibration of the session: {capture_folder.calibration}."


def test_missing_parts_are_named(walk, capture_folder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such capture folder"):
        read_capture(tmp_path / "nothing")
    shutil.copy(capture_folder.calibration, capture_folder.calibration.with_name("Calib_old.toml"))
    with pytest.raises(InputError, match=r"several calibrations \(calib/Calib\.toml, calib/Calib_old\.toml\)"):
        read_capture(capture_folder.path)
    shutil.rmtree(capture_folder.path / "calib")
    with pytest.raises(InputError, match="no calibration in it"):
        read_capture(capture_folder.path)
    empty = tmp_path / "empty"
    shutil.copytree(capture_folder.path / "pose" / "cam01_json", empty / "pose" / "cam01_json")
    write_calibration_toml(empty / "calib.toml", walk.rig())
    with pytest.raises(InputError, match="1 of its cameras"):
        read_capture(empty)


def projected(walk, joints: Skeleton, people: int, seed: int) -> list[torch.Tensor]:
    """Standing people seen from around; joints COCO does not have lie in the body's middle, none is symmetric."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(people):
        xy = walk.rig().project(walk.people_at(0)[0])[0][int(torch.randint(4, (), generator=generator))]
        rows = torch.stack([xy[COCO_17.index(j)] if j in COCO_17.joints else xy[:2].mean(0) + 3 for j in joints.joints])
        rows = rows + torch.randn(rows.shape, dtype=torch.float64, generator=generator)
        found.append(torch.cat([rows, torch.ones(len(joints), 1, dtype=torch.float64)], -1))
    return found


def test_the_skeleton_is_told_from_the_joints_or_asked_for(walk) -> None:
    assert choose_skeleton("x", projected(walk, COCO_17, 1, 0))[0] == COCO_17
    assert choose_skeleton("x", projected(walk, HALPE_26, 1, 0))[0] == HALPE_26
    for skeleton in (BODY_25, BODY_25B):
        chosen, note = choose_skeleton("x", projected(walk, skeleton, 30, 1))
        assert chosen == skeleton
        assert note is not None
    with pytest.raises(InputError, match=r"25 joints, which fits body_25.* or body_25.*; say which \(--skeleton"):
        choose_skeleton("x", projected(walk, BODY_25, 2, 2))
    generator = torch.Generator().manual_seed(0)
    noise = list(torch.rand(40, 25, 3, dtype=torch.float64, generator=generator))
    with pytest.raises(InputError, match="say which"):
        choose_skeleton("x", noise)
    with pytest.raises(InputError, match="22 joints, which fits no skeleton"):
        choose_skeleton("x", [torch.ones(22, 3, dtype=torch.float64)])
    with pytest.raises(InputError, match="nobody is detected"):
        choose_skeleton("x", [])


def test_the_skeleton_of_real_detections(shared_data: Path) -> None:
    table = (
        np.load(shared_data / "shelf" / "detections.npz")
        if (shared_data / "shelf" / "detections.npz").exists()
        else None
    )
    if table is None:
        (path,) = (shared_data / "shelf").glob("det*.npz")
        table = np.load(path)
    people = torch.from_numpy(table["kpts"][::60]).double().nan_to_num()
    assert choose_skeleton("shelf", list(people))[0] == BODY_25


def test_pose2sim_as_it_stands(shared_data: Path) -> None:
    capture = read_capture(shared_data / "raw" / "pose2sim_multi")
    assert (capture.skeleton, len(capture.cameras), len(capture.numbers)) == (BODY_25B, 4, 100)
    reading = read_frame(capture, 0)
    record = json.loads((shared_data / "raw/pose2sim_multi/pose/cam02_json/cam02.0000.json").read_text())
    first = torch.tensor(record["people"][0]["pose_keypoints_2d"], dtype=torch.float64).reshape(-1, 3)
    assert_close(reading.frame.detections.xy_image[1, 0], first[:, :2])


def test_frame_ranges(capture_folder) -> None:
    capture = read_capture(capture_folder.path)
    assert select_frames(capture, 2, 4).numbers == (2, 3)
    assert select_frames(capture, None, 1).numbers == (0,)
    with pytest.raises(InputError, match=r"no frame in 10: \(there are 0-5\)"):
        select_frames(capture, 10, None)
    assert spans([1, 2, 3, 5, 8, 9]) == "1-3, 5, 8-9"


def test_frames_that_no_camera_has_are_said(capture_folder) -> None:
    assert not [note for note in read_capture(capture_folder.path).notes if "no camera" in note]
    for camera in ("cam01", "cam02", "cam03", "cam04"):
        capture_folder.frame_file(camera, 3).unlink()
    assert read_capture(capture_folder.path).notes[-1] == ("frames 3 are in no camera, and will not be in the results.")
    # Every tenth frame of a recording leaves nothing out.
    assert gaps_of((0, 10, 20, 30)) == () == gaps_of((7,)) == gaps_of(())
    assert gaps_of((0, 10, 30, 40)) == (range(20, 30, 10),)
    # One stray file among those of three frames: a gap, not its numbers.
    assert spans_of(gaps_of((0, 1, 2, 20240101120000))) == "3-20240101119999"
    assert even_steps((0, 1, 2, 20240101120000))[1] == [0, 1, 2, ABSENT]


def test_hidden_files_are_nobodys_frames(capture_folder) -> None:
    before = read_capture(capture_folder.path)
    frame = capture_folder.frame_file("cam01", 3)
    for left_behind in (frame.with_name("._cam01.0003.json"), frame.with_name(".cam01.0003.k2j.json")):
        left_behind.write_bytes(b"\x00\x05\x16\x07")
    (capture_folder.calibration.parent / "._Calib.toml").write_bytes(b"\x00\x05")
    (frame.parent.parent / ".cam09_json").mkdir()
    after = read_capture(capture_folder.path)
    assert after.numbers == before.numbers and after.notes == before.notes
