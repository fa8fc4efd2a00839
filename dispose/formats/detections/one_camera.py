"""Keypoints of one image or one video, in any form that detectors write."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.frames import FOLDER_SUFFIX, people_of_image, people_of_yolo, says_one_image
from dispose.formats.detections.listing import listing_of
from dispose.formats.detections.people import DetectionView
from dispose.formats.detections.read import TABLES, is_of_a_camera, open_file, open_folder
from dispose.formats.detections.views import number_in, people_listed
from dispose.formats.detections.yolo import class_in_texts
from dispose.formats.entry import Entry
from dispose.formats.files import frame_number, numbered_files, read_text


def keypoints_of_image(path: Path, image: Path) -> DetectionView:
    """The people of one image, as its only frame.

    A file that speaks of one image is of this one, whatever its name. Of a file of several the entries are taken whose
    image is this one by name, or by the number in it; or all, where they are of one image only. Of a folder with a
    file per image, as `dispose detect` writes them, that file is taken.

    Raises:
        InputError: the file is of no known form, or says nothing of this image.
    """
    number = frame_number(image) or 0
    path = _file_of(path, image) if path.is_dir() else path
    if path.suffix.lower() in TABLES:
        (table,) = open_file(path, image.stem)
        if number not in table.files and len(table.files) != 1:
            raise InputError(f"{path}: no row of it is of the image {image.name}.")
        of = number if number in table.files else table.numbers[0]
        people = list(table.listed(of))
        return DetectionView(image.stem, {number: path}, partial(people_listed, {number: people}), table.skeleton)
    if path.suffix.lower() == ".txt":
        people = people_of_yolo(class_in_texts([read_text(path)], str(path)), path, str(path))
        return DetectionView(image.stem, {number: path}, partial(people_listed, {number: people}), normalized=True)
    root = Entry.of_json(path)
    if says_one_image(root):
        # A list without a single keypoint may be of several images as well, of nobody in each.
        return DetectionView(image.stem, {number: path}, partial(people_listed, {number: people_of_image(root)}))
    listing = listing_of(root)
    people = _of_image(list(listing.frames().items()), path, image)
    skeleton = None if listing.joints is None else listing.joints.skeleton
    return DetectionView(image.stem, {number: path}, partial(people_listed, {number: people}), skeleton)


def _file_of(folder: Path, image: Path) -> Path:
    """The file of an image in a folder, by the number in its name."""
    files, number = numbered_files(folder, (".json", ".txt")), frame_number(image)
    if number not in files:
        raise InputError(f"{folder}: no file of it has the number of the image {image.name}; give the file itself.")
    return files[number]


def _of_image(found: Sequence[tuple[int | str, list[object]]], path: Path, image: Path) -> list[object]:
    mine = [people for name, people in found if Path(str(name)).stem == image.stem]
    mine = mine or [people for name, people in found if _number(name) == frame_number(image) is not None]
    if not mine and len(found) == 1:
        mine = [people for _, people in found]
    if not mine:
        if not found:
            raise InputError(f"{path}: says nothing of anybody: no person in image {image.name} has keypoints.")
        names = ", ".join(str(name) for name, _ in found)
        raise InputError(f"{path}: nobody in it is of the image {image.name} (image_id: {names[:120]}).")
    return [person for people in mine for person in people]


def keypoints_of_video(path: Path, camera: str) -> DetectionView:
    """The people of a video, frame by frame.

    A folder of a file per frame, or one with such a folder for every camera, of which one has the camera's name; or a
    file of all frames, whose images are the frames' numbers or end in them.

    Raises:
        InputError: neither is there.
    """
    if path.is_dir():
        if is_of_a_camera(path):
            return open_folder(path, camera)
        for name in (f"{camera}{FOLDER_SUFFIX}", camera):
            if (path / name).is_dir():
                return open_folder(path / name, camera)
        raise InputError(f"{path}: no files of detections in it, and no folder {camera}{FOLDER_SUFFIX}.")
    if path.suffix.lower() == ".json" and says_one_image(Entry.of_json(path)):
        raise InputError(f"{path}: speaks of one image; of a video a folder of such files is expected.")
    (view,) = open_file(path, camera)
    return view


def _number(name: int | str) -> int | None:
    return name if isinstance(name, int) else number_in(Path(name))
