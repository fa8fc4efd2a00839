"""`dispose train capture`: the model for images goes on learning from a capture's own images and pseudo-labels."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.datasets.samples import sample_folder
from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import read_image
from dispose.formats.pseudo_labels import LabelledFrame, write_pseudo_labels
from dispose.inference.capture import read_image_capture
from dispose.models.dispose.model import DisPose
from dispose.recipes.capture import CAPTURE
from dispose.scene.frame import Detections, Labels, Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.training import own_images
from dispose.training.frames import PseudoLabelled, ValidationFrames
from dispose.training.own_images import IMAGES, CaptureLabels, kept_frame, open_labelled, train_on_capture
from dispose.zoo.checkpoints import load_weights, shipped_image_weights

BRIEF = replace(CAPTURE.backbone.optimisation, steps=1, batch=1, warmup=0)
SMALL = replace(
    CAPTURE, stretches=3, shortest=4, held_out=3,
    backbone=replace(CAPTURE.backbone, optimisation=BRIEF),
    pose=replace(CAPTURE.pose, optimisation=replace(BRIEF, select_every=1)),
)  # fmt: skip
STUDIO = sample_folder("studio")


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exact labels of the synthetic studio, as if they had been made of detections."""
    cameras = read_image_capture(STUDIO).cameras
    path = tmp_path_factory.mktemp("labels") / "labels.npz"
    frames = []
    for line in (STUDIO / "truth" / "predictions.jsonl").read_text().splitlines()[1:]:
        told = json.loads(line)
        xyz = torch.tensor([one["joints"] for one in told["persons"]], dtype=torch.float64)[..., :3]
        sure = torch.ones(xyz.shape[:2], dtype=torch.float64)
        poses = Poses(PANOPTIC_15, xyz, sure, sure > 0, torch.arange(len(xyz)))
        xy, _ = cameras.project(xyz)
        inside = cameras.inside(xy)
        nobody = Detections.from_lists(PANOPTIC_15, [[]] * len(cameras))
        made = Labels.of_images(poses, torch.where(inside[..., None], xy, 0.0), inside.double(), inside, nobody)
        frames.append(LabelledFrame("studio", told["frame"], made))
    write_pseudo_labels(path, PANOPTIC_15, cameras.names, frames)
    return path


@pytest.fixture
def filmed(tmp_path: Path) -> Path:
    """The studio with a video in place of every folder of images."""
    folder = tmp_path / "studio"
    shutil.copytree(STUDIO / "calibration", folder / "calibration")
    (folder / "videos").mkdir()
    for camera in (STUDIO / "images").iterdir():
        images = [read_image(path) for path in sorted(camera.iterdir())]
        height, width = images[0].shape[:2]
        path, code = folder / "videos" / f"{camera.name}.mp4", cv2.VideoWriter.fourcc(*"mp4v")
        video = cv2.VideoWriter(str(path), code, 5, (width, height))
        for image in images:
            video.write(np.ascontiguousarray(image[..., ::-1]))
        video.release()
    return folder


def test_a_run_learns_judges_and_says_the_same_when_it_is_asked_again(labels: Path, tmp_path: Path) -> None:
    labelled = open_labelled("studio", read_image_capture(STUDIO), labels, ("cam01", "cam02", "cam04"))
    weights, verdict = train_on_capture(SMALL, labelled, tmp_path, workers=0)
    mine = tmp_path / "dispose.safetensors"
    assert mine.exists() and weights == (mine if verdict.better(SMALL) else shipped_image_weights())
    assert 0 < verdict.before < 100 and "mean average precision" in verdict.sentence(SMALL)
    before = mine.stat().st_mtime_ns
    assert train_on_capture(SMALL, labelled, tmp_path, workers=0) == (weights, verdict)
    assert mine.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="another"):
        train_on_capture(replace(SMALL, seed=1), labelled, tmp_path, workers=0)


