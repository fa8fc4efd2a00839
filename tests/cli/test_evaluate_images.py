"""`dispose evaluate` on pictures: figures, files and refusals."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.cli.evaluate import EvaluateCommand
from dispose.cli.jobs import image_method
from dispose.datasets.layouts.source import FrameKey, Layout, Traits
from dispose.errors import InputError
from dispose.evaluation.protocols import ImageFrames, protocols_of
from dispose.evaluation.score import answers, drawn, score
from dispose.models.dispose.model import DisPose
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.zoo.checkpoints import save_weights
from dispose_synthetic.renderer.captures import RenderConfig, sample_captures

MODEL = TOY_SMOKE.training.model


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "smoke.safetensors"
    torch.manual_seed(0)
    save_weights(path, DisPose(MODEL).eval())
    return path


def test_toy_images_writes_two_files(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "toy_images.json"
    assert EvaluateCommand("toy_images", weights=weights, frames=1, out=out).run() == 0
    whole, by_views = (json.loads(p.read_text()) for p in (out, tmp_path / "toy_images_by_views.json"))
    assert whole["protocol"] == "toy_images" and whole["rows"][0]["method"] == "DisPOSE"
    assert len(whole["sweep"]) > 0 and "mpjpe_mm" in whole["rows"][0]
    assert all("views" in row for row in by_views["rows"])
    assert "Stage II lowers MPJPE" in capsys.readouterr().out


def made_source(folder: Path, rig: Cameras, poses: Poses) -> Layout:
    """Three frames of synthetic images as files: the second is not annotated."""
    size = (MODEL.input_size[0], MODEL.input_size[1])
    traits = Traits("toy", PANOPTIC_15, rig.names, size, size, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), 0.2)
    keys = tuple(FrameKey("toy", number) for number in range(3))
    return Layout(
        traits,
        keys,
        {"toy": rig},
        lambda key, camera: folder / str(rig.names.index(camera)) / f"{key.number}.png",
        lambda key: None if key.number == 1 else poses,
    )


def test_frames_of_a_source_are_scored_in_both_ways(weights: Path, tmp_path: Path):
    config = RenderConfig(size=MODEL.input_size, views=(3, 3), persons=(1, 1), frames_per_rig=1, empty=0.0)
    capture = next(iter(sample_captures(torch.Generator().manual_seed(1), 1, config)))
    source = made_source(tmp_path, capture.cameras, capture.poses)
    for view, picture in enumerate(capture.images.numpy()):
        (tmp_path / str(view)).mkdir()
        for number in range(3):
            path = tmp_path / str(view) / f"{number}.png"
            cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]))
    (tmp_path / "0" / "2.png").write_bytes(b"no picture")
    frames = ImageFrames(source)
    found = answers(drawn(iter(frames), len(frames)), image_method(weights))
    assert len(found.results) == 1 and found.method == "DisPOSE, smoke"
    assert frames.log.skipped == 1 and "2.png" in frames.log.summary()
    released, clean = (score(protocol, found) for protocol in protocols_of("mm_or_images"))
    assert (released.detections, clean.detections) == ("mm_or, released", "mm_or, clean")
    assert {f.name for f in released.figures} <= {f.name for f in clean.figures}


def test_options_of_associators_are_refused(weights: Path, tmp_path: Path):
    with pytest.raises(InputError, match="--views and --gates-mm are for associators"):
        EvaluateCommand("toy_images", weights=weights, views=(0, 1), out=tmp_path / "a.json").run()
    with pytest.raises(InputError, match="no such weights file"):
        EvaluateCommand(
            "panoptic_images", weights=tmp_path / "none.safetensors", data=tmp_path, out=tmp_path / "a.json"
        ).run()
    with pytest.raises(InputError, match="is not there"):
        EvaluateCommand("panoptic_images", weights=weights, data=tmp_path, out=tmp_path / "a.json").run()
