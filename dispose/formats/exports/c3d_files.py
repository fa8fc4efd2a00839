"""C3D, what motion laboratories keep markers in, by the package ezc3d: mm, z up, a residual of -1 where unknown."""

from collections.abc import Sequence
from pathlib import Path

import ezc3d
import numpy as np
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.files import replacing_path

MOST_FRAMES = 65535
"""So many frames fit into a file: the format counts them in 16 bits."""


def write_c3d(
    path: Path, names: Sequence[str], xyz_world: Float[np.ndarray, "frames joints 3"], rate_hz: float, first: int = 0
) -> tuple[Path, ...]:
    """Write one person; the paths written: ``_part2`` and so on behind the name where one file cannot hold all frames.

    Args:
        path: of the file.
        names: of the markers.
        xyz_world: evenly spaced frames, mm, z up; NaN where a marker is not known.
        rate_hz: frames per second.
        first: number of the first frame, counted from 0; said as far as the format can count.

    Raises `InputError` for a path that ezc3d cannot be told.
    """
    if not is_text(path):
        raise InputError(f"{path}: ezc3d writes C3D only where names are UTF-8; name another folder with --out.")
    paths = []
    for part, start in enumerate(range(0, len(xyz_world), MOST_FRAMES), 1):
        paths.append(path if part == 1 else path.with_stem(f"{path.stem}_part{part}"))
        points = xyz_world[start : start + MOST_FRAMES].transpose(2, 1, 0)
        known = np.isfinite(points).all(0)
        file = ezc3d.c3d()
        point = file["parameters"]["POINT"]
        point["RATE"]["value"] = [rate_hz]
        point["UNITS"]["value"] = ["mm"]
        point["LABELS"]["value"] = tuple(names)
        # Which way is up, as programs that draw expect to be told.
        file.add_parameter("POINT", "X_SCREEN", ["+X"])
        file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
        file["data"]["points"] = np.concatenate([np.where(known, points, 0.0), np.ones_like(points[:1])])
        masks = np.zeros((7, *known.shape), dtype=bool)
        file["data"]["meta_points"] = {"residuals": np.where(known, 0.0, -1.0)[None], "camera_masks": masks}
        here, count = first + start, points.shape[2]
        if here >= 0 and here + count < MOST_FRAMES:
            file["header"]["points"]["first_frame"] = here
            file["header"]["points"]["last_frame"] = here + count - 1
        with replacing_path(paths[-1]) as temporary:
            file.write(str(temporary))
    return tuple(paths)


def is_text(path: Path) -> bool:
    """Whether the bytes of a path are the UTF-8 of a text."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False
