"""Folders that runs leave behind, read for comparison: parameters, figures and logs, of notebooks and of trainings.

A run of a notebook has ``run.json``, written last: ``{"schema": "dispose.run/1", "notebook", "status": "done" or
"failed", "message", "parameters": {name: value}, "given": [names], "seconds", "started", "commit", "versions"}``,
and what the notebook wrote, ``metrics.json`` among it: an object of numbers, or of objects of numbers. A training has
``recipe.json`` and logs called ``metrics.csv`` or ``metrics.jsonl``, one per stage.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import replacing, visible

SCHEMA = "dispose.run/1"
RECORD = "run.json"
METRICS = "metrics.json"
RECIPE = "recipe.json"
LOGS = ("metrics.csv", "metrics.jsonl")
RESULTS = ("predictions.jsonl", "evidence.npz")
"""What `dispose predict` and `dispose evaluate --save` leave."""
DONE, FAILED = "done", "failed"

Value = int | float | bool | str | list[str]
Parameters = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class RunRecord:
    """How one run of a notebook went: its status is ``done`` or ``failed``, its message says why it failed or is empty.

    All parameters, in the notebook's order, and the names of those that were given; the seconds of the whole run and
    the local time (ISO 8601) when it started; the checkout's commit (`dispose.formats.provenance.commit`), and the
    versions of Python and of packages.
    """

    notebook: str
    status: str
    message: str
    parameters: Parameters
    given: tuple[str, ...]
    seconds: float
    started: str
    commit: str
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunFolder:
    """One run as it lies on disk, named for legends and tables as its folder is.

    Parameters are those of the notebook, or of the training's recipe with dots in nested names; metrics are key figures
    by name, nested names joined by " · "; logs are those of quantities over steps, with the stage that wrote each.
    """

    name: str
    path: Path
    parameters: Parameters
    metrics: tuple[tuple[str, float], ...]
    logs: tuple[tuple[str, Path], ...]

    def metric(self, name: str) -> float:
        """The figure of that name, NaN where the run has none."""
        return dict(self.metrics).get(name, math.nan)


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json``; a folder without it is no whole run."""
    named = {"parameters": dict(record.parameters), "versions": dict(record.versions)}
    content = {"schema": SCHEMA, **vars(record), **named, "seconds": round(record.seconds, 2)}
    with replacing(folder / RECORD) as file:
        json.dump(content, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_record(path: Path) -> RunRecord:
    """A ``run.json``. Raises `InputError` for what is none."""
    record = Entry.of_json(path)
    if not record.has("schema") or record.at("schema").value != SCHEMA:
        raise InputError(f"{path}: is no record of a run ({SCHEMA}).")
    texts = {name: record.at(name).text() for name in ("notebook", "status", "message", "started", "commit")}
    return RunRecord(
        **texts,
        parameters=tuple((name, value.value) for name, value in record.at("parameters").entries()),  # type: ignore[misc]
        given=tuple(name.text() for name in record.at("given").items()),
        seconds=record.at("seconds").number(),
        versions=tuple((name, version.text()) for name, version in record.at("versions").entries()),
    )


def read_metrics(path: Path) -> tuple[tuple[str, float], ...]:
    """Finite numbers of a ``metrics.json`` by name, those of a list by their place from 1 on; no text, no nulls."""
    content = Entry.of_json(path).value
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: figures are expected as an object of names and numbers.")
    return tuple(_numbers(content))


def _numbers(content: object, prefix: str = "") -> Iterable[tuple[str, float]]:
    if isinstance(content, list):
        content = {str(place): value for place, value in enumerate(content, 1)}
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)
        yield from _numbers(value, f"{prefix}{name} · ")


