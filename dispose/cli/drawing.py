"""Drawing by the package of pictures, in a process of its own: the library itself never imports what draws."""

import os
import runpy
import subprocess
import sys
import threading

PLAIN = {"PYTHONIOENCODING": "utf-8:surrogateescape"}


def draw(module: str, *words: object) -> int:
    """Start a module with words and print what it prints as plain text, in any encoding of the terminal; its status."""
    command = [sys.executable, "-m", __name__, module, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **PLAIN},
                          text=True, encoding="utf-8", errors="surrogateescape") as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
        except BaseException:
            # Nobody reads on (`dispose … | head`), or somebody interrupts.
            process.kill()
            raise
    return process.returncode


def _end_with_whoever_started_us() -> None:
    """Wait for the end of the input, which comes when its other end is closed: a film is drawn for minutes."""
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_whoever_started_us, daemon=True).start()
    drawn = sys.argv.pop(1)
    runpy.run_module(drawn, run_name="__main__", alter_sys=True)
