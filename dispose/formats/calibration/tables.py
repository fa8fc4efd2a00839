"""What calibrations that name a camera's numbers have in common: which cameras are whole, and misspelt names."""

import math
from collections.abc import Callable, Collection, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, size_from_principal_point
from dispose.formats.entry import Entry, almost, goes_on, short

LEAST_OF_A_MATRIX = 9


class IncompleteCameraError(Exception):
    """Why a camera cannot be used although nothing about it is wrong: it says what it lacks."""


def usable_cameras(
    entries: Iterable[tuple[str, Entry]], read: Callable[[str, Entry], CameraParameters]
) -> tuple[tuple[CameraParameters, ...], tuple[str, ...]]:
    """The cameras that are whole, and a sentence for every other one; `InputError` for one that is wrong."""
    views, notes = [], []
    for name, entry in entries:
        try:
            views.append(read(name, entry))
        except IncompleteCameraError as lack:
            notes.append(f"camera {name} is left out: {lack}.")
    return tuple(views), tuple(notes)


def is_null(value: object) -> bool:
    """Whether a value says that it is not known: null, also as a text, or nothing but that."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "null", "none", "nan")
    if isinstance(value, list):
        return all(is_null(one) for one in value)
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_unknown(value: object) -> bool:
    """Whether numbers say that they are not known: one is NaN or infinite, or a matrix is all zeros."""
    rows = value if isinstance(value, list) else [value]
    flat = [one for row in rows for one in (row if isinstance(row, list) else [row])]
    if any(isinstance(one, float) and not math.isfinite(one) for one in flat):
        return True
    return len(flat) >= LEAST_OF_A_MATRIX and all(one == 0 and not isinstance(one, bool) for one in flat)


def needed(camera: Entry, key: str) -> Entry:
    """A named entry of a camera that is useless without it."""
    if not camera.has(key) or is_null(camera.at(key).value):
        raise IncompleteCameraError(f"it has no {key}")
    if is_unknown(camera.at(key).value):
        raise IncompleteCameraError(f"its {key} is {short(camera.at(key).value)}: it was not calibrated")
    return camera.at(key)


def refuse_misspelt(camera: Entry, known: Collection[str]) -> None:
    """Raise `InputError` where a name that we do not know is all but one that is missing, or begins like it."""
    missing = tuple(key for key in known if not camera.has(key))
    for key in camera.keys():  # noqa: SIM118
        if key not in known and (close := almost(key, missing) or goes_on(key, missing)):
            raise InputError(f"{camera.place}: there is {key!r}, but no {close!r}; is it misspelt?")


def size_or_guess(camera: Entry, key: str, matrix: Float[Tensor, "3 3"]) -> tuple[Float[Tensor, " 2"], bool]:
    """The image's size, and whether it had to be guessed by the principal point."""
    if camera.has(key) and not is_null(camera.at(key).value):
        return camera.at(key).numbers(2), False
    return size_from_principal_point(matrix), True


def numbers_or_none(camera: Entry, key: str) -> Float[Tensor, " count"]:
    """The numbers of a named entry of a camera; none where it is missing or an empty list.

    `IncompleteCameraError` where it is null: that says that it is not known, not that there is nothing.
    """
    if camera.has(key) and is_null(camera.at(key).value) and camera.at(key).value != []:
        raise IncompleteCameraError(f"its {key} is {short(camera.at(key).value)} (write [] where it has none)")
    return camera.at(key).numbers() if camera.has(key) else torch.zeros(0, dtype=torch.float64)
