"""`dispose train`: weights from a recipe."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated

import tyro

from dispose.errors import InputError
from dispose.formats.folders import lock_folder
from dispose.options import one_of, require_folder
from dispose.recipes.orders import TrainingOrder
from dispose.systems import recipe_names, train


@dataclass(frozen=True)
class TrainCommand(TrainingOrder):
    """Train a model; goes on where it was stopped.

    `synthetic` trains the associator of keypoint detections on synthetic captures, `toy_images` the model for
    images (heat maps, association, skeletons) on drawn ones; `smoke` and `toy_smoke` are miniatures that run through
    in a minute. `panoptic`, `shelf`, `campus` and `mm_or` train the model for images at its full size on a data set,
    from pseudo-labels alone; the weights that are best on its validation frames are kept.

    `capture` goes on from finished weights for images with the images of a capture of one's own (--data) and the
    labels that `dispose prepare` made of it (--labels).

    `dispose train --adapt CAPTURE` fine-tunes the association on what is found in a capture, and keeps the new weights
    only if parts of it that were not learned from say that they are better; a quarter of an hour at most.

    In several processes, and watched:

        $ torchrun --nproc-per-node 2 -m dispose.cli.main train toy_images --out runs/toy_images
        $ tensorboard --logdir runs/toy_images
    """

    recipe: Annotated[str, tyro.conf.Positional, one_of(*recipe_names())] = "adapt"
    """Which run; with --adapt it goes without saying (`synthetic`: 50 minutes on two cores, `toy_images`: an hour; data
    sets want a GPU)."""

    def run(self) -> int:
        """Train and say where the weights are."""
        import torch

        if self.adapt is not None and self.recipe != "adapt":
            raise InputError(f"--adapt goes on from finished weights; it is no training by {self.recipe}.")
        # A step is thousands of small operations: on a busy machine two threads take ten times as long as one, and
        # one gives the same weights on every machine of a kind.
        torch.set_num_threads(1)
        folder = require_folder(self.folder).resolve()
        # The processes that torchrun starts share the folder; the first of them keeps others out.
        with lock_folder(folder) if os.environ.get("RANK", "0") == "0" else nullcontext():
            weights = train(self)
        print(f"weights: {weights}")
        return 0
