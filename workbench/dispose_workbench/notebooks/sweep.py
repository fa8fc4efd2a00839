"""Many runs of one notebook: every combination of some values, each in a folder of its own, and a table of all."""

import csv
import hashlib
import io
import itertools
import json
import math
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.files import parse_json, read_text, replacing
from dispose_workbench.notebooks.job import job_command
from dispose_workbench.notebooks.run import PATHS, all_values, checked_values, parameters_of
from dispose_workbench.results.run_folders import (
    DONE,
    METRICS,
    RECORD,
    Parameters,
    RunRecord,
    Value,
    read_metrics,
    read_record,
)

SCHEMA = "dispose.sweep/1"
MARK = "sweep.json"
SUMMARY = "summary.json"
LONGEST_NAME = 40
COLUMNS = 6
CLUSTER = "cluster"
"""Where submitit keeps what its jobs print."""
NOT_REACHED = "it has not ended: the sweep was stopped"


@dataclass(frozen=True)
class Planned:
    """One combination of values.

    Attributes:
        name: of its folder, made of the values.
        given: the values as text, for the command line of the run.
        swept: the same in their types.
        parameters: all parameters of the run.
    """

    name: str
    given: tuple[tuple[str, str], ...]
    swept: Parameters
    parameters: Parameters


@dataclass(frozen=True)
class SweepRun:
    """How a planned run ended: its figures, or why it has none; `seconds` is NaN where nothing ran."""

    run: Planned
    metrics: tuple[tuple[str, float], ...]
    seconds: float
    message: str


Launch = Callable[[Path, Path, Sequence[Planned]], Iterator[Planned]]
"""Runs of a notebook in a sweep's folder, started and handed back in the order in which they end, however they end."""


def plan(notebook: Path, choices: Sequence[tuple[str, str]]) -> tuple[Planned, ...]:
    """All combinations of the values, which stand behind each other with commas; all of them checked.

    A parameter that is a list of paths cannot be swept: its commas are those of the one value.

    Raises:
        InputError: an unknown or repeated name, a value that is not of the declared type, missing or given twice.
    """
    declared = parameters_of(notebook)
    checked_values(declared, [(name, text.split(",")[0]) for name, text in choices], Path.cwd())
    kinds = {parameter.name: parameter.kind for parameter in declared}
    axes = [[(name, text)] if kinds[name] == PATHS else _axis(name, text) for name, text in choices]
    runs = []
    for given in itertools.product(*axes):
        values = checked_values(declared, given, Path.cwd())
        name = "_".join(f"{key}={_safe(value, kinds[key])}" for key, value in values) or "defaults"
        runs.append(Planned(name, given, tuple(values), all_values(declared, values)))
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"the sweep has {twice[0]} twice; every value is given once")
    return tuple(runs)


def _axis(name: str, text: str) -> list[tuple[str, str]]:
    values = [word.strip() for word in text.split(",")]
    if not all(values):
        raise InputError(f"the values of {name!r} are {text!r}; one is missing between the commas")
    return [(name, value) for value in values]


def _safe(value: Value, kind: str) -> str:
    """The value as part of a file name; what had to be changed for that is told apart by a short digest."""
    text = str(value)
    short = re.sub(r"[^\w.+-]+", "-", Path(text).name if kind == "Path" else text)[:LONGEST_NAME]
    return short if short == text else f"{short}-{hashlib.sha1(text.encode()).hexdigest()[:6]}"


def claim_sweep(folder: Path, notebook: Path) -> None:
    """Make the folder of a sweep, or find the one of an earlier part of it.

    Raises:
        InputError: the folder holds something else.
    """
    mark = folder / MARK
    if folder.exists() and not mark.is_file() and any(folder.iterdir()):
        raise InputError(f"{folder} exists and is no folder of a sweep; name another with --out")
    if mark.is_file():
        content = parse_json(read_text(mark), str(mark))
        if content != {"schema": SCHEMA, "notebook": notebook.stem}:
            raise InputError(f"{folder}: holds a sweep of another notebook ({MARK}); name another with --out")
        return
    with replacing(mark) as file:
        json.dump({"schema": SCHEMA, "notebook": notebook.stem}, file)


