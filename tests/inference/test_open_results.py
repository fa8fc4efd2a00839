"""Finished runs open without a model: what is there is shown, what is missing is said, what does not fit is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.integer_programme import integer_programme
from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.body3d import read_bodies
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.evidence import EVIDENCE, PEOPLE, PREDICTIONS
from dispose.inference.capture import read_capture, source_of
from dispose.inference.results_folder import RunFiles, results_folder, write_results
from dispose.inference.run import results_of
from dispose.inference.run import run as run_frames
from dispose.scene.frame import Detections
from dispose.scene.results import associate_each, reconstruct_each
from dispose.skeletons.catalog import BODY_25, COCO_17, PANOPTIC_19
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT
from dispose_workbench.failures.facts import FrameFacts, failure_of
from dispose_workbench.failures.reasons import explain
from dispose_workbench.results.open import read_results


@pytest.fixture
def run(capture_folder, tmp_path: Path) -> Path:
    """A finished run of a classic associator with the integer programme as its reference."""
    source, rebuild = source_of(read_capture(capture_folder.path)), reconstruct_each(reconstruct_frame)
    with results_folder(tmp_path / "run", RunFiles("walk", "greedy agglomerative")) as sink:
        run_frames(source, associate_each(greedy_agglomerative), rebuild, sink, reference=integer_programme)
    return tmp_path / "run"


def test_a_run_opens_as_it_was(run: Path, walk) -> None:
    results = read_results(run)
    assert (results.name, results.method, len(results.cases)) == ("walk", "greedy agglomerative", walk.frames)
    for result in results.cases:
        assert result.detections is not None and result.reference is not None
        assert_close(
            result.detections.xy_image, walk.detections_at(result.prediction.number).xy_image, atol=1e-2, rtol=0
        )
        failure = failure_of(result)
        assert failure.disagreement == 0 and failure.wrong_pairs is None
        assert failure.reprojection_px is not None and failure.reprojection_px < 0.1
    assert read_results(run / EVIDENCE).name == "walk"


def test_labels_come_from_a_truth_beside_it(run: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    lines = (run / PREDICTIONS).read_text().splitlines()
    record = json.loads(lines[1])
    one, two = record["persons"]
    one["members"], two["members"] = {**one["members"], "cam_01": two["members"]["cam_01"]}, {
        **two["members"], "cam_01": one["members"]["cam_01"],
    }  # fmt: skip
    head = lines[0].replace('"frames": 6', '"frames": 3')
    truth.write_text("\n".join([head, json.dumps(record), *lines[2:4]]))
    results = read_results(run, truth=truth)
    assert results.notes == (f"3 frames have no truth in {truth}.",)
    failures = [failure_of(result) for result in results.cases]
    assert [None if f.wrong_pairs is None else len(f.wrong_pairs) for f in failures] == [12, 0, 0, None, None, None]
    assert failures[1].missed == () and failures[1].joint_error_mm == pytest.approx(0, abs=0.1)


def test_a_half_written_run_opens_with_what_is_there(run: Path) -> None:
    (run / EVIDENCE).unlink()
    results = read_results(run)
    assert all(result.frame is None and result.hypotheses is None for result in results.cases)
    assert results.notes[0].startswith(f"there is no evidence.npz in {run}")
    assert "cameras are not known" in results.notes[1]
    (run / PEOPLE).write_bytes(b"of another run")
    with pytest.raises(InputError, match=r"predictions\.npz: cannot be read"):
        read_results(run)


def test_a_run_without_evidence_opens_with_its_capture(run: Path, capture_folder) -> None:
    whole = read_results(run)
    (run / EVIDENCE).unlink()
    for opened in (read_results(run / PREDICTIONS, capture=capture_folder.path),):
        for a, b in zip(opened.cases, whole.cases, strict=True):
            assert torch.equal(a.prediction.association.members, b.prediction.association.members)
            assert a.cameras is not None and b.cameras is not None
            assert_close(a.cameras.matrix, b.cameras.matrix)
    cameras = read_results(run, calibration=capture_folder.calibration)
    assert cameras.cases[0].cameras is not None and cameras.cases[0].cameras.names == whole.cases[0].cameras.names  # type: ignore[union-attr]
    assert bool((cameras.cases[0].prediction.association.members == ABSENT).all())
    assert "detections are not known" in " ".join(cameras.notes)


def test_results_without_evidence_never_keep_the_old_one(run: Path, capture_folder) -> None:
    source, rebuild = source_of(read_capture(capture_folder.path)), reconstruct_each(reconstruct_frame)
    found = results_of(source, associate_each(integer_programme), rebuild)
    write_results(run, found, RunFiles("walk", "integer programme", evidence=False))
    assert not (run / EVIDENCE).exists() and (run / PREDICTIONS).exists()


def without_evidence(run: Path, folder) -> str:
    (run / PREDICTIONS).unlink()
    return "has evidence.npz and no predictions.jsonl; run `dispose predict` again"


def without_anything(run: Path, folder) -> str:
    shutil.rmtree(run)
    (run / "notes").mkdir(parents=True)
    return r"no results in it \(looked for predictions.jsonl, body3DScene_\*.json, \*.trc\)"


def without_frames(run: Path, folder) -> str:
    (run / EVIDENCE).unlink()
    (run / PEOPLE).unlink()
    header = (run / PREDICTIONS).read_text().splitlines()[0].replace('"frames": 6', '"frames": 0')
    (run / PREDICTIONS).write_text(header + "\n")
    return "holds no frame"


def without_folder(run: Path, folder) -> str:
    shutil.rmtree(run)
    return "there is no such file or folder"


def one_level_too_high(run: Path, folder) -> str:
    shutil.move(run, run.parent / "inner")
    shutil.copytree(run.parent / "inner", run / "ours")
    shutil.copytree(run.parent / "inner", run / "greedy")
    return "holds several results .greedy, ours.; name one of them"


@pytest.mark.parametrize(
    "spoil", [without_evidence, without_anything, without_frames, without_folder, one_level_too_high]
)
def test_what_cannot_be_opened_is_one_sentence(run: Path, capture_folder, spoil) -> None:
    message = spoil(run, capture_folder)
    with pytest.raises(InputError, match=message) as caught:
        read_results(run)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(run))


def test_results_of_other_cameras_or_joints_than_the_capture(run: Path, capture_folder, tmp_path: Path) -> None:
    alone = tmp_path / "alone.jsonl"
    text = (run / PREDICTIONS).read_text()
    alone.write_text(text.replace("cam_04", "cam_09"))
    with pytest.raises(InputError, match=r"is of 4 cameras \(cam_01, .*cam_09 is not among them"):
        read_results(alone, capture=capture_folder.path)
    alone.write_text(text.replace('"frame": 5', '"frame": 77'))
    with pytest.raises(InputError, match=r"frame 77 is not in the capture .*\(0-5\)"):
        read_results(alone, capture=capture_folder.path)
    with pytest.raises(InputError, match="holds its own cameras and detections"):
        read_results(run, capture=capture_folder.path)
    header = json.loads(text.splitlines()[0])
    strange = Skeleton("strange", tuple(f"spot {j}" for j in range(17)), ())
    alone.write_text(text.replace(json.dumps(header["joints"]), json.dumps(list(strange.joints))))
    with pytest.raises(InputError, match=r"has no joint in common with the detections .*coco_17"):
        read_results(alone, capture=capture_folder.path)
    with pytest.raises(InputError, match="has no joint in common with coco_17"):
        read_results(run, truth=alone)
    assert "not in the catalogue: shown without bones" in " ".join(read_results(alone).notes)


def test_a_capture_with_another_skeleton_than_the_results(run: Path, capture_folder) -> None:
    people = Detections.from_lists(BODY_25, [[torch.rand(25, 3) * 400 for _ in range(2)] for _ in range(4)])
    for number in range(6):
        write_openpose(capture_folder.path / "pose", number, ("cam01", "cam02", "cam03", "cam04"), people)
    with pytest.raises(InputError, match="25"):
        read_results(run / PREDICTIONS, capture=capture_folder.path)


def test_joints_that_are_not_numbers_are_not_known(run: Path, tmp_path: Path) -> None:
    lines = (run / PREDICTIONS).read_text().splitlines()
    record = json.loads(lines[1])
    record["persons"][0]["joints"][3] = [float("nan"), 1.0, 2.0, 0.5]
    record["persons"][0]["joints"][4] = [1.0, 2.0, 3.0, float("nan")]
    path = tmp_path / "nan.jsonl"
    path.write_text("\n".join([lines[0].replace('"frames": 6', '"frames": 1'), json.dumps(record)]))
    poses = read_results(path).cases[0].prediction.poses
    assert poses.valid[0].tolist() == [j != 3 for j in range(17)]
    assert bool(torch.isfinite(poses.xyz_world).all() and torch.isfinite(poses.confidence).all())


def test_trc_files_open_with_a_truth(run: Path) -> None:
    results = read_results(run / "trc", truth=run / PREDICTIONS)
    assert results.method == "TRC files" and results.skeleton == COCO_17
    for result in results.cases:
        failure = failure_of(result)
        assert (failure.missed, failure.extra, failure.wrong_pairs) == ((), (), None)
        assert failure.joint_error_mm == pytest.approx(0, abs=0.1)


def test_people_without_detections_put_none_of_them_wrongly(run: Path, capture_folder) -> None:
    results = read_results(run / "trc", capture=capture_folder.path, truth=run)
    for result in results.cases:
        failure = failure_of(result)
        assert (failure.wrong_pairs, failure.missed, failure.extra) == (None, (), ())
        assert "put to nobody" not in explain(FrameFacts(result))


def test_a_capture_that_has_lost_what_people_are_made_of(run: Path, capture_folder) -> None:
    path = capture_folder.frame_file("cam01", 2)
    path.write_text("{")
    with pytest.raises(InputError, match=r"frame 2: people are made of detections of camera cam_01, .* breaks off"):
        read_results(run / PREDICTIONS, capture=capture_folder.path)
    path.unlink()
    with pytest.raises(InputError, match=r"frame 2: people are made of .* of which the capture has none: no file\."):
        read_results(run / PREDICTIONS, capture=capture_folder.path)


def test_a_truth_of_more_cameras(run: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    truth.write_text((run / PREDICTIONS).read_text().replace('"cam_04"]', '"cam_04", "cam_05"]'))
    with pytest.raises(InputError, match=r"is of 5 cameras .* this run has 4 .* cam_05 is not among them"):
        read_results(run, truth=truth)


def test_panoptic_sequences_open_with_their_cameras(shared_data: Path) -> None:
    folder = shared_data / "raw" / "panoptic" / "160906_band1"
    results = read_results(folder)
    assert results.method == "Panoptic JSON" and len(results.cases) == 20
    result = results.cases[0]
    assert result.cameras is not None and len(result.cameras) == 31
    path = folder / "hdPose3d_stage1_coco19" / f"body3DScene_{result.prediction.number:08d}.json"
    truth = read_bodies(path).poses(PANOPTIC_19, known_above=0.1)
    assert torch.equal(result.prediction.poses.id, truth.id)
    both = truth.valid
    assert_close(result.prediction.poses.xyz_world[both], truth.xyz_world[both])
    assert len(read_results(path).cases) == 1


def test_pose2sim_results_open_with_their_capture(shared_data: Path) -> None:
    folder = shared_data / "raw" / "pose2sim_multi"
    results = read_results(folder / "pose-3d")
    assert len(results.cases) == 100 and results.cases[0].prediction.poses.id.tolist() == [1, 2]
    assert "21 joints of a skeleton that is not in the catalogue" in results.notes[0]
    assert len(results.skeleton.bones) >= 15 and bool(results.cases[0].prediction.root.isfinite().all())
    # Its frames are counted from 1, those of the detections from 0: with the capture they lie on each other.
    assert "shown as 0 to 99" in " ".join(results.notes)
    assert [result.prediction.number for result in read_results(folder / "pose-3d", capture=folder).cases] == [
        *range(100)
    ]


def test_filtered_versions_of_trc_files_are_left_out(run: Path) -> None:
    for path in sorted((run / "trc").iterdir()):
        shutil.copy(path, path.with_name(f"{path.stem}_filt_butterworth.TRC"))
        path.rename(path.with_suffix(".TRC"))
    results = read_results(run / "trc")
    assert all(len(result.prediction.poses.id) == 2 for result in results.cases)
    assert results.notes[0].startswith(
        "left out, being later versions of the same people: walk_P1_filt_butterworth.TRC"
    )
    assert len(read_results(run / "trc" / "walk_P1_filt_butterworth.TRC").cases) == 6


def test_frames_are_in_order_and_named_after_their_folder(run: Path) -> None:
    shutil.move(run, run.parent / "run.v2")
    path = run.parent / "run.v2" / PREDICTIONS
    header, *frames = path.read_text().splitlines()
    path.write_text("\n".join([header, *frames[::-1]]))
    for name in (EVIDENCE, PEOPLE):
        (run.parent / "run.v2" / name).unlink()
    results = read_results(run.parent / "run.v2")
    assert results.name == "run.v2"
    assert [result.prediction.number for result in results.cases] == [0, 1, 2, 3, 4, 5]


def test_a_truth_that_is_not_there(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: there is no such file or folder"):
        read_results(run, truth=tmp_path / "nowhere")


def test_a_detection_of_two_people(run: Path, capture_folder) -> None:
    lines = (run / PREDICTIONS).read_text().splitlines()
    record = json.loads(lines[1])
    record["persons"][1]["members"]["cam_01"] = record["persons"][0]["members"]["cam_01"]
    (run / PREDICTIONS).write_text("\n".join([lines[0], json.dumps(record), *lines[2:]]))
    with pytest.raises(
        InputError, match=r"frame 0: person 2 holds detection \d of camera cam_01, which person 1 holds"
    ):
        read_results(run / PREDICTIONS, capture=capture_folder.path)


def test_predictions_alone_say_who_answered_and_older_ones_nobody(run: Path) -> None:
    assert read_results(run / PREDICTIONS).method == "greedy agglomerative"
    head, *lines = (run / PREDICTIONS).read_text().splitlines()
    older = {name: value for name, value in json.loads(head).items() if name != "method"}
    (run / PREDICTIONS).write_text("\n".join([json.dumps(older), *lines]))
    assert read_results(run / PREDICTIONS).method == "unknown method"


def test_several_calibrations_beside_people_are_said(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"calibration_{name}.json").write_text("{}")
    (tmp_path / "body3DScene_00000001.json").write_text('{"bodies": []}')
    assert "(calibration_a.json, calibration_b.json): none is taken" in read_results(tmp_path).notes[0]


@pytest.mark.slow
def test_evaluate_saves_what_every_method_said(shared_data: Path, tmp_path: Path) -> None:
    words = ["evaluate", "mvor_rtpose", "--associators", "integer_programme", "greedy", "--data", str(shared_data)]
    assert main([*words, "--save", str(tmp_path / "saved"), "--out", str(tmp_path / "figures.json")]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["rows"]) == 2
    opened = read_results(tmp_path / "saved" / "mvor_rtpose" / "greedy")
    assert len(opened.cases) == 387 and all(result.labels is not None for result in opened.cases)
    assert opened.cases[0].reference is not None
    wrong = np.mean([len(failure_of(result).wrong_pairs or ()) > 0 for result in opened.cases])
    assert 0 < wrong < 0.2