def read_run_folder(folder: Path) -> RunFolder:
    """One run, of a notebook or of a training.

    Raises:
        InputError: no folder, a run that was killed or failed or has not logged anything, or a folder of no run.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; a run is given as the folder that it left.")
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    if folder.name.startswith(".") and ".running-" in folder.name:
        raise InputError(f"{folder}: half written, by a run that is still going on or was killed.")
    record = read_record(folder / RECORD) if (folder / RECORD).is_file() else None
    if record is not None and record.status != DONE:
        first = (record.message.splitlines() or ["no reason given"])[0]
        raise InputError(f"{folder}: the run failed ({first}).")
    logs = tuple(logs_of(folder))
    training = (folder / RECIPE).is_file()
    if record is None and not training and not logs:
        if any(folder.glob("*.ipynb")):
            raise InputError(f"{folder}: half written, it has a notebook but no {RECORD}.")
        if _has_any(folder, RESULTS):
            raise InputError(f"{folder}: holds predictions, not a run's figures; open it with `dispose inspect`.")
        raise InputError(f"{folder}: no run's folder, it has neither {RECORD} nor {RECIPE} nor {' or '.join(LOGS)}.")
    metrics = read_metrics(folder / METRICS) if (folder / METRICS).is_file() else ()
    if not metrics and not logs:
        what = "the training has not logged anything yet" if training else f"it has no figures ({METRICS}) and no log"
        raise InputError(f"{folder}: {what}.")
    if record is not None:
        parameters = record.parameters
    else:
        parameters = tuple(_plain(Entry.of_json(folder / RECIPE).value)) if training else ()
    odd = next((f"{name} is {value}" for name, value in parameters if _is_odd(value)), "")
    if odd:
        raise InputError(f"{folder / (RECORD if record else RECIPE)}: {odd}, a finite number is expected.")
    return RunFolder(folder.resolve().name, folder, parameters, metrics, logs)


def _is_odd(value: Value) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _plain(content: object, prefix: str = "") -> Iterable[tuple[str, Value]]:
    """Plain values of a recipe, names of nested ones joined by dots."""
    for name, value in content.items() if isinstance(content, Mapping) else ():
        if isinstance(value, int | float | str):
            yield f"{prefix}{name}", value
        yield from _plain(value, f"{prefix}{name}.")


def logs_of(folder: Path) -> Iterable[tuple[str, Path]]:
    """Logs of a folder with the stages that wrote them: ``pose/csv/metrics.csv`` is the log of the stage "pose"."""
    for name in LOGS:
        for path in sorted(folder.rglob(name)):
            inside = path.relative_to(folder).parts[:-1]
            if len(inside) <= 3 and not any(part.startswith(".") for part in inside):
                stage = " ".join(part for part in inside if part not in ("csv", "logs", "training"))
                yield stage or "training", path


def read_run_folders(folders: Sequence[Path]) -> tuple[tuple[RunFolder, ...], tuple[str, ...]]:
    """All runs that can be read, under names of their own, and a sentence for every folder that cannot.

    A folder that is no run but holds folders (of a sweep, say) stands for those.

    Raises:
        InputError: none of them can be read; the message says of each why.
    """
    runs: list[RunFolder] = []
    sentences: list[str] = []
    for folder in [inner for outer in folders for inner in _runs_inside(outer)]:
        try:
            runs.append(read_run_folder(folder))
        except InputError as error:
            sentences.append(str(error))
    if not runs:
        raise InputError("there is no run to compare: " + " ".join(sentences or ["no folder was named."]))
    return _named_apart(runs), tuple(sentences)


def _runs_inside(folder: Path) -> list[Path]:
    if not folder.is_dir() or _looks_like_run(folder):
        return [folder]
    inside = [path for path in visible(folder.iterdir()) if path.is_dir()]
    if _has_any(folder, RESULTS):  # notebooks may have been run in there; its other folders are parts of the results
        inside = [path for path in inside if _looks_like_run(path)]
    unfinished = sorted(path for path in folder.glob(".*.running-*") if path.is_dir())
    return [*inside, *unfinished] or [folder]


def _looks_like_run(folder: Path) -> bool:
    return _has_any(folder, (RECORD, RECIPE, METRICS, *LOGS)) or any(folder.glob("*.ipynb"))


def _has_any(folder: Path, names: Iterable[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def _named_apart(runs: Sequence[RunFolder]) -> tuple[RunFolder, ...]:
    """Every folder once; those of the same name are told apart by as many folders above as that takes."""
    once = {run.path.resolve(): run for run in reversed(runs)}
    paths = sorted(once, key=[run.path.resolve() for run in runs].index)
    return tuple(replace(once[path], name=_shortest_name(path, paths)) for path in paths)


def _shortest_name(path: Path, paths: Sequence[Path]) -> str:
    """The fewest last parts of a path that none of the others ends in."""
    for depth in range(1, len(path.parts)):
        if sum(other.parts[-depth:] == path.parts[-depth:] for other in paths) == 1:
            return "/".join(path.parts[-depth:])
    return str(path)