def finished(folder: Path, run: Planned) -> bool:
    """Whether this run lies in the sweep's folder already.

    Raises:
        InputError: a folder of its name is there and holds something else.
    """
    place = folder / run.name
    if not place.exists():
        return False
    record = read_record(place / RECORD) if (place / RECORD).is_file() else None
    if record is None or record.status != DONE or dict(record.parameters) != dict(run.parameters):
        raise InputError(
            f"{place} holds something else than this run (its other parameters differ, say); "
            "remove it or name another folder with --out"
        )
    return True


def outcome_of(folder: Path, run: Planned, since: float) -> SweepRun:
    """What a run that has ended left in the sweep's folder; a failure counts if it is not older than `since`."""
    place = folder / run.name
    if (place / RECORD).is_file():
        record = read_record(place / RECORD)
        metrics = read_metrics(place / METRICS) if (place / METRICS).is_file() else ()
        return SweepRun(run, metrics, record.seconds, "")
    failures = [record for record in _failures(folder, run) if record[0] >= since]
    if failures:
        record = max(failures, key=lambda pair: pair[0])[1]
        return SweepRun(run, (), record.seconds, record.message or "it failed")
    log = folder / f"{run.name}.log"
    where = folder / CLUSTER if (folder / CLUSTER).is_dir() and not log.exists() else log
    return SweepRun(run, (), math.nan, f"it ended without a trace; see {where}")


def _failures(folder: Path, run: Planned) -> Iterable[tuple[float, RunRecord]]:
    for path in folder.glob(f"{run.name}-failed*/{RECORD}"):
        if re.fullmatch(re.escape(run.name) + r"-failed(-\d+)?", path.parent.name):
            yield path.stat().st_mtime, read_record(path)


def side_by_side(jobs: int) -> Launch:
    """Runs as processes on this machine, `jobs` at a time; what they print goes into ``NAME.log``."""

    def launch(notebook: Path, folder: Path, runs: Sequence[Planned]) -> Iterator[Planned]:
        # A kernel's torch takes all cores otherwise, and the runs wait for each other.
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        environment = {"OMP_NUM_THREADS": threads, **os.environ}
        started: list[subprocess.Popen[bytes]] = []

        def work(run: Planned) -> Planned:
            command = job_command(notebook, folder / run.name, run.given)
            with (folder / f"{run.name}.log").open("wb") as log:
                process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
                started.append(process)
                process.wait()
            return run

        pool = ThreadPoolExecutor(jobs)
        try:
            futures = [pool.submit(work, run) for run in runs]
            for future in as_completed(futures):
                yield future.result()
        finally:
            # Also on the way out: what runs keeps what it has as failed, what waits never starts.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                if process.poll() is None:
                    process.terminate()
            pool.shutdown(wait=True)

    return launch


def on_cluster(cluster: str, hours: float) -> Launch:
    """Runs as jobs of a cluster (``slurm``), or as submitit starts them here (``local``); one core each."""

    def launch(notebook: Path, folder: Path, runs: Sequence[Planned]) -> Iterator[Planned]:
        import submitit
        from submitit.helpers import CommandFunction, as_completed

        executor = submitit.AutoExecutor(folder=folder / CLUSTER, cluster=cluster)
        executor.update_parameters(name=f"dispose_{notebook.stem}", timeout_min=math.ceil(60 * hours), cpus_per_task=1)
        commands = [CommandFunction(job_command(notebook, folder / run.name, run.given)) for run in runs]
        with executor.batch():
            jobs = [executor.submit(command) for command in commands]
        waiting = dict(zip(jobs, runs, strict=True))
        for job in as_completed(jobs):
            yield waiting[job]

    return launch


def sweep(notebook: Path, runs: Sequence[Planned], folder: Path, launch: Launch) -> Iterator[SweepRun]:
    """Run what is not finished yet; every outcome as it comes, those that were there first.

    Raises:
        InputError: the folder holds something else, or another sweep writes into it (see `claim_sweep`, `finished`).
    """
    folder = folder.resolve()
    there = [run for run in runs if finished(folder, run)]
    yield from (outcome_of(folder, run, 0.0) for run in there)
    missing = [run for run in runs if run not in there]
    since = time.time() - 1.0
    if missing:
        yield from (outcome_of(folder, run, since) for run in launch(notebook, folder, missing))


