"""`dispose detect`, and `dispose predict` on videos alone, with a detector that knows who is in every image."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dispose.cli.main import main
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.read import open_detections
from dispose.formats.predictions import read_predictions
from dispose.preparation.detector import DetectorCard, ImagePeople, nobody
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import COCO_17

FRAMES = 4
SMALLER = 5
SIZE = 1920 // SMALLER, 1080 // SMALLER
CAMERAS = ("cam_01", "cam_02", "cam_03", "cam_04")


@dataclass(frozen=True, eq=False)
class Knowing:
    """The first pixel of an image says its camera and frame; the rest is known."""

    known: Callable[[int], Detections]
    sees: bool = True

    @property
    def card(self) -> DetectorCard:
        return DetectorCard("knowing", COCO_17, (("truth", "0"),))

    def find(self, image: np.ndarray, before: ImagePeople, *, search: bool) -> ImagePeople:
        view, number = image[0, 0, 0] // 20, image[0, 0, 1] // 20
        if not self.sees:
            return nobody(COCO_17)
        here = self.known(int(number))
        small = (here.xy_image[view].numpy() + 0.5) / SMALLER - 0.5
        keypoints = np.concatenate([small, here.confidence[view, ..., None].numpy()], -1)
        return ImagePeople(np.zeros((2, 4)), keypoints, np.full(2, 0.9))


@pytest.fixture
def videos(walk, tmp_path: Path) -> Path:
    """A capture of videos and a calibration, whose pictures say where they are from."""
    capture = tmp_path / "filmed"
    rig = walk.rig()
    matrix = rig.matrix / SMALLER
    matrix[:, 2, 2] = 1
    small = replace(rig, size=rig.size / SMALLER, matrix=matrix)
    write_calibration_toml(capture / "calib" / "Calib.toml", small)
    (capture / "videos").mkdir()
    for view, name in enumerate(CAMERAS):
        path = str(capture / "videos" / f"{name}.avi")
        video = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"FFV1"), 25.0, SIZE)
        for number in range(FRAMES):
            image = np.zeros((*SIZE[::-1], 3), np.uint8)
            image[..., 2], image[..., 1] = 20 * view + 10, 20 * number + 10
            video.write(image)
        video.release()
    return capture


@pytest.fixture
def knowing(walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detector that everybody gets, in this process."""
    monkeypatch.setattr("dispose.cli.detect.detector_of", lambda *_, **__: lambda: Knowing(walk.detections_at))
    monkeypatch.setattr("dispose.cli.detect.cores", lambda: 1)


@pytest.mark.usefixtures("knowing")
def test_videos_alone_become_people(videos: Path, tmp_path: Path, capsys, walk) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(videos), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "no detections (pose-sync, pose, detections): people are detected first." in said
    assert "camera cam_01: 4 frames detected; 2.0 people per frame." in said and "4 frames read, 32 detections." in said
    saved = read_predictions(out / "predictions.jsonl")
    assert saved.rate_hz == 25.0 and [len(frame.poses.id) for frame in saved.frames] == [2] * FRAMES
    for frame in saved.frames:
        nearest = (frame.poses.xyz_world[:, None] - walk.people_at(frame.number)).norm(dim=-1).mean(-1).amin(1)
        assert float(nearest.max()) < 40
    assert main(["predict", str(videos), "--out", str(out)]) == 0
    assert "camera cam_01: 0 frames detected, 4 frames were there; 2.0 people" in capsys.readouterr().out


@pytest.mark.usefixtures("knowing")
def test_a_folder_of_videos_with_a_calibration_elsewhere_is_enough(videos: Path, tmp_path: Path, capsys) -> None:
    calibration = ["--calibration", str(videos / "calib" / "Calib.toml")]
    assert main(["predict", str(videos / "videos"), *calibration, "--out", str(tmp_path / "one")]) == 0
    assert main(["predict", *calibration, "--pictures", str(videos / "videos"), "--out", str(tmp_path / "two")]) == 0
    one, two = (read_predictions(tmp_path / name / "predictions.jsonl") for name in ("one", "two"))
    assert len(one.frames) == len(two.frames) == FRAMES and len(one.frames[0].poses.id) == 2


@pytest.mark.usefixtures("knowing")
def test_detections_lie_where_others_read_them_and_say_their_skeleton(videos: Path, tmp_path: Path, capsys) -> None:
    assert main(["detect", str(videos), "--frames", "1:3"]) == 0
    assert f"people in 3-D: dispose predict {videos}" in capsys.readouterr().out
    views = open_detections(videos / "pose")
    assert [view.camera for view in views] == list(CAMERAS) and views[0].numbers == (1, 2)
    assert all(view.skeleton == COCO_17 for view in views)
    assert (videos / "pose" / "cam_01_json" / "cam_01_000001.json").is_file()
    assert main(["predict", str(videos), "--out", str(tmp_path / "out")]) == 0
    assert "detected first" not in capsys.readouterr().out


