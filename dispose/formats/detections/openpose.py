"""Detections in OpenPose's form: a folder per camera, a JSON file per frame with ``people[].pose_keypoints_2d``."""

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError, ViewPeople, checked_people
from dispose.formats.entry import Entry, short
from dispose.formats.files import replacing, visible
from dispose.scene.detections import Detections
from dispose.skeletons.skeleton import Skeleton

FOLDER_SUFFIX = "_json"


@dataclass(frozen=True)
class OpenPoseView:
    """One camera's folder; a `DetectionView`.

    Attributes:
        camera: the folder's name without ``_json``.
        folder: where the files lie.
        numbers: frame numbers, ascending.
        files: the file of every number.
    """

    camera: str
    folder: Path
    numbers: tuple[int, ...]
    files: tuple[Path, ...]

    def where(self, number: int) -> str:
        """File, camera and frame, as complaints name them."""
        return f"{self._file(number)}: camera {self.camera}, frame {number}"

    def read(self, number: int, skeleton: Skeleton) -> ViewPeople:
        """The people of a frame (see `DetectionView.read`)."""
        return checked_people(self.where(number), self._people(number), skeleton)

    def joint_counts(self, number: int) -> tuple[int, ...]:
        """Number of joints of every person of a frame."""
        return tuple(len(values) // 3 for values in self._people(number))

    def _file(self, number: int) -> Path:
        return self.files[bisect_left(self.numbers, number)]

    def _people(self, number: int) -> list[list[object]]:
        path, place = self._file(number), self.where(number)
        try:
            root = Entry.of_json(path)
        except InputError as error:
            reason = str(error).removeprefix(f"{path}: ")
            raise DamagedFrameError(f"{place}: {reason}") from error
        people: list[list[object]] = []
        for person, entry in enumerate(Entry(place, root.value).at("people").items()):
            values = Entry(f"{place}, person {person}", entry.value).at("pose_keypoints_2d").value
            if not isinstance(values, list):
                raise InputError(f"{place}, person {person}: pose_keypoints_2d is {short(values)}, not a list.")
            people.append(values)
        return people


def frame_number(path: Path) -> int | None:
    """The last group of digits of a file name: ``cam01.0042.json``, ``video_000000000042_keypoints.json`` → 42."""
    groups = re.findall(r"\d+", path.stem.removesuffix("_keypoints"))
    return int(groups[-1]) if groups else None


def open_view(folder: Path) -> OpenPoseView:
    """A camera's folder, its files listed but not read; `InputError` where file names do not number the frames."""
    found: list[tuple[int, Path]] = []
    for path in visible(folder.glob("*.json")):
        number = frame_number(path)
        if number is None:
            raise InputError(f"{path}: the file name holds no frame number.")
        found.append((number, path))
    found.sort()
    for (number, path), (following, other) in pairwise(found):
        if number == following:
            raise InputError(f"{folder}: frame {number} has two files, {path.name} and {other.name}.")
    name = folder.name.removesuffix(FOLDER_SUFFIX)
    return OpenPoseView(name, folder, tuple(n for n, _ in found), tuple(p for _, p in found))


def open_openpose(folder: Path) -> tuple[OpenPoseView, ...]:
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
