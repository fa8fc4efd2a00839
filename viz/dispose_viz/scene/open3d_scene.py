"""The scene in 3-D by Open3D: the same `Stage` as plotly draws, as an image, without a screen or a graphics card.

Open3D is imported only when it draws. Where it has no Vulkan driver it ends the whole process, so `why_not` asks once
in a process of its own.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, UInt8
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont

from dispose.errors import InputError, MissingBackendError
from dispose.formats.files import replacing_path
from dispose_viz.export import name_figure
from dispose_viz.movie import png_of
from dispose_viz.scene.plotly_scene import draw_stage, look_from, new_scene
from dispose_viz.scene.solids import (
    FIELD_DEG,
    GHOST_RADIUS_MM,
    PALE,
    Solid,
    Viewpoint,
    balls,
    floor_lines,
    frustum_lines,
    image_sheet,
    overview,
    path_solid,
    people_solid,
    views_in_sight,
)
from dispose_viz.scene.stage import Stage, floor_of, name_signs, path_of, people_of, ray_lines, reach_of, rows_of
from dispose_viz.style import LIGHT, Theme, blend, color_of, label_of
from dispose_viz.words import LONGEST_TICK, shorten

PROBE = """
import os
os.environ["OPEN3D_DISABLE_WEB_VISUALIZER"] = "true"
import numpy, open3d
renderer = open3d.visualization.rendering.OffscreenRenderer(32, 24)
assert numpy.asarray(renderer.render_to_image()).shape == (24, 32, 3)
"""
PROBE_SECONDS = 120
PACKAGES = "libegl1 libgl1 libx11-6 libusb-1.0-0 libvulkan1 mesa-vulkan-drivers"

GHOST_OPACITY = 0.6

OVERSAMPLING = 2
"""Images are drawn so many times larger and reduced: software rendering has jagged edges."""

RAY_PALE = 0.35
DARKEST = 0.55
"""How much of its colour a surface keeps that the lamp does not reach."""

SHEET_QUADS = 12
"""Quads across an image in its frustum; lens distortion bends it, the image itself is a texture."""


@cache
def why_not() -> str | None:
    """None where Open3D can draw here, else one sentence that says what is missing and how to get it."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"Open3D did not finish a small picture within {PROBE_SECONDS} s."
    if answer.returncode == 0:
        return None
    if "No module named 'open3d'" in answer.stderr:
        return "Open3D is not installed; `make setup` (or `pip install 'dispose[viz]'`) brings it."
    lines = [line for line in answer.stderr.splitlines() if line.strip()] or ["no message"]
    return (
        f"Open3D cannot draw here ({lines[-1].strip()[:120]}, status {answer.returncode}); "
        f"on Debian and Ubuntu `apt-get install -y {PACKAGES}` mends that."
    )


def render(
    stage: Stage, *, width: int = 960, height: int = 720, viewpoint: Viewpoint | None = None, theme: Theme = LIGHT
) -> UInt8[np.ndarray, "height width 3"]:
    """The stage as an RGB image of so many pixels, drawn off screen; what it does not hold is left out.

    Without a viewpoint the reader stands where everything is seen.

    Raises:
        MissingBackendError: Open3D is not here or cannot draw (`why_not` is the sentence).
        InputError: the size is not positive.
    """
    if width < 1 or height < 1:
        raise InputError(f"a picture needs a positive size, got {width}x{height} pixels.")
    viewpoint = overview(stage, aspect=width / height) if viewpoint is None else viewpoint
    with _quiet():
        large = _render_large(stage, width * OVERSAMPLING, height * OVERSAMPLING, viewpoint, theme)
    image = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    return _write_names(image, stage, viewpoint, theme)


