"""From the detections of a recording to its pseudo-labels: filtered, put together, put right, and accounted for.

Nothing here reads a truth: what goes in are frames (`dispose.scene.frame.Frame`), which hold none.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from tqdm import tqdm

from dispose.association.reconstruct import Triangulate, predictions_of, robust
from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.formats.pseudo_labels import LabelledFrame, PseudoLabelStore, gather_labels
from dispose.inference.capture import Capture, source_of
from dispose.inference.check.diagnosis import Diagnosis, diagnose
from dispose.inference.readings import Source, Summary
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.preparation.anatomy import Bones, fit_bones
from dispose.preparation.filters import (
    FilterConfig,
    Removal,
    grouped_slots,
    removal,
    screen,
    still_people,
    without,
)
from dispose.preparation.programme import Grouped, GroupFrames, ProgrammeConfig, group_by_programme
from dispose.preparation.rectify import (
    Rectified,
    RectifyConfig,
    joined,
    rectify,
    with_fitting_bones,
)
from dispose.preparation.report import Account, LabelReport, SequenceReport, sequence_report
from dispose.scene.convert import convert_detections, convert_poses
from dispose.scene.frame import Detections, Frame, Labels
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

BLOCK = 50
"""Frames that are put together and put right at a time; what is done of a killed run is whole blocks."""

LOOKED_AT = 240
"""Frames in a row, from the middle of the recording, in which cameras at fault are looked for."""

AT_FAULT = ("exchanged", "time", "turned", "focal length", "picture size", "dead")
"""Topics of findings (`dispose check`) that make a camera's rays useless to the others."""


@dataclass(frozen=True, eq=False)
class LabelSettings:
    """How labels are made.

    Attributes:
        filters: which detections count.
        group: who is who.
        group_name: what the report calls it.
        margin: frames to either side that `group` looks at.
        triangulate: where the joints of a group are.
        rectify: what is put right.
        bones: how long bones are; None: as the recording says.
        rate_hz: of the frames' numbers.
        every: one frame of so many.
        inspect: whether cameras at fault are looked for and left out.
    """

    filters: FilterConfig = FilterConfig()
    group: GroupFrames = partial(group_by_programme, config=ProgrammeConfig())
    group_name: str = "integer programme over windows"
    margin: int = ProgrammeConfig().window
    triangulate: Triangulate = robust
    rectify: RectifyConfig = RectifyConfig()
    bones: Bones | None = None
    rate_hz: float = 30.0
    every: int = 1
    inspect: bool = True


@dataclass(frozen=True, eq=False)
class SequenceLabels:
    """The labels of one recording, who is who among the detections that are left, and the account of how it went."""

    labels: tuple[LabelledFrame, ...]
    frames: tuple[Frame, ...]
    predictions: tuple[Prediction, ...]
    report: SequenceReport


@dataclass(frozen=True, eq=False)
class MadeLabels:
    """Labels in memory, as training takes them, and the account."""

    store: PseudoLabelStore
    report: LabelReport


Keep = Callable[[int, Callable[[], Sequence[Grouped]]], Sequence[Grouped]]
"""Who is who in a block of frames by its number: what was kept, or else what is found now and kept."""


def make_afresh(block: int, find: Callable[[], Sequence[Grouped]]) -> Sequence[Grouped]:
    """Nothing is kept."""
    return find()


@dataclass(frozen=True, eq=False)
class ReadFrames:
    """The frames of a recording in memory; what was read, in words; the SHA-256 of cameras and detections."""

    frames: tuple[Frame, ...]
    sentences: tuple[str, ...]
    digest: str


def make_labels(capture: Capture[DetectionView], settings: LabelSettings, *, name: str = "") -> MadeLabels:
    """The pseudo-labels of a capture's detections, in memory.

    Args:
        capture: calibrated cameras with detections.
        settings: how.
        name: of the sequence; default that of the folder.

    Raises:
        InputError: no frame can be read.
    """
    name = name or capture.source.resolve().name
    read = read_frames(name, source_of(capture), settings.every)
    made = label_frames(name, read.frames, settings, read=read.sentences)
    store = gather_labels(capture.source / "labels", PANOPTIC_15, capture.cameras.names, made.labels)
    return MadeLabels(store, LabelReport((made.report,)))


