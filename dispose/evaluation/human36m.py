"""Human3.6M as Learnable Triangulation scores it: relative to the pelvis, and where people are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.datasets.layouts.human36m import DRIFTED
from dispose.datasets.layouts.source import FrameKey, Layout
from dispose.errors import InputError
from dispose.evaluation.reports import Figure
from dispose.formats.human36m import read_stored_results
from dispose.skeletons.catalog import MPII_17


def stored_answers(path: Path, layout: Layout) -> Mapping[FrameKey, Float[Tensor, "joints 3"]]:
    """The joints that the release stored for a layout's instants, mm, as `read_stored_results`.

    The layout is of all instants of its subjects, as the release's rows count them.
    """
    return dict(zip(layout.keys, read_stored_results(path, len(layout.keys)), strict=True))


def human36m_figures(layout: Layout, answers: Mapping[FrameKey, Float[Tensor, "joints 3"]]) -> tuple[Figure, ...]:
    """Mean distance of the seventeen joints from the truth, mm, of every instant of a layout.

    ``relative_mm`` after both pelvises are put into one place, ``absolute_mm`` as they are and without the recordings
    whose truth drifts (`DRIFTED`): means over the actions, of which either take counts alike by its instants.
    ``relative_frames_mm`` and ``absolute_frames_mm`` are means over the instants.

    Raises:
        InputError: an instant has no answer.
    """
    root = MPII_17.index("mid_hip")
    relative: dict[str, list[float]] = {}
    absolute: dict[str, list[float]] = {}
    for key in layout.keys:
        if key not in answers:
            raise InputError(f"no answer for frame {key.number} of {key.sequence}.")
        truth, said = layout.truth(key).poses.xyz_world[0], answers[key]
        subject, take = key.sequence.split("/")
        action = take.rpartition("-")[0]
        about = (said - said[root]) - (truth - truth[root])
        relative.setdefault(action, []).append(float(about.norm(dim=-1).mean()))
        if (subject, take) not in DRIFTED:
            absolute.setdefault(action, []).append(float((said - truth).norm(dim=-1).mean()))
    return (
        Figure("relative_mm", _over_actions(relative)),
        Figure("absolute_mm", _over_actions(absolute)),
        Figure("relative_frames_mm", _mean([error for errors in relative.values() for error in errors])),
        Figure("absolute_frames_mm", _mean([error for errors in absolute.values() for error in errors])),
    )


def _over_actions(errors: Mapping[str, Sequence[float]]) -> float:
    return _mean([_mean(some) for some in errors.values()])


def _mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return float(torch.tensor(values, dtype=torch.float64).mean())
