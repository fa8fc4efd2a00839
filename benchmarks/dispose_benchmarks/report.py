"""What all benches share: a process of its own for a measurement, and the file of figures with what made them."""

import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec, TypeVar

from dispose.errors import DisposeError, InputError
from dispose.evaluation.reports import commit, versions
from dispose.formats.files import replacing
from dispose.workers import end_with_parent

Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")


def apart(
    name: str,
    seconds: float | None,
    work: Callable[Arguments, Found],
    *arguments: Arguments.args,
    **options: Arguments.kwargs,
) -> Found:
    """What a function returns in a process of its own, so that its peak memory is its own.

    Raises:
        DisposeError: it failed, or took longer than so many seconds; the message names the measurement.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, work, arguments, options), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise DisposeError(f"{name} took longer than {seconds:.0f} s")
        found, error = ours.recv()
        # Whoever is killed while tidying up leaves locks behind.
        process.join(10)
    except EOFError:
        process.join()
        raise DisposeError(f"{name} failed: exit status {process.exitcode}") from None
    finally:
        process.kill()
    if error is not None:
        raise DisposeError(f"{name} failed: {error}")
    return found


def _send(end: Connection, work: Callable[..., object], arguments: tuple[object, ...], options: dict[str, object]):
    end_with_parent()
    try:
        end.send((work(*arguments, **options), None))
    except Exception as error:
        end.send((None, f"{type(error).__name__}: {error}"))


def require_numbers(name: str, values: tuple[int, ...], fewest: int) -> None:
    """Raise `InputError` for an option that is empty or holds a number that is too small."""
    if not values or min(values) < fewest:
        raise InputError(f"--{name} is {' '.join(map(str, values)) or 'empty'}; numbers from {fewest} on are expected.")


def write_figures(path: Path, schema: str, figures: Mapping[str, object]) -> None:
    """Write figures as JSON with commit, command and versions; the old file stays until the new one is complete."""
    made = {"commit": commit(), "command": shlex.join(("dispose", *sys.argv[1:])), "versions": dict(versions())}
    with replacing(path) as file:
        json.dump(plain({"schema": schema, **figures, **made}), file, indent=1, allow_nan=False)
        file.write("\n")
    print(f"wrote {path}")


def plain(value: object) -> object:
    """JSON knows no NaN: what was not run is null."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
