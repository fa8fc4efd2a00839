"""Prediction files: there and back, readable without us, never half written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.files import replacing
from dispose.formats.predictions import (
    SavedPredictions,
    by_source,
    read_predictions,
    write_predictions,
    write_predictions_npz,
)
from dispose.formats.trc import Markers, read_trc, tracks, write_trc, write_trcs
from dispose.scene.detections import Detections
from dispose.scene.poses import Poses
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

CAMERAS = ("a", "b", "c")


def prediction(number: int, ids: tuple[int, ...]) -> Prediction:
    generator = torch.Generator().manual_seed(number)
    count = len(ids)
    valid = torch.rand(count, 17, generator=generator) > 0.2
    xyz = torch.randn(count, 17, 3, dtype=torch.float64, generator=generator) * 1000
    poses = Poses(
        COCO_17,
        torch.where(valid[..., None], xyz, 0.0).round(decimals=3),
        torch.where(valid, torch.rand(count, 17, dtype=torch.float64, generator=generator), 0.0).round(decimals=6),
        valid,
        torch.tensor(ids, dtype=torch.long),
    )
    members = torch.randint(-1, 4, (count, 3), generator=generator)
    root = xyz[:, 0].round(decimals=3)
    root[:1] = torch.nan
    return Prediction(number, Association(members, torch.full((count,), 0.75, dtype=torch.float64)), poses, root)


def saved() -> SavedPredictions:
    return SavedPredictions(COCO_17, CAMERAS, (prediction(3, (1, 2)), prediction(4, ()), prediction(6, (2, 5, 1))))


def test_jsonl_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    found = read_predictions(path)
    assert (found.skeleton, found.cameras) == (COCO_17, CAMERAS)
    for a, b in zip(found.frames, saved().frames, strict=True):
        assert a.number == b.number
        assert_close(a.poses.xyz_world, b.poses.xyz_world)
        assert_close(a.poses.confidence, b.poses.confidence)
        assert torch.equal(a.poses.valid, b.poses.valid)
        assert torch.equal(a.poses.id, b.poses.id)
        assert torch.equal(a.association.members, b.association.members)
        assert_close(a.root, b.root, equal_nan=True)


def test_jsonl_is_what_the_documentation_says(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    header, first, *_ = [json.loads(line) for line in path.read_text().splitlines()]
    assert header == {
        "schema": "dispose.predictions/1",
        "skeleton": "coco_17",
        "joints": list(COCO_17.joints),
        "units": "mm",
        "cameras": list(CAMERAS),
    }
    person = first["persons"][1]
    assert list(person) == ["id", "score", "root", "joints", "members"]
    assert (len(person["joints"]), len(person["joints"][0])) == (17, 4)
    assert "NaN" not in path.read_text()


def test_members_in_files_count_source_positions() -> None:
    one = torch.ones(17, 3, dtype=torch.float64)
    found = Detections.from_lists(COCO_17, [[one, one], [one], []], index=[[2, 5], [9], []])
    members = torch.tensor([[1, 0, ABSENT], [0, ABSENT, ABSENT]])
    base = prediction(1, (1, 2))
    there = by_source(Prediction(1, Association(members, base.association.confidence), base.poses, base.root), found)
    assert there.association.members.tolist() == [[5, 9, ABSENT], [2, ABSENT, ABSENT]]


def test_npz_holds_the_same(tmp_path: Path) -> None:
    write_predictions_npz(tmp_path / "p.npz", saved())
    with np.load(tmp_path / "p.npz") as table:
        assert table["frame"].tolist() == [3, 3, 6, 6, 6]
        assert table["id"].tolist() == [1, 2, 2, 5, 1]
        assert table["joint_names"].tolist() == list(COCO_17.joints)
        last = saved().frames[2].poses
        valid = last.valid.numpy()
        np.testing.assert_allclose(table["joints"][2:, :, :3][valid], last.xyz_world.numpy()[valid])
        assert np.isnan(table["joints"][2:, :, :3][~valid]).all()
    write_predictions_npz(tmp_path / "none.npz", SavedPredictions(COCO_17, CAMERAS, ()))
    with np.load(tmp_path / "none.npz") as table:
        assert table["joints"].shape == (0, 17, 4)


def test_trc_there_and_back(tmp_path: Path) -> None:
    paths = write_trcs(tmp_path, "walk", saved(), 60.0)
    assert [p.name for p in paths] == ["walk_P1.trc", "walk_P2.trc", "walk_P5.trc"]
    for path, (_, markers) in zip(paths, tracks(saved(), 60.0), strict=True):
        found = read_trc(path)
        assert (found.names, found.rate_hz) == (markers.names, 60.0)
        assert torch.equal(found.numbers, markers.numbers)
        assert_close(found.xyz_world, markers.xyz_world, atol=1e-3, rtol=0, equal_nan=True)
    header = paths[0].read_text().splitlines()
    assert header[2].split("\t") == ["60", "60", "3", "17", "m", "60", "3", "3"]
    assert len({line.count("\t") for line in header[5:]}) == 1


def test_trc_is_y_up_metres(tmp_path: Path) -> None:
    up = torch.tensor([[[100.0, 200.0, 1700.0]]], dtype=torch.float64)
    write_trc(tmp_path / "t.trc", Markers(("head",), torch.tensor([1]), up, 30.0))
    assert (tmp_path / "t.trc").read_text().splitlines()[5].split("\t")[2:] == ["0.200000", "1.700000", "0.100000"]


def test_trc_of_pose2sim(shared_data: Path) -> None:
    files = sorted((shared_data / "raw" / "pose2sim_multi" / "pose-3d").glob("*.trc"))
    stored = np.load(shared_data / "pose2sim" / "author_triangulation_multi.npz")
    for person, path in enumerate(files):
        found = read_trc(path)
        rows = stored["person_id"] == np.unique(stored["person_id"])[person]
        wanted = torch.from_numpy(stored["kpts"][rows][..., :3]).double()
        assert_close(found.xyz_world, wanted, atol=1e-2, rtol=0, equal_nan=True)
    with pytest.raises(InputError, match="is no TRC file"):
        read_trc(shared_data / "raw" / "pose2sim_multi" / "Config.toml")


def test_broken_prediction_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    text = path.read_text()
    path.write_text(text[:-30])
    with pytest.raises(InputError, match=r"predictions\.jsonl: line 4: breaks off"):
        read_predictions(path)
    path.write_text(text.replace("predictions/1", "predictions/9"))
    with pytest.raises(InputError, match=r"schema is 'dispose\.predictions/9'"):
        read_predictions(path)
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        read_predictions(path)


def test_an_interrupted_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text("old")

    def broken():
        yield saved().frames[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(path, COCO_17, CAMERAS, broken())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.jsonl"]
    with replacing(path) as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
