"""A capture: calibrated cameras and 2-D detections on disk, read frame by frame, with an account of what was lost."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.read import read_calibration
from dispose.formats.detections.coco_results import open_coco_results
from dispose.formats.detections.openpose import open_openpose
from dispose.formats.detections.people import NO_PEOPLE, DamagedFrameError, DetectionView, ViewPeople
from dispose.formats.files import visible
from dispose.inference.names import NameMatch, choose_skeleton, match_names
from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton

# Pose2Sim writes synchronised detections beside the raw ones; where there are any, they are the ones to use.
DETECTION_FOLDERS = ("pose-sync", "pose", "detections")
CALIBRATION_PATTERNS = (
    "calib*/*.toml",
    "calib*/*.json",
    "calib*/intri.yml",
    "calib*.toml",
    "calib*.json",
    "cameras.json",
)
PEOPLE_TO_TELL_SKELETONS = 40


@dataclass(frozen=True, eq=False)
class Capture:
    """What a capture folder holds, with nothing of its frames read yet.

    Attributes:
        source: the folder, for complaints.
        cameras: the cameras that have both a calibration and detections.
        views: the detections of every camera, in the order of `cameras`.
        skeleton: what the detector's joints are.
        numbers: frame numbers that at least one camera has, ascending.
        notes: sentences about what was matched, left out or worked out.
    """

    source: Path
    cameras: Cameras
    views: tuple[DetectionView, ...]
    skeleton: Skeleton
    numbers: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Loss:
    """One frame of one camera that could not be used."""

    camera: str
    number: int
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """A frame as read, and what was not as it should be.

    Attributes:
        frame: the frame; a camera whose file is missing or damaged sees nobody.
        missing: cameras without a file for this frame.
        damaged: cameras whose file cannot be read.
        empty_people: people in the files without a single keypoint.
        overshoot: scores slightly above 1, taken as 1.
    """

    frame: Frame
    missing: tuple[Loss, ...]
    damaged: tuple[Loss, ...]
    empty_people: int
    overshoot: int


@dataclass(frozen=True)
class Summary:
    """What was read of a capture, and what was lost."""

    frames: int = 0
    detections: int = 0
    missing: tuple[Loss, ...] = ()
    damaged: tuple[Loss, ...] = ()
    empty_people: int = 0
    overshoot: int = 0

    def plus(self, reading: Reading) -> "Summary":
        """The account with one more frame."""
        return Summary(
            self.frames + 1,
            self.detections + int(reading.frame.detections.valid.sum()),
            self.missing + reading.missing,
            self.damaged + reading.damaged,
            self.empty_people + reading.empty_people,
            self.overshoot + reading.overshoot,
        )

    def sentences(self) -> tuple[str, ...]:
        """The account in words, one sentence per kind of loss."""
        found = [f"{self.frames} frames read, {self.detections} detections."]
        for camera, count in Counter(loss.camera for loss in self.missing).items():
            numbers = [loss.number for loss in self.missing if loss.camera == camera]
            found.append(f"camera {camera} has no file for {count} frames ({spans(numbers)}).")
        found += [f"lost: {loss.reason}" for loss in self.damaged[:10]]
        if len(self.damaged) > 10:
            found.append(f"lost: {len(self.damaged) - 10} further frames of single cameras.")
        if self.empty_people:
            found.append(f"left out: people without a single keypoint, {self.empty_people} in the files.")
        if self.overshoot:
            found.append(f"{self.overshoot} joint scores lie slightly above 1 (OpenPose's overshoot) and count as 1.")
        return tuple(found)


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers as ranges: ``0-3, 7, 9-12``; long lists are cut."""
    parts: list[tuple[int, int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    words = [str(a) if a == b else f"{a}-{b}" for a, b in parts]
    return ", ".join(words[:6]) + (", …" if len(words) > 6 else "")


def gaps_of(numbers: Sequence[int]) -> tuple[int, ...]:
    """Numbers left out of an ascending sequence that otherwise goes on in even steps."""
    steps = Counter(b - a for a, b in pairwise(numbers))
    if not steps:
        return ()
    step = steps.most_common(1)[0][0]
    return tuple(n for a, b in pairwise(numbers) if (b - a) % step == 0 for n in range(a + step, b, step))


def read_capture(
    folder: Path,
    *,
    skeleton: Skeleton | None = None,
    calibration: Path | None = None,
    detections: Path | None = None,
    mm_per_unit: float | None = None,
) -> Capture:
    """Open a capture folder (Pose2Sim's layout) or its parts by their own paths.

    Args:
        folder: holds ``calib*/`` with one calibration and ``pose/<camera>_json/``.
        skeleton: the detector's; default the only one with that many joints, or the one that fits the people.
        calibration: a calibration elsewhere or in another format.
        detections: a folder of OpenPose folders, a COCO result file, or a folder with one per camera.
        mm_per_unit: scale of a COLMAP calibration.

    Raises `InputError` where less than two cameras have both a calibration and detections, or where no frame
    number occurs in two cameras.
    """
    rig_file = calibration or find_calibration(folder)
    cameras = read_calibration(rig_file, mm_per_unit=mm_per_unit)
    place = detections or find_detections(folder)
    views = open_detections(place)
    match = match_names(cameras.names, tuple(view.camera for view in views))
    notes = [*_match_notes(match, cameras, views)]
    if calibration is None and folder not in rig_file.parents:
        notes.insert(0, f"calibration of the session: {rig_file}.")
    if len(match.pairs) < 2:
        raise InputError(
            f"{place}: {len(match.pairs)} of its cameras ({', '.join(v.camera for v in views)}) belong to the "
            f"calibrated ones ({', '.join(cameras.names)}); at least two are needed."
        )
    rows, kept = _with_common_frames(place, [(i, views[j]) for i, j in match.pairs])
    notes += [
        f"camera {views[j].camera} is left out: its frames ({spans(views[j].numbers) or 'none'}) "
        "occur in no other camera."
        for i, j in match.pairs
        if i not in rows
    ]
    choice = choose_skeleton(str(place), _some_people(kept)) if skeleton is None else None
    if choice is not None and choice.note:
        notes.append(choice.note)
    numbers = tuple(sorted({number for view in kept for number in view.numbers}))
    if gaps := gaps_of(numbers):
        notes.append(f"frames {spans(gaps)} are in no camera, and will not be in the results.")
    chosen = choice.skeleton if choice is not None else skeleton
    assert chosen is not None
    return Capture(folder, cameras.select(views=rows), kept, chosen, numbers, tuple(notes))


def find_calibration(folder: Path) -> Path:
    """The one calibration of a capture folder, else of the session it lies in; `InputError` for none or several."""
    if not folder.is_dir():
        what = "is a file, not a capture folder" if folder.exists() else "there is no such capture folder"
        raise InputError(f"{folder}: {what}.")
    # Pose2Sim keeps trials in folders beside the calibration of their session.
    for place in (folder, folder.resolve().parent):
        found = visible({path for pattern in CALIBRATION_PATTERNS for path in place.glob(pattern)})
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(place)) for path in found)
            raise InputError(f"{place}: several calibrations ({names}); choose one with --calibration.")
        if found:
            return found[0]
    raise InputError(f"{folder}: no calibration in it (looked for {', '.join(CALIBRATION_PATTERNS)}).")


