"""`evidence.npz`: what a run knew and weighed, beside the `predictions.jsonl` that says what it concluded.

Cameras, the detections of every frame, the candidate tuples with cost, cue, marginal and the way of their mass, the
integer programme's answer, and labels where a data set has them. With both files a finished run opens without a model
and without the capture (docs/decisions/0040-saved-results.md). Numbers are as short as looking at them allows:
keypoints and joints float32, masses and cues float16, cameras float64.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dispose.errors import InputError, ShapeError
from dispose.formats import evidence_tables as tables
from dispose.formats.arrays import INTEGERS, Arrays, read_arrays
from dispose.formats.files import replacing_path
from dispose.formats.predictions import SavedPredictions, by_slot, read_predictions
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Labels
from dispose.scene.prediction import Association
from dispose.scene.results import FrameResult, Hypotheses, Results

SCHEMA = "dispose.evidence/1"
PREDICTIONS, EVIDENCE = "predictions.jsonl", "evidence.npz"


@dataclass(frozen=True, eq=False)
class FrameEvidence:
    """What a run knew of one frame (`dispose.scene.results.FrameResult` without its conclusion)."""

    frame: Frame
    hypotheses: Hypotheses | None
    rival: Association | None
    labels: Labels | None


@dataclass(frozen=True, eq=False)
class SavedEvidence:
    """The content of an evidence file.

    Attributes:
        path: the file, for complaints.
        name: what the run was about.
        method: who answered.
        digest: SHA-256 of the `predictions.jsonl` it belongs to.
        cameras: the rig of all frames.
        frames: in the order of the predictions.
    """

    path: Path
    name: str
    method: str
    digest: str
    cameras: Cameras
    frames: tuple[FrameEvidence, ...]


def write_evidence(path: Path, results: Results) -> None:
    """Write `evidence.npz` beside the `predictions.jsonl` in the same folder, to which it belongs from then on.

    Raises:
        ShapeError: a frame without cameras and detections, or frames of different rigs, skeletons or diffusion times.
        InputError: there is no `predictions.jsonl` in the folder.
    """
    digest = digest_of(path.parent / PREDICTIONS)
    frames = [frame_of(case) for case in results.cases]
    if not frames:
        raise ShapeError(f"{path}: a run without frames has no evidence to keep")
    rig, skeleton = frames[0].cameras, frames[0].detections.skeleton
    for frame in frames:
        if not same_rig(frame.cameras, rig) or frame.detections.skeleton != skeleton:
            raise ShapeError(f"{path}: frame {frame.number} has another rig or skeleton than frame {frames[0].number}")
    detections = [frame.detections for frame in frames]
    columns = [
        ("frame", np.array([frame.number for frame in frames], dtype=np.int64)),
        ("skeleton", np.array(skeleton.name)),
        ("joints", np.array(skeleton.joints)),
        *tables.camera_columns(rig),
        *tables.detection_columns(detections),
        *tables.hypothesis_columns([case.hypotheses for case in results.cases], len(rig)),
        *tables.rival_columns([case.reference for case in results.cases], len(rig)),
        *tables.label_columns([case.labels for case in results.cases], detections),
    ]
    with replacing_path(path) as temporary:
        np.savez_compressed(
            temporary,
            allow_pickle=False,
            schema=np.array(SCHEMA),
            name=np.array(results.name),
            method=np.array(results.method),
            predictions=np.array(digest),
            **dict(columns),
        )


def read_evidence(path: Path) -> SavedEvidence:
    """Read `evidence.npz` and check it; `InputError` says which array is not as it should be."""
    arrays = read_arrays(path, SCHEMA)
    cameras = tables.cameras_of(arrays)
    numbers = arrays.get("frame", INTEGERS, None)
    skeleton = tables.skeleton_in(arrays, "skeleton", "joints")
    extent = tables.Extent(len(numbers), slots_of(arrays, len(numbers)), len(cameras))
    detections = tables.detections_of(arrays, skeleton, extent)
    hypotheses = tables.hypotheses_of(arrays, extent)
    rivals = tables.rivals_of(arrays, extent)
    labels = tables.labels_of(arrays, detections, extent)
    frames = tuple(
        FrameEvidence(Frame(int(numbers[f]), cameras, detections[f]), hypotheses[f], rivals[f], labels[f])
        for f in range(extent.frames)
    )
    texts = (arrays.text(name) for name in ("name", "method", "predictions"))
    return SavedEvidence(path, *texts, cameras=cameras, frames=frames)


def read_run(folder: Path) -> Results:
    """A folder with `predictions.jsonl` and `evidence.npz`, as `dispose predict` leaves it.

    Raises `InputError` where one is broken or where the two are not of one run.
    """
    saved, evidence = read_predictions(folder / PREDICTIONS), read_evidence(folder / EVIDENCE)
    if digest_of(folder / PREDICTIONS) != evidence.digest:
        raise InputError(
            f"{evidence.path}: belongs to other predictions than {folder / PREDICTIONS}; run `dispose predict` again, "
            f"or name {PREDICTIONS} itself to look at it without evidence."
        )
    return joined(saved, evidence)


def joined(saved: SavedPredictions, evidence: SavedEvidence) -> Results:
    """Conclusions and evidence as one record. `InputError` where frames, cameras or members do not fit."""
    if saved.cameras != evidence.cameras.names:
        raise InputError(
            f"{evidence.path}: has the cameras {', '.join(evidence.cameras.names)}, "
            f"the predictions {', '.join(saved.cameras)}."
        )
    mine, theirs = ([f.number for f in saved.frames], [f.frame.number for f in evidence.frames])
    if mine != theirs:
        raise InputError(f"{evidence.path}: holds {len(theirs)} frames, which are not the predictions' {len(mine)}.")
    cases = tuple(
        FrameResult(
            by_slot(prediction, known.frame.detections, source=str(evidence.path.parent), cameras=saved.cameras),
            known.frame,
            known.hypotheses,
            known.rival,
            known.labels,
        )
        for prediction, known in zip(saved.frames, evidence.frames, strict=True)
    )
    return Results(evidence.name, evidence.method, saved.skeleton, cases, notes_of(cases))


def notes_of(cases: tuple[FrameResult, ...]) -> tuple[str, ...]:
    """What was left out of the file."""
    dropped = sum(case.hypotheses.dropped for case in cases if case.hypotheses is not None)
    kept = sum(len(case.hypotheses.members) for case in cases if case.hypotheses is not None)
    if not dropped:
        return ()
    return (f"{kept} of {kept + dropped} candidate tuples are kept; the others never had mass and were not cheap.",)


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


def slots_of(arrays: Arrays, frames: int) -> tuple[int, ...]:
    """Number of slots of every frame."""
    slots = arrays.get("detection_slots", INTEGERS, frames)
    if frames and not 0 <= slots.min() <= slots.max() < np.iinfo(np.int16).max:
        raise InputError(f"{arrays.path}: array 'detection_slots' has {slots.min()} to {slots.max()} slots a view.")
    return tuple(int(count) for count in slots)


def frame_of(case: FrameResult) -> Frame:
    """The frame of a case. Raises `ShapeError` where it has none."""
    if case.frame is None:
        raise ShapeError(f"frame {case.prediction.number} has no cameras and detections to keep")
    return replace(case.frame, number=case.prediction.number)


def same_rig(one: Cameras, other: Cameras) -> bool:
    """Whether two rigs are the same cameras in the same places."""
    if one is other:
        return True
    return one.names == other.names and all(
        torch.equal(a, b)
        for a, b in (
            (one.matrix, other.matrix),
            (one.distortion, other.distortion),
            (one.rotation, other.rotation),
            (one.translation, other.translation),
        )
    )
