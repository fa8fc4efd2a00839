"""From pictures to files: the same people keep their number, bad pictures are counted, bad input is one sentence."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from dispose.cli.main import main
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import image_source_of, read_image_capture
from dispose.inference.run import results_of
from dispose.models.dispose.model import DisPose, FrameByFrame
from dispose.nn.backbones import BackboneConfig
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.released.model import ReleasedConfig, ReleasedDisPose
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Frame, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.zoo import checkpoints, load_image_model, save_weights

INPUT = (128, 96)
FRAMES = 3


@pytest.fixture
def cameras(walk) -> Cameras:
    """The rig of the walk with pictures of 192 x 108 pixels."""
    rig = walk.rig()
    matrix = rig.matrix / 10
    matrix[:, 2, 2] = 1
    return replace(rig, size=rig.size / 10, matrix=matrix)


@pytest.fixture
def folder(cameras: Cameras, tmp_path: Path) -> Path:
    """A capture with noise for pictures."""
    noise = np.random.default_rng(0)
    capture = tmp_path / "noisy"
    write_calibration_toml(capture / "calib" / "Calib.toml", cameras)
    for name in cameras.names:
        (capture / "images" / name).mkdir(parents=True)
        for number in range(FRAMES):
            picture = noise.integers(0, 255, (108, 192, 3), np.uint8)
            cv2.imwrite(str(capture / "images" / name / f"{name}_{number:04d}.png"), picture)
    return capture


def some_network(threshold: float) -> DisPose:
    """An untrained network that takes much, or nothing, for people."""
    torch.manual_seed(0)
    network = DisPose(replace(TOY_SMOKE.training.model, peaks=3, peak_threshold=threshold))
    torch.nn.init.constant_(network.backbone.get_parameter("heatmaps.bias"), 0.5)
    return network


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Weights that see people everywhere."""
    path = tmp_path_factory.mktemp("weights") / "some.safetensors"
    save_weights(path, some_network(0.2))
    return path


def run(folder: Path, out: Path, *options: str) -> int:
    """The image network on a capture's images."""
    return main(["predict", str(folder), "--out", str(out), "--from-pictures", *options])


def test_people_keep_their_number_however_the_model_lists_them(walk, folder: Path) -> None:
    def see(frame: Frame) -> Prediction:
        xyz = walk.people_at(frame.number)
        known = torch.ones(xyz.shape[:2], dtype=torch.bool)
        poses = convert_poses(Poses(COCO_17, xyz, known.double(), known, torch.arange(2)), PANOPTIC_15)
        order = torch.tensor([1, 0] if frame.number % 2 else [0, 1])
        poses = replace(poses, **{k: vars(poses)[k][order] for k in ("xyz_world", "confidence", "valid")})
        members = torch.tensor([[0, 1, 2, -1], [1, 0, -1, 0]])
        sure = torch.ones(2, dtype=torch.float64)
        return Prediction(frame.number, Association(members, sure), poses, poses.xyz_world[:, 2])

    source = image_source_of(read_image_capture(folder), INPUT)
    model = FrameByFrame(see, PANOPTIC_15)
    for result in results_of(source, model.associate, model.reconstruct, batch=2):
        prediction = result.prediction
        assert result.frame is not None and result.frame.images is None, "no images are kept"
        assert prediction.poses.id.tolist() == ([2, 1] if prediction.number % 2 else [1, 2])
        first = prediction.poses.xyz_world[prediction.poses.id.tolist().index(1)]
        assert_close(first[PANOPTIC_15.index("nose")], walk.people_at(prediction.number)[0, COCO_17.index("nose")])


