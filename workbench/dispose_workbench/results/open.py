"""Finished runs, ours and other people's, as records to look at: no model, and no capture unless one is named."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.body3d import FILES as BODY3D
from dispose.formats.body3d import body3d_files, read_body3d_files
from dispose.formats.calibration.panoptic import read_calibration_panoptic
from dispose.formats.calibration.read import read_calibration
from dispose.formats.evidence import EVIDENCE, PREDICTIONS, read_run
from dispose.formats.files import visible
from dispose.formats.predictions import SavedPredictions, by_slot, read_predictions
from dispose.formats.trc import read_trc_people, without_later_versions
from dispose.inference.capture import Capture, Reading, read_capture, read_frame, spans
from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.scene.prediction import Prediction
from dispose.scene.results import FrameResult, Results
from dispose.scene.truth import labels_of
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.conversions import conversion_between
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

POSE_FOLDERS = "hdPose3d*"
TRC_FOLDERS = ("trc", "pose-3d")
UNKNOWN = "unknown method"


@dataclass(frozen=True, eq=False)
class Opened:
    """People as a file has them, and what is known besides.

    Attributes:
        saved: the people of every frame.
        source: what was opened, for complaints.
        method: who answered, as far as the file says.
        cameras: of a calibration that lies with the people; None without one.
        notes: what is missing.
    """

    saved: SavedPredictions
    source: Path
    method: str
    cameras: Cameras | None = None
    notes: tuple[str, ...] = ()


def read_results(
    path: Path, *, capture: Path | None = None, calibration: Path | None = None, truth: Path | None = None
) -> Results:
    """Open finished results, whoever made them.

    Args:
        path: a folder of `dispose predict` or `dispose evaluate --save`, a `predictions.jsonl`, Panoptic's
            `body3DScene_*.json` (one, or a folder of them, or of a sequence with its calibration), TRC files
            (one person, or a folder with a file per person).
        capture: the capture that the people were found in, for cameras and detections where the results hold none.
        calibration: cameras alone, likewise.
        truth: labels: anything that could be `path`, with the same frame numbers.

    Raises `InputError` with one sentence for what cannot be read, holds no frame, or does not fit together.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.name == EVIDENCE:
        path = path.parent
    if (path / EVIDENCE).is_file() and (path / PREDICTIONS).is_file():
        if capture is not None or calibration is not None:
            raise InputError(f"{path}: holds its own cameras and detections; name no capture and no calibration.")
        results = read_run(path)
    else:
        results = with_context(opened(path), capture, calibration)
    if not results.cases:
        raise InputError(f"{path}: holds no frame.")
    if truth is not None:
        results = with_truth(results, truth)
    views = results.cases[0].prediction.association.members.shape[1]
    if views == 1:
        results = replace(results, notes=(*results.notes, "one camera: nobody can be told apart across views."))
    return results


