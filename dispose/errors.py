"""One family of exceptions: everything `dispose` raises on purpose is a `DisposeError`.

The command line prints the message of a `DisposeError` as one sentence and no traceback;
any other exception is a defect of ours.
"""

import errno
from pathlib import Path


class DisposeError(Exception):
    """Base of every error raised on purpose."""


class InputError(DisposeError):
    """A file or value handed in by the user is wrong; the message names file, camera, frame and value."""


class OutputError(DisposeError):
    """A result cannot be written; the message names the file and why. What was there before is still there."""


class ShapeError(DisposeError):
    """Two tensors or records disagree in size; the message shows both sizes."""


class MissingBackendError(DisposeError):
    """A backend or optional package asked for by name is not installed; the message says what to do."""


class ConvergenceError(DisposeError):
    """An iterative solver stopped before its tolerance; the message shows what was left."""


class DownloadError(DisposeError):
    """A file cannot be had from the network, or is not the file it should be; the message names the address."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""How a file system says that there is no room."""


def unwritable(path: Path, error: OSError) -> OutputError:
    """The failure in one sentence, which says what to do where there is no room."""
    how = "; make room and give the same command again" if error.errno in FULL else ""
    return OutputError(f"{path}: cannot be written ({error.strerror or error}){how}.")
