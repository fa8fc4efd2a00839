"""`dispose train`: weights from a recipe."""

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from dispose.formats.locking import lock_folder
from dispose.options import CountOption, PathOption, require_folder
from dispose.recipes.orders import TrainingOrder
from dispose.systems import recipe_names, train

RecipeName = Annotated[
    str,
    PrimitiveConstructorSpec[str](
        1, "{" + ",".join(recipe_names()) + "}", lambda words: words[0], lambda value: value in recipe_names(),
        lambda value: [value], choices=recipe_names(),
    ),
]  # fmt: skip
SomeNames = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]


@dataclass(frozen=True)
class TrainCommand:
    """Train a model; goes on where it was stopped.

    `synthetic` trains the associator of keypoint detections on synthetic captures, `toy_images` the model for
    images (heat maps, association, skeletons) on drawn ones; `smoke` and `toy_smoke` are miniatures that run through
    in a minute. `panoptic`, `shelf`, `campus` and `mm_or` train the model for images at its full size on a data set,
    from pseudo-labels alone; the weights that are best on its validation frames are kept.

    In several processes, and watched:

        $ torchrun --nproc-per-node 2 -m dispose.cli.main train toy_images --out runs/toy_images
        $ tensorboard --logdir runs/toy_images
    """

    recipe: tyro.conf.Positional[RecipeName]
    """Which run (`synthetic`: 45 minutes on two cores, `toy_images`: an hour; data sets want a GPU)."""

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

    def run(self) -> int:
        """Train and say where the weights are."""
        import torch

        # A step is thousands of small operations: on a busy machine two threads take ten times as long as one, and
        # one gives the same weights on every machine of a kind.
        torch.set_num_threads(1)
        folder = require_folder(self.out or Path("runs") / self.recipe)
        # The processes that torchrun starts share the folder; the first of them keeps others out.
        first = os.environ.get("RANK", "0") == "0"
        order = TrainingOrder(
            recipe=self.recipe,
            folder=folder,
            workers=self.workers,
            data=self.data,
            labels=self.labels,
            trunk=self.trunk,
            backbone=self.backbone,
            start=self.start,
            cameras=self.cameras,
            interval=self.interval,
            settings=self.set,
        )
        with lock_folder(folder.resolve()) if first else nullcontext():
            weights = train(order)
        print(f"weights: {weights}")
        return 0
