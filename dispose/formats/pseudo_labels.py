"""Pseudo-labels as a file: one `.npz` of flat tables with a JSON header (docs/pseudo_labels.md).

Three tables, each row belonging to a row of the one before: frames, persons, and sightings (a person, or somebody
unknown, in one view). Nothing in the file is a Python object, so reading one executes nothing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.arrays import Arrays, open_arrays
from dispose.formats.calibration.rig import FARTHEST
from dispose.formats.entry import Entry
from dispose.formats.files import parse_json, replacing_path
from dispose.formats.units import require_size
from dispose.scene.frame import FARTHEST_PX, Detections, Labels, Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT


@dataclass(frozen=True, eq=False)
class Tables:
    """Frames, persons and sightings, each sorted by frame.

    Attributes:
        frame_sequence: which recording a frame is of.
        frame_number: its number there.
        person_frame: the row of a person's frame.
        person_id: the person's number; `ABSENT` of one without a number of their own.
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
            _check_scores(arrays, name, shape)
    arrays.rows("frame_sequence", sequences)
    arrays.rows("person_frame", frames, rising=True)
    arrays.rows("sighting_frame", frames, rising=True)
    arrays.rows("sighting_view", views)
    arrays.rows("sighting_person", persons, absent=True)
    arrays.finite("person_id", persons, least=float(ABSENT))
    arrays.finite("frame_number", frames, least=0.0)
    tables = Tables(*(arrays.columns[name] for name in layout))
    xyz, valid = torch.from_numpy(tables.person_joints[..., :3]), torch.from_numpy(tables.person_valid)
    require_size(f"{arrays.path}: person_joints are in mm", xyz, valid)
    known = tables.sighting_person != ABSENT
    person = tables.sighting_person[known]
    if (tables.person_frame[person] != tables.sighting_frame[known]).any():
        raise InputError(f"{arrays.path}: a sighting names a person of another frame.")
    own = np.stack([tables.person_frame, tables.person_id])[:, tables.person_id >= 0]
    if np.unique(own, axis=1).shape != own.shape:
        raise InputError(f"{arrays.path}: a person's number occurs twice in one frame.")
    pairs = person * max(views, 1) + tables.sighting_view[known]
    if len(np.unique(pairs)) != len(pairs):
        raise InputError(f"{arrays.path}: a person is seen twice in one view.")
    return tables


def _check_scores(arrays: Arrays, name: str, shape: Sequence[int]) -> None:
    """Raise `InputError` where a place is none on Earth, or a score none (of heat maps they may leave 0 to 1)."""
    table = arrays.columns[name]
    scores, tail = (table[..., -1], shape[:-1]) if table.ndim > 1 else (table, shape)
    Arrays(arrays.path, {name: scores}).finite(name, *tail, least=-1.0, most=2.0)
    if table.ndim > 1:
        most = FARTHEST_PX if name == "sighting_joints" else FARTHEST
        Arrays(arrays.path, {name: table[..., :-1]}).finite(name, *tail, None, least=-most, most=most)


SCHEMA = "dispose.pseudo_labels/1"


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """The labels of one frame: name of the recording, number in it, and the people."""

    sequence: str
    number: int
    labels: Labels


@dataclass(frozen=True, eq=False)
class PseudoLabelStore:
    """Labels of many frames, handed out one at a time.

    The tables lie in memory as they lie in the file (float32); the record of a frame is built when it is asked for.

    `columns` says for every view of the file its place in `views`, or `ABSENT`; `rows` the row of a (sequence, frame
    number) in the table of frames.
    """

    path: Path
    skeleton: Skeleton
    views: tuple[str, ...]
    sequences: tuple[str, ...]
    tables: Tables
    columns: Int[np.ndarray, " columns"]
    rows: Mapping[tuple[str, int], int]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """Every labelled frame as (sequence, number), in the order of the file."""
        return tuple(self.rows)

    def numbers(self, sequence: str) -> tuple[int, ...]:
        """The labelled frames of a recording; `InputError` where there is no such recording."""
        if sequence not in self.sequences:
            raise InputError(f"{self.path}: no sequence {sequence!r} (there is {_listed(self.sequences)}).")
        return tuple(number for name, number in self.rows if name == sequence)

    def select(self, views: Sequence[str]) -> "PseudoLabelStore":
        """The same labels for some of the views, in the order given; `InputError` names a view that is not there.

        People seen by none of these views keep their 3-D.
        """
        for name in views:
            if name not in self.views:
                raise InputError(f"{self.path}: no camera {name!r} (there is {_listed(self.views)}).")
        place = {self.views.index(name): new for new, name in enumerate(views)}
        columns = np.array([place.get(int(old), ABSENT) for old in self.columns], np.int64)
        return replace(self, views=tuple(views), columns=columns)

    def at(self, sequence: str, frame: int) -> Labels:
        """The labels of a frame (float64); `InputError` where the file has none for it."""
        row = self.rows.get((sequence, frame))
        if row is None:
            self.numbers(sequence)
            raise InputError(f"{self.path}: sequence {sequence!r} has no frame {frame}.")
        t = self.tables
        first, last = np.searchsorted(t.person_frame, [row, row + 1])
        sightings = slice(*np.searchsorted(t.sighting_frame, [row, row + 1]))
        view, person = self.columns[t.sighting_view[sightings]], t.sighting_person[sightings]
        joints, visible = t.sighting_joints[sightings].astype(np.float64), t.sighting_visible[sightings]
        matched = (view != ABSENT) & (person != ABSENT)
        place = (view[matched], person[matched] - first)
        xys = np.zeros((len(self.views), int(last - first), len(self.skeleton), 3))
        seen = np.zeros(xys.shape[:3], bool)
        xys[place], seen[place] = joints[matched], visible[matched]
        alone = [np.flatnonzero((view == v) & (person == ABSENT)) for v in range(len(self.views))]
        score = t.sighting_score[sightings].astype(np.float64)
        unmatched = Detections.from_lists(
            self.skeleton,
            [list(torch.from_numpy(joints[rows])) for rows in alone],
            [score[rows].tolist() for rows in alone],
        )
        xyz = torch.from_numpy(t.person_joints[first:last].astype(np.float64))
        valid, ids = (torch.from_numpy(part[first:last].copy()) for part in (t.person_valid, t.person_id))
        poses = Poses(self.skeleton, xyz[..., :3], xyz[..., 3], valid, ids)
        xy = torch.from_numpy(xys)
        return Labels.of_images(poses, xy[..., :2], xy[..., 2], torch.from_numpy(seen), unmatched)


