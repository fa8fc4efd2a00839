"""Detections on disk as OpenPose and Pose2Sim write them: ``pose/<camera>_json/<camera>_000000.json``, COCO's joints.

The people of a frame are known afterwards as they were written: what the next frame is told of them is rounded too.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dispose.errors import InputError
from dispose.formats.detections.frames import FOLDER_SUFFIX, people_of_json
from dispose.formats.detections.people import is_list_of, numbers_of
from dispose.formats.files import replacing
from dispose.preparation.detector import ImagePeople
from dispose.preparation.similarity import box_around
from dispose.skeletons.skeleton import Skeleton

PLACES, SCORE_PLACES = 2, 4
"""Decimals of pixels and of scores: less than any detector's error."""


@dataclass(frozen=True)
class CameraFiles:
    """A camera's detections, a file per frame, each written once.

    Attributes:
        folder: that holds all cameras.
        camera: its name.
        skeleton: whose keypoints are written.
    """

    folder: Path
    camera: str
    skeleton: Skeleton

    def path(self, number: int) -> Path:
        """The file of a frame."""
        return self.folder / f"{self.camera}{FOLDER_SUFFIX}" / f"{self.camera}_{number:06d}.json"

    def read(self, number: int) -> ImagePeople | None:
        """The people of a frame as the file has them; None where there is none.

        Raises:
            InputError: the file is damaged, or not one that `write` wrote.
        """
        path = self.path(number)
        if not path.is_file():
            return None
        people = people_of_json(path, str(path))
        joints = len(self.skeleton)
        listed = [values for values in people if isinstance(values, list)]
        if len(listed) != len(people) or not all(is_list_of(values, joints) for values in listed):
            raise InputError(f"{path}: holds other people than were written here; remove the file and go on.")
        keypoints = numbers_of(listed).reshape(-1, joints, 3)
        return ImagePeople(box_around(keypoints, 0.0), keypoints, keypoints[..., 2].mean(1))

    def write(self, number: int, people: ImagePeople) -> None:
        """Write the people of a frame, under a temporary name first; keypoints of score 0 are not found."""
        seen = people.keypoints[..., 2:] > 0
        places = (np.where(seen, people.keypoints, 0.0)).round(PLACES)
        places[..., 2] = people.keypoints[..., 2].round(SCORE_PLACES) * seen[..., 0]
        listed = [{"person_id": [-1], "pose_keypoints_2d": one.ravel().tolist()} for one in places]
        with replacing(self.path(number)) as file:
            json.dump({"version": 1.3, "people": listed}, file)
