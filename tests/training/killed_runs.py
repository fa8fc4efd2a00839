"""Training runs as commands of their own, and how they are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(recipe: str, folder: Path, *launcher: str) -> list[str]:
    return [sys.executable, *launcher, "-m", "dispose.cli.main", "train", recipe, "--out", str(folder)]


def run_whole(recipe: str, folder: Path) -> None:
    subprocess.run(command(recipe, folder), env=ENVIRONMENT, check=True, capture_output=True)


def killed_when(recipe: str, folder: Path, sign: Path) -> None:
    """Start a run and kill it as soon as a file appears."""
    process = subprocess.Popen(
        command(recipe, folder), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    for _ in range(6000):
        if sign.exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
