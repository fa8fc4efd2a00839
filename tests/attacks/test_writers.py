"""Results under attack: killed at every event of a file, a full disk, two writers; what is read is whole or refused."""

import errno
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.cli.main import main
from dispose.errors import InputError, OutputError
from dispose.formats.folders import MARK, lock_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Source
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run
from dispose.scene.results import associate_each, reconstruct_each
from dispose_workbench.results.open import read_results
from tests.attacks.targets import write_detections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes part as Linux's do")

EVENTS = ("os.rename", "os.remove", "os.truncate", "shutil.rmtree", "os.mkdir")
"""Python's own audit events of what changes files, beside opening one to write."""


class Interrupted:
    """Counts events of files of this process in a folder, and does something at one of them."""

    def __init__(self, folder: Path, at: int, act: Callable[[], None], events: tuple[str, ...] = EVENTS) -> None:
        self.folder, self.at, self.act, self.events, self.count = str(folder), at, act, events, 0

    def __call__(self, event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if not (writes or event in self.events) or self.folder not in str(arguments[0]):
            return
        self.count += 1
        if self.count == self.at:
            self.act()


def predict(capture: Path, out: Path) -> int:
    return main(["predict", str(capture), "--associator", "greedy", "--batch", "2", "--out", str(out)])


def write(capture: Path, out: Path) -> int:
    """What `dispose predict` does with its results, and nothing else; the status as the command's."""
    source = SOURCES.get(capture) or SOURCES.setdefault(capture, _in_memory(capture))
    try:
        with results_folder(out, RunFiles("take", "greedy", inputs=(("capture", str(capture)),))) as sink:
            run(source, associate_each(greedy_agglomerative), reconstruct_each(reconstruct_frame), sink, batch=1)
    except OutputError:
        return 2
    return 0


SOURCES: dict[Path, Source] = {}


def _in_memory(capture: Path) -> Source:
    source = source_of(read_capture(capture))
    readings = {number: source.read(number) for number in source.numbers}
    return Source(source.numbers, readings.get)


def in_a_child(function: Callable[[], int]) -> int:
    """The status of a process that calls a function: negative, the signal that ended it."""
    child = os.fork()
    if not child:
        try:
            os._exit(function())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(capture: Path, out: Path, event: int) -> bool:
    """Whether a run was killed at that event of a file; it may have fewer."""

    def go() -> int:
        sys.addaudithook(Interrupted(out, event, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        return write(capture, out)

    return in_a_child(go) == -signal.SIGKILL


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def poses(folder: Path) -> list[bytes]:
    return [case.prediction.poses.xyz_world.numpy().tobytes() for case in read_results(folder).cases]


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two captures of one name whose people stand elsewhere."""
    found = []
    for name, shift in (("one", 0.0), ("other", 3.0)):
        folder = tmp_path_factory.mktemp(name) / "take"
        folder.mkdir()
        write_detections(folder)
        if shift:
            last = sorted(folder.glob("pose/*/*.json"))[-1]
            last.write_text('{"people": []}')
        found.append(folder)
    return found[0], found[1]


def kill_and_look(captures: tuple[Path, Path], tmp_path: Path, events: range) -> int:
    """Kill runs over an earlier one's results; between, what is read is one of the two or refused. How many died."""
    one, other = captures
    for capture, name in ((one, "before"), (other, "after")):
        assert in_a_child(lambda capture=capture, name=name: write(capture, tmp_path / name)) == 0
    whole, known = content(tmp_path / "after"), {tuple(poses(tmp_path / name)) for name in ("before", "after")}
    died = 0
    for event in events:
        out = tmp_path / f"{event}"
        subprocess.run(["cp", "-r", tmp_path / "before", out], check=True)
        if not killed_at(other, out, event):
            break
        died += 1
        try:
            assert tuple(poses(out)) in known, f"event {event}: files of two runs are read as one"
        except InputError as error:
            assert (out / MARK).exists() or "predict" in str(error), error
        assert in_a_child(lambda out=out: write(other, out)) == 0
        assert content(out) == whole, f"event {event}"
    return died


def test_killed_at_some_events_of_files(captures: tuple[Path, Path], tmp_path: Path) -> None:
    assert kill_and_look(captures, tmp_path, range(3, 90, 20)) >= 3


@pytest.mark.slow
def test_killed_at_every_event_of_a_file(captures: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    died = kill_and_look(captures, tmp_path, range(1, 1000))
    with capsys.disabled():
        print(f"\nkilled at each of {died} events of files")
    assert died > 30


@pytest.mark.parametrize("step", [12, pytest.param(3, marks=pytest.mark.slow)])
def test_a_full_disk_keeps_what_is_done(captures: tuple[Path, Path], tmp_path: Path, step: int) -> None:
    """At five places, or twenty: that event of a file finds no room."""
    capture = captures[0]
    assert write(capture, tmp_path / "whole") == 0
    whole, said = content(tmp_path / "whole"), set()
    for event in range(2, 62, step):
        out = tmp_path / f"{event}"

        def go(out: Path = out, event: int = event) -> int:
            def full() -> None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out))

            sys.addaudithook(Interrupted(out, event, full, ("os.rename", "os.mkdir")))
            return write(capture, out)

        status = in_a_child(go)
        said.add(status)
        assert status in (0, 2), f"event {event}: status {status}"
        done = out / ".partial" / "predictions.jsonl"
        if status == 2 and done.exists() and (out / ".partial" / "state.npz").exists():
            assert len(read_predictions(done).frames) > 0, "finished frames stay readable"
        assert in_a_child(lambda out=out: write(capture, out)) == 0
        assert content(out) == whole, f"event {event}"
    assert 2 in said


def test_no_room_is_said_before_anything_is_computed(
    captures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dispose.formats import folders

    usage = folders.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    assert predict(captures[0], tmp_path / "out") == 2
    assert "1 MiB are free there, 16 are needed" in capsys.readouterr().err


WRITERS = (
    ["predict", "CAPTURE", "--associator", "greedy", "--out", "OUT"],
    ["smooth", "RUN", "--rate-hz", "30", "--out", "OUT"],
    ["export", "RUN", "--rate-hz", "30", "--to", "csv", "--out", "OUT"],
    ["predict", "CAPTURE", "--associator", "greedy", "--no-evidence", "--out", "OUT"],
)


def spelled(out: Path) -> list[Path]:
    """One folder by eleven names."""
    link, deep = out.parent / "link", out.parent / "deep" / "link"
    link.symlink_to(out)
    deep.parent.mkdir()
    deep.symlink_to(out.parent)
    up = out.parent / "deep" / ".." / out.name
    return [out, link, up, deep / out.name, Path(os.path.relpath(out)), Path(os.path.relpath(link)),
            out / ".", out / ".." / out.name, deep / "link", deep / "deep" / "link" / out.name,
            Path(os.path.relpath(up))]  # fmt: skip


def test_two_writers_of_one_folder(
    captures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four commands, eleven names of the folder: 44 times the second is refused, and changes nothing."""
    run, out = tmp_path / "run", tmp_path / "out"
    assert predict(captures[0], run) == 0 == predict(captures[0], out)
    before, refused = content(out), 0
    with lock_folder(out):
        for name in spelled(out):
            for command in WRITERS:
                words = {"CAPTURE": str(captures[1]), "RUN": str(run), "OUT": str(name)}
                status = main([words.get(word, word) for word in command])
                refused += status == 2 and "another run is writing into this folder" in capsys.readouterr().err
    assert refused == 44
    assert content(out) == before


def test_a_folder_marked_as_unfinished_is_refused(captures: tuple[Path, Path], tmp_path: Path) -> None:
    assert predict(captures[0], tmp_path / "out") == 0
    (tmp_path / "out" / MARK).touch()
    with pytest.raises(InputError, match="killed"):
        read_results(tmp_path / "out")
    assert main(["smooth", str(tmp_path / "out"), "--rate-hz", "30"]) == 2
    assert main(["export", str(tmp_path / "out"), "--rate-hz", "30", "--to", "csv"]) == 2
