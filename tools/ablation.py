"""Every choice of Stage I changed alone, on the data sets at hand, into data/results/ablation.json.

    python tools/ablation.py [--data ../shared/data] [--every 3]

One row per data set and choice. The tables of docs/experiments.md are made from the file.
"""

import argparse
import shlex
import sys
import time
from functools import partial
from pathlib import Path

import torch

from dispose.association.decode import greedy, mass_worth, pair_worth, set_packing
from dispose.evaluation.protocols import protocols_of
from dispose.evaluation.reports import Report, write_report
from dispose.evaluation.score import Method, evaluate, gather
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.sampling import RELEASED_SAMPLER, SamplerConfig
from dispose.scene.results import associate_each
from dispose.zoo import load_associator
from dispose.zoo.triangulators import load_reconstruction
from dispose_benchmarks.limits import geometry_alone

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = ("shelf", "mvor_rtpose", "mvor_openpose", "mvor_openpose_ms", "panoptic_mini")


def methods(associator: Associator) -> list[Method]:
    """Ours as shipped, then with one choice changed."""
    seeded = torch.Generator().manual_seed(0)
    eight = SamplerConfig(hypotheses=8)
    choices = {
        "as shipped": associator.forward,
        "one step": partial(associator.forward, sampler=SamplerConfig(steps=1)),
        "released sampler (ten steps, two sweeps)": partial(associator.forward, sampler=RELEASED_SAMPLER),
        "posterior of eight random starts": partial(associator.forward, sampler=eight, generator=seeded),
        "pairs above one half": partial(associator.forward, worth=pair_worth),
        "greedy rounding of pairs": partial(associator.forward, rounding=greedy),
        "set packing on mass": partial(associator.forward, worth=mass_worth, rounding=set_packing),
        "greedy on mass (released rounding)": partial(associator.forward, worth=mass_worth, rounding=greedy),
    }
    ways = {name: associate_each(one) for name, one in choices.items()}
    ways["no diffusion: geometric cost alone"] = partial(geometry_alone, associator)
    return [Method(name, one, load_reconstruction()) for name, one in ways.items()]


def main() -> int:
    """Score every choice and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--every", type=int, default=3, help="take one frame of so many")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, rows = time.perf_counter(), []
    associator = load_associator()
    for name in PROTOCOLS:
        for protocol in protocols_of(name):
            source = gather(list(protocol.read(arguments.data))[:: arguments.every])
            rows += [evaluate(protocol, source, method) for method in methods(associator)]
    command = shlex.join(("python", "tools/ablation.py", "--every", str(arguments.every)))
    report = Report("ablation", None, tuple(rows), (), command, time.perf_counter() - start)
    write_report(ROOT / "data" / "results" / "ablation.json", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
