"""What somebody wants trained: the options of `dispose train`, as the recipes read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dispose.errors import InputError
from dispose.options import CountOption, PathOption

SomeNames = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]


@dataclass(frozen=True)
class TrainingOrder:
    """A recipe by name, and what is to be other than it says."""

    recipe: tyro.conf.Positional[str]
    """Which run."""

    out: PathOption = None
    """Folder of the run: examples, checkpoints, logs and, when it is done, the weights (default: runs/RECIPE)."""

    workers: CountOption = None
    """Processes that make synthetic examples and read ahead (default: as many as there are cores; at most 4 read)."""

    data: PathOption = None
    """Folder of the data set in its original layout (data/cards says where to obtain it)."""

    labels: PathOption = None
    """Pseudo-labels of it (`dispose labels convert` makes them from the released pickles)."""

    trunk: PathOption = None
    """ImageNet weights of a torchvision ResNet-50 to start the backbone from (a .pth file)."""

    backbone: PathOption = None
    """Weights of a backbone, or of a whole model, to start the backbone from."""

    start: PathOption = None
    """Weights of a whole model, ours or an imported released one, whose association and decoder are started from.

    shelf, campus and mm_or start from a finished run of panoptic beside theirs unless weights are named."""

    cameras: SomeNames = ()
    """Cameras to learn from, by name, or an arrangement of Panoptic's: CMU0 (the default), CMU0_3 … CMU4."""

    interval: CountOption = None
    """Learn from every so many-th labelled frame (default: from all)."""

    set: SomeNames = ()
    """Values of the recipe, such as `training.pose.optimisation.steps=5000` (`recipe.json` of a run shows them all)."""

    adapt: PathOption = None
    """A capture of detections to whose room the association is adapted, by labels made of these detections alone."""

    calibration: PathOption = None
    """Calibration of the capture (`capture`, --adapt), where it is not in its folder."""

    detections: PathOption = None
    """With --adapt: detections of the capture, where they are not in its folder."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.out or Path("runs") / self.recipe

    def refuse_data(self, needed: Sequence[str] = ()) -> None:
        """Raise `InputError` for an option that a recipe does not look at, but for those needed."""
        self.refuse_captures(needed)
        for name in ("data", "labels", "trunk", "backbone", "start", "cameras", "interval"):
            if vars(self)[name] and name not in needed:
                raise InputError(f"--{name} is for training on a data set; {self.recipe} draws its own examples.")

    def refuse_captures(self, needed: Sequence[str] = ()) -> None:
        """Raise `InputError` for an option of captures of one's own, but for those needed."""
        for name in ("calibration", "detections"):
            if vars(self)[name] and name not in needed:
                raise InputError(f"--{name} is for captures of one's own, not for {self.recipe}.")
