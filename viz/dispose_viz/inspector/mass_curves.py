"""How the mass of the competing tuples moved over diffusion time: as curves, and step by step to scrub through."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from dispose.scene.results import Hypotheses
from dispose.tensors import ABSENT
from dispose_viz.inspector.competitors import REFERENCE, Competitor
from dispose_viz.inspector.tuple_table import source_words
from dispose_viz.style import LIGHT, POINTS_PER_INCH, Theme, blend, color_of, dress, theme_of


def draw_mass_curves(
    axes: Axes, hypotheses: Hypotheses, competitors: Sequence[Competitor]
) -> Axes:  # fmt: skip
    """Mass of the competing tuples over diffusion time, from noise on the left to the decision on the right."""
    theme = theme_of(axes)
    time = hypotheses.time.double().numpy()
    named = []
    for one in (one for one in reversed(competitors) if one.row != ABSENT):
        color, width, style = _line_of(one, theme)
        (curve,) = axes.plot(time, _mass(hypotheses, one), style, color=color, linewidth=width)
        if one.sources:
            curve.set_label((f"P{one.person}: " if one.person != ABSENT else "") + source_words(one))
            named.append(curve)
    axes.set(xlabel="diffusion time (1 = noise, 0 = decided)", ylabel="mass", xlim=(1.02, -0.02), ylim=(-0.03, 1.05))
    axes.grid(color=theme.grid, linewidth=0.6)
    if named:
        axes.legend(handles=named[::-1], fontsize=11, loc="best", facecolor=theme.paper, edgecolor=theme.grid,
                    labelcolor=theme.ink, framealpha=0.85)  # fmt: skip
    return dress(axes)


def mass_curve_images(
    hypotheses: Hypotheses, competitors: Sequence[Competitor], *, theme: Theme = LIGHT
) -> tuple[bytes, ...]:  # fmt: skip
    """One PNG per step of how the mass of the competing tuples moved, the step marked.

    The curves are drawn once and the marks painted over them: text is what takes time.
    """
    figure = Figure(figsize=(6.2, 3.4), dpi=POINTS_PER_INCH, facecolor=theme.paper)
    canvas = FigureCanvasAgg(figure)
    axes = draw_mass_curves(figure.add_axes((0.115, 0.165, 0.87, 0.82)), hypotheses, competitors)
    canvas.draw()
    curves, images = canvas.copy_from_bbox(figure.bbox), []
    for step in range(len(hypotheses.time)):
        canvas.restore_region(curves)
        for mark in _mark_step(axes, hypotheses, competitors, step):
            axes.draw_artist(mark)
            mark.remove()
        images.append(png_of(np.asarray(canvas.buffer_rgba())))
    return tuple(images)


def png_of(pixels: UInt8[np.ndarray, "height width 4"]) -> bytes:
    """An image as PNG, compressed little because it only goes from the kernel to the page."""
    buffer = BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


def _mark_step(axes: Axes, hypotheses: Hypotheses, competitors: Sequence[Competitor], step: int) -> list[Line2D]:
    """A line at one step and a dot on every curve; the artists, so that they can be taken away again."""
    theme = theme_of(axes)
    time = float(hypotheses.time[step])
    marks = [axes.axvline(time, color=theme.muted, linewidth=1.4)]
    for one in (one for one in reversed(competitors) if one.row != ABSENT):
        color, width, _ = _line_of(one, theme)
        marks += axes.plot(time, _mass(hypotheses, one)[step], "o", color=color, markersize=2.5 * width + 3)
    return marks


def _mass(hypotheses: Hypotheses, one: Competitor) -> Float[np.ndarray, " steps"]:
    return hypotheses.mass[:, one.row].double().numpy()


def _line_of(one: Competitor, theme: Theme) -> tuple[str, float, str]:
    """Colour, width and stroke: what was decided is strong, the truth is dashed, the rest is faint."""
    if one.person != ABSENT:
        return color_of(one.person, theme), 3.2, "-"
    if one.is_true:
        return theme.alarm, 2.6, "--"
    if REFERENCE in one.sources:
        return theme.ink, 2.0, ":"
    return blend(theme.muted, theme.paper, 0.35), 1.4, "-"
