"""A capture: calibrated cameras with 2-D detections or images on disk, read frame by frame.

``calib*/…`` beside ``pose/<camera>_json/*.json``, ``images/<camera>/*.jpg`` or ``videos/<camera>.mp4``. Frames are
matched by their number. A file that is missing or damaged leaves its view out of that frame and is counted.
"""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

from dispose.datasets.multiview import RawFrame, check_size, letterbox_frame
from dispose.errors import InputError
from dispose.formats.calibration.read import open_calibration
from dispose.formats.calibration.rig import CalibratedRig
from dispose.formats.detections.people import (
    NO_PEOPLE,
    DamagedFrameError,
    DetectionView,
    FoundPeople,
    Odd,
    counted,
    within_lenses,
)
from dispose.formats.detections.read import open_detections
from dispose.formats.files import visible
from dispose.formats.images.series import ENDINGS, VIDEO_ENDINGS, ImageSeries, open_image_series
from dispose.inference.finding import (
    DETECTION_FOLDERS,
    IMAGE_FOLDERS,
    detections_in,
    find_calibration,
    folder_named,
    holders_of_detections,
    trials_in,
)
from dispose.inference.first_look import settle_detections
from dispose.inference.pairing import NameMatch, few, match_notes, pair_cameras, to_type
from dispose.inference.readings import Loss, Reading, Source, gaps_of, spans, spans_of
from dispose.inference.sizes import sized_by_pictures
from dispose.inference.timing import camera_row, shift_of
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15, body_of
from dispose.skeletons.skeleton import Skeleton

View = TypeVar("View", DetectionView, ImageSeries)
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Capture(Generic[View]):
    """What a capture folder holds, with nothing of its frames read yet.

    There are the cameras that have both a calibration and recordings, and the frame numbers that at least one of them
    has, ascending. The skeleton is of the detector's people, or of those to be found in the images; the notes are
    sentences about what was matched, left out or worked out.
    """

    source: Path
    cameras: Cameras
    views: tuple[View, ...]
    skeleton: Skeleton
    numbers: tuple[int, ...]
    notes: tuple[str, ...]


def read_capture(
    folder: Path,
    skeleton: Skeleton | None = None,
    calibration: Path | None = None,
    detections: Path | None = None,
    mm_per_unit: float | None = None,
    *,
    up: str | None = None,
    told: Sequence[str] = (),
    shifts: Sequence[str] = (),
) -> Capture[DetectionView]:
    """Open the detections of a capture folder (Pose2Sim's layout), or its parts by their own paths.

    Args:
        folder: holds ``calib*/`` with one calibration and ``pose/<camera>_json/``.
        skeleton: the detector's; default what the files say, or the one that fits the people.
        calibration: a calibration elsewhere or in another format.
        detections: in any form of `dispose.formats.detections.read`: a folder with a folder or a file per camera, or a
            file that names camera and frame of everybody.
        mm_per_unit: what one unit of the calibration is, where that is not what its format says.
        up: the axis of the calibration's world that points up, likewise.
        told: pairs ``calibrated=recorded`` of cameras; default by their names.
        shifts: of cameras, as in ``cam02=-5``; a frame is an instant then, with the numbers of cameras not shifted.

    Raises `InputError` where less than two cameras have both a calibration and detections, or where no frame
    number occurs in two cameras.
    """
    rig_file = calibration or find_calibration(folder)
    rig = open_calibration(rig_file, mm_per_unit=mm_per_unit, up=up)
    place = detections or find_detections(folder)
    views = open_detections(place)
    match = pair_cameras(str(place), rig, [view.camera for view in views], told)
    rig = sized_by_pictures(rig, pictures_of(folder) if rig.guessed else (), match, [view.camera for view in views])
    found = _matched(place, rig, match, views, "detections", COCO_17, [shift_of(text) for text in shifts])
    notes = list(found.notes)
    if calibration is None and folder not in rig_file.parents:
        notes.insert(0, f"calibration of the session: {rig_file}.")
    if detections is None and place.name.lower() not in DETECTION_FOLDERS:
        notes.insert(0, f"detections: {place}, the only folder of the capture that holds some.")
    settled, said = settle_detections(str(place), found.views, _sizes(found.cameras), skeleton)
    detected = settled[0].skeleton
    assert detected is not None
    notes = [*notes, *said, *_gap_notes(found.numbers)]
    return replace(found, source=folder, views=settled, skeleton=body_of(detected), notes=tuple(notes))


