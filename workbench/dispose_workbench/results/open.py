"""Finished runs, ours and other people's, as records to look at: no model, and no capture unless one is named."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.arrays import open_arrays
from dispose.formats.body3d import FILES as BODY3D
from dispose.formats.body3d import body3d_files, read_body3d_files
from dispose.formats.calibration.json_files import read_calibration_panoptic
from dispose.formats.calibration.read import read_calibration
from dispose.formats.evidence import EVIDENCE, PEOPLE, PREDICTIONS, read_run
from dispose.formats.files import visible
from dispose.formats.folders import refuse_unfinished, watch
from dispose.formats.person_table import check_digest
from dispose.formats.predictions import SavedPredictions, by_slot, read_predictions
from dispose.formats.trc import read_trc_people, without_later_versions
from dispose.inference.capture import read_capture, read_frame
from dispose.inference.readings import Reading, spans
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.scene.labels import labels_of
from dispose.scene.results import FrameResult, Prediction, Results
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import conversion_between
from dispose.tensors import ABSENT

POSE_FOLDERS = "hdPose3d*"
UNKNOWN = "unknown method"
TRC_FOLDERS = (".", "trc", "pose-3d")


@dataclass(frozen=True, eq=False)
class SavedPeople:
    """The people of every frame as a file has them, and what is known besides.

    `source` is what was opened, for complaints, and `method` who answered, as far as the file says. The cameras are
    those of a calibration that lies with the people, and the notes say what is missing.
    """

    saved: SavedPredictions
    source: Path
    method: str = UNKNOWN
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
    if path.name == EVIDENCE and path.is_file():
        path = path.parent
    require_same = watch(path)
    if (path / EVIDENCE).is_file() and (path / PREDICTIONS).is_file():
        if capture is not None or calibration is not None:
            raise InputError(f"{path}: holds its own cameras and detections; name no capture and no calibration.")
        results = read_run(path)
    elif capture is None:
        results = with_cameras(open_people(path), calibration)
    else:
        results = in_capture(open_people(path), capture, calibration)
    require_same()
    if not results.cases:
        raise InputError(f"{path}: holds no frame.")
    if truth is not None:
        results = with_truth(results, truth)
    if results.cases[0].prediction.association.members.shape[1] == 1:
        results = replace(results, notes=(*results.notes, "one camera: nobody can be told apart across views."))
    return results


def open_people(path: Path) -> SavedPeople:
    """The people of a file or folder in whatever format. `InputError` where there is nothing that can be read."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    if path.is_file():
        return open_file(path)
    refuse_unfinished(path)
    if (path / PREDICTIONS).is_file():
        if (path / PEOPLE).exists():
            check_digest(open_arrays(path / PEOPLE), path / PREDICTIONS)
        missing = [name for name in (PEOPLE, EVIDENCE) if not (path / name).exists()]
        note = f"there is no {' and no '.join(missing)} in {path}: left out when it was written, or lost since."
        return of_predictions(path / PREDICTIONS, path, (note,) if missing else ())
    if (path / EVIDENCE).is_file():
        raise InputError(f"{path}: has {EVIDENCE} and no {PREDICTIONS}; run `dispose predict` again.")
    bodies = body3d_files(path) or bodies_of_sequence(path)
    if bodies:
        return open_bodies(bodies, path)
    for place in TRC_FOLDERS:
        files = visible((path / place).glob("*.[tT][rR][cC]"))
        if files:
            return open_trc(files, path)
    inside = [folder.parent for depth in ("*", "*/*") for folder in visible(path.glob(f"{depth}/{PREDICTIONS}"))]
    if inside:
        names = ", ".join(str(folder.relative_to(path)) for folder in inside[:6])
        raise InputError(f"{path}: holds several results ({names}); name one of them.")
    raise InputError(f"{path}: no results in it (looked for {PREDICTIONS}, {BODY3D}, *.trc).")


