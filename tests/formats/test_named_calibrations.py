"""Calibrations that people write themselves: cameras by name or listed, in anybody's words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import is_pose2sim
from dispose.formats.calibration.read import open_calibration
from dispose.formats.entry import Entry
from dispose.geometry.rigid import rotation_vector
from dispose.scene.cameras import Cameras
from tests.formats.rigs_of_others import assert_same, rig


def plain(cameras: Cameras, v: int, unit: float = 1.0) -> dict[str, object]:
    return {
        "K": cameras.matrix[v].tolist(), "dist": cameras.distortion[v, :5].tolist(), "R": cameras.rotation[v].tolist(),
        "t": (cameras.translation[v] / unit).tolist(), "size": cameras.size[v].tolist(),
    }  # fmt: skip


def spelt(cameras: Cameras, v: int) -> dict[str, object]:
    lens, turn, size = cameras.distortion[v, :5], rotation_vector(cameras.rotation[v]), cameras.size[v]
    return {
        "camera_matrix": cameras.matrix[v].tolist(), "dist_coeffs": lens[:, None].tolist(),
        "rvec": turn[:, None].tolist(), "tvec": (cameras.translation[v, :, None] / 1000).tolist(),
        "image_width": float(size[0]), "image_height": float(size[1]),
    }  # fmt: skip


def written_out(cameras: Cameras, v: int) -> dict[str, object]:
    return {
        "camera_name": cameras.names[v], "image_size": cameras.size[v].tolist(),
        "intrinsic_matrix": cameras.matrix[v].tolist(), "distortions": cameras.distortion[v, :5].tolist(),
        "rotation_matrix": cameras.rotation[v].tolist(), "translation": cameras.translation[v].tolist(),
    }  # fmt: skip


def listed(cameras: Cameras, v: int) -> dict[str, object]:
    """As AIST++ has them, in the words of Pose2Sim's tables."""
    return {
        "name": cameras.names[v], "size": cameras.size[v].tolist(), "matrix": cameras.matrix[v].tolist(),
        "rotation": rotation_vector(cameras.rotation[v]).tolist(), "translation": cameras.translation[v].tolist(),
        "distortions": cameras.distortion[v, :5].tolist(),
    }  # fmt: skip


def within(cameras: Cameras, v: int) -> dict[str, object]:
    matrix, whole = cameras.matrix[v], torch.eye(4, dtype=torch.float64)
    whole[:3, :3], whole[:3, 3] = cameras.rotation[v], cameras.translation[v] / 1000
    inner = {"fx": float(matrix[0, 0]), "fy": float(matrix[1, 1]), "cx": float(matrix[0, 2]), "cy": float(matrix[1, 2])}
    inner |= {"distortion": cameras.distortion[v, :5].tolist()}
    return {"intrinsics": inner, "extrinsics": whole.tolist(), "resolution": cameras.size[v].tolist()}


def apart(cameras: Cameras) -> dict[str, object]:
    each = {name: plain(cameras, v) for v, name in enumerate(cameras.names)}
    return {
        "intrinsics": {name: {key: one[key] for key in ("K", "dist", "size")} for name, one in each.items()},
        "extrinsics": {name: {key: one[key] for key in ("R", "t")} for name, one in each.items()},
    }


def by_name(cameras: Cameras, make: Callable[[Cameras, int], dict[str, object]]) -> dict[str, object]:
    return {name: make(cameras, v) for v, name in enumerate(cameras.names)}


OWN_WORDS: dict[str, Callable[[Cameras], object]] = {
    "by name": lambda c: by_name(c, plain),
    "in metres": lambda c: {name: plain(c, v, 1000.0) for v, name in enumerate(c.names)},
    "rvec and tvec": lambda c: {"cameras": by_name(c, spelt)},
    "written out": lambda c: by_name(c, written_out),
    "a list": lambda c: [{"name": name, **spelt(c, v)} for v, name in enumerate(c.names)],
    "a list of cameras": lambda c: {"cameras": [{"id": name, **plain(c, v)} for v, name in enumerate(c.names)]},
    "AIST++": lambda c: [listed(c, v) for v in range(len(c))],
    "4 x 4": lambda c: by_name(c, within),
    "tables of their own": apart,
}


@pytest.mark.parametrize("words", OWN_WORDS)
def test_cameras_by_name_in_anybodys_words(tmp_path: Path, words: str) -> None:
    path = tmp_path / "calib.json"
    path.write_text(json.dumps(OWN_WORDS[words](rig())))
    found = open_calibration(path)
    assert_same(found.cameras, rig())
    assert found.cameras.names == rig().names
    assert "does not say its unit: m" in found.notes[-1]


