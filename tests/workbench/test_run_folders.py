"""Laws of run folders: what was written comes back, and what is not whole is said and left out."""

import json
import math
from pathlib import Path

import pytest

from dispose.errors import InputError
from dispose_workbench.results.run_folders import (
    RunRecord,
    read_metrics,
    read_record,
    read_run_folder,
    read_run_folders,
    write_record,
)

RECORD = RunRecord(
    "evaluate", "done", "", (("count", 3), ("where", "a/b"), ("runs", ["a", "b"])), ("count",), 1.5,
    "2026-01-02T03:04:05+00:00", "abc+", (("python", "3.11"),),
)  # fmt: skip


def notebook_run(folder: Path, status: str = "done", message: str = "", metrics: str = '{"f1": 0.5}') -> Path:
    folder.mkdir(parents=True)
    write_record(folder, RunRecord(**{**vars(RECORD), "status": status, "message": message}))
    if metrics:
        (folder / "metrics.json").write_text(metrics)
    return folder


def training(folder: Path) -> Path:
    (folder / "pose" / "csv").mkdir(parents=True)
    (folder / "recipe.json").write_text('{"rate": 0.1, "model": {"chans": 8}, "rigs": [1, 2]}')
    (folder / "pose" / "csv" / "metrics.csv").write_text("step,loss\n1,2.0\n")
    return folder


def test_a_record_comes_back_as_it_was(tmp_path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path / "run.json") == RECORD


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other"}', '{"schema": "dispose.run/1"}'])
def test_what_is_no_record_is_named(text: str, tmp_path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=r"run\.json"):
        read_record(tmp_path / "run.json")


def test_figures_are_the_finite_numbers_however_deep(tmp_path) -> None:
    path, listed = tmp_path / "metrics.json", (("l · 1", 4.0), ("l · 2", 5.0))
    path.write_text(
        '{"a": 1, "ours": {"f1": 0.5, "deep": {"x": 2}}, "t": "x", "n": null, "b": true, "l": [4, 5], "i": NaN}'
    )
    assert read_metrics(path) == (("a", 1.0), ("ours · f1", 0.5), ("ours · deep · x", 2.0), *listed)


def test_both_kinds_of_runs_are_read(tmp_path) -> None:
    run = read_run_folder(notebook_run(tmp_path / "one"))
    assert run.name == "one" and run.metric("f1") == 0.5 and math.isnan(run.metric("other"))
    assert run.parameters == RECORD.parameters and run.logs == ()
    trained = read_run_folder(training(tmp_path / "two"))
    assert trained.parameters == (("rate", 0.1), ("model.chans", 8)) and trained.metrics == ()
    assert trained.logs == (("pose", tmp_path / "two" / "pose" / "csv" / "metrics.csv"),)


def test_what_cannot_be_compared_is_said_and_the_rest_is_compared(tmp_path) -> None:
    notebook_run(tmp_path / "good")
    notebook_run(tmp_path / "failed", "failed", "cell 3 of 4 failed\n    source")
    notebook_run(tmp_path / "figureless", metrics="")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "a.ipynb").write_text("{}")
    (tmp_path / ".killed.running-x1").mkdir()
    (tmp_path / "silent").mkdir()
    (tmp_path / "silent" / "recipe.json").write_text("{}")
    (tmp_path / "stranger").mkdir()
    training(tmp_path / "training")
    runs, sentences = read_run_folders([tmp_path, tmp_path / "nowhere"])
    assert [run.name for run in runs] == ["good", "training"]
    said = {Path(sentence.partition(": ")[0]).name: sentence.partition(": ")[2] for sentence in sentences}
    wanted = {
        "failed": "cell 3 of 4 failed", "figureless": "no figures", "half": "half written", "nowhere": "no such folder",
        ".killed.running-x1": "killed", "silent": "not logged anything yet", "stranger": "no run's folder",
    }  # fmt: skip
    assert set(said) == set(wanted) and all(words in said[name] for name, words in wanted.items())


def test_nothing_to_compare_is_an_error_that_says_why(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere: there is no such folder"):
        read_run_folders([tmp_path / "nowhere"])


def test_a_file_is_not_called_a_folder_that_is_missing(tmp_path) -> None:
    path = notebook_run(tmp_path / "run") / "metrics.json"
    for read in (read_run_folder, lambda file: read_run_folders([file])):
        with pytest.raises(InputError, match=r"metrics\.json: is a file; a run is given as the folder"):
            read(path)


@pytest.mark.parametrize("names", [("predictions.jsonl",), ("evidence.npz",), ("predictions.jsonl", "evidence.npz")])
@pytest.mark.parametrize("given", ["method", "."])
def test_saved_results_are_sent_to_inspect(names: tuple[str, ...], given: str, tmp_path) -> None:
    notebook_run(tmp_path / "run")
    saved = tmp_path / "results" / "method"
    (saved / "trc").mkdir(parents=True)
    for name in names:
        (saved / name).write_bytes(b"")
    runs, sentences = read_run_folders([tmp_path / "run", tmp_path / "results" / given])
    assert [run.name for run in runs] == ["run"]
    assert len(sentences) == 1 and sentences[0].startswith(f"{saved}: ") and "`dispose inspect`" in sentences[0]


def test_runs_inside_a_folder_of_results_are_compared(tmp_path) -> None:
    (tmp_path / "predictions.jsonl").write_bytes(b"")
    (tmp_path / "trc").mkdir()
    notebook_run(tmp_path / "lesson")
    runs, sentences = read_run_folders([tmp_path])
    assert [run.name for run in runs] == ["lesson"] and sentences == ()


def test_runs_of_the_same_name_are_told_apart(tmp_path) -> None:
    folders = [notebook_run(tmp_path / above / "run") for above in ("a", "b")]
    runs, _ = read_run_folders([*folders, notebook_run(tmp_path / "c")])
    assert [run.name for run in runs] == ["a/run", "b/run", "c"]
    deeper = [notebook_run(tmp_path / day / "sweep" / "run") for day in ("monday", "tuesday")]
    runs, _ = read_run_folders(deeper)
    assert [run.name for run in runs] == ["monday/sweep/run", "tuesday/sweep/run"]


def test_a_folder_that_is_named_twice_is_one_run(tmp_path) -> None:
    folder = notebook_run(tmp_path / "sweep" / "run")
    runs, _ = read_run_folders([folder, folder.parent, folder / ".." / "run"])
    assert [run.name for run in runs] == ["run"]


def test_a_training_writes_a_folder_that_can_be_compared(tmp_path) -> None:
    from dispose_workbench.toy import ToyTraining, write_toy_run

    run = read_run_folder(write_toy_run(tmp_path / "toy", ToyTraining(steps=3, batch=2)))
    assert {name for name, _ in run.metrics} == {"people_right_%", "scenes_right_%"}
    rows = [json.loads(line) for line in run.logs[0][1].read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3] and all(row["toy/loss"] > 0 for row in rows)
