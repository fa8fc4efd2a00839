"""The tables of `evidence.npz`: flat columns, a row per detection, tuple, group or person; written and read here.

Every table has a column that says which frame of the file a row belongs to, and its rows lie in the order of frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from dispose.errors import InputError, ShapeError
from dispose.formats.arrays import FLAGS, INTEGERS, NUMBERS, Arrays
from dispose.formats.growing import Columns
from dispose.formats.predictions import skeleton_of
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Labels, Poses
from dispose.scene.results import Association, Hypotheses
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT


@dataclass(frozen=True, eq=False)
class Extent:
    """What the tables of one file have in common.

    Attributes:
        frames: how many frames there are.
        slots: number of detection slots of every frame.
        views: number of cameras.
    """

    frames: int
    slots: tuple[int, ...]
    views: int


def camera_columns(cameras: Cameras) -> Columns:
    """The rig, in float64."""
    return [
        ("camera_names", np.array(cameras.names)),
        ("camera_size", cameras.size.numpy()),
        ("camera_matrix", cameras.matrix.numpy()),
        ("camera_distortion", cameras.distortion.numpy()),
        ("camera_rotation", cameras.rotation.numpy()),
        ("camera_translation", cameras.translation.numpy()),
    ]


def cameras_of(arrays: Arrays) -> Cameras:
    """The rig. `InputError` for entries that are not finite."""
    names = arrays.texts("camera_names")
    views, tails = len(names), ((2,), (3, 3), (8,), (3, 3), (3,))
    values = []
    for part, tail in zip(("size", "matrix", "distortion", "rotation", "translation"), tails, strict=True):
        values.append(torch.from_numpy(arrays.finite(f"camera_{part}", views, *tail).astype(np.float64)))
    return Cameras(names, *values)


def detection_columns(detections: Sequence[Detections]) -> Columns:
    """Every detection in its slot; keypoints are x, y, score, NaN NaN 0 where not visible."""
    rows = [d.valid.nonzero() for d in detections]
    keypoints = []
    for found, place in zip(detections, rows, strict=True):
        view, slot = place.unbind(1)
        seen = found.visible[view, slot][..., None]
        xy = torch.where(seen, found.xy_image[view, slot].double(), torch.nan)
        score = torch.where(seen, found.confidence[view, slot][..., None].double(), 0.0)
        keypoints.append(torch.cat([xy, score], -1).numpy())
    pairs = list(zip(detections, rows, strict=True))
    joints = len(detections[0].skeleton) if detections else 0
    return [
        ("detection_slots", np.array([d.valid.shape[1] for d in detections], dtype=np.int32)),
        ("detection_frame", frame_column([len(r) for r in rows])),
        ("detection_view", stacked([r[:, 0].numpy() for r in rows], np.int16)),
        ("detection_slot", stacked([r[:, 1].numpy() for r in rows], np.int16)),
        ("detection_index", stacked([d.index[r[:, 0], r[:, 1]].numpy() for d, r in pairs], np.int32)),
        ("detection_score", stacked([d.score[r[:, 0], r[:, 1]].numpy() for d, r in pairs], np.float32)),
        ("detection_keypoints", stacked(keypoints, np.float32, (joints, 3))),
    ]


def detections_of(arrays: Arrays, skeleton: Skeleton, extent: Extent) -> list[Detections]:
    """The detections of every frame."""
    frame = arrays.rows("detection_frame", extent.frames, rising=True)
    count, joints = len(frame), len(skeleton)
    view, slot = (arrays.get(f"detection_{name}", INTEGERS, count) for name in ("view", "slot"))
    source = arrays.get("detection_index", INTEGERS, count)
    score = arrays.finite("detection_score", count)
    keypoints = arrays.get("detection_keypoints", NUMBERS, count, joints, 3)
    slots = np.array(extent.slots, dtype=np.int64)
    if count and (min(view.min(), slot.min()) < 0 or view.max() >= extent.views or (slot >= slots[frame]).any()):
        raise InputError(f"{arrays.path}: a detection lies in a view or slot that is not there.")
    found = []
    for number, rows in enumerate(slices(frame, extent.frames)):
        place = (torch.from_numpy(view[rows].astype(np.int64)), torch.from_numpy(slot[rows].astype(np.int64)))
        shape = (extent.views, extent.slots[number])
        points = torch.from_numpy(keypoints[rows].astype(np.float64))
        seen = torch.isfinite(points).all(-1)
        found.append(
            Detections(
                skeleton,
                filled(shape, place, torch.where(seen[..., None], points[..., :2], 0.0)),
                filled(shape, place, torch.where(seen, points[..., 2], 0.0)),
                filled(shape, place, seen),
                filled(shape, place, torch.from_numpy(score[rows].astype(np.float64))),
                filled(shape, place, torch.ones(len(place[0]), dtype=torch.bool)),
                filled(shape, place, torch.from_numpy(source[rows].astype(np.int64)), ABSENT),
            )
        )
    return found


def time_column(hypotheses: Sequence[Hypotheses | None]) -> Columns:
    """The diffusion times of all tuples. Raises `ShapeError` where the frames were sampled at different ones."""
    known = [h for h in hypotheses if h is not None]
    times = known[0].time if known else torch.zeros(0, dtype=torch.float64)
    if any(len(h.time) != len(times) or not torch.equal(h.time, times) for h in known):
        raise ShapeError("the frames' hypotheses have different diffusion times; one file holds one list of times")
    return [("tuple_time", times.double().numpy())]


def hypothesis_columns(hypotheses: Sequence[Hypotheses | None], views: int) -> Columns:
    """The candidate tuples."""
    known = [h for h in hypotheses if h is not None]
    steps = len(known[0].time) if known else 0
    return [
        ("weighed", np.array([h is not None for h in hypotheses], dtype=bool)),
        ("dropped", np.array([0 if h is None else h.dropped for h in hypotheses], dtype=np.int32)),
        ("tuple_frame", frame_column([0 if h is None else len(h.members) for h in hypotheses])),
        ("tuple_members", stacked([h.members.numpy() for h in known], np.int16, (views,))),
        ("tuple_cost", stacked([h.cost.numpy() for h in known], np.float32)),
        ("tuple_cue", stacked([h.cue.numpy() for h in known], np.float16)),
        ("tuple_marginal", stacked([h.marginal.numpy() for h in known], np.float16)),
        ("tuple_mass", stacked([h.mass.T.numpy() for h in known], np.float16, (steps,))),
    ]


def hypotheses_of(arrays: Arrays, extent: Extent) -> list[Hypotheses | None]:
    """The candidate tuples of every frame, None where none were weighed."""
    weighed = arrays.get("weighed", FLAGS, extent.frames)
    dropped = arrays.get("dropped", INTEGERS, extent.frames)
    time = arrays.finite("tuple_time", None)
    frame = arrays.rows("tuple_frame", extent.frames, rising=True)
    if len(frame) and not len(time):
        raise InputError(f"{arrays.path}: array 'tuple_time' names no step, and there are {len(frame)} tuples.")
    members = members_of(arrays, "tuple", frame, extent)
    cost, cue, marginal = (arrays.finite(f"tuple_{name}", len(frame)) for name in ("cost", "cue", "marginal"))
    mass = arrays.finite("tuple_mass", len(frame), len(time))
    return [
        Hypotheses(
            members[rows],
            *(torch.from_numpy(part[rows].astype(np.float64)) for part in (cost, cue, marginal)),
            time=torch.from_numpy(time.astype(np.float64)),
            mass=torch.from_numpy(mass[rows].T.astype(np.float64).copy()),
            dropped=int(dropped[number]),
        )
        if weighed[number]
        else None
        for number, rows in enumerate(slices(frame, extent.frames))
    ]


def rival_columns(rivals: Sequence[Association | None], views: int) -> Columns:
    """Who is who by the integer programme."""
    known = [r for r in rivals if r is not None]
    return [
        ("rivalled", np.array([r is not None for r in rivals], dtype=bool)),
        ("rival_frame", frame_column([0 if r is None else len(r) for r in rivals])),
        ("rival_members", stacked([r.members.numpy() for r in known], np.int16, (views,))),
        ("rival_confidence", stacked([r.confidence.numpy() for r in known], np.float32)),
    ]


def rivals_of(arrays: Arrays, extent: Extent) -> list[Association | None]:
    """Who is who by the integer programme, None where it was not asked."""
    rivalled = arrays.get("rivalled", FLAGS, extent.frames)
    frame = arrays.rows("rival_frame", extent.frames, rising=True)
    members = members_of(arrays, "rival", frame, extent)
    confidence = torch.from_numpy(arrays.finite("rival_confidence", len(frame)).astype(np.float64))
    return [
        Association(members[rows], confidence[rows]) if rivalled[number] else None
        for number, rows in enumerate(slices(frame, extent.frames))
    ]


def truth_columns(labels: Sequence[Labels | None]) -> Columns:
    """The joints of the truth. Raises `ShapeError` where the frames' labels have different ones."""
    known = [one for one in labels if one is not None]
    skeleton = known[0].poses.skeleton if known else None
    if any(one.poses.skeleton != skeleton for one in known):
        raise ShapeError("the frames' labels have different skeletons; one file holds one")
    return [
        ("truth_skeleton", np.array("" if skeleton is None else skeleton.name)),
        ("truth_joints", np.array(() if skeleton is None else skeleton.joints)),
    ]


