"""Where a joint may be, in 3-D (plotly): rays with the trust in them, ellipsoids of covariances, probability clouds.

Everything is drawn into a scene of `plotly_scene.new_scene`; `look_closely` puts the reader before one place of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.scene.plotly_scene import SOFT, bones_of, coordinates, lines_trace, mesh_trace, scene_theme
from dispose_viz.scene.solids import METRE, Solid
from dispose_viz.style import PALETTE, blend
from dispose_viz.words import LONGEST_TICK, break_tags, shorten

RADIUS_90 = math.sqrt(6.251389)
"""Standard deviations within which a Gaussian in three dimensions holds nine of ten (chi-square, three degrees)."""

STACKS, SLICES = 14, 22
"""Rings and corners of a ring of an ellipsoid."""

UNTRUSTED = 0.05
"""A ray with less trust is dashed."""


@dataclass(frozen=True, eq=False)
class PlaceClaim:
    """Where somebody says that a joint is.

    Attributes:
        name: who says so; in the legend.
        xyz_world: mm.
        covariance: how sure they are, mm²; None where they do not say.
        color: place in the palette.
    """

    name: str
    xyz_world: Float[Tensor, " 3"]
    covariance: Float[Tensor, "3 3"] | None
    color: int


def claim_of(name: str, poses: Poses, joint: str, *, color: int) -> PlaceClaim:
    """What is said of a joint of the first of some people; nowhere where it is not known."""
    at = poses.skeleton.index(joint)
    place = torch.where(poses.valid[0, at], poses.xyz_world[0, at].double(), torch.nan)
    return PlaceClaim(name, place, None if poses.covariance is None else poses.covariance[0, at], color)


def ellipsoid(xyz_world: Float[Tensor, " 3"], covariance: Float[Tensor, "3 3"]) -> Solid:
    """The surface (mm) inside which a Gaussian holds nine of ten."""
    down = np.linspace(0, math.pi, STACKS + 1)
    around = 2 * math.pi * np.arange(SLICES) / SLICES
    rings = np.stack(
        [np.outer(np.sin(down), np.cos(around)), np.outer(np.sin(down), np.sin(around)),
         np.outer(np.cos(down), np.ones(SLICES))], -1
    )  # fmt: skip
    values, vectors = np.linalg.eigh(covariance.double().cpu().numpy())
    root = vectors * np.sqrt(np.clip(values, 0, None))
    # A left-handed set of axes would turn the surface inside out.
    root = root * np.sign(np.linalg.det(vectors))
    corner = np.arange(STACKS * SLICES).reshape(STACKS, SLICES)
    right, below = np.roll(corner, -1, 1), corner + SLICES
    across = np.roll(below, -1, 1)
    triangles = np.concatenate(
        [np.stack([corner, below, right], -1).reshape(-1, 3), np.stack([right, below, across], -1).reshape(-1, 3)]
    )
    places = rings.reshape(-1, 3) @ (RADIUS_90 * root).T + xyz_world.double().cpu().numpy()
    return Solid(places, triangles, np.ones(len(places)))


def draw_claims(figure: go.Figure, claims: Sequence[PlaceClaim]) -> go.Figure:
    """Every claim as a point with the ellipsoid that should hold the truth nine times of ten; the legend hides both.

    Who does not say how sure they are has a point only; a place that is no number has nothing.
    """
    theme = scene_theme(figure)
    for claim in claims:
        place = claim.xyz_world.double().cpu()
        if not bool(torch.isfinite(place).all()):
            continue
        color, words = PALETTE[claim.color % len(PALETTE)], f"{claim.name}: does not say how sure"
        known = claim.covariance is not None and bool(torch.isfinite(claim.covariance).all())
        if known and claim.covariance is not None:
            longest = RADIUS_90 * float(torch.linalg.eigvalsh(claim.covariance.double())[-1].clamp(min=0).sqrt())
            words = f"{claim.name}: within {longest:.0f} mm"
            shell = mesh_trace(ellipsoid(place, claim.covariance))
            figure.add_trace(shell.update(
                name=f"shell of {claim.name}", legendgroup=claim.name, color=color, opacity=0.3, lighting=SOFT
            ))  # fmt: skip
        figure.add_trace(go.Scatter3d(
            **coordinates(place.numpy()), mode="markers", name=claim.name, legendgroup=claim.name, text=[words],
            hoverinfo="text", marker={"color": color, "size": 6, "line": {"color": theme.paper, "width": 1}},
        ))  # fmt: skip
    return figure


def draw_truth(figure: go.Figure, poses: Poses, joint: str) -> go.Figure:
    """The true people as thin lines, and a black diamond at one of their joints."""
    theme, place = scene_theme(figure), poses.skeleton.index(joint)
    rows = range(len(poses.id))
    figure.add_trace(lines_trace(bones_of(poses, rows), "true body", theme.muted, 4).update(showlegend=False))
    return figure.add_trace(go.Scatter3d(
        **coordinates(poses.xyz_world[poses.valid[:, place], place].double().cpu().numpy()), mode="markers",
        name=f"true {joint}", hoverinfo="name", marker={"color": theme.ink, "size": 7, "symbol": "diamond"},
    ))  # fmt: skip


def draw_trusted_rays(
    figure: go.Figure,
    cameras: Cameras,
    xy_image: Float[Tensor, "views 2"],
    trust: Float[Tensor, " views"],
    centre: Float[Tensor, " 3"],
    *,
    half_mm: float,
) -> go.Figure:
    """The rays of one pixel per view where they pass a place, the thicker the more they are trusted, dashed if not.

    Args:
        figure: a scene.
        cameras: the rig.
        xy_image: pixels; views whose pixel is no number have no ray.
        trust: in [0, 1].
        centre: the place, mm.
        half_mm: how far rays are drawn to both sides of where they pass it nearest.
    """
    theme = scene_theme(figure)
    directions = cameras.directions(torch.nan_to_num(xy_image.double()))
    for view, name in enumerate(cameras.names):
        if not bool(torch.isfinite(xy_image[view]).all()):
            continue
        start, along = cameras.centres[view].double(), directions[view]
        foot = start + along * ((centre.double() - start) @ along)
        ends = np.stack([(foot + reach * along).cpu().numpy() for reach in (-half_mm, half_mm)])
        share = float(trust[view].clamp(0, 1))
        color = blend(theme.ink, theme.paper, 0.65 * (1 - share))
        label = break_tags(shorten(name, LONGEST_TICK))
        look = {"color": color, "width": 2 + 6 * share, "dash": "solid" if share > UNTRUSTED else "dash"}
        trace = lines_trace([ends], f"ray of {label}", color, 2)
        figure.add_trace(
            trace.update(hoverinfo="text", text=f"{label}: trust {share:.2f}", showlegend=False, line=look)
        )
        figure.add_trace(go.Scatter3d(
            **coordinates(ends[:1]), mode="text", text=[label], textfont={"color": color, "size": 13},
            name=f"name of {label}", hoverinfo="skip", showlegend=False,
        ))  # fmt: skip
    return figure


def draw_cloud(
    figure: go.Figure,
    xyz_world: Float[Tensor, "x y z 3"],
    probability: Float[Tensor, "x y z"],
    name: str,
    *,
    color: str,
    levels: Sequence[float] = (0.1, 0.4, 0.8),
    opacity: float = 0.3,
) -> go.Figure:
    """The surfaces, one inside the other, on which a probability is some share of its largest value.

    Args:
        figure: a scene.
        xyz_world: centres of voxels of a grid along the world's axes, mm.
        probability: of the voxels, in any unit.
        name: what it is, for the legend.
        color: of the surfaces.
        levels: the shares, evenly spaced or two.
        opacity: of every surface.
    """
    share = probability.double().cpu() / probability.max().double().clamp(min=1e-300).cpu()
    # Only the part of the grid that the surfaces lie in: a page carries every voxel.
    part = tuple(_reach(share >= min(levels), axis) for axis in range(3))
    shown, values = xyz_world.double().cpu()[part], share[part].flatten().numpy().astype(np.float32)
    return figure.add_trace(go.Isosurface(
        **coordinates(shown.reshape(-1, 3).numpy()), value=values, isomin=min(levels), isomax=max(levels),
        surface={"count": len(levels)}, caps={axis: {"show": False} for axis in ("x", "y", "z")}, opacity=opacity,
        colorscale=[[0, color], [1, color]], showscale=False, showlegend=True, name=name, hoverinfo="name",
        lighting=SOFT,
    ))  # fmt: skip


def _reach(inside: Bool[Tensor, "x y z"], axis: int) -> slice:
    """From before the first to behind the last layer across an axis that has something inside."""
    layers = inside.movedim(axis, 0).flatten(1).any(1).nonzero()[:, 0]
    return slice(max(int(layers.min()) - 1, 0), int(layers.max()) + 2)


def draw_cube(figure: go.Figure, centre: Float[Tensor, " 3"], side_mm: float, *, yaw: float = 0.0) -> go.Figure:
    """The edges of a cube turned about the vertical axis (radians)."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    corners = side_mm / 2 * signs @ turn.T + centre.double().cpu().numpy()
    edges = [(a, b) for a in range(8) for b in range(a + 1, 8) if np.abs(signs[a] - signs[b]).sum() == 2]
    lines = [corners[[a, b]] for a, b in edges]
    return figure.add_trace(lines_trace(lines, "cube", scene_theme(figure).muted, 3).update(showlegend=False))


