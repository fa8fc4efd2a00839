"""Detections as COCO keypoint results: a JSON list of ``{image_id, keypoints: [x, y, score, …], score}``."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.formats.entry import Entry, short
from dispose.formats.files import frame_number, visible


def open_coco_results(path: Path) -> tuple[DetectionView, ...]:
    """The cameras of a result file, or of a folder with one result file per camera.

    In a folder every ``<camera>.json`` is a camera and ``image_id`` its frame number (or a name ending in it). In a
    single file ``image_id`` is a text that names both: ``<camera>/<frame>`` or ``<camera>_<frame>.jpg``.
    """
    if path.is_dir():
        files = visible(path.glob("*.json"))
        if not files:
            raise InputError(f"{path}: no JSON file in it.")
        return tuple(view for file in files for view in _read_file(file, camera=file.stem))
    return _read_file(path, camera=None)


def _read_file(path: Path, *, camera: str | None) -> tuple[DetectionView, ...]:
    found: dict[str, dict[int, list[list[object]]]] = {camera: {}} if camera is not None else {}
    for entry in Entry.of_json(path).items():
        name, number = _image(entry.at("image_id"), camera)
        found.setdefault(name, {}).setdefault(number, []).append(entry.at("keypoints").values())
    return tuple(
        DetectionView(name, dict.fromkeys(sorted(frames), path), partial(people_of, frames))
        for name, frames in sorted(found.items())
    )


def people_of(frames: Mapping[int, list[list[object]]], number: int, place: str) -> list[list[object]]:
    """The people of a frame, all of which are in memory."""
    return frames[number]


def _image(entry: Entry, camera: str | None) -> tuple[str, int]:
    """Camera and frame number of an ``image_id``."""
    if camera is not None and isinstance(entry.value, int):
        return camera, entry.value
    if not isinstance(entry.value, str):
        raise InputError(
            f"{entry.place}: is {short(entry.value)}; in a file of several cameras it must name camera and frame, "
            "as in 'cam01/000042'."
        )
    image = Path(entry.value)
    number = frame_number(image)
    if number is None:
        raise InputError(f"{entry.place}: {entry.value!r} holds no frame number.")
    if camera is not None:
        return camera, number
    folder = image.parent.as_posix()
    stem = image.stem.removesuffix("_keypoints").rstrip("0123456789").rstrip("_.-")
    name = folder if folder != "." else stem
    if not name:
        raise InputError(f"{entry.place}: {entry.value!r} names no camera.")
    return name, number
