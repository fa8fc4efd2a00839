"""ruff, pyright and import-linter have nothing to say. They run inside pytest so that its summary ends the run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

COMMANDS = {
    "ruff check": [BIN / "ruff", "check", "--no-cache", "."],
    "ruff format": [BIN / "ruff", "format", "--no-cache", "--check", "."],
    "pyright": [BIN / "pyright", "--pythonpath", sys.executable],
    "import-linter": [BIN / "lint-imports", "--no-cache"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_linter_is_silent(name: str):
    done = subprocess.run(COMMANDS[name], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{name}:\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
