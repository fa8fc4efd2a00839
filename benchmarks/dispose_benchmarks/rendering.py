"""`dispose bench rendering`: how fast synthetic images are drawn."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from dispose.options import Count, require_file
from dispose_benchmarks.report import write_figures
from dispose_synthetic.renderer.captures import RenderConfig, sample_captures

SCHEMA = "dispose.bench-rendering/1"


@dataclass(frozen=True)
class Speed:
    """What was drawn, and images per second of elapsed and of processor time, rigs and rooms included."""

    images: int
    persons: int
    width: int
    height: int
    threads: int
    images_per_second: float
    images_per_processor_second: float


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
        speed = measure(self.frames, self.persons, self.seed)
        print(
            f"{speed.images} images of {speed.width} x {speed.height} with {speed.persons} people: "
            f"{speed.images_per_second:g} a second, {speed.images_per_processor_second:g} a second of one core"
        )
        write_figures(self.out, SCHEMA, asdict(speed))
        return 0


def measure(frames: int, persons: int, seed: int) -> Speed:
    """Draw frames with a given number of people."""
    config = RenderConfig(persons=(persons, persons), empty=0.0)
    start, used = time.perf_counter(), time.process_time()
    images = sum(len(c.cameras) for c in sample_captures(torch.Generator().manual_seed(seed), frames, config))
    elapsed, busy = time.perf_counter() - start, time.process_time() - used
    return Speed(
        images, persons, *config.size, torch.get_num_threads(), round(images / elapsed, 1), round(images / busy, 1)
    )
