"""Where every camera disagrees with the others: arrows over its image, before and after a refinement, as SVG.

Called as ``python -m dispose_viz.scene.residual_svg < PANELS.json > IMAGE.svg``; it needs no package but Python's own,
so that `dispose calibrate` has its drawing in every installation and at once.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

INK, PAPER, EDGE, BEFORE, AFTER = "#1b1f24", "#ffffff", "#8a94a0", "#c2571a", "#2f6fb0"
PANEL, GAP, TOP = 420.0, 30.0, 96.0
ACROSS = 3
"""Panels side by side at most."""

LONGEST = 0.9
"""The arrow that nine of ten are shorter than, as a share of a cell's side."""

Arrow = Sequence[float]
"""Where, and by how much: x, y, dx, dy in pixels of the image."""


@dataclass(frozen=True)
class ResidualPanel:
    """The image of one camera: its size in pixels, and arrows before and after."""

    name: str
    size: tuple[float, float]
    before: tuple[Arrow, ...]
    after: tuple[Arrow, ...]


def draw_residual_panels(panels: Sequence[ResidualPanel], columns: int) -> str:
    """The text of an SVG file: a panel per camera; arrows of one length scale, from the sighting to the projection."""
    across = min(ACROSS, len(panels))
    magnified = magnification(panels, columns)
    height = max((PANEL * panel.size[1] / panel.size[0] for panel in panels), default=0.0) + 2 * GAP
    rows = math.ceil(len(panels) / across)
    width, tall = across * PANEL + (across + 1) * GAP, TOP + rows * height
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {tall:g}" width="{width:g}" '
        f'height="{tall:g}" font-family="Helvetica, Arial, sans-serif" fill="{INK}">',
        f'<rect width="{width:g}" height="{tall:g}" fill="{PAPER}"/>',
        _words(GAP, 34.0, "Where every camera disagrees with the others", size=18, weight="bold"),
        _words(GAP, 58.0, f"from where a joint is seen to where the others put it, {magnified:.3g} times as long; "
               "held-out frames, median of each cell"),
        _words(GAP, 80.0, "before", colour=BEFORE, weight="bold"),
        _words(GAP + 64, 80.0, "after", colour=AFTER, weight="bold"),
    ]  # fmt: skip
    for k, panel in enumerate(panels):
        left, top = GAP + (k % across) * (PANEL + GAP), TOP + GAP + (k // across) * height
        lines += _panel(panel, left, top, magnified)
    return "\n".join([*lines, "</svg>\n"])


def magnification(panels: Sequence[ResidualPanel], columns: int) -> float:
    """How many times longer arrows are drawn than they are: a handy number that fits nine of ten into their cells."""
    lengths = sorted(
        math.hypot(dx, dy) / panel.size[0]
        for panel in panels
        for arrows in (panel.before, panel.after)
        for _, _, dx, dy in arrows
    )
    if not lengths or lengths[-1] == 0:
        return 1.0
    usual = max(lengths[int(0.9 * (len(lengths) - 1))], 1e-3 * lengths[-1])
    exact = LONGEST / columns / usual
    ten = 10.0 ** math.floor(math.log10(exact))
    return next(step * ten for step in (5, 2, 1) if step * ten <= exact * (1 + 1e-9))


def _panel(panel: ResidualPanel, left: float, top: float, magnified: float) -> list[str]:
    scale = PANEL / panel.size[0]
    words = panel.name if panel.before or panel.after else f"{panel.name}: sees nobody whom another camera sees"
    parts = [
        _words(left, top - 8, words, weight="bold"),
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{PANEL:.1f}" height="{PANEL * panel.size[1] / panel.size[0]:.1f}" '
        f'fill="none" stroke="{EDGE}"/>',
    ]
    for arrows, colour in ((panel.before, BEFORE), (panel.after, AFTER)):
        for x, y, dx, dy in arrows:
            start = left + scale * x, top + scale * y
            end = start[0] + scale * magnified * dx, start[1] + scale * magnified * dy
            parts.append(
                f'<path d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}" stroke="{colour}" '
                f'stroke-width="1.8"/><circle cx="{end[0]:.1f}" cy="{end[1]:.1f}" r="2.6" fill="{colour}"/>'
            )
    return parts


def _words(x: float, y: float, words: str, *, size: int = 14, weight: str = "normal", colour: str = INK) -> str:
    paint = f'font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {paint}>{escape(words)}</text>'


def main() -> int:
    """The drawing of what stdin says, on stdout."""
    given = json.load(sys.stdin)
    panels = [
        ResidualPanel(one["name"], tuple(one["size"]), tuple(one["before"]), tuple(one["after"]))
        for one in given["cameras"]
    ]
    sys.stdout.write(draw_residual_panels(panels, given["columns"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
