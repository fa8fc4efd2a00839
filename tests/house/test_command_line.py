"""`dispose` without a traceback: help that teaches, one sentence per error, statuses that scripts can use."""

import importlib
import importlib.metadata
import inspect
import os
import signal
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError, dataclass, is_dataclass
from pathlib import Path

import pytest

from dispose.cli import main as cli
from dispose.errors import InputError
from dispose.formats.files import replacing
from dispose_kernels.errors import BackendError


@dataclass(frozen=True)
class Failing:
    """A command that raises what it is given."""

    error: BaseException

    def run(self) -> int:
        """Fail."""
        raise self.error


def status_of(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit status of a command that raises."""
    monkeypatch.setattr(cli, "parse", lambda command, arguments: Failing(error))
    return cli.main(["doctor"])


def test_help_shows_every_command_with_an_example(capsys: pytest.CaptureFixture[str]):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert command.summary in text
        assert f"$ {command.example}" in text
        assert command.example.split()[:2] == ["dispose", command.name]


def test_help_imports_neither_torch_nor_a_command():
    code = (
        "import sys; from dispose.cli.main import main; main([]); print('torch' in sys.modules, 'tyro' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False"


def test_command_help_ends_with_the_example(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor", "--help"])
    assert stop.value.code == 0
    assert "Example:\n\n    $ dispose doctor\n" in capsys.readouterr().out


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_is_a_frozen_dataclass_that_runs(command: cli.Command):
    kind = vars(importlib.import_module(f"dispose.cli.{command.name}"))[f"{command.name.capitalize()}Command"]
    assert isinstance(kind, type) and issubclass(kind, cli.Runnable)
    assert is_dataclass(kind)
    assert inspect.getdoc(kind)
    with pytest.raises(FrozenInstanceError):
        kind.__setattr__(object.__new__(kind), "anything", 1)


def test_examples_of_the_overview_are_accepted():
    for command in cli.COMMANDS:
        assert isinstance(cli.parse(command, command.example.split()[2:]), cli.Runnable), command


def test_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["predcit"]) == 2
    assert "'predcit'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        InputError("pose/cam01_json: frame 7 is no JSON"),
        BackendError("torch-scatter is not installed"),
        FileNotFoundError(2, "No such file or directory", "my_capture"),
        ModuleNotFoundError("No module named 'papermill'", name="papermill"),
    ],
)
def test_errors_for_the_user_are_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert status_of(error, monkeypatch) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("dispose: ")
    assert sentence.count("\n") == 1
    assert "Traceback" not in sentence


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    status_of(ModuleNotFoundError("No module named 'lightning.x'", name="lightning.x"), monkeypatch)
    assert "pip install 'dispose[train]'" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("ours"), ModuleNotFoundError("ours", name="dispose.nowhere")])
def test_defects_of_ours_keep_their_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(type(error)):
        status_of(error, monkeypatch)


@dataclass(frozen=True)
class Ended:
    """A command that is asked to end in the middle of writing."""

    path: Path

    def run(self) -> int:
        """Write half a file."""
        with replacing(self.path) as file:
            file.write("half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return 0


def test_a_request_to_end_is_143_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(cli, "parse", lambda command, arguments: Ended(tmp_path / "file"))
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["doctor"]) == 143
    assert capsys.readouterr().err.strip() == "dispose: ended by SIGTERM; files already written are complete."
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--views", "1"], "--views is 1; numbers from 2 on"),
        (["--views", "3", "0"], "--views is 3 0; numbers from 2 on"),
        (["--views"], "--views is empty"),
        (["--persons", "0"], "--persons is 0; numbers from 1 on"),
        (["--persons", "-2"], "--persons is -2; numbers from 1 on"),
    ],
)
def test_a_bench_of_nothing_is_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["bench", "association", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("words", [["bench", "association", "--repeats"], ["train", "smoke", "--workers"]])
@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_counts_start_at_one(words: list[str], count: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        cli.main([*words, count])
    assert stop.value.code == 2
    assert f"a whole number from 1 to 1e9 is expected, not '{count}'" in capsys.readouterr().err


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_help_fits_the_terminal(
    command: cli.Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        cli.main([command.name, "--help"])
    text = capsys.readouterr().out
    # A list of choices cannot be broken.
    assert not [line for line in text.splitlines() if len(line) > 100 and "{" not in line]
    assert "{None}" not in text and "default: None" not in text


def test_interruption_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert status_of(KeyboardInterrupt(), monkeypatch) == 130
    assert "interrupted" in capsys.readouterr().err


def test_extras_of_missing_packages_exist():
    assert set(cli.EXTRAS) <= set(importlib.metadata.metadata("dispose").get_all("Provides-Extra") or [])
