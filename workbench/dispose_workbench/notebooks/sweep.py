"""Many runs of one notebook: every combination of some values, each in a folder of its own, and a table of all."""

import csv
import hashlib
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.files import parse_json, read_text, replacing
from dispose.formats.folders import lock_folder
from dispose_workbench.notebooks.parameters import PATHS, all_values, parameters_of, read_values
from dispose_workbench.results.run_folders import (
    DONE,
    FAILED,
    METRICS,
    RECORD,
    Parameters,
    Value,
    read_metrics,
    read_record,
)

SCHEMA = "dispose.sweep/1"
MARK = "sweep.json"
LONGEST_NAME = 40
COLUMNS = 6
CLUSTER = "cluster"
"""Where submitit keeps what its jobs print."""
NOT_REACHED = "it has not ended: the sweep was stopped"


@dataclass(frozen=True)
class SweepRun:
    """One combination of values, which make the name of its folder.

    `given` are the values as text, for the command line of the run; `swept` the same in their types, in the notebook's
    order; `parameters` all parameters of the run.
    """

    name: str
    given: tuple[tuple[str, str], ...]
    swept: Parameters
    parameters: Parameters


@dataclass(frozen=True)
class SweepOutcome:
    """How a run of a sweep ended: its values and figures, and how long it took (None where nothing ran).

    The message says why it has no figures, else it is empty.
    """

    name: str
    swept: Parameters
    metrics: tuple[tuple[str, float], ...] = ()
    seconds: float | None = None
    message: str = ""

    @property
    def reason(self) -> str:
        """The first line of the message."""
        return self.message.splitlines()[0] if self.message else ""


Launch = Callable[[Path, Path, Sequence[SweepRun]], Iterator[SweepRun]]
"""Starts runs of a notebook in a sweep's folder; hands them back in the order in which they end, however they end."""


def plan(notebook: Path, choices: Sequence[tuple[str, str]]) -> tuple[SweepRun, ...]:
    """All combinations of the values, which stand behind each other with commas; all of them checked.

    A parameter that is a list of paths cannot be swept: its commas are those of the one value.

    Raises:
        InputError: an unknown or repeated name, a value that is not of the declared type, missing or given twice.
    """
    declared = parameters_of(notebook)
    read_values(declared, [(name, text.split(",")[0]) for name, text in choices], Path.cwd())
    kinds = {parameter.name: parameter.kind for parameter in declared}
    axes = [[(name, text)] if kinds[name] == PATHS else _axis(name, text) for name, text in choices]
    runs: dict[str, SweepRun] = {}
    for given in itertools.product(*axes):
        values = read_values(declared, given, Path.cwd())
        name = "_".join(f"{key}={_safe(value, kinds[key])}" for key, value in values) or "defaults"
        if name in runs:
            raise InputError(f"the sweep has {name} twice; every value is given once")
        parameters = all_values(declared, values)
        swept = tuple(pair for pair in parameters if pair[0] in dict(values))
        runs[name] = SweepRun(name, given, swept, parameters)
    return tuple(runs.values())


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
    mark, content = folder / MARK, {"schema": SCHEMA, "notebook": notebook.stem}
    if mark.is_file():
        if parse_json(read_text(mark), str(mark)) != content:
            raise InputError(f"{folder}: holds a sweep of another notebook ({MARK}); name another with --out")
        return
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} exists and is no folder of a sweep; name another with --out")
    with replacing(mark) as file:
        json.dump(content, file)


def is_done(folder: Path, run: SweepRun) -> bool:
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


def is_being_run(folder: Path, run: SweepRun) -> bool:
    """Whether a process is at work on it: those that a sweep has started go on where the sweep itself is killed."""
    try:
        with lock_folder(folder / run.name):
            return False
    except InputError:
        return True


def outcome_of(folder: Path, run: SweepRun, since: float) -> SweepOutcome:
    """What a run that has ended left in the sweep's folder; a failure counts if it is not older than `since`."""
    if (folder / run.name / RECORD).is_file():
        return _outcome_in(folder / run.name)
    places = [place for place in folder.glob(f"{run.name}-failed*") if (place / RECORD).is_file()]
    failures = [_outcome_in(place) for place in sorted(places, key=_ended) if _ended(place) >= since]
    failures = [failure for failure in failures if failure.message]
    if failures:
        return replace(failures[-1], name=run.name)
    log = folder / f"{run.name}.log"
    where = folder / CLUSTER if (folder / CLUSTER).is_dir() and not log.exists() else log
    return SweepOutcome(run.name, run.swept, message=f"it ended without a trace; see {where}")


def earlier_outcomes(folder: Path, runs: Sequence[SweepRun]) -> tuple[SweepOutcome, ...]:
    """Finished runs of an earlier part of the sweep that this part, with other values, does not plan; oldest first."""
    planned = {run.name for run in runs}
    places = [path.parent for path in folder.glob(f"*/{RECORD}") if path.parent.name not in planned]
    return tuple(one for one in map(_outcome_in, sorted(places, key=_ended)) if not one.message)


def _ended(place: Path) -> float:
    return (place / RECORD).stat().st_mtime


def _outcome_in(place: Path) -> SweepOutcome:
    record = read_record(place / RECORD)
    metrics = read_metrics(place / METRICS) if record.status == DONE and (place / METRICS).is_file() else ()
    swept = tuple(pair for pair in record.parameters if pair[0] in record.given)
    return SweepOutcome(place.name, swept, metrics, record.seconds, record.message)


