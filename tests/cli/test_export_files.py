"""What `dispose export` writes, read back by other programs' readers and compared with predictions.npz."""

import csv
import json
import os
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.arrays import open_arrays
from dispose.formats.exports.coco_people import write_coco
from dispose.formats.marker_names import pose2sim_names
from dispose.formats.person_table import PersonTable
from dispose.formats.trc import read_trc
from dispose.inference.results_folder import RunFiles, write_results
from dispose.scene.frame import Frame, Poses
from dispose.scene.results import Association, FrameResult, Prediction
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from tests.formats.opensim_reader import read_by_opensim
from tests.inference.conftest import detections_at, people_at, rig

FRAMES, RATE, FIRST = 24, 50.0, 7
NAMES = pose2sim_names(COCO_17)
KINDS = ("trc", "c3d", "bvh", "gltf", "csv", "pose2sim", "coco")


def there(frame: int) -> list[int]:
    """The second person comes late, and is away for two frames."""
    return [0, 1] if frame >= 4 and frame not in (10, 11) else [0]


def run_of(frames: int) -> list[FrameResult]:
    cameras, random = rig(), torch.Generator().manual_seed(2)
    results = []
    for frame in range(frames):
        rows = there(frame)
        xyz = people_at(frame)[rows]
        xyz = xyz + 20 * torch.randn(xyz.shape, generator=random, dtype=torch.float64)
        valid = torch.rand(xyz.shape[:2], generator=random) > 0.15
        valid[:, COCO_17.index("l_ear")] = False
        valid[:, COCO_17.index("r_ankle")] &= frame % 2 == 0
        poses = Poses(COCO_17, torch.where(valid[..., None], xyz, 0.0), 0.8 * valid, valid, 1 + torch.tensor(rows))
        # `detections_at` lists people the other way round in every second camera and frame.
        members = torch.tensor([[(1 - row if (view + frame) % 2 else row) for view in range(4)] for row in rows])
        members[0, 2] = ABSENT
        association = Association(members, torch.ones(len(rows)).double())
        prediction = Prediction(FIRST + frame, association, poses, xyz[:, 0])
        results.append(FrameResult(prediction, Frame(FIRST + frame, cameras, detections_at(cameras, frame))))
    return results


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "walk"
    write_results(folder, run_of(FRAMES), RunFiles("walk", "test", RATE))
    (folder / "export" / "c3d").mkdir(parents=True)
    (folder / "export" / "c3d" / "walk_P9.c3d").write_text("of somebody whom an earlier run found")
    assert main(["export", str(folder), "--to", *KINDS]) == 0
    return folder


def person_of(run: Path, person: int) -> np.ndarray:
    """``frames joints 3`` from a person's first frame to their last, mm; NaN where a joint is not known."""
    arrays = open_arrays(run / "predictions.npz").columns
    rows = arrays["id"] == person
    numbers = arrays["frame"][rows]
    xyz = np.full((int(numbers.max() - numbers.min()) + 1, 17, 3), np.nan)
    xyz[numbers - numbers.min()] = arrays["joints"][rows][..., :3]
    return xyz


