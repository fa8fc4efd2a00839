"""What is named instead of a file: pipes, devices, sockets, loops of links, homes of nobody, odd letters."""

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dispose.cli.main import main
from tests.attacks.bounded import READ, call_bounded
from tests.attacks.targets import write_detections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time are Linux's")

COMMANDS = (
    ["check", "IT"], ["predict", "IT"], ["smooth", "IT"], ["export", "IT", "--to", "trc"], ["inspect", "IT"],
    ["predict", "--calibration", "IT", "--detections", "IT", "--out", "out"], ["view", "IT", "--save", "x.rrd"],
    ["predict", "CAPTURE", "--weights", "IT", "--out", "out"], ["predict", "CAPTURE", "--calibration", "IT"],
    ["predict", "CAPTURE", "--detections", "IT", "--out", "out"], ["predict", "CAPTURE", "--pictures", "IT"],
    ["predict", "IT", "--model", "residual", "--keypoints", "IT"], ["zoo", "import", "IT", "--dataset", "shelf"],
    ["labels", "convert", "IT", "--out", "x.npz"], ["calibrate", "refine", "IT"],
    ["calibrate", "board", "IT", "--squares", "7", "5", "--square-mm", "30"],
    ["detector", "install", "--from", "IT"], ["detect", "IT", "--out", "out"],
    ["prepare", "IT"], ["prepare", "CAPTURE", "--areas", "IT"], ["prepare", "CAPTURE", "--bones", "IT"],
    ["train", "shelf", "--data", "IT", "--labels", "IT"], ["train", "--adapt", "IT"], ["train", "capture"],
    ["inspect", "IT", "--pages", "new/pages"],
)  # fmt: skip
"""Every command that reads something."""


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path.name)


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


ODD: dict[str, Callable[[Path], None]] = {"pipe": make_pipe, "socket": make_socket, "loop": make_loop,
                                          "device": make_device}  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> None:
    """Commands are imported before their processes part."""
    for module in (*(f"dispose.cli.{words[0]}" for words in COMMANDS), "dispose.training.runs"):
        importlib.import_module(module)


@pytest.fixture
def here(loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    capture = tmp_path / "capture"
    capture.mkdir()
    write_detections(capture)
    return tmp_path


def told(command: list[str], name: str) -> str:
    """How a command ends that is given this name: refused in one sentence, or badly."""
    words, before = [word.replace("IT", name).replace("CAPTURE", "capture") for word in command], there()

    def run() -> None:
        sys.stderr = open("told.txt", "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        os.dup2(sys.stderr.fileno(), 2)
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
        assert status == 2, f"status {status}"

    ending = call_bounded(run)
    return ending if there() == before else f"{ending}, but it left {there() - before}"


def there() -> set[Path]:
    """Everything below this folder but what was said: a refused command leaves nothing new."""
    return set(Path().rglob("*")) - {Path("told.txt")}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_refused(kind: str, here: Path) -> None:
    ODD[kind](here / "odd.json")
    for command in COMMANDS:
        assert told(command, "odd.json") == READ, command


@pytest.mark.parametrize("name", ["~nosuchuser/x", "a" * 300, "\udcff\x1b[2J", "a\ndispose: all is well"])
def test_odd_names_are_refused(name: str, here: Path) -> None:
    for command in COMMANDS:
        assert told(command, name) == READ, command
        said = Path("told.txt").read_text()
        assert said.splitlines()[-1].startswith("dispose: ") and "\ndispose: all" not in said, said


@pytest.mark.parametrize("out", ["link", "link/below", "loop"])
def test_links_that_lead_to_nothing_are_no_places_for_results(out: str, here: Path) -> None:
    (here / "link").symlink_to("target")
    make_loop(here / "loop")
    for command in (["predict", "CAPTURE"], ["check", "CAPTURE"], ["detect", "CAPTURE"], ["train", "smoke"], ["demo"],
                    ["notebook", "sweep", "00_start_here"]):  # fmt: skip
        assert told([*command, "--out", out], "") == READ, command
        assert f"{out.split('/')[0]}: is a link" in Path("told.txt").read_text(), command


def test_a_pipe_among_files_is_a_damaged_frame_and_no_wait(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = list((here / "capture" / "pose").glob("*_01_json"))
    first = min(one.iterdir())
    first.unlink()
    os.mkfifo(first)
    assert main(["predict", "capture", "--out", "out"]) == 0
    assert "is a pipe" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--out", ""], ["--out="], [""], ["--calibration", "", "--out", "out"]])
def test_empty_words_are_refused(words: list[str], here: Path) -> None:
    """`--out "$FOLDER"` with nothing in it would write among whatever lies here."""
    assert told(["predict", "CAPTURE", *words], "") == READ
    assert "is a variable of the shell empty?" in Path("told.txt").read_text()


@pytest.mark.parametrize("option", ["--rate-hz=1e308", "--steps=10001", "--steps=99999999999999999999"])
def test_numbers_beyond_all_measure_are_refused(option: str, here: Path) -> None:
    command = "predict" if "steps" in option else "check"
    assert told([command, "CAPTURE", option], "") == READ
    assert option.split("=")[1] in Path("told.txt").read_text()


def test_a_closed_stream_is_no_place_for_a_file(tmp_path: Path) -> None:
    """The next file that is opened would be what children print into."""
    program = "import os, sys; from dispose.cli.main import main; main(['--version']); fd = os.open('x', os.O_CREAT); "
    program += "sys.exit(fd < 3 or not all(map(os.get_inheritable, range(3))))"
    command = ["sh", "-c", f'exec "{sys.executable}" -c "{program}" <&- >&- 2>&-']
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "x").exists()


def test_any_encoding_and_any_letters_of_names_are_printed(here: Path) -> None:
    odd = here / "t\x1b]0;owned\x07ake\udcff é"
    (here / "capture").rename(odd)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "dispose.cli.main", "predict", os.fsencode(odd), "--out", os.fsencode(odd) + b"-"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\\x1b]0;owned\\x07ake\\udcff \\xe9" in done.stdout and b"\x1b" not in done.stdout + done.stderr
    command[3:4] = ["check"]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, check=False)
    assert done.returncode in (0, 1) and b"Traceback" not in done.stderr, done.stderr.decode()
