"""The page that `dispose check` writes: everything it says, with pictures, in one HTML file that opens anywhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from dispose.inference.check.diagnosis import Diagnosis
from dispose.inference.check.lags import LagCurve
from dispose.inference.check.lines import Recording, camera_rows, lag_words
from dispose.scene.cameras import Cameras

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1060px;margin:24px auto;padding:0 16px;color:#1c2530;background:#fff}
h1{font-size:24px;margin:0 0 8px}h2{font-size:18px;margin:28px 0 6px}p{margin:6px 0}
.good,.bad{padding:10px 14px;border-radius:8px;font-weight:600}.good{background:#e2f3e7}.bad{background:#fbe4e1}
table{border-collapse:collapse;margin:8px 0}td,th{padding:4px 10px;border-bottom:1px solid #d9dee4;text-align:right}
td:first-child,th:first-child{text-align:left}th{font-weight:600}li{margin:6px 0}
code{background:#eef1f5;padding:2px 6px;border-radius:4px;overflow-wrap:anywhere}
.quiet{color:#5a6673}svg{max-width:100%;height:auto}.curves{display:flex;flex-wrap:wrap;gap:14px}
"""
GOOD, FAIR, POOR = "#d5ecdc", "#fbefc9", "#f6cfc9"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 210, 48, 40, 30


@dataclass(frozen=True, eq=False)
class CheckPage:
    """What is on the page: name and cameras of the capture, what was read and found, what to type, a plan."""

    name: str
    cameras: Cameras
    diagnosis: Diagnosis
    recordings: tuple[Recording, ...]
    read: tuple[str, ...]
    commands: tuple[str, ...]
    plan_svg: str


def page(content: CheckPage) -> str:
    """The page as HTML; everything that comes from files is escaped."""
    found = content.diagnosis
    wrong = [f"<li><b>{escape(one.topic)}</b>: {escape(one.sentence)}</li>" for one in found.findings]
    notes = [f"<li>{escape(one.topic)}: {escape(one.sentence)}</li>" for one in found.notes]
    title = f"Check of {escape(content.name)}"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>',
        f'<h1>{title}</h1><p class="{"good" if found.usable else "bad"}">{escape(found.verdict)}</p>',
        "<h2>What is wrong</h2>",
        f"<ul>{''.join(wrong)}</ul>" if wrong else "<p>Nothing that this check knows of.</p>",
        f'<p>Could be better, but no more than calibrations usually are off:</p><ul class="quiet">{"".join(notes)}</ul>'
        if notes
        else "",
        "<h2>What to type next</h2>",
        "".join(f"<p><code>{escape(command)}</code></p>" for command in content.commands),
        "<h2>What was read</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in content.read) + "</ul>",
        "<h2>Time</h2>",
        _times(content),
        "<h2>Space</h2>",
        _space(content),
    ]
    return "\n".join(part for part in parts if part) + "\n</html>\n"


def _times(content: CheckPage) -> str:
    trial = content.diagnosis.trial
    rows = [
        ("camera", "frames a second", "video frames", "detections of frames", "late by"),
        *(
            (one.camera, one.rate, one.length, one.numbers, lag_words(content.diagnosis, content.cameras, one.camera))
            for one in content.recordings
        ),
    ]
    said = (
        "<p>A camera is late whose people agree best with everybody else's when its frames are taken from later on. "
        "The pictures show how far apart the people are, in shares of their size, when a camera's frames are taken so "
        "many frames later: where the curve is lowest all cameras show one instant. That should be at 0.</p>"
    )
    if trial is None or not trial.curves:
        return _table(rows)
    names = [name for name in content.cameras.names if name in trial_names(content)]
    curves = "".join(draw_curve(n, c) for n, c in zip(names, trial.curves, strict=True) if len(c.lag) > 1)
    return _table(rows) + (said + f'<div class="curves">{curves}</div>' if curves else "")


def trial_names(content: CheckPage) -> list[str]:
    """The cameras that took part: those that see somebody."""
    dead = {name for one in content.diagnosis.findings if one.topic == "dead" for name in one.cameras}
    return [name for name in content.cameras.names if name not in dead]


