"""A parsed value that knows where it stands in its file, so that every complaint can say so."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.files import parse_json, read_text

MOST_WHOLE = 10**18 - 1
LEAST_WHOLE = -MOST_WHOLE
"""Whole numbers of up to 18 digits fit into an array of integers."""

ALIKE, VERY_ALIKE = 0.75, 0.85
"""From that likeness (difflib's ratio) on two names are one, misspelt: where all names of a format are known, and where
files say more than we know."""

LEAST_OF_A_START = 4
"""Letters: `distortion` stands for a missing `dist`; names of one letter begin many others."""


@dataclass(frozen=True)
class Entry:
    """A value of a JSON or TOML file together with the place it was found at.

    Attributes:
        place: the file and the keys that lead to the value, as shown to the user.
        value: the parsed value.
    """

    place: str
    value: object

    @staticmethod
    def of_json(path: Path) -> "Entry":
        """The whole of a JSON file."""
        return Entry(str(path), parse_json(read_text(path), str(path)))

    def _mapping(self) -> Mapping[str, object]:
        if not isinstance(self.value, Mapping):
            raise InputError(f"{self.place}: an object with named entries is expected, not {short(self.value)}.")
        return self.value

    def keys(self) -> tuple[str, ...]:
        """Names of the entries of an object."""
        return tuple(self._mapping())

    def entries(self) -> Iterator[tuple[str, "Entry"]]:
        """Names and entries of an object."""
        for key, value in self._mapping().items():
            yield key, Entry(f"{self.place}: {key}", value)

    def has(self, key: str) -> bool:
        """Whether this is an object with that entry."""
        return isinstance(self.value, Mapping) and key in self.value

    def at(self, key: str) -> "Entry":
        """A named entry; `InputError` lists the names where it is missing."""
        mapping = self._mapping()
        if key not in mapping:
            known = ", ".join(list(mapping)[:8]) or "nothing"
            raise InputError(f"{self.place}: no {key!r} (there is {known}).")
        return Entry(f"{self.place}: {key}", mapping[key])

    def items(self) -> Iterator["Entry"]:
        """The elements of a list, numbered from 0."""
        for number, value in enumerate(self.values()):
            yield Entry(f"{self.place}: {number}", value)

    def values(self) -> list[object]:
        """The elements of a list as they were parsed."""
        if not isinstance(self.value, list):
            raise InputError(f"{self.place}: a list is expected, not {short(self.value)}.")
        return self.value

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str):
            raise InputError(f"{self.place}: a text is expected, not {short(self.value)}.")
        return self.value

    def flag(self) -> bool:
        """True or false, not as a text."""
        if not isinstance(self.value, bool):
            raise InputError(f"{self.place}: true or false is expected, not {short(self.value)}.")
        return self.value

    def number(self) -> float:
        """A finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise InputError(f"{self.place}: a number is expected, not {short(self.value)}.")
        try:
            value = float(self.value)
        except OverflowError as error:
            raise InputError(f"{self.place}: is {short(self.value)}, which no float holds.") from error
        if not math.isfinite(value):
            raise InputError(f"{self.place}: is {self.value}.")
        return value

    def share(self) -> float:
        """A number from 0 to 1, such as a score."""
        value = self.number()
        if not 0 <= value <= 1:
            raise InputError(f"{self.place}: is {short(self.value)}; a number from 0 to 1 is expected.")
        return value

    def whole(self, *, least: int = LEAST_WHOLE) -> int:
        """A whole number from `least` on that an array of integers can hold."""
        value = self.number()
        if value != int(value):
            raise InputError(f"{self.place}: a whole number is expected, not {short(self.value)}.")
        # Not through a float, which would round large ones.
        number = self.value if isinstance(self.value, int) else int(value)
        if not least <= number <= MOST_WHOLE:
            bound = f"from {least} on" if number < least and least != LEAST_WHOLE else "of at most 18 digits"
            raise InputError(f"{self.place}: a whole number {bound} is expected, not {short(self.value)}.")
        return number

    def numbers(self, *lengths: int) -> Float[Tensor, " count"]:
        """A list, or nested lists, of finite numbers, flattened; the count is one of `lengths`."""
        # Rows of different lengths stay lists, which are no numbers.
        flat = np.array(self.value, dtype=object).reshape(-1)
        wrong = [value for value in flat if isinstance(value, bool) or not isinstance(value, int | float)]
        try:
            array = np.zeros(0) if wrong else flat.astype(np.float64)
        except OverflowError:
            wrong = [self.value]
        if wrong:
            raise InputError(f"{self.place}: numbers are expected, not {short(wrong[0])}.")
        if lengths and len(array) not in lengths:
            wanted = " or ".join(str(length) for length in lengths)
            raise InputError(f"{self.place}: {wanted} numbers are expected, there are {len(array)}.")
        if not np.isfinite(array).all():
            wrong = int(np.argmin(np.isfinite(array)))
            raise InputError(f"{self.place}: number {wrong + 1} is {array[wrong]}.")
        return torch.from_numpy(array)

    def numbers_or_none(self, key: str, *lengths: int) -> Float[Tensor, " count"]:
        """The numbers of a named entry (see `numbers`); none where there is no such entry."""
        return self.at(key).numbers(*lengths) if self.has(key) else torch.zeros(0, dtype=torch.float64)

    def matrix(self) -> Float[Tensor, "3 3"]:
        """A 3x3 matrix of finite numbers."""
        return self.numbers(9).reshape(3, 3)


def number_of(word: str) -> float:
    """A number as all programs write it; `ValueError` for what is none: ``1_000`` is one in Python alone."""
    if "_" in word or not word.isascii():
        raise ValueError(f"{short(word)} is no number")
    return float(word)


@lru_cache(maxsize=4096)  # the cameras of a rig, and the people of a recording, have the same names again and again
def almost(name: str, known: tuple[str, ...], alike: float = ALIKE) -> str:
    """Which of the known names another one is, misspelt; empty where it is none of them."""
    word = name.lower()[:40]
    return next((one for one in known if get_close_matches(word, [one.lower()], 1, alike)), "")


def goes_on(name: str, known: tuple[str, ...]) -> str:
    """Which of the known names another one begins with; empty where it is none of them."""
    return next((one for one in known if len(one) >= LEAST_OF_A_START and name.lower().startswith(one.lower())), "")


def short(value: object) -> str:
    """A value as it is shown in a complaint."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
