"""`evidence.npz`: what a run knew and weighed, beside the `predictions.jsonl` that says what it concluded.

Cameras, the detections of every frame, the candidate tuples with cost, cue, marginal and the way of their mass, the
integer programme's answer, and labels where a data set has them. With both files a finished run opens without a model
and without the capture (docs/decisions/0040-saved-results.md). Numbers are as short as looking at them allows:
keypoints and joints float32, masses and cues float16, cameras float64.

Tables are flat: a row per detection, tuple, group or person. Every table has a column that says which frame of the
file a row belongs to, and its rows lie in the order of frames.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from dispose.errors import InputError, ShapeError
from dispose.formats.arrays import FLAGS, INTEGERS, NUMBERS, Arrays, read_arrays, write_npz
from dispose.formats.calibration.rig import CameraParameters, check_view
from dispose.formats.files import digest_of
from dispose.formats.folders import Columns, watch
from dispose.formats.person_table import with_covariances
from dispose.formats.predictions import by_slot, read_predictions, skeleton_of
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association, FrameResult, Hypotheses, Results
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

SCHEMA = "dispose.evidence/1"
PREDICTIONS, PEOPLE, EVIDENCE = "predictions.jsonl", "predictions.npz", "evidence.npz"
CAMERA_PARTS = {"size": (2,), "matrix": (3, 3), "distortion": (8,), "rotation": (3, 3), "translation": (3,)}

Column = tuple[str, type, tuple[int, ...], Callable[[Any], Tensor]]
"""Name, stored type and shape of a row, and what makes all rows of a frame's record."""


def evidence_head(predictions: Path, name: str, method: str) -> Columns:
    """What run a file is of. `InputError` where its predictions cannot be read."""
    texts = (("schema", SCHEMA), ("name", name), ("method", method), ("predictions", digest_of(predictions)))
    return [(key, np.array(text)) for key, text in texts]


def evidence_common(path: Path, cases: Sequence[FrameResult], known: Mapping[str, np.ndarray] | None = None) -> Columns:
    """What all frames of a run have in common: cameras, skeletons and diffusion times.

    Args:
        path: of the file, for complaints.
        cases: some frames of the run.
        known: what earlier frames have in common.

    Raises `ShapeError` where the frames differ, from each other or from the earlier ones.
    """
    frames = [_frame_of(case) for case in cases]
    rig, skeleton = frames[0].cameras, frames[0].detections.skeleton
    for frame in frames:
        if not _same_rig(frame.cameras, rig) or frame.detections.skeleton != skeleton:
            raise ShapeError(f"{path}: frame {frame.number} has another rig or skeleton than frame {frames[0].number}")
    times = [case.hypotheses.time for case in cases if case.hypotheses is not None]
    time = times[0] if times else torch.zeros(0, dtype=torch.float64)
    if not all(torch.equal(one, time) for one in times):
        raise ShapeError("the frames' hypotheses have different diffusion times; one file holds one list of times")
    truths = [case.labels.poses.skeleton for case in cases if case.labels is not None]
    if any(one != truths[0] for one in truths):
        raise ShapeError("the frames' labels have different skeletons; one file holds one")
    columns: Columns = [
        ("skeleton", np.array(skeleton.name)),
        ("joints", np.array(skeleton.joints)),
        ("camera_names", np.array(rig.names)),
        *((f"camera_{part}", vars(rig)[part].numpy()) for part in CAMERA_PARTS),
        *(() if rig.fisheye is None else (("camera_fisheye", rig.fisheye.numpy()),)),
        ("tuple_time", time.double().numpy()),
        ("truth_skeleton", np.array(truths[0].name if truths else "")),
        ("truth_joints", np.array(truths[0].joints if truths else ())),
    ]
    return [(name, _agreed(path, name, array, (known or {}).get(name))) for name, array in columns]


