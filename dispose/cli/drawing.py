"""Drawing by the package of pictures, in a process of its own: the library itself never imports what draws."""

import os
import subprocess
import sys

PLAIN = {"PYTHONIOENCODING": "utf-8:surrogateescape"}


def draw(module: str, *words: object) -> int:
    """Start a module with words and print what it prints as plain text, in any encoding of the terminal; its status."""
    command = [sys.executable, "-m", module, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **PLAIN}, text=True,
                          encoding="utf-8", errors="surrogateescape") as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
        except BaseException:
            # Nobody reads on (`dispose … | head`), or somebody interrupts.
            process.kill()
            raise
    return process.returncode
