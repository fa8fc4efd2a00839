"""A folder that Pose2Sim goes on with: calibration, detections, who is who in every camera, and the people in 3-D.

``pose-associated`` is what Pose2Sim's own association would have written, with our answer in it: in every camera's
file the people in the order of their numbers, ``{}`` for one whom that camera does not see.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.openpose import FOLDER_SUFFIX, write_openpose
from dispose.formats.files import replacing
from dispose.formats.marker_names import MarkerNames
from dispose.formats.person_table import PersonTable
from dispose.formats.seen import SeenFrames
from dispose.formats.trc import write_trcs
from dispose.scene.frame import Detections
from dispose.tensors import ABSENT

CONFIG = """# Written by dispose; what is not said here is as Pose2Sim has it by default.
[project]
multi_person = true
frame_rate = {rate:g}

[pose]
pose_model = "{model}"
"""


def write_pose2sim(
    folder: Path, stem: str, table: PersonTable, seen: SeenFrames, members: Int[np.ndarray, "rows views"],
    rate_hz: float, *, names: MarkerNames, step: Callable[[], object],
) -> tuple[Path, ...]:  # fmt: skip
    """Write a project; the paths of its parts.

    Args:
        folder: of the project.
        stem: what the TRC files are called after.
        table: the people.
        seen: what the cameras saw.
        members: which detection of every camera a row of the table was made of.
        rate_hz: frames per second.
        names: what markers are called.
        step: called after every frame.
    """
    calibration = folder / "calibration" / "Calib_dispose.toml"
    write_calibration_toml(calibration, seen.cameras)
    with replacing(folder / "Config.toml") as file:
        file.write(CONFIG.format(rate=rate_hz, model=seen.skeleton.name.upper()))
    poses = write_trcs(folder / "pose-3d", stem, table, rate_hz, names)
    people = sorted(person for person, _ in table.people)
    for number, detections in zip(seen.numbers, seen.detections(), strict=True):
        write_openpose(folder / "pose", number, seen.cameras.names, detections)
        rows = table.rows_at(number)
        for view, camera in enumerate(seen.cameras.names):
            whose = dict(zip(table.id[rows].tolist(), members[rows, view].tolist(), strict=True))
            entries = list(_entries(detections, view, [whose.get(person, ABSENT) for person in people]))
            place = folder / "pose-associated" / f"{camera}{FOLDER_SUFFIX}" / f"{camera}.{number:04d}.json"
            with replacing(place) as file:
                json.dump({"version": 1.3, "people": entries}, file)
        step()
    return (folder / "Config.toml", calibration, folder / "pose", folder / "pose-associated", *poses)


def _entries(detections: Detections, view: int, sources: list[int]) -> Iterator[dict[str, object]]:
    """OpenPose's entry of every person's detection; an empty one where the camera has none."""
    for source in sources:
        slots = (detections.valid[view] & (detections.index[view] == source)).nonzero()[:, 0].tolist()
        if source == ABSENT or not slots:
            yield {}
            continue
        seen = detections.visible[view, slots[0]].numpy()
        table = np.concatenate(
            [detections.xy_image[view, slots[0]].numpy(), detections.confidence[view, slots[0]].numpy()[:, None]], -1
        )
        yield {"person_id": [-1], "pose_keypoints_2d": np.where(seen[:, None], table, 0.0).flatten().tolist()}