def _agreed(path: Path, name: str, array: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """What a run has in common; frames without hypotheses or labels do not say which times or joints these have."""
    if before is None or before.size == 0 or str(before) == "":
        return array
    if array.size and str(array) and not np.array_equal(before, array):
        raise ShapeError(f"{path}: {name.replace('_', ' ')} of some frames are others than those before them")
    return before


def evidence_rows(cases: Sequence[FrameResult], first: int) -> Columns:
    """The tables of some frames, of which the first is the run's `first`-th."""
    frames, labels = [_frame_of(case) for case in cases], [case.labels for case in cases]
    detections, hypotheses = [frame.detections for frame in frames], [case.hypotheses for case in cases]
    views, keypoints = len(frames[0].cameras), len(detections[0].skeleton)
    steps = next((len(one.time) for one in hypotheses if one is not None), 0)
    joints = next((len(one.poses.skeleton) for one in labels if one is not None), 0)
    identity = [
        np.full(int(found.valid.sum()), ABSENT) if one is None else one.identity[found.valid].numpy()
        for one, found in zip(labels, detections, strict=True)
    ]
    seen: list[Column] = [
        ("view", np.int16, (), lambda d: d.valid.nonzero()[:, 0]),
        ("slot", np.int16, (), lambda d: d.valid.nonzero()[:, 1]),
        ("index", np.int32, (), lambda d: d.index[d.valid]),
        ("score", np.float32, (), lambda d: d.score[d.valid]),
        ("keypoints", np.float32, (keypoints, 3), _keypoints),
    ]
    tuples: list[Column] = [
        ("members", np.int16, (views,), lambda h: h.members),
        ("cost", np.float32, (), lambda h: h.cost),
        ("cue", np.float16, (), lambda h: h.cue),
        ("marginal", np.float16, (), lambda h: h.marginal),
        ("mass", np.float16, (steps,), lambda h: h.mass.T),
    ]
    groups: list[Column] = [
        ("members", np.int16, (views,), lambda a: a.members),
        ("confidence", np.float32, (), lambda a: a.confidence),
    ]
    people: list[Column] = [
        ("id", np.int32, (), lambda one: one.poses.id),
        ("xyz", np.float32, (joints, 3), lambda one: _where(one.poses.valid, one.poses.xyz_world, torch.nan)),
    ]
    columns = [
        ("frame", np.array([case.prediction.number for case in cases], dtype=np.int64)),
        ("detection_slots", np.array([found.valid.shape[1] for found in detections], dtype=np.int32)),
        *_table("detection", detections, seen),
        ("weighed", _known(hypotheses)),
        ("dropped", np.array([0 if one is None else one.dropped for one in hypotheses], dtype=np.int32)),
        *_table("tuple", hypotheses, tuples),
        ("rivalled", _known([case.reference for case in cases])),
        *_table("rival", [case.reference for case in cases], groups),
        ("labelled", _known(labels)),
        ("detection_identity", np.concatenate([np.zeros(0, np.int32), *identity]).astype(np.int32)),
        *_table("truth", labels, people),
    ]
    return [(name, rows + np.int32(first) if name.endswith("_frame") else rows) for name, rows in columns]


def _table(name: str, records: Sequence[object | None], columns: Sequence[Column]) -> Columns:
    """The rows of all frames' records, and which frame each is of; an empty table where there are none."""
    parts = [[] if one is None else [value(one).numpy() for _, _, _, value in columns] for one in records]
    counts = [len(part[0]) if part else 0 for part in parts]
    found: Columns = [(f"{name}_frame", np.repeat(np.arange(len(counts), dtype=np.int32), counts))]
    for place, (key, dtype, tail, _) in enumerate(columns):
        rows = [part[place].astype(dtype) for part in parts if part]
        found.append((f"{name}_{key}", np.concatenate([np.zeros((0, *tail), dtype=dtype), *rows])))
    return found


def _known(records: Sequence[object | None]) -> np.ndarray:
    """Of which frames there is a record."""
    return np.array([one is not None for one in records], dtype=bool)


def _where(known: Tensor, values: Tensor, otherwise: float) -> Tensor:
    """Values in double precision where a joint is known."""
    return torch.where(known[..., None], values.double(), otherwise)


def _keypoints(found: Detections) -> Tensor:
    """x, y, score of every detection; NaN NaN 0 where not visible."""
    score = _where(found.visible, found.confidence[..., None], 0.0)
    return torch.cat([_where(found.visible, found.xy_image, torch.nan), score], -1)[found.valid]


def read_run(folder: Path) -> Results:
    """A folder with `predictions.jsonl` and `evidence.npz`, as `dispose predict` leaves it.

    Raises `InputError` where one is broken, where the two are not of one run, and where frames, cameras or members do
    not fit.
    """
    require_same = watch(folder)
    saved, path = read_predictions(folder / PREDICTIONS), folder / EVIDENCE
    if (folder / PEOPLE).exists():
        saved = with_covariances(folder / PEOPLE, saved)
    arrays = read_arrays(path, SCHEMA)
    cameras, numbers = cameras_of(arrays), arrays.get("frame", INTEGERS, None).tolist()
    skeleton, extent = skeleton_in(arrays, "skeleton", "joints"), extent_of(arrays, len(numbers), len(cameras))
    detections = detections_of(arrays, skeleton, extent)
    name, method, digest = (arrays.text(key) for key in ("name", "method", "predictions"))
    hypotheses, references = _hypotheses_of(arrays, extent), _rivals_of(arrays, extent)
    labels = _labels_of(arrays, detections, extent)
    if digest_of(folder / PREDICTIONS) != digest:
        raise InputError(
            f"{path}: belongs to other predictions than {folder / PREDICTIONS}; run `dispose predict` again, "
            f"or name {PREDICTIONS} itself to look at it without evidence."
        )
    if saved.cameras != cameras.names:
        raise InputError(
            f"{path}: has the cameras {', '.join(cameras.names)}, the predictions {', '.join(saved.cameras)}."
        )
    if [frame.number for frame in saved.frames] != numbers:
        raise InputError(f"{path}: holds {len(numbers)} frames, which are not the predictions' {len(saved.frames)}.")
    require_same()
    cases = []
    for one, found, weighed, rival, truth in zip(saved.frames, detections, hypotheses, references, labels, strict=True):
        prediction = by_slot(one, found, source=str(folder), cameras=saved.cameras)
        cases.append(FrameResult(prediction, Frame(one.number, cameras, found), weighed, rival, truth))
    dropped = sum(one.dropped for one in hypotheses if one is not None)
    kept = sum(len(one.members) for one in hypotheses if one is not None)
    left_out = f"{kept} of {kept + dropped} candidate tuples are kept; the others never had mass and were not cheap."
    return Results(name, method, saved.skeleton, tuple(cases), (left_out,) if dropped else ())


def copy_evidence(source: Path, target: Path, predictions: Path) -> None:
    """The evidence of a run for other predictions of the same frames: what was detected and weighed stays."""
    arrays = read_arrays(source, SCHEMA).columns
    write_npz(target, [*{**arrays, "predictions": np.array(digest_of(predictions))}.items()])


@dataclass(frozen=True, eq=False)
class Extent:
    """What the tables of one file have in common: numbers of frames and cameras, and of every frame's slots."""

    frames: int
    slots: Int[np.ndarray, " frames"]
    views: int


PEAK, SHARE, FARTHEST_PX = 2.0, 1.05, 1e6
"""Peaks of heat maps, as scores, and masses on their way may be a little above 1; nothing is seen farther outside."""


def extent_of(arrays: Arrays, frames: int, views: int) -> Extent:
    """The extent that the slots of every frame say. `InputError` for numbers that none has."""
    slots = arrays.get("detection_slots", INTEGERS, frames)
    if frames and not 0 <= slots.min() <= slots.max() < np.iinfo(np.int16).max:
        raise InputError(f"{arrays.path}: array 'detection_slots' has {slots.min()} to {slots.max()} slots a view.")
    return Extent(frames, slots.astype(np.int64), views)


def _frames_in(arrays: Arrays, table: str, extent: Extent) -> tuple[Int[np.ndarray, " rows"], list[slice]]:
    """The frame of every row of a table, and the rows of every frame."""
    frame = arrays.rows(f"{table}_frame", extent.frames, rising=True)
    ends = np.searchsorted(frame, np.arange(extent.frames + 1))
    return frame, [slice(int(a), int(b)) for a, b in pairwise(ends)]


def _double(array: Shaped[np.ndarray, "..."]) -> Tensor:
    return torch.from_numpy(array.astype(np.float64))


def cameras_of(arrays: Arrays) -> Cameras:
    """The rig. `InputError` for entries that are not finite."""
    names = arrays.texts("camera_names")
    parts = (arrays.finite(f"camera_{part}", len(names), *tail) for part, tail in CAMERA_PARTS.items())
    fisheye = None
    if "camera_fisheye" in arrays.columns:
        fisheye = torch.from_numpy(arrays.get("camera_fisheye", FLAGS, len(names)))
    cameras = Cameras(names, *map(_double, parts), fisheye=fisheye)
    for name, *numbers in zip(names, cameras.size, cameras.matrix, cameras.distortion, cameras.rotation,
                              cameras.translation, strict=True):  # fmt: skip
        check_view(str(arrays.path), CameraParameters(name, *numbers))
    return cameras


def skeleton_in(arrays: Arrays, name: str, joints: str) -> Skeleton:
    """A skeleton by its name and joints. `InputError` where two joints have one name."""
    names = arrays.texts(joints)
    if len(set(names)) != len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise InputError(f"{arrays.path}: array {joints!r} has {twice!r} more than once.")
    return skeleton_of(arrays.text(name), names)


def detections_of(arrays: Arrays, skeleton: Skeleton, extent: Extent) -> list[Detections]:
    """The detections of every frame."""
    frame, places = _frames_in(arrays, "detection", extent)
    count = len(frame)
    view, slot, source = (
        torch.from_numpy(arrays.get(f"detection_{name}", INTEGERS, count).astype(np.int64))
        for name in ("view", "slot", "index")
    )
    score = _double(arrays.finite("detection_score", count, least=-1.0, most=PEAK))
    points = _double(arrays.get("detection_keypoints", NUMBERS, count, len(skeleton), 3))
    wild = (points[..., :2].abs() > FARTHEST_PX).any(-1) | (points[..., 2] < -1) | (points[..., 2] > PEAK)
    if wild.any():
        row, joint = wild.nonzero()[0].tolist()
        raise InputError(
            f"{arrays.path}: array 'detection_keypoints' has {points[row, joint].tolist()} in row {row}, which is no "
            "x, y and score of a keypoint."
        )
    beyond = (slot >= torch.from_numpy(extent.slots)[frame]) | (view >= extent.views) | (view < 0) | (slot < 0)
    if beyond.any():
        raise InputError(f"{arrays.path}: a detection lies in a view or slot that is not there.")
    seen = torch.isfinite(points).all(-1)
    xy, confidence = torch.where(seen[..., None], points[..., :2], 0.0), torch.where(seen, points[..., 2], 0.0)
    found = []
    for slots, rows in zip(extent.slots.tolist(), places, strict=True):
        valid = torch.zeros(extent.views, slots, dtype=torch.bool)
        valid[view[rows], slot[rows]] = True
        parts = [torch.zeros(*valid.shape, *one.shape[1:], dtype=one.dtype) for one in (xy, confidence, seen, score)]
        for part, values in zip(parts, (xy, confidence, seen, score), strict=True):
            part[view[rows], slot[rows]] = values[rows]
        index = torch.full(valid.shape, ABSENT, dtype=torch.long)
        index[view[rows], slot[rows]] = source[rows]
        found.append(Detections(skeleton, *parts, valid=valid, index=index))
    return found


def _hypotheses_of(arrays: Arrays, extent: Extent) -> list[Hypotheses | None]:
    """The candidate tuples of every frame, None where none were weighed."""
    weighed = arrays.get("weighed", FLAGS, extent.frames)
    dropped = arrays.get("dropped", INTEGERS, extent.frames)
    time = _double(arrays.finite("tuple_time", None, least=0.0, most=1.0))
    frame, places = _frames_in(arrays, "tuple", extent)
    if len(frame) and not len(time):
        raise InputError(f"{arrays.path}: array 'tuple_time' names no step, and there are {len(frame)} tuples.")
    members = _members_of(arrays, "tuple", frame, extent)
    cost = _double(arrays.finite("tuple_cost", len(frame)))
    shares = [
        _double(arrays.finite(f"tuple_{name}", len(frame), least=0.0, most=SHARE)) for name in ("cue", "marginal")
    ]
    parts = (cost, *shares)
    mass = _double(arrays.finite("tuple_mass", len(frame), len(time), least=0.0, most=SHARE))
    return [
        Hypotheses(
            members[rows],
            *(part[rows] for part in parts),
            time=time,
            mass=mass[rows].T.contiguous(),
            dropped=int(dropped[place]),
        )
        if weighed[place]
        else None
        for place, rows in enumerate(places)
    ]


def _rivals_of(arrays: Arrays, extent: Extent) -> list[Association | None]:
    """Who is who by the integer programme, None where it was not asked."""
    rivalled = arrays.get("rivalled", FLAGS, extent.frames)
    frame, places = _frames_in(arrays, "rival", extent)
    members = _members_of(arrays, "rival", frame, extent)
    confidence = _double(arrays.finite("rival_confidence", len(frame), least=0.0, most=SHARE))
    return [
        Association(members[rows], confidence[rows]) if rivalled[place] else None for place, rows in enumerate(places)
    ]


def _labels_of(arrays: Arrays, detections: Sequence[Detections], extent: Extent) -> list[Labels | None]:
    """The truth of every frame, None where it is not known."""
    labelled = arrays.get("labelled", FLAGS, extent.frames)
    skeleton = skeleton_in(arrays, "truth_skeleton", "truth_joints")
    frame, places = _frames_in(arrays, "truth", extent)
    people = torch.from_numpy(arrays.get("truth_id", INTEGERS, len(frame)).astype(np.int64))
    xyz = _double(arrays.get("truth_xyz", NUMBERS, len(frame), len(skeleton), 3))
    counts = [int(found.valid.sum()) for found in detections]
    identity = torch.from_numpy(arrays.get("detection_identity", INTEGERS, sum(counts)).astype(np.int64))
    known = torch.isfinite(xyz).all(-1)
    xyz = torch.where(known[..., None], xyz, 0.0)
    labels: list[Labels | None] = []
    for place, (rows, found, who) in enumerate(zip(places, detections, identity.split(counts), strict=True)):
        table = torch.full(found.valid.shape, ABSENT, dtype=torch.long)
        table[found.valid] = who
        poses = Poses(skeleton, xyz[rows], known[rows].double(), known[rows], people[rows])
        labels.append(Labels.of_detections(table, poses) if labelled[place] else None)
    return labels


def _members_of(
    arrays: Arrays, table: str, frame: Int[np.ndarray, " rows"], extent: Extent
) -> Int[Tensor, "rows views"]:
    """The members of a table's groups. `InputError` for a slot that its frame does not have."""
    members = arrays.get(f"{table}_members", INTEGERS, len(frame), extent.views).astype(np.int64)
    if ((members < ABSENT) | (members >= extent.slots[frame][:, None])).any():
        raise InputError(f"{arrays.path}: array '{table}_members' names a slot that is not there.")
    return torch.from_numpy(members)


def _frame_of(case: FrameResult) -> Frame:
    """The frame of a case. Raises `ShapeError` where it has none."""
    if case.frame is None:
        raise ShapeError(f"frame {case.prediction.number} has no cameras and detections to keep")
    return replace(case.frame, number=case.prediction.number)


def _same_rig(one: Cameras, other: Cameras) -> bool:
    """Whether two rigs are the same cameras in the same places."""
    same = one.names == other.names and all(torch.equal(vars(one)[k], vars(other)[k]) for k in CAMERA_PARTS)
    same = same and torch.equal(one.lens, other.lens)
    return one is other or same
