"""Detections written as OpenPose writes them: a folder per camera, a JSON file per frame."""

import json
from collections.abc import Sequence
from pathlib import Path

from dispose.formats.detections.frames import FOLDER_SUFFIX
from dispose.formats.files import replacing
from dispose.scene.frame import Detections


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