def find_detections(folder: Path) -> Path:
    """The detections of a capture folder."""
    for name in DETECTION_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder}: no detections in it (looked for {', '.join(DETECTION_FOLDERS)}).")


def open_detections(path: Path) -> tuple[DetectionView, ...]:
    """Detections in OpenPose's form (a folder of folders) or as COCO results (a file, or a file per camera)."""
    if not path.exists():
        raise InputError(f"{path}: there are no such detections.")
    if path.is_dir() and any(p.is_dir() for p in visible(path.iterdir())):
        return open_openpose(path)
    return open_coco_results(path)


def _match_notes(match: NameMatch, cameras: Cameras, views: Sequence[DetectionView]) -> list[str]:
    other = [(cameras.names[i], views[j].camera) for i, j in match.pairs if cameras.names[i] != views[j].camera]
    notes = []
    if other:
        notes.append(f"cameras matched by name: {', '.join(f'{a} is {b}' for a, b in other)}.")
    if match.only_calibrated:
        notes.append(f"calibrated cameras without detections, left out: {_few(match.only_calibrated)}.")
    if match.only_detected:
        notes.append(f"detections of cameras without calibration, left out: {_few(match.only_detected)}.")
    return notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _with_common_frames(
    place: Path, matched: list[tuple[int, DetectionView]]
) -> tuple[list[int], tuple[DetectionView, ...]]:
    """The cameras that share a frame number with another camera; `InputError` where none do."""
    count = Counter(number for _, view in matched for number in view.numbers)
    kept = [(i, view) for i, view in matched if any(count[number] > 1 for number in view.numbers)]
    if not kept:
        ranges = ", ".join(f"{view.camera}: {spans(view.numbers) or 'none'}" for _, view in matched)
        raise InputError(f"{place}: no frame number occurs in two cameras ({ranges}).")
    return [i for i, _ in kept], tuple(view for _, view in kept)


