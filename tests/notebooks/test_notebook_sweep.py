"""Laws of sweeps: checked before anything runs, a failure stops nobody, what is finished is not run again."""

import csv
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from dispose.cli import notebook
from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.folders import lock_folder
from dispose_workbench.notebooks import run
from dispose_workbench.notebooks.sweep import (
    SweepOutcome,
    SweepRun,
    claim_sweep,
    is_done,
    outcome_of,
    plan,
    side_by_side,
    sweep,
    text_table,
    write_summary,
)
from dispose_workbench.results.run_folders import DONE, RunRecord, read_run_folders, write_record

SETTINGS = """from pathlib import Path
rate: float = 0.1  # how fast
seed: int = 0  # of everything random
where: Path = Path(".")  # some file
many: list[Path] = []  # some folders"""
WORK = """import json
assert seed != 13, "unlucky"
Path("metrics.json").write_text(json.dumps({"loss": rate * seed}))"""


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny notebook that `dispose notebook` finds."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    cells: list[Any] = [nbformat.v4.new_code_cell(SETTINGS), nbformat.v4.new_code_cell(WORK)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "tiny.ipynb")
    monkeypatch.setattr(run, "NOTEBOOKS", folder)
    return folder / "tiny.ipynb"


def test_the_plan_is_the_product_of_the_values_in_their_types(book: Path) -> None:
    runs = plan(book, [("rate", "1e-3,3e-4"), ("seed", "1, 2")])
    assert [run.swept for run in runs] == [
        (("rate", rate), ("seed", seed)) for rate in (1e-3, 3e-4) for seed in (1, 2)
    ]  # fmt: skip
    assert [run.name for run in runs][:2] == ["rate=0.001_seed=1", "rate=0.001_seed=2"]
    assert dict(runs[0].parameters) == {"rate": 1e-3, "seed": 1, "where": 'Path(".")', "many": "[]"}


def test_names_of_folders_are_names_and_tell_values_apart(book: Path) -> None:
    runs = plan(book, [("where", "a/same,b/same,/etc/x y")])
    assert len({run.name for run in runs}) == 3 and all("/" not in run.name and " " not in run.name for run in runs)
    (one,) = plan(book, [("many", "a,b")])
    assert [Path(path).name for path in dict(one.swept)["many"]] == ["a", "b"], "its commas are its own"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ([("rate", "1,x")], "'rate' must be of type float, got 'x'"),
        ([("ratee", "1")], "no parameter 'ratee'"),
        ([("rate", "1,")], "one is missing"),
        ([("rate", "0.1,1e-1")], "twice"),
        ([("seed", "1"), ("seed", "2")], "twice"),
    ],
)
def test_everything_is_checked_before_anything_runs(book: Path, choices, words: str, tmp_path) -> None:
    with pytest.raises(InputError, match=words):
        plan(book, choices)
    options = [word for name, text in choices for word in ("-p", name, text)]
    assert main(["notebook", "sweep", "tiny", *options, "--out", str(tmp_path / "sweep")]) == 2
    assert not (tmp_path / "sweep").exists()


