"""The flat tables of a pseudo-label file: made from records, and checked against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.scene.frame import Labels
from dispose.tensors import ABSENT


@dataclass(frozen=True, eq=False)
class Tables:
    """Frames, persons and sightings, each sorted by frame.

    Attributes:
        frame_sequence: which recording a frame is of.
        frame_number: its number there.
        person_frame: the row of a person's frame.
        person_id: the person's number.
        person_joints: x y z in mm and confidence; 0 where not valid.
        person_valid: which of these joints are known.
        sighting_frame: the row of a sighting's frame.
        sighting_view: the view it was made in.
        sighting_person: the row of the person seen, `ABSENT` where it is nobody of the table.
        sighting_joints: x y in px and confidence; 0 where not visible.
        sighting_visible: which joints were found.
        sighting_score: how sure it is that somebody is there.
    """

    frame_sequence: Int[np.ndarray, " frames"]
    frame_number: Int[np.ndarray, " frames"]
    person_frame: Int[np.ndarray, " persons"]
    person_id: Int[np.ndarray, " persons"]
    person_joints: Float[np.ndarray, "persons joints 4"]
    person_valid: Bool[np.ndarray, "persons joints"]
    sighting_frame: Int[np.ndarray, " sightings"]
    sighting_view: Int[np.ndarray, " sightings"]
    sighting_person: Int[np.ndarray, " sightings"]
    sighting_joints: Float[np.ndarray, "sightings joints 3"]
    sighting_visible: Bool[np.ndarray, "sightings joints"]
    sighting_score: Float[np.ndarray, " sightings"]


def stack_tables(joints: int, sequences: Sequence[int], numbers: Sequence[int], labels: Sequence[Labels]) -> Tables:
    """The tables of frames that are in order; float32, masked entries 0."""
    counts = [len(frame.poses.id) for frame in labels]
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    sightings = [_sightings(frame, int(start)) for frame, start in zip(labels, starts, strict=False)]
    person_valid = _stacked([_array(f.poses.valid) for f in labels], (0, joints), bool)
    xyz = _stacked([_array(f.poses.xyz_world) for f in labels], (0, joints, 3), np.float32)
    confidence = _stacked([_array(f.poses.confidence) for f in labels], (0, joints), np.float32)
    visible = _stacked([s[3] for s in sightings], (0, joints), bool)
    xys = _stacked([s[2] for s in sightings], (0, joints, 3), np.float32)
    rows = np.arange(len(labels))
    return Tables(
        np.array(sequences, np.int64),
        np.array(numbers, np.int64),
        np.repeat(rows, counts),
        _stacked([_array(f.poses.id) for f in labels], (0,), np.int64),
        np.where(person_valid[..., None], np.concatenate([xyz, confidence[..., None]], -1), np.float32(0)),
        person_valid,
        np.repeat(rows, [len(s[0]) for s in sightings]),
        _stacked([s[0] for s in sightings], (0,), np.int64),
        _stacked([s[1] for s in sightings], (0,), np.int64),
        np.where(visible[..., None], xys, np.float32(0)),
        visible,
        _stacked([s[4] for s in sightings], (0,), np.float32),
    )


def _sightings(frame: Labels, start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """View, person, joints, visible and score of a frame's sightings; somebody without a visible joint was not seen."""
    visible, other = _array(frame.visible), frame.unmatched
    view, person = np.nonzero(visible.any(-1))
    alone_view, slot = np.nonzero(_array(other.valid))
    xys = np.concatenate([_array(frame.xy_image), _array(frame.confidence)[..., None]], -1)[view, person]
    alone = np.concatenate([_array(other.xy_image), _array(other.confidence)[..., None]], -1)[alone_view, slot]
    seen = visible[view, person]
    score = np.where(seen, xys[..., 2], 0).sum(-1) / seen.sum(-1).clip(1)
    return (
        np.concatenate([view, alone_view]),
        np.concatenate([person + start, np.full(len(slot), ABSENT)]),
        np.concatenate([xys, alone]),
        np.concatenate([seen, _array(other.visible)[alone_view, slot]]),
        np.concatenate([score, _array(other.score)[alone_view, slot]]),
    )


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _stacked(parts: Sequence[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(empty, dtype), *parts]).astype(dtype)


def checked_tables(arrays: Mapping[str, np.ndarray], limits: tuple[int, int, int], source: str) -> Tables:
    """The tables among a file's arrays, if they fit each other; `InputError` names the table and row that do not.

    Args:
        arrays: the arrays of the file by name; others than the tables' are ignored.
        limits: how many sequences, views and joints there are.
        source: the file, for complaints.
    """
    sequences, views, joints = limits
    for name in Tables.__dataclass_fields__:
        if name not in arrays:
            raise InputError(f"{source}: the table {name} is missing.")
    rows = {"frame": "frame_number", "person": "person_id", "sighting": "sighting_view"}
    for name in Tables.__dataclass_fields__:
        _check_table(arrays[name], name, (arrays[rows[name.partition("_")[0]]].size, joints), source)
    tables = Tables(**{name: arrays[name] for name in Tables.__dataclass_fields__})
    frames, persons = len(tables.frame_number), len(tables.person_id)
    for name, first, last in (
        ("frame_sequence", 0, sequences),
        ("person_frame", 0, frames),
        ("sighting_frame", 0, frames),
        ("sighting_view", 0, views),
        ("sighting_person", ABSENT, persons),
    ):
        _check_range(arrays[name], name, (first, last - 1), source)
    for name in ("person_frame", "sighting_frame"):
        if (np.diff(arrays[name]) < 0).any():
            raise InputError(f"{source}: the table {name} is not in the order of the frames.")
    known = tables.sighting_person != ABSENT
    person = tables.sighting_person[known]
    if (tables.person_frame[person] != tables.sighting_frame[known]).any():
        raise InputError(f"{source}: a sighting names a person of another frame.")
    pairs = person * max(views, 1) + tables.sighting_view[known]
    if len(np.unique(pairs)) != len(pairs):
        raise InputError(f"{source}: a person is seen twice in one view.")
    return tables


def _check_table(table: np.ndarray, name: str, sizes: tuple[int, int], source: str) -> None:
    """Type and shape of a table of so many rows and joints, and that it holds numbers."""
    rows, joints = sizes
    kind = "b" if name.endswith(("valid", "visible")) else "f" if name.endswith(("joints", "score")) else "i"
    width = {"person_joints": (joints, 4), "sighting_joints": (joints, 3)}
    shape = (rows, *width.get(name, (joints,) if kind == "b" else ()))
    if table.dtype.kind != kind or table.shape != shape:
        given = f"{table.dtype} {'x'.join(map(str, table.shape))}"
        raise InputError(f"{source}: the table {name} is {given}; {'x'.join(map(str, shape))} is expected.")
    if kind == "f" and not np.isfinite(table).all():
        row = int(np.argmin(np.isfinite(table.reshape(rows, -1)).all(-1)))
        value = table[row].reshape(-1)
        raise InputError(f"{source}: the table {name} holds {value[~np.isfinite(value)][0]} in row {row}.")


def _check_range(values: np.ndarray, name: str, bounds: tuple[int, int], source: str) -> None:
    wrong = (values < bounds[0]) | (values > bounds[1])
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{source}: the table {name} holds {values[row]} in row {row}; {bounds[0]} to {bounds[1]} is expected."
        )
