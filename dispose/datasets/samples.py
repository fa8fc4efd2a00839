"""The captures that lie in the repository itself: small, synthetic, and enough to try everything."""

from pathlib import Path

import dispose
from dispose.errors import InputError

CLONE = "clone it and run `make demo` there"
SAMPLES = Path(dispose.__file__).resolve().parents[1] / "data" / "samples"


def sample_folder(name: str) -> Path:
    """The capture folder of an embedded sample.

    Raises:
        InputError: there is none of that name (or this is no checkout); the message lists those that are there.
    """
    if not SAMPLES.is_dir():
        raise InputError(f"the sample {name!r} lies in the project's repository, not in this package: {CLONE}.")
    names = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir())
    if name not in names:
        raise InputError(f"{SAMPLES}: there is no sample {name!r} (there are: {', '.join(names) or 'none'}).")
    return SAMPLES / name
