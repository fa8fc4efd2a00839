"""Labels of whole recordings: right, the same after a kill, and with no path to any truth."""

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dispose.preparation.labels
from dispose.errors import InputError
from dispose.formats.pseudo_labels import read_pseudo_labels
from dispose.inference.readings import Reading, Source
from dispose.metrics.association import PairCounts, count_pairs
from dispose.preparation import labels as making
from dispose.preparation import recordings
from dispose.preparation.labels import LabelSettings, label_frames, read_frames
from dispose.preparation.recordings import UnlabelledRecording, prepare
from dispose.scene.frame import Frame, Labels
from dispose.tensors import ABSENT
from tests.preparation.people import sequence

SETTINGS = LabelSettings(rate_hz=25.0)


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Frame, Labels]]:
    return sequence()


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "BLOCK", 3)


class Closed(Reading):
    """A reading whose truth ends the test when anybody looks at it."""

    def __getattribute__(self, name: str):
        if name == "labels":
            raise AssertionError("somebody who makes labels looked at the truth")
        return super().__getattribute__(name)


def recording(name: str, scenes: list[tuple[Frame, Labels]]) -> UnlabelledRecording:
    known = {frame.number: Closed(frame, truth) for frame, truth in scenes}
    return UnlabelledRecording(name, scenes[0][0].cameras.names, Source(tuple(known), known.get), SETTINGS)


def test_labels_of_a_simple_room_are_right(scenes) -> None:
    made = label_frames("room", [frame for frame, _ in scenes], SETTINGS)
    counts = PairCounts()
    for prediction, (_, truth) in zip(made.predictions, scenes, strict=True):
        counts += count_pairs(prediction.association, truth.identity)
    assert counts.f1 > 0.97
    assert counts.exact_rate > 0.9
    for one, prediction, frame in zip(made.labels, made.predictions, made.frames, strict=True):
        there = prediction.association.members != ABSENT
        assert (there >= one.labels.visible.any(-1).T).all()
        seen = int(one.labels.visible.any(-1).sum()) + int(one.labels.unmatched.valid.sum())
        assert seen == int((frame.detections.valid & frame.detections.visible.any(-1)).sum())
    numbers = {number for one in made.labels for number in one.labels.poses.id.tolist()}
    assert len(numbers) < 6


def test_nothing_that_makes_labels_has_a_path_to_a_truth(scenes, tmp_path: Path) -> None:
    prepare(tmp_path / "a.npz", [recording("a", scenes)], [])
    assert len(read_pseudo_labels(tmp_path / "a.npz")) == len(scenes)
    folder = Path(dispose.preparation.labels.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text())
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        wrong = [
            one for one in modules if one.startswith(("dispose.metrics", "dispose.datasets", "dispose.evaluation"))
        ]
        assert not wrong, f"{path.name} imports {wrong}"
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert "identity" not in words, f"{path.name} looks at identities"


def killed_after(calls: int, function):
    """The function, until so many calls: then the process ends."""
    made = iter(range(calls))

    def call(*arguments, **options):
        if next(made, None) is None:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    return call


def killed_at_every_block(monkeypatch: pytest.MonkeyPatch, run) -> Iterator[int]:
    for blocks in (0, 1, 2):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(making, "group_block", killed_after(blocks, making.group_block))
            run()
        yield blocks


def test_a_killed_run_goes_on_and_gives_the_same_bytes(scenes, tmp_path: Path, monkeypatch) -> None:
    both = [recording("a", scenes), recording("b", scenes[:6])]
    prepare(tmp_path / "whole.npz", both, [("why", "test")])
    for _ in killed_at_every_block(monkeypatch, lambda: prepare(tmp_path / "cut.npz", both, [("why", "test")])):
        assert not (tmp_path / "cut.npz").exists()
    asked: list[int] = []
    group = making.group_block
    monkeypatch.setattr(making, "group_block", lambda *given: asked.append(1) or group(*given))
    done = prepare(tmp_path / "cut.npz", both, [("why", "test")])
    assert (tmp_path / "cut.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert len(asked) == 3, "finished blocks are not made again"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cut.npz", "cut.report.json", "whole.npz", "whole.report.json"
    ]  # fmt: skip
    assert "a: 12 frames" in done.text and "b: 6 frames" in done.text
    report = json.loads(done.report.read_text())
    assert [one["name"] for one in report["sequences"]] == ["a", "b"]


def test_the_header_says_what_made_them_and_other_detections_begin_anew(scenes, tmp_path: Path, monkeypatch) -> None:
    for _ in killed_at_every_block(
        monkeypatch, lambda: prepare(tmp_path / "a.npz", [recording("a", scenes[:9])], [("x", "1")])
    ):
        break
    prepare(tmp_path / "a.npz", [recording("a", scenes)], [("x", "1")])
    with np.load(tmp_path / "a.npz") as file:
        source = json.loads(json.loads(file["header"].tobytes())["source"])
    assert source["made by"] == {"x": "1"}
    assert source["detections"] == {"a": read_frames("a", recording("a", scenes).source, 1).digest}


def test_recordings_of_other_cameras_or_of_one_name_are_refused(scenes, tmp_path: Path) -> None:
    one = recording("a", scenes)
    with pytest.raises(InputError, match="two recordings are called 'a'"):
        prepare(tmp_path / "a.npz", [one, one], [])
    with pytest.raises(InputError, match="files of their own"):
        prepare(tmp_path / "a.npz", [one, replace(one, name="b", cameras=("x", "y"))], [])
    with pytest.raises(InputError, match="no such camera"):
        recordings.renamed_cameras("here", ["a"], [("b", "c")])
