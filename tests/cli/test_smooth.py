"""`dispose smooth` on results at 30 frames a second: better joints, the same people, files that others read."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.formats.arrays import write_npz
from dispose.formats.person_table import prediction_names, prediction_rows
from dispose.formats.predictions import read_predictions, write_predictions
from dispose.formats.trc import read_trc
from dispose.scene.frame import Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17

RATE = ("--rate-hz", "30", "--no-picture")
FRAMES = 45
SIGMA_MM = 20.0


def truth() -> torch.Tensor:
    """Two people on their ways, every joint with a swing of its own."""
    seconds = torch.arange(FRAMES, dtype=torch.float64)[:, None, None] / 30
    joint = torch.arange(17, dtype=torch.float64)
    person = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    x = 900 * seconds + 60 * joint / 17 + 3000 * person
    y = 200 * (3 * seconds + joint).sin() + 0 * person
    z = 100 * joint + 30 * (4 * seconds + person).cos()
    return torch.stack(torch.broadcast_tensors(x, y, z), -1)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("smooth") / "run"
    folder.mkdir()
    generator = torch.Generator().manual_seed(4)
    frames = []
    for number, xyz in enumerate(truth()):
        noisy = xyz + SIGMA_MM * torch.randn(xyz.shape, generator=generator, dtype=torch.float64)
        valid = torch.rand(2, 17, generator=generator) < 0.9
        covariance = SIGMA_MM**2 * torch.eye(3, dtype=torch.float64).expand(2, 17, 3, 3)
        people = torch.tensor([1, 2])
        poses = Poses(COCO_17, torch.where(valid[..., None], noisy, 0.0), valid.double(), valid, people, covariance)
        # The second person is away for a while; the order in the file means nothing.
        rows = [0] if 20 <= number < 30 else [1, 0]
        poses = poses[rows]
        association = Association(torch.zeros(len(rows), 3, dtype=torch.long) + number, torch.ones(len(rows)).double())
        frames.append(Prediction(number, association, poses, torch.zeros(len(rows), 3).double()))
    cameras = ("a", "b", "c")
    write_predictions(folder / "predictions.jsonl", COCO_17, cameras, frames)
    write_npz(folder / "predictions.npz", [*prediction_names(COCO_17, cameras), *prediction_rows(frames, 3, 17)])
    return folder


def joint_errors(folder: Path) -> torch.Tensor:
    """Distances of all known joints from the truth."""
    found = []
    for frame in read_predictions(folder / "predictions.jsonl").frames:
        offset = frame.poses.xyz_world - truth()[frame.number][frame.poses.id - 1]
        found.append(offset.norm(dim=-1)[frame.poses.valid])
    return torch.cat(found)


def test_joints_are_nearer_the_truth_and_nobody_changes(results, tmp_path, capsys):
    out = tmp_path / "out"
    # Shorter than the second person is away.
    assert main(["smooth", str(results), "--out", str(out), "--fill-seconds", "0.2", *RATE]) == 0
    said = capsys.readouterr().out
    assert "holds no evidence.npz" in said and "2 people in 45 frames; joints known:" in said
    before, after = joint_errors(results), joint_errors(out)
    assert float(after.mean()) < 0.7 * float(before.mean())
    # Joints that a frame did not say are filled; people who were away stay away.
    assert len(after) == (45 + 35) * 17 > len(before)
    one, other = (read_predictions(folder / "predictions.jsonl") for folder in (results, out))
    for was, now in zip(one.frames, other.frames, strict=True):
        assert torch.equal(was.poses.id, now.poses.id)
        assert torch.equal(was.association.members, now.association.members)
        assert now.poses.covariance is not None
        assert float(now.poses.confidence[was.poses.valid].min()) > 0.5
    hips = COCO_17.indices(("l_hip", "r_hip"))
    middle = other.frames[3].poses.xyz_world[:, hips].mean(1)
    assert torch.allclose(other.frames[3].root, middle, atol=0.01)
    table = np.load(out / "predictions.npz")
    assert table["joints"].shape == (80, 17, 4)
    assert table["filled"].sum() == len(after) - len(before)
    assert table["joints"][..., 3][table["filled"]].max() <= 0.5
    trc = read_trc(out / "trc" / "run_P1.trc")
    assert trc.rate_hz == 30 and len(trc.numbers) == 45


def test_what_stays_uncertain_is_not_said(results, tmp_path):
    saved = read_predictions(results / "predictions.jsonl")
    wide = tmp_path / "wide"
    frames = []
    for frame in saved.frames:
        assert frame.poses.covariance is not None
        covariance = frame.poses.covariance.clone()
        covariance[:, 9] = 1e6 * torch.eye(3)
        frames.append(replace(frame, poses=replace(frame.poses, covariance=covariance)))
    write_predictions(wide / "predictions.jsonl", COCO_17, saved.cameras, frames)
    assert main(["smooth", str(wide), *RATE]) == 0
    after = read_predictions(tmp_path / "wide-smooth" / "predictions.jsonl").frames
    assert not any(bool(frame.poses.valid[:, 9].any()) for frame in after)
    assert all(bool(frame.poses.valid[:, 8].all()) for frame in after)


def test_frame_numbers_are_times(results, tmp_path):
    """Every third frame of a recording at 90 frames a second is the same motion."""
    saved = read_predictions(results / "predictions.jsonl")
    sparse, plain = tmp_path / "sparse", tmp_path / "plain"
    frames = [replace(frame, number=3 * frame.number) for frame in saved.frames]
    write_predictions(sparse / "predictions.jsonl", COCO_17, saved.cameras, frames)
    write_predictions(plain / "predictions.jsonl", COCO_17, saved.cameras, saved.frames)
    assert main(["smooth", str(sparse), "--rate-hz", "90", "--no-picture"]) == 0
    assert main(["smooth", str(plain), *RATE]) == 0
    one, other = (read_predictions(tmp_path / f"{n}-smooth" / "predictions.jsonl") for n in ("sparse", "plain"))
    for mine, theirs in zip(one.frames, other.frames, strict=True):
        assert torch.allclose(mine.poses.xyz_world, theirs.poses.xyz_world, atol=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "predictions.jsonl").unlink(), "holds no predictions.jsonl"),
        (lambda folder: forget_people(folder), "there is nobody in these results"),
        (lambda folder: forget_errors(folder), "joints without claimed errors cannot be weighed"),
    ],
)
def test_what_cannot_be_smoothed_is_said(results, tmp_path, capsys, change, message):
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    change(copy)
    assert main(["smooth", str(copy), "--out", str(tmp_path / "out"), *RATE]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def forget_errors(folder: Path) -> None:
    """Results as earlier versions wrote them."""
    lines = []
    for line in (folder / "predictions.jsonl").read_text().splitlines():
        record = json.loads(line)
        for person in record.get("persons", []):
            person.pop("error_mm", None)
        lines.append(json.dumps(record))
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "predictions.npz").unlink()


def forget_people(folder: Path) -> None:
    """Results of a run that found nobody."""
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    lines = [record | {"persons": []} if "persons" in record else record for record in lines]
    (folder / "predictions.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in lines))
    (folder / "predictions.npz").unlink()


def test_results_are_not_written_over(results, capsys):
    assert main(["smooth", str(results), "--out", str(results), *RATE]) == 2
    assert "is RESULTS itself" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-5", "inf", "nan", "fast"])
def test_a_rate_is_a_positive_number(results, tmp_path, capsys, rate):
    with pytest.raises(SystemExit) as stopped:
        main(["smooth", str(results), "--out", str(tmp_path / "out"), "--rate-hz", rate])
    assert stopped.value.code == 2 and "a positive number up to 1e9 is expected" in capsys.readouterr().err
