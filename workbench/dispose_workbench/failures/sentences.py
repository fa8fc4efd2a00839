"""How detections, cameras and distances are called in sentences."""

import math
from collections.abc import Iterable, Sequence

from dispose.scene.results import FrameResult
from dispose_workbench.failures.measures import Sighting


def with_reasons(lead: str, reasons: Iterable[str]) -> str:
    """A sentence and its reasons."""
    told = ", ".join(reasons)
    return f"{lead}: {told}" if told else lead


def listed(case: FrameResult, places: Sequence[Sighting]) -> str:
    """Detections by camera and number in the camera's file: "cam 2's detection #1"."""
    words = [f"{camera(case, place)}'s detection #{source_number(case, place)}" for place in places]
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def source_number(case: FrameResult, place: Sighting) -> int:
    """The position of a detection in its camera's file."""
    assert case.frame is not None
    return int(case.frame.detections.index[place.view, place.slot])


def camera(case: FrameResult, place: Sighting) -> str:
    """The name of the camera of a detection."""
    assert case.frame is not None
    return case.frame.cameras.names[place.view]


def camera_list(case: FrameResult, places: Sequence[Sighting]) -> str:
    """The cameras of some detections."""
    return ", ".join(camera(case, place) for place in places)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number and its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def was(places: Sequence[Sighting]) -> str:
    """The verb for one or several detections."""
    return "was" if len(places) == 1 else "were"


def metres(mm: float) -> str:
    """A distance between people."""
    return f"{mm / 1000:.1f} m" if math.isfinite(mm) else "unknown"


def millimetres(mm: float) -> str:
    """A distance between rays."""
    return f"{mm:.0f} mm" if mm < 1000 else metres(mm)
