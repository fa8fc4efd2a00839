"""How detections, numbers and distances are called in sentences."""

import math
from collections.abc import Iterable, Sequence

from dispose.scene.frame import Frame
from dispose_workbench.failures.measures import Sighting


def with_reasons(lead: str, reasons: Iterable[str]) -> str:
    """A sentence and its reasons."""
    text = ", ".join(reasons)
    return f"{lead}: {text}" if text else lead


def name_detections(frame: Frame, places: Sequence[Sighting]) -> str:
    """Detections by camera and number in the camera's file: "cam 2's detection #1"."""
    index = frame.detections.index
    words = [f"{camera(frame, place)}'s detection #{int(index[place.view, place.slot])}" for place in places]
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def camera(frame: Frame, place: Sighting) -> str:
    """The name of the camera of a detection."""
    return frame.cameras.names[place.view]


def cameras(frame: Frame, places: Sequence[Sighting]) -> str:
    """The cameras of some detections."""
    return ", ".join(camera(frame, place) for place in places)


def number_of(count: int, noun: str, plural: str = "") -> str:
    """A number and its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def was(places: Sequence[Sighting]) -> str:
    """The verb for one or several detections."""
    return "was" if len(places) == 1 else "were"


def distance(mm: float) -> str:
    """A distance between people or rays: whole millimetres below a metre."""
    return f"{mm:.0f} mm" if mm < 1000 else metres(mm)


def metres(mm: float) -> str:
    """A distance between people."""
    return f"{mm / 1000:.1f} m" if math.isfinite(mm) else "unknown"
