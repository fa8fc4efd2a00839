"""A file per frame: OpenPose's JSON, AlphaPose's and MMPose's of one image, and YOLO's text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.classes import PeopleClass
from dispose.formats.detections.keypoints import (
    KEYS,
    flat_keypoints,
    holds_people,
    is_person,
    people_of_object,
    require_known_keys,
    scored_alike,
)
from dispose.formats.detections.people import DamagedFrameError, DetectionView
from dispose.formats.detections.yolo import class_in_texts, people_of_text
from dispose.formats.entry import Entry
from dispose.formats.files import by_number, frame_number, read_text, visible

FOLDER_SUFFIX = "_json"

PEOPLE_LISTS = (
    ("people", "pose_keypoints_2d"),
    ("bodies", "joints"),
    ("annots", "keypoints"),
    ("persons", "keypoints"),
)
"""Where people and their keypoints stand in a frame's file: OpenPose's, AlphaPose's in the form of OpenPose,
EasyMocap's, and other people's."""

FRAME_KEYS = ("frame_id", "frame_index", "frame_idx", "frame")
"""What MMPose and its descendants (Sapiens) call the number of a frame."""

TRIED = 5
"""So many frames of a camera are looked at before it is refused; one among many may be damaged."""

CLASSES_FROM = 24
"""Frames of a camera in which the class of people is looked for."""

FramePeople = Callable[[Path, str], list[object]]


def open_frames(
    folder: Path, camera: str | None = None, ending: str = ".json", paths: Sequence[Path] | None = None
) -> DetectionView:
    """A camera's folder, its files listed but not read; or some of the files in it.

    Raises:
        InputError: file names do not number the frames; or the files are of another form.
    """
    listed = [path for path in visible(folder.iterdir()) if path.suffix.lower() == ending] if paths is None else paths
    numbered = [path for path in listed if frame_number(path) is not None]
    files = by_number(numbered or listed)
    others = ", ".join(sorted(path.name for path in set(listed) - set(files.values())))
    notes = [f"{folder}: without a frame number in their names, left out: {others[:200]}."] if others else []
    people, normalized = people_of_json, False
    if ending == ".txt":
        whose = class_in_texts(_texts(list(files.values())), str(folder))
        people, normalized, notes = partial(people_of_yolo, whose), True, [*whose.notes, *notes]
    wrong = None
    for path in list(files.values())[:TRIED]:
        try:
            people(path, str(path))
        except DamagedFrameError:
            continue
        except InputError as error:
            wrong = wrong or error
            continue
        break
    else:
        if wrong is not None:
            raise wrong
    name = camera or folder.name.removesuffix(FOLDER_SUFFIX)
    return DetectionView(
        name, files, partial(read_frame_people, files, people), normalized=normalized, notes=tuple(notes)
    )


def _texts(paths: Sequence[Path]) -> Iterator[str]:
    """The texts of some frames from all over a camera."""
    for path in paths[:: max(1, len(paths) // CLASSES_FROM)]:
        with suppress(InputError):
            yield read_text(path)


def read_frame_people(files: Mapping[int, Path], people: FramePeople, number: int, place: str) -> list[object]:
    """The people in a frame's file; `DamagedFrameError` where it cannot be read or is not of this form."""
    try:
        return people(files[number], place)
    except DamagedFrameError:
        raise
    except InputError as error:
        raise DamagedFrameError(str(error)) from error


def people_of_json(path: Path, place: str) -> list[object]:
    """The people in a frame's JSON file; `DamagedFrameError` where it is none, `InputError` for another form."""
    return people_of_image(Entry(place, _root(path, place).value))


def people_of_yolo(whose: PeopleClass, path: Path, place: str) -> list[object]:
    """The people in a frame's text file, coordinates as shares of the image's size."""
    return people_of_text(_readable(path, place), place, whose)


def unwrapped(root: Entry) -> Entry:
    """What MMPose's inferencer returns for one image: inside ``predictions``, and inside a list of images, or two."""
    value = root.at("predictions").value if root.has("predictions") else root.value
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) and not is_person(value[0]):
        value = value[0]
    return Entry(root.place, value)


def is_of_people(value: object) -> bool:
    """Whether a list is one of people: of keypoints, or of objects that hold them and name no image."""
    return isinstance(value, list) and any(
        is_person(one)
        or (isinstance(one, dict) and bool(set(KEYS) & set(one)) and not {"image_id", *FRAME_KEYS} & set(one))
        for one in value
    )


def says_one_image(root: Entry) -> bool:
    """Whether a JSON value is one of those that `people_of_image` reads."""
    if any(root.has(key) for key, _ in PEOPLE_LISTS):
        return True
    root = unwrapped(root)
    people = root.at("instance_info").value if root.has("instance_info") else root.value
    return is_of_people(people) or holds_people(root.value)


def people_of_image(root: Entry) -> list[object]:
    """The people of a JSON value that speaks of one image: OpenPose's, AlphaPose's, MMPose's."""
    for key, keypoints in PEOPLE_LISTS:
        if root.has(key):
            return _people(root.at(key), keypoints)
    root = unwrapped(root)
    if says_one_image(root) or root.value == []:
        if holds_people(root.value):
            return people_of_object(root.value, "keypoints")
        return _people(root.at("instance_info") if root.has("instance_info") else root, "keypoints")
    if isinstance(root.value, list):
        require_known_keys(root.place, root.value)
    there = ", ".join(root.keys()[:8]) if isinstance(root.value, dict) else type(root.value).__name__
    raise InputError(
        f"{root.place}: no 'people' in it (there is {there or 'nothing'}): neither OpenPose's form, nor AlphaPose's or "
        "MMPose's of one image."
    )


def _people(listed: Entry, key: str) -> list[object]:
    """Everybody's keypoints: of a list, or of an object with a number or a name for each; nobody where it is null."""
    if listed.value is None:
        return []
    people = list(listed.value.values()) if isinstance(listed.value, dict) else listed.values()
    require_known_keys(listed.place, people)
    found = [
        [flat_keypoints(one)] if isinstance(one, list) else people_of_object(one, key) for one in scored_alike(people)
    ]
    return [person for persons in found for person in persons]


def _root(path: Path, place: str) -> Entry:
    try:
        return Entry.of_json(path)
    except InputError as error:
        raise DamagedFrameError(f"{place}: {str(error).removeprefix(f'{path}: ')}") from error


def _readable(path: Path, place: str) -> str:
    try:
        return read_text(path)
    except InputError as error:
        raise DamagedFrameError(f"{place}: {str(error).removeprefix(f'{path}: ')}") from error