def _sizes(cameras: Cameras) -> list[tuple[float, float]]:
    """Width and height of every camera's image."""
    return [(float(width), float(height)) for width, height in cameras.size.tolist()]


def read_image_capture(
    folder: Path,
    calibration: Path | None = None,
    pictures: Path | None = None,
    mm_per_unit: float | None = None,
    *,
    up: str | None = None,
    told: Sequence[str] = (),
) -> Capture[ImageSeries]:
    """Open the images of a capture folder, or its parts by their own paths.

    Args:
        folder: holds ``calib*/`` with one calibration, and ``images/<camera>/`` or ``videos/<camera>.*``.
        calibration: a calibration elsewhere or in another format.
        pictures: a folder that holds one sub-folder of images, or one video, per camera.
        mm_per_unit: what one unit of the calibration is, where that is not what its format says.
        up: the axis of the calibration's world that points up, likewise.
        told: pairs ``calibrated=recorded`` of cameras; default by their names.

    Raises `InputError` where less than two cameras have both a calibration and images, or where no frame number
    occurs in two cameras.
    """
    rig = open_calibration(calibration or find_calibration(folder), mm_per_unit=mm_per_unit, up=up)
    place = pictures or folder_named(folder, IMAGE_FOLDERS)
    if place is None:
        looked = ", ".join(IMAGE_FOLDERS)
        raise InputError(f"{folder}: no pictures in it (looked for {looked}){_instead(folder, IMAGE_FOLDERS)}.")
    views = open_image_series(place)
    names = [view.camera for view in views]
    match = pair_cameras(str(place), rig, names, told)
    found = _matched(place, sized_by_pictures(rig, views, match, names), match, views, "pictures", PANOPTIC_15)
    return replace(found, notes=(*found.notes, *_gap_notes(found.numbers)))


def find_detections(folder: Path) -> Path:
    """`detections_in` a capture folder; `InputError` where there are none, or several that may be meant."""
    place = detections_in(folder)
    if place is not None:
        return place
    holders = holders_of_detections(folder)
    if holders:
        raise InputError(f"{folder}: several folders of detections ({', '.join(path.name for path in holders)}); "
                         "choose one with --detections.")  # fmt: skip
    instead = _instead(folder, (*DETECTION_FOLDERS, *IMAGE_FOLDERS))
    raise InputError(f"{folder}: no detections in it (looked for {', '.join(DETECTION_FOLDERS)}){instead}.")


def _instead(folder: Path, names: Sequence[str]) -> str:
    """Which captures lie below a folder that is none."""
    trials = [str(path.relative_to(folder)) for path in trials_in(folder, names)]
    return f"; recordings lie in {few(trials)}: name one of these folders as the capture" if trials else ""


def find_images(folder: Path) -> Path:
    """Where a capture's images or videos lie: in one of the usual sub-folders, or in the folder itself.

    Raises `InputError` where they do not.
    """
    place = folder_named(folder, IMAGE_FOLDERS)
    if place is not None:
        return place
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such capture folder.")
    if holds_images(folder):
        return folder
    raise InputError(f"{folder}: neither videos nor folders of images in it (looked for {', '.join(IMAGE_FOLDERS)}, "
                     "and for a video or a folder of images per camera in the folder itself).")  # fmt: skip


