"""DeepLabCut's tables, csv or h5: a row per frame, columns of scorer, (individual,) body part and x, y, likelihood.

Also tables whose columns are called after joints in another way, and SLEAP's h5.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.detections.joint_names import NamedJoints, named_joints
from dispose.formats.detections.named_columns import COORDS, Sheet, number_in_table, sheet_of_names
from dispose.formats.detections.people import NO_FRAME, DetectionView, Odd
from dispose.formats.detections.views import number_in
from dispose.formats.entry import MOST_WHOLE, short
from dispose.formats.files import read_text
from dispose.formats.hdf5 import hdf5_array, open_hdf5, stored_array, whole_array
from dispose.formats.plain_pickle import unpickled

LEVELS = ("scorer", "individuals", "bodyparts", "coords")
ONLY = "the only one"
SLEAP = {"tracks", "node_names"}
MADE_UP = (np.nan, 0.0, 1.0)
"""Values that stand behind those of every row: no number, not seen, sure."""

TABLE, BLOCK = "table", "block0_values"
"""Where pandas puts the numbers, in its two ways of writing HDF5."""


def camera_of(path: Path) -> str:
    """The video's name, which DeepLabCut puts before its own, and SLEAP before ``analysis``."""
    return path.stem.split("DLC")[0].removesuffix(".analysis").rstrip("_-. ") or path.stem


def open_deeplabcut(path: Path, camera: str | None = None) -> DetectionView:
    """The people of a table, by frame.

    Raises:
        MissingBackendError: an h5 file without the package h5py.
        InputError: it is another table, its body parts are not those of people, or no row says its frame.
    """
    sheet = _read_csv(path) if path.suffix.lower() == ".csv" else _read_h5(path)
    if not {"x", "y"} <= {coord for _, _, coord in sheet.columns} <= set(COORDS):
        raise InputError(f"{path}: its columns are {', '.join(sorted({c for *_, c in sheet.columns}))}, not x, y and "
                         "likelihood in pixels.")  # fmt: skip
    parts = tuple(dict.fromkeys(part for _, part, _ in sheet.columns))
    joints = named_joints(parts)
    if joints is None:
        raise InputError(f"{path}: its body parts ({', '.join(parts[:12])}) are not those of people.")
    rows, lost = _rows_of_frames(sheet, path)
    who = tuple(dict.fromkeys(individual for individual, _, _ in sheet.columns))
    places = [_places(sheet, individual, parts, joints) for individual in who]
    return DetectionView(
        camera or camera_of(path),
        dict.fromkeys(sorted(rows), path),
        partial(_people, np.hstack([sheet.values, np.tile(MADE_UP, (len(sheet.values), 1))]), rows, places),
        joints.skeleton,
        odd=(Odd(NO_FRAME, len(lost), lost[0]),) if lost else (),
        notes=joints.notes(str(path), "body parts"),
    )


def _places(sheet: Sheet, individual: str, parts: Sequence[str], joints: NamedJoints) -> list[int]:
    """For every value of a person its column: x, y, likelihood of the skeleton's joints, or one of `MADE_UP`.

    A joint without columns is not seen. Without any likelihood those that are there score 1; otherwise a column that
    the others have and this joint has not holds no number.
    """
    at = {column: place for place, column in enumerate(sheet.columns)}
    lost, absent, sure = (len(sheet.columns) + n for n in range(len(MADE_UP)))
    scored = any(coord == COORDS[2] for *_, coord in sheet.columns)
    places = []
    for column in joints.columns:
        there = [None if column is None else at.get((individual, parts[column], coord)) for coord in COORDS]
        unsaid = absent if there == [None] * len(COORDS) else lost
        score = sure if unsaid == lost and not scored else unsaid
        places += [made_up if one is None else one for one, made_up in zip(there, (unsaid, unsaid, score), strict=True)]
    return places


def _people(
    values: Float[np.ndarray, "images columns"],
    rows: Mapping[int, int],
    places: Sequence[Sequence[int]],
    number: int,
    place: str,
) -> list[object]:
    """The people of a frame."""
    row = values[rows[number]].tolist()
    return [[row[at] for at in one] for one in places]