def draw_curve(name: str, curve: LagCurve) -> str:
    """Error against shift of one camera, as SVG."""
    lags, values = curve.lag.astype(float), 100 * curve.distance
    most = max(float(values.max()), 1e-6) * 1.08
    low, high = float(lags.min()), float(lags.max())

    def x(lag: float) -> float:
        return LEFT + (lag - low) / max(high - low, 1e-9) * (WIDTH - LEFT - 10)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / most * (HEIGHT - BOTTOM - TOP)

    best = int(np.argmin(values))
    points = " ".join(f"{x(lag):.1f},{y(value):.1f}" for lag, value in zip(lags, values, strict=True))
    side = "end" if x(lags[best]) > WIDTH / 2 else "start"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" fill="#1c2530" '
        f'role="img"><text x="{LEFT}" y="16" font-size="14" font-weight="600">{escape(name)}</text>'
        f'<line x1="{LEFT}" y1="{y(0.0):.1f}" x2="{WIDTH - 10}" y2="{y(0.0):.1f}" stroke="#8a94a0"/>'
        f'<line x1="{x(0.0):.1f}" y1="{TOP}" x2="{x(0.0):.1f}" y2="{y(0.0):.1f}" stroke="#b9c1ca"/>'
        f'<polyline points="{points}" fill="none" stroke="#2a6fb0" stroke-width="2"/>'
        f'<circle cx="{x(lags[best]):.1f}" cy="{y(values[best]):.1f}" r="4" fill="#c2410c"/>'
        f'<text x="{x(lags[best]):.1f}" y="{max(y(values[best]) - 9, TOP + 10):.1f}" text-anchor="{side}" '
        f'fill="#c2410c">least at {lags[best]:.0f}</text>'
        f'<text x="{x(low):.1f}" y="{HEIGHT - 22}">{low:.0f}</text>'
        f'<text x="{x(0.0):.1f}" y="{HEIGHT - 22}" text-anchor="middle">0</text>'
        f'<text x="{x(high):.1f}" y="{HEIGHT - 22}" text-anchor="end">{high:+.0f}</text>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">shift in frames</text>'
        f'<text x="{LEFT - 6}" y="{y(most / 1.08) + 4:.1f}" text-anchor="end">{most / 1.08:.1f} %</text>'
        f'<text x="{LEFT - 6}" y="{y(0.0) + 4:.1f}" text-anchor="end">0 %</text></svg>'
    )


def _space(content: CheckPage) -> str:
    consistency, names = content.diagnosis.consistency, content.cameras.names
    size = consistency.size_px
    head = ("camera", "x m", "y m", "z m", "people", "median px", "90 % px")
    known = {(pair.view_a, pair.view_b): pair.median_px for pair in consistency.pairs}
    cells = []
    for a, name in enumerate(names):
        row = [f"<th>{escape(name)}</th>"]
        for b in range(len(names)):
            value = known.get((min(a, b), max(a, b)))
            row.append("<td></td>" if a == b else _shaded(value, size))
        cells.append(f"<tr>{''.join(row)}</tr>")
    top = "<tr><th></th>" + "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr>"
    return (
        "<p>How far, in pixels, people who are triangulated from all cameras lie from where each camera sees them:</p>"
        + _table([head, *camera_rows(content.cameras, consistency)])
        + "<p>The same of people who are triangulated from two cameras alone, for every pair; a whole row and column "
        f"that stand out are one wrong camera. A person is about {size:.0f} px tall.</p>"
        f"<table>{top}{''.join(cells)}</table>"
        '<p class="quiet">green: good (up to 2 % of a person), yellow: usable (up to 6 %), red: does not fit</p>'
        f"<p>The cameras from above, as the calibration has them:</p>{content.plan_svg}"
    )


def _shaded(pixels: float | None, size_px: float) -> str:
    if pixels is None:
        return '<td class="quiet">nobody</td>'
    share = pixels / size_px
    colour = GOOD if share <= 0.02 else FAIR if share <= 0.06 else POOR
    return f'<td style="background:{colour}">{f"{pixels:.1f}" if np.isfinite(pixels) else "behind"}</td>'


def _table(rows: Sequence[Iterable[str]]) -> str:
    head, *body = [list(row) for row in rows]
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return f"<table>{''.join(lines)}</table>"
