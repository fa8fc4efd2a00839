"""What `dispose check` writes: a page, a JSON report, and the rig from above; and the table of errors it prints."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.formats.files import replacing
from dispose.formats.folders import remove_leftovers
from dispose.inference.check.consistency import Consistency
from dispose.inference.check.diagnosis import Diagnosis
from dispose.inference.check.lines import Recording, camera_rows, shown
from dispose.inference.check.page import CheckPage, page
from dispose.inference.check.world import Finding
from dispose.scene.cameras import Cameras

SCHEMA = "dispose.check/1"


@dataclass(frozen=True, eq=False)
class Checked:
    """A finished check: the capture's name and cameras, what was found, recorded, read, and what to type next."""

    name: str
    cameras: Cameras
    diagnosis: Diagnosis
    recordings: tuple[Recording, ...] = ()
    read: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def write_check(folder: Path, checked: Checked) -> tuple[Path, ...]:
    """Write ``check.html``, ``check.json`` and ``cameras.svg``; the paths written."""
    shown_page, report, image = folder / "check.html", folder / "check.json", folder / "cameras.svg"
    given, cameras = checked.diagnosis.consistency, checked.cameras
    drawing = draw_from_above(cameras, people_on_floor(given), f"{checked.name}: cameras from above")
    remove_leftovers(folder, below="")
    with replacing(report) as file:
        json.dump(as_json(checked), file, indent=1, allow_nan=False)
        file.write("\n")
    with replacing(image) as file:
        file.write(drawing)
    what = checked.recordings, checked.read, checked.commands
    content = CheckPage(checked.name, cameras, checked.diagnosis, *what, drawing)
    with replacing(shown_page) as file:
        file.write(page(content))
    return shown_page, report, image


def as_json(checked: Checked) -> Mapping[str, object]:
    """What ``check.json`` holds."""
    cameras, found = checked.cameras, checked.diagnosis
    given = found.consistency
    return {
        "schema": SCHEMA,
        "usable": found.usable,
        "verdict": found.verdict,
        "findings": [_finding(one) for one in found.findings],
        "notes": [_finding(one) for one in found.notes],
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
        "times": _times(checked),
        "read": list(checked.read),
        "next": list(checked.commands),
    }


def _finding(one: Finding) -> Mapping[str, object]:
    shift = {} if one.shift is None else {"shift_frames": round(one.shift, 3)}
    return {"topic": one.topic, "cameras": list(one.cameras), "sentence": one.sentence, **shift}


def _times(checked: Checked) -> list[Mapping[str, object]]:
    """Per camera that sees somebody: by how many frames it is late, and the error at every shift."""
    trial = checked.diagnosis.trial
    if trial is None:
        return []
    curves = trial.curves or (None,) * len(trial.cameras)
    return [
        {
            "camera": name,
            "late_frames": round(lag.frames, 3) if lag.told else None,
            "standard_error": _finite(lag.error),
            "shifts": [] if curve is None else curve.lag.tolist(),
            "distance_share": [] if curve is None else [round(value, 5) for value in curve.distance.tolist()],
        }
        for name, lag, curve in zip(trial.cameras.names, trial.measured, curves, strict=True)
    ]


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
    # Names of folders may hold letters that are none.
    plain = os.environ | {"PYTHONIOENCODING": "utf-8:surrogateescape"}
    drawn = subprocess.run(command, input=json.dumps(plan).encode(), stdout=subprocess.PIPE, check=True, env=plain)
    return drawn.stdout.decode("utf-8", "backslashreplace")


def _finite(pixels: float) -> float | None:
    return round(pixels, 3) if math.isfinite(pixels) else None


def people_on_floor(consistency: Consistency) -> Float[Tensor, "persons 2"]:
    """Where the triangulated people stand: the median of their joints; NaN where nothing is known."""
    return torch.nanmedian(consistency.xyz_world, dim=1).values[:, :2]


def table(cameras: Cameras, consistency: Consistency) -> str:
    """Per camera its place and its error, and per pair of cameras the error; pixels."""
    width = max(6, *(len(name) for name in cameras.names))
    lines = [f"{'camera':<{width}}      x m      y m      z m   people   median px   90 % px"]
    for name, x, y, z, people, median, most in camera_rows(cameras, consistency):
        lines.append(f"{name:<{width}} {x:>8} {y:>8} {z:>8} {people:>8} {median:>11} {most:>9}")
    lines += ["", "pairs of cameras (median px of people triangulated from these two):"]
    if len(cameras) <= 12:
        lines += _matrix(cameras, consistency, width)
    else:
        worst = sorted(consistency.pairs, key=lambda pair: -pair.median_px)[:15]
        lines.append("the 15 worst; all are in check.json")
        lines += [
            f"{cameras.names[p.view_a]:<{width}} {cameras.names[p.view_b]:<{width}} {shown(p.median_px):>8}"
            for p in worst
        ]
    return "\n".join(lines)


def _matrix(cameras: Cameras, consistency: Consistency, width: int) -> list[str]:
    cell = max(8, width + 1)
    lines = [" " * width + "".join(f"{name:>{cell}}" for name in cameras.names)]
    found = {(p.view_a, p.view_b): shown(p.median_px) for p in consistency.pairs}
    for a, name in enumerate(cameras.names):
        cells = [found.get((min(a, b), max(a, b)), "-") if a != b else "" for b in range(len(cameras))]
        lines.append(f"{name:<{width}}" + "".join(f"{text:>{cell}}" for text in cells))
    return lines
