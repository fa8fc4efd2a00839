"""People seen through one camera as COCO keypoint annotations: what detectors are trained and judged on.

``keypoints`` are ``x, y, v`` with v = 2 where a known joint falls into the image and 0 elsewhere; pixels as in COCO,
whose first pixel has its centre at (0, 0) here too. ``track_id`` is the person's number over time.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dispose.errors import InputError
from dispose.formats.files import replacing
from dispose.formats.person_table import PersonTable
from dispose.scene.cameras import Cameras

ROWS = 2048
"""So many people are projected together."""


def write_coco(path: Path, table: PersonTable, camera: Cameras, step: Callable[[int], object]) -> None:
    """Write one camera.

    Args:
        path: of the file.
        table: the people.
        camera: a rig of one view, mm, z up.
        step: called with the number of people written since the last call.
    """
    if len(camera) != 1:
        raise InputError(f"{path}: one camera a file, not {len(camera)}.")
    skeleton, (name,) = table.skeleton, camera.names
    width, height = (int(side) for side in camera.size[0].tolist())
    # COCO counts joints from 1 in its skeletons.
    bones = [[a + 1, b + 1] for a, b in skeleton.bone_indices]
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": bones}
    with replacing(path) as file:
        info = {"description": f"people of dispose, camera {name}"}
        file.write(f'{{"info":{json.dumps(info)},"licenses":[],"categories":[{json.dumps(category)}],\n"images":[')
        for place, number in enumerate(table.numbers.tolist()):
            image = {"id": place, "file_name": f"{name}/{number:06d}", "width": width, "height": height}
            file.write(("," if place else "") + "\n" + json.dumps(image))
        file.write('],\n"annotations":[')
        written, order = 0, np.argsort(table.numbers, kind="stable")
        images = order[np.searchsorted(table.numbers, table.frame, sorter=order)]
        for start in range(0, len(table.frame), ROWS):
            rows = slice(start, start + ROWS)
            joints = torch.from_numpy(np.array(table.joints[rows], dtype=np.float64))
            for image, person, found in zip(
                images[rows].tolist(), table.id[rows].tolist(), _seen(joints, camera), strict=True
            ):
                if found:
                    entry = {"id": written + 1, "image_id": image, "category_id": 1, "track_id": person, **found}
                    file.write(("," if written else "") + "\n" + json.dumps(entry))
                    written += 1
            step(len(joints))
        file.write("]}\n")


def _seen(joints: torch.Tensor, camera: Cameras) -> list[dict[str, object]]:
    """What COCO says of every person that the camera sees a joint of; nothing of the others."""
    known = torch.isfinite(joints[..., :3]).all(-1)
    xy, front = camera.project(torch.where(known[..., None], joints[..., :3], 0.0))
    xy = xy[0].nan_to_num(nan=-1e9)
    seen = known & front[0] & camera.inside(xy[None])[0]
    found: list[dict[str, object]] = []
    for place, there, confidence in zip(xy, seen, joints[..., 3], strict=True):
        if not bool(there.any()):
            found.append({})
            continue
        low, high = place[there].amin(0).tolist(), place[there].amax(0).tolist()
        size = [high[0] - low[0], high[1] - low[1]]
        table = torch.where(there[:, None], place, 0.0).round(decimals=2)
        values = torch.cat([table, 2.0 * there[:, None]], -1).flatten().tolist()
        found.append(
            {
                "keypoints": [round(value, 2) for value in values],
                "num_keypoints": int(there.sum()),
                "bbox": [round(v, 2) for v in (*low, *size)],
                "area": round(size[0] * size[1], 2),
                "iscrowd": 0,
                "score": round(float(confidence[there].mean()), 4),
            }
        )
    return found
