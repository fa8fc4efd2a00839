"""What the cameras of a finished run saw, frame by frame: the part of `evidence.npz` that pictures need."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dispose.errors import InputError
from dispose.formats.arrays import INTEGERS, Arrays, check_schema, mapped_arrays
from dispose.formats.evidence import SCHEMA, cameras_of, detections_of, extent_of, skeleton_in
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.skeletons.skeleton import Skeleton

SEEN = ("schema", "predictions", "frame", "skeleton", "joints", "camera_", "detection_")
"""How the names of the arrays begin that say what the cameras saw."""

SEEN_AT_ONCE = 512
"""So many frames of detections are in memory while a file is gone through."""


@contextmanager
def open_seen(path: Path, digest: str | None = None) -> Iterator["SeenFrames"]:
    """What the cameras saw, to be gone through frame by frame however long the run is.

    Raises `InputError` for anything that is not a whole file of ours, or is of others than the predictions of a digest.
    """
    with mapped_arrays(path, lambda name: name.startswith(SEEN)) as arrays:
        check_schema(arrays, SCHEMA)
        if digest is not None and arrays.text("predictions") != digest:
            raise InputError(f"{path}: belongs to other predictions than those that are read; give the command again.")
        numbers = tuple(arrays.get("frame", INTEGERS, None).tolist())
        yield SeenFrames(arrays, cameras_of(arrays), skeleton_in(arrays, "skeleton", "joints"), numbers)


@dataclass(frozen=True, eq=False)
class SeenFrames:
    """Cameras, the detector's skeleton, the numbers of all frames, and their detections when they are asked for."""

    arrays: Arrays
    cameras: Cameras
    skeleton: Skeleton
    numbers: tuple[int, ...]

    def detections(self) -> Iterator[Detections]:
        """The detections of every frame, in order."""
        rows = self.arrays.rows("detection_frame", len(self.numbers), rising=True)
        columns = self.arrays.columns
        parts = [name for name in columns if name.startswith("detection_") and len(columns[name]) == len(rows)]
        for start in range(0, len(self.numbers), SEEN_AT_ONCE):
            stop = min(start + SEEN_AT_ONCE, len(self.numbers))
            first, last = np.searchsorted(rows, (start, stop))
            block = {name: columns[name][first:last] for name in parts}
            block["detection_frame"] = block["detection_frame"] - start
            block["detection_slots"] = columns["detection_slots"][start:stop]
            arrays = Arrays(self.arrays.path, block)
            yield from detections_of(arrays, self.skeleton, extent_of(arrays, stop - start, len(self.cameras)))
