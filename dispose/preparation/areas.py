"""Areas of a camera's image in which nobody counts, such as a mirror, a poster, a window: polygons in a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import replacing
from dispose.inference.pairing import words
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.areas/1"

MARGIN_PX, LEAST_AREA_PX = 2.0, 1.0
"""A corner may lie so far outside of the image: whoever draws along its edge means the edge."""

Polygon = Float[np.ndarray, "corners 2"]


@dataclass(frozen=True, eq=False)
class Areas:
    """Polygons of corners x, y in pixels of the original image (pixel centres at integers), by camera."""

    cameras: Mapping[str, tuple[Polygon, ...]]

    def inside(self, camera: str, xy: Float[np.ndarray, "points 2"]) -> Bool[np.ndarray, " points"]:
        """Which points lie in any area of a camera."""
        found = np.zeros(len(xy), dtype=bool)
        for polygon in self.cameras.get(camera, ()):
            found |= points_inside(polygon, xy)
        return found


NO_AREAS = Areas({})


def points_inside(polygon: Polygon, xy: Float[np.ndarray, "points 2"]) -> Bool[np.ndarray, " points"]:
    """Which points a closed polygon holds: a ray from there crosses its edges an odd number of times."""
    x, y = xy[:, None, 0], xy[:, None, 1]
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    spans = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    return (spans & (x < x0 + (y - y0) / rise * (x1 - x0))).sum(1) % 2 == 1


def read_areas(path: Path, cameras: Cameras) -> Areas:
    """Areas by the names of these cameras, as `areas_in` reads them."""
    return areas_in(path, {name: (w, h) for name, (w, h) in zip(cameras.names, cameras.size.tolist(), strict=True)})


def areas_in(path: Path, sizes: Mapping[str, tuple[float, float]]) -> Areas:
    """Read areas; `InputError` names what is damaged, a camera that is not there, and a corner outside its image.

    The file: ``{"schema": "dispose.areas/1", "cameras": {"cam1": [[[x, y], [x, y], [x, y]], …]}}``. A camera may be
    written otherwise (cam_01), as where images and calibration call it otherwise.

    Args:
        path: the file.
        sizes: width and height of every camera's image, px.
    """
    entry = Entry.of_json(path)
    schema = entry.at("schema").text()
    if schema != SCHEMA:
        raise InputError(f"{path}: schema is {schema!r}, areas have {SCHEMA!r}.")
    found: dict[str, tuple[Polygon, ...]] = {}
    for written, polygons in entry.at("cameras").entries():
        name = _camera_called(written, list(sizes))
        if name is None:
            raise InputError(f"{path}: there is no camera {written!r} (there is {', '.join(sizes)}).")
        if name in found:
            raise InputError(f"{path}: {written!r} and another name in it mean the same camera, {name}.")
        found[name] = tuple(_polygon(one, sizes[name]) for one in polygons.items())
    return Areas(found)


def _camera_called(written: str, names: Sequence[str]) -> str | None:
    """The camera of that name, or the only one whose name has the same words and numbers."""
    same = [name for name in names if name == written] or [name for name in names if words(name) == words(written)]
    return same[0] if len(same) == 1 else None


def _polygon(entry: Entry, size: tuple[float, float]) -> Polygon:
    """One polygon of an image of that size."""
    return polygon_of(entry.place, [[number.number() for number in corner.items()] for corner in entry.items()], size)


def polygon_of(place: str, corners: Sequence[Sequence[float]], size: tuple[float, float]) -> Polygon:
    """Corners as an area of an image; `InputError`, after the `place`, where they are none."""
    width, height = size
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise InputError(f"{place}: an area is a list of at least three corners [x, y].")
    for x, y in corners:
        if not (-MARGIN_PX <= x <= width + MARGIN_PX and -MARGIN_PX <= y <= height + MARGIN_PX):
            raise InputError(
                f"{place}: the corner ({x:g}, {y:g}) lies outside of the image, which is {width:g} x {height:g} "
                "pixels; corners are in pixels of the image as it was taken."
            )
    x, y = np.array(corners, float).T
    if abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) < 2 * LEAST_AREA_PX:
        raise InputError(f"{place}: the corners enclose nothing, or their edges cross; they are in pixels, each "
                         "beside the next.")  # fmt: skip
    return np.array(corners, float)


def write_areas(path: Path, polygons: Mapping[str, Sequence[Polygon]]) -> None:
    """Write areas; an existing file is replaced as a whole."""
    plain = {name: [np.round(one, 1).tolist() for one in some] for name, some in polygons.items()}
    with replacing(path) as file:
        json.dump({"schema": SCHEMA, "cameras": plain}, file, indent=1)
        file.write("\n")
