"""`dispose smooth` on runs that kept their keypoints: the law that all frames together know more than one."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.formats.evidence import read_run
from dispose.formats.person_table import with_covariances
from dispose.formats.predictions import SavedPredictions, read_predictions
from dispose.inference.results_folder import RunFiles, write_results
from dispose.scene.labels import association_of_identities
from dispose.scene.results import FrameResult
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, load_reconstruction
from dispose_synthetic.detectors.parameters import OPENPOSE_ROOM
from dispose_synthetic.rigs import RING, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

FRAMES, PEOPLE, GAP = 80, 2, range(40, 46)


def drawn() -> list:
    """Two people who walk before three cameras, and what a detector says that was fitted to a real one."""
    generator = torch.Generator().manual_seed(6)
    (rig,) = sample_rigs(generator, 1, 3, (RING,))
    return sample_sequence(generator, FRAMES, PEOPLE, rig, SequenceConfig(detector=OPENPOSE_ROOM))


def results_of(scenes, skip: range = range(0), triangulator: str = DEFAULT_TRIANGULATOR) -> list[FrameResult]:
    """Everybody frame by frame; the second person is lost in some frames."""
    reconstruct = load_reconstruction(triangulator)
    found = []
    for frame, labels in scenes:
        identity = labels.identity.clone()
        if frame.number in skip:
            identity[identity == 1] = -1
        association = association_of_identities(identity)
        (one,) = reconstruct([frame], [association])
        view = [next((v, s) for v, s in enumerate(row) if s >= 0) for row in association.members.tolist()]
        ids = torch.tensor([int(labels.identity[v, s]) + 1 for v, s in view], dtype=torch.long)
        found.append(FrameResult(replace(one, poses=replace(one.poses, id=ids)), frame))
    return found


@pytest.fixture(scope="module")
def scenes():
    return drawn()


@pytest.fixture(scope="module")
def run(scenes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cameras") / "run"
    write_results(folder, results_of(scenes, GAP), RunFiles("walk", "labels", 25.0, True))
    return folder


@pytest.fixture(scope="module")
def smoothed(run) -> Path:
    assert main(["smooth", str(run)]) == 0
    return run.with_name("run-smooth")


def opened(folder: Path) -> SavedPredictions:
    return with_covariances(folder / "predictions.npz", read_predictions(folder / "predictions.jsonl"))


def tables(folder: Path, scenes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places, which are known, and the truth, person by person and frame by frame."""
    xyz = torch.full((PEOPLE, FRAMES, 17, 3), torch.nan, dtype=torch.float64)
    for frame in opened(folder).frames:
        for row, person in enumerate(frame.poses.id.tolist()):
            known = frame.poses.valid[row][:, None]
            xyz[person - 1, frame.number] = torch.where(known, frame.poses.xyz_world[row], torch.nan)
    truth = torch.stack([labels.poses.xyz_world for _, labels in scenes], 1)
    return xyz, torch.isfinite(xyz).all(-1), truth


def test_all_frames_know_more_than_each(run, smoothed, scenes, tmp_path):
    write_results(tmp_path / "robust", results_of(scenes, triangulator="robust"), RunFiles("robust", "labels"))
    before, known, truth = tables(tmp_path / "robust", scenes)
    usual, told, _ = tables(run, scenes)
    after, said, _ = tables(smoothed, scenes)
    both = known & said & told
    one, middle, other = ((xyz - truth).norm(dim=-1) for xyz in (before, usual, after))
    assert float(other[both].mean()) < 0.75 * float(one[both].mean())
    assert float(other[both].mean()) < 0.95 * float(middle[both].mean())
    assert float(said.double().mean()) > 0.97
    # As restless as people are: second differences as large as theirs, where each frame by itself trembles.
    shake, calm, real = (xyz.diff(n=2, dim=1).norm(dim=-1).nanmean() for xyz in (before, after, truth))
    assert float(shake) > 3 * float(real) and 0.8 < float(calm / real) < 1.2
    # The fastest moments of the wrists are not cut off.
    wrists = (slice(None), slice(1, -1), slice(9, 11))
    speed = torch.where(both[wrists], (truth[:, 2:] - truth[:, :-2])[:, :, 9:11].norm(dim=-1), 0.0)
    fast = speed >= speed[speed > 0].quantile(0.9)
    assert float(other[wrists][fast].mean()) <= float(one[wrists][fast].mean())


def test_claims_hold_what_they_promise(smoothed, scenes):
    ratios = []
    for frame in opened(smoothed).frames:
        truth = scenes[frame.number][1].poses.xyz_world[frame.poses.id - 1]
        assert frame.poses.covariance is not None
        sigma = torch.diagonal(frame.poses.covariance, dim1=-2, dim2=-1).sqrt()
        ratios.append(((frame.poses.xyz_world - truth).abs() / sigma)[frame.poses.valid].flatten())
    held = [float((torch.cat(ratios) < edge).double().mean()) for edge in (0.67449, 1.64485)]
    assert 0.4 < held[0] < 0.8 and held[1] > 0.8


def test_a_short_absence_is_filled_and_marked(run, smoothed, scenes):
    before, after = opened(run), opened(smoothed)
    table = np.load(smoothed / "predictions.npz")
    for number in GAP:
        assert before.frames[number].poses.id.tolist() == [1]
        one = after.frames[number]
        assert one.poses.id.tolist() == [1, 2] and one.association.members[1].tolist() == [-1, -1, -1]
        assert bool(one.poses.valid[1].any()) and float(one.poses.confidence[1].max()) <= 0.5
        row = (table["frame"] == number) & (table["id"] == 2)
        assert table["filled"][row][0].tolist() == one.poses.valid[1].tolist()
        truth = scenes[number][1].poses.xyz_world[1]
        assert float((one.poses.xyz_world[1] - truth).norm(dim=-1)[one.poses.valid[1]].mean()) < 120
    elsewhere = (table["id"] == 2) & ~np.isin(table["frame"], list(GAP))
    assert table["filled"][elsewhere].mean() < 0.1


