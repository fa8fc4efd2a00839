"""Prediction files: there and back, readable without us, never half written."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.arrays import write_npz
from dispose.formats.files import replacing
from dispose.formats.folders import Columns
from dispose.formats.marker_names import our_names, pose2sim_names
from dispose.formats.person_table import PersonTable, prediction_names, prediction_rows, with_covariances
from dispose.formats.predictions import (
    SavedPredictions,
    by_source,
    read_predictions,
    write_predictions,
)
from dispose.formats.trc import read_trc, read_trc_people, write_trc, write_trcs
from dispose.geometry.uncertainty import expected_error
from dispose.scene.frame import Detections, Poses
from dispose.scene.results import Association, Prediction
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


def rows_of(people: SavedPredictions) -> Columns:
    return prediction_rows(people.frames, len(people.cameras), len(people.skeleton))


def person_table(people: SavedPredictions) -> PersonTable:
    rows, numbers = dict(rows_of(people)), np.array([frame.number for frame in people.frames])
    return PersonTable(people.skeleton, numbers, rows["frame"], rows["id"], rows["joints"])


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
        "frames": 3,
    }
    person = first["persons"][1]
    assert list(person) == ["id", "score", "root", "joints", "members"]
    assert (len(person["joints"]), len(person["joints"][0])) == (17, 4)
    assert "NaN" not in path.read_text()


def claiming(number: int, ids: tuple[int, ...]) -> Prediction:
    """A prediction that says how uncertain joints are and how probably people are right."""
    one = prediction(number, ids)
    factor = 30 * torch.randn(len(ids), 17, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
    covariance = torch.where(one.poses.valid[..., None, None], factor @ factor.mT, 0.0)
    score = torch.linspace(0.2, 0.9, len(ids), dtype=torch.float64).round(decimals=6)
    return replace(one, poses=replace(one.poses, covariance=covariance, score=score))


def test_scores_and_expected_errors_there_and_back(tmp_path: Path) -> None:
    """The score is the pose's, the association keeps its own; of the covariance the lines know the expected error."""
    path, frames = tmp_path / "predictions.jsonl", (claiming(3, (1, 2)), claiming(4, ()), claiming(5, (7,)))
    write_predictions(path, COCO_17, CAMERAS, frames)
    person = json.loads(path.read_text().splitlines()[1])["persons"][1]
    assert list(person) == ["id", "score", "root", "joints", "members", "association", "error_mm"]
    assert (person["score"], person["association"], len(person["error_mm"])) == (0.9, 0.75, 17)
    assert [mm is None for mm in person["error_mm"]] == (~frames[0].poses.valid[1]).tolist()
    for found, was in zip(read_predictions(path).frames, frames, strict=True):
        if not len(was.association):
            continue
        assert found.poses.score is not None and found.poses.covariance is not None
        assert was.poses.score is not None and was.poses.covariance is not None
        assert_close(found.poses.score, was.poses.score)
        assert_close(found.association.confidence, was.association.confidence)
        known = was.poses.valid
        expected = expected_error(was.poses.covariance[known])
        assert_close(expected_error(found.poses.covariance[known]), expected, atol=0.06, rtol=0.02)
        assert (found.poses.covariance[~known] == 0).all()


