"""The scene in 3-D (plotly): cameras with names, the floor, people over time, and the truth as ghosts.

Everything is in metres. Over time a person is one trace of lines (bones separated by gaps), so a slider over many
frames stays quick; a `Stage`, one instant, has people as solid capsules and images in their frusta.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike
from PIL import Image

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose_viz.scene.solids import (
    GHOST_RADIUS_MM,
    METRE,
    PALE,
    Solid,
    Viewpoint,
    floor_lines,
    frustum_lines,
    image_sheet,
    people_solid,
)
from dispose_viz.scene.stage import (
    Stage,
    floor_of,
    known_joints,
    name_signs,
    path_of,
    people_of,
    points_of,
    ray_lines,
    reach_of,
    rows_of,
)
from dispose_viz.style import DARK, LIGHT, Theme, blend, color_of, label_of
from dispose_viz.words import LONGEST_TICK, break_tags, escape_markup, shorten

FRAME_MS = 80
SHEET_COLUMNS = 64
"""Quads across an image in its frustum; the page carries every one of them."""

SHEET_COLOURS = 128
SOFT = {"ambient": 0.7, "diffuse": 0.55, "specular": 0.12, "roughness": 0.6, "fresnel": 0.1}
FLAT = {"ambient": 1.0, "diffuse": 0.0, "specular": 0.0, "fresnel": 0.0}


def new_scene(*, theme: Theme = LIGHT, height: int = 620) -> go.Figure:
    """An empty 3-D scene with equal axes in metres; the reader's view survives the slider."""
    axis = {"showbackground": False, "showgrid": False, "zeroline": False, "color": theme.ink, "nticks": 6}
    layout = go.Layout(
        scene={
            "aspectmode": "data",
            "xaxis": {**axis, "title": "x (m)"},
            "yaxis": {**axis, "title": "y (m)"},
            "zaxis": {**axis, "title": "z (m)"},
            "camera": {"eye": {"x": 0.75, "y": -0.9, "z": 0.55}, "center": {"x": 0, "y": 0, "z": -0.12}},
        },
        paper_bgcolor=theme.paper,
        font={"color": theme.ink, "size": 13},
        height=height,
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
        legend={"x": 0.01, "y": 0.99, "bgcolor": f"{theme.paper}CC", "itemsizing": "constant"},
        uirevision="kept",
    )
    return go.Figure(layout=layout)


def draw_cameras(figure: go.Figure, cameras: Cameras, *, reach_mm: float = 600.0) -> go.Figure:
    """All cameras as one trace of frusta, and one of names."""
    theme = scene_theme(figure)
    figure.add_trace(lines_trace(frustum_lines(cameras, reach_mm), "cameras", theme.muted, 3))
    names = [break_tags(shorten(name, LONGEST_TICK)) for name in cameras.names]
    return figure.add_trace(go.Scatter3d(
        **coordinates(cameras.centres.numpy()), mode="markers+text", text=names, showlegend=False, name="camera names",
        textposition="top center", textfont={"color": theme.ink, "size": 13}, marker={"color": theme.ink, "size": 4},
    ))  # fmt: skip


def draw_floor(figure: go.Figure, low_mm: Float[np.ndarray, " 2"], high_mm: Float[np.ndarray, " 2"]) -> go.Figure:
    """A grid of one-metre squares at z = 0 that covers the corners given."""
    lines, color = floor_lines(low_mm, high_mm), scene_theme(figure).grid
    return figure.add_trace(lines_trace(lines, "floor, 1 m squares", color, 2))


def draw_timeline(
    figure: go.Figure, numbers: Sequence[int], people: Sequence[Poses], *, truth: Sequence[Poses] | None = None
) -> go.Figure:
    """People over time: the first frame is drawn, a slider and a play button move through the rest.

    Every id that ever appears has one trace in every frame, empty where the person is away, because plotly
    pairs the traces of two frames by their position.
    """
    theme, ids = scene_theme(figure), sorted({int(i) for poses in people for i in poses.id})
    first = len(figure.data)  # type: ignore[arg-type]
    frames = []
    for step, (number, poses) in enumerate(zip(numbers, people, strict=True)):
        traces = []
        for person in ids:
            color, bones = color_of(person, LIGHT), bones_of(poses, rows_of(poses, person))
            look = {"mode": "lines+markers", "marker": {"color": color, "size": 3}, "hoverinfo": "name"}
            traces.append(lines_trace(bones, label_of(person), color, 7).update(look))
        if truth is not None:
            bones = bones_of(truth[step], range(len(truth[step].id)))
            traces.append(lines_trace(bones, "truth", theme.muted, 12).update(opacity=0.55))
        changed = list(range(first, first + len(traces)))
        frames.append(go.Frame(data=traces, name=str(number), traces=changed))
        if step == 0:
            figure.add_traces(traces)
    figure.frames = frames
    figure.update_layout(sliders=[_slider(numbers, theme)], updatemenus=[_buttons(theme)])
    return figure