def of_predictions(path: Path, source: Path, notes: tuple[str, ...]) -> SavedPeople:
    """The people of `predictions.jsonl`, by whoever its first line names; earlier ones name nobody."""
    saved = read_predictions(path)
    return SavedPeople(saved, source, saved.method or UNKNOWN, notes=notes)


def open_file(path: Path) -> SavedPeople:
    """The people of one file, told by its ending."""
    kind = path.suffix.lower()
    if kind == ".jsonl":
        note = f"{path.name} alone: what was weighed is in {EVIDENCE}, which opens with the folder."
        return of_predictions(path, path, (note,))
    if kind == ".json":
        return open_bodies([path], path)
    if kind == ".trc":
        return SavedPeople(read_trc_people([path]), path, "TRC file")
    raise InputError(f"{path}: unknown kind of results; known: {PREDICTIONS}, {BODY3D}, *.trc, and folders of them.")


def open_trc(files: Sequence[Path], path: Path) -> SavedPeople:
    """People of a file each; filtered versions of the same people are left out, and named."""
    first, later = without_later_versions(files)
    names = ", ".join(one.name for one in later[:4]) + (", …" if len(later) > 4 else "")
    notes = (f"left out, being later versions of the same people: {names}; name one to look at it.",) if later else ()
    return SavedPeople(read_trc_people(first), path, "TRC files", notes=notes)


def bodies_of_sequence(path: Path) -> list[Path]:
    """The frames in the one folder of poses of a Panoptic sequence; `InputError` where there are several."""
    folders = [folder for folder in visible(path.glob(POSE_FOLDERS)) if body3d_files(folder)]
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise InputError(f"{path}: several folders of people ({names}); name one of them.")
    return body3d_files(folders[0]) if folders else []


def open_bodies(files: Sequence[Path], path: Path) -> SavedPeople:
    """People in Panoptic's form, with the sequence's calibration where it lies beside them or one folder up."""
    people = SavedPeople(read_body3d_files(files), path, "Panoptic JSON")
    place = files[0].resolve().parent
    beside, above = (visible(folder.glob("calibration_*.json")) for folder in (place, place.parent))
    found = beside or above
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        note = f"several calibrations lie beside the people ({names}): none is taken, name one."
        return replace(people, notes=(note,))
    return replace(people, cameras=read_calibration_panoptic(found[0])) if found else people


def with_cameras(found: SavedPeople, calibration: Path | None) -> Results:
    """The people with the cameras that lie beside them, or of a calibration, and nobody detected."""
    cameras = found.cameras if calibration is None else read_calibration(calibration)
    if cameras is None:
        note = "cameras are not known: there are no pictures to look at; name a capture or a calibration."
        return results_of(found, map(FrameResult, found.saved.frames), note)
    chosen = cameras_of(found, cameras, str(calibration or found.source))
    empty = Detections.from_lists(found.saved.skeleton, [[] for _ in chosen.names])
    cases = (
        FrameResult(without_members(prediction, len(chosen)), Frame(prediction.number, chosen, empty))
        for prediction in found.saved.frames
    )
    return results_of(found, cases, "detections are not known: who was seen where cannot be judged.")


def in_capture(found: SavedPeople, folder: Path, calibration: Path | None) -> Results:
    """The people with the cameras and detections of their capture, which is read with their joints where they say
    which detections they were made of.
    """
    saved = found.saved
    known = saved.skeleton in CATALOG and bool(saved.cameras)
    capture = read_capture(folder, skeleton=saved.skeleton if known else None, calibration=calibration)
    there = set(capture.numbers)
    missing = [frame.number for frame in saved.frames if frame.number not in there]
    if missing:
        raise InputError(
            f"{found.source}: frame {missing[0]} is not in the capture {capture.source} ({spans(capture.numbers)})."
        )
    cameras = cameras_of(found, capture.cameras, str(capture.source))
    if not any(conversion_between(saved.skeleton, capture.skeleton).choices):
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
        if prediction.association.members.shape[1] == 0:  # of programs that name no detections
            placed = without_members(prediction, len(rows))
        else:
            placed = by_slot(prediction, frame.detections, source=str(found.source), cameras=cameras.names)
        cases.append(FrameResult(placed, frame))
    return results_of(found, cases)


