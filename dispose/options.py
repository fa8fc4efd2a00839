"""Kinds of options that several commands share: what they are called in the help, and what they refuse."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from dispose.errors import InputError

Number = TypeVar("Number", int, float)


def _number(
    kind: type[Number], metavar: str, wanted: str, fits: Callable[[Number], bool]
) -> PrimitiveConstructorSpec[Number]:
    """Numbers of some kind that fit, and what is said of a word that is none."""

    def read(words: list[str]) -> Number:
        with suppress(ValueError):
            if fits(kind(words[0])):
                return kind(words[0])
        raise ValueError(f"{wanted} is expected, not {words[0]!r}")

    def held(value: object) -> bool:
        return value is None or isinstance(value, kind)

    return PrimitiveConstructorSpec[Number](1, metavar, read, held, lambda value: [str(value)])


FROM_0 = {"least": 0}
"""Metadata of a field that counts something and may be 0, for `--set`."""

MOST = 10**9
"""No rate, length, ratio or number of anything is larger."""

_POSITIVE = _number(float, "NUMBER", "a positive number up to 1e9", lambda value: 0 < value <= MOST)
_COUNT = _number(int, "COUNT", "a whole number from 1 to 1e9", lambda value: 1 <= value <= MOST)


def one_of(*names: str) -> PrimitiveConstructorSpec[str]:
    """An option that takes one of some names."""
    return PrimitiveConstructorSpec[str](
        1, "{" + ",".join(names) + "}", lambda words: words[0], lambda value: value in names, lambda value: [value],
        choices=names,
    )  # fmt: skip


# Optional ones say in their help what happens without them; "default: None" says nothing.
CaptureArgument = Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="CAPTURE", help_behavior_hint="")]
PathOption = Annotated[Path | None, tyro.conf.arg(metavar="PATH", help_behavior_hint="")]
TextOption = Annotated[str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
NamesOption = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=NAME", help_behavior_hint="")]
PositiveOption = Annotated[float | None, _POSITIVE, tyro.conf.arg(help_behavior_hint="")]
CountOption = Annotated[int | None, _COUNT, tyro.conf.arg(help_behavior_hint="")]
Count = Annotated[int, _COUNT]
Positive = Annotated[float, _POSITIVE]


def require_folder(folder: Path) -> Path:
    """The folder for results, before hours of work go into what could not be written there.

    Raises:
        InputError: the path, or one above it, is a file, or a link that leads to nothing.
    """
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            raise InputError(f"{place}: is a link to {os.readlink(place)}, where nothing is; name another with --out.")
        if place.exists():
            if not place.is_dir():
                raise InputError(f"{place}: is a file; the results go into a folder, name another with --out.")
            break
    return folder
