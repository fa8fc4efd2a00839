"""`dispose predict --model`: the right numbers for one image or video, the same twice, one sentence for bad input."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.cli.main import main
from dispose.formats.lifted import read_lifted
from dispose.models.lifting.residual import ResidualConfig, ResidualLifter
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, Picture
from dispose.skeletons.catalog import COCO_17, HALPE_26
from dispose.zoo import lifters
from dispose.zoo.lifters import KeypointsAlone, NamedLifter

SIZE, FOCAL = (640, 480), 600.0
HIPS_MM = torch.tensor([[200.0, 100.0, 4000.0], [-700.0, 0.0, 5000.0]], dtype=torch.float64)
SPREAD = 0.03


def poses() -> Tensor:
    """Two people, mm from the middle of their hips, in the camera's axes."""
    generator = torch.Generator().manual_seed(3)
    xyz = 350 * torch.randn(2, 17, 3, generator=generator, dtype=torch.float64)
    return xyz - xyz[:, COCO_17.indices(("l_hip", "r_hip"))].mean(1, keepdim=True)


def keypoints() -> Tensor:
    """Where a lens without distortion sees them."""
    xyz = poses() + HIPS_MM[:, None]
    return FOCAL * xyz[..., :2] / xyz[..., 2:] + torch.tensor([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2])


