"""How fast pictures are drawn: ``python -m dispose.datasets.synthetic.pictures_speed`` prints one line of JSON."""

import argparse
import json
import time

import torch

from dispose.datasets.synthetic.pictures import PictureConfig, sample_captures


def measure(frames: int, persons: int, seed: int) -> dict[str, float]:
    """Pictures per second of elapsed time and per second of processor time, rigs and rooms included."""
    config = PictureConfig(persons=(persons, persons), empty=0.0)
    pictures, start, used = 0, time.perf_counter(), time.process_time()
    for capture in sample_captures(torch.Generator().manual_seed(seed), frames, config):
        pictures += len(capture.cameras)
    elapsed, busy = time.perf_counter() - start, time.process_time() - used
    return {
        "pictures": pictures,
        "persons": persons,
        "width": config.size[0],
        "height": config.size[1],
        "threads": torch.get_num_threads(),
        "pictures_per_second": round(pictures / elapsed, 1),
        "pictures_per_processor_second": round(pictures / busy, 1),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--persons", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(json.dumps(measure(given.frames, given.persons, given.seed)))


if __name__ == "__main__":
    main()
