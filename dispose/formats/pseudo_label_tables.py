"""The flat tables of a pseudo-label file: made from records, and checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_type_hints

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.arrays import Arrays
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


def _layout(**sizes: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """NumPy's type and the shape of every table, as its annotation says, where its axes have these sizes."""
    found = {}
    for name, column in get_type_hints(Tables).items():
        kind = next(kind for kind in ("bool", "int64", "float32") if kind in column.dtypes)
        shape = tuple(sizes[word] if word in sizes else int(word) for word in column.dim_str.split())
        found[name] = (np.dtype(kind), shape)
    return found


def stack_tables(joints: int, sequences: Sequence[int], numbers: Sequence[int], labels: Sequence[Labels]) -> Tables:
    """The tables of frames that are in order; float32, masked entries 0."""
    parts: list[list[Tensor]] = []
    people = 0
    for row, frame in enumerate(labels):
        parts.append(_rows_of(frame, (row, sequences[row], numbers[row]), people))
        people += len(frame.poses.id)
    columns = []
    for place, (kind, shape) in enumerate(_layout(frames=0, persons=0, sightings=0, joints=joints).values()):
        arrays = [np.zeros(shape, kind), *(part[place].detach().cpu().numpy() for part in parts)]
        columns.append(np.concatenate(arrays).astype(kind))
    return Tables(*columns)


def _rows_of(labels: Labels, frame: tuple[int, int, int], people: int) -> list[Tensor]:
    """A frame's rows of every table, in the order of `Tables`; somebody without a visible joint was not seen.

    Args:
        labels: of the frame.
        frame: its row, sequence and number.
        people: how many people the frames before it have.
    """
    poses, other = labels.poses, labels.unmatched
    view, person = labels.visible.any(-1).nonzero(as_tuple=True)
    alone, slot = other.valid.nonzero(as_tuple=True)
    visible = torch.cat([labels.visible[view, person], other.visible[alone, slot]])
    xy = torch.cat([labels.xy_image[view, person], other.xy_image[alone, slot]])
    confidence = torch.cat([labels.confidence[view, person], other.confidence[alone, slot]])
    mean = torch.where(visible, confidence, 0.0).sum(-1) / visible.sum(-1).clamp(min=1)
    row, sequence, number = (torch.tensor([value]) for value in frame)
    return [
        sequence,
        number,
        row.expand(len(poses.id)),
        poses.id,
        _masked(poses.xyz_world, poses.confidence, poses.valid),
        poses.valid,
        row.expand(len(visible)),
        torch.cat([view, alone]),
        torch.cat([person + people, torch.full_like(slot, ABSENT)]),
        _masked(xy, confidence, visible),
        visible,
        torch.cat([mean[: len(view)], other.score[alone, slot]]),
    ]


def _masked(
    points: Float[Tensor, "*rows axes"], confidence: Float[Tensor, " *rows"], known: Bool[Tensor, " *rows"]
) -> Float[Tensor, "*rows columns"]:
    """Places and confidences of joints; 0 where they are not known."""
    return torch.where(known[..., None], torch.cat([points, confidence[..., None]], -1), 0.0)


def checked_tables(arrays: Arrays, *, sequences: int, views: int, joints: int) -> Tables:
    """The tables among a file's arrays, if they fit each other; `InputError` names the table and row that do not.

    Args:
        arrays: the arrays of the file; others than the tables' are ignored.
        sequences: how many recordings there are.
        views: how many views.
        joints: how many joints.
    """
    frames, persons, sightings = (
        len(arrays.get(name, "i", None)) for name in ("frame_number", "person_id", "sighting_view")
    )
    layout = _layout(frames=frames, persons=persons, sightings=sightings, joints=joints)
    for name, (kind, shape) in layout.items():
        arrays.get(name, kind.kind, *shape)
        if kind.kind == "f":
            arrays.finite(name, *shape)
    arrays.rows("frame_sequence", sequences)
    arrays.rows("person_frame", frames, rising=True)
    arrays.rows("sighting_frame", frames, rising=True)
    arrays.rows("sighting_view", views)
    arrays.rows("sighting_person", persons, absent=True)
    tables = Tables(*(arrays.columns[name] for name in layout))
    known = tables.sighting_person != ABSENT
    person = tables.sighting_person[known]
    if (tables.person_frame[person] != tables.sighting_frame[known]).any():
        raise InputError(f"{arrays.path}: a sighting names a person of another frame.")
    pairs = person * max(views, 1) + tables.sighting_view[known]
    if len(np.unique(pairs)) != len(pairs):
        raise InputError(f"{arrays.path}: a person is seen twice in one view.")
    return tables