def test_the_command_writes_what_it_finds(folder: Path, weights: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert run(folder, out, "--weights", str(weights), "--rate-hz", "10") == 0
    said = capsys.readouterr().out
    assert "3 frames read, 12 pictures." in said and " people:" in said
    saved = read_predictions(out / "predictions.jsonl")
    assert saved.skeleton == PANOPTIC_15 and saved.cameras == read_image_capture(folder).cameras.names
    assert [frame.number for frame in saved.frames] == [0, 1, 2] and any(len(f.association) for f in saved.frames)
    for frame in saved.frames:
        members = frame.association.members
        assert bool(((members >= -1) & (members < 3)).all()) and bool(((members >= 0).sum(1) >= 2).all())
        # A peak is one person's.
        for column in members.T:
            taken = column[column >= 0].tolist()
            assert len(taken) == len(set(taken))
    assert (out / "predictions.npz").is_file() and list((out / "trc").glob("noisy_P*.trc"))


def test_pictures_are_taken_where_detections_are_only_when_asked(
    folder: Path, cameras: Cameras, walk, weights: Path, tmp_path: Path, capsys
) -> None:
    for number in range(FRAMES):
        large = walk.detections_at(number)
        small = replace(large, xy_image=(large.xy_image + 0.5) / 10 - 0.5)
        write_openpose(folder / "pose", number, cameras.names, small)
    assert main(["predict", str(folder), "--out", str(tmp_path / "out"), "--associator", "greedy"]) == 0
    assert "detections." in capsys.readouterr().out
    assert run(folder, tmp_path / "out", "--weights", str(weights), "--frames", "1:2") == 0
    assert "1 frames read, 4 pictures." in capsys.readouterr().out
    (folder / "images").rename(tmp_path / "elsewhere")
    arguments = ["--calibration", str(folder / "calib" / "Calib.toml"), "--pictures", str(tmp_path / "elsewhere")]
    arguments += ["--from-pictures", "--weights", str(weights), "--out", str(tmp_path / "other")]
    assert main(["predict", *arguments]) == 0
    assert (tmp_path / "other" / "trc").is_dir() and "12 pictures." in capsys.readouterr().out


def test_bad_pictures_are_counted_and_named_and_stop_nothing(folder: Path, weights: Path, tmp_path, capsys) -> None:
    pictures = folder / "images"
    (pictures / "cam_01" / "cam_01_0001.png").unlink()
    torn = pictures / "cam_02" / "cam_02_0001.png"
    torn.write_bytes(torn.read_bytes()[:-40])
    cv2.imwrite(str(pictures / "cam_03" / "cam_03_0001.png"), np.zeros((20, 30, 3), np.uint8))
    (pictures / "cam_04" / "cam_04_0002.png").write_bytes(b"")
    assert run(folder, tmp_path / "out", "--weights", str(weights)) == 0
    said = capsys.readouterr().out
    assert "3 frames read, 8 pictures." in said and "camera cam_01 has no picture for 1 frames (1)." in said
    assert "cam_02_0001.png: camera cam_02, frame 1: the picture breaks off" in said
    assert "cam_03_0001.png: camera cam_03, frame 1: the picture is 30 x 20 pixels, the calibration is for 192" in said
    assert "cam_04_0002.png: camera cam_04, frame 2: is empty" in said
    assert "1 frames have fewer than two pictures, nobody is placed in them: 1." in said
    saved = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert len(saved.frames) == 3 and len(saved.frames[1].association) == 0
    assert bool((saved.frames[2].association.members[:, 3] == -1).all())


def test_a_rig_whose_pictures_all_have_another_size_is_refused(folder: Path, weights: Path, tmp_path, capsys) -> None:
    for path in (folder / "images" / "cam_03").iterdir():
        cv2.imwrite(str(path), np.zeros((54, 96, 3), np.uint8))
    assert run(folder, tmp_path / "out", "--weights", str(weights)) == 2
    said = capsys.readouterr().err
    assert "cam_03_0000.png: camera cam_03, frame 0: the picture is 96 x 54 pixels" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_camera_without_pictures_is_left_out_and_one_camera_is_too_few(
    folder: Path, weights: Path, tmp_path: Path, capsys
) -> None:
    shutil.rmtree(folder / "images" / "cam_02")
    for path in (folder / "images" / "cam_03").iterdir():
        path.unlink()
    assert run(folder, tmp_path / "out", "--weights", str(weights)) == 0
    said = capsys.readouterr().out
    assert "calibrated cameras without pictures, left out: cam_02, cam_03." in said
    assert read_predictions(tmp_path / "out" / "predictions.jsonl").cameras == ("cam_01", "cam_04")
    shutil.rmtree(folder / "images" / "cam_04")
    assert run(folder, tmp_path / "out", "--weights", str(weights)) == 2
    assert "1 of its cameras (cam_01) belong to the calibrated ones" in capsys.readouterr().err


def test_nobody_in_the_room_is_an_answer(folder: Path, tmp_path: Path, capsys) -> None:
    save_weights(tmp_path / "blind.safetensors", some_network(0.99))
    assert run(folder, tmp_path / "out", "--weights", str(tmp_path / "blind.safetensors")) == 1
    assert "nobody was found in any frame: the package's weights have seen synthetic" in capsys.readouterr().out
    saved = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert len(saved.frames) == 3 and not any(len(frame.association) for frame in saved.frames)
    assert not list((tmp_path / "out").glob("trc/*"))


def test_videos_are_pictures_too(folder: Path, weights: Path, cameras: Cameras, tmp_path: Path, capsys) -> None:
    shutil.rmtree(folder / "images")
    (folder / "videos").mkdir()
    for name in cameras.names:
        path = str(folder / "videos" / f"{name}.avi")
        video = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (192, 108))
        for grey in (60, 120):
            video.write(np.full((108, 192, 3), grey, np.uint8))
        video.release()
    assert run(folder, tmp_path / "out", "--weights", str(weights)) == 0
    said = capsys.readouterr().out
    assert "2 frames read, 8 pictures." in said and "no video tells the frame rate" not in said


