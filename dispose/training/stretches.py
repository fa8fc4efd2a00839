"""Recipes that learn from one recording, and the stretches of it that are kept apart and decide."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dispose.errors import InputError
from dispose.options import FROM_0
from dispose.training.config import BackboneTraining, DenoiserTraining, LabelRules, Optimisation, PoseTraining

FEWEST_STRETCHES = 3


@dataclass(frozen=True)
class HeldOutStretches:
    """Stretches of a recording that training does not see: these decide whether new weights are taken.

    Attributes:
        frames: labelled, at most.
        stretches: of frames in a row, spread over the recording, at most.
        shortest: frames of a stretch, at least.
        held_out: every so many-th stretch is not learned from; these decide.
        least_gain: percent by which the new weights have to be better,
        least_errors: and so many standard errors over the stretches that decide.
    """

    frames: int = 600
    stretches: int = 12
    shortest: int = 8
    held_out: int = 3
    least_gain: float = 0.1
    least_errors: float = 2.0


@dataclass(frozen=True)
class AdaptRecipe(HeldOutStretches):
    """The associator's denoiser on the labels of one recording, and how the result is judged.

    Attributes:
        name: of the run.
        seed: of everything random.
        subsets: choices of a frame's cameras that are learned from, and judged by, beside all of them.
        rehearsal: synthetic frames that are learned from as well.
        rehearsal_share: of what is learned from.
        denoiser: steps and rates.
    """

    name: str = "adapt"
    seed: int = field(default=925, metadata=FROM_0)
    subsets: int = 3
    rehearsal: int = field(default=96, metadata=FROM_0)
    rehearsal_share: float = 0.4
    denoiser: DenoiserTraining = DenoiserTraining(
        optimisation=Optimisation(
            steps=600, batch=16, rate=2e-4, last_rate=0.0, warmup=40, clip=1.0, weight_decay=1e-2, checkpoint_every=100,
            select_every=100, patience=3,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class CaptureRecipe(HeldOutStretches):
    """A finished model for images on one capture's own images, from pseudo-labels alone, and how the result is judged.

    Attributes:
        name: of the run.
        seed: of everything random.
        rules: what is learned of the labels.
        backbone: steps and rates of the heat maps.
        pose: steps and rates of both stages on them.
    """

    name: str = "capture"
    seed: int = field(default=925, metadata=FROM_0)
    rules: LabelRules = LabelRules()
    backbone: BackboneTraining = field(default_factory=BackboneTraining)
    pose: PoseTraining = field(default_factory=PoseTraining)


def stretches_of(numbers: Sequence[int], recipe: HeldOutStretches) -> list[list[int]]:
    """Frames in a row, spread evenly over a recording; `InputError` where there are too few to keep some apart."""
    count = min(recipe.stretches, len(numbers) // recipe.shortest)
    if count < max(FEWEST_STRETCHES, recipe.held_out):
        raise InputError(
            f"the recording has {len(numbers)} frames; to learn from some and to judge by others it takes "
            f"{recipe.shortest * max(FEWEST_STRETCHES, recipe.held_out)} at least."
        )
    length = min(recipe.frames // count, len(numbers) // count)
    starts = np.linspace(0, len(numbers) - length, count).round().astype(int).tolist()
    return [list(numbers[first : first + length]) for first in starts]
