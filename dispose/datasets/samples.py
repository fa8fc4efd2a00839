"""The captures that lie in the repository itself: small, synthetic, and enough to try everything."""

from pathlib import Path

import dispose
from dispose.errors import InputError

SAMPLES = Path(dispose.__file__).resolve().parents[1] / "data" / "samples"


def sample_folder(name: str) -> Path:
    """The capture folder of an embedded sample.

    Raises:
        InputError: there is none of that name (or this is no checkout); the message lists those that are there.
    """
    names = sorted(path.name for path in SAMPLES.iterdir() if path.is_dir()) if SAMPLES.is_dir() else []
    if name not in names:
        raise InputError(f"{SAMPLES}: there is no sample {name!r} (there are: {', '.join(names) or 'none'}).")
    return SAMPLES / name