def test_runs_side_by_side_with_a_failure_and_again(book: Path, tmp_path, capsys) -> None:
    folder = tmp_path / "sweep"
    words = ["notebook", "sweep", "tiny", "-p", "rate", "0.5", "-p", "seed", "1,13", "--out", str(folder)]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert "2 of 2" in said and "tiny: cell 2 of 2 [3] failed with AssertionError: unlucky" in said
    rows = json.loads((folder / "summary.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert rows[0]["parameters"] == {"rate": 0.5, "seed": 1} and rows[0]["metrics"] == {"loss": 0.5}
    with (folder / "summary.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["loss"] for row in table] == ["0.5", ""] and "unlucky" in table[1]["message"]
    found, sentences = read_run_folders([folder])
    assert [run.name for run in found] == ["rate=0.5_seed=1"] and "unlucky" in sentences[0]
    before = (folder / "rate=0.5_seed=1" / "run.json").stat().st_mtime_ns
    ran: list[str] = []

    def launch(notebook: Path, place: Path, runs: Sequence[SweepRun]) -> Iterator[SweepRun]:
        ran.extend(run.name for run in runs)
        yield from side_by_side(notebook, place, (), jobs=1)

    list(sweep(book, plan(book, [("rate", "0.5"), ("seed", "1,13,2")]), folder, launch))
    assert ran == ["rate=0.5_seed=13", "rate=0.5_seed=2"], "what failed and what is new, not what is finished"
    assert (folder / "rate=0.5_seed=1" / "run.json").stat().st_mtime_ns == before


def test_the_table_keeps_what_an_earlier_part_of_the_sweep_has_finished(book: Path, tmp_path, capsys) -> None:
    words = ["notebook", "sweep", "tiny", "--out", str(tmp_path / "sweep"), "-p", "seed"]
    assert main([*words, "1,13"]) == 1
    assert main([*words, "2"]) == 0
    rows = json.loads((tmp_path / "sweep" / "summary.json").read_text())["rows"]
    assert [(row["parameters"], row["metrics"]) for row in rows] == [
        ({"seed": seed}, {"loss": 0.1 * seed}) for seed in (1, 2)
    ]
    (tmp_path / "sweep" / "summary.json").write_text("[]")
    assert main([*words, "3"]) == 0
    rows = json.loads((tmp_path / "sweep" / "summary.json").read_text())["rows"]
    assert [row["run"] for row in rows] == ["seed=1", "seed=2", "seed=3"], "the table is made of the runs' folders"
    (tmp_path / "sweep" / "seed=1" / "run.json").write_text("[]")
    assert main([*words, "4"]) == 2 and "is no record of a run" in capsys.readouterr().err
    assert not (tmp_path / "sweep" / "seed=4").exists()


def test_a_sweep_that_is_stopped_says_how_far_it_is(book: Path, tmp_path, capsys, monkeypatch) -> None:
    folder = tmp_path / "sweep"

    def stopped(notebook: Path, place: Path, runs: Sequence[SweepRun], *, jobs: int) -> Iterator[SweepRun]:
        yield from side_by_side(notebook, place, runs[:1], jobs=jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook, "side_by_side", stopped)
    assert main(["notebook", "sweep", "tiny", "-p", "seed", "1,2", "--out", str(folder)]) == 130
    assert "1 of 2 runs have ended; the same command goes on" in capsys.readouterr().out
    rows = json.loads((folder / "summary.json").read_text())["rows"]
    assert [row["status"] for row in rows] == ["done", "failed"] and "stopped" in rows[1]["message"]


def test_a_run_that_outlived_its_sweep_is_waited_for_and_taken_over(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, (first, second) = tmp_path / "sweep", plan(book, [("seed", "1,2")])
    folder.mkdir()
    monkeypatch.setattr("dispose_workbench.notebooks.sweep.run_command", lambda *_: [sys.executable, "-c", ""])
    with lock_folder(folder / first.name):
        ended = side_by_side(book, folder, (first, second), jobs=1)
        assert next(ended) == second and "seed=1: still runs" in capsys.readouterr().out
        (folder / first.name).mkdir()
        record = RunRecord("tiny", DONE, "", first.parameters, ("seed",), 1.0, "2026-01-01", "", ())
        write_record(folder / first.name, record)
    assert list(ended) == [first]
    assert [path.name for path in folder.glob("*.log")] == ["seed=2.log"], "nobody starts it again"


def test_a_run_that_another_process_was_faster_to_begin_is_waited_for(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = plan(book, [("seed", "1")])
    held, started = iter([False, False, True, True, False, False]), list[str]()

    def command(*_: object) -> list[str]:
        started.append("")
        return [sys.executable, "-c", ""]

    monkeypatch.setattr("dispose_workbench.notebooks.sweep.is_being_run", lambda *_: next(held))
    monkeypatch.setattr("dispose_workbench.notebooks.sweep.run_command", command)
    assert list(side_by_side(book, tmp_path, (run,), jobs=1)) == [run]
    assert len(started) == 2 and not list(held), "what the other one has not done is done again"


@pytest.mark.slow
def test_a_sweep_killed_at_random_is_finished_by_the_same_command(book: Path, tmp_path: Path, capsys) -> None:
    """Its processes go on alone, some are just beginning: nothing is done twice, and nothing is left out."""

    def command(folder: Path) -> list[str]:
        words = ["notebook", "sweep", str(book), "-p", "seed", "1,2,3", "--out", str(folder)]
        return [sys.executable, "-m", "dispose.cli.main", *words]

    def rows(folder: Path) -> list[object]:
        return [{**row, "seconds": 0} for row in json.loads((folder / "summary.json").read_text())["rows"]]

    started = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    seconds, draw = time.monotonic() - started, random.Random(15)
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        with subprocess.Popen(command(folder), stdout=subprocess.DEVNULL) as running:
            time.sleep(draw.uniform(0, seconds))
            running.kill()
        done = subprocess.run(command(folder), check=False, capture_output=True, text=True)
        assert done.returncode == 0, (attempt, done.stdout, done.stderr)
        assert rows(folder) == rows(tmp_path / "whole"), attempt
        assert not [path for path in folder.iterdir() if path.name.startswith(".")], attempt
    with capsys.disabled():
        print(f"\nnotebook sweep: killed at 20 random moments of {seconds:.1f} s")


def test_a_folder_of_something_else_is_refused(book: Path, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(InputError, match="no folder of a sweep"):
        claim_sweep(tmp_path / "mine", book)
    claim_sweep(tmp_path / "sweep", book)
    claim_sweep(tmp_path / "sweep", book)
    with pytest.raises(InputError, match="another notebook"):
        claim_sweep(tmp_path / "sweep", tmp_path / "other.ipynb")
    (run,) = plan(book, [("seed", "1")])
    (tmp_path / "sweep" / run.name).mkdir()
    with pytest.raises(InputError, match="something else"):
        is_done(tmp_path / "sweep", run)


def test_a_run_without_a_trace_is_said(book: Path, tmp_path) -> None:
    (run,) = plan(book, [("seed", "1")])
    outcome = outcome_of(tmp_path, run, 0.0)
    assert "without a trace" in outcome.message and "seed=1.log" in outcome.message
    write_summary(tmp_path, book, [outcome])
    assert json.loads((tmp_path / "summary.json").read_text())["rows"][0]["seconds"] is None


def test_the_table_shows_the_first_figures_and_names_the_rest(book: Path) -> None:
    runs = plan(book, [("seed", "1,2")])
    figures = tuple((f"figure{i}", float(i)) for i in range(8))
    lines = text_table(
        [
            SweepOutcome(runs[0].name, runs[0].swept, figures, 3.0),
            SweepOutcome(runs[1].name, runs[1].swept, (), 1.0, "bad\nsource"),
        ]
    ).splitlines()
    assert len({len(line.removesuffix("  bad")) for line in lines[:3]}) == 1 and lines[2].endswith("  bad")
    assert "figure5" in lines[0] and "figure6" not in lines[0] and lines[3].startswith("2 more figures")


@pytest.mark.slow
def test_submitit_runs_the_same_jobs(book: Path, tmp_path, capsys) -> None:
    pytest.importorskip("submitit", reason="the extra `cluster` is not installed")
    words = ["notebook", "sweep", "tiny", "-p", "seed", "3", "--cluster", "local", "--out", str(tmp_path / "sweep")]
    assert main(words) == 0
    assert json.loads((tmp_path / "sweep" / "summary.json").read_text())["rows"][0]["metrics"] == {"loss": 0.1 * 3}
