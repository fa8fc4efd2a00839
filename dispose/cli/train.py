"""`dispose train`: weights from a recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dispose.cli.options import CountOption, require_folder


@dataclass(frozen=True)
class Train:
    """Train a model, from nothing to weights; goes on where it was stopped.

    `synthetic` trains the associator of keypoint detections on synthetic captures, `toy_images` the model for
    pictures (heat maps, association, skeletons) on drawn ones; `smoke` and `toy_smoke` are miniatures that run through
    in a minute.

    In several processes, and watched:

        $ torchrun --nproc-per-node 2 -m dispose.cli.main train toy_images --out runs/toy_images
        $ tensorboard --logdir runs/toy_images
    """

    recipe: tyro.conf.Positional[Literal["synthetic", "smoke", "toy_images", "toy_smoke"]]
    """Which run (`synthetic`: 45 minutes on two cores, `toy_images`: an hour)."""

    out: Path | None = None
    """Folder of the run: examples, checkpoints, logs and, when it is done, the weights (default: runs/RECIPE)."""

    workers: CountOption = None
    """Processes that make training examples (default: as many as there are cores)."""

    def run(self) -> int:
        """Train and say where the weights are."""
        import torch

        from dispose.recipes.images import TOY_IMAGES, TOY_SMOKE
        from dispose.recipes.synthetic import SMOKE, SYNTHETIC
        from dispose.training.image_run import train_pictures
        from dispose.training.synthetic import train_synthetic

        # A step is thousands of small operations: on a busy machine two threads take ten times as long as one, and
        # one gives the same weights on every machine of a kind.
        torch.set_num_threads(1)
        folder = require_folder(self.out or Path("runs") / self.recipe)
        if self.recipe in ("synthetic", "smoke"):
            recipe = {"synthetic": SYNTHETIC, "smoke": SMOKE}[self.recipe]
            weights = train_synthetic(recipe, folder, workers=self.workers)
        else:
            pictures = {"toy_images": TOY_IMAGES, "toy_smoke": TOY_SMOKE}[self.recipe]
            weights = train_pictures(pictures, folder, workers=self.workers)
        print(f"weights: {weights}")
        return 0