def results_of(found: SavedPeople, cases: Iterable[FrameResult], *notes: str) -> Results:
    """The record, named after what was opened, with sentences about what the files left open."""
    source, skeleton = found.source.resolve(), found.saved.skeleton
    bones = "bones only between joints whose names it knows" if skeleton.bones else "shown without bones"
    strange = f"{len(skeleton)} joints of a skeleton that is not in the catalogue: {bones}."
    return Results(
        source.name if source.is_dir() else source.stem,
        found.method,
        skeleton,
        tuple(sorted(cases, key=lambda result: result.prediction.number)),
        (*found.notes, *([] if skeleton in CATALOG else [strange]), *found.saved.notes, *notes),
    )


def check_lost(found: SavedPeople, prediction: Prediction, reading: Reading) -> None:
    """`InputError` where people are said to be made of detections whose file is missing or damaged."""
    names, members = found.saved.cameras, prediction.association.members
    for loss in (*reading.missing, *reading.damaged):
        if loss.camera in names and bool((members[:, names.index(loss.camera)] != ABSENT).any()):
            raise InputError(
                f"{found.source}: frame {loss.number}: people are made of detections of camera {loss.camera}, "
                f"of which the capture has none: {loss.reason.rstrip('.')}."
            )


def cameras_of(found: SavedPeople, cameras: Cameras, source: str) -> Cameras:
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


def without_members(prediction: Prediction, views: int) -> Prediction:
    """The people alone, as of programs that name no detections."""
    members = torch.full((len(prediction.association), views), ABSENT, dtype=torch.long)
    return replace(prediction, association=replace(prediction.association, members=members))


def with_truth(results: Results, path: Path) -> Results:
    """The results with labels. `InputError` where no frame of the truth is theirs, or the cameras are others."""
    found = open_people(path)
    known = {frame.number: frame for frame in found.saved.frames}
    if not any(result.prediction.number in known for result in results.cases):
        raise InputError(
            f"{path}: has no frame in common with {results.name} ({spans(tuple(known)) or 'none at all'})."
        )
    if not any(conversion_between(results.skeleton, found.saved.skeleton).choices):
        raise InputError(
            f"{path}: its skeleton {found.saved.skeleton.name} has no joint in common with {results.skeleton.name}."
        )
    groups = [result.prediction.association for result in results.cases]
    # People of whom none is made of a detection are another program's: who groups nothing groups nothing wrongly.
    blind = any(len(one) for one in groups) and not any(bool((one.members != ABSENT).any()) for one in groups)
    cases = []
    for result in results.cases:
        truth = known.get(result.prediction.number)
        if truth is not None:
            if result.frame is not None:
                truth = in_order(truth, found, result.frame.cameras)
            truth = without_members(truth, 0) if blind else truth
            result = replace(result, labels=labels_of(result.frame, truth))
        cases.append(result)
    without = sum(result.labels is None for result in cases)
    notes = [*results.notes, *(f"truth: {note}" for note in found.saved.notes)]
    if without:
        notes.append(f"{without} frames have no truth in {path}.")
    return replace(results, cases=tuple(cases), notes=tuple(notes))


def in_order(truth: Prediction, found: SavedPeople, cameras: Cameras) -> Prediction:
    """The truth with its members in the order of the results' cameras, absent where it has not that camera."""
    names = found.saved.cameras
    if not names:
        return truth
    cameras_of(found, cameras, "this run")
    rows = [names.index(name) if name in names else len(names) for name in cameras.names]
    return truth.pad(views=len(names) + 1).select(views=rows)
