"""`dispose COMMAND …`: one file of this folder per command, imported only when it is called."""

import importlib
import inspect
import io
import os
import re
import shutil
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol, runtime_checkable

import dispose
from dispose.errors import FULL, DisposeError, InputError, OutputError, unwritable


@runtime_checkable
class Runnable(Protocol):
    """What every command is: a frozen dataclass of its options with one method."""

    def run(self) -> int:
        """Do it; the exit status."""
        ...


@dataclass(frozen=True)
class Command:
    """One row of the command table: file ``dispose/cli/<name>.py`` holds the dataclass ``<Name>Command``."""

    name: str
    summary: str
    example: str


COMMANDS = (
    Command("demo", "the whole path on a small synthetic capture, with pictures", "dispose demo --out out/demo"),
    Command("check", "look at a capture before any model does: units, axes, extrinsics", "dispose check my_capture"),
    Command("calibrate", "cameras refined by people, or from a board", "dispose calibrate refine my_capture"),
    Command("detect", "videos or images in, 2-D keypoints of everybody out", "dispose detect my_capture"),
    Command("predict", "a capture folder in, consistent 3-D people out", "dispose predict my_capture --out out/mine"),
    Command("smooth", "joints of a finished run by all of its frames", "dispose smooth out/mine"),
    Command("export", "a finished run as C3D, BVH, glTF, films and more", "dispose export out/mine --to c3d bvh gltf"),
    Command("train", "train by a recipe: for detections, or for images", "dispose train synthetic --out runs/mine"),
    Command("evaluate", "score us and the classic associators on a data set", "dispose evaluate shelf"),
    Command("bench", "time and memory: of a whole run, of association, of models and operators", "dispose bench run"),
    Command("detector", "fetch the weights of the detector, or say what is there", "dispose detector install"),
    Command("download", "fetch a data set, or say exactly how to obtain it", "dispose download shelf"),
    Command("prepare", "pseudo-labels from a capture's detections", "dispose prepare my_capture --out labels.npz"),
    Command("labels", "pseudo-labels: the released ones into our format", "dispose labels convert x.pkl --out x.npz"),
    Command("zoo", "weights: import the released ones, list what is there", "dispose zoo import x.pt --dataset shelf"),
    Command("view", "play a finished run in a viewer with timelines", "dispose view out/mine --save mine.rrd"),
    Command("inspect", "finished results frame by frame, worst first, in the browser", "dispose inspect out/mine"),
    Command("notebook", "run a notebook without a browser", "dispose notebook run 00_start_here"),
    Command("doctor", "what is installed, what is used, what to do about the rest", "dispose doctor"),
)

HELP_WIDTH = 100

# Which modules that a command may find missing an extra of the installation brings.
EXTRAS = {
    "viz": ("plotly", "kaleido", "matplotlib", "open3d"),
    "notebooks": ("papermill", "jupytext", "nbconvert", "nbclient", "nbformat", "ipywidgets", "voila", "IPython"),
    "rerun": ("rerun",),
    "train": ("lightning", "tensorboard"),
    "mocap": ("ezc3d",),
    "hdf5": ("h5py",),
    "cluster": ("submitit",),
    "scatter": ("torch_scatter",),
}


def overview() -> str:
    """The text of ``dispose --help``."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"usage: dispose COMMAND [options]      (version {dispose.__version__})", "", dispose.__doc__ or "", ""]
    for command in COMMANDS:
        lines += [f"  {command.name:<{width}}  {command.summary}", f"  {'':<{width}}    $ {command.example}"]
    lines += ["", "Every command explains its options: dispose predict --help"]
    return "\n".join(lines)


def parse(command: Command, arguments: Sequence[str]) -> Runnable:
    """The command's dataclass with the options of the command line."""
    # Imported here: `dispose --help` and the tests of other commands should not wait for it.
    import tyro

    # Of a notebook's parameters a text may be empty.
    if command.name != "notebook" and any(not word or re.fullmatch("--[^=]*=", word) for word in arguments):
        raise InputError("an empty word stands among the options; is a variable of the shell empty?")
    module = importlib.import_module(f"dispose.cli.{command.name}")
    kind = vars(module)[f"{command.name.capitalize()}Command"]
    if {"-h", "--help"} & set(arguments):
        # tyro would join the lines of a docstring and wrap none of them.
        print(f"{wrap(inspect.getdoc(kind) or command.summary)}\n\nExample:\n\n    $ {command.example}\n")
    return tyro.cli(kind, prog=f"dispose {command.name}", description="", args=list(arguments))


