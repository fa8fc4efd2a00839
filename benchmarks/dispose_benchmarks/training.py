"""`dispose bench training`: how long a training step takes, and what share of it it waits for its loader."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dispose.formats.folders import require_file
from dispose.options import Count, CountOption
from dispose.recipes.synthetic import TOY_IMAGES, TOY_SMOKE
from dispose_benchmarks.report import write_figures

SCHEMA = "dispose.bench-training/1"


@dataclass(frozen=True)
class TrainingBench:
    """Train both stages of the image model for some steps on drawn images, and say how long they wait for the loader.

    Images are drawn, read and augmented by other processes; a step that waits for them is lost time.
    """

    recipe: Literal["toy_images", "toy_smoke"] = "toy_images"
    """Sizes of networks, images and batches."""
    steps: Count = 20
    """Optimiser steps."""
    shards: Count = 2
    """Files of images that are drawn beforehand."""
    workers: CountOption = None
    """Processes that read ahead (default: as many as there are cores; at most 4)."""
    out: Path = Path("data/results/bench_training.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        # Imported here: only training needs Lightning.
        from dispose.training.runs import time_training

        require_file(self.out)
        recipe = TOY_IMAGES if self.recipe == "toy_images" else TOY_SMOKE
        recipe = replace(recipe, shards=replace(recipe.shards, chunks=self.shards))
        with tempfile.TemporaryDirectory() as folder:
            times = time_training(recipe, Path(folder), steps=self.steps, workers=self.workers)
        row = {
            "method": self.recipe,
            "frames": recipe.training.pose.optimisation.batch,
            "steps": times.steps,
            "milliseconds": round(1e3 * times.seconds / max(times.steps, 1), 1),
            "waiting": round(times.share, 4),
        }
        print(
            f"{self.recipe}: {times.steps} steps of {row['frames']} frames, {row['milliseconds']:.0f} ms a step, "
            f"of which {100 * times.share:.1f}% waiting for the loader"
        )
        write_figures(self.out, SCHEMA, {"rows": [row]})
        return 0