def _rows_of_frames(sheet: Sheet, path: Path) -> tuple[dict[int, int], list[str]]:
    """The row of every frame number, and the rows that say none or one that was there before."""
    rows: dict[int, int] = {}
    lost = []
    for row, image in enumerate(sheet.images):
        number = _frame_of(image) if isinstance(image, str) else image
        if number is None or not 0 <= number <= MOST_WHOLE or number in rows:
            lost.append(f"{path}: row {row + 1} is of image {short(image)}")
        else:
            rows[number] = row
    if lost and not rows:
        raise InputError(f"{lost[0]}, which is no frame number.")
    return rows, lost


NUMBER_LIKE = re.compile(r"[-+]?[\d._,\s]*([eE][-+]?\d*)?|0[xXoObB]\w*")
WHOLE = re.compile(r"(\d{1,18})(\.0*)?")


def _frame_of(word: str) -> int | None:
    """The number of a frame, also as 12.0, or in the name of an image; None for numbers that are no frame's."""
    if whole := WHOLE.fullmatch(word):
        return int(whole[1])
    return None if NUMBER_LIKE.fullmatch(word) else number_in(Path(word))


def _column(names: Sequence[str], levels: Sequence[str]) -> tuple[str, str, str]:
    """Individual, body part and coordinate of a column."""
    said = dict(zip(levels, names, strict=True))
    return said.get("individuals", ONLY), said["bodyparts"], said["coords"]


def _read_csv(path: Path) -> Sheet:
    """Header lines that begin with their level's name, then a line per frame that begins with its number or image.

    Or one header line that names joints. Between columns stand commas, or what programs of other countries write.
    """
    text = read_text(path)
    first, _, _ = text.lstrip().partition("\n")
    between = max(",;\t", key=first.count)
    try:
        table = [row for row in csv.reader(StringIO(text), delimiter=between) if row]
    except csv.Error as error:
        raise InputError(f"{path}: is no table of texts ({error}).") from error
    levels = [row[0].strip() for row in table[: len(LEVELS)] if row[0].strip() in LEVELS]
    if levels[:1] != ["scorer"] or not {"bodyparts", "coords"} <= set(levels):
        named = sheet_of_names(path, table, comma=between != ",")
        if named is not None:
            return named
        first = ", ".join(table[0][:4]) if table else "nothing"
        raise InputError(
            f"{path}: is no table of DeepLabCut's, which begins with scorer, bodyparts and coords, nor one with "
            f"columns like nose.x, nose.y, nose.score ({first[:120]})."
        )
    head, body = table[: len(levels)], table[len(levels) :]
    # Of labelled images three columns say the folders and the file.
    begin = next((at for at, word in enumerate(head[0][1:], 1) if word.strip()), len(head[0]))
    names = list(zip(*(row[begin:] for row in head), strict=False))
    columns = tuple(_column([name.strip() for name in column], levels) for column in names)
    values = np.full((len(body), len(columns)), np.nan)
    for row, words in enumerate(body):
        for at, word in enumerate(words[begin : begin + len(columns)]):
            values[row, at] = number_in_table(word, comma=between != ",")
    images = tuple(words[min(begin, len(words)) - 1].strip() for words in body)
    return Sheet(images, columns, values)


def _read_h5(path: Path) -> Sheet:
    """What pandas writes of a table with named columns, in either of its two ways; or what SLEAP writes."""
    with open_hdf5(path) as file:
        if set(file) >= SLEAP:
            return _of_sleap(path, file)
        for group in file.values():
            table = stored_array(group, TABLE) if isinstance(group, Mapping) else None
            if table is not None:
                return _of_table(path, table)
            if isinstance(group, Mapping) and BLOCK in group:
                return _of_block(path, group)
        there = ", ".join(map(str, file)) or "nothing"
    raise InputError(f"{path}: holds no table of DeepLabCut's, nor tracks of SLEAP's (there is {there}).")


