"""The scene in 3-D (plotly): cameras with names, the floor, people over time, and the truth as ghosts.

Everything is in metres. A person is one trace (bones separated by gaps), so a slider over many frames stays quick.
"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from dispose.scene.cameras import Cameras
from dispose.scene.poses import Poses
from dispose_viz.frusta import image_corners
from dispose_viz.style import LIGHT, Theme, person_color

METRE = 1000.0
FRAME_MS = 80


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
        legend={"x": 0.01, "y": 0.99, "bgcolor": "rgba(0,0,0,0)"},
        uirevision="kept",
    )
    return go.Figure(layout=layout)


def draw_cameras(figure: go.Figure, cameras: Cameras, *, reach_mm: float = 600.0, theme: Theme = LIGHT) -> go.Figure:
    """All cameras as one trace of frusta, and one of names."""
    centres = cameras.centres.numpy()
    lines: list[Float[np.ndarray, "_ 3"]] = []
    for centre, corners in zip(centres, image_corners(cameras, reach_mm), strict=True):
        lines.append(np.concatenate([corners, corners[:1]]))
        lines.extend(np.stack([centre, corner]) for corner in corners)
    x, y, z = _polyline(lines)
    figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="lines", name="cameras", hoverinfo="skip",
                                  line={"color": theme.muted, "width": 3}))  # fmt: skip
    x, y, z = (centres / METRE).T
    figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="markers+text", text=list(cameras.names), showlegend=False,
                                  textposition="top center", textfont={"color": theme.ink, "size": 13},
                                  marker={"color": theme.ink, "size": 4}, name="camera names"))  # fmt: skip
    return figure


def draw_floor(
    figure: go.Figure, low_mm: Float[np.ndarray, " 2"], high_mm: Float[np.ndarray, " 2"], *, theme: Theme = LIGHT
) -> go.Figure:
    """A grid of one-metre squares at z = 0 that covers the corners given."""
    (x0, y0), (x1, y1) = np.floor(low_mm / METRE) * METRE, np.ceil(high_mm / METRE) * METRE
    lines = [np.array([[x, y0, 0.0], [x, y1, 0.0]]) for x in np.arange(x0, x1 + 1, METRE)]
    lines += [np.array([[x0, y, 0.0], [x1, y, 0.0]]) for y in np.arange(y0, y1 + 1, METRE)]
    x, y, z = _polyline(lines)
    figure.add_trace(go.Scatter3d(x=x, y=y, z=z, mode="lines", name="floor, 1 m squares", hoverinfo="skip",
                                  line={"color": theme.grid, "width": 2}))  # fmt: skip
    return figure


def draw_people(figure: go.Figure, poses: Poses) -> go.Figure:
    """One trace per person, in the person's colour."""
    for person in poses.id.tolist():
        figure.add_trace(_person(poses, person))
    return figure


def draw_ghosts(figure: go.Figure, poses: Poses, *, theme: Theme = LIGHT) -> go.Figure:
    """All people of a pose set (the truth, say) as one pale trace that stands behind the coloured ones."""
    figure.add_trace(_ghosts(poses, theme))
    return figure


def draw_timeline(
    figure: go.Figure,
    numbers: Sequence[int],
    people: Sequence[Poses],
    *,
    truth: Sequence[Poses] | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """People over time: the first frame is drawn, a slider and a play button move through the rest.

    Every id that ever appears has one trace in every frame, empty where the person is away, because plotly
    pairs the traces of two frames by their position.
    """
    ids = sorted({int(i) for poses in people for i in poses.id})
    first = len(figure.data)  # type: ignore[arg-type]
    frames = []
    for step, (number, poses) in enumerate(zip(numbers, people, strict=True)):
        traces = [_person(poses, person) for person in ids]
        if truth is not None:
            traces.append(_ghosts(truth[step], theme))
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


def _person(poses: Poses, person: int) -> go.Scatter3d:
    """One person's bones as one trace; empty where the person is not among the poses."""
    rows = np.flatnonzero(poses.id.numpy() == person)
    x, y, z = _polyline([line for row in rows for line in _bones(poses, int(row))])
    color = person_color(person)
    return go.Scatter3d(x=x, y=y, z=z, mode="lines+markers", name=f"P{person}", line={"color": color, "width": 7},
                        marker={"color": color, "size": 3}, hoverinfo="name")  # fmt: skip


def _ghosts(poses: Poses, theme: Theme) -> go.Scatter3d:
    x, y, z = _polyline([line for row in range(len(poses.id)) for line in _bones(poses, row)])
    return go.Scatter3d(x=x, y=y, z=z, mode="lines", name="truth", hoverinfo="skip", opacity=0.55,
                        line={"color": theme.muted, "width": 12})  # fmt: skip


def _bones(poses: Poses, row: int) -> list[Float[np.ndarray, "2 3"]]:
    """The bones of one person whose two ends are known, mm."""
    xyz, valid = poses.xyz_world[row].numpy(), poses.valid[row].numpy()
    return [xyz[[a, b]] for a, b in poses.skeleton.bone_indices if valid[a] and valid[b]]


def _polyline(lines: Sequence[Float[np.ndarray, "_ 3"]]) -> Float[np.ndarray, "3 points"]:
    """Several lines (mm) as one: rows x, y and z in metres, NaN where the pen is lifted."""
    lift = np.full((1, 3), np.nan)
    parts = [part for line in lines for part in (line / METRE, lift)]
    # Single precision is a tenth of a micrometre here and halves what the page has to carry.
    return np.concatenate([np.zeros((0, 3)), *parts]).T.astype(np.float32)


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