def wrap(text: str) -> str:
    """Paragraphs filled to the width of the terminal; indented lines stay as they are."""
    width = min(shutil.get_terminal_size().columns, HELP_WIDTH)
    paragraphs = text.strip("\n").split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else textwrap.fill(part, width) for part in paragraphs)


def complain(sentence: str) -> int:
    """One sentence for the user on the error stream; the exit status of a refused run."""
    print(f"dispose: {sentence.translate(CONTROLS)}", file=sys.stderr)
    return 2


CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
"""Characters by which a name in a file could command the terminal, as they are shown instead."""


class PlainTerminal(io.TextIOWrapper):
    """Standard output on which names of files and of cameras are read, and do nothing."""

    def write(self, text: str, /) -> int:
        """Write what can be shown; of anything else its number stands there."""
        super().write(text.translate(CONTROLS))
        return len(text)


@contextmanager
def plain_terminal() -> Iterator[None]:
    """Whatever is printed while the block runs is plain text, in any encoding of the terminal."""
    usual = sys.stdout
    if not isinstance(usual, io.TextIOWrapper):
        yield
        return
    usual.flush()
    sys.stdout = PlainTerminal(usual.buffer, usual.encoding, "backslashreplace", line_buffering=usual.line_buffering)
    try:
        yield
    finally:
        if isinstance(sys.stdout, PlainTerminal):
            # The buffer lives on.
            sys.stdout.detach()
            sys.stdout = usual


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command line; returns the exit status.

    0: done; 1: done, and the answer is no (a check failed); 2: refused, with one sentence on the error stream;
    130: interrupted; 143: asked to end (SIGTERM).
    """
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(dispose.__version__)
        return 0
    chosen = [command for command in COMMANDS if command.name == words[0]]
    if not chosen:
        names = ", ".join(command.name for command in COMMANDS)
        return complain(f"there is no command {words[0]!r}; there are {names}.")
    return call(chosen[0], words[1:])


def open_standard_streams() -> None:
    """Where somebody closed one (`>&-`), the next file would take its number, and what children print go into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def call(command: Command, arguments: Sequence[str]) -> int:
    """Parse and run one command; errors raised on purpose become one sentence."""
    from dispose_kernels.errors import BackendError

    try:
        with unwind_on_sigterm(), plain_terminal():
            return parse(command, arguments).run()
    except (InputError, OutputError) as error:
        # One sentence: a line more comes from a name of a file.
        return complain(str(error).replace("\n", "\\n"))
    except (DisposeError, BackendError) as error:
        return complain(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = next((extra for extra, packages in EXTRAS.items() if package in packages), None)
        if extra is None:
            raise
        install = f"pip install 'dispose[{extra}]'"
        return complain(f"`dispose {command.name}` needs the package {package}, which is not installed: {install}")
    except BrokenPipeError:
        # Somebody closed the pipe (`dispose … | head`); Python would complain once more when it flushes at exit.
        sys.stdout = None
        return 141
    except RuntimeError as error:
        # What `Path.resolve` and `expanduser` raise.
        if not str(error).startswith(("Symlink loop", "Could not determine home")):
            raise
        return complain(f"a path cannot be followed: {error}")
    except OSError as error:
        if error.filename is not None and error.errno not in FULL:
            return complain(f"{error.strerror}: {error.filename}".replace("\n", "\\n"))
        if error.errno not in FULL:
            raise
        return complain(str(unwritable(Path(error.filename or "a file"), error)))
    except KeyboardInterrupt:
        print("\ndispose: interrupted; files already written are complete.", file=sys.stderr)
        return 130
    except Terminated:
        print("\ndispose: ended by SIGTERM; files already written are complete.", file=sys.stderr)
        return 143


class Terminated(BaseException):
    """Somebody asked the process to end; no `Exception`, so that nothing on the way mistakes it for an error."""


@contextmanager
def unwind_on_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the stack, so that temporary files go and processes we started end, instead of dying at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
