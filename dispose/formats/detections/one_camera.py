"""Keypoints of one image or one video, in any form that detectors write: OpenPose's JSON or COCO results."""

from functools import partial
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.coco_results import people_of
from dispose.formats.detections.openpose import FOLDER_SUFFIX, open_view, read_people
from dispose.formats.detections.people import DetectionView
from dispose.formats.entry import Entry, short
from dispose.formats.files import frame_number, visible


def keypoints_of_image(path: Path, image: Path) -> DetectionView:
    """The people of one image, as its only frame.

    A file of OpenPose's is of this image, whatever its name. In a COCO result file the entries are taken whose
    ``image_id`` is the image's name, or the number in it; or all, where there is one ``image_id`` only.

    Raises:
        InputError: the file is neither, or says nothing of this image.
    """
    entry = Entry.of_json(path)
    number = frame_number(image) or 0
    if entry.has("people"):
        files = {number: path}
        return DetectionView(image.stem, files, partial(read_people, files))
    found = _by_image(entry)
    mine = [people for name, people in found if Path(str(name)).stem == image.stem]
    mine = mine or [people for name, people in found if _number(name) == frame_number(image) is not None]
    if not mine and len({name for name, _ in found}) == 1:
        mine = [people for _, people in found]
    if not mine:
        names = ", ".join(dict.fromkeys(str(name) for name, _ in found)) or "nobody at all"
        raise InputError(f"{path}: nobody in it is of the image {image.name} (image_id: {names[:120]}).")
    return DetectionView(image.stem, {number: path}, partial(people_of, {number: mine}))


def keypoints_of_video(path: Path, camera: str) -> DetectionView:
    """The people of a video, frame by frame.

    A folder of OpenPose's files, or one with such a folder for every camera, of which one has the camera's name; or a
    COCO result file, whose ``image_id`` is the frame's number or ends in it.

    Raises:
        InputError: neither is there.
    """
    if path.is_dir():
        if visible(path.glob("*.json")):
            return open_view(path)
        for name in (f"{camera}{FOLDER_SUFFIX}", camera):
            if (path / name).is_dir():
                return open_view(path / name)
        raise InputError(f"{path}: no JSON files in it, and no folder {camera}{FOLDER_SUFFIX}.")
    entry = Entry.of_json(path)
    if entry.has("people"):
        raise InputError(f"{path}: speaks of one image; of a video a folder of such files is expected.")
    frames: dict[int, list[list[object]]] = {}
    for name, people in _by_image(entry):
        number = _number(name)
        if number is None:
            raise InputError(f"{path}: image_id {name!r} holds no frame number.")
        frames.setdefault(number, []).append(people)
    return DetectionView(camera, dict.fromkeys(sorted(frames), path), partial(people_of, frames))


def _by_image(root: Entry) -> list[tuple[int | str, list[object]]]:
    """``image_id`` and flat keypoints of every entry of a COCO result file."""
    found: list[tuple[int | str, list[object]]] = []
    for entry in root.items():
        name = entry.at("image_id")
        if isinstance(name.value, bool) or not isinstance(name.value, int | str):
            raise InputError(f"{name.place}: is {short(name.value)}, a number or a name is expected.")
        found.append((name.value, entry.at("keypoints").values()))
    return found


def _number(name: int | str) -> int | None:
    return name if isinstance(name, int) else frame_number(Path(name))