def _some_people(views: Sequence[DetectionView]) -> list[Float[Tensor, "joints 3"]]:
    """Some people from all over the capture, with the most frequent number of joints; damaged frames are skipped."""
    widths: Counter[int] = Counter()
    places: list[tuple[DetectionView, int, int]] = []
    for view in views:
        for number in view.numbers[:: max(1, len(view.numbers) // 10)]:
            try:
                counts = {count for count in view.joint_counts(number) if count}
            except DamagedFrameError:
                continue
            widths.update(counts)
            places += [(view, number, count) for count in counts]
    if not widths:
        return []
    joints = widths.most_common(1)[0][0]
    # Any skeleton of that width reads the numbers; a width that none has is complained about by the caller.
    reader = next((s for s in CATALOG if len(s) == joints), None)
    if reader is None:
        names = tuple(f"joint {j}" for j in range(joints))
        reader = Skeleton("unknown", names, (), None, ())
    people: list[Float[Tensor, "joints 3"]] = []
    for view, number, count in places:
        if count == joints and len(people) < PEOPLE_TO_TELL_SKELETONS:
            people += view.read(number, reader).keypoints
    return people


def read_frame(capture: Capture, number: int) -> Reading:
    """One frame of a capture; `InputError` for values that cannot be right, never for a missing or damaged file."""
    people: list[ViewPeople] = []
    missing, damaged = [], []
    for name, view in zip(capture.cameras.names, capture.views, strict=True):
        if number not in view.numbers:
            missing.append(Loss(name, number, "no file"))
            people.append(NO_PEOPLE)
            continue
        try:
            people.append(view.read(number, capture.skeleton))
        except DamagedFrameError as error:
            damaged.append(Loss(name, number, str(error)))
            people.append(NO_PEOPLE)
    detections = Detections.from_lists(
        capture.skeleton, [p.keypoints for p in people], index=[list(p.index) for p in people]
    )
    return Reading(
        Frame(number, capture.cameras, detections),
        tuple(missing),
        tuple(damaged),
        sum(p.empty for p in people),
        sum(p.overshoot for p in people),
    )


def select_frames(capture: Capture, start: int | None, stop: int | None) -> Capture:
    """The capture's frames with ``start <= number < stop``; `InputError` where none is left."""
    kept = tuple(n for n in capture.numbers if (start is None or n >= start) and (stop is None or n < stop))
    if not kept:
        raise InputError(
            f"{capture.source}: no frame in {'' if start is None else start}:{'' if stop is None else stop} "
            f"(there are {spans(capture.numbers)})."
        )
    return replace(capture, numbers=kept)
