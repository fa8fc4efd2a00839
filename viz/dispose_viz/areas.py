"""Areas of images in which nobody counts, drawn with clicks in a notebook, in a file for `dispose prepare --areas`.

Example:
    >>> drawer = AreaDrawer(pictures_of(Path("my_capture")), Path("areas.json"))  # doctest: +SKIP
    ... drawer.show()
"""

import math
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import cv2
import ipywidgets
import numpy as np
import traitlets
from jaxtyping import UInt8
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from dispose.errors import DisposeError, InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import ImageSeries, open_image_series
from dispose.inference.capture import find_images
from dispose.preparation.areas import areas_in, polygon_of, write_areas
from dispose_viz.style import dress, new_figure, panels

COLOR = "#d55e00"
"""Of areas."""

_SCRIPT = """
function render({ model, el }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.style.width = "100%"; svg.style.cursor = "crosshair";
  const draw = () => {
    const [width, height] = model.get("size");
    svg.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
    const shape = (corners, tag) =>
      `<${tag} points="${corners.map((c) => c.join(",")).join(" ")}" stroke="#d55e00" ` +
      `stroke-width="${width / 300}" fill="#d55e00" fill-rule="evenodd" ` +
      `fill-opacity="${tag === "polygon" ? 0.3 : 0}"/>`;
    const dot = ([x, y]) => `<circle cx="${x}" cy="${y}" r="${width / 150}" fill="#d55e00"/>`;
    const corners = model.get("corners");
    svg.innerHTML = `<image x="-0.5" y="-0.5" width="${width}" height="${height}" href="${model.get("href")}"/>` +
      model.get("polygons").map((p) => shape(p, "polygon")).join("") +
      shape(corners, "polyline") + corners.map(dot).join("");
  };
  svg.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [width, height] = model.get("size");
    const within = (value, side) => Math.min(Math.max(Math.round(value), 0), side - 1);
    model.set("corners", [...model.get("corners"), [within(at.x, width), within(at.y, height)]]);
    model.save_changes();
  });
  for (const name of ["href", "corners", "polygons"]) model.on(`change:${name}`, draw);
  draw(); el.appendChild(svg);
}
export default { render };
"""


class ClickImage(anywidget.AnyWidget):
    """An image on which every click sets a corner; finished polygons lie over it."""

    _esm = _SCRIPT
    href = traitlets.Unicode("").tag(sync=True)
    size = traitlets.List([1, 1]).tag(sync=True)
    corners = traitlets.List([]).tag(sync=True)
    polygons = traitlets.List([]).tag(sync=True)


def pictures_of(folder: Path, frame: int | None = None) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """One picture of every camera of a capture: of a frame, or the first of each. `InputError` where there are none.

    `folder` has images/ or videos/, or is one of these.
    """
    found = {one.camera: _picture(one, frame) for one in open_image_series(find_images(folder))}
    pictures = {camera: picture for camera, picture in found.items() if picture is not None}
    if not pictures:
        raise InputError(f"{folder}: no camera has a picture of frame {frame}.")
    return pictures


def _picture(series: ImageSeries, frame: int | None) -> UInt8[np.ndarray, "_ _ 3"] | None:
    """A picture of a camera; None where there is none."""
    number = series.numbers[0] if frame is None else frame
    try:
        return series.read(number) if number in series.numbers else None
    except DamagedFrameError:
        return None


def draw_areas(images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]], path: Path) -> Figure:
    """Every camera's image with the areas of a file, none where there is no file yet."""
    there = areas_in(path, sizes_of(images)).cameras if path.exists() else {}
    columns = math.ceil(math.sqrt(len(images)))
    figure = new_figure(5.0 * columns, 3.1 * math.ceil(len(images) / columns))
    for axes, (name, image) in zip(panels(figure, len(images), columns), images.items(), strict=True):
        dress(axes).imshow(image)
        for corners in there.get(name, ()):
            axes.add_patch(Polygon(corners, facecolor=to_rgba(COLOR, 0.3), edgecolor=COLOR))
        axes.set_title(name, loc="left")
        axes.set_axis_off()
    return figure


