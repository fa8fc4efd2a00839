"""Do the intervals hold that the shipped rays claim? On people drawn anew, into data/results/claims_of_rays.json.

    python tools/claims_of_rays.py [--data FOLDER] [--people 8192] [--set]

At rigs calibrated as training sees them, as usual, and exactly with an unbiased detector; the usual ones also by the
number of cameras that see a person. Needs FOLDER/cmu_motion. With --set the claims are first set anew, as training sets
them at its end, on other people, and the weights are stored with them.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import torch

from dispose.datasets.cmu_motion import read_motion
from dispose.evaluation.reports import Figure, Report, Row, write_report
from dispose.models.rays.network import MOST_VIEWS
from dispose.recipes.rays import RECIPES
from dispose.training.rays import (
    GAUSSIAN_INTERVALS,
    USUAL_CALIBRATION,
    DrawnErrors,
    drawn_errors,
    scale_covariances,
)
from dispose.zoo.checkpoints import SHIPPED_RAYS, load_rays, read_metadata, save_weights, shipped_weights
from dispose_synthetic.rigs import PERFECT_CALIBRATION

ROOT = Path(__file__).resolve().parents[1]
SEED = 20_300


def main() -> None:
    """Set if asked, draw, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--people", type=int, default=8192)
    parser.add_argument("--set", action="store_true")
    asked, start = parser.parse_args(), time.perf_counter()
    torch.set_num_threads(1)
    recipe, motion, network = RECIPES["rays"], read_motion(asked.data / "cmu_motion"), load_rays()
    if asked.set:
        path = shipped_weights(SHIPPED_RAYS)
        note = scale_covariances(network, recipe, motion)
        print(note, network.by_views.tolist())
        save_weights(path, network, recipe=read_metadata(path)[2], note=note)
    seen = recipe.sightings
    kinds = (
        ("calibrated as in training, up to three times as badly as usual", seen),
        ("calibrated exactly, an unbiased detector", replace(seen, calibration=PERFECT_CALIBRATION, bias_mm=0.0)),
        ("calibrated as usual", replace(seen, calibration=USUAL_CALIBRATION)),
    )
    rows, drawn = [], None
    for name, sightings in kinds:
        drawn = drawn_errors(network, recipe, motion, asked.people, sightings, SEED)
        rows.append(row_of(f"rigs {name}", drawn, drawn.claimed(network)))
    assert drawn is not None
    for place in range(MOST_VIEWS):
        mine = drawn.place == place
        cameras = f"{place + 1} camera{'s' if place else ''}{' or more' if place + 1 == MOST_VIEWS else ''}"
        rows.append(row_of(f"as usual, seen by {cameras}", drawn.select(joints=mine), drawn.claimed(network)[mine]))
    for row in rows:
        print(f"{row.method:<75}", *(f"{figure.name} {figure.value:.1f}" for figure in row.figures))
    command = f"python tools/claims_of_rays.py --people {asked.people}"
    report = Report("claims_of_rays", None, tuple(rows), (), command, time.perf_counter() - start)
    write_report(ROOT / "data" / "results" / "claims_of_rays.json", report)


def row_of(name: str, drawn: DrawnErrors, claimed: torch.Tensor) -> Row:
    """Errors and what intervals of 50 and 90 % hold, along the axes of people."""
    held = [100 * float((claimed < edge).double().mean()) for edge in GAUSSIAN_INTERVALS]
    figures = (
        Figure("joint_mm", float(drawn.error_mm.mean())),
        Figure("cover_50", held[0]),
        Figure("cover_90", held[1]),
    )
    return Row(name, "drawn people", len(claimed), None, figures, 0.0)


if __name__ == "__main__":
    main()
