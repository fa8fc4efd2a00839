"""`dispose view` refuses with one sentence what cannot be shown, and hands over the rest to the viewer's process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dispose.cli import view
from dispose.cli.drawing import draw
from dispose.cli.view import ViewCommand
from dispose.errors import InputError, MissingBackendError
from dispose.formats.predictions import write_predictions
from dispose.scene.frame import Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17


@pytest.fixture
def people(tmp_path) -> Path:
    """One frame with one person, as a file."""
    poses = Poses(
        COCO_17, torch.rand(1, 17, 3).double(), torch.ones(1, 17), torch.ones(1, 17).bool(), torch.tensor([1])
    )
    found = Association(torch.tensor([[0, 1]]), torch.ones(1).double())
    path = tmp_path / "predictions.jsonl"
    write_predictions(path, COCO_17, ["a", "b"], [Prediction(0, found, poses, torch.zeros(1, 3).double())])
    return path


@pytest.fixture
def started(monkeypatch) -> list[list[str]]:
    """Everything is installed; the commands that would have been started."""
    commands: list[list[str]] = []

    def drawn(*words: object) -> int:
        commands.append([*map(str, words)])
        return 3

    monkeypatch.setattr(view.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(view, "draw", drawn)
    return commands


def test_results_come_first_then_the_package_then_the_display(people, tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        ViewCommand(tmp_path / "nothing").run()
    monkeypatch.setattr(view.importlib.util, "find_spec", lambda name: None if name == "rerun" else object())
    with pytest.raises(MissingBackendError, match=r"pip install 'dispose\[rerun\]'"):
        ViewCommand(people).run()
    monkeypatch.setattr(view.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(view.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=r"no display .* --save FILE.rrd"):
        ViewCommand(people).run()


def test_the_viewer_gets_what_was_said_and_its_status_is_ours(people, tmp_path, started) -> None:
    assert ViewCommand(people, save=tmp_path / "out.rrd", truth=people).run() == 3
    (command,) = started
    assert command[0] == "dispose_viz.scene.rerun_view"
    assert command[1:] == [str(people), "--save", str(tmp_path / "out.rrd"), "--truth", str(people)]


def test_with_a_display_nothing_need_be_saved(people, started, monkeypatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    assert ViewCommand(people).run() == 3 and started[0][1:] == [str(people)]


def test_a_recording_has_its_ending_and_does_not_replace_a_folder(people, tmp_path, started) -> None:
    with pytest.raises(InputError, match=r"ends in \.rrd"):
        ViewCommand(people, save=tmp_path / "out.mp4").run()
    (tmp_path / "folder.rrd").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        ViewCommand(people, save=tmp_path / "folder.rrd").run()
    assert not started


def test_what_draws_is_read_whatever_the_terminals_encoding(tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "drawn.py").write_text("import sys; print(sys.argv[1], '\\xb7'); sys.exit(4)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert draw("drawn", tmp_path / "é") == 4
    assert capsys.readouterr().out == f"{tmp_path}/é ·\n"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_draws_does_not_outlive_the_command(tmp_path) -> None:
    """A film takes minutes; the next command of the same folder must not meet its writer."""
    (tmp_path / "drawn.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    code = "from dispose.cli.drawing import draw; draw('drawn')"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    told = {**os.environ, "PYTHONPATH": paths}
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=told)
    assert command.stdout is not None
    child = int(command.stdout.readline())
    command.kill()
    command.wait()
    for _ in range(100):
        if not is_running(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail("it goes on")


def is_running(process: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
