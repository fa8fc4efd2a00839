"""Commands killed, or told that the disk is full, at any event of a file: `shim.c` counts them in a program of its own.

The program has imported everything; for every attempt it parts, so that one takes the time of the command alone.
"""

import ctypes
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("shim.c")
ROOT = Path(__file__).resolve().parents[2]
COUNT, KILL, FULL = range(3)


@dataclass(frozen=True)
class Moment:
    """When a command is disturbed and how: at an event of a file, from 1, or after some seconds; by default never."""

    at: int = -1
    how: int = COUNT
    seconds: float = 0.0


NEVER = Moment()


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status (negative: the signal), what it said, and how many events of files it had."""

    status: int
    said: str
    events: int

    @property
    def killed(self) -> bool:
        """Whether it was ended before its end."""
        return self.status == -signal.SIGKILL


class Program:
    """A process that runs jobs (functions of `tests.attacks.jobs` on texts), each in a child of its own.

    Events are those of files below `folder`.
    """

    def __init__(self, folder: Path) -> None:
        shim = folder / "shim.so"
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(SHIM), "-ldl"]
        subprocess.run(command, check=True, capture_output=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.attacks.killing"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}, cwd=ROOT, start_new_session=True,
        )  # fmt: skip

    def run(self, job: str, folder: Path, *words: Path | str, when: Moment = NEVER) -> Ended:
        """Run a job to its end, or to a moment; events are those of files below `folder`."""
        order = [job, [str(word) for word in words], str(folder), when.at, when.how, when.seconds]
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the program of the attempts has ended"
        return Ended(*json.loads(line))

    def close(self) -> None:
        """There are no more jobs."""
        self._process.communicate(timeout=60)


@contextmanager
def program(folder: Path) -> Iterator[Program]:
    """The program; a test that needs it is skipped where nothing can be preloaded or compiled."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")
    running = Program(folder)
    running.run("nothing", folder)
    yield running
    running.close()


def _attempt(function: Callable[..., int], words: list[str], folder: str, when: Moment) -> Ended:
    """One job in a child; the events are in memory that both see."""
    shim = ctypes.CDLL(None)
    shim.counted.restype = ctypes.c_long
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(told)
        for stream in (1, 2):
            os.dup2(tell, stream)
        if when.seconds:
            threading.Timer(when.seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        shim.arm(folder.encode(), when.at, when.how)
        try:
            status = function(*words)
        except BaseException:
            traceback.print_exc()
            status = 70
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(tell, f"\n{shim.counted()}".encode())
        os._exit(status)
    os.close(tell)
    with os.fdopen(told, encoding="utf-8", errors="replace") as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGKILL:
        return Ended(status, said, when.at)
    said, _, count = said.rpartition("\n")
    return Ended(status, said, int(count))


def _serve() -> None:
    jobs = importlib.import_module("tests.attacks.jobs")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        job, words, folder, *when = json.loads(line)
        ended = _attempt(getattr(jobs, job), words, folder, Moment(*when))
        answers.write(json.dumps([ended.status, ended.said, ended.events]) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
