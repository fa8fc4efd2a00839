"""`evidence.npz`: what a run knew and weighed, beside the `predictions.jsonl` that says what it concluded.

Cameras, the detections of every frame, the candidate tuples with cost, cue, marginal and the way of their mass, the
integer programme's answer, and labels where a data set has them. With both files a finished run opens without a model
and without the capture (docs/decisions/0040-saved-results.md). Numbers are as short as looking at them allows:
keypoints and joints float32, masses and cues float16, cameras float64.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dispose.errors import InputError, ShapeError
from dispose.formats import evidence_tables as tables
from dispose.formats.arrays import INTEGERS, Arrays, read_arrays
from dispose.formats.growing import Columns, write_npz
from dispose.formats.predictions import SavedPredictions, by_slot, read_predictions
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import Association, FrameResult, Hypotheses, Results

SCHEMA = "dispose.evidence/1"
PREDICTIONS, EVIDENCE = "predictions.jsonl", "evidence.npz"


@dataclass(frozen=True, eq=False)
class SavedEvidence:
    """The content of an evidence file.

    Attributes:
        path: the file, for complaints.
        name: what the run was about.
        method: who answered.
        digest: SHA-256 of the `predictions.jsonl` it belongs to.
        cameras: the rig of all frames.
        frames: in the order of the predictions; the following are row by row the same frames.
        hypotheses: what was weighed, None where nothing was.
        references: who is who by the integer programme, None where it was not asked.
        labels: the truth, None where it is not known.
    """

    path: Path
    name: str
    method: str
    digest: str
    cameras: Cameras
    frames: list[Frame]
    hypotheses: list[Hypotheses | None]
    references: list[Association | None]
    labels: list[Labels | None]


def write_evidence(path: Path, results: Results) -> None:
    """Write `evidence.npz` beside the `predictions.jsonl` in the same folder, to which it belongs from then on.

    Raises:
        ShapeError: a frame without cameras and detections, or frames of different rigs, skeletons or diffusion times.
        InputError: there is no `predictions.jsonl` in the folder.
    """
    if not results.cases:
        raise ShapeError(f"{path}: a run without frames has no evidence to keep")
    head = evidence_head(path.parent / PREDICTIONS, results.name, results.method)
    write_npz(path, [*head, *evidence_common(path, results.cases), *evidence_rows(results.cases, 0)])


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
    frames = [frame_of(case) for case in cases]
    rig, skeleton = frames[0].cameras, frames[0].detections.skeleton
    for frame in frames:
        if not same_rig(frame.cameras, rig) or frame.detections.skeleton != skeleton:
            raise ShapeError(f"{path}: frame {frame.number} has another rig or skeleton than frame {frames[0].number}")
    columns: Columns = [("skeleton", np.array(skeleton.name)), ("joints", np.array(skeleton.joints))]
    columns += tables.camera_columns(rig)
    columns += tables.time_column([case.hypotheses for case in cases])
    columns += tables.truth_columns([case.labels for case in cases])
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
    detections, views = [frame_of(case).detections for case in cases], len(frame_of(cases[0]).cameras)
    columns = [
        ("frame", np.array([case.prediction.number for case in cases], dtype=np.int64)),
        *tables.detection_columns(detections),
        *tables.hypothesis_columns([case.hypotheses for case in cases], views),
        *tables.rival_columns([case.reference for case in cases], views),
        *tables.label_columns([case.labels for case in cases], detections),
    ]
    return [(name, rows + np.int32(first) if name.endswith("_frame") else rows) for name, rows in columns]


def read_evidence(path: Path) -> SavedEvidence:
    """Read `evidence.npz` and check it; `InputError` says which array is not as it should be."""
    arrays = read_arrays(path, SCHEMA)
    cameras = tables.cameras_of(arrays)
    numbers = arrays.get("frame", INTEGERS, None)
    skeleton = tables.skeleton_in(arrays, "skeleton", "joints")
    extent = tables.Extent(len(numbers), slots_of(arrays, len(numbers)), len(cameras))
    detections = tables.detections_of(arrays, skeleton, extent)
    name, method, digest = (arrays.text(key) for key in ("name", "method", "predictions"))
    return SavedEvidence(
        path,
        name,
        method,
        digest,
        cameras,
        [Frame(number, cameras, found) for number, found in zip(numbers.tolist(), detections, strict=True)],
        tables.hypotheses_of(arrays, extent),
        tables.rivals_of(arrays, extent),
        tables.labels_of(arrays, detections, extent),
    )


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
    return join(saved, evidence)


def join(saved: SavedPredictions, evidence: SavedEvidence) -> Results:
    """Conclusions and evidence as one record. `InputError` where frames, cameras or members do not fit."""
    if saved.cameras != evidence.cameras.names:
        raise InputError(
            f"{evidence.path}: has the cameras {', '.join(evidence.cameras.names)}, "
            f"the predictions {', '.join(saved.cameras)}."
        )
    mine, theirs = ([f.number for f in saved.frames], [f.number for f in evidence.frames])
    if mine != theirs:
        raise InputError(f"{evidence.path}: holds {len(theirs)} frames, which are not the predictions' {len(mine)}.")
    source = str(evidence.path.parent)
    cases = tuple(
        FrameResult(
            by_slot(prediction, frame.detections, source=source, cameras=saved.cameras),
            frame,
            evidence.hypotheses[place],
            evidence.references[place],
            evidence.labels[place],
        )
        for place, (prediction, frame) in enumerate(zip(saved.frames, evidence.frames, strict=True))
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
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
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
