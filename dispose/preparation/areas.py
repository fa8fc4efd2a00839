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
    """Read areas; `InputError` names what is damaged, a camera that is not there, and a corner outside its image.

    The file: ``{"schema": "dispose.areas/1", "cameras": {"cam1": [[[x, y], [x, y], [x, y]], …]}}``.
    """
    entry = Entry.of_json(path)
    schema = entry.at("schema").text()
    if schema != SCHEMA:
        raise InputError(f"{path}: schema is {schema!r}, areas have {SCHEMA!r}.")
    found: dict[str, tuple[Polygon, ...]] = {}
    for name, polygons in entry.at("cameras").entries():
        if name not in cameras.names:
            raise InputError(f"{path}: there is no camera {name!r} (there is {', '.join(cameras.names)}).")
        width, height = cameras.size[cameras.names.index(name)].tolist()
        found[name] = tuple(_polygon(one, width, height) for one in polygons.items())
    return Areas(found)


def _polygon(entry: Entry, width: float, height: float) -> Polygon:
    """One polygon of an image of that size."""
    corners = [[number.number() for number in corner.items()] for corner in entry.items()]
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise InputError(f"{entry.place}: an area is a list of at least three corners [x, y].")
    for x, y in corners:
        if not (-MARGIN_PX <= x <= width + MARGIN_PX and -MARGIN_PX <= y <= height + MARGIN_PX):
            raise InputError(
                f"{entry.place}: the corner ({x:g}, {y:g}) lies outside of the image, which is {width:g} x {height:g} "
                "pixels; corners are in pixels of the image as it was taken."
            )
    x, y = np.array(corners).T
    if abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) < 2 * LEAST_AREA_PX:
        raise InputError(f"{entry.place}: the corners enclose nothing, or their edges cross; they are in pixels, each "
                         "beside the next.")  # fmt: skip
    return np.array(corners)


def write_areas(path: Path, polygons: Mapping[str, Sequence[Polygon]]) -> None:
    """Write areas; an existing file is replaced as a whole."""
    plain = {name: [np.round(one, 1).tolist() for one in some] for name, some in polygons.items()}
    with replacing(path) as file:
        json.dump({"schema": SCHEMA, "cameras": plain}, file, indent=1)
        file.write("\n")