def bounds(cameras: Cameras) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """The corners (mm) of the floor below all cameras."""
    floor = cameras.centres[:, :2].numpy()
    return floor.min(0), floor.max(0)


def draw_stage(figure: go.Figure, stage: Stage) -> go.Figure:
    """One instant: floor, cameras with their images, rays, where people came from, ghosts, and the people.

    People are capsules in their colour, paler and thinner where a joint is less sure; the pointer on a joint says its
    name and confidence. What the stage does not hold is left out.
    """
    theme = scene_theme(figure)
    draw_floor(figure, *floor_of(stage))
    if stage.cameras is not None and len(stage.cameras):
        reach = reach_of(stage)
        draw_cameras(figure, stage.cameras, reach_mm=reach)
        images = [(view, image) for view, image in enumerate(stage.images) if image is not None]
        figure.add_traces([_sheet(stage.cameras, view, image, reach) for view, image in images])
    for person, rays in ray_lines(stage):
        name = label_of(person)
        trace = lines_trace(rays, f"rays to {name}", color_of(person, theme), 2)
        figure.add_trace(trace.update(hoverinfo="name", opacity=0.6, showlegend=False, legendgroup=name))
    if stage.ghosts is not None:
        solid = people_solid(stage.ghosts, range(len(stage.ghosts.id)), radius_mm=GHOST_RADIUS_MM)
        ghosts = mesh_trace(solid).update(name="ghosts", showlegend=True, color=theme.muted, opacity=0.5, lighting=SOFT)
        figure.add_trace(ghosts)
    for person in sorted(people_of(stage)):
        if stage.trails:
            path, name = path_of(stage, person), label_of(person)
            line = {"width": 6, "color": np.linspace(0, 1, len(path), dtype=np.float32), "cmin": 0, "cmax": 1,
                    "colorscale": _fading(color_of(person, theme), theme)}  # fmt: skip
            figure.add_scatter3d(**coordinates(path), mode="lines", name=f"way of {name}", hoverinfo="name", line=line,
                                 showlegend=False, legendgroup=name)  # fmt: skip
        figure.add_traces([_body(stage.people, person, theme), _joints(stage.people, person, theme)])
    return figure.add_trace(_names(stage, theme))


def look_from(figure: go.Figure, stage: Stage, viewpoint: Viewpoint) -> go.Figure:
    """Put the reader's eye where a viewpoint has it, so that plotly shows what Open3D's picture shows."""
    points = points_of(stage)
    low = np.minimum(np.floor(points.min(0) / METRE), [np.inf, np.inf, 0.0])
    # The floor is at z = 0, also below a scene that hangs under it: plotly leaves out what lies beside the axes.
    high = np.maximum(np.ceil(points.max(0) / METRE), [-np.inf, -np.inf, 0.0])
    size = np.maximum(high - low, 1.0)
    # Plotly counts in units of the box around the axes, whose volume it takes as 1.
    unit = float(np.prod(size)) ** (1 / 3)
    middle = low + size / 2
    eye, target = ((place / METRE - middle) / unit for place in (viewpoint.eye, viewpoint.target))
    axes = {f"{name}axis": {"range": [a, a + b]} for name, a, b in zip("xyz", low, size, strict=True)}
    up = -viewpoint.axes[2]
    camera = {
        name: dict(zip("xyz", place, strict=True)) for name, place in (("eye", eye), ("center", target), ("up", up))
    }
    ratio = dict(zip("xyz", size / unit, strict=True))
    return figure.update_layout(scene={**axes, "camera": camera, "aspectmode": "manual", "aspectratio": ratio})


def _body(poses: Poses, person: int, theme: Theme) -> go.Mesh3d:
    """One person as capsules, pale where unsure."""
    solid, color = people_solid(poses, rows_of(poses, person)), color_of(person, theme)
    return mesh_trace(solid).update(
        name=f"body of {label_of(person)}", legendgroup=label_of(person), lighting=SOFT, color=color,
        intensity=solid.strength.astype(np.float32), colorscale=_fading(color, theme), cmin=0, cmax=1, showscale=False,
    )  # fmt: skip


def _joints(poses: Poses, person: int, theme: Theme) -> go.Scatter3d:
    """The joints of one person as points that the pointer can ask."""
    known, name = known_joints(poses), label_of(person)
    at = [(row, int(joint)) for row in rows_of(poses, person) for joint in np.flatnonzero(known[row])]
    words = [f"{name} · {poses.skeleton.joints[j]} · sure {float(poses.confidence[i, j]):.2f}" for i, j in at]
    return go.Scatter3d(
        **coordinates([poses.xyz_world[row, joint].tolist() for row, joint in at]), mode="markers", text=words,
        hoverinfo="text", name=name, legendgroup=name, marker={"color": color_of(person, theme), "size": 2},
        showlegend=True,
    )  # fmt: skip


