"""Laws of writing alone: the second is refused, nobody is refused for ever, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from dispose.cli.main import main
from dispose.errors import InputError, OutputError
from dispose.formats.folders import lock_folder

HOLD = "import sys, time; from pathlib import Path; from dispose.formats.folders import lock_folder\n"
HOLD += "with lock_folder(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_one_at_a_time_and_then_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        with lock_folder(tmp_path / "run"):
            with pytest.raises(InputError, match="another run is writing"), lock_folder(tmp_path / "run"):
                pass
            with lock_folder(tmp_path / "other"):
                pass
    assert not list(tmp_path.iterdir())


def test_a_killed_process_keeps_nobody_out(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with pytest.raises(InputError, match="another run"), lock_folder(tmp_path / "run"):
        pass
    process.kill()
    process.communicate()
    with lock_folder(tmp_path / "run"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"), lock_folder(tmp_path / "file" / "run"):
        pass


def test_two_trainings_do_not_share_a_folder(tmp_path: Path, capsys) -> None:
    with lock_folder(tmp_path / "run"):
        assert main(["train", "smoke", "--out", str(tmp_path / "run")]) == 2
    assert "another run is writing" in capsys.readouterr().err and not list(tmp_path.iterdir())