def run_command(notebook: Path, folder: Path, run: SweepRun) -> list[str]:
    """The command line of one run: a process of its own, which a cluster can start as well."""
    values = [word for name, text in run.given for word in ("-p", name, text)]
    run_one = [sys.executable, "-m", "dispose.cli.main", "notebook", "run", str(notebook)]
    return [*run_one, *values, "--out", str(folder / run.name)]


def side_by_side(notebook: Path, folder: Path, runs: Sequence[SweepRun], *, jobs: int) -> Iterator[SweepRun]:
    """Runs as processes on this machine, `jobs` at a time; what they print goes into ``NAME.log``."""
    # A kernel's torch takes all cores otherwise, and the runs wait for each other.
    environment = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs)), **os.environ}
    waiting, running = list(runs), dict[subprocess.Popen[bytes], SweepRun]()
    for run in waiting:
        if is_being_run(folder, run):
            print(f"{run.name}: still runs for an earlier sweep that was killed; it is waited for", flush=True)
    try:
        while waiting or running:
            for run in tuple(waiting):
                if len(running) == jobs or is_being_run(folder, run):
                    continue
                waiting.remove(run)
                if is_done(folder, run):
                    yield run
                    continue
                command = run_command(notebook, folder, run)
                with (folder / f"{run.name}.log").open("wb") as log:
                    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
                running[process] = run
            for process in [process for process in running if process.poll() is not None]:
                run = running.pop(process)
                if is_being_run(folder, run):
                    waiting.append(run)  # the other one was faster
                else:
                    yield run
            time.sleep(0.1)
    finally:
        # Also on the way out: what runs keeps what it has as failed, what waits never starts.
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def on_cluster(
    notebook: Path, folder: Path, runs: Sequence[SweepRun], *, cluster: str, hours: float
) -> Iterator[SweepRun]:
    """Runs as jobs of a cluster (``slurm``), or as submitit starts them here (``local``); one core each."""
    import submitit
    from submitit.helpers import CommandFunction, as_completed

    executor = submitit.AutoExecutor(folder=folder / CLUSTER, cluster=cluster)
    executor.update_parameters(name=f"dispose_{notebook.stem}", timeout_min=math.ceil(60 * hours), cpus_per_task=1)
    with executor.batch():
        jobs = {executor.submit(CommandFunction(run_command(notebook, folder, run))): run for run in runs}
    for job in as_completed(list(jobs)):
        while is_being_run(folder, jobs[job]):
            time.sleep(1)
        yield jobs[job]


def sweep(notebook: Path, runs: Sequence[SweepRun], folder: Path, launch: Launch) -> Iterator[SweepOutcome]:
    """Run what is not finished yet; every outcome as it comes, those that were there first.

    Raises:
        InputError: the folder holds something else (see `is_done`; nothing has run then).
    """
    folder = folder.resolve()
    missing = [run for run in runs if not is_done(folder, run)]
    since = time.time() - 1.0
    there = (outcome_of(folder, run, 0.0) for run in runs if run not in missing)
    ended = launch(notebook, folder, missing) if missing else iter(())
    return itertools.chain(there, (outcome_of(folder, run, since) for run in ended))


def complete_table(runs: Sequence[SweepRun], outcomes: Sequence[SweepOutcome]) -> tuple[SweepOutcome, ...]:
    """The outcomes in the order of the plan; a run without one was not reached before the sweep was stopped."""
    known = {outcome.name: outcome for outcome in outcomes}
    return tuple(known.get(run.name, SweepOutcome(run.name, run.swept, message=NOT_REACHED)) for run in runs)


def write_summary(folder: Path, notebook: Path, outcomes: Sequence[SweepOutcome]) -> None:
    """``summary.json`` and ``summary.csv``: a row per run with its values and figures."""
    rows = [
        {
            "run": one.name,
            "status": FAILED if one.message else DONE,
            "parameters": dict(one.swept),
            "metrics": dict(one.metrics),
            "seconds": one.seconds,
            "message": one.message,
        }
        for one in outcomes
    ]
    with replacing(folder / "summary.json") as file:
        json.dump({"schema": SCHEMA, "notebook": notebook.stem, "rows": rows}, file, indent=1, ensure_ascii=False)
    names, figures = _columns(outcomes)
    with replacing(folder / "summary.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["run", *names, *figures, "seconds", "message"])
        for one in outcomes:
            values, metrics = dict(one.swept), dict(one.metrics)
            cells = [*(values.get(name) for name in names), *(metrics.get(name) for name in figures)]
            writer.writerow([one.name, *cells, one.seconds, one.message])


def _columns(outcomes: Sequence[SweepOutcome]) -> tuple[list[str], list[str]]:
    """Names of the parameters and of the figures of all runs, in order of appearance."""
    names = dict.fromkeys(name for one in outcomes for name, _ in one.swept)
    return list(names), list(dict.fromkeys(name for one in outcomes for name, _ in one.metrics))


def text_table(outcomes: Sequence[SweepOutcome]) -> str:
    """The summary for a terminal: the first figures of every run, or the first line of why it failed."""
    names, figures = _columns(outcomes)
    shown = figures[:COLUMNS]
    lines = [[*names, *shown, "s"]]
    for one in outcomes:
        values, metrics = dict(one.swept), dict(one.metrics)
        cells = [f"{metrics[name]:.4g}" if name in metrics else "–" for name in shown]
        seconds = "–" if one.seconds is None else f"{one.seconds:.0f}"
        lines.append([*(str(values.get(name, "–")) for name in names), *cells, seconds])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines]
    for place, one in enumerate(outcomes, 1):
        if one.message:
            text[place] += f"  {one.reason}"
    if len(figures) > COLUMNS:
        text.append(f"{len(figures) - COLUMNS} more figures are in summary.csv")
    return "\n".join(text)