def read_frames(name: str, source: Source, every: int) -> ReadFrames:
    """Every so many frames; of what a reading holds only the frame and what was lost of it are looked at."""
    frames, summary, digest = list[Frame](), Summary(), hashlib.sha256()
    for number in tqdm(source.numbers[::every], unit="frame", desc=f"{name}: read", delay=2.0, leave=None):
        reading = source.read(number)
        if reading is None:
            break
        summary = summary.plus(reading)
        frames.append(reading.frame)
        found, cameras = reading.frame.detections, reading.frame.cameras
        rig = () if len(frames) > 1 else (cameras.lens, cameras.matrix, cameras.rotation, cameras.translation)
        for part in (*rig, found.xy_image, found.confidence, found.visible, found.valid):
            digest.update(part.contiguous().numpy().tobytes())
        digest.update(f"{number} {cameras.names} {found.skeleton.name}".encode())
    if not frames:
        raise InputError(f"{name}: no frame can be read.")
    return ReadFrames(tuple(frames), summary.sentences(), digest.hexdigest())


def label_frames(
    name: str,
    frames: Sequence[Frame],
    settings: LabelSettings,
    *,
    read: Sequence[str] = (),
    keep: Keep = make_afresh,
) -> SequenceLabels:
    """The pseudo-labels of the frames of one recording, all before one rig."""
    screened = [screen(frame, settings.filters) for frame in frames]
    removed = [one for _, some in screened for one in some]
    usable = [frame for frame, _ in screened]
    diagnosis = _inspected(usable, settings)
    left_out = _left_out(diagnosis, frames[0].cameras.names)
    seen = [_blind(frame, left_out) for frame in usable]
    grouped: list[Grouped] = []
    starts = range(0, len(seen), BLOCK)
    for block, start in enumerate(tqdm(starts, unit="block", desc=f"{name}: put together", delay=2.0, leave=None)):
        grouped += keep(block, partial(group_block, seen, start, settings))
    whole = _rectified(seen, [one.association for one in grouped], settings, name)
    whole, still = _without_still(whole, settings, name)
    whole, bones = _with_bones(whole, settings)
    found = predictions_of(whole.frames, whole.associations, whole.poses)
    ids = whole.poses.id.split([len(one.association) for one in found])
    found = [replace(one, poses=replace(one.poses, id=mine)) for one, mine in zip(found, ids, strict=True)]
    labels = [
        LabelledFrame(name, frame.number, labels_of_frame(_with_back(frame, own, left_out), one, PANOPTIC_15))
        for frame, own, one in zip(whole.frames, usable, found, strict=True)
    ]
    account = Account(
        name, settings.group_name, tuple(labels), (*removed, *still), whole.repairs, bones, tuple(grouped), diagnosis,
        left_out, tuple(read),
    )  # fmt: skip
    return SequenceLabels(tuple(labels), whole.frames, tuple(found), sequence_report(account))


def group_block(frames: Sequence[Frame], start: int, settings: LabelSettings) -> Sequence[Grouped]:
    """Who is who in one block of frames, with the help of those around it."""
    first = max(start - settings.margin, 0)
    stop = min(start + BLOCK, len(frames))
    around = frames[first : min(stop + settings.margin, len(frames))]
    return settings.group(around)[start - first : stop - first]


def _rectified(
    frames: Sequence[Frame], associations: Sequence[Association], settings: LabelSettings, name: str
) -> Rectified:
    """All frames put right, block by block."""
    starts = tqdm(range(0, len(frames), BLOCK), unit="block", desc=f"{name}: put right", delay=2.0, leave=None)
    return joined([
        rectify(frames[at : at + BLOCK], associations[at : at + BLOCK], settings.triangulate, settings.rectify)
        for at in starts
    ])  # fmt: skip


