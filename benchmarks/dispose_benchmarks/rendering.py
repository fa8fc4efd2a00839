"""`dispose bench rendering`: how fast synthetic images are drawn."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from dispose.formats.folders import require_file
from dispose.options import Count
from dispose_benchmarks.report import write_figures
from dispose_synthetic.renderer.captures import RenderConfig, sample_captures

SCHEMA = "dispose.bench-rendering/1"


@dataclass(frozen=True)
class RenderingBench:
    """Draw synthetic images, rigs and rooms included, and say how many a second."""

    frames: Count = 64
    """Instants, each seen by all cameras of a rig."""
    persons: int = 3
    """People in the room."""
    seed: int = 0
    """Of everything random."""
    out: Path = Path("data/results/bench_rendering.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        config = RenderConfig(persons=(self.persons, self.persons), empty=0.0)
        (width, height), random = config.size, torch.Generator().manual_seed(self.seed)
        start, used = time.perf_counter(), time.process_time()
        images = sum(len(capture.cameras) for capture in sample_captures(random, self.frames, config))
        elapsed, busy = time.perf_counter() - start, time.process_time() - used
        figures = {
            "images": images,
            "persons": self.persons,
            "width": width,
            "height": height,
            "threads": torch.get_num_threads(),
            "images_per_second": round(images / elapsed, 1),
            "images_per_processor_second": round(images / busy, 1),
        }
        print(
            f"{images} images of {width} x {height} with {self.persons} people: "
            f"{figures['images_per_second']:g} a second, "
            f"{figures['images_per_processor_second']:g} a second of one core"
        )
        write_figures(self.out, SCHEMA, figures)
        return 0