def _names(stage: Stage, theme: Theme) -> go.Scatter3d:
    """Everybody's name above the head, because colour never stands alone."""
    signs = name_signs(stage)
    return go.Scatter3d(
        **coordinates([place for _, place in signs]), mode="text", text=[label_of(person) for person, _ in signs],
        textfont={"size": 15, "color": [color_of(person, theme) for person, _ in signs]}, name="names",
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _sheet(cameras: Cameras, view: int, image: UInt8[np.ndarray, "_ _ 3"], reach_mm: float) -> go.Mesh3d:
    """An image in its frustum as a mosaic: a quad per reduced pixel, colours numbered as in a GIF."""
    rows = max(1, round(SHEET_COLUMNS * image.shape[0] / image.shape[1]))
    small = Image.fromarray(cv2.resize(image, (SHEET_COLUMNS, rows), interpolation=cv2.INTER_AREA))
    mosaic = small.quantize(SHEET_COLOURS, dither=Image.Dither.NONE)
    palette = np.array(mosaic.getpalette(), dtype=int).reshape(-1, 3)
    # Two stops per colour and numbers in the middle between them, so nothing is mixed.
    stops = [(number, f"rgb({r},{g},{b})") for number, (r, g, b) in enumerate(palette)]
    scale = [[(n + edge) / len(stops), color] for n, color in stops for edge in (0, 1)]
    solid, _ = image_sheet(cameras, view, reach_mm, SHEET_COLUMNS, rows)
    numbers = np.repeat(np.asarray(mosaic).ravel(), 2).astype(np.uint8)
    return mesh_trace(solid).update(
        name=f"picture of {escape_markup(cameras.names[view])}", lighting=FLAT, intensitymode="cell", intensity=numbers,
        colorscale=scale, cmin=-0.5, cmax=len(stops) - 0.5, showscale=False,
    )  # fmt: skip


def mesh_trace(solid: Solid) -> go.Mesh3d:
    """Only the triangles, in metres."""
    i, j, k = solid.triangles.T.astype(np.uint16 if len(solid.xyz) < 2**16 else np.uint32)
    return go.Mesh3d(**coordinates(solid.xyz), i=i, j=j, k=k, hoverinfo="skip")


def bones_of(poses: Poses, rows: Iterable[int]) -> list[Float[np.ndarray, "2 3"]]:
    """The bones of some people whose two ends are known, mm."""
    xyz, known = poses.xyz_world.cpu().numpy(), known_joints(poses)
    return [xyz[row, [a, b]] for row in rows for a, b in poses.skeleton.bone_indices if known[row, a] and known[row, b]]


def lines_trace(lines: Sequence[Float[np.ndarray, "2 3"]], name: str, color: str, width: float) -> go.Scatter3d:
    """Several lines (mm) as one trace, NaN where the pen is lifted."""
    lift = np.full((1, 3), np.nan)
    points = np.concatenate([np.zeros((0, 3)), *(part for line in lines for part in (line, lift))])
    return go.Scatter3d(**coordinates(points), mode="lines", name=name, hoverinfo="skip",
                        line={"color": color, "width": width})  # fmt: skip


def coordinates(places: ArrayLike) -> dict[str, Float[np.ndarray, " points"]]:
    """The coordinates of places (mm) in metres, as every trace takes them."""
    # Single precision is a tenth of a micrometre here and halves what the page has to carry.
    x, y, z = (np.asarray(places, dtype=float).reshape(-1, 3) / METRE).T.astype(np.float32)
    return {"x": x, "y": y, "z": z}


def _fading(color: str, theme: Theme) -> list[list[float | str]]:
    """From pale to a colour, as plotly takes it."""
    return [[0.0, blend(color, theme.paper, PALE)], [1.0, color]]


def scene_theme(figure: go.Figure) -> Theme:
    """The theme that a scene was made in, as its paper tells."""
    return DARK if figure.layout.paper_bgcolor == DARK.paper else LIGHT


def _slider(numbers: Sequence[int], theme: Theme) -> dict[str, object]:
    jump = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"method": "animate", "label": str(n), "args": [[str(n)], jump]} for n in numbers]
    return {
        "steps": steps,
        "currentvalue": {"prefix": "frame "},
        "pad": {"l": 90, "r": 20, "t": 10, "b": 10},
        "len": 0.95,
        "bgcolor": theme.grid,
        "font": {"color": theme.ink},
    }


def _buttons(theme: Theme) -> dict[str, object]:
    play = {"frame": {"duration": FRAME_MS, "redraw": True}, "fromcurrent": True, "transition": {"duration": 0}}
    stop = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate"}
    return {
        "type": "buttons",
        "direction": "right",
        "showactive": False,
        "x": 0.0,
        "y": 0.0,
        "xanchor": "left",
        "yanchor": "top",
        "pad": {"t": 40, "l": 10},
        "bgcolor": theme.paper,
        "font": {"color": theme.ink},
        "buttons": [
            {"label": "▶", "method": "animate", "args": [None, play]},
            {"label": "❚❚", "method": "animate", "args": [[None], stop]},
        ],
    }