def gather_labels(
    path: Path, skeleton: Skeleton, views: Sequence[str], frames: Iterable[LabelledFrame]
) -> PseudoLabelStore:
    """Labels in memory, as they would be read from a file.

    Args:
        path: what complaints name: the `.npz` that they are for.
        skeleton: of every frame.
        views: names of the view axis of every frame.
        frames: in any order; a (sequence, number) may occur once.

    Raises:
        InputError: a frame of another skeleton or number of views, or one that occurs twice.
    """
    ordered = sorted(frames, key=lambda frame: (frame.sequence, frame.number))
    keys = [(frame.sequence, frame.number) for frame in ordered]
    for row, frame in enumerate(ordered):
        place, labels = f"{path}: sequence {frame.sequence!r}, frame {frame.number}", frame.labels
        if labels.poses.skeleton != skeleton:
            raise InputError(f"{place}: skeleton {labels.poses.skeleton.name}, not {skeleton.name}.")
        if len(labels.xy_image) != len(views):
            raise InputError(f"{place}: {len(labels.xy_image)} views, the file has {len(views)}.")
        if keys[row] in keys[max(row - 1, 0) : row]:
            raise InputError(f"{place} occurs twice.")
    names = sorted({sequence for sequence, _ in keys})
    rows = [names.index(sequence) for sequence, _ in keys]
    tables = stack_tables(len(skeleton), rows, [n for _, n in keys], [frame.labels for frame in ordered])
    checked_tables(Arrays(path, vars(tables)), sequences=len(names), views=len(views), joints=len(skeleton))
    known = {key: row for row, key in enumerate(keys)}
    return PseudoLabelStore(path, skeleton, tuple(views), tuple(names), tables, np.arange(len(views)), known)


def write_pseudo_labels(
    path: Path, skeleton: Skeleton, views: Sequence[str], frames: Iterable[LabelledFrame], *, source: str = ""
) -> None:
    """Write labels (`gather_labels`); an existing file is replaced only when everything is written.

    `source` is free text on where the labels come from. Raises `InputError` for another ending than .npz.
    """
    if path.suffix != ".npz":
        raise InputError(f"{path}: pseudo-labels are written as .npz.")
    store = gather_labels(path, skeleton, views, frames)
    header = {
        "schema": SCHEMA,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "units": {"image": "px", "world": "mm"},
        "views": list(views),
        "sequences": list(store.sequences),
        "source": source,
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with replacing_path(path) as temporary:
        np.savez_compressed(temporary, header=text, **vars(store.tables))


def read_pseudo_labels(path: Path, *, skeleton: Skeleton = PANOPTIC_15) -> PseudoLabelStore:
    """Read labels and check all of them once; what is wrong is an `InputError` that names the place.

    Args:
        path: the `.npz`.
        skeleton: the joints that are wanted; labels of others are refused.
    """
    arrays = open_arrays(path)
    if "header" not in arrays.columns:
        raise InputError(f"{path}: is no .npz of pseudo-labels (it has no header).")
    place = f"{path}: header"
    header = Entry(place, parse_json(arrays.columns["header"].tobytes().decode(errors="replace"), place))
    schema, units = header.at("schema").text(), header.at("units")
    if schema != SCHEMA:
        raise InputError(f"{path}: schema is {schema!r}, this version reads {SCHEMA!r}.")
    if (units.at("image").text(), units.at("world").text()) != ("px", "mm"):
        raise InputError(f"{units.place}: px and mm are expected.")
    name = header.at("skeleton").text()
    joints, views, sequences = (_names(header.at(key)) for key in ("joints", "views", "sequences"))
    if name != skeleton.name:
        raise InputError(f"{path}: the labels are of the skeleton {name!r}, wanted is {skeleton.name!r}.")
    if joints != skeleton.joints:
        raise InputError(f"{path}: the joints of {name!r} have another order than ours ({_listed(joints)}).")
    tables = checked_tables(arrays, sequences=len(sequences), views=len(views), joints=len(skeleton))
    rows = {
        (sequences[s], n): row
        for row, (s, n) in enumerate(zip(tables.frame_sequence.tolist(), tables.frame_number.tolist(), strict=True))
    }
    if len(rows) != len(tables.frame_number):
        raise InputError(f"{path}: a frame of a sequence occurs twice in the table of frames.")
    return PseudoLabelStore(path, skeleton, views, sequences, tables, np.arange(len(views)), rows)


def _names(entry: Entry) -> tuple[str, ...]:
    names = tuple(item.text() for item in entry.items())
    if len(set(names)) != len(names):
        raise InputError(f"{entry.place}: a name occurs twice.")
    return names


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "none"