def test_c3d_by_ezc3d(run: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    assert sorted(path.name for path in (run / "export" / "c3d").iterdir()) == ["walk_P1.c3d", "walk_P2.c3d"]
    for person in (1, 2):
        file, ours = ezc3d.c3d(str(run / "export" / "c3d" / f"walk_P{person}.c3d")), person_of(run, person)
        point = file["parameters"]["POINT"]
        assert tuple(point["LABELS"]["value"]) == NAMES and point["UNITS"]["value"] == ["mm"]
        assert point["RATE"]["value"][0] == RATE
        assert file["header"]["points"]["first_frame"] == FIRST + (4 if person == 2 else 0)
        theirs = file["data"]["points"][:3].transpose(2, 1, 0)
        np.testing.assert_allclose(theirs, ours, atol=0.01)  # NaN where ours are


def test_long_c3d_is_several_files(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    from dispose.formats.exports.c3d_files import MOST_FRAMES, write_c3d

    xyz = np.arange(3 * (MOST_FRAMES + 5), dtype=float).reshape(-1, 1, 3)
    paths = write_c3d(tmp_path / "long.c3d", ["Nose"], xyz, 50.0)
    assert [path.name for path in paths] == ["long.c3d", "long_part2.c3d"]
    read = [ezc3d.c3d(str(path))["data"]["points"][:3, 0].T for path in paths]
    assert [len(part) for part in read] == [MOST_FRAMES, 5]
    np.testing.assert_allclose(np.concatenate(read), xyz[:, 0], atol=0.1)


def test_c3d_below_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("ezc3d")
    from dispose.formats.exports.c3d_files import write_c3d

    with pytest.raises(InputError, match="only where names are UTF-8"):
        write_c3d(tmp_path / os.fsdecode(b"k\xff") / "a.c3d", ["Nose"], np.zeros((2, 1, 3)), 50.0)


def test_bvh_by_bvhio(run: Path) -> None:
    bvhio = pytest.importorskip("bvhio")
    for person in (1, 2):
        path, ours = run / "export" / "bvh" / f"walk_P{person}.bvh", person_of(run, person)
        assert f"Frames: {len(ours)}\nFrame Time: {1 / RATE:.8f}\n" in path.read_text()
        root = bvhio.readAsHierarchy(str(path))
        for frame, joints in enumerate(ours):
            root.loadPose(frame)
            theirs = {joint.Name: 10 * np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
            assert {*NAMES, "Hip", "MidShoulders"} == set(theirs)
            for name, xyz in zip(NAMES, joints, strict=True):
                # z is up there as well as y: x, y, z there are y, z, x of ours.
                if np.isfinite(xyz).all():
                    assert np.abs(theirs[name] - xyz[[1, 2, 0]]).max() < 0.05
            assert np.isfinite(list(theirs.values())).all()


def played(file, scene, frame: int) -> dict[str, np.ndarray]:
    """Where glTF's nodes are when everything has been animated to a frame: matrices by name."""
    blob = file.binary_blob()

    def array(accessor: int) -> np.ndarray:
        one = file.accessors[accessor]
        view = file.bufferViews[one.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[one.type]
        return np.frombuffer(blob, np.float32, one.count * width, view.byteOffset).reshape(one.count, width)

    local = {place: [np.array(node.translation or [0, 0, 0]), np.eye(3), np.ones(3)]
             for place, node in enumerate(file.nodes)}  # fmt: skip
    from scipy.spatial.transform import Rotation

    for channel in file.animations[0].channels:
        sampler = file.animations[0].samplers[channel.sampler]
        times, values = array(sampler.input)[:, 0], array(sampler.output)
        now = values[max(np.searchsorted(times, frame / RATE + 1e-4) - 1, 0)]
        kind = {"translation": 0, "rotation": 1, "scale": 2}[channel.target.path]
        local[channel.target.node][kind] = Rotation.from_quat(now).as_matrix() if kind == 1 else now
    places: dict[str, np.ndarray] = {}

    def walk(place: int, above: np.ndarray, prefix: str) -> None:
        node, (move, turn, size) = file.nodes[place], local[place]
        here = np.eye(4)
        here[:3, :3], here[:3, 3] = turn * size, move
        places[prefix + node.name] = above @ here
        for child in node.children or []:
            walk(child, above @ here, prefix)

    for root in scene.nodes:
        walk(root, np.eye(4), f"{file.nodes[root].name}/")
    return places


def test_gltf_by_pygltflib(run: Path) -> None:
    pygltflib = pytest.importorskip("pygltflib")
    file = pygltflib.GLTF2().load(str(run / "export" / "gltf" / "walk.glb"))
    assert len(file.skins) == 2 and len(file.meshes) == 2 and len(file.animations) == 1
    for person, start in ((1, 0), (2, 4)):
        ours = person_of(run, person)
        for frame in range(FRAMES):
            nodes = played(file, file.scenes[0], frame)
            shown = nodes[f"P{person}/P{person}"][0, 0]
            assert shown == (1 if frame >= start else 0)
            for name, xyz in zip(NAMES, ours[frame - start] if shown else (), strict=False):
                if np.isfinite(xyz).all():
                    np.testing.assert_allclose(1000 * nodes[f"P{person}/{name}"][:3, 3], xyz[[1, 2, 0]], atol=0.1)


def test_csv_by_pythons_reader(run: Path) -> None:
    arrays = open_arrays(run / "predictions.npz").columns
    with open(run / "export" / "csv" / "walk.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == arrays["joints"].shape[0] * 17
    theirs = [[float(row[column] or "nan") for column in ("x_mm", "y_mm", "z_mm")] for row in rows]
    np.testing.assert_allclose(np.reshape(theirs, (-1, 17, 3)), arrays["joints"][..., :3], atol=6e-4)
    assert [row["joint"] for row in rows[:17]] == list(COCO_17.joints)
    assert [(int(row["frame"]), int(row["person"])) for row in rows[::17]] == list(
        zip(arrays["frame"].tolist(), arrays["id"].tolist(), strict=True)
    )
    assert float(rows[-1]["time_s"]) == pytest.approx((FIRST + FRAMES - 1) / RATE)


def test_coco_by_pycocotools(run: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cameras = rig()
    for view, name in enumerate(cameras.names):
        file = coco.COCO(str(run / "export" / "coco" / f"{name}.json"))
        assert file.loadCats([1])[0]["keypoints"] == list(COCO_17.joints)
        assert len(file.getImgIds()) == FRAMES
        for person, start in ((1, 0), (2, 4)):
            ours = person_of(run, person)
            entries = [one for one in file.loadAnns(file.getAnnIds()) if one["track_id"] == person]
            assert len(entries) == sum(person - 1 in there(frame) for frame in range(FRAMES))
            for entry in entries:
                xyz = torch.from_numpy(ours[entry["image_id"] - start])
                xy, seen, known = (
                    cameras.project(xyz)[0][view],
                    np.reshape(entry["keypoints"], (17, 3)),
                    xyz.isfinite().all(-1),
                )
                inside = known & cameras.select(views=[view]).inside(xy[None])[0]
                assert (seen[:, 2] == 2 * inside.numpy()).all() and entry["num_keypoints"] == int(inside.sum())
                np.testing.assert_allclose(seen[inside, :2], xy[inside], atol=0.006)
                np.testing.assert_allclose(entry["bbox"][:2], xy[inside].amin(0), atol=0.006)


def keypoints(path: Path) -> list[list[float]]:
    return [one.get("pose_keypoints_2d", []) for one in json.loads(path.read_text())["people"]]


def test_a_pose2sim_project_can_be_gone_on_with(run: Path, tmp_path: Path) -> None:
    project = run / "export" / "pose2sim"
    config = tomllib.loads((project / "Config.toml").read_text())
    assert config["project"]["frame_rate"] == RATE and config["pose"]["pose_model"] == "COCO_17"
    calibration = tomllib.loads((project / "calibration" / "Calib_dispose.toml").read_text())
    cameras = rig()
    for view, name in enumerate(cameras.names):
        turn = cv2.Rodrigues(np.array(calibration[name]["rotation"]))[0]
        np.testing.assert_allclose(turn, cameras.rotation[view], atol=1e-9)
        np.testing.assert_allclose(calibration[name]["translation"], cameras.translation[view] / 1000, atol=1e-9)
        for frame in range(FRAMES):
            file = f"{name}_json/{name}.{FIRST + frame:04d}.json"
            found, associated = (
                [
                    one.get("pose_keypoints_2d", [])
                    for one in json.loads((project / folder / file).read_text())["people"]
                ]
                for folder in ("pose", "pose-associated")
            )
            assert len(found) == 2 and len(associated) == 2
            for person in (0, 1):
                there_now = person in there(frame) and not (person == 0 and view == 2)
                # Detections are exact: the person's own projection says whose they are.
                exact = cameras.project(people_at(frame))[0][view, person]
                if there_now:
                    np.testing.assert_allclose(np.reshape(associated[person], (17, 3))[:, :2], exact, atol=1e-3)
                else:
                    assert associated[person] == []
    names, read = read_by_opensim(project / "pose-3d" / "walk_P2.trc")
    np.testing.assert_allclose(1000 * read, person_of(run, 2)[..., (1, 2, 0)], atol=1e-3)
    assert tuple(names) == NAMES == read_trc(run / "export" / "trc" / "walk_P1.trc").names


def test_other_programs_people_too(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run / "trc"), "--to", "csv", "--out", str(tmp_path)]) == 2
    assert "does not say how many frames a second has; give --rate-hz" in capsys.readouterr().err
    assert main(["export", str(run / "trc"), "--to", "csv", "bvh", "--rate-hz", "50", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "bvh" / "trc_P2.bvh").is_file()
    for kind in ("pose2sim", "coco", "mp4"):
        assert main(["export", str(run / "trc"), "--to", kind, "--rate-hz", "50", "--out", str(tmp_path)]) == 2
        assert "has no evidence.npz" in capsys.readouterr().err


def test_a_lost_line_is_seen(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("predictions.jsonl", "predictions.npz"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    lines = (tmp_path / "predictions.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "predictions.jsonl").write_text("".join(lines[:-1]))
    assert main(["export", str(tmp_path), "--to", "csv"]) == 2
    assert f"line 1 announces {FRAMES} frames, and {FRAMES - 1} follow" in capsys.readouterr().err


def test_coco_sees_nothing_beside_the_picture(tmp_path: Path) -> None:
    camera = rig().select(views=[0])
    joints = torch.cat([people_at(0)[:1], torch.ones(1, 17, 1).double()], -1)
    joints[0, 3, :3] += 9000 * camera.rotation[0, 0]  # nine metres to the right of where it was
    one = np.zeros(1, dtype=np.int64)
    write_coco(tmp_path / "one.json", PersonTable(COCO_17, one, one, one, joints.numpy()), camera, lambda rows: None)
    (entry,) = json.loads((tmp_path / "one.json").read_text())["annotations"]
    assert entry["keypoints"][9:12] == [0, 0, 0] and entry["num_keypoints"] == 16