def offer_choice(figure: go.Figure, names: Sequence[str], firsts: Sequence[int], *, chosen: int = 0) -> go.Figure:
    """A list to choose from what is shown.

    Args:
        figure: a scene.
        names: of the choices.
        firsts: the number of traces that were there before each was drawn. What was there before the first is always
            shown.
        chosen: what is shown now.
    """
    theme, traces = scene_theme(figure), list[Any](figure.data)
    count = len(traces)
    ends = [*firsts[1:], count]
    shown = [
        [number < firsts[0] or first <= number < end for number in range(count)]
        for first, end in zip(firsts, ends, strict=True)
    ]
    for trace, visible in zip(traces, shown[chosen], strict=True):
        trace.visible = visible
    buttons = [
        {"label": name, "method": "update", "args": [{"visible": row}]} for name, row in zip(names, shown, strict=True)
    ]
    place = {"x": 0.99, "y": 0.99, "xanchor": "right", "yanchor": "top"}
    look: dict[str, Any] = {"bgcolor": theme.paper, "font": {"color": theme.ink}, "showactive": True}
    return figure.update_layout(updatemenus=[{"buttons": buttons, "active": chosen, **place, **look}])


def look_closely(figure: go.Figure, centre: Float[Tensor, " 3"], half_mm: float) -> go.Figure:
    """Show a cube about a place, and nothing beside it."""
    middle = centre.double().cpu().numpy() / METRE
    half = half_mm / METRE
    axes = {f"{name}axis": {"range": [at - half, at + half]} for name, at in zip("xyz", middle, strict=True)}
    camera = {"eye": {"x": 1.0, "y": -1.25, "z": 0.75}, "center": {"x": 0, "y": 0, "z": -0.08}}
    return figure.update_layout(scene={**axes, "aspectmode": "cube", "camera": camera})
