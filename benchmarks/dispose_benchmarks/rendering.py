"""How fast pictures are drawn: ``python -m dispose_benchmarks.rendering`` prints one line of JSON."""

import argparse
import json
import time
from dataclasses import asdict, dataclass

import torch

from dispose_synthetic.renderer.captures import RenderConfig, sample_captures


@dataclass(frozen=True)
class Speed:
    """What was drawn, and pictures per second of elapsed and of processor time, rigs and rooms included."""

    pictures: int
    persons: int
    width: int
    height: int
    threads: int
    pictures_per_second: float
    pictures_per_processor_second: float


def measure(frames: int, persons: int, seed: int) -> Speed:
    """Draw frames with a given number of people."""
    config = RenderConfig(persons=(persons, persons), empty=0.0)
    pictures, start, used = 0, time.perf_counter(), time.process_time()
    for capture in sample_captures(torch.Generator().manual_seed(seed), frames, config):
        pictures += len(capture.cameras)
    elapsed, busy = time.perf_counter() - start, time.process_time() - used
    rates = round(pictures / elapsed, 1), round(pictures / busy, 1)
    return Speed(pictures, persons, *config.size, torch.get_num_threads(), *rates)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--persons", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(asdict(measure(given.frames, given.persons, given.seed))))


if __name__ == "__main__":
    main()
