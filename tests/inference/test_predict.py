"""From a folder to files: the right people with stable ids, whole files or none, one sentence for bad input."""

import json
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.cli.main import main
from dispose.formats.predictions import read_predictions
from dispose.formats.trc import read_trc
from dispose.inference.capture import read_capture, source_of
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run as run_frames
from dispose.scene.frame import Frame
from dispose.scene.results import Association, associate_each, reconstruct_each
from dispose.skeletons.catalog import COCO_17


def run(folder: Path, out: Path, *options: str) -> int:
    return main(["predict", str(folder), "--associator", "greedy", "--out", str(out), *options])


@pytest.mark.parametrize(("triangulator", "off_mm"), [("robust", 0.01), ("rays", 10.0)])
def test_exact_detections_give_the_people_back(
    walk, capture_folder, tmp_path: Path, capsys, triangulator: str, off_mm: float
) -> None:
    """The learned way has never seen keypoints without noise and leans on the body a little."""
    assert run(capture_folder.path, tmp_path / "out", "--triangulator", triangulator) == 0
    assert "2 people:" in capsys.readouterr().out
    saved = read_predictions(tmp_path / "out" / "predictions.jsonl")
    first = saved.frames[0].poses
    order = [0, 1] if (first.xyz_world[0] - walk.people_at(0)[0]).norm() < 100 else [1, 0]
    for frame in saved.frames:
        truth = walk.people_at(frame.number)[order]
        rows = [frame.poses.id.tolist().index(person) for person in (1, 2)]
        assert_close(frame.poses.xyz_world[rows], truth, atol=off_mm, rtol=0)
        index = walk.detections_at(frame.number).index
        assert sorted(frame.association.members[:, 0].tolist()) == sorted(index[0].tolist())
    walker = read_trc(tmp_path / "out" / "trc" / "walk_P1.trc")
    expected = torch.stack([walk.people_at(n)[order[0]] for n in range(walk.frames)])
    assert_close(walker.xyz_world, expected, atol=off_mm, rtol=0)
    with np.load(tmp_path / "out" / "predictions.npz") as table:
        assert table["id"].shape == (2 * walk.frames,)


def test_triangulators_by_name(capture_folder, tmp_path: Path, capsys) -> None:
    """A keypoint that lies pulls the DLT away from where RANSAC and the robust way put the joint, in our files too."""
    file = capture_folder.frame_file("cam01", 0)
    record = json.loads(file.read_text())
    record["people"][0]["pose_keypoints_2d"][3 * 9] += 150.0  # a wrist
    file.write_text(json.dumps(record))
    places = {}
    for who in ("greedy", "learned"):
        for name in ("dlt", "robust", "ransac"):
            out = tmp_path / who / name
            options = ("--associator", who, "--triangulator", name, "--frames", "0:1", "--no-evidence")
            assert run(capture_folder.path, out, *options) == 0
            places[who, name] = read_predictions(out / "predictions.jsonl").frames[0].poses.xyz_world[:, 9]
        near, far = (
            float((places[who, name] - places[who, "ransac"]).norm(dim=-1).max()) for name in ("robust", "dlt")
        )
        # What contradicts pulls the robust place a little, RANSAC's not at all.
        assert 0.01 < near < 20 and 3 * near < far < 500
    capsys.readouterr()
    given = ("--triangulator", "robust", "--triangulator-weights", "some.safetensors")
    assert run(capture_folder.path, tmp_path, *given) == 2
    assert "the triangulator robust has no weights" in capsys.readouterr().err


def test_members_point_into_the_files(walk, capture_folder, tmp_path: Path) -> None:
    run(capture_folder.path, tmp_path, "--triangulator", "robust")
    for line in (tmp_path / "predictions.jsonl").read_text().splitlines()[1:]:
        record = json.loads(line)
        for person in record["persons"]:
            for camera, position in person["members"].items():
                file = capture_folder.frame_file(camera.replace("_", ""), record["frame"])
                keypoints = json.loads(file.read_text())["people"][position]["pose_keypoints_2d"]
                view = walk.rig().names.index(camera)
                xyz = torch.tensor([person["joints"][0][:3]], dtype=torch.float64)
                xy = walk.rig().project(xyz)[0][view, 0]
                assert_close(xy, torch.tensor(keypoints[:2], dtype=torch.float64), atol=0.1, rtol=0)


