"""What stands on a `Stage` as geometry and material of Open3D, which is imported by whoever calls."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import to_rgb

from dispose_viz.scene.solids import (
    GHOST_RADIUS_MM,
    PALE,
    Solid,
    balls,
    floor_lines,
    frustum_lines,
    image_sheet,
    path_solid,
    people_solid,
)
from dispose_viz.scene.stage import Stage, floor_of, path_of, people_of, ray_lines, reach_of, rows_of
from dispose_viz.scene.viewpoint import Viewpoint, views_in_sight
from dispose_viz.style import Theme, blend, color_of

OVERSAMPLING = 2
"""Images are drawn so many times larger and reduced: software rendering has jagged edges."""

RAY_PALE = 0.35
DARKEST = 0.55
"""How much of its colour a surface keeps that the lamp does not reach."""

SHEET_QUADS = 12
"""Quads across an image in its frustum; lens distortion bends it, the image itself is a texture."""


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