def told_the_truth(path: Path, count: int) -> PeopleLifter:
    """Knows the poses of the two people, whom it tells apart by where they stand, and spreads them."""

    def lift(view: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        left = view.xy_image[:, 11, 0] < SIZE[0] / 2
        true = view.people.from_camera(poses()[left.long()] / 1000).float()
        noise = torch.randn(len(view), count, 17, 3, generator=generator)
        return true[:, None] + SPREAD * (noise - noise.mean(1, keepdim=True))

    return PeopleLifter(COCO_17, lift)


def untrained(path: Path, count: int) -> PeopleLifter:
    """A network for one answer."""
    torch.manual_seed(0)
    network = ResidualLifter(ResidualConfig()).eval().requires_grad_(False)
    return PeopleLifter(COCO_17, KeypointsAlone(lambda people, generator: network(people)[:, None]))


def needs_the_image(path: Path, count: int) -> PeopleLifter:
    """Answers with the brightness of the image."""

    def lift(view: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        assert image is not None
        return torch.full((len(view), 1, 17, 3), float(image.mean()) / 1000) * torch.arange(17)[:, None]

    return PeopleLifter(COCO_17, lift)


@dataclass(frozen=True)
class Given:
    """An image with the keypoints of two people."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "still_7.png"

    @property
    def file(self) -> Path:
        return self.folder / "keypoints.json"

    def run(self, *options: str, image: Path | None = None, model: str = "truth", lens: bool = True) -> int:
        lens_of = ("--focal-px", str(FOCAL)) if lens else ()
        words = ["predict", str(image or self.image), "--model", model, "--keypoints", str(self.file), *lens_of]
        return main([*words, "--out", str(self.folder / "out"), *([] if "--figure" in options else ["--no-figure"]),
                     *(one for one in options if one != "--figure")])  # fmt: skip

    @property
    def record(self) -> dict:
        return json.loads((self.folder / "out" / "lifted.json").read_text())

    def write(self, xy: Tensor, score: float = 0.9) -> None:
        flat = [[float(v) for x, y in one for v in (x, y, score)] for one in xy]
        self.file.write_text(json.dumps({"people": [{"pose_keypoints_2d": one} for one in flat]}))


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    rows = (
        NamedLifter("truth", "truth", told_the_truth, "rays.safetensors"),
        NamedLifter("one", "one", untrained, "rays.safetensors", several=False),
        NamedLifter("looking", "looking", needs_the_image, "rays.safetensors", several=False, looks=True),
        NamedLifter("nowhere", "nowhere", untrained, "nowhere.safetensors"),
    )
    monkeypatch.setattr(lifters, "LIFTERS", rows)
    made = Given(tmp_path)
    cv2.imwrite(str(made.image), np.full((SIZE[1], SIZE[0], 3), 80, np.uint8))
    made.write(keypoints())
    return made


def test_poses_and_places_are_those_of_the_people(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    assert given.run() == 0
    assert "lens: --focal-px 600" in capsys.readouterr().out
    record = given.record
    assert (record["units"], record["hypotheses"], record["joints"]) == ("mm", 200, list(COCO_17.joints))
    for row, person in enumerate(record["people"]):
        assert_close(torch.tensor(person["mean"]).double(), poses()[row], atol=0.5, rtol=0)
        # Poses are spread by 30 mm, so that places before the camera are too; their mean stays.
        assert_close(torch.tensor(person["place"]).double(), HIPS_MM[row], atol=60, rtol=0)
        assert np.trace(np.array(person["covariance"]).mean(0)) == pytest.approx(3 * (1000 * SPREAD) ** 2, rel=0.1)
        seen = torch.tensor(person["keypoints"]).double()
        assert_close(seen[:, :2], keypoints()[row], atol=0.01, rtol=0)
    with np.load(given.folder / "out" / "lifted.npz", allow_pickle=False) as table:
        assert table["hypotheses"].shape == (2, 200, 17, 3)
        written = np.array([person["hypotheses"] for person in record["people"]])
        assert np.abs(table["hypotheses"] - written).max() < 0.06
        assert table["person"].tolist() == [0, 1] and table["joint_names"].tolist() == record["joints"]
    header, frames = read_lifted(given.folder / "out" / "lifted.json")
    (frame,) = list(frames)
    assert (header.model, header.camera.size, frame.number) == ("truth", SIZE, 7)
    assert_close(frame.placed.lifted.mean, poses(), atol=0.5, rtol=0)


def test_the_same_seed_gives_the_same_bytes_and_another_other_poses(given: Given) -> None:
    texts = []
    for seed in ("4", "4", "5"):
        assert given.run("--seed", seed) == 0
        texts.append(given.record["people"])
    assert texts[0] == texts[1] != texts[2]


def test_one_person_alone_and_missing_joints(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    xy = keypoints()
    record = json.loads((given.write(xy), given.file.read_text())[1])
    record["people"][1]["pose_keypoints_2d"][: 3 * 5] = [0.0] * 15
    given.file.write_text(json.dumps(record))
    assert given.run("--person", "1", "--hypotheses", "7") == 0
    (person,) = given.record["people"]
    assert person["person"] == 1 and person["keypoints"][:5] == [None] * 5 and len(person["hypotheses"]) == 7
    assert given.run("--person", "2") == 2
    assert "there is no person 2 with keypoints (there is 0, 1)" in capsys.readouterr().err


def test_of_a_folder_of_files_the_one_of_the_image_is_read(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    """As `dispose detect` writes them: a file per image, numbered as the images are."""
    assert given.run() == 0
    before, folder = given.record["people"], given.folder / "cam_json"
    folder.mkdir()
    (folder / "cam_000007.json").write_text(given.file.read_text())
    given.write(keypoints() + 40)
    (folder / "cam_000008.json").write_text(given.file.read_text())
    given.file.unlink()
    words = ["predict", str(given.image), "--model", "truth", "--keypoints", str(folder), "--focal-px", str(FOCAL)]
    assert main([*words, "--out", str(given.folder / "out"), "--no-figure"]) == 0
    assert given.record["people"] == before
    (folder / "cam_000007.json").unlink()
    assert main([*words, "--out", str(given.folder / "out"), "--no-figure"]) == 2
    assert "cam_json: no file of it has the number of the image still_7.png" in capsys.readouterr().err


def test_an_image_of_whom_nothing_can_be_used_is_one_sentence(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    record = json.loads((given.write(keypoints() + 1e5), given.file.read_text())[1])
    record["people"] = record["people"][:1]
    given.file.write_text(json.dumps(record))
    assert given.run() == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "nobody has keypoints that can be used: " in said and "far outside the image" in said
    assert "None" not in said and not said.endswith("..")
    given.file.write_text("[]")
    assert given.run() == 2
    assert "says nothing of anybody: no person in image" in capsys.readouterr().err


def test_detectors_skeletons_are_converted_by_name(given: Given) -> None:
    """Halpe's first 17 joints are COCO's: the same keypoints in the larger skeleton give the same poses."""
    assert given.run() == 0
    before = given.record["people"]
    wide = torch.zeros(2, 26, 3, dtype=torch.float64)
    for joint in COCO_17.joints:
        wide[:, HALPE_26.index(joint)] = torch.cat(
            [keypoints()[:, COCO_17.index(joint)], torch.full((2, 1), 0.9, dtype=torch.float64)], -1
        )
    given.file.write_text(json.dumps([{"image_id": 7, "keypoints": one.flatten().tolist()} for one in wide]))
    assert given.run("--skeleton", "halpe_26") == 0
    assert given.record["people"] == before


def test_a_single_answer_and_one_that_looks_at_the_image(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    assert given.run(model="one") == 0
    assert given.record["hypotheses"] == 1 and np.array(given.record["people"][0]["covariance"]).max() == 0
    assert given.run("--hypotheses", "3", model="one") == 2
    assert "3 hypotheses are asked for, but one gives one pose of everybody." in capsys.readouterr().err
    assert given.run(model="looking") == 0
    assert np.allclose(np.abs(given.record["people"][0]["mean"])[1], 80, atol=60)


def test_a_video_goes_on_where_it_was_killed(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    from dispose.inference.lifting import Lifting

    video = given.folder / "cam.mp4"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 10, SIZE)
    for number in range(5):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 40 * number, np.uint8))
    writer.release()
    flat = [[float(v) for x, y in one for v in (x, y, 0.9)] for one in keypoints()]
    entries = [{"image_id": f"cam_{n:04d}.jpg", "keypoints": one} for n in (0, 1, 3, 9) for one in flat]
    given.file.write_text(json.dumps(entries))
    # Keypoints without a shape fit no skeleton.
    assert given.run("--hypotheses", "5", image=video) == 2
    assert given.run("--hypotheses", "5", "--skeleton", "coco_17", image=video) == 0
    whole = (given.folder / "out" / "lifted.jsonl").read_text()
    assert [json.loads(line)["frame"] for line in whole.splitlines()[1:]] == [0, 1, 3]
    assert json.loads(whole.splitlines()[0])["frames"] == 3

    lift, done = Lifting.frame, []

    def killed(self: Lifting, number: int):
        done.append(number)
        if number == 3:
            raise KeyboardInterrupt
        return lift(self, number)

    monkeypatch.setattr(Lifting, "frame", killed)
    other = ("--hypotheses", "5", "--skeleton", "coco_17", "--seed", "0")
    (given.folder / "out" / "lifted.jsonl").unlink()
    assert given.run(*other, image=video) == 130
    assert not (given.folder / "out" / "lifted.jsonl").exists()
    monkeypatch.setattr(Lifting, "frame", lambda self, number: (done.append(number), lift(self, number))[1])
    assert given.run("--hypotheses", "6", "--skeleton", "coco_17", image=video) == 2
    done.clear()
    assert given.run(*other, image=video) == 0
    assert done == [3]
    assert (given.folder / "out" / "lifted.jsonl").read_text() == whole
    with np.load(given.folder / "out" / "lifted.npz") as table:
        assert table["frame"].tolist() == [0, 0, 1, 1, 3, 3]


def test_bad_input_is_one_sentence(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(sentence: str, *options: str, **how) -> None:
        capsys.readouterr()
        assert given.run(*options, **how) == 2
        complaint = capsys.readouterr().err
        assert sentence in complaint and complaint.count("\n") == 1

    refused("nothing says what lens took it; give --calibration FILE", lens=False)
    refused("--focal-px and --fov-deg are given", "--fov-deg", "60")
    refused("no lifter named 'nobody'; known: truth", model="nobody")
    refused("the weights of nowhere are not in this copy of the project", model="nowhere")
    refused("--triangulator speaks of captures of several cameras", "--triangulator", "dlt")
    refused("there is no such image or video", image=given.folder / "no.png")
    refused("--frames is given, but there is one image", "--frames", "1:2")
    given.write(keypoints() + 400)
    refused("keypoints lie outside the image of 640 x 480 pixels")
    given.file.write_text(json.dumps({"people": []}))
    refused("no person in this image has keypoints")
    given.file.write_text(json.dumps([{"image_id": 3, "keypoints": []}, {"image_id": 4, "keypoints": []}]))
    refused("nobody in it is of the image still_7.png (image_id: 3, 4)")
    given.file.write_text(json.dumps({"people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 9}]}))
    refused("people have 9 joints, which fits no skeleton we know")
    few = torch.zeros(1, 17, 3)
    few[0, :3] = torch.tensor([100.0, 100.0, 1.0])
    given.file.write_text(json.dumps({"people": [{"pose_keypoints_2d": few.flatten().tolist()}]}))
    refused("nobody has the 4 keypoints inside the image that a pose takes")
    with pytest.raises(SystemExit):
        given.run("--hypotheses", "0")
    assert "a whole number from 1 to 1e9 is expected, not '0'" in capsys.readouterr().err
    assert main(["predict", "folder", "--focal-px", "3"]) == 2
    assert "--focal-px speaks of one camera; say --model NAME with it." in capsys.readouterr().err


def test_a_skeleton_without_the_models_joints_is_refused(given: Given, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    strange = replace(COCO_17, name="strange", joints=tuple(f"x{i}" for i in range(17)), bones=(), root_of=())

    def make(path: Path, count: int) -> PeopleLifter:
        return PeopleLifter(strange, told_the_truth(path, count).lift)

    monkeypatch.setattr(lifters, "LIFTERS", (NamedLifter("strange", "", make, "rays.safetensors"),))
    assert given.run(model="strange") == 2
    assert "the keypoints' skeleton coco_17 has 0 of the 17 joints that the model knows" in capsys.readouterr().err


def test_the_camera_of_a_calibration(given: Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Extrinsics say where up is; the camera is the one named, or the one whose name the image's folder has."""
    matrix = [[FOCAL, 0, (SIZE[0] - 1) / 2], [0, FOCAL, (SIZE[1] - 1) / 2], [0, 0, 1]]
    one = {"K": matrix, "distCoef": [0.0] * 5, "R": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "t": [[0], [0], [100]],
           "resolution": list(SIZE), "type": "hd"}  # fmt: skip
    rig = tmp_path / "rig.json"
    rig.write_text(
        json.dumps({"cameras": [{**one, "name": "00_01"}, {**one, "name": "00_02", "t": [[200], [0], [100]]}]})
    )
    assert given.run("--calibration", str(rig), lens=False) == 2
    assert "say which camera took still_7.png: --camera NAME, one of 00_01, 00_02." in capsys.readouterr().err
    assert given.run("--calibration", str(rig), "--camera", "00_03", lens=False) == 2
    assert "no camera '00_03' (there are 00_01, 00_02)" in capsys.readouterr().err
    assert given.run("--calibration", str(rig), "--camera", "00_02", lens=False) == 0
    assert given.record["camera"]["name"] == "00_02"
    assert_close(torch.tensor(given.record["people"][0]["mean"]).double(), poses()[0], atol=0.5, rtol=0)
    small = given.folder / "00_01" / "small.png"
    small.parent.mkdir()
    cv2.imwrite(str(small), np.zeros((100, 100, 3), np.uint8))
    assert given.run("--calibration", str(rig), image=small, lens=False) == 2
    assert "the picture is 100 x 100 pixels, the calibration is for 640 x 480" in capsys.readouterr().err


def test_a_figure_is_drawn(given: Given, capfd: pytest.CaptureFixture[str]) -> None:
    assert given.run("--figure", "--hypotheses", "20") == 0
    picture = cv2.imread(str(given.folder / "out" / "lifted.png"))
    assert picture is not None and picture.std() > 10
    assert "lifted.png" in capfd.readouterr().out