def test_what_such_a_file_leaves_open_is_asked(tmp_path: Path) -> None:
    path, names = tmp_path / "calib.json", rig().names
    path.write_text(json.dumps({name: plain(rig(), v, 10.0) for v, name in enumerate(names)}))
    with pytest.raises(InputError, match="--mm-per-unit"):
        open_calibration(path)
    assert_same(open_calibration(path, mm_per_unit=10.0).cameras, rig())
    path.write_text(json.dumps({"intrinsics": by_name(rig(), plain), "extrinsics": {"S1": by_name(rig(), plain)}}))
    with pytest.raises(InputError, match=r"several recordings \(S1\)"):
        open_calibration(path)
    path.write_text(json.dumps(by_name(rig(), plain) | {names[-1]: {"K": rig().matrix[-1].tolist()}}))
    assert open_calibration(path).notes[0] == f"camera {names[-1]} is left out: it has no R."


@pytest.mark.parametrize(
    ("key", "said", "unit"),
    [("units", "cm", 10.0), ("unit", "Metres", 1000.0), ("units", "inches", 25.4), ("unit", "mm", 1.0)],
)
def test_a_unit_that_the_file_says_is_taken(tmp_path: Path, key: str, said: str, unit: float) -> None:
    path, names = tmp_path / "calib.json", rig().names
    cameras = {name: plain(rig(), v, unit) for v, name in enumerate(names)}
    for told in ({key: said, "cameras": cameras}, {key: said, **cameras}):
        path.write_text(json.dumps(told))
        found = open_calibration(path)
        assert_same(found.cameras, rig())
        assert not [note for note in found.notes if "unit" in note]
    path.write_text(json.dumps({key: "furlong", "cameras": cameras}))
    with pytest.raises(InputError, match=rf"calib\.json: {key}: units are 'furlong'; known are mm, cm, m and inch"):
        open_calibration(path)


def test_a_file_of_no_kind_is_not_answered_as_toml(tmp_path: Path) -> None:
    path = tmp_path / "cam01.calib"
    path.write_text("1920\n1080\n1500 0 960\n")
    with pytest.raises(InputError, match=r"cam01\.calib: is no JSON, YAML or XML, nor TOML"):
        open_calibration(path)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"camera_matrix": [[900, 0, 500], [0, 900, 400], [0, 0, 1]]}, "'K' and 'camera_matrix'"),
        ({"D": [0.3, 0, 0, 0, 0]}, "'dist' and 'D'"),
        ({"rotation": torch.eye(3).tolist()}, "'R' and 'rotation'"),
        ({"rvec": [0.1, 0.2, 0.3]}, "'R' and 'rvec'"),
        ({"tvec": [[0], [0], [5000.0]]}, "'t' and 'tvec'"),
    ],
)
def test_two_names_of_one_thing_must_not_contradict(tmp_path: Path, other: dict[str, object], said: str) -> None:
    cameras = rig()
    entries = {name: plain(cameras, v) for v, name in enumerate(cameras.names)}
    alike = {"rvec": rotation_vector(cameras.rotation[0]).tolist(), "tvec": cameras.translation[0, :, None].tolist()}
    entries["cam1"] |= alike
    (tmp_path / "rig.json").write_text(json.dumps(entries))
    assert_same(open_calibration(tmp_path / "rig.json", mm_per_unit=1.0, up="z").cameras, cameras)
    entries["cam1"] |= other
    (tmp_path / "rig.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match=f"camera cam1: {said} are both there and differ"):
        open_calibration(tmp_path / "rig.json", mm_per_unit=1.0)


def test_a_principal_point_at_the_rim_is_told(tmp_path: Path) -> None:
    cameras = rig()
    entries = {name: plain(cameras, v) for v, name in enumerate(cameras.names)}
    entries["cam2"]["K"] = [[1100.5, 0, 0], [0, 1080.25, 0], [0, 0, 1]]
    (tmp_path / "rig.json").write_text(json.dumps(entries))
    notes = [note for note in open_calibration(tmp_path / "rig.json", mm_per_unit=1.0).notes if "principal" in note]
    assert len(notes) == 1 and "camera cam2: its principal point is [0.0, 0.0], at the rim of its pictures" in notes[0]


def test_a_table_in_other_words_among_pose2sims_is_not_overlooked(tmp_path: Path) -> None:
    """A file of nothing but whole tables is Pose2Sim's, whatever else knows cameras; any other is looked at anew."""
    path, cameras = tmp_path / "rig.json", rig()
    tables = {name: listed(cameras, v) for v, name in enumerate(cameras.names)}
    assert is_pose2sim(Entry("rig", {**tables, "metadata": {"error": 0.1}}))
    tables[cameras.names[0]] = plain(cameras, 0)
    assert not is_pose2sim(Entry("rig", tables))
    path.write_text(json.dumps(tables))
    assert open_calibration(path, mm_per_unit=1.0).cameras.names == cameras.names
    del tables[cameras.names[0]], tables[cameras.names[1]]["size"]
    assert not is_pose2sim(Entry("rig", tables))