def _inspected(frames: Sequence[Frame], settings: LabelSettings) -> Diagnosis | None:
    """What is wrong with the cameras, by frames from the middle."""
    cameras = frames[0].cameras
    if not settings.inspect or len(cameras) < 3:
        return None
    start = max((len(frames) - LOOKED_AT) // 2, 0)
    some = frames[start : start + LOOKED_AT]
    return diagnose([f.detections for f in some], cameras, [f.number for f in some], settings.rate_hz)


def _left_out(diagnosis: Diagnosis | None, names: Sequence[str]) -> tuple[str, ...]:
    """Cameras that do not fit the others, where at least two others remain."""
    if diagnosis is None:
        return ()
    bad = {name for one in diagnosis.findings if one.topic in AT_FAULT for name in one.cameras}
    return tuple(name for name in names if name in bad) if len(names) - len(bad) >= 2 else ()


def _blind(frame: Frame, cameras: Sequence[str]) -> Frame:
    """A frame in which some cameras see nobody."""
    if not cameras:
        return frame
    rows = [frame.cameras.names.index(name) for name in cameras]
    valid = frame.detections.valid.clone()
    valid[rows] = False
    return replace(frame, detections=replace(frame.detections, valid=valid))


def _with_back(frame: Frame, usable: Frame, cameras: Sequence[str]) -> Frame:
    """A frame with the detections again of cameras that were left out: their people are there, known in 2-D only."""
    if not cameras:
        return frame
    rows = [frame.cameras.names.index(name) for name in cameras]
    valid = frame.detections.valid.clone()
    valid[rows] = usable.detections.valid[rows]
    return replace(frame, detections=replace(frame.detections, valid=valid))


def _without_still(whole: Rectified, settings: LabelSettings, name: str) -> tuple[Rectified, list[Removal]]:
    """Nobody who never moves and never agrees with another view; groups that chance gave them lose them."""
    masks = [
        grouped_slots(one.members, frame.detections.valid.shape[1])
        for frame, one in zip(whole.frames, whole.associations, strict=True)
    ]
    found = still_people(whole.frames, masks, settings.rate_hz, settings.filters)
    if not found:
        return whole, []
    gone: dict[int, list[tuple[int, int]]] = {}
    for row, view, slot in found:
        gone.setdefault(row, []).append((view, slot))
    reason = "never moves, agrees with no other view"
    removed = [removal(whole.frames[row], view, slot, reason) for row, view, slot in found]
    frames, associations = list(whole.frames), list(whole.associations)
    for row, slots in gone.items():
        frames[row] = without(frames[row], slots)
        associations[row] = _ungrouped(associations[row], slots)
    again = _rectified(frames, associations, settings, name)
    return replace(again, repairs=again.repairs + whole.repairs), removed


def _ungrouped(association: Association, slots: Sequence[tuple[int, int]]) -> Association:
    members = association.members.clone()
    for view, slot in slots:
        members[members[:, view] == slot, view] = ABSENT
    kept = (members != ABSENT).sum(1) >= 2
    return Association(members[kept], association.confidence[kept])


def _with_bones(whole: Rectified, settings: LabelSettings) -> tuple[Rectified, Bones]:
    """The people, with numbers that stay theirs over time, and the joints that their bones allow."""
    memory, numbers = Memory(config=TrackingConfig(rate_hz=settings.rate_hz)), list[int]()
    for frame, one in zip(whole.frames, predictions_of(whole.frames, whole.associations, whole.poses), strict=True):
        memory, linked = link(memory, one, frame)
        numbers += linked.poses.id.tolist()
    whole = replace(whole, poses=replace(whole.poses, id=torch.tensor(numbers, dtype=torch.long)))
    bones = settings.bones or fit_bones(whole.poses)
    return with_fitting_bones(whole, bones, settings.triangulate, settings.rectify), bones


def labels_of_frame(frame: Frame, found: Prediction, skeleton: Skeleton) -> Labels:
    """What is known of a frame as labels: people with their joints in space and in every view, and who is nobody's."""
    detections = convert_detections(frame.detections, skeleton)
    members = found.association.members
    there = members != ABSENT
    view = torch.arange(members.shape[1]).expand_as(members)
    slot = members.clamp(min=0)
    if detections.valid.shape[1] == 0:
        detections = detections.pad(slots=1)
    visible = (detections.visible[view, slot] & there[..., None]).transpose(0, 1)
    xy = torch.where(visible[..., None], detections.xy_image[view, slot].transpose(0, 1), 0.0)
    confidence = torch.where(visible, detections.confidence[view, slot].transpose(0, 1), 0.0)
    alone = detections.valid.clone()
    alone[view[there], members[there]] = False
    poses = convert_poses(replace(found.poses, covariance=None, score=None), skeleton)
    return Labels.of_images(poses, xy.double(), confidence.double(), visible, _only(detections, alone))


def _only(detections: Detections, valid: torch.Tensor) -> Detections:
    """Some of the detections that show a joint, in the first slots."""
    shown = valid & detections.visible.any(-1)
    xys = torch.cat([detections.xy_image, detections.confidence[..., None]], -1).double()
    xys = torch.where(detections.visible[..., None], xys, 0.0)
    return Detections.from_lists(
        detections.skeleton,
        [list(xys[v][shown[v]]) for v in range(len(shown))],
        [detections.score[v][shown[v]].tolist() for v in range(len(shown))],
        [detections.index[v][shown[v]].tolist() for v in range(len(shown))],
    )
