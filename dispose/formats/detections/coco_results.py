"""Detections as COCO keypoint results: a JSON list of ``{image_id, keypoints: [x, y, score, …], score}``."""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.openpose import frame_number
from dispose.formats.detections.people import ViewPeople, checked_people
from dispose.formats.entry import Entry, short
from dispose.formats.files import replacing, visible
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.skeletons.skeleton import Skeleton


@dataclass(frozen=True)
class CocoView:
    """One camera of a result file; a `DetectionView` whose whole content is in memory.

    Attributes:
        camera: the camera's name.
        path: the file it came from.
        numbers: frame numbers, ascending.
        people: for every number the people's flat keypoint lists, in the order of the file.
    """

    camera: str
    path: Path
    numbers: tuple[int, ...]
    people: tuple[tuple[list[object], ...], ...]

    def where(self, number: int) -> str:
        """File, camera and frame, as complaints name them."""
        return f"{self.path}: camera {self.camera}, frame {number}"

    def read(self, number: int, skeleton: Skeleton) -> ViewPeople:
        """The people of a frame (see `DetectionView.read`)."""
        return checked_people(self.where(number), list(self._people(number)), skeleton)

    def joint_counts(self, number: int) -> tuple[int, ...]:
        """Number of joints of every person of a frame."""
        return tuple(len(values) // 3 for values in self._people(number))

    def _people(self, number: int) -> tuple[list[object], ...]:
        return self.people[bisect_left(self.numbers, number)]


def open_coco_results(path: Path) -> tuple[CocoView, ...]:
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


def _read_file(path: Path, *, camera: str | None) -> tuple[CocoView, ...]:
    found: dict[str, dict[int, list[list[object]]]] = {}
    for entry in Entry.of_json(path).items():
        name, number = _image(entry.at("image_id"), camera)
        values = entry.at("keypoints").value
        if not isinstance(values, list):
            raise InputError(f"{entry.place}: keypoints are {short(values)}, not a list.")
        found.setdefault(name, {}).setdefault(number, []).append(values)
    if camera is not None:
        found.setdefault(camera, {})
    views = []
    for name, frames in sorted(found.items()):
        numbers = tuple(sorted(frames))
        views.append(CocoView(name, path, numbers, tuple(tuple(frames[number]) for number in numbers)))
    return tuple(views)


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


def write_coco_results(path: Path, cameras: Sequence[str], frames: Sequence[Frame]) -> None:
    """Write frames as one result file; ``image_id`` is ``<camera>/<number>``."""
    records = [
        _record(frame.detections, view, slot, f"{camera}/{frame.number:06d}")
        for frame in frames
        for view, camera in enumerate(cameras)
        for slot in frame.detections.valid[view].nonzero()[:, 0].tolist()
    ]
    with replacing(path) as file:
        json.dump(records, file)


def _record(detections: Detections, view: int, slot: int, image: str) -> dict[str, object]:
    seen = detections.visible[view, slot]
    x, y = detections.xy_image[view, slot].unbind(-1)
    table = [x * seen, y * seen, detections.confidence[view, slot] * seen]
    keypoints = [float(v) for row in zip(*table, strict=True) for v in row]
    score = float(detections.score[view, slot])
    return {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}