def sizes_of(images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]) -> dict[str, tuple[float, float]]:
    """Width and height of every camera's image, px."""
    return {name: (float(one.shape[1]), float(one.shape[0])) for name, one in images.items()}


class AreaDrawer:
    """The images of a rig's cameras, one at a time, with areas that are drawn by clicking their corners.

    Areas that the file has already are gone on with.

    Attributes:
        image: what is clicked on.
        polygons: of every camera, each a list of corners [x, y] in pixels.
    """

    def __init__(self, images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]], path: Path) -> None:
        if not images:
            raise InputError("no image to draw areas on.")
        self._images, self._path = dict(images), Path(path)
        sizes = sizes_of(images)
        there = areas_in(self._path, sizes).cameras if self._path.exists() else {}
        self.polygons: dict[str, list[list[list[float]]]] = {
            name: [one.tolist() for one in there.get(name, ())] for name in images
        }
        self._sizes, self._open = sizes, {name: list[list[float]]() for name in images}
        self.image = ClickImage()
        self._camera = ipywidgets.Dropdown(options=list(images), description="camera")
        self._said = ipywidgets.Label()
        self._camera.observe(self._turn_away, "value")
        self._turn()

    def show(self) -> ipywidgets.VBox:
        """The image with its buttons."""
        buttons: list[Any] = []
        for text, act in (("close area", self.close), ("take back", self.take_back), ("save", self.save)):
            button = ipywidgets.Button(description=text)
            button.on_click(lambda _, act=act: act())
            buttons.append(button)
        return ipywidgets.VBox([ipywidgets.HBox([self._camera, *buttons]), self.image, self._said])

    @property
    def said(self) -> str:
        """The line under the image."""
        return str(self._said.value)

    def close(self) -> None:
        """The corners clicked so far are an area, where they enclose something."""
        name = str(self._camera.value)
        try:
            corners = [[float(x), float(y)] for x, y in self.image.corners]
            area = polygon_of(name, corners, self._sizes[name])
        except InputError as error:
            self._said.value = str(error)
            return
        self.polygons[name].append(area.tolist())
        self._open[name] = []
        self._turn()
        self._said.value = f"{name}: {len(self.polygons[name])} areas; not saved yet"

    def take_back(self) -> None:
        """The last corner goes, or else the last area of this camera."""
        if self.image.corners:
            self.image.corners = self.image.corners[:-1]
        elif self.polygons[str(self._camera.value)]:
            self.polygons[str(self._camera.value)].pop()
            self._turn()
            self._said.value = f"{self._camera.value}: an area is taken back; not saved yet"

    def save(self) -> None:
        """Write the file; corners that are no area yet are told, and nothing is written."""
        self._open[str(self._camera.value)] = list(self.image.corners)
        unfinished = [name for name, corners in self._open.items() if corners]
        if unfinished:
            self._said.value = (
                f"not saved: corners of {', '.join(unfinished)} are no area yet; close it or take them back"
            )
            return
        areas = {name: [np.array(p, float) for p in some] for name, some in self.polygons.items() if some}
        try:
            write_areas(self._path, areas)
        except (DisposeError, OSError) as error:
            # Raised here it would end in a log that nobody reads.
            self._said.value = f"not saved: {error}"
            return
        counts = ", ".join(f"{name} {len(some)}" for name, some in areas.items()) or "none"
        self._said.value = f"wrote {self._path}; areas: {counts}"

    def _turn_away(self, change: Mapping[str, Any]) -> None:
        """Corners that are no area yet wait for the camera that they are of."""
        self._open[str(change["old"])] = list(self.image.corners)
        self._turn()

    def _turn(self) -> None:
        """Show the chosen camera."""
        name = str(self._camera.value)
        image = self._images[name]
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))
        self.image.size = [image.shape[1], image.shape[0]]
        self.image.corners, self.image.polygons = list(self._open[name]), list(self.polygons[name])
        self.image.href = f"data:image/jpeg;base64,{b64encode(encoded.tobytes()).decode()}"