def test_options(capture_folder, tmp_path: Path, capsys) -> None:
    assert run(capture_folder.path, tmp_path, "--frames", "1:4", "--rate-hz", "50", "--skeleton", "coco_17") == 0
    assert [f.number for f in read_predictions(tmp_path / "predictions.jsonl").frames] == [1, 2, 3]
    assert read_trc(tmp_path / "trc" / "walk_P1.trc").rate_hz == 50.0
    out = tmp_path / "parts"
    arguments = ["--calibration", str(capture_folder.calibration), "--detections", str(capture_folder.path / "pose")]
    assert main(["predict", *arguments, "--associator", "ilp", "--out", str(out)]) == 0
    assert (out / "predictions.jsonl").exists()
    capsys.readouterr()
    assert run(capture_folder.path, tmp_path, "--frames", "7") == 2
    assert "must be A:B" in capsys.readouterr().err
    assert run(capture_folder.path, tmp_path, "--skeleton", "octopus") == 2
    assert "no skeleton named 'octopus'" in capsys.readouterr().err
    assert run(capture_folder.path, tmp_path, "--weights", "some.safetensors") == 2
    assert "the associator greedy has none" in capsys.readouterr().err
    assert main(["predict", str(capture_folder.path), "--weights", str(tmp_path / "none.safetensors")]) == 2
    assert "none.safetensors" in capsys.readouterr().err
    assert main(["predict"]) == 2
    assert "name a capture folder" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-5", "nan", "inf", "fast"])
def test_numbers_that_mean_nothing_are_refused(capture_folder, tmp_path: Path, capsys, number: str) -> None:
    for option in ("--rate-hz", "--mm-per-unit"):
        with pytest.raises(SystemExit) as stop:
            run(capture_folder.path, tmp_path / "out", option, number)
        assert stop.value.code == 2
        assert "positive number up to 1e9 is expected" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_results_that_could_not_be_written_are_refused_before_the_work(capture_folder, tmp_path, capsys) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    for command in ("predict", "check"):
        for out in (tmp_path / "thesis.txt", tmp_path / "thesis.txt" / "results"):
            assert main([command, str(capture_folder.path), "--out", str(out)]) == 2
            said = capsys.readouterr()
            assert "thesis.txt: is a file; the results go into a folder" in said.err
            assert "frames read" not in said.out
    assert run(tmp_path / "thesis.txt", tmp_path / "out") == 2
    assert "thesis.txt: is a file, not a capture folder" in capsys.readouterr().err