def test_files_of_earlier_versions_claim_nothing(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    frame = read_predictions(path).frames[0]
    assert frame.poses.score is None and frame.poses.covariance is None
    assert frame.association.confidence.tolist() == [0.75, 0.75] == frame.score.tolist()


def test_the_table_gives_covariances_back(tmp_path: Path) -> None:
    path, table = tmp_path / "predictions.jsonl", tmp_path / "predictions.npz"
    frames = (claiming(3, (1, 2)), claiming(4, ()), claiming(5, (7,)))
    people = SavedPredictions(COCO_17, CAMERAS, frames)
    write_predictions(path, COCO_17, CAMERAS, frames)
    write_npz(table, [*prediction_names(COCO_17, CAMERAS), *rows_of(people)])
    with np.load(table) as arrays:
        assert arrays["score"].tolist() == pytest.approx([0.2, 0.9, 0.2])
        assert arrays["association"].tolist() == [0.75] * 3 and arrays["covariance"].dtype == np.float32
        assert np.isnan(arrays["covariance"][0][~frames[0].poses.valid[0].numpy()]).all()
    for found, was in zip(with_covariances(table, read_predictions(path)).frames, frames, strict=True):
        if len(was.association):
            assert_close(found.poses.covariance, was.poses.covariance, rtol=1e-5, atol=1e-3)
    write_npz(table, [*prediction_names(COCO_17, CAMERAS), *rows_of(replace(people, frames=frames[:1]))])
    with pytest.raises(InputError, match="other people than the predictions"):
        with_covariances(table, read_predictions(path))
    rows = [(name, value) for name, value in rows_of(people) if name != "covariance"]
    write_npz(table, [*prediction_names(COCO_17, CAMERAS), *rows])
    kept = with_covariances(table, read_predictions(path)).frames[0].poses.covariance
    assert kept is not None and bool(torch.isfinite(kept).all())


def test_members_in_files_count_source_positions() -> None:
    one = torch.ones(17, 3, dtype=torch.float64)
    found = Detections.from_lists(COCO_17, [[one, one], [one], []], index=[[2, 5], [9], []])
    members = torch.tensor([[1, 0, ABSENT], [0, ABSENT, ABSENT]])
    base = prediction(1, (1, 2))
    there = by_source(Prediction(1, Association(members, base.association.confidence), base.poses, base.root), found)
    assert there.association.members.tolist() == [[5, 9, ABSENT], [2, ABSENT, ABSENT]]


def test_npz_holds_the_same(tmp_path: Path) -> None:
    write_npz(tmp_path / "p.npz", [*prediction_names(COCO_17, CAMERAS), *rows_of(saved())])
    with np.load(tmp_path / "p.npz") as table:
        assert table["frame"].tolist() == [3, 3, 6, 6, 6]
        assert table["id"].tolist() == [1, 2, 2, 5, 1]
        assert table["joint_names"].tolist() == list(COCO_17.joints)
        last = saved().frames[2].poses
        valid = last.valid.numpy()
        np.testing.assert_allclose(table["joints"][2:, :, :3][valid], last.xyz_world.numpy()[valid])
        assert np.isnan(table["joints"][2:, :, :3][~valid]).all()
    write_npz(tmp_path / "none.npz", rows_of(SavedPredictions(COCO_17, CAMERAS, ())))
    with np.load(tmp_path / "none.npz") as table:
        assert table["joints"].shape == (0, 17, 4)


def test_trc_there_and_back(tmp_path: Path) -> None:
    paths = write_trcs(tmp_path, "walk", person_table(saved()), 60.0)
    frames = saved().frames
    assert [p.name for p in paths] == ["walk_P1.trc", "walk_P2.trc", "walk_P5.trc"]
    for person, path in zip((1, 2, 5), paths, strict=True):
        found = read_trc(path)
        expected = torch.full((len(frames), len(COCO_17), 3), torch.nan, dtype=torch.float64)
        for row, poses in enumerate(frame.poses for frame in frames):
            mine = (poses.id == person)[:, None] & poses.valid
            expected[row, mine.any(0)] = poses.xyz_world[mine]
        # From a person's first frame to their last: 1 and 2 are away in the middle one, 5 is in the last one only.
        rows = slice(2, 3) if person == 5 else slice(0, 3)
        assert (found.names, found.rate_hz) == (pose2sim_names(COCO_17), 60.0)
        assert found.numbers.tolist() == [frame.number for frame in frames][rows]
        assert_close(found.xyz_world, expected[rows], atol=1e-3, rtol=0, equal_nan=True)
    assert read_trc_people(paths).skeleton == COCO_17
    header = paths[0].read_text().splitlines()
    assert header[2].split("\t") == ["60", "60", "3", "17", "m", "60", "3", "3"]
    assert {line.count("\t") for line in header[4:]} == {2 + 3 * 17} and all(line.endswith("\t") for line in header[4:])
    (ours, *_) = write_trcs(tmp_path, "ours", person_table(saved()), 60.0, our_names)
    assert read_trc(ours).names == COCO_17.joints and read_trc_people([ours]).skeleton == COCO_17


def test_trc_is_y_up_metres(tmp_path: Path) -> None:
    up = torch.tensor([[[100.0, 200.0, 1700.0]]], dtype=torch.float64)
    write_trc(tmp_path / "t.trc", ("head",), [1], [up], 30.0)
    assert (tmp_path / "t.trc").read_text().splitlines()[5].split("\t")[2:-1] == ["0.200000", "1.700000", "0.100000"]


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
    path.write_text(text[: text.rindex("\n", 0, -1) + 1])
    with pytest.raises(InputError, match=r"predictions\.jsonl: line 1 announces 3 frames, and 2 follow"):
        read_predictions(path)
    path.write_text(text.replace("predictions/1", "predictions/9"))
    with pytest.raises(InputError, match=r"schema is 'dispose\.predictions/9'"):
        read_predictions(path)
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        read_predictions(path)


def header(change: Callable[[dict], None]) -> Callable[[list[dict]], None]:
    return lambda records: change(records[0])


def one(change: Callable[[dict], None]) -> Callable[[list[dict]], None]:
    """A change of the first person of the first frame with two."""
    return lambda records: change(next(r for r in records[1:] if len(r["persons"]) > 1)["persons"][1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (header(lambda h: h.update(units="cm")), "units are 'cm'"),
        (
            header(lambda h: h.update(joints=["nose"] * 17)),
            "line 1: joints: 1: a joint is called 'nose', as one before",
        ),
        (header(lambda h: h.update(joints=[])), "line 1: joints: there is none"),
        (
            header(lambda h: h.update(cameras=["a", "a"])),
            "line 1: cameras: 1: a camera is called 'a', as one before it",
        ),
        (lambda records: records.append(records[-1]), r"line 5: frame \d+ is there already, in line 4"),
        (lambda records: records[1].update(frame=1.5), "line 2: frame: a whole number is expected, not 1.5"),
        (lambda records: records[1].update(frame=10**40), "line 2: frame: a whole number of at most 18 digits"),
        (
            one(lambda p: p.update(id=-1)),
            r"\(frame \d+\): persons: 1: id: a whole number from 0 on is expected, not -1",
        ),
        (one(lambda p: p.update(id=10**40)), "persons: 1: id: a whole number of at most 18 digits"),
        (one(lambda p: p["members"].update(a=-1)), "persons: 1: members: a: a whole number from 0 on"),
        (one(lambda p: p["members"].update(a=0.5)), "persons: 1: members: a: a whole number is expected, not 0.5"),
        (one(lambda p: p["joints"][0].__setitem__(0, "4")), "persons: 1: joints: numbers are expected, not "),
        (
            one(lambda p: p["joints"][0].__setitem__(3, 1.2)),
            r"persons: 1: joints: 0 is \[.*, 1.2\]; x, y, z in mm and a",
        ),
        (
            one(lambda p: p["joints"][0].__setitem__(3, -0.2)),
            r"persons: 1: joints: 0 is \[.*, -0.2\]; x, y, z in mm and",
        ),
        (one(lambda p: p["joints"][0].__setitem__(0, 10**400)), "persons: 1: joints: numbers are expected, not "),
        (lambda records: [p.update(id=7) for r in records[1:] for p in r["persons"]], "id: is 7, as that of person 0"),
    ],
)
def test_values_that_cannot_be_are_named_with_line_and_frame(
    tmp_path: Path, change: Callable[[list[dict]], None], message: str
) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    change(records)
    path.write_text("\n".join(json.dumps(record) for record in records))
    with pytest.raises(InputError, match=message) as caught:
        read_predictions(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_cut_at_any_byte_opens_or_says_where(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    content = path.read_bytes()
    for length in range(0, len(content), 41):
        path.write_bytes(content[:length])
        line = content[:length].count(b"\n") + 1
        try:
            assert len(read_predictions(path).frames) == 3
        except InputError as error:
            ended = content[:length].endswith(b"\n")
            whole = ended or content[:length].endswith(b"}]}")
            lost = f"line 1 announces 3 frames, and {line - 2 + (not ended)} follow"
            assert (lost if whole and line > 1 else f"line {line}") in str(error) or "is empty" in str(error)


def test_lines_end_where_json_lines_end(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, ("a\u2028b", "b", "c"), saved().frames)
    text = path.read_text().replace("\\u2028", "\u2028")
    path.write_text(text.replace("\n", "\n\n"))
    assert read_predictions(path).cameras[0] == "a\u2028b"
    path.write_text(text.replace("\n", "\n\n") + "{")
    with pytest.raises(InputError, match=r"line 9: breaks off at column 2"):
        read_predictions(path)


def test_what_is_infinite_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, CAMERAS, saved().frames)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    person = records[1]["persons"][0]
    person["joints"][0], person["joints"][1][3], person["root"] = [math.inf, 0, 0, 1], math.inf, [math.inf, 0, 0]
    path.write_text("\n".join(json.dumps(record) for record in records))
    frame = read_predictions(path).frames[0]
    assert not bool(frame.poses.valid[0, 0]) and bool(frame.root[0].isnan().all())
    assert float(frame.poses.confidence.max()) <= 1


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
