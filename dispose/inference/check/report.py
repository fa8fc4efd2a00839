"""What `dispose check` writes and prints: a JSON report, a table, and the rig from above."""

import json
import math
import subprocess
import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.formats.files import replacing
from dispose.inference.check.consistency import Consistency
from dispose.inference.check.diagnosis import Diagnosis
from dispose.inference.readings import Summary
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.check/1"


def write_check(folder: Path, title: str, cameras: Cameras, diagnosis: Diagnosis, summary: Summary) -> tuple[Path, ...]:
    """Write ``check.json`` and ``cameras.svg``; the paths written."""
    report, image = folder / "check.json", folder / "cameras.svg"
    given = diagnosis.consistency
    record = {
        "schema": SCHEMA,
        "usable": diagnosis.usable,
        "verdict": diagnosis.verdict,
        "findings": [{"topic": f.topic, "sentence": f.sentence} for f in diagnosis.findings],
        "person_size_px": round(given.size_px, 2),
        "cameras": [
            {
                "name": cameras.names[c.view],
                "centre_mm": [round(x, 1) for x in cameras.centres[c.view].tolist()],
                "people": c.people,
                "median_px": _finite(c.median_px),
                "p90_px": _finite(c.p90_px),
            }
            for c in given.cameras
        ],
        "pairs": [
            {
                "cameras": [cameras.names[p.view_a], cameras.names[p.view_b]],
                "matches": p.matches,
                "median_px": _finite(p.median_px),
            }
            for p in given.pairs
        ],
        "read": list(summary.sentences()),
    }
    with replacing(report) as file:
        json.dump(record, file, indent=1)
        file.write("\n")
    drawing = draw_from_above(cameras, people_on_floor(given), title)
    with replacing(image) as file:
        file.write(drawing)
    return report, image


def draw_from_above(cameras: Cameras, people_xy: Float[Tensor, "persons 2"], title: str) -> str:
    """The rig as SVG, made by the viz package in a process of its own: `dispose` never draws."""
    middle = (cameras.size[:, :1] / 2 / cameras.matrix[:, :1, 0]) * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    edges = torch.stack([middle, torch.zeros_like(middle), torch.ones_like(middle)], -1) @ cameras.rotation
    plan = {
        "title": title,
        "names": cameras.names,
        "centres": cameras.centres.tolist(),
        "edges": (edges / edges.norm(dim=-1, keepdim=True)).tolist(),
        "people": people_xy.tolist(),
    }
    command = [sys.executable, "-X", "utf8", "-m", "dispose_viz.scene.rig_svg"]
    return subprocess.run(command, input=json.dumps(plan), stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout


def _finite(pixels: float) -> float | None:
    return round(pixels, 3) if math.isfinite(pixels) else None


def people_on_floor(consistency: Consistency) -> Float[Tensor, "persons 2"]:
    """Where the triangulated people stand: the median of their joints; NaN where nothing is known."""
    return torch.nanmedian(consistency.xyz_world, dim=1).values[:, :2]


def table(cameras: Cameras, consistency: Consistency) -> str:
    """Per camera its place and its error, and per pair of cameras the error; pixels."""
    width = max(6, *(len(name) for name in cameras.names))
    lines = [f"{'camera':<{width}}      x m      y m      z m   people   median px   90 % px"]
    by_view = {camera.view: camera for camera in consistency.cameras}
    for view, name in enumerate(cameras.names):
        x, y, z = (cameras.centres[view] / 1000).tolist()
        place = f"{name:<{width}} {x:8.2f} {y:8.2f} {z:8.2f}"
        if view in by_view:
            camera = by_view[view]
            lines.append(f"{place} {camera.people:8d} {_shown(camera.median_px):>11} {_shown(camera.p90_px):>9}")
        else:
            lines.append(f"{place}        0           -         -")
    lines += ["", "pairs of cameras (median px of people triangulated from these two):"]
    if len(cameras) <= 12:
        lines += _matrix(cameras, consistency, width)
    else:
        worst = sorted(consistency.pairs, key=lambda pair: -pair.median_px)[:15]
        lines.append("the 15 worst; all are in check.json")
        lines += [
            f"{cameras.names[p.view_a]:<{width}} {cameras.names[p.view_b]:<{width}} {_shown(p.median_px):>8}"
            for p in worst
        ]
    return "\n".join(lines)


def _matrix(cameras: Cameras, consistency: Consistency, width: int) -> list[str]:
    cell = max(8, width + 1)
    lines = [" " * width + "".join(f"{name:>{cell}}" for name in cameras.names)]
    found = {(p.view_a, p.view_b): _shown(p.median_px) for p in consistency.pairs}
    for a, name in enumerate(cameras.names):
        cells = [found.get((min(a, b), max(a, b)), "-") if a != b else "" for b in range(len(cameras))]
        lines.append(f"{name:<{width}}" + "".join(f"{text:>{cell}}" for text in cells))
    return lines


def _shown(pixels: float) -> str:
    return f"{pixels:.1f}" if math.isfinite(pixels) else "behind"
