"""`dispose train`: weights from a recipe."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from dispose.errors import InputError
from dispose.formats.locking import lock_folder
from dispose.options import CountOption, PathOption, require_folder

Recipe = Literal["synthetic", "smoke", "toy_images", "toy_smoke", "panoptic", "shelf", "campus", "mm_or"]


@dataclass(frozen=True)
class TrainCommand:
    """Train a model; goes on where it was stopped.

    `synthetic` trains the associator of keypoint detections on synthetic captures, `toy_images` the model for
    pictures (heat maps, association, skeletons) on drawn ones; `smoke` and `toy_smoke` are miniatures that run through
    in a minute. `panoptic`, `shelf`, `campus` and `mm_or` train the model for pictures at its full size on a data set,
    from pseudo-labels alone.

    In several processes, and watched:

        $ torchrun --nproc-per-node 2 -m dispose.cli.main train toy_images --out runs/toy_images
        $ tensorboard --logdir runs/toy_images
    """

    recipe: tyro.conf.Positional[Recipe]
    """Which run (`synthetic`: 45 minutes on two cores, `toy_images`: an hour; data sets want a GPU)."""

    out: PathOption = None
    """Folder of the run: examples, checkpoints, logs and, when it is done, the weights (default: runs/RECIPE)."""

    workers: CountOption = None
    """Processes that make synthetic examples (default: as many as there are cores)."""

    data: PathOption = None
    """Folder of the data set in its original layout (data/cards says where to obtain it)."""

    labels: PathOption = None
    """Pseudo-labels of it (`dispose labels convert` makes them from the released pickles)."""

    backbone: PathOption = None
    """Weights of a backbone to start from."""

    start: PathOption = None
    """Weights of a whole model whose association and decoder are started from."""

    def run(self) -> int:
        """Train and say where the weights are."""
        import torch

        # A step is thousands of small operations: on a busy machine two threads take ten times as long as one, and
        # one gives the same weights on every machine of a kind.
        torch.set_num_threads(1)
        folder = require_folder(self.out or Path("runs") / self.recipe)
        # The processes that torchrun starts share the folder; the first of them keeps others out.
        first = os.environ.get("RANK", "0") == "0"
        with lock_folder(folder.resolve()) if first else nullcontext():
            weights = self._weights(folder)
        print(f"weights: {weights}")
        return 0

    def _weights(self, folder: Path) -> Path:
        if self.recipe in ("synthetic", "smoke"):
            return self._detections(folder)
        if self.recipe in ("toy_images", "toy_smoke"):
            return self._pictures(folder)
        return self._dataset(folder)

    def _detections(self, folder: Path) -> Path:
        from dispose.recipes.synthetic import SMOKE, SYNTHETIC
        from dispose.training.synthetic import train_synthetic

        recipe = {"synthetic": SYNTHETIC, "smoke": SMOKE}[self.recipe]
        return train_synthetic(recipe, folder, workers=self.workers)

    def _pictures(self, folder: Path) -> Path:
        from dispose.recipes.images import TOY_IMAGES, TOY_SMOKE
        from dispose.training.image_run import train_rendered

        recipe = {"toy_images": TOY_IMAGES, "toy_smoke": TOY_SMOKE}[self.recipe]
        return train_rendered(recipe, folder, workers=self.workers)

    def _dataset(self, folder: Path) -> Path:
        from dispose.recipes.datasets import DATASETS
        from dispose.training.image_run import train_dataset

        if self.data is None or self.labels is None:
            raise InputError(
                f"training on {self.recipe} needs --data FOLDER (data/cards/{self.recipe}.md says where it comes from) "
                "and --labels FILE (pseudo-labels, see dispose labels --help)"
            )
        chosen = DATASETS[self.recipe]
        return train_dataset(
            chosen.images,
            folder,
            chosen.training(self.data),
            self.labels,
            backbone_from=self.backbone,
            pose_from=self.start,
        )