def _of_sleap(path: Path, file: Mapping[str, Any]) -> Sheet:
    """Tracks of x, y of every node over the frames, with scores beside them since its version 1.3."""
    xy = hdf5_array(path, file, "tracks", None, 2, None, None).astype(np.float64)
    stored = stored_array(file, "node_names")
    names = [] if stored is None or stored.ndim != 1 else [_text(name) for name in whole_array(path, stored).tolist()]
    tracks, _, nodes, frames = xy.shape
    if len(names) != nodes:
        raise InputError(f"{path}: {nodes} nodes in its tracks, but names of {len(names)}.")
    score = np.ones((tracks, 1, nodes, frames))
    if "point_scores" in file:
        score = hdf5_array(path, file, "point_scores", tracks, nodes, frames).astype(np.float64)[:, None]
    values = np.concatenate([xy, score], 1).transpose(3, 0, 2, 1).reshape(frames, -1)
    columns = [(str(track), name, coord) for track in range(tracks) for name in names for coord in COORDS]
    return Sheet(tuple(range(frames)), tuple(columns), values)


def _of_table(path: Path, table: Any) -> Sheet:
    """Records of an index and blocks of values; a pickled list, read without executing it, names a block's columns."""
    fields = table.dtype.names or ()
    blocks = [name for name in fields if name.startswith("values_block_")]
    if "index" not in fields or not blocks or len(table.shape) != 1:
        raise InputError(f"{path}: its table is not one of DeepLabCut's (it has {', '.join(fields) or 'no fields'}).")
    columns: list[tuple[str, str, str]] = []
    for block in blocks:
        pickled = table.attrs.get(f"{block}_kind")
        names = unpickled(BytesIO(bytes(pickled)), path) if isinstance(pickled, bytes) else None
        columns += _named(path, names)
    rows = whole_array(path, table)
    values = np.concatenate([rows[block].reshape(len(rows), -1).astype(np.float64) for block in blocks], 1)
    return _sheet(path, rows["index"].tolist(), columns, values)


def _of_block(path: Path, group: Mapping[str, Any]) -> Sheet:
    """One block of values; of every level of the columns, and of the rows, the names and which of them each has."""
    values = hdf5_array(path, group, BLOCK, None, None).astype(np.float64)
    levels = sum(f"block0_items_level{k}" in group for k in range(len(LEVELS)))
    names = [_level(path, group, f"block0_items_level{k}", f"block0_items_label{k}") for k in range(levels)]
    last = max((k for k in range(8) if f"axis1_level{k}" in group), default=None)
    if last is None:
        images = hdf5_array(path, group, "axis1", None).tolist()
    else:
        images = _level(path, group, f"axis1_level{last}", f"axis1_label{last}")
    return _sheet(path, images, _named(path, list(zip(*names, strict=True))), values)


def _level(path: Path, group: Mapping[str, Any], level: str, label: str) -> list[str]:
    names, rows = stored_array(group, level), hdf5_array(path, group, label, None)
    if names is None or names.ndim != 1:
        raise InputError(f"{path}: no texts {level!r} in it.")
    if len(rows) and not (rows.min() >= 0 and rows.max() < len(names)):
        raise InputError(f"{path}: {label} counts names that {level} does not have.")
    texts = [_text(name) for name in whole_array(path, names).tolist()]
    return [texts[row] for row in rows.tolist()]


def _named(path: Path, names: object) -> list[tuple[str, str, str]]:
    """Columns by their names, one text a level: three levels, or four with individuals."""
    found = []
    for column in names if isinstance(names, list) else [None]:
        if not isinstance(column, tuple) or len(column) not in (3, 4) or not all(isinstance(n, str) for n in column):
            raise InputError(f"{path}: its columns are not named as DeepLabCut's ({short(column)}).")
        levels = LEVELS if len(column) == len(LEVELS) else [level for level in LEVELS if level != "individuals"]
        found.append(_column(column, levels))
    return found


def _sheet(path: Path, images: list[Any], columns: list[tuple[str, str, str]], values: np.ndarray) -> Sheet:
    if values.shape != (len(images), len(columns)):
        raise InputError(f"{path}: {values.shape[1]} columns of numbers, but names of {len(columns)}.")
    known = tuple(one if isinstance(one, int) else _text(one) for one in images)
    return Sheet(known, tuple(columns), values)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
