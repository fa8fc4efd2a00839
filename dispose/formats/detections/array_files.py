"""NumPy's arrays of keypoints, ``npy`` or ``npz``: frames, (people,) joints, x y (score); FreeMoCap's of all cameras.

An array whose first axis counts cameras stands in a file of its own; theirs are named by their number.
"""

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.arrays import NUMBERS
from dispose.formats.detections.keypoints import KEYS, SCORES
from dispose.formats.detections.people import DetectionView
from dispose.formats.plain_pickle import load_plain_array, load_plain_arrays

ARRAYS = (".npy", ".npz")
NAMES = (*KEYS, "poses", "data", "arr_0")
NAMES_OF_SCORES = (*SCORES, "confidence", "conf")
FORM = "keypoints are an array of frames, (people,) joints, and x, y (and score)"


def open_array(path: Path, camera: str | None) -> tuple[DetectionView, ...]:
    """The people of one camera; or of all, where none is said.

    Raises:
        InputError: the file is damaged, holds objects, or no keypoints of such a form.
    """
    table = _keypoints(path)
    if camera is not None:
        if table.ndim not in (3, 4):
            raise InputError(f"{path}: the array is {_shape(table)}; {FORM}.")
        return (_view(path, camera, table),)
    if table.ndim not in (4, 5):
        raise InputError(f"{path}: the array is {_shape(table)}; of several cameras the first axis counts them, and "
                         f"then {FORM}.")  # fmt: skip
    note = f"{path}: an array of {len(table)} cameras without names, counted from 0."
    return tuple(_view(path, str(at), one, () if at else (note,)) for at, one in enumerate(table))


def _view(
    path: Path, camera: str, table: Float[np.ndarray, "frames *people joints 3"], notes: tuple[str, ...] = ()
) -> DetectionView:
    return DetectionView(camera, dict.fromkeys(range(len(table)), path), partial(_people, table), notes=notes)


def _people(table: Float[np.ndarray, "frames *people joints 3"], number: int, place: str) -> list[object]:
    frame = table[number]
    return frame.reshape(-1, frame.shape[-2] * 3).tolist()


def _shape(table: np.ndarray) -> str:
    return " x ".join(map(str, table.shape))


def _keypoints(path: Path) -> Float[np.ndarray, "*axes joints 3"]:
    """The keypoints with scores; those beside them in an ``npz``, or 1."""
    arrays = load_plain_arrays(path) if path.suffix.lower() == ".npz" else {NAMES[-1]: load_plain_array(path)}
    known = {name: one for name, one in arrays.items() if isinstance(one, np.ndarray) and one.dtype.kind in NUMBERS}
    of_points = [name for name, one in known.items() if one.ndim > 2 and one.shape[-1] in (2, 3) and one.size]
    name = next((name for name in NAMES if name in of_points), of_points[0] if len(of_points) == 1 else None)
    if name is None:
        there = ", ".join(f"{name} {_shape(one)}" for name, one in known.items()) or "no array of numbers"
        raise InputError(f"{path}: no keypoints in it (there is {there[:200]}); {FORM}.")
    table = known[name].astype(np.float64)
    if table.shape[-1] == 3:
        return table
    beside = {one: array for one, array in known.items() if one in NAMES_OF_SCORES}
    beside = beside or {one: array for one, array in known.items() if array.shape == table.shape[:-1]}
    for score, array in beside.items():
        if array.shape != table.shape[:-1] or score not in NAMES_OF_SCORES:
            raise InputError(f"{path}: there is {score!r} of {_shape(array)} beside {name!r} of {_shape(table)}; "
                             f"scores are a number a joint, called {', '.join(NAMES_OF_SCORES)}.")  # fmt: skip
    scores = next(iter(beside.values()), np.ones(table.shape[:-1]))
    return np.concatenate([table, scores.astype(np.float64)[..., None]], -1)
