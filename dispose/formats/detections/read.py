"""Detections in any form that detectors write, told by their content: a folder or a file per camera, or one file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.array_files import ARRAYS, open_array
from dispose.formats.detections.deeplabcut import open_deeplabcut
from dispose.formats.detections.frames import FOLDER_SUFFIX, TRIED, open_frames, says_one_image
from dispose.formats.detections.listing import KNOWN_FORMS, listing_of
from dispose.formats.detections.manifest import read_manifest
from dispose.formats.detections.people import DetectionView
from dispose.formats.detections.views import views_of
from dispose.formats.entry import Entry
from dispose.formats.files import frame_number, name_without_number, visible
from dispose.formats.folders import refuse_unfinished

TABLES = (".csv", ".h5", ".hdf5")
ENDINGS = (".json", ".txt", *TABLES)
INNER_FOLDERS = ("labels", "predictions", "sep-json")
"""Where YOLO, MMPose and AlphaPose put a camera's files inside the folder that they are given."""

BONES = "_skeleton"
"""What DeepLabCut puts behind the name of a table when it writes one of the lengths of bones beside it."""

RESULTS = "results_"
"""What MMPose puts before the name of a video."""


def open_detections(place: Path) -> tuple[DetectionView, ...]:
    """The cameras of a folder, with a folder or a file for each; or of a file that names camera and frame of everybody.

    Raises:
        InputError: there is nothing of the kind, or in a form that is not known, or it is not finished.
    """
    if place.is_file():
        return open_file(place, None)
    if not place.is_dir():
        raise InputError(f"{place}: there are no such detections.")
    refuse_unfinished(place)
    folders = [path for path in visible(place.iterdir()) if path.is_dir() and is_of_a_camera(path)]
    if len(folders) == 1 and folders[0].name in INNER_FOLDERS and not _files(place):
        # All cameras were given to the detector at once.
        return open_detections(folders[0])
    if folders:
        views, ours = tuple(open_folder(path) for path in folders), read_manifest(place)
        return views if ours is None else tuple(replace(view, skeleton=ours.skeleton) for view in views)
    files = _files(place) or [path for path in visible(place.iterdir()) if path.suffix.lower() in ARRAYS]
    if not files:
        raise InputError(
            f"{place}: no files of detections in it, nor folders with such files; known are {KNOWN_FORMS}."
        )
    views = (
        _of_all_cameras(files)
        or _of_all_frames(place, files)
        or [view for path in _once(files) for view in open_file(path, _camera_of(path))]
    )
    repeated = [name for name, count in Counter(view.camera for view in views).items() if count > 1]
    if repeated:
        raise InputError(
            f"{place}: two files of camera {repeated[0]} ({', '.join(path.name for path in files)[:200]}); leave one "
            "of every camera there."
        )
    return tuple(views)


def _of_all_cameras(files: Sequence[Path]) -> list[DetectionView]:
    """The cameras of a folder's only file, where its images name several; none otherwise."""
    if len(files) != 1 or files[0].suffix.lower() not in (".json", *ARRAYS):
        return []
    try:
        views = open_file(files[0], None)
    except InputError:
        return []
    return list(views) if len(views) > 1 else []


def _of_all_frames(place: Path, files: Sequence[Path]) -> list[DetectionView]:
    """The cameras of a folder in which the frames of all of them lie, told by what stands before the frame's number."""
    ending = next((ending for ending in (".json", ".txt") if any(_ends(path, ending) for path in files)), "")
    frames = [path for path in files if _ends(path, ending) and frame_number(path) is not None]
    if ending == ".json" and not any(_says_one_image(path, damaged=False) for path in frames[:TRIED]):
        return []
    cameras: dict[str, list[Path]] = {}
    for path in frames:
        cameras.setdefault(name_without_number(path), []).append(path)
    named = "" not in cameras and max(map(len, cameras.values()), default=0) > 1
    return [open_frames(place, name, ending, paths) for name, paths in cameras.items()] if named else []


def _ends(path: Path, ending: str) -> bool:
    return path.suffix.lower() == ending


def is_of_a_camera(folder: Path) -> bool:
    """Whether a folder holds files of detections, or one inside it by its usual name."""
    return bool(_files(_inner(folder)))


def open_folder(folder: Path, camera: str | None = None) -> DetectionView:
    """The folder of one camera: a file per frame, or one file of all of them.

    Raises:
        InputError: it is another kind of folder; the files do not say frames.
    """
    name = camera or folder.name.removesuffix(FOLDER_SUFFIX)
    inner = _inner(folder)
    files = _once(_files(inner))
    if not files:
        raise InputError(f"{folder}: no files of detections in it.")
    tables = [path for path in files if path.suffix.lower() in TABLES]
    frames = [path for path in files if path.suffix.lower() == ".json"]
    if tables:
        if len(tables) > 1:
            raise InputError(
                f"{folder}: several tables ({', '.join(path.name for path in tables[:6])}); one is expected."
            )
        return open_deeplabcut(tables[0], name)
    if len(frames) == 1 and not _says_one_image(frames[0]):
        (view,) = open_file(frames[0], name)
        return view
    if len(frames) > 1 and all(frame_number(path) is None for path in frames):
        names = ", ".join(path.name for path in frames)[:200]
        raise InputError(
            f"{folder}: several files without a frame number in their names ({names}); leave one of all frames there, "
            "or a file per frame."
        )
    return open_frames(inner, name, ".json" if frames else ".txt")


def open_file(path: Path, camera: str | None) -> tuple[DetectionView, ...]:
    """A file of all frames of one camera; or, where no camera is said, of all cameras.

    Raises:
        InputError: it is of another form, or does not say what it is of.
    """
    if path.suffix.lower() in TABLES:
        return (open_deeplabcut(path, camera),)
    if path.suffix.lower() in ARRAYS:
        return open_array(path, camera)
    if path.suffix.lower() == ".txt":
        raise InputError(f"{path}: is one text file; of YOLO's a folder per camera with a file per frame is expected.")
    return views_of(listing_of(Entry.of_json(path)), path, camera)


def _says_one_image(path: Path, *, damaged: bool = True) -> bool:
    """Whether a JSON file is of a single frame; `damaged` where it cannot be read at all."""
    try:
        return says_one_image(Entry.of_json(path))
    except InputError:
        return damaged


def _camera_of(path: Path) -> str | None:
    """The camera that a file in a folder of files is named after; a table says it itself."""
    return None if path.suffix.lower() in TABLES else path.stem.removeprefix(RESULTS)


def _inner(folder: Path) -> Path:
    """The folder itself, or the one in it that holds its files."""
    inner = [folder / name for name in INNER_FOLDERS if (folder / name).is_dir()]
    return inner[0] if inner and not _files(folder) else folder


def _files(folder: Path) -> list[Path]:
    found = [path for path in visible(folder.iterdir()) if path.suffix.lower() in ENDINGS and path.is_file()]
    return [path for path in found if not (path.suffix.lower() in TABLES and path.stem.endswith(BONES))]


def _once(files: Sequence[Path]) -> list[Path]:
    """Without the h5 files beside which the same table stands as csv."""
    texts = {path.stem for path in files if path.suffix.lower() == ".csv"}
    return [path for path in files if path.suffix.lower() not in TABLES[1:] or path.stem not in texts]
