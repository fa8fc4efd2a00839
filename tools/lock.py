"""Rewrite constraints.txt: one set of pinned versions for Linux, macOS and Windows, with CPU and with CUDA torch.

torch is pinned here by hand, because a CPU build of it may lie on this machine only; its CUDA parts are left to
torch's own metadata, so that one file serves both builds. The pin of Triton, which the tests use without CUDA too,
is the one this torch asks for. Nothing of this machine gets into the file.
Pins that still fit stay as they are; `--upgrade` renews them all.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "constraints.txt"
TORCH = "torch==2.13.0"
LEFT_TO_TORCH = re.compile(r"^(nvidia-|cuda-)")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder) / "torch.txt"
        pin.write_text(TORCH + "\n")
        output = Path(folder) / "constraints.txt"
        if TARGET.exists():
            output.write_text(TARGET.read_text())
        command = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--universal", "--python-version", "3.11"]
        command += ["--all-extras", "--no-annotate", "--no-header", "-c", str(pin), "-o", str(output)]
        done = subprocess.run([*command, *sys.argv[1:], "pyproject.toml"], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.stderr.write(done.stderr)
            return done.returncode
        lines = [line for line in output.read_text().splitlines() if line and not LEFT_TO_TORCH.match(line)]
    temporary = TARGET.with_suffix(".txt.new")
    temporary.write_text("\n".join(lines) + "\n")
    os.replace(temporary, TARGET)
    print(f"{len(lines)} pins in {TARGET.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
