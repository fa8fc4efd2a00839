"""Killed at any moment, the same command again ends as if nobody had killed it; nobody reads half as whole.

And where the disk is full at any moment: what is done stays, and the same command goes on once there is room.
"""

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispose.formats.detections.frames import people_of_json
from dispose.formats.predictions import read_predictions
from tests.attacks.commands import Attack
from tests.attacks.killing import FULL, KILL, Moment, Program, program

pytestmark = pytest.mark.xdist_group("attacks on writers")  # one program for all of them


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with program(tmp_path_factory.mktemp("program")) as one:
        yield one


NAMES = ("write", "prepare", "detect", "train", "notebook", "sweep", "study")


@pytest.mark.parametrize(("name", "kills"), (("write", 4), ("prepare", 4), ("detect", 4), ("study", 1)))
def test_killed_at_some_events_of_files(name: str, kills: int, running: Program, tmp_path: Path) -> None:
    attack = Attack(running, name, tmp_path)
    for event in range(attack.events // (2 * kills), attack.events + 1, attack.events // kills):
        assert attack.kill(Moment(event, KILL))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_every_event_of_a_file(name: str, running: Program, tmp_path: Path, capsys) -> None:
    attack = Attack(running, name, tmp_path)
    killed = sum(attack.kill(Moment(event, KILL)) for event in range(1, attack.events + 1))
    with capsys.disabled():
        print(f"\n{name}: killed at {killed} of {attack.events} events of files")
    assert killed == attack.events


@pytest.mark.slow
@pytest.mark.parametrize("name", ("predict", *NAMES[1:]))
def test_killed_at_random(name: str, running: Program, tmp_path: Path, capsys) -> None:
    attack, draw = Attack(running, name, tmp_path), random.Random(15)
    killed = 0
    while killed < MOMENTS:
        killed += attack.kill(Moment(seconds=draw.uniform(0.01, attack.seconds)))
    with capsys.disabled():
        print(f"\n{name}: killed at {killed} random moments of {attack.seconds:.1f} s")


MOMENTS = 50

POOL = """
import sys, time
from dispose.workers import worker_pool
if __name__ == "__main__":
    with worker_pool(1) as pool:
        working = pool.submit(time.sleep, 600)
        print(*[process.pid for process in pool._processes.values()], flush=True)
        time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_workers_end_with_who_started_them_even_if_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    with subprocess.Popen([sys.executable, tmp_path / "pool.py"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        worker = Path("/proc") / running.stdout.readline().strip()
        time.sleep(0.5)
        assert worker.exists()
        running.kill()
    deadline = time.monotonic() + 30
    while worker.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not worker.exists()


def readable(folder: Path) -> None:
    """Every file that is there under its own name is whole."""
    for path in folder.glob("**/*_json/*.json"):
        people_of_json(path, str(path))
    for path in folder.glob("out/.partial/predictions.jsonl"):
        if (path.parent / "state.npz").exists():
            assert len(read_predictions(path).frames) > 0


FULL_POINTS = (5, pytest.param(20, marks=pytest.mark.slow))


@pytest.mark.parametrize("points", FULL_POINTS)
@pytest.mark.parametrize("name", ("predict", "detect", "prepare"))
def test_a_full_disk_keeps_what_is_done(name: str, points: int, running: Program, tmp_path: Path, capsys) -> None:
    """From an event of a file on, nothing that needs room works, until somebody makes some."""
    attack, stopped = Attack(running, name, tmp_path), 0
    for point in range(points):
        event = 1 + point * attack.events // points
        ended = attack.run(when=Moment(event, FULL))
        assert ended.status in (0, 2), f"event {event}: {ended.said}"
        if ended.status == 2:
            stopped += 1
            (said,) = re.findall(r"^dispose: .*", ended.said, re.MULTILINE)
            assert "No space left on device" in said and "again" in said, f"event {event}: {said}"
            readable(attack.folder)
        attack.check_whole(f"event {event}")
    with capsys.disabled():
        print(f"\n{name}: a full disk at {points} points, {stopped} times said")
    assert stopped > points / 2
