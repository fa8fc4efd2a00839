"""Tables of joints, a column per joint and coordinate, as they are called: ``nose.x``, ``NOSE_visibility``, ``x_nose``.

SLEAP's csv is one, with a row per frame and person, and what people write of MediaPipe's landmarks, a row per frame.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.detections.joint_names import FEWEST_NAMED, joints_called
from dispose.formats.detections.keypoints import misspelt
from dispose.formats.entry import almost, number_of, short

FRAME_COLUMNS = (
    "frame", "frameidx", "frameid", "frameindex", "framenumber", "framenum",
    "image", "imageid", "imagename", "filename",
)  # fmt: skip
COORDS = ("x", "y", "likelihood")
SCORES = ("likelihood", "score", "confidence", "conf", "visibility", "vis", "v", "prob", "probability")

EMPTIEST = 20
"""A table of frames and people may have so many times more places than it has rows."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table: a row per image, and of every column the individual, the joint and the coordinate (`COORDS`)."""

    images: tuple[int | str, ...]
    columns: tuple[tuple[str, str, str], ...]
    values: Float[np.ndarray, "images columns"]


def number_in_table(word: str, *, comma: bool = False) -> float:
    """A number of a table, NaN for what is none; `comma` where that may stand before the decimals."""
    try:
        return number_of(word.replace(",", ".") if comma else word)
    except ValueError:
        return float("nan")


def sheet_of_names(path: Path, table: Sequence[Sequence[str]], *, comma: bool) -> Sheet | None:
    """The people of a table whose first row names joints and coordinates; None where hardly any does.

    Without a column of frames rows are frames, counted from 0. Several rows of a frame are several people, in order.

    Raises:
        InputError: so many rows are of one frame that the table would take memory out of all proportion.
    """
    called = {at: _joint_and_coord(word) for at, word in enumerate(table[0])} if table else {}
    named = {at: one for at, one in called.items() if one is not None}
    both = {part for part, coord in named.values() if coord == "x"} & {p for p, c in named.values() if c == "y"}
    if sum(bool(joints_called(part)) for part in both) < FEWEST_NAMED:
        return None
    _refuse_misspelt(path, table[0], called, both)
    plain = [_plain(word) for word in table[0]]
    frame = next((plain.index(word) for word in FRAME_COLUMNS if word in plain), None)
    rows: dict[int | str, list[Sequence[str]]] = {}
    for at, row in enumerate(table[1:]):
        rows.setdefault(at if frame is None else _image(row[frame] if frame < len(row) else ""), []).append(row)
    most = max(map(len, rows.values()), default=1)
    if len(rows) * most > EMPTIEST * len(table) + 10_000:
        where = next(image for image, people in rows.items() if len(people) == most)
        raise InputError(f"{path}: {most} rows are of frame {short(where)}; a row per person is expected.")
    return _sheet(rows, {at: one for at, one in named.items() if one[0] in both}, most, comma=comma)


def _refuse_misspelt(
    path: Path, words: Sequence[str], called: Mapping[int, tuple[str, str] | None], both: set[str]
) -> None:
    """Raise `InputError` where a joint has an x and no y, or something that is almost called its score."""
    scored = {one[0] for one in called.values() if one is not None and one[1] == COORDS[2]}
    if scored & both:
        for part in sorted(scored - both):
            if close := almost(part, tuple(sorted(both - scored))):
                raise InputError(f"{path}: there is a score of {part!r}, but none of {close!r}; is it misspelt?")
    for at, one in called.items():
        if one is not None and one[1] in COORDS[:2] and one[0] not in both and joints_called(one[0]):
            raise InputError(f"{path}: there is a column {short(words[at])}, but not both x and y of {one[0]!r}.")
        parts = tuple(re.split(r"[^A-Za-z0-9]+", words[at])) if one is None else ()
        for coord, joint in ((parts[-1:], parts[:-1]), (parts[:1], parts[1:])):
            if " ".join(joint) in both and (said := misspelt(coord, SCORES)):
                raise InputError(f"{path}: column {short(words[at])}: {said}")


def _sheet(
    rows: Mapping[int | str, Sequence[Sequence[str]]], named: Mapping[int, tuple[str, str]], most: int, *, comma: bool
) -> Sheet:
    width = len(named)
    values = np.full((len(rows), most * width), np.nan)
    for line, people in enumerate(rows.values()):
        for person, row in enumerate(people):
            words = [row[at] if at < len(row) else "" for at in named]
            values[line, person * width : (person + 1) * width] = [number_in_table(w, comma=comma) for w in words]
    columns = tuple((str(person), *one) for person in range(most) for one in named.values())
    return Sheet(tuple(rows), columns, values)


def _plain(word: str) -> str:
    return re.sub(r"[^a-z]", "", word.lower())


def _image(word: str) -> int | str:
    """A frame's number, also where it was saved as 12.0; or an image's name."""
    number = number_in_table(word)
    return int(number) if number.is_integer() and abs(number) < 1e18 else word.strip()


def _joint_and_coord(word: str) -> tuple[str, str] | None:
    """``nose.x`` and ``x_nose`` as nose and x, ``NOSE_visibility`` as NOSE and likelihood; None for other columns."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", word) if part]
    for coord, joint in ((parts[-1:], parts[:-1]), (parts[:1], parts[1:])):
        said = coord[0].lower() if coord and joint else ""
        if said in (*COORDS[:2], *SCORES):
            return " ".join(joint), said if said in COORDS[:2] else COORDS[2]
    return None
