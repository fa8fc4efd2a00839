"""The 2-D people of `evidence.npz` alone, for those who follow people through all frames: nothing that was weighed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from dispose.errors import InputError
from dispose.formats.arrays import INTEGERS, NUMBERS, Arrays, mapped_arrays
from dispose.formats.evidence import SCHEMA, cameras_of, skeleton_in
from dispose.formats.files import digest_of
from dispose.scene.cameras import Cameras
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT


@dataclass(frozen=True, eq=False)
class RunKeypoints:
    """All detections of a run, a row each.

    Attributes:
        cameras: the rig.
        skeleton: of the keypoints.
        numbers: of the frames.
        frame: place of every row's frame among these.
        view: its camera.
        index: its position in the camera's source list: what members in predictions count.
        keypoints: x, y, score; NaN where not seen.
    """

    cameras: Cameras
    skeleton: Skeleton
    numbers: Int[np.ndarray, " frames"]
    frame: Int[np.ndarray, " rows"]
    view: Int[np.ndarray, " rows"]
    index: Int[np.ndarray, " rows"]
    keypoints: Float[np.ndarray, "rows joints 3"]

    @cached_property
    def _rows(self) -> dict[tuple[int, int, int], int]:
        where = zip(self.frame.tolist(), self.view.tolist(), self.index.tolist(), strict=True)
        return {place: row for row, place in enumerate(where)}

    def of_person(
        self, places: list[int], members: Int[np.ndarray, "frames views"]
    ) -> tuple[Float[np.ndarray, "frames views joints 2"], Bool[np.ndarray, "frames views joints"]]:
        """Pixels (0 where not seen) of the members of one person in some frames, and which are seen."""
        rows = [
            [self._rows.get((place, view, member), ABSENT) for view, member in enumerate(some)]
            for place, some in zip(places, members.tolist(), strict=True)
        ]
        row = np.array(rows, dtype=np.int64).reshape(members.shape)
        if not len(self.keypoints):
            shape = (*members.shape, len(self.skeleton))
            return np.zeros((*shape, 2)), np.zeros(shape, dtype=bool)
        found = self.keypoints[row].astype(np.float64)
        seen = (row != ABSENT)[..., None] & np.isfinite(found).all(-1) & (found[..., 2] > 0)
        return np.where(seen[..., None], found[..., :2], 0.0), seen


def read_run_keypoints(path: Path, predictions: Path) -> RunKeypoints:
    """The detections of a run. `InputError` for a broken file, and for one of other predictions."""
    with mapped_arrays(path, lambda name: name in WANTED or name.startswith("camera_")) as arrays:
        return _seen_people(path, predictions, arrays)


WANTED = ("schema", "frame", "skeleton", "joints", "predictions",
          *(f"detection_{name}" for name in ("frame", "view", "index", "keypoints")))  # fmt: skip


def _seen_people(path: Path, predictions: Path, arrays: Arrays) -> RunKeypoints:
    if arrays.text("schema") != SCHEMA:
        raise InputError(f"{path}: schema is {arrays.text('schema')!r}, this version reads {SCHEMA!r}.")
    if arrays.text("predictions") != digest_of(predictions):
        raise InputError(f"{path}: belongs to other predictions than {predictions}; run `dispose predict` again.")
    skeleton, cameras = skeleton_in(arrays, "skeleton", "joints"), cameras_of(arrays)
    numbers = arrays.get("frame", INTEGERS, None).astype(np.int64)
    frame = arrays.rows("detection_frame", len(numbers), rising=True).astype(np.int64)
    count = len(frame)
    view, index = (arrays.get(f"detection_{name}", INTEGERS, count).astype(np.int64) for name in ("view", "index"))
    keypoints = np.array(arrays.get("detection_keypoints", NUMBERS, count, len(skeleton), 3))
    return RunKeypoints(cameras, skeleton, numbers, frame, view, index, keypoints)