def label_columns(labels: Sequence[Labels | None], detections: Sequence[Detections]) -> Columns:
    """The truth: an identity per detection (`ABSENT` = nobody) and a row per true person."""
    known = [one for one in labels if one is not None]
    joints = len(known[0].poses.skeleton) if known else 0
    identity = [
        np.full(int(d.valid.sum()), ABSENT) if one is None else one.identity[d.valid].numpy()
        for one, d in zip(labels, detections, strict=True)
    ]
    poses = [torch.where(one.poses.valid[..., None], one.poses.xyz_world.double(), torch.nan).numpy() for one in known]
    return [
        ("labelled", np.array([one is not None for one in labels], dtype=bool)),
        ("detection_identity", stacked(identity, np.int32)),
        ("truth_frame", frame_column([0 if one is None else len(one.poses.id) for one in labels])),
        ("truth_id", stacked([one.poses.id.numpy() for one in known], np.int32)),
        ("truth_xyz", stacked(poses, np.float32, (joints, 3))),
    ]


def labels_of(arrays: Arrays, detections: Sequence[Detections], extent: Extent) -> list[Labels | None]:
    """The truth of every frame, None where it is not known."""
    labelled = arrays.get("labelled", FLAGS, extent.frames)
    skeleton = skeleton_in(arrays, "truth_skeleton", "truth_joints")
    frame = arrays.rows("truth_frame", extent.frames, rising=True)
    people = torch.from_numpy(arrays.get("truth_id", INTEGERS, len(frame)).astype(np.int64))
    xyz = torch.from_numpy(arrays.get("truth_xyz", NUMBERS, len(frame), len(skeleton), 3).astype(np.float64))
    count = sum(int(d.valid.sum()) for d in detections)
    identity = torch.from_numpy(arrays.get("detection_identity", INTEGERS, count).astype(np.int64))
    found: list[Labels | None] = []
    first = 0
    for number, rows in enumerate(slices(frame, extent.frames)):
        valid = detections[number].valid
        table = torch.full(valid.shape, ABSENT, dtype=torch.long)
        last = first + int(valid.sum())
        table[valid] = identity[first:last]
        first = last
        known = torch.isfinite(xyz[rows]).all(-1)
        place = torch.where(known[..., None], xyz[rows], 0.0)
        poses = Poses(skeleton, place, known.double(), known, people[rows])
        found.append(Labels.of_detections(table, poses) if labelled[number] else None)
    return found


