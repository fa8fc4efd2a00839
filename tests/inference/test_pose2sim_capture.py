"""A real capture as its users have it: two people and a bystander over 100 frames, against the authors' own result."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.formats.predictions import read_predictions
from dispose.formats.trc import read_trc
from dispose.scene.results import Prediction
from tests.formats.opensim_reader import read_by_opensim

# Pose2Sim's names of joints that it triangulates from the same keypoints as we do, and ours.
SAME_JOINTS = {
    "RHip": "r_hip", "RKnee": "r_knee", "RAnkle": "r_ankle", "RBigToe": "r_big_toe", "RSmallToe": "r_small_toe",
    "RHeel": "r_heel", "LHip": "l_hip", "LKnee": "l_knee", "LAnkle": "l_ankle", "LBigToe": "l_big_toe",
    "LSmallToe": "l_small_toe", "LHeel": "l_heel", "Neck": "upper_neck", "Head": "head_top", "Nose": "nose",
    "RShoulder": "r_shoulder", "RElbow": "r_elbow", "RWrist": "r_wrist", "LShoulder": "l_shoulder",
    "LElbow": "l_elbow", "LWrist": "l_wrist",
}  # fmt: skip


def distances(frame: Prediction, theirs: torch.Tensor, joints: list[int]) -> torch.Tensor:
    """Of every person of ours to one of theirs, mm, by joint; NaN where we know no joint."""
    poses = frame.poses
    xyz = torch.where(poses.valid[..., None], poses.xyz_world, torch.nan)[:, joints]
    return (xyz - theirs).norm(dim=-1)


def check_identities(results: Path) -> None:
    frames = read_predictions(results / "predictions.jsonl").frames
    assert [frame.number for frame in frames] == list(range(100))
    assert all(sorted(frame.poses.id.tolist()) == [1, 2, 3] for frame in frames)
    used = [{int(i): frame.association.members[r] for r, i in enumerate(frame.poses.id)} for frame in frames]
    bystander = min((1, 2, 3), key=lambda person: sum(int((row[person] >= 0).sum()) for row in used))
    # Only the first two cameras see enough of the bystander; the others' detections of nobody stay out.
    assert all((row[bystander] >= 0).tolist() == [True, True, False, False] for row in used)


def check_places(source: Path, results: Path, *, mean_mm: float, median_mm: float) -> None:
    saved = read_predictions(results / "predictions.jsonl")
    matched = []
    for path in sorted((source / "pose-3d").glob("*.trc")):
        theirs = read_trc(path)
        joints = [saved.skeleton.index(SAME_JOINTS[name]) for name in theirs.names]
        # Their frames count from 1, the detection files from 0.
        table = torch.stack(
            [distances(f, theirs.xyz_world[f.number], joints)[f.poses.id.argsort()] for f in saved.frames]
        )
        assert theirs.numbers.tolist() == [frame.number + 1 for frame in saved.frames]
        mean = table.nanmean(dim=(0, 2))
        same = int(mean.argmin())
        matched.append(same)
        assert mean[same] < mean_mm
        assert table[:, same].nanmedian() < median_mm
        # Nobody changes places in any frame, and nobody is mixed from two people.
        away = torch.nan_to_num(table.nanmean(-1), nan=torch.inf)  # of whom nothing is known, they are nowhere near
        assert (away.argmin(1) == same).all() and torch.isfinite(away[:, same]).all()
        others = [person for person in range(3) if person != same]
        assert (away[:, others] > 700).all()
    assert len(set(matched)) == 2


def check_noses_and_bones(source: Path, results: Path) -> None:
    """In some frames two cameras agree on a nose two metres beside the second person's head."""
    saved = read_predictions(results / "predictions.jsonl")
    theirs = read_trc(next((source / "pose-3d").glob("*_P2_*.trc")))
    nose, wrong = saved.skeleton.index("nose"), (4, 5, 6, 7, 8, 15)
    own = [saved.skeleton.index(SAME_JOINTS[name]) for name in theirs.names]
    for frame in saved.frames:
        truth, poses = theirs.xyz_world[frame.number], frame.poses
        person = int(distances(frame, truth, own).nanmean(1).argmin())
        away = (poses.xyz_world[person, nose] - truth[theirs.names.index("Nose")]).norm()
        assert not poses.valid[person, nose] or frame.number not in wrong or away < 100
        for one, other in saved.skeleton.bone_indices:
            both = poses.valid[:, one] & poses.valid[:, other]
            assert (((poses.xyz_world[:, one] - poses.xyz_world[:, other]).norm(dim=-1) <= 600.01) | ~both).all()
    known = [frame.poses.valid[:, nose].double().mean() for frame in saved.frames]
    assert sum(known) / len(known) > 0.9, "nobody makes this true by knowing no nose"


def check_opensim(results: Path) -> None:
    arrays = np.load(results / "predictions.npz")
    for person in (1, 2, 3):
        names, read = read_by_opensim(results / "trc" / f"pose2sim_multi_P{person}.trc")
        assert set(SAME_JOINTS) <= set(names) and len(names) == 25
        ours = arrays["joints"][arrays["id"] == person][..., :3] / 1000
        np.testing.assert_allclose(read, ours[..., (1, 2, 0)], atol=2e-6)


def check_files(results: Path) -> None:
    header, *lines = [json.loads(line) for line in (results / "predictions.jsonl").read_text().splitlines()]
    assert header["schema"] == "dispose.predictions/1"
    assert header["units"] == "mm"
    assert header["cameras"] == ["cam_01", "cam_02", "cam_03", "cam_04"]
    with np.load(results / "predictions.npz", allow_pickle=False) as arrays:
        # Reading is what would fail: an array of objects needs pickle.
        assert "O" not in {arrays[name].dtype.kind for name in arrays.files}
        assert len(arrays["id"]) == sum(len(line["persons"]) for line in lines)
    for person in (1, 2, 3):
        table = np.genfromtxt(results / "trc" / f"pose2sim_multi_P{person}.trc", delimiter="\t", skip_header=5)
        table = table[:, :-1]  # rows end in a tab
        assert table.shape == (100, 2 + 3 * len(header["joints"]))
        assert np.allclose(np.diff(table[:, 1]), 1 / 60, atol=1e-5)  # the frame rate of its videos
        for line, row in zip(lines, table, strict=True):
            joints = next(p["joints"] for p in line["persons"] if p["id"] == person)
            ours = np.array(joints, dtype=float)[:, :3] / 1000
            # Metres and Y up: x, y, z there are y, z, x of ours.
            np.testing.assert_allclose(row[2:].reshape(-1, 3), ours[:, (1, 2, 0)], atol=2e-6)


@pytest.mark.parametrize(
    ("triangulator", "mean_mm", "median_mm"),
    [
        # Theirs is a triangulation too, not the truth: what moves keypoints towards a body lies farther from it.
        ("robust", 35.0, 15.0),
        ("rays", 40.0, 20.0),
    ],
)
def test_the_capture_as_it_stands(
    shared_data: Path, tmp_path: Path, triangulator: str, mean_mm: float, median_mm: float
) -> None:
    # One test, because the command takes a quarter of a minute and workers share no results.
    source = shared_data / "raw" / "pose2sim_multi"
    assert main(["predict", str(source), "--out", str(tmp_path), "--triangulator", triangulator]) == 0
    check_identities(tmp_path)
    check_places(source, tmp_path, mean_mm=mean_mm, median_mm=median_mm)
    check_noses_and_bones(source, tmp_path)
    check_files(tmp_path)
    check_opensim(tmp_path)