def opened(path: Path) -> Opened:
    """The people of a file or folder in whatever format. `InputError` where there is nothing that can be read."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.is_file():
        return opened_file(path)
    if (path / PREDICTIONS).is_file():
        note = f"there is no {EVIDENCE} in {path}: `dispose predict` was cut short, or told to leave it out."
        return Opened(read_predictions(path / PREDICTIONS), path, UNKNOWN, notes=(note,))
    if (path / EVIDENCE).is_file():
        raise InputError(f"{path}: has {EVIDENCE} and no {PREDICTIONS}; run `dispose predict` again.")
    bodies = body3d_files(path) or in_pose_folder(path)
    if bodies:
        return opened_bodies(bodies, path)
    for place in (path, *(path / name for name in TRC_FOLDERS)):
        files = trc_files(place)
        if files:
            return opened_trc(files, path)
    inside = [folder.parent for folder in visible(path.glob(f"*/{PREDICTIONS}"))]
    inside += [folder.parent for folder in visible(path.glob(f"*/*/{PREDICTIONS}"))]
    if inside:
        names = ", ".join(str(folder.relative_to(path)) for folder in inside[:6])
        raise InputError(f"{path}: holds several results ({names}); name one of them.")
    raise InputError(f"{path}: no results in it (looked for {PREDICTIONS}, {BODY3D}, *.trc).")


def opened_file(path: Path) -> Opened:
    """The people of one file, told by its ending."""
    kind = path.suffix.lower()
    if kind == ".jsonl":
        note = f"{path.name} alone: what was weighed is in {EVIDENCE}, which opens with the folder."
        return Opened(read_predictions(path), path, UNKNOWN, notes=(note,))
    if kind == ".json":
        return opened_bodies([path], path)
    if kind == ".trc":
        return Opened(read_trc_people([path]), path, "TRC file")
    raise InputError(f"{path}: unknown kind of results; known: {PREDICTIONS}, {BODY3D}, *.trc, and folders of them.")


def trc_files(folder: Path) -> list[Path]:
    """The TRC files of a folder, whatever the case of their ending."""
    return visible(path for path in folder.iterdir() if path.suffix.lower() == ".trc") if folder.is_dir() else []


def opened_trc(files: Sequence[Path], path: Path) -> Opened:
    """People of a file each; filtered versions of the same people are left out, and named."""
    first, later = without_later_versions(files)
    names = ", ".join(one.name for one in later[:4]) + (", …" if len(later) > 4 else "")
    notes = (f"left out, being later versions of the same people: {names}; name one to look at it.",) if later else ()
    return Opened(read_trc_people(first), path, "TRC files", notes=notes)


def in_pose_folder(path: Path) -> list[Path]:
    """The frames in the one folder of poses of a Panoptic sequence; `InputError` where there are several."""
    folders = [folder for folder in visible(path.glob(POSE_FOLDERS)) if body3d_files(folder)]
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise InputError(f"{path}: several folders of people ({names}); name one of them.")
    return body3d_files(folders[0]) if folders else []


def opened_bodies(files: Sequence[Path], path: Path) -> Opened:
    """People in Panoptic's form, with the sequence's calibration where it lies beside them or one folder up."""
    saved = read_body3d_files(files)
    place = files[0].resolve().parent
    for folder in (place, place.parent):
        found = visible(folder.glob("calibration_*.json"))
        if len(found) == 1:
            return Opened(saved, path, "Panoptic JSON", read_calibration_panoptic(found[0]))
        if found:
            names = ", ".join(one.name for one in found)
            note = f"several calibrations lie beside the people ({names}): none is taken, name one."
            return Opened(saved, path, "Panoptic JSON", notes=(note,))
    return Opened(saved, path, "Panoptic JSON")


def with_context(found: Opened, capture: Path | None, calibration: Path | None) -> Results:
    """The people with cameras, and with detections where a capture is named."""
    if capture is not None:
        return in_capture(found, read_capture_of(found, capture, calibration))
    cameras = found.cameras if calibration is None else read_calibration(calibration)
    notes = notes_of(found)
    if cameras is None:
        notes.append("cameras are not known: there are no pictures to look at; name a capture or a calibration.")
        cases = tuple(FrameResult(prediction) for prediction in found.saved.frames)
        return results_of(found, cases, notes)
    notes.append("detections are not known: who was seen where cannot be judged.")
    chosen = cameras_of(found, cameras, str(calibration or found.source))
    empty = Detections.from_lists(found.saved.skeleton, [[] for _ in chosen.names])
    cases = tuple(
        FrameResult(unseen(prediction, len(chosen)), Frame(prediction.number, chosen, empty))
        for prediction in found.saved.frames
    )
    return results_of(found, cases, notes)


def results_of(found: Opened, cases: tuple[FrameResult, ...], notes: Sequence[str]) -> Results:
    """The record, named after what was opened."""
    source = found.source.resolve()
    name = source.name if source.is_dir() else source.stem
    cases = tuple(sorted(cases, key=lambda case: case.prediction.number))
    return Results(name, found.method, found.saved.skeleton, cases, tuple(notes))


def notes_of(found: Opened) -> list[str]:
    """What the files left open."""
    return [*found.notes, *skeleton_notes(found.saved.skeleton), *found.saved.notes]


def skeleton_notes(skeleton: Skeleton) -> tuple[str, ...]:
    """A sentence where the catalogue does not know the joints."""
    if skeleton in CATALOG:
        return ()
    bones = "bones only between joints whose names it knows" if skeleton.bones else "shown without bones"
    return (f"{len(skeleton)} joints of a skeleton that is not in the catalogue: {bones}.",)


def read_capture_of(found: Opened, folder: Path, calibration: Path | None) -> Capture:
    """The capture, read with the joints of the results where they say which detections they were made of."""
    known = found.saved.skeleton in CATALOG and bool(found.saved.cameras)
    return read_capture(folder, skeleton=found.saved.skeleton if known else None, calibration=calibration)


def in_capture(found: Opened, capture: Capture) -> Results:
    """The people with the cameras and detections of their capture."""
    saved = found.saved
    there = set(capture.numbers)
    missing = [frame.number for frame in saved.frames if frame.number not in there]
    if missing:
        raise InputError(
            f"{found.source}: frame {missing[0]} is not in the capture {capture.source} ({spans(capture.numbers)})."
        )
    cameras = cameras_of(found, capture.cameras, str(capture.source))
    if not conversion_between(saved.skeleton, capture.skeleton).rules:
        raise InputError(
            f"{found.source}: has no joint in common with the detections of {capture.source} "
            f"({saved.skeleton.name} and {capture.skeleton.name})."
        )
    rows = [capture.cameras.names.index(name) for name in cameras.names]
    cases = []
    for prediction in saved.frames:
        reading = read_frame(capture, prediction.number)
        check_lost(found, prediction, reading)
        frame = reading.frame.select(views=rows)
        cases.append(FrameResult(placed(prediction, frame, str(found.source)), frame))
    return results_of(found, tuple(cases), notes_of(found))


def check_lost(found: Opened, prediction: Prediction, reading: Reading) -> None:
    """`InputError` where people are said to be made of detections whose file is missing or damaged."""
    names, members = found.saved.cameras, prediction.association.members
    for loss in (*reading.missing, *reading.damaged):
        if loss.camera in names and bool((members[:, names.index(loss.camera)] != ABSENT).any()):
            raise InputError(
                f"{found.source}: frame {loss.number}: people are made of detections of camera {loss.camera}, "
                f"of which the capture has none: {loss.reason.rstrip('.')}."
            )


def cameras_of(found: Opened, cameras: Cameras, source: str) -> Cameras:
    """The cameras in the order of the results. `InputError` where the results are of others."""
    names = found.saved.cameras
    if not names:
        return cameras
    unknown = [name for name in names if name not in cameras.names]
    if unknown:
        raise InputError(
            f"{found.source}: is of {len(names)} cameras ({', '.join(names)}); {source} has {len(cameras)} "
            f"({', '.join(cameras.names[:8])}), and {unknown[0]} is not among them."
        )
    return cameras.select(views=[cameras.names.index(name) for name in names])


def placed(prediction: Prediction, frame: Frame, source: str) -> Prediction:
    """Members as slots; those of programs that name no detections are absent."""
    if prediction.association.members.shape[1] == 0:
        return unseen(prediction, len(frame.cameras))
    return by_slot(prediction, frame.detections, source=source, cameras=frame.cameras.names)


def unseen(prediction: Prediction, views: int) -> Prediction:
    """The prediction without members: there are no detections that they could be."""
    members = torch.full((len(prediction.association), views), ABSENT, dtype=torch.long)
    return replace(prediction, association=replace(prediction.association, members=members))


def with_truth(results: Results, path: Path) -> Results:
    """The results with labels. `InputError` where no frame of the truth is theirs, or the cameras are others."""
    found = opened(path)
    known = {frame.number: frame for frame in found.saved.frames}
    if not any(case.prediction.number in known for case in results.cases):
        raise InputError(
            f"{path}: has no frame in common with {results.name} ({spans(tuple(known)) or 'none at all'})."
        )
    if not conversion_between(results.skeleton, found.saved.skeleton).rules:
        raise InputError(
            f"{path}: its skeleton {found.saved.skeleton.name} has no joint in common with {results.skeleton.name}."
        )
    blind = names_no_detections(results)
    cases = []
    for case in results.cases:
        number = case.prediction.number
        if number not in known:
            cases.append(case)
            continue
        truth = known[number] if case.frame is None else in_order(known[number], found, case.frame.cameras)
        truth = without_members(truth) if blind else truth
        cases.append(replace(case, labels=labels_of(case.frame, truth)))
    without = sum(case.labels is None for case in cases)
    notes = [*results.notes, *(f"truth: {note}" for note in found.saved.notes)]
    if without:
        notes.append(f"{without} frames have no truth in {path}.")
    return replace(results, cases=tuple(cases), notes=tuple(notes))


def names_no_detections(results: Results) -> bool:
    """Whether there are people and none is said to be made of a detection, as in other programs' files."""
    groups = [case.prediction.association for case in results.cases]
    return any(len(one) for one in groups) and not any(bool((one.members != ABSENT).any()) for one in groups)


def without_members(truth: Prediction) -> Prediction:
    """The true people alone: who puts nobody's detections together puts none of them wrongly."""
    none = torch.zeros(len(truth.association), 0, dtype=torch.long)
    return replace(truth, association=replace(truth.association, members=none))


def in_order(truth: Prediction, found: Opened, cameras: Cameras) -> Prediction:
    """The truth with its members in the order of the results' cameras."""
    names = found.saved.cameras
    if not names:
        return truth
    chosen = cameras_of(found, cameras, "this run")
    members = torch.full((len(truth.association), len(cameras)), ABSENT, dtype=torch.long)
    for column, name in enumerate(chosen.names):
        members[:, cameras.names.index(name)] = truth.association.members[:, column]
    return replace(truth, association=replace(truth.association, members=members))