def image_or_figure(
    stage: Stage,
    path: Path,
    *,
    viewpoint: Viewpoint | None = None,
    theme: Theme = LIGHT,
    reason: Callable[[], str | None] = why_not,
) -> Image.Image | go.Figure:
    """For a notebook: Open3D's image, also written as ``PATH.png``, or else plotly's scene with the reason above it.

    Plotly's scene is named after the file, so a headless run exports it under the same name.
    """
    sentence = reason()
    if sentence is None:
        image = render(stage, viewpoint=viewpoint, theme=theme)
        with replacing_path(path.with_name(f"{path.name}.png")) as temporary:
            temporary.write_bytes(png_of(image))
        return Image.fromarray(image)
    figure = draw_stage(new_scene(theme=theme), stage)
    look_from(figure, stage, overview(stage) if viewpoint is None else viewpoint)
    figure.update_layout(title={"text": f"Drawn by plotly. {sentence}", "font": {"size": 13}}, margin={"t": 40})
    return name_figure(figure, path.name)


def show(stage: Stage) -> None:
    """Open the stage in Open3D's own window on a desktop; returns when it is closed.

    Raises:
        MissingBackendError: there is no display, or Open3D cannot draw.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise MissingBackendError("there is no display to open a window on; `render` makes a picture without one.")
    o3d, eye = _open3d(), overview(stage)
    things = [
        {"name": f"{number}", "geometry": geometry, "material": material}
        for number, (geometry, material) in enumerate(
            (*things_of(o3d, stage, eye, LIGHT), *ghosts_of(o3d, stage, eye, LIGHT))
        )
    ]
    background = (*to_rgb(LIGHT.paper), 1.0)
    o3d.visualization.draw(
        things, bg_color=background, show_skybox=False, eye=eye.eye, lookat=eye.target, up=-eye.axes[2],
        field_of_view=FIELD_DEG,
    )  # fmt: skip


def _open3d() -> ModuleType:
    """The package, where it can draw; else the sentence of `why_not` as a `MissingBackendError`."""
    reason = why_not()
    if reason is not None:
        raise MissingBackendError(reason)
    # Otherwise importing it starts a web server that talks to servers outside.
    os.environ["OPEN3D_DISABLE_WEB_VISUALIZER"] = "true"
    import open3d

    open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)
    return open3d


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing is written to the process's output: the renderer announces itself there on every start."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for target, old in enumerate(kept, start=1):
            os.dup2(old, target)
            os.close(old)
        os.close(nowhere)


_kept: list[tuple[tuple[int, int], Any]] = []
"""The renderer of the last image with its size: starting one takes half a second."""


def _renderer(width: int, height: int) -> Any:
    """The renderer, of this size.

    There is never more than one: all share what they draw with, and Open3D 0.20 ends the process when one of two goes.
    """
    if not _kept or _kept[0][0] != (width, height):
        _kept.clear()
        renderer = _open3d().visualization.rendering.OffscreenRenderer(width, height)
        renderer.scene.view.set_post_processing(False)
        _kept.append(((width, height), renderer))
    return _kept[0][1]


def _render_large(
    stage: Stage, width: int, height: int, viewpoint: Viewpoint, theme: Theme
) -> UInt8[np.ndarray, "height width 3"]:
    renderer, o3d = _renderer(width, height), _open3d()
    scene = renderer.scene
    try:
        scene.set_background([*encode_srgb(np.array(to_rgb(theme.paper))), 1.0])
        _add(scene, "thing", things_of(o3d, stage, viewpoint, theme))
        # After the things: the nearest and farthest depth are taken from them.
        look = (viewpoint.target, viewpoint.eye, -viewpoint.axes[2])
        renderer.setup_camera(FIELD_DEG, *(v.astype(np.float32) for v in look))
        image = np.array(renderer.render_to_image())
        if stage.ghosts is None:
            return image
        # Open3D's translucent materials do not keep the palette's colours; two images laid over one another do.
        _add(scene, "ghost", ghosts_of(o3d, stage, viewpoint, theme))
        return cv2.addWeighted(np.array(renderer.render_to_image()), GHOST_OPACITY, image, 1 - GHOST_OPACITY, 0.0)
    finally:
        scene.clear_geometry()


def _add(scene: Any, name: str, things: Iterable[tuple[Any, Any]]) -> None:
    for number, (geometry, material) in enumerate(things):
        if not geometry.is_empty():
            scene.add_geometry(f"{name} {number}", geometry, material)


def _write_names(
    image: UInt8[np.ndarray, "height width 3"], stage: Stage, viewpoint: Viewpoint, theme: Theme
) -> UInt8[np.ndarray, "height width 3"]:
    """The image with the names of people and cameras, and a line that says what is what."""
    height, width = image.shape[:2]
    size = max(10, round(height / 42))
    drawn = Image.fromarray(image)
    draw, halo = ImageDraw.Draw(drawn), {"stroke_width": max(1, size // 8), "stroke_fill": theme.paper}
    signs = [(label_of(person), place, color_of(person, theme), True) for person, place in name_signs(stage)]
    views = views_in_sight(stage, viewpoint)
    if stage.cameras is not None and views:
        seen, up = stage.cameras.select(views=views), np.array([0.0, 0.0, 0.35 * reach_of(stage)])
        centres = seen.centres.double().numpy()
        names = [shorten(name, LONGEST_TICK) for name in seen.names]
        signs += [(name, centre + up, theme.ink, False) for name, centre in zip(names, centres, strict=True)]
    for text, place, color, bold in signs:
        (xy,), (front,) = viewpoint.project(place[None], width, height)
        beside = max(-xy[0], xy[0] - width, -xy[1], xy[1] - height)
        if front and beside < size:
            # Words at an edge stay whole; what is far beside the image has no name in it.
            half = _font(size, bold).getlength(text) / 2 + 2
            x = float(np.clip(xy[0], min(half, width / 2), max(width - half, width / 2)))
            y = float(np.clip(xy[1], 0.7 * size, height - 0.7 * size))
            draw.text((x, y), text, fill=color, font=_font(size, bold), anchor="mm", **halo)
    small = _font(round(0.85 * size), False)
    for line, text in enumerate(reversed(_fill_lines(_caption(stage), small, width - 2 * size))):
        draw.text((size, height - size - 1.2 * line * size), text, fill=theme.ink, font=small, anchor="ls", **halo)
    return np.array(drawn)


def _fill_lines(parts: Sequence[str], font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Parts put together into lines of at most this many pixels."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _caption(stage: Stage) -> list[str]:
    """What is what, as far as it is there."""
    people, ghosts = stage.people, stage.ghosts
    parts = {
        "floor: 1 m squares": True,
        "pale: less sure": bool((people.confidence[people.valid] < 0.9).any()),
        "thin lines: rays": len(stage.rays) > 0,
        "fading lines: where people came from": len(stage.trails) > 0 and len(people.id) > 0,
        "grey bodies: ghosts to compare with": ghosts is not None and len(ghosts.id) > 0,
    }
    return [words for words, there in parts.items() if there]


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    weight = "bold" if bold else "normal"
    path = font_manager.findfont(font_manager.FontProperties(family="DejaVu Sans", weight=weight))
    return ImageFont.truetype(path, size)


def things_of(o3d: ModuleType, stage: Stage, viewpoint: Viewpoint, theme: Theme) -> Iterator[tuple[Any, Any]]:
    """What is drawn, as pairs of geometry and material, but for the ghosts."""
    low, high = floor_of(stage)
    yield _lines(o3d, floor_lines(low, high), theme.grid, 1.2)
    views = views_in_sight(stage, viewpoint)
    if stage.cameras is not None and views:
        reach, cameras = reach_of(stage), stage.cameras.select(views=views)
        yield _lines(o3d, frustum_lines(cameras, reach), theme.muted, 1.6)
        yield _body(o3d, balls(cameras.centres.double().numpy(), 0.05 * reach), theme.ink, theme, viewpoint)
        for row, image in enumerate(stage.images[view] for view in views if stage.images):
            if image is not None:
                sheet, place = image_sheet(cameras, row, reach, SHEET_QUADS, SHEET_QUADS)
                yield _textured(o3d, sheet, place, image)
    for person, rays in ray_lines(stage):
        yield _lines(o3d, rays, blend(color_of(person, theme), theme.paper, RAY_PALE), 1.0)
    for person in people_of(stage):
        color = color_of(person, theme)
        yield _body(o3d, people_solid(stage.people, rows_of(stage.people, person)), color, theme, viewpoint)
        yield _body(o3d, path_solid(path_of(stage, person)), color, theme, viewpoint)


def ghosts_of(o3d: ModuleType, stage: Stage, viewpoint: Viewpoint, theme: Theme) -> Iterator[tuple[Any, Any]]:
    """The ghosts, grey."""
    if stage.ghosts is not None:
        solid = people_solid(stage.ghosts, range(len(stage.ghosts.id)), radius_mm=GHOST_RADIUS_MM)
        yield _body(o3d, solid, theme.muted, theme, viewpoint)


def _lines(o3d: ModuleType, lines: Sequence[Float[np.ndarray, "2 3"]], color: str, width_px: float) -> tuple[Any, Any]:
    geometry = o3d.geometry.LineSet()
    if lines:
        ends = np.concatenate(lines)
        geometry.points = o3d.utility.Vector3dVector(ends)
        geometry.lines = o3d.utility.Vector2iVector(np.arange(len(ends)).reshape(-1, 2))
        geometry.colors = o3d.utility.Vector3dVector(np.tile(to_rgb(color), (len(lines), 1)))
    material = _material(o3d, "unlitLine")
    material.line_width = width_px * OVERSAMPLING
    return geometry, material


def _body(o3d: ModuleType, solid: Solid, color: str, theme: Theme, viewpoint: Viewpoint) -> tuple[Any, Any]:
    """A solid in a colour that pales with its strength, shaded by a lamp above the reader's left shoulder.

    The shade is computed here and not by the renderer, so colours stay those of the palette on every driver.
    """
    geometry = _mesh(o3d, solid, np.zeros((len(solid.xyz), 2)))
    geometry.compute_vertex_normals()
    forward, right, down = viewpoint.axes
    lamp = -forward - 0.5 * right - 0.7 * down
    lit = np.clip(np.asarray(geometry.vertex_normals) @ (lamp / np.linalg.norm(lamp)), 0.0, 1.0)
    pale = PALE * (1 - solid.strength[:, None])
    colors = (1 - pale) * np.array(to_rgb(color)) + pale * np.array(to_rgb(theme.paper))
    geometry.vertex_colors = o3d.utility.Vector3dVector(colors * (DARKEST + (1 - DARKEST) * lit[:, None]))
    return geometry, _material(o3d, "defaultUnlit")


def _textured(
    o3d: ModuleType, sheet: Solid, place: Float[np.ndarray, "corners 2"], image: UInt8[np.ndarray, "_ _ 3"]
) -> tuple[Any, Any]:
    # Open3D counts rows from below.
    geometry = _mesh(o3d, sheet, np.stack([place[:, 0], 1.0 - place[:, 1]], -1))
    material = _material(o3d, "defaultUnlit")
    geometry.vertex_colors = o3d.utility.Vector3dVector(np.ones((len(sheet.xyz), 3)))
    levels = np.round(255 * encode_srgb(np.arange(256) / 255)).astype(np.uint8)
    material.albedo_img = o3d.geometry.Image(np.ascontiguousarray(levels[image]))
    return geometry, material


def encode_srgb(value: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """What Open3D must be given to show a value: it takes backgrounds and textures, not other colours, from sRGB."""
    return np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)


def _mesh(o3d: ModuleType, solid: Solid, place: Float[np.ndarray, "corners 2"]) -> Any:
    """The triangles, with a place in the texture for each of their corners.

    The renderer looks the texture up even where there is none: places that were never written, garbage in memory,
    now and then make a software driver spend minutes on one picture.
    """
    triangles = solid.triangles.astype(np.int32)
    mesh = o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(solid.xyz), o3d.utility.Vector3iVector(triangles))
    mesh.triangle_uvs = o3d.utility.Vector2dVector(place[solid.triangles.ravel()])
    return mesh


def _material(o3d: ModuleType, shader: str) -> Any:
    material = o3d.visualization.rendering.MaterialRecord()
    material.shader = shader
    return material
