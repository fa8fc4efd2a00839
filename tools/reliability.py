"""Is the confidence a probability? Groups of held-out frames by confidence, into data/results/reliability.json.

python tools/reliability.py [--frames 256]
"""

import argparse
import sys
import time
from itertools import combinations, pairwise
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.evaluation.reports import Figure, Report, Row, write_report
from dispose.recipes.synthetic import SYNTHETIC
from dispose.tensors import ABSENT
from dispose.training.examples import VALIDATION_CHUNK, scenes_of_chunk
from dispose.zoo import load_associator

ROOT = Path(__file__).resolve().parents[1]
EDGES = (0.0, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0)


def main() -> int:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=256)
    frames = parser.parse_args().frames
    torch.set_num_threads(1)
    start, associator, said, right = time.perf_counter(), load_associator(), [], []
    for frame, labels in tqdm(scenes_of_chunk(SYNTHETIC, VALIDATION_CHUNK + 1, frames), unit="frame"):
        association = associator(frame)
        for row, confidence in zip(association.members.tolist(), association.confidence.tolist(), strict=True):
            who = [int(labels.identity[view, slot]) for view, slot in enumerate(row) if slot != ABSENT]
            pairs = [a == b != ABSENT for a, b in combinations(who, 2)]
            said.append(confidence)
            right.append(sum(pairs) / len(pairs))
    rows = []
    for low, high in pairwise(EDGES):
        here = [i for i, c in enumerate(said) if low <= c < high or c == high == 1.0]
        figures = (
            Figure("groups", float(len(here))),
            Figure("confidence", 100 * sum(said[i] for i in here) / len(here) if here else float("nan")),
            Figure("pair_precision", 100 * sum(right[i] for i in here) / len(here) if here else float("nan")),
        )
        rows.append(Row(f"confidence {low:g} to {high:g}", "synthetic", frames, None, figures, 0.0))
    report = Report("reliability", None, tuple(rows), (), f"python tools/reliability.py --frames {frames}",
                    time.perf_counter() - start)  # fmt: skip
    write_report(ROOT / "data" / "results" / "reliability.json", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