def holds_images(folder: Path) -> bool:
    """Whether a folder itself holds videos, or folders of images."""
    for path in visible(folder.iterdir()):
        if path.is_dir() and any(one.suffix.lower() in ENDINGS for one in visible(path.iterdir())):
            return True
        if path.is_file() and path.suffix.lower() in VIDEO_ENDINGS:
            return True
    return False


def pictures_of(folder: Path) -> tuple[ImageSeries, ...]:
    """The images and videos that lie in a capture folder; none where there are none that can be opened."""
    place = folder_named(folder, IMAGE_FOLDERS)
    try:
        return () if place is None else open_image_series(place)
    except InputError:
        return ()


def _matched(
    place: Path,
    rig: CalibratedRig,
    match: NameMatch,
    views: Sequence[View],
    what: str,
    skeleton: Skeleton,
    shifts: Sequence[tuple[str, float]] = (),
) -> Capture[View]:
    """The cameras that have recordings and share an instant with another; `InputError` for fewer than two."""
    cameras = rig.cameras
    if len(match.pairs) < 2:
        raise InputError(
            f"{place}: {len(match.pairs)} of its cameras ({', '.join(v.camera for v in views)}) belong to the "
            f"calibrated ones ({', '.join(cameras.names)}); at least two are needed"
            f"{to_type(cameras.names, [view.camera for view in views])}."
        )
    moved = [0.0] * len(cameras)
    for name, frames in shifts:
        moved[camera_row(cameras.names, name, "--shift")] += frames
    found = {j: np.asarray(views[j].numbers, dtype=np.int64) + round(moved[i]) for i, j in match.pairs}
    numbers, count = np.unique(np.concatenate([*found.values()]), return_counts=True)
    kept = [(i, j) for i, j in match.pairs if np.isin(found[j], numbers[count > 1]).any()]
    if not kept:
        ranges = ", ".join(f"{views[j].camera}: {spans(views[j].numbers) or 'none'}" for _, j in match.pairs)
        raise InputError(
            f"{place}: no frame number occurs in two cameras ({ranges}){_began_together(match, views, what)}."
        )
    notes = [*rig.notes, *match_notes(match, cameras.names, [view.camera for view in views], what)]
    notes += [
        f"camera {views[j].camera} is left out: its frames ({spans(views[j].numbers) or 'none'}) "
        f"occur in no other camera{_began_together(NameMatch((kept[0], (i, j)), (), ()), views, what)}."
        for i, j in match.pairs
        if (i, j) not in kept
    ]
    notes += _other_starts(NameMatch(tuple(kept), (), ()), views, what) if not shifts else []
    numbers = np.unique(np.concatenate([found[j] for _, j in kept]))
    recorded = tuple(views[j] for _, j in kept)
    shown = cameras.select(views=[i for i, _ in kept])
    return Capture(place, shown, recorded, skeleton, tuple(numbers.tolist()), tuple(notes))


def _began_together(match: NameMatch, views: Sequence[View], what: str) -> str:
    """What to type where cameras began at the same instant but count from different numbers."""
    starts = [(views[j].camera, min(views[j].numbers)) for _, j in match.pairs if views[j].numbers]
    if what != "detections" or len(starts) < 2:
        return ""
    first = Counter(start for _, start in starts).most_common(1)[0][0]
    shifts = " ".join(f"--shift {shlex.quote(f'{name}={first - start}')}" for name, start in starts if start != first)
    return f"; if they began together, give {shifts}" if shifts else ""


def _other_starts(match: NameMatch, views: Sequence[View], what: str) -> list[str]:
    """A sentence where cameras have as many frames but count from different numbers: off by one, as from 0 and 1."""
    together = _began_together(match, views, what)
    if not together or len({len(views[j].numbers) for _, j in match.pairs}) > 1:
        return []
    ranges = ", ".join(f"{views[j].camera}: {spans(views[j].numbers)}" for _, j in match.pairs)
    return [f"cameras have as many frames, but count from different numbers ({ranges}){together}."]


