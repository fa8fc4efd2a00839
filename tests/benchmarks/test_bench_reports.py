"""A measurement in a process of its own, and the file that figures go to."""

import json
import math
import os
import time
from pathlib import Path

import pytest

import dispose.cli.main as cli
from dispose.datasets.samples import sample_folder
from dispose.errors import DisposeError
from dispose_benchmarks.report import apart, write_figures


def end_abruptly() -> None:
    os._exit(3)


def test_a_measurement_runs_in_another_process():
    assert apart("a bench", None, os.getpid) != os.getpid()


@pytest.mark.parametrize(
    ("seconds", "work", "arguments", "sentence"),
    [
        (None, math.sqrt, (-1.0,), "a bench failed: ValueError: math domain error"),
        (None, end_abruptly, (), "a bench failed: exit status 3"),
        (1.0, time.sleep, (60.0,), "a bench took longer than 1 s"),
    ],
)
def test_what_goes_wrong_there_is_said_here(seconds, work, arguments, sentence):
    with pytest.raises(DisposeError, match=sentence):
        apart("a bench", seconds, work, *arguments)


def test_what_was_not_run_is_null(tmp_path: Path):
    write_figures(
        tmp_path / "deep" / "bench.json", "dispose.some/1", {"rows": [{"seconds": math.nan}, {"parts": (1, 2)}]}
    )
    content = json.loads((tmp_path / "deep" / "bench.json").read_text())
    assert (content["schema"], content["rows"]) == ("dispose.some/1", [{"seconds": None}, {"parts": [1, 2]}])
    assert {"commit", "command", "versions"} <= set(content)


def test_every_cell_of_the_association_bench_reaches_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "bench.json"
    few = ("--views", "2", "--persons", "2", "--batch", "2", "--repeats", "1")
    assert cli.main(["bench", "association", *few, "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["views"], row["persons"], row["batch"]) == (2, 2, 2) and row["seconds"] > 0 < row["plain_seconds"]
    assert "wrote" in capsys.readouterr().out


def test_drawn_images_are_counted(tmp_path: Path):
    out = tmp_path / "bench.json"
    assert cli.main(["bench", "rendering", "--frames", "1", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert 3 <= content["images"] <= 7 and content["images_per_second"] > 0


def test_every_part_of_the_whole_way_is_timed(tmp_path: Path):
    out = tmp_path / "bench.json"
    few = ("--frames", "3", "--batch", "2", "--evidence", "--out", str(out))
    assert cli.main(["bench", "run", str(sample_folder("crossing")), *few]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert (row["capture"], row["views"], row["frames"], row["evidence"]) == ("crossing", 5, 3, True)
    parts = {"read", "associate", "reconstruct", "second opinion", "link", "write", "other"}
    assert set(row["parts"]) == set(row["processor_parts"]) == parts
    # Reading is done ahead, by another thread.
    elapsed = sum(row["parts"].values()) - row["parts"]["read"]
    assert row["people"] > 3 and 1e3 / row["frames_per_second"] == pytest.approx(elapsed, rel=0.05)


def test_a_bench_without_tables_says_what_it_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["bench", "run", "--data", str(tmp_path), "--out", str(tmp_path / "bench.json")]) == 2
    assert "there is no folder shelf in it" in capsys.readouterr().err


def test_training_says_what_it_waits_for_its_loader(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("lightning", reason="training needs Lightning")
    out = tmp_path / "bench.json"
    few = ("--recipe", "toy_smoke", "--steps", "3", "--shards", "1", "--workers", "1")
    assert cli.main(["bench", "training", *few, "--out", str(out)]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert row["steps"] == 3 and row["milliseconds"] > 0 and 0 <= row["waiting"] < 1
    assert "waiting for the loader" in capsys.readouterr().out