def test_the_calibration_may_lie_elsewhere(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training is left out; what it is handed is looked at."""
    handed = list[CaptureLabels]()

    def train(recipe, labelled, folder, start, workers):
        handed.append(labelled)
        return shipped_image_weights(), SimpleNamespace(sentence=lambda _: "taken")

    monkeypatch.setattr(own_images, "train_on_capture", train)
    shutil.copytree(STUDIO / "images", tmp_path / "studio" / "images")
    shutil.copytree(STUDIO / "calibration", tmp_path / "elsewhere")
    command = ["train", "capture", "--data", str(tmp_path / "studio"), "--labels", str(labels)]
    command += ["--out", str(tmp_path / "run")]
    assert main(command) == 2 and "calibration" in capsys.readouterr().err
    assert main([*command, "--calibration", str(tmp_path / "elsewhere")]) == 0
    assert torch.equal(handed[0].capture.cameras.matrix, read_image_capture(STUDIO).cameras.matrix)
    assert f"--calibration {tmp_path / 'elsewhere'} --from-pictures" in capsys.readouterr().out


def test_stretches_that_decide_are_not_learned_from_and_decide(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training is left out; what it is handed is looked at."""
    learned, judged = list[int](), list[int]()

    def train(plan, folder, frames, beginning, workers, score) -> None:
        shown = frames()
        learned.extend(shown.copies(row, 1, torch.Generator())[0][0].number for row in range(len(shown)))
        assert beginning.backbone == beginning.stages == shipped_image_weights()
        assert score(load_weights(beginning.stages, DisPose)) == pytest.approx(70.0)
        shutil.copy(shipped_image_weights(), folder / "dispose.safetensors")

    def score(self: ValidationFrames, model: object) -> float:
        judged.extend(self._dataset.source.keys[row].number for row in self._truth)
        return 70.0 + len(judged) // 9 * 5

    monkeypatch.setattr(own_images, "train_model", train)
    monkeypatch.setattr(ValidationFrames, "score", score)
    labelled = open_labelled("studio", read_image_capture(STUDIO), labels, ())
    weights, verdict = train_on_capture(replace(SMALL, least_errors=0.0), labelled, tmp_path, workers=0)
    assert learned == [*range(8)] and set(judged) == {8, 9, 10, 11}
    assert (verdict.before, verdict.after) == (70.0, 75.0) and weights == tmp_path / "dispose.safetensors"
    assert "are taken" in verdict.sentence(replace(SMALL, least_errors=0.0))


def test_frames_of_videos_are_kept_once_as_images_and_damaged_ones_are_left_out(
    filmed: Path, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled = open_labelled("studio", read_image_capture(filmed), labels, ())
    broken = filmed / "videos" / "cam03.mp4"
    monkeypatch.setattr(labelled.capture.views[2], "read", lambda number: _damaged(broken, number))
    layout = own_images.layout_of(labelled, [[0, 1], [4, 5]], tmp_path / IMAGES, (256, 192))
    kept = kept_frame(tmp_path / IMAGES, "cam02", 4)
    assert layout.image(layout.keys[2], 1) == kept and sorted(path.name for path in kept.parent.iterdir()) == [
        f"{number:08d}.jpg" for number in (0, 1, 4, 5)
    ]
    taken = read_image(STUDIO / "images" / "cam02" / "cam02_0004.jpg").astype(int)
    assert np.abs(read_image(kept).astype(int) - taken).mean() < 6
    assert not list((tmp_path / IMAGES / "cam03").iterdir())
    frames = PseudoLabelled(own_images.some_of(layout, [[0, 1], [4, 5]], [1], (256, 192)), labelled.store, SMALL.rules)
    frame, _ = frames.copies(0, 0, torch.Generator())[0]
    assert frame.number == 4 and frame.require_images().present.tolist() == [True, True, False, True]
    stamp = kept.stat().st_mtime_ns
    own_images.layout_of(labelled, [[0, 1], [4, 5]], tmp_path / IMAGES, (256, 192))
    assert kept.stat().st_mtime_ns == stamp


def _damaged(path: Path, number: int) -> np.ndarray:
    raise DamagedFrameError(f"{path}: frame {number} is damaged.")


def test_what_does_not_belong_together_is_said(
    labels: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capture = read_image_capture(STUDIO)
    with pytest.raises(InputError, match=r"--cameras door: the capture has no such camera \(there is cam01, "):
        open_labelled("studio", capture, labels, ("cam01", "door"))
    with pytest.raises(InputError, match="has labels for none of the 1 frames"):
        open_labelled("studio", replace(capture, numbers=(99,)), labels, ())
    assert main(["train", "capture", "--data", str(STUDIO), "--out", str(tmp_path / "run")]) == 2
    assert "dispose prepare CAPTURE" in capsys.readouterr().err
    assert main(["train", "capture", "--data", str(STUDIO), "--labels", str(labels), "--interval", "2"]) == 2
    assert "--interval" in capsys.readouterr().err