def _gap_notes(numbers: Sequence[int]) -> list[str]:
    gaps = gaps_of(numbers)
    return [f"frames {spans_of(gaps)} are in no camera, and will not be in the results."] if gaps else []


def source_of(capture: Capture[DetectionView]) -> Source:
    """The frames of a capture's detections."""
    recorded = frozenset(number for view in capture.views for number in view.numbers)
    return Source(capture.numbers, partial(read_frame, capture), recorded)


def image_source_of(capture: Capture[ImageSeries], input_size: tuple[int, int]) -> Source:
    """The frames of a capture's images at the size of a network."""
    return Source(capture.numbers, partial(read_image_frame, capture, input_size=input_size))


def read_frame(capture: Capture[DetectionView], number: int) -> Reading:
    """One frame of a capture, with what was missing, damaged or odd in it."""
    sizes = _sizes(capture.cameras)

    def read(view: int, series: DetectionView) -> FoundPeople:
        return series.read(number, sizes[view])

    found, missing, damaged = _read_views(capture, number, "no file", read)
    people = [NO_PEOPLE if one is None else one for one in found]
    detections = Detections.from_lists(
        capture.skeleton, [p.keypoints for p in people], index=[list(p.index) for p in people]
    )
    detections, beyond = within_lenses(detections, capture.cameras, number)
    odd = counted([*_odd_files(capture, number), *(odd for one in people for odd in one.odd), *beyond])
    return Reading(Frame(number, capture.cameras, detections), None, missing, damaged, odd)


def _odd_files(capture: Capture[DetectionView], number: int) -> list[Odd]:
    """What was odd in files as a whole is told with the first frame."""
    return [odd for view in capture.views for odd in view.odd] if number == capture.numbers[0] else []


def read_raw(capture: Capture[ImageSeries], number: int) -> tuple[RawFrame, tuple[Loss, ...], tuple[Loss, ...]]:
    """The images of one frame as they were taken, what is missing, and what is damaged.

    An image of another size than its camera's calibration counts as damaged.
    """

    def read(view: int, series: ImageSeries) -> UInt8[np.ndarray, "_ _ 3"]:
        image = series.read(number)
        check_size(image, capture.cameras, view, series.where(number))
        return image

    images, missing, damaged = _read_views(capture, number, "no picture", read)
    return RawFrame(number, capture.cameras, tuple(images)), missing, damaged


def _read_views(
    capture: Capture[View], number: int, lacking: str, read: Callable[[int, View], Found]
) -> tuple[list[Found | None], tuple[Loss, ...], tuple[Loss, ...]]:
    """What `read` finds in every view of a frame, None where there is nothing or it is damaged."""
    found: list[Found | None] = []
    missing, damaged = [], []
    for view, (name, series) in enumerate(zip(capture.cameras.names, capture.views, strict=True)):
        found.append(None)
        if number not in series.numbers:
            missing.append(Loss(name, number, lacking))
            continue
        try:
            found[-1] = read(view, series)
        except DamagedFrameError as error:
            damaged.append(Loss(name, number, str(error)))
    return found, tuple(missing), tuple(damaged)


def read_image_frame(capture: Capture[ImageSeries], number: int, input_size: tuple[int, int]) -> Reading:
    """One frame of a capture at the size of a network: the whole of every image at the largest scale that fits."""
    raw, missing, damaged = read_raw(capture, number)
    return Reading(letterbox_frame(raw, input_size), None, missing, damaged)


def select_frames(capture: Capture[View], start: int | None, stop: int | None) -> Capture[View]:
    """The capture's frames with ``start <= number < stop``; `InputError` where none is left."""
    kept = tuple(n for n in capture.numbers if (start is None or n >= start) and (stop is None or n < stop))
    if not kept:
        raise InputError(
            f"{capture.source}: no frame in {'' if start is None else start}:{'' if stop is None else stop} "
            f"(there are {spans(capture.numbers)})."
        )
    return replace(capture, numbers=kept)
