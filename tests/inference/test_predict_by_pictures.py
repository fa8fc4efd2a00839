"""Triangulators that look at pictures: people whom detections or an image model have found, cut out and placed."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.association.reconstruct import reconstruct
from dispose.cli.main import main
from dispose.datasets.multiview import RawFrame
from dispose.datasets.samples import sample_folder
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.predictions import read_predictions
from dispose.geometry.image_affine import apply
from dispose.geometry.uncertainty import expected_error, probability_within
from dispose.inference.capture import read_image_capture
from dispose.inference.pictures import InPictures
from dispose.models.triangulation.algebraic import Algebraic, Triangulated
from dispose.models.triangulation.cube import Cubes
from dispose.models.triangulation.people import cut_people, place_by_cubes, place_by_heatmaps
from dispose.models.triangulation.volumetric import Located, Volumetric
from dispose.recipes.triangulation import TOY_ALGEBRAIC_SMOKE, TOY_VOLUMETRIC_SMOKE
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Detections, ImageBatch, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.tensors import ABSENT
from dispose.zoo import save_weights, triangulators

FRAMES = 2
WRIST = PANOPTIC_15.index("l_wrist")


def people(walk, number: int) -> Poses:
    """The two people of a frame, with the joints of the networks."""
    xyz = walk.people_at(number)
    known = torch.ones(xyz.shape[:2], dtype=torch.bool)
    return convert_poses(Poses(COCO_17, xyz, known.double(), known, torch.arange(2)), PANOPTIC_15)


class SeesAll(Algebraic):
    """A network whose heat maps are right: it knows where everybody is, and trusts one view less."""

    def __init__(self, everybody: list[Poses]) -> None:
        super().__init__(TOY_ALGEBRAIC_SMOKE.model)  # pyright: ignore[reportArgumentType]
        self.everybody, self.trust = everybody, 1.0

    def forward(self, batch: ImageBatch) -> Triangulated:
        present, size = batch.images.present, torch.tensor(batch.images.input_size)
        xyz = torch.cat([poses.xyz_world for poses in self.everybody])
        xy_image, _ = batch.cameras.project(xyz.expand(len(present), *xyz.shape).flatten(1, 2))
        xy = apply(batch.images.input_from_image[:, :, None], xy_image).unflatten(2, xyz.shape[:2])
        # Whose joints surround the middle of the cuts.
        off = (xy.mean(3) - size / 2).norm(dim=-1) * present[..., None]
        who = off.sum(1).argmin(1)
        mine = xy[torch.arange(len(who)), :, who]
        weights = torch.ones(mine.shape[:-1]) * present[..., None]
        weights[:, 0, WRIST] *= self.trust
        nothing = torch.zeros(*mine.shape[:-1], 1, 1)
        return Triangulated(xyz[who], weights, mine, nothing, nothing)


class KnowsAll(Volumetric):
    """A network whose cubes are right: all the probability is in two voxels on both sides of every joint."""

    def __init__(self, everybody: list[Poses]) -> None:
        super().__init__(TOY_VOLUMETRIC_SMOKE.model)  # pyright: ignore[reportArgumentType]
        self.everybody, self.views = everybody, []

    def forward(self, batch: ImageBatch, cubes: Cubes) -> Located:
        self.views += batch.images.present.sum(1).tolist()
        xyz = torch.cat([poses.xyz_world for poses in self.everybody])
        who = (xyz[:, 2] - cubes.centre[:, None].double()).norm(dim=-1).argmin(1)
        shape = (len(who), len(PANOPTIC_15), *[cubes.cells] * 3)
        cloud = torch.full(shape, -100.0)
        cloud[..., 3, 4, 4] = cloud[..., 5, 4, 4] = np.log(0.5)
        return Located(xyz[who].float(), cloud, cubes)


@pytest.fixture
def rig(walk) -> Cameras:
    """The rig of the walk with pictures of 384 x 216 pixels."""
    cameras = walk.rig()
    matrix = cameras.matrix / 5
    matrix[:, 2, 2] = 1
    return replace(cameras, size=cameras.size / 5, matrix=matrix)


@pytest.fixture
def folder(walk, rig: Cameras, tmp_path: Path) -> Path:
    """Exact detections, and noise for pictures."""
    noise, capture = np.random.default_rng(0), tmp_path / "walk"
    write_calibration_toml(capture / "calib" / "Calib.toml", rig)
    for number in range(FRAMES):
        xy, _ = rig.project(walk.people_at(number))
        found = [list(view) for view in torch.cat([xy, torch.full_like(xy[..., :1], 0.9)], dim=-1)]
        write_openpose(capture / "pose", number, rig.names, Detections.from_lists(COCO_17, found))
        for name in rig.names:
            (capture / "images" / name).mkdir(parents=True, exist_ok=True)
            picture = noise.integers(0, 255, (216, 384, 3), np.uint8)
            cv2.imwrite(str(capture / "images" / name / f"{name}_{number:04d}.png"), picture)
    return capture


@pytest.fixture
def knowing(walk, monkeypatch, tmp_path: Path) -> Path:
    """A folder whose weights files stand for networks that know everybody."""

    def load(path: Path, option: str):
        everybody = [people(walk, number) for number in range(FRAMES)]
        return (SeesAll if path.name == "algebraic" else KnowsAll)(everybody)

    monkeypatch.setattr(triangulators, "load_person_network", load)
    monkeypatch.setattr(triangulators, "read_metadata", lambda path: (path.name, "", "", ""))
    for name in triangulators.LOOK_AT_PICTURES:
        (tmp_path / name).touch()
    return tmp_path


def run(folder: Path, out: Path, *options: str) -> int:
    return main(["predict", str(folder), "--out", str(out), *options])


@pytest.mark.parametrize("name", triangulators.LOOK_AT_PICTURES)
def test_people_of_groups_are_placed_by_their_pictures(
    name: str, walk, folder: Path, tmp_path: Path, knowing: Path, capsys
) -> None:
    (folder / "images" / "cam_02" / "cam_02_0001.png").unlink()
    (folder / "images" / "cam_03" / "cam_03_0000.png").write_bytes(b"no picture")
    given = ("--associator", "greedy", "--triangulator", name, "--triangulator-weights", str(knowing / name))
    assert run(folder, tmp_path / "out", *given) == 0
    said = capsys.readouterr().out
    assert "camera cam_02 has no picture for 1 frames." in said and "lost: " in said and "2 people:" in said
    assert "without a joint" not in said
    saved = read_predictions(tmp_path / "out" / "predictions.jsonl")
    assert saved.skeleton == PANOPTIC_15
    for frame in saved.frames:
        truth = people(walk, frame.number).xyz_world
        row = int((truth[:, 2] - frame.root[0]).norm(dim=-1).argmin())
        assert_close(frame.poses.xyz_world, truth[[row, 1 - row]], atol=0.01, rtol=0)
        assert sorted(frame.poses.id.tolist()) == [1, 2]
        # The groups are those of the detections, the camera without a picture included.
        assert bool((frame.association.members != ABSENT).all())
        assert bool((frame.poses.confidence > 0).all()) and frame.poses.score is not None
    with np.load(tmp_path / "out" / "predictions.npz") as table:
        assert table["covariance"].shape == (2 * FRAMES, 15, 6)


def test_pictures_are_read_in_the_order_of_the_cameras(folder: Path, rig: Cameras) -> None:
    shutil.rmtree(folder / "images" / "cam_04")
    reading = InPictures(read_image_capture(folder), reconstruct, lambda raw, found: found.poses)
    images = reading.read(1, rig.select(views=[2, 3, 0])).images
    file = folder / "images" / "cam_01" / "cam_01_0001.png"
    assert images[1] is None and images[0] is not None and images[2] is not None
    assert np.array_equal(images[2], cv2.imread(str(file))[..., ::-1]) and not np.array_equal(images[0], images[2])  # pyright: ignore[reportOptionalSubscript]
    assert reading.sentences() == ()


def found_people(walk, rig: Cameras) -> tuple[RawFrame, Prediction]:
    """Two people whom all cameras see, and a picture of every camera."""
    poses = people(walk, 0)
    members = torch.arange(2)[:, None].expand(2, len(rig)).clone()
    found = Prediction(0, Association(members, torch.ones(2).double()), poses, poses.xyz_world[:, 2])
    return RawFrame(0, rig, tuple(np.zeros((216, 384, 3), np.uint8) for _ in rig.names)), found


def test_a_cut_shows_all_of_a_person_and_only_views_that_do(walk, rig: Cameras) -> None:
    raw, found = found_people(walk, rig)
    behind = replace(rig, rotation=rig.rotation.clone(), translation=rig.translation.clone())
    turn = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    behind.rotation[1], behind.translation[1] = turn @ rig.rotation[1], turn @ rig.translation[1]
    found.association.members[0, 0] = ABSENT
    raw = RawFrame(0, behind, (*raw.images[:3], None))
    first, second = cut_people(raw, found, (128, 128))
    assert (first.row, first.views, second.row, second.views) == (0, [2], 1, [0, 2])
    xy, _ = second.frame.cameras.project(found.poses.xyz_world[1])
    inside = apply(second.frame.require_images().input_from_image[:, None], xy)
    low, high = inside.amin(1), inside.amax(1)
    # The longer side of a person takes 1 / 1.3 of the cut.
    assert_close((high - low).amax(-1), torch.full((2,), 128 / 1.3).double(), atol=0.01, rtol=0)
    assert_close((low + high) / 2, torch.full((2, 2), 63.5).double(), atol=0.01, rtol=0)
    far = replace(behind, matrix=behind.matrix * torch.tensor([0.1, 0.1, 1.0], dtype=torch.float64)[:, None])
    assert cut_people(RawFrame(0, far, raw.images), found, (128, 128)) == []
    found.root[1] = torch.nan
    assert [cut.row for cut in cut_people(raw, found, (128, 128))] == [0]


def test_heat_maps_are_judged_as_keypoints_are(walk, rig: Cameras) -> None:
    raw, found = found_people(walk, rig)
    network = SeesAll([found.poses])
    whole = place_by_heatmaps(network, raw, found)
    assert whole.covariance is not None and bool(whole.valid.all())
    found.association.members[1, 1:] = ABSENT
    alone = place_by_heatmaps(network, raw, found)
    assert not bool(alone.valid[1].any()) and float(alone.score[1]) == 0  # pyright: ignore[reportOptionalSubscript]
    assert_close(alone.xyz_world[0], whole.xyz_world[0])
    network.trust = 0.05
    doubted = place_by_heatmaps(network, raw, found)
    assert doubted.covariance is not None
    larger = expected_error(doubted.covariance[0]) / expected_error(whole.covariance[0])
    assert float(larger[WRIST]) > 1.1 and int(larger.argmax()) == WRIST


def test_cubes_say_how_uncertain_joints_are(walk, rig: Cameras) -> None:
    raw, found = found_people(walk, rig)
    found.association.members[1, 1:] = ABSENT
    network = KnowsAll([found.poses])
    poses = place_by_cubes(network, raw, found)
    assert network.views == [4, 1] and bool(poses.valid.all())
    step = network.config.cube.side_mm / (network.config.cube.cells - 1)
    expected = torch.diag(torch.tensor([1 + 1 / 12, 1 / 12, 1 / 12], dtype=torch.float64)) * step**2
    assert_close(poses.covariance, expected.expand(2, 15, 3, 3), atol=1.0, rtol=1e-4)  # pyright: ignore[reportArgumentType]
    right = probability_within(expected, 150.0)
    assert_close(poses.score, right.expand(2), atol=1e-3, rtol=0)
    raw = RawFrame(0, rig, (None,) * 4)
    assert not bool(place_by_cubes(network, raw, found).valid.any())
    found.root[0] = torch.nan
    alone = place_by_cubes(network, found_people(walk, rig)[0], found)
    assert alone.valid.any(1).tolist() == [False, True] and alone.score is not None
    assert float(alone.score[0]) == 0 < float(alone.score[1])


def test_people_found_in_rendered_pictures_are_placed_anew(tmp_path: Path, capsys) -> None:
    """From files to files: the shipped model finds people in drawn pictures, cubes around them read these anew."""
    torch.manual_seed(0)
    save_weights(tmp_path / "cubes", Volumetric(TOY_VOLUMETRIC_SMOKE.model))  # pyright: ignore[reportArgumentType]
    given = ("--triangulator", "volumetric", "--triangulator-weights", str(tmp_path / "cubes"))
    studio = sample_folder("studio")
    first = read_image_capture(studio).numbers[0]
    some = ("--from-pictures", "--frames", f"{first}:{first + 2}")
    assert run(studio, tmp_path / "plain", *some) == 0
    assert run(studio, tmp_path / "anew", *some, *given) == 0
    saved = [read_predictions(tmp_path / name / "predictions.jsonl").frames for name in ("plain", "anew")]
    for plain, anew in zip(*saved, strict=True):
        assert len(plain.poses.id) > 1 and plain.association.members.equal(anew.association.members)
        assert anew.poses.covariance is not None and plain.poses.covariance is None
        joints = anew.poses.valid.sum(1)
        assert bool((joints > 0).all())
        # A cube reaches half its side from the root in every direction; untrained it says its middle, about.
        off = (anew.poses.xyz_world - plain.root[:, None]).abs()[anew.poses.valid]
        assert 0 < float(off.max()) <= 1150
    capsys.readouterr()


def test_what_is_missing_is_one_sentence(folder: Path, tmp_path: Path, capsys) -> None:
    save_weights(tmp_path / "heat", Algebraic(TOY_ALGEBRAIC_SMOKE.model))  # pyright: ignore[reportArgumentType]
    save_weights(tmp_path / "cubes", Volumetric(TOY_VOLUMETRIC_SMOKE.model))  # pyright: ignore[reportArgumentType]

    def said(*given: str) -> str:
        assert run(folder, tmp_path / "out", "--associator", "greedy", *given) == 2
        error = capsys.readouterr().err
        assert error.startswith("dispose: ") and error.count("\n") == 1
        return error

    cubes = ("--triangulator", "volumetric", "--triangulator-weights", str(tmp_path / "cubes"))
    assert "must be named with --triangulator-weights: none ship" in said("--triangulator", "volumetric")
    assert "holds weights of algebraic triangulation" in said(*cubes[:3], str(tmp_path / "heat"))
    assert "the triangulator asked for is algebraic" in said("--triangulator", "algebraic", *cubes[2:])
    assert "other joints than are detected" in said(*cubes, "--past", "--associator", "learned")
    assert "--triangulator speaks of detections" in said(
        "--triangulator", "rays", "--from-pictures", "--associator", "learned", "--triangulator", "ransac"
    )
    shutil.move(folder / "images" / "cam_01", tmp_path / "cam_01")
    for name in ("cam_02", "cam_03"):
        shutil.rmtree(folder / "images" / name)
    assert "1 of its cameras (cam_04) belong to the calibrated ones" in said(*cubes)
    shutil.move(tmp_path / "cam_01", folder / "images" / "cam_01")
    shutil.rmtree(folder / "pose" / "cam_01_json")
    assert "fewer than two of the cameras with detections have pictures" in said(*cubes)
    shutil.rmtree(folder / "images")
    assert "the triangulator volumetric looks at pictures, and there are none (images, videos-sync, videos)" in said(
        *cubes
    )
