"""Areas of images in which nobody counts, drawn with clicks in a notebook, in a file for `dispose prepare --areas`.

Example:
    >>> drawer = AreaDrawer({"cam1": image}, Path("areas.json"))  # doctest: +SKIP
    ... drawer.show()
"""

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

from dispose.errors import InputError
from dispose.preparation.areas import write_areas

_SCRIPT = """
function render({ model, el }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.style.width = "100%"; svg.style.cursor = "crosshair";
  const draw = () => {
    const [width, height] = model.get("size");
    svg.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
    const shape = (corners, tag) =>
      `<${tag} points="${corners.map((c) => c.join(",")).join(" ")}" stroke="#d55e00" ` +
      `stroke-width="${width / 300}" fill="#d55e00" fill-opacity="${tag === "polygon" ? 0.3 : 0}"/>`;
    const dot = ([x, y]) => `<circle cx="${x}" cy="${y}" r="${width / 150}" fill="#d55e00"/>`;
    const corners = model.get("corners");
    svg.innerHTML = `<image x="-0.5" y="-0.5" width="${width}" height="${height}" href="${model.get("href")}"/>` +
      model.get("polygons").map((p) => shape(p, "polygon")).join("") +
      shape(corners, "polyline") + corners.map(dot).join("");
  };
  svg.addEventListener("click", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    model.set("corners", [...model.get("corners"), [Math.round(at.x), Math.round(at.y)]]);
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


class AreaDrawer:
    """The images of a rig's cameras, one at a time, with areas that are drawn by clicking their corners.

    Attributes:
        image: what is clicked on.
        polygons: of every camera, each a list of corners [x, y] in pixels.
    """

    def __init__(self, images: Mapping[str, UInt8[np.ndarray, "_ _ 3"]], path: Path) -> None:
        if not images:
            raise InputError("no image to draw areas on.")
        self._images, self._path = dict(images), path
        self.polygons: dict[str, list[list[list[float]]]] = {name: [] for name in images}
        self.image = ClickImage()
        self._camera = ipywidgets.Dropdown(options=list(images), description="camera")
        self._said = ipywidgets.Label()
        self._camera.observe(lambda _: self._turn(), "value")
        self._turn()

    def show(self) -> ipywidgets.VBox:
        """The image with its buttons."""
        buttons: list[Any] = []
        for text, act in (("close area", self.close), ("take back", self.take_back), ("save", self.save)):
            button = ipywidgets.Button(description=text)
            button.on_click(lambda _, act=act: act())
            buttons.append(button)
        return ipywidgets.VBox([ipywidgets.HBox([self._camera, *buttons]), self.image, self._said])

    def close(self) -> None:
        """The corners clicked so far are an area, where they are three at least."""
        if len(self.image.corners) < 3:
            self._said.value = "an area has at least three corners"
            return
        self.polygons[str(self._camera.value)].append([list(corner) for corner in self.image.corners])
        self._turn()

    def take_back(self) -> None:
        """The last corner goes, or else the last area of this camera."""
        if self.image.corners:
            self.image.corners = self.image.corners[:-1]
        elif self.polygons[str(self._camera.value)]:
            self.polygons[str(self._camera.value)].pop()
            self._turn()

    def save(self) -> None:
        """Write the file."""
        write_areas(
            self._path, {name: [np.array(p, float) for p in some] for name, some in self.polygons.items() if some}
        )
        self._said.value = f"wrote {self._path}"

    def _turn(self) -> None:
        """Show the chosen camera."""
        name = str(self._camera.value)
        image = self._images[name]
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))
        self.image.size = [image.shape[1], image.shape[0]]
        self.image.corners, self.image.polygons = [], list(self.polygons[name])
        self.image.href = f"data:image/jpeg;base64,{b64encode(encoded.tobytes()).decode()}"