def test_the_results_are_ordinary_ones(run, smoothed, capsys):
    header = json.loads((smoothed / "predictions.jsonl").read_text().splitlines()[0])
    assert header["smoothed"]["by"] == "adjust" and header["smoothed"]["from"] == "run" and header["rate_hz"] == 25.0
    results = read_run(smoothed)
    assert len(results.cases) == FRAMES and results.cases[0].hypotheses is None
    assert (smoothed / "trc" / "run_P1.trc").is_file() and (smoothed / "outliers.csv").is_file()
    bones = (smoothed / "bones.csv").read_text().splitlines()
    assert bones[0].startswith("person,bone,frames,length_mm") and len(bones) > 20
    spread = np.array([[float(line.split(",")[k]) for k in (4, 6)] for line in bones[1:]])
    assert np.median(spread[:, 0] / spread[:, 1]) < 0.3
    assert main(["smooth", str(smoothed)]) == 2
    assert "is smoothed already (adjust)" in capsys.readouterr().err
    again = ("--filter", "butterworth", "--out", str(smoothed / "again"), "--no-picture")
    assert main(["smooth", str(smoothed), *again]) == 0


def test_switched_sides_are_put_right(scenes, tmp_path, capsys):
    """One camera takes left for right for a while: as if it had not."""
    mirror = scenes[0][0].detections.skeleton.mirror
    changed = []
    for frame, labels in scenes:
        if 20 <= frame.number < 26:
            d = frame.detections
            views = (torch.arange(3) == 1)[:, None, None]
            swapped = {
                name: torch.where(views[..., None] if value.ndim == 4 else views, value[:, :, mirror], value)
                for name, value in (("xy_image", d.xy_image), ("confidence", d.confidence), ("visible", d.visible))
            }
            frame = replace(frame, detections=replace(d, **swapped))
        changed.append((frame, labels))
    mean = {}
    for name, some in (("plain", scenes), ("switched", changed)):
        folder = tmp_path / name
        write_results(folder, results_of(some), RunFiles(name, "labels", 25.0, True))
        assert main(["smooth", str(folder), "--no-picture"]) == 0
        said = capsys.readouterr().out
        xyz, known, truth = tables(tmp_path / f"{name}-smooth", scenes)
        mean[name] = float((xyz - truth).norm(dim=-1)[:, 20:26][known[:, 20:26]].mean())
        raw, valid, _ = tables(folder, scenes)
        mean[f"{name} before"] = float((raw - truth).norm(dim=-1)[:, 20:26][valid[:, 20:26]].mean())
    assert "left and right exchanged, and put right" in said
    assert mean["switched before"] > 2.3 * mean["plain before"]
    assert mean["switched"] < 1.15 * mean["plain"]


@pytest.mark.parametrize("name", ["butterworth", "gaussian", "median", "loess"])
def test_filters_by_name_make_joints_better(run, scenes, tmp_path, name):
    out = tmp_path / name
    assert main(["smooth", str(run), "--filter", name, "--out", str(out), "--no-picture"]) == 0
    before, known, truth = tables(run, scenes)
    after, said, _ = tables(out, scenes)
    one, other = ((xyz - truth).norm(dim=-1)[known & said].mean() for xyz in (before, after))
    assert float(other) < 1.02 * float(one) and name in opened(out).smoothed
    assert float(after.diff(n=2, dim=1).norm(dim=-1).nanmean()) < 0.7 * float(
        before.diff(n=2, dim=1).norm(dim=-1).nanmean()
    )


def test_one_person_is_kept_over_the_whole_clip(run, tmp_path, capsys):
    for way in ("most-seen", "longest", "middle", "2"):
        out = tmp_path / way
        assert (
            main(["smooth", str(run), "--person", way, "--filter", "gaussian", "--out", str(out), "--no-picture"]) == 0
        )
        frames = read_predictions(out / "predictions.jsonl").frames
        people = {person for frame in frames for person in frame.poses.id.tolist()}
        assert len(people) == 1 and f"kept: person {people.copy().pop()}" in capsys.readouterr().out
    assert main(["smooth", str(run), "--person", "9", "--out", str(tmp_path / "none")]) == 2
    assert "there is no such person; say most-seen, longest, middle or one of 1, 2" in capsys.readouterr().err


def test_what_cannot_be_is_refused(run, tmp_path, capsys):
    for options, message in (
        (("--filter", "butterworth", "--cutoff-hz", "13"), "must be below 12.5"),
        (("--fill-seconds", "-1"), "--fill-seconds is -1"),
        (("--order", "3", "--filter", "butterworth"), "--order is 3"),
    ):
        assert main(["smooth", str(run), "--out", str(tmp_path / "out"), *options]) == 2
        assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
    bare = tmp_path / "bare"
    bare.mkdir()
    lines = (run / "predictions.jsonl").read_text().splitlines()
    header = json.loads(lines[0])
    del header["rate_hz"]
    (bare / "predictions.jsonl").write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    assert main(["smooth", str(bare)]) == 2 and "give --rate-hz" in capsys.readouterr().err
    assert main(["smooth", str(bare), "--rate-hz", "25", "--filter", "adjust"]) == 2
    assert "without keypoints there is nothing to adjust to" in capsys.readouterr().err
