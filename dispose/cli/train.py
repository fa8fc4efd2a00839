"""`dispose train`: weights from a recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dispose.cli.options import CountOption, require_folder


@dataclass(frozen=True)
class Train:
    """Train the associator on synthetic captures, from nothing to weights; goes on where it was stopped.

    In several processes, and watched:

        $ torchrun --nproc-per-node 2 -m dispose.cli.main train synthetic --out runs/synthetic
        $ tensorboard --logdir runs/synthetic
    """

    recipe: tyro.conf.Positional[Literal["synthetic", "smoke"]]
    """`synthetic` makes the shipped weights (45 minutes on two cores), `smoke` runs through in a minute."""

    out: Path = Path("runs/synthetic")
    """Folder of the run: examples, checkpoints, logs and, when it is done, associator.safetensors."""

    workers: CountOption = None
    """Processes that make training examples (default: as many as there are cores)."""

    def run(self) -> int:
        """Train and say where the weights are."""
        import torch

        from dispose.recipes.synthetic import SMOKE, SYNTHETIC
        from dispose.training.synthetic import train_synthetic

        # A step is thousands of small operations: on a busy machine two threads take ten times as long as one, and
        # one gives the same weights on every machine of a kind.
        torch.set_num_threads(1)
        recipe = {"synthetic": SYNTHETIC, "smoke": SMOKE}[self.recipe]
        weights = train_synthetic(recipe, require_folder(self.out), workers=self.workers)
        print(f"weights: {weights}")
        return 0