@pytest.mark.usefixtures("knowing")
def test_detections_of_others_stay(videos: Path, tmp_path: Path, capsys) -> None:
    theirs = videos / "pose" / "cam_01_json" / "cam_01_000000.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('{"people": []}')
    assert main(["detect", str(videos)]) == 2
    assert "there are detections already, which stay as they are" in capsys.readouterr().err
    assert main(["detect", str(videos), "--out", str(tmp_path / "mine")]) == 0
    assert f"--detections {tmp_path / 'mine'}" in capsys.readouterr().out
    assert theirs.read_text() == '{"people": []}' and len(list((videos / "pose").rglob("*"))) == 2


@pytest.mark.usefixtures("knowing")
def test_untidy_videos_are_said_and_stop_nothing(videos: Path, tmp_path: Path, capsys) -> None:
    shutil.copy(videos / "videos" / "cam_01.avi", videos / "videos" / "stranger.avi")
    path = str(videos / "videos" / "cam_02.avi")
    short = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"FFV1"), 50.0, SIZE[::-1])
    short.write(np.full((*SIZE, 3), 30, np.uint8))
    short.release()
    assert main(["detect", str(videos), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "camera stranger is not in the calibration: it is detected all the same." in said
    assert "videos have different numbers of frames: cam_01 4, cam_02 1," in said
    assert "videos have different frame rates: cam_01 25, cam_02 50," in said
    turned = "camera cam_02: its images are 216 x 384, those of the calibration 384 x 216, as if one of them were"
    assert turned in said and "camera cam_02: 1 frames detected" in said


REFUSED = {
    "corrupt": (
        lambda videos: (videos / "cam_02.avi").write_bytes(b"no video"),
        "cam_02.avi: camera cam_02: is a text, no video",
    ),
    "empty": (lambda videos: (videos / "cam_03.avi").write_bytes(b""), "cam_03.avi: camera cam_03: is no video"),
    "no images": (lambda videos: shutil.rmtree(videos), "neither videos nor folders of images in it"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("knowing")
def test_what_cannot_be_detected_is_one_sentence(case: str, videos: Path, tmp_path: Path, capsys) -> None:
    spoil, sentence = REFUSED[case]
    spoil(videos / "videos")
    assert main(["detect", str(videos), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not (tmp_path / "out").exists()


def test_without_the_detectors_weights_one_sentence_says_the_command(
    videos: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPOSE_CACHE", str(tmp_path / "nothing"))
    for command in ("detect", "predict"):
        assert main([command, str(videos), "--out", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert "dispose detector install" in said and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert main(["check", str(videos)]) == 2
    assert f"has videos or images only; find people in them first: dispose detect {videos}" in capsys.readouterr().err


def test_the_detector_runs_on_the_device_that_is_named(walk, videos: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """By either command; without such a device nothing is begun."""
    asked: list[str] = []
    knowing = Knowing(walk.detections_at)
    monkeypatch.setattr("dispose.cli.detect.cores", lambda: 1)
    monkeypatch.setattr(
        "dispose.cli.detect.detector_of", lambda *_, device, **__: asked.append(device) or (lambda: knowing)
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for command in ("detect", "predict"):
        assert main([command, str(videos), "--device", "cuda", "--out", str(tmp_path / command)]) == 2
        assert "--device is cuda, and there is no CUDA device" in capsys.readouterr().err
        assert not (tmp_path / command).exists()
    asked.clear()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for command in ("detect", "predict"):
        assert main([command, str(videos), "--device", "cuda", "--out", str(tmp_path / command)]) == 0
    assert asked == ["cuda", "cuda"]


def test_nobody_at_all_is_an_answer(walk, videos: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    blind = Knowing(walk.detections_at, sees=False)
    monkeypatch.setattr("dispose.cli.detect.detector_of", lambda *_, **__: lambda: blind)
    monkeypatch.setattr("dispose.cli.detect.cores", lambda: 1)
    assert main(["detect", str(videos), "--out", str(tmp_path / "none")]) == 1
    assert "nobody was found in any image." in capsys.readouterr().out
    assert main(["predict", str(videos), "--out", str(tmp_path / "out")]) == 1
    assert "nobody was found in any frame: the detections hold nobody in any frame" in capsys.readouterr().out


@pytest.mark.usefixtures("knowing")
def test_the_overlay_shows_everybody(videos: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), "--overlay", str(tmp_path / "drawn")]
    assert main(["detect", str(videos), *options]) == 0
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == [f"{name}_{number:06d}.png" for name in CAMERAS for number in range(FRAMES)]
    painted = cv2.imread(str(tmp_path / "drawn" / "cam_01_000000.png"))
    assert painted is not None and int((painted.max(-1) > 40).sum()) > 300