def skeleton_in(arrays: Arrays, name: str, joints: str) -> Skeleton:
    """A skeleton by its name and joints. `InputError` where two joints have one name."""
    names = arrays.texts(joints)
    if len(set(names)) != len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise InputError(f"{arrays.path}: array {joints!r} has {twice!r} more than once.")
    return skeleton_of(arrays.text(name), names)


def members_of(
    arrays: Arrays, table: str, frame: Int[np.ndarray, " rows"], extent: Extent
) -> Int[Tensor, "rows views"]:
    """The members of a table's groups. `InputError` for a slot that its frame does not have."""
    members = arrays.get(f"{table}_members", INTEGERS, len(frame), extent.views).astype(np.int64)
    slots = np.array(extent.slots, dtype=np.int64)
    if len(frame) and ((members < ABSENT) | (members >= slots[frame][:, None])).any():
        raise InputError(f"{arrays.path}: array '{table}_members' names a slot that is not there.")
    return torch.from_numpy(members)


def frame_column(counts: Sequence[int]) -> Int[np.ndarray, " rows"]:
    """The frame of every row from the number of rows of every frame."""
    return np.repeat(np.arange(len(counts), dtype=np.int32), np.array(counts, dtype=np.int64))


def stacked(
    parts: Sequence[Shaped[np.ndarray, "..."]], dtype: type, tail: tuple[int, ...] = ()
) -> Shaped[np.ndarray, "..."]:
    """The rows of all frames as one table; an empty table where there are none."""
    return np.concatenate([np.zeros((0, *tail), dtype=dtype), *(part.astype(dtype) for part in parts)])


def slices(frame: Int[np.ndarray, " rows"], frames: int) -> list[slice]:
    """The rows of every frame in a table sorted by frame."""
    ends = np.searchsorted(frame, np.arange(frames + 1))
    return [slice(int(a), int(b)) for a, b in pairwise(ends)]


def filled(
    shape: tuple[int, int], place: tuple[Tensor, Tensor], values: Shaped[Tensor, "rows *tail"], empty: int = 0
) -> Shaped[Tensor, "views slots *tail"]:
    """Rows put into their view and slot."""
    table = torch.full((*shape, *values.shape[1:]), empty, dtype=values.dtype)
    table[place] = values
    return table
