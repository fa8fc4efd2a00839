"""Detections in OpenPose's form: a folder per camera, a JSON file per frame with ``people[].pose_keypoints_2d``."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError, DetectionView
from dispose.formats.entry import Entry
from dispose.formats.files import numbered_files, replacing, visible
from dispose.scene.frame import Detections

FOLDER_SUFFIX = "_json"


def open_view(folder: Path) -> DetectionView:
    """A camera's folder, its files listed but not read; `InputError` where file names do not number the frames."""
    files = numbered_files(folder, (".json",))
    return DetectionView(folder.name.removesuffix(FOLDER_SUFFIX), files, partial(read_people, files))


def read_people(files: Mapping[int, Path], number: int, place: str) -> list[list[object]]:
    """The flat keypoint lists in a frame's file."""
    path = files[number]
    try:
        root = Entry.of_json(path)
    except InputError as error:
        raise DamagedFrameError(f"{place}: {str(error).removeprefix(f'{path}: ')}") from error
    people = enumerate(Entry(place, root.value).at("people").items())
    return [Entry(f"{place}, person {n}", person.value).at("pose_keypoints_2d").values() for n, person in people]


def open_openpose(folder: Path) -> tuple[DetectionView, ...]:
    """The cameras of a ``pose`` folder: every sub-folder that holds JSON files, in alphabetical order."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder of detections.")
    folders = [path for path in visible(folder.iterdir()) if path.is_dir() and visible(path.glob("*.json"))]
    if not folders:
        raise InputError(f"{folder}: no sub-folder with JSON files in it (one per camera is expected).")
    return tuple(open_view(path) for path in folders)


def write_openpose(folder: Path, number: int, cameras: Sequence[str], detections: Detections) -> None:
    """Write one frame as ``folder/<camera>_json/<camera>.<number>.json``, a file per camera.

    People keep their order; positions of the source list that hold nobody become people without keypoints, so
    that `Detections.index` still points at the right one.
    """
    for view, camera in enumerate(cameras):
        slots = detections.valid[view].nonzero()[:, 0].tolist()
        positions = [int(detections.index[view, slot]) for slot in slots]
        people: list[dict[str, object]] = [
            {"person_id": [-1], "pose_keypoints_2d": []} for _ in range(max(positions, default=-1) + 1)
        ]
        for slot, position in zip(slots, positions, strict=True):
            seen = detections.visible[view, slot]
            x, y = detections.xy_image[view, slot].unbind(-1)
            table = [x * seen, y * seen, detections.confidence[view, slot] * seen]
            people[position]["pose_keypoints_2d"] = [float(v) for row in zip(*table, strict=True) for v in row]
        with replacing(folder / f"{camera}{FOLDER_SUFFIX}" / f"{camera}.{number:04d}.json") as file:
            json.dump({"version": 1.3, "people": people}, file)
