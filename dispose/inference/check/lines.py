"""The words of a check: tables of cameras, pairs and times, and what to type next."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dispose.inference.check.consistency import Consistency
from dispose.inference.check.diagnosis import Diagnosis
from dispose.scene.cameras import Cameras


@dataclass(frozen=True)
class Recording:
    """What one camera recorded, in words: rate and length of its video ("-" where there is none), frames detected."""

    camera: str
    rate: str
    length: str
    numbers: str


def lag_words(diagnosis: Diagnosis, cameras: Cameras, camera: str) -> str:
    """By how many frames a camera is late, with 95 % certainty; or that it cannot be told."""
    trial = diagnosis.trial
    dead = {name for one in diagnosis.findings if one.topic == "dead" for name in one.cameras}
    names = [name for name in cameras.names if name not in dead]
    if trial is None or not trial.measured or camera not in names:
        return "-"
    lag = trial.measured[names.index(camera)]
    if not lag.told:
        return "cannot tell"
    return f"{lag.frames + 0.0:.1f} ± {1.96 * lag.error:.1f}".replace("-0.0 ", "0.0 ")


def camera_rows(cameras: Cameras, consistency: Consistency) -> list[tuple[str, ...]]:
    """Per camera its place in m, people, and their errors in px."""
    known = {camera.view: camera for camera in consistency.cameras}
    rows = []
    for view, name in enumerate(cameras.names):
        place = tuple(f"{value:.2f}" for value in (cameras.centres[view] / 1000).tolist())
        one = known.get(view)
        errors = ("0", "-", "-") if one is None else (str(one.people), shown(one.median_px), shown(one.p90_px))
        rows.append((name, *place, *errors))
    return rows


def shown(pixels: float) -> str:
    """Pixels, or that rays meet behind the cameras."""
    return f"{pixels:.1f}" if np.isfinite(pixels) else "behind"


def time_table(diagnosis: Diagnosis, cameras: Cameras, recordings: Sequence[Recording]) -> str:
    """Rates, lengths and lags of all cameras."""
    rows = [("camera", "frames/s", "video frames", "detected frames", "late by (frames)")]
    rows += [(r.camera, r.rate, r.length, r.numbers, lag_words(diagnosis, cameras, r.camera)) for r in recordings]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def next_commands(diagnosis: Diagnosis, capture: Path, folder: Path, options: Sequence[str]) -> tuple[str, ...]:
    """What to type next: the repairs that are known, then the prediction."""
    where = " ".join(["", *(shlex.quote(word) for word in (str(capture), *options))])
    topics = {one.topic for one in diagnosis.findings}
    if diagnosis.trial is None:
        return ()
    mends = topics & {"extrinsics", "units", "axes", "turned", "focal length", "picture size", "exchanged", "dead"}
    shift = "".join(
        f" --shift {shlex.quote(one.cameras[0])}={one.shift:.3g}" for one in diagnosis.findings if one.shift is not None
    )
    commands = []
    file = shlex.quote(str(folder / "repaired.toml"))
    use = ""
    if mends:
        commands.append(f"dispose check{where} --write-calibration {file}")
        use = f" --calibration {file}"
    if topics & {"turned", "focal length"} or any(note.topic == "turned" for note in diagnosis.notes):
        more = " --intrinsics focal" if "focal length" in topics else ""
        commands.append(f"dispose calibrate refine{where}{use}{shift}{more}")
    commands.append(f"dispose predict{where}{use}{shift}")
    return tuple(commands)