def earlier_outcomes(folder: Path, runs: Sequence[Planned]) -> tuple[SweepRun, ...]:
    """Finished runs in the table of an earlier part of the sweep that this part, with other values, does not plan.

    Raises:
        InputError: the table is damaged.
    """
    path, planned = folder / SUMMARY, {run.name for run in runs}
    if not path.is_file():
        return ()
    content = parse_json(read_text(path), str(path))
    try:
        rows = [(str(row["run"]), tuple(row["parameters"].items())) for row in content["rows"]]  # type: ignore[index]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is no table of a sweep ({error!r}); remove it") from error
    others = [Planned(name, (), swept, ()) for name, swept in rows if name not in planned]
    return tuple(outcome_of(folder, run, 0.0) for run in others if (folder / run.name / RECORD).is_file())


def all_of(runs: Sequence[Planned], outcomes: Sequence[SweepRun]) -> tuple[SweepRun, ...]:
    """The outcomes in the order of the plan; a run without one was not reached before the sweep was stopped."""
    known = {outcome.run.name: outcome for outcome in outcomes}
    return tuple(known.get(run.name, SweepRun(run, (), math.nan, NOT_REACHED)) for run in runs)


def first_line(outcome: SweepRun) -> str:
    """The first line of why a run failed."""
    return outcome.message.splitlines()[0]


def write_summary(folder: Path, notebook: Path, outcomes: Sequence[SweepRun]) -> None:
    """``summary.json`` and ``summary.csv``: a row per run with its values and figures."""
    rows = [
        {
            "run": one.run.name,
            "status": "failed" if one.message else DONE,
            "parameters": dict(one.run.swept),
            "metrics": dict(one.metrics),
            "seconds": None if math.isnan(one.seconds) else one.seconds,
            "message": one.message,
        }
        for one in outcomes
    ]
    with replacing(folder / SUMMARY) as file:
        json.dump({"schema": SCHEMA, "notebook": notebook.stem, "rows": rows}, file, indent=1, ensure_ascii=False)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names, figures = _columns(outcomes)
    writer.writerow(["run", *names, *figures, "seconds", "message"])
    for one in outcomes:
        values, metrics = dict(one.run.swept), dict(one.metrics)
        cells = [*(values.get(name, "") for name in names), *(metrics.get(name, "") for name in figures)]
        writer.writerow([one.run.name, *cells, "" if math.isnan(one.seconds) else one.seconds, one.message])
    with replacing(folder / "summary.csv") as file:
        file.write(text.getvalue())


def _columns(outcomes: Sequence[SweepRun]) -> tuple[list[str], list[str]]:
    """Names of the parameters and of the figures of all runs, in order of appearance."""
    names = dict.fromkeys(name for one in outcomes for name, _ in one.run.swept)
    return list(names), list(dict.fromkeys(name for one in outcomes for name, _ in one.metrics))


def text_table(outcomes: Sequence[SweepRun]) -> str:
    """The summary for a terminal: the first figures of every run, or the first line of why it failed."""
    names, figures = _columns(outcomes)
    shown = figures[:COLUMNS]
    lines = [[*names, *shown, "s"]]
    for one in outcomes:
        values, metrics = dict(one.run.swept), dict(one.metrics)
        cells = [f"{metrics[name]:.4g}" if name in metrics else "–" for name in shown]
        seconds = "–" if math.isnan(one.seconds) else f"{one.seconds:.0f}"
        lines.append([*(str(values[name]) for name in names), *cells, seconds])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines]
    for place, one in enumerate(outcomes, 1):
        if one.message:
            text[place] += f"  {first_line(one)}"
    if len(figures) > COLUMNS:
        text.append(f"{len(figures) - COLUMNS} more figures are in summary.csv")
    return "\n".join(text)