REFUSED = {
    "kind": (["--weights", "{backbone}"], "holds weights of Backbone; pictures need those of DisPose"),
    "no weights": (["--weights", "{here}/thesis.txt"], "thesis.txt: not a complete safetensors file"),
    "absent": (["--weights", "{here}/none.safetensors"], "none.safetensors: there is no such weights file"),
    "skeleton": (["--skeleton", "coco_17"], "--skeleton speaks of detections"),
    "associator": (["--associator", "greedy"], "--associator speaks of detections"),
    "detections": (["--detections", "{here}"], "--detections speaks of detections"),
    "frames": (["--frames", "7:"], "no frame in 7: (there are 0-2)"),
    "elsewhere": (["--pictures", "{here}/nowhere"], "there is no such folder of pictures or videos"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_a_sentence(case: str, folder: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    backbone = tmp_path / "backbone.safetensors"
    save_weights(backbone, some_network(0.2).backbone)
    options = [option.format(here=tmp_path, backbone=backbone) for option in REFUSED[case][0]]
    assert run(folder, tmp_path / "out", *options) == 2
    said = capsys.readouterr()
    assert REFUSED[case][1] in said.err and said.err.count("\n") == 1 and "frames read" not in said.out


def test_detections_need_the_other_weights(folder: Path, cameras, walk, weights: Path, tmp_path, capsys) -> None:
    detector = ["predict", str(folder), "--out", str(tmp_path / "out")]
    assert main([*detector, "--weights", str(weights)]) == 2, "and no detector has run before that is said"
    assert "holds weights of DisPose, those of Associator are needed" in capsys.readouterr().err
    write_openpose(folder / "pose", 0, cameras.names, walk.detections_at(0))
    assert main([*detector, "--weights", str(weights)]) == 2
    assert "holds weights of DisPose, those of Associator are needed" in capsys.readouterr().err
    assert main([*detector, "--device", "cuda"]) == 2
    assert "only pictures are looked at there" in capsys.readouterr().err


def test_weights_of_drawn_people_warn_on_every_output(folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    few = tmp_path / "shipped.safetensors"
    save_weights(few, some_network(0.2))
    monkeypatch.setattr("dispose.cli.predict.shipped_image_weights", lambda: few)
    monkeypatch.setattr("dispose.zoo.checkpoints.shipped_image_weights", lambda: few)
    assert run(folder, tmp_path / "out") == 0
    assert capsys.readouterr().out.count("learned from drawn people") == 2, "before and after the work"
    header = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()[0]
    assert "learned from drawn people" in header
    with np.load(tmp_path / "out" / "predictions.npz") as table:
        assert "learned from drawn people" in str(table["warnings"][0])
    assert run(folder, tmp_path / "named", "--weights", str(few)) == 0
    assert "drawn people" not in capsys.readouterr().out


def test_released_weights_are_told_from_ours(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "some.safetensors"
    monkeypatch.setattr(checkpoints, "load_weights", lambda path, kind: kind.__new__(kind))
    for kind in (DisPose, ReleasedDisPose):
        told = {"network": kind.__name__, "config": "{}", "recipe": "", "note": ""}
        save_file({"nothing": torch.zeros(1)}, path, metadata=told)
        assert type(load_image_model(path)) is kind


@pytest.mark.slow
def test_released_weights_run(folder: Path, tmp_path: Path, capsys) -> None:
    small = BackboneConfig(depth=18, width=8)
    config = ReleasedConfig("shelf", INPUT, 0.2, (0.0, 0.0, 900.0), (8000.0, 8000.0, 2000.0), backbone=small)
    path = tmp_path / "released.safetensors"
    torch.manual_seed(0)
    network = ReleasedDisPose(config)
    torch.nn.init.constant_(network.backbone.get_parameter("heatmaps.bias"), 0.5)
    save_weights(path, network)
    assert isinstance(load_image_model(path), ReleasedDisPose)
    assert run(folder, tmp_path / "out", "--weights", str(path), "--frames", "0:1") == 0
    assert "1 frames read, 4 pictures." in capsys.readouterr().out
