"""What somebody wants trained: the options of `dispose train` as the recipes read them."""

from dataclasses import dataclass
from pathlib import Path

from dispose.errors import InputError


@dataclass(frozen=True)
class TrainingOrder:
    """A recipe by name, and what is to be other than it says.

    Attributes:
        recipe: name of it.
        folder: of the run.
        workers: processes that make and read examples; None = as fits the machine.
        data: folder of the data set in its original layout.
        labels: pseudo-labels of it.
        trunk: ImageNet weights of a torchvision ResNet.
        backbone: weights of a backbone, or of a whole model, to begin with.
        start: weights of a whole model to begin Stage I and II with.
        cameras: names of cameras, or of one arrangement; none = the recipe's.
        interval: every so many-th labelled frame; None = the recipe's.
        settings: values of the recipe's fields, ``path.to.field=value``.
    """

    recipe: str
    folder: Path
    workers: int | None = None
    data: Path | None = None
    labels: Path | None = None
    trunk: Path | None = None
    backbone: Path | None = None
    start: Path | None = None
    cameras: tuple[str, ...] = ()
    interval: int | None = None
    settings: tuple[str, ...] = ()

    def refuse_data(self) -> None:
        """Raise `InputError` for an option that a recipe on synthetic data does not look at."""
        for name in ("data", "labels", "trunk", "backbone", "start", "cameras", "interval"):
            if vars(self)[name]:
                raise InputError(f"--{name} is for training on a data set; {self.recipe} draws its own examples.")