@contextmanager
def no_file_beyond(count: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: what a full disk is like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(capture_folder, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    run(capture_folder.path, out, "--frames", "0:2")
    before = (out / "predictions.jsonl").read_bytes()
    capsys.readouterr()
    with no_file_beyond(2048):
        assert run(capture_folder.path, out) == 2
    sentence = r"dispose: .*: cannot be written \(File too large\); make room and give the same command again\.\n"
    assert re.fullmatch(sentence, capsys.readouterr().err)
    assert (out / "predictions.jsonl").read_bytes() == before
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_second_run_replaces_the_first(capture_folder, tmp_path: Path) -> None:
    stale = tmp_path / "trc" / "walk_P77.trc"
    stale.parent.mkdir()
    stale.write_text("PathFileType")
    other = tmp_path / "trc" / "walk_Pause.trc"
    other.write_text("somebody's own")
    run(capture_folder.path, tmp_path)
    first = (tmp_path / "predictions.jsonl").read_bytes()
    run(capture_folder.path, tmp_path)
    assert (tmp_path / "predictions.jsonl").read_bytes() == first
    assert not stale.exists()
    assert other.exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "walk") == [
        "evidence.npz",
        "predictions.jsonl",
        "predictions.npz",
        "trc",
    ]


def test_a_run_that_dies_leaves_the_old_file(capture_folder, tmp_path: Path) -> None:
    run(capture_folder.path, tmp_path)
    before = (tmp_path / "predictions.jsonl").read_bytes()

    def dying(frame: Frame) -> Association:
        if frame.number == 3:
            raise KeyboardInterrupt
        return greedy_agglomerative(frame)

    with pytest.raises(KeyboardInterrupt), results_folder(tmp_path, RunFiles("walk", "dying")) as sink:
        source = source_of(read_capture(capture_folder.path))
        run_frames(source, associate_each(dying), reconstruct_each(reconstruct_frame), sink)
    assert (tmp_path / "predictions.jsonl").read_bytes() == before


def spoil_calibration(old: str, new: str) -> Callable:
    def spoil(folder) -> None:
        text = folder.calibration.read_text()
        assert old in text
        folder.calibration.write_text(text.replace(old, new, 1))

    return spoil


def truncate_calibration(folder) -> None:
    folder.calibration.write_text(folder.calibration.read_text()[:300])


def only_one_camera(folder) -> None:
    head, _, _ = folder.calibration.read_text().partition("[cam_02]")
    folder.calibration.write_text(head)


def second_camera_at_the_first(folder) -> None:
    text = folder.calibration.read_text()
    blocks = text.split("[cam_02]")
    first = "\n".join(blocks[0].splitlines()[2:])
    rest = "\n".join(blocks[1].splitlines()[8:])
    folder.calibration.write_text(f'{blocks[0]}[cam_02]\nname = "cam_02"\n{first}\n{rest}')


def singular_rotation(folder) -> None:
    spoil = [line for line in folder.calibration.read_text().splitlines() if line.startswith("rotation")][1]
    spoil_calibration(spoil, "rotation = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]")(folder)


def skewed_rotation(folder) -> None:
    spoil = [line for line in folder.calibration.read_text().splitlines() if line.startswith("rotation")][1]
    spoil_calibration(spoil, "rotation = [[1.0, 0.2, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]")(folder)


def spoil_values(change: Callable[[list[float]], list[float]]) -> Callable:
    return lambda folder: folder.spoil_person("cam03", 4, change)


def spoil_all(change: Callable[[list[float]], list[float]]) -> Callable:
    def spoil(folder) -> None:
        for path in sorted((folder.path / "pose").glob("*/*.json")):
            people = [{"pose_keypoints_2d": change(one["pose_keypoints_2d"])} for one in read_json(path)["people"]]
            path.write_text(json.dumps({"people": people}))

    return spoil


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def rename_frames(folder) -> None:
    for v in (1, 2, 3, 4):
        for path in sorted((folder.path / "pose" / f"cam0{v}_json").glob("*.json"), reverse=True):
            path.rename(path.with_name(f"cam0{v}.{int(path.stem[-4:]) + 100 * v:04d}.json"))


BAD_INPUT: dict[str, tuple[Callable, str]] = {
    "focal": (spoil_calibration("[[1100.0", "[[-3.5"), "Calib.toml: camera cam_01: focal length in x is -3.5"),
    "truncated calibration": (truncate_calibration, "Calib.toml: is no TOML"),
    "one camera": (only_one_camera, r"Calib.toml: at least two cameras are needed, there is 1 \(cam_01\)"),
    "one place": (second_camera_at_the_first, "Calib.toml: cameras cam_01 and cam_02 stand at one place"),
    "singular": (singular_rotation, r"Calib.toml: camera cam_02: rotation is singular \(determinant 0\)"),
    "not orthonormal": (skewed_rotation, "Calib.toml: camera cam_02: rotation is not orthonormal .* by 0.2"),
    "text for a focal length": (
        spoil_calibration("[[1100.0", '[["1100.0"'),
        "Calib.toml: camera cam_01: matrix: numbers are expected, not '1100",
    ),
    "scores in percent": (
        spoil_all(lambda v: [100 * x if at % 3 == 2 else x for at, x in enumerate(v)]),
        r"cam01\.0000\.json: camera cam01, frame 0: scores .* reach 90 .* probably 100 times too large",
    ),
    "another image size": (
        spoil_all(lambda v: [x if at % 3 == 2 else 2 * x for at, x in enumerate(v)]),
        r"camera cam0\d, frame 0: .* lie outside the calibrated image of 1920 x 1080 .* times as large",
    ),
    "another unit": (
        spoil_all(lambda v: [x if at % 3 == 2 else 100 * x for at, x in enumerate(v)]),
        r"camera cam0\d, frame 0: .* lie outside the calibrated image .* or in another unit",
    ),
    "another skeleton": (spoil_all(lambda v: v[:30] + v[:30]), "people have 20 joints, which fits no skeleton we know"),
    "another order": (
        spoil_all(lambda v: v[27:] + v[:27]),
        r"17 joints, .* do not fit .*say which \(--skeleton coco_17",
    ),
    "pairs of numbers": (
        spoil_all(lambda v: v[:50]),
        "people have 50 numbers, x, y and score of every joint are expec",
    ),
    "frame numbers": (rename_frames, r"no frame number occurs in two cameras \(cam01: 100-105, cam02: 200-205"),
    "no detections": (lambda f: shutil.rmtree(f.path / "pose"), "walk: no detections in it"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence(capture_folder, tmp_path: Path, capsys, case: str) -> None:
    spoil, sentence = BAD_INPUT[case]
    spoil(capture_folder)
    assert run(capture_folder.path, tmp_path / "out") == 2
    said = capsys.readouterr()
    assert said.err.startswith("dispose: ")
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert re.search(sentence, said.err), said.err
    assert not (tmp_path / "out").exists()


def test_what_is_lost_is_counted_and_the_rest_is_kept(capture_folder, tmp_path: Path, capsys) -> None:
    capture_folder.frame_file("cam01", 2).unlink()
    capture_folder.frame_file("cam02", 3).write_text('{"people": [{"pose_keyp')
    for camera in ("cam01", "cam02", "cam03", "cam04"):
        capture_folder.frame_file(camera, 5).write_text('{"people": []}')
    shutil.rmtree(capture_folder.path / "pose" / "cam04_json")
    assert run(capture_folder.path, tmp_path) == 0
    said = capsys.readouterr().out
    assert "calibrated cameras without detections, left out: cam_04." in said
    assert "camera cam_01 has no file for 1 frames (2)." in said
    assert "cam02.0003.json: camera cam02, frame 3: breaks off" in said
    frames = read_predictions(tmp_path / "predictions.jsonl").frames
    assert [len(frame.association) for frame in frames] == [2, 2, 2, 2, 2, 0]
    assert [sorted(frame.poses.id.tolist()) for frame in frames[:5]] == [[1, 2]] * 5


NOBODY_FOUND = {
    "nobody is seen by two cameras": (
        lambda folder: [
            folder.frame_file(f"cam0{v}", n).write_text('{"people": []}') for v in (2, 3, 4) for n in range(6)
        ],
        "nobody was found in any frame: in no frame is anybody seen by two cameras.",
        1,
    ),
    "nobody is detected": (
        spoil_all(lambda v: [0.0] * len(v)),
        "walk/pose: nobody is detected in any frame, so choose the skeleton with --skeleton",
        2,
    ),
}


@pytest.mark.parametrize("case", NOBODY_FOUND)
def test_where_nobody_is_found_the_status_says_so_and_the_sentence_why(
    capture_folder, tmp_path: Path, capsys, case: str
) -> None:
    spoil, sentence, status = NOBODY_FOUND[case]
    spoil(capture_folder)
    assert run(capture_folder.path, tmp_path / "out") == status
    said = capsys.readouterr()
    assert sentence in said.out + said.err
    # Told the skeleton, a run has nothing to stop for.
    assert run(capture_folder.path, tmp_path / "told", "--skeleton", "coco_17") == 1
    assert "nobody was found in any frame: " in capsys.readouterr().out


def test_people_who_are_nowhere_are_no_result(capture_folder, tmp_path: Path, capsys) -> None:
    """Detections of images half as large: cameras agree on nobody's joints, which is said beside the counts."""
    for path in capture_folder.path.glob("pose/*/*.json"):
        found = json.loads(path.read_text())
        for person in found["people"]:
            values = person["pose_keypoints_2d"]
            person["pose_keypoints_2d"] = [v if at % 3 == 2 else v / 2 for at, v in enumerate(values)]
        path.write_text(json.dumps(found))
    status = run(capture_folder.path, tmp_path)
    said = capsys.readouterr().out
    assert status == 1 or "detections and calibration hardly belong together; `dispose check` says more" in said


def test_what_was_odd_stands_in_the_header(capture_folder, tmp_path: Path, capsys) -> None:
    capture_folder.spoil_person("cam03", 4, lambda v: [float("nan"), *v[1:]])
    capture_folder.spoil_person("cam02", 5, lambda v: [v[0], v[1], 1.25, *v[3:]])
    assert run(capture_folder.path, tmp_path) == 0
    said = capsys.readouterr().out
    header = json.loads((tmp_path / "predictions.jsonl").read_text().splitlines()[0])
    assert header["joints"] == list(COCO_17.joints) and len(header["read"]) == 3
    assert header["read"][0] == "6 frames read, 48 detections."
    assert all(sentence in said for sentence in header["read"])
    assert "cam03.0004.json: camera cam03, frame 4, person 1, joint nose: x is nan)." in header["read"][1]
    assert "joint nose: score is 1.25)." in header["read"][2]


def test_nobody_is_followed_over_minutes(capture_folder, tmp_path: Path, capsys) -> None:
    """Two stills are no sequence, however near people stand to where others stood before."""
    for camera in ("cam01", "cam02", "cam03", "cam04"):
        for frame in range(2, 6):
            capture_folder.frame_file(camera, frame).unlink()
        capture_folder.frame_file(camera, 1).rename(capture_folder.frame_file(camera, 4848))
    assert run(capture_folder.path, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "4 people:" in said and "frames are 4848 numbers apart or more, 161.6 s" in said
    assert run(capture_folder.path, tmp_path / "patient", "--patience-s", "200") == 0
    said = capsys.readouterr().out
    assert "2 people:" in said and "numbers apart" not in said
