"""Is `dispose train --adapt` worth it? Adapted to half of a recording by its own labels, scored on the other half."""

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import load_file

from dispose.datasets.tables.mvor import read_mvor
from dispose.datasets.tables.reading import all_rows, without_repeats
from dispose.evaluation.protocols import MVOR_OPENPOSE_DISTINCT, MVOR_RTPOSE, SHELF_DEV, Protocol
from dispose.evaluation.reports import Row
from dispose.evaluation.score import Method, evaluate, gather
from dispose.formats.folders import require_file
from dispose.inference.readings import Source
from dispose.models.dispose.associator import Associator
from dispose.options import Count
from dispose.preparation.labels import LabelSettings
from dispose.scene.frame import Frame, Labels
from dispose.training.adaptation import (
    AdaptVerdict,
    KnownFrame,
    adapt_associator,
    f1,
    scores,
    tried_weights,
    with_subsets,
)
from dispose.training.associator import DenoiserTask
from dispose.training.stretches import AdaptRecipe
from dispose.zoo.checkpoints import load_associator
from dispose.zoo.triangulators import load_reconstruction
from dispose_benchmarks.report import write_figures

SCHEMA = "dispose.bench.adapt/1"

Pairs = Sequence[tuple[Frame, Labels]]


@dataclass(frozen=True, eq=False)
class Halves:
    """A recording in two parts of time, how it is scored, and how its labels are made."""

    name: str
    protocol: Protocol
    parts: tuple[Pairs, Pairs]
    settings: LabelSettings


@dataclass(frozen=True)
class AdaptRow:
    """One half learned from, the other scored: percent; joints as the protocol measures them."""

    capture: str
    learned_from: int
    frames: int
    taken: bool
    verdict: AdaptVerdict
    minutes: float
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)


FEW = 6
"""Choices of two cameras and more, but not all, of every frame that is scored."""

FIGURES = ("pair_f1", "exact", "pcp", "ap_150")


def figures(row: Row) -> dict[str, float]:
    """Those that are compared, as far as the protocol has them; PCP of the actors who are there.

    One of Shelf's three actors is in the first half alone, one in the second: the mean of all three is no number.
    """
    found = {one.name: one.value for one in row.figures}
    compared = {name: value for name, value in found.items() if name in FIGURES and isinstance(value, float)}
    actors = found.get("pcp_actors")
    if isinstance(actors, tuple):
        compared["pcp"] = fmean(value for value in actors if not math.isnan(value))
    return compared


def halves_of_shelf(data: Path) -> Halves:
    """The first and the last hundred of the dev frames."""
    pairs = list(SHELF_DEV.read(data))
    return Halves("Shelf", SHELF_DEV, (pairs[:100], pairs[100:]), LabelSettings(rate_hz=25.0))


def halves_of_mvor(data: Path, protocol: Protocol, detector: str) -> Halves:
    """Days 1 and 2, whose pictures are seconds apart."""
    clean = without_repeats if protocol is MVOR_OPENPOSE_DISTINCT else all_rows
    one, two = (list(read_mvor(data / "mvor", detector, days=(day,), clean=clean)) for day in (1, 2))
    return Halves(protocol.title, protocol, (one, two), LabelSettings(rate_hz=1.0))


CAPTURES = (
    halves_of_shelf,
    partial(halves_of_mvor, protocol=MVOR_RTPOSE, detector="rtpose"),
    partial(halves_of_mvor, protocol=MVOR_OPENPOSE_DISTINCT, detector="openpose"),
)


def without_truth(pairs: Pairs) -> Source:
    """The frames alone: whoever makes labels of them can read no truth."""
    return Source.of([frame for frame, _ in pairs])


def adapt_to(halves: Halves, learned: int, recipe: AdaptRecipe, folder: Path) -> AdaptRow:
    """Adapt to one part; score the other before and with the best weights that were tried, whether taken or not."""
    start = time.perf_counter()
    source = without_truth(halves.parts[learned])
    _, verdict = adapt_associator(recipe, halves.name, source, folder, settings=halves.settings)
    minutes = (time.perf_counter() - start) / 60
    apart = gather(halves.parts[1 - learned])
    known = [KnownFrame(frame, labels.identity, 0) for frame, labels in halves.parts[1 - learned]]
    few = [one for one in with_subsets(known, FEW, seed=0) if len(one.frame.cameras) < len(known[0].frame.cameras)]
    tried = load_associator(None)
    DenoiserTask(tried.denoiser, recipe.denoiser, tried.config.noise).load_state_dict(load_file(tried_weights(folder)))
    before, after = (
        {**figures(evaluate(halves.protocol, apart, method_of(one))), "few_views_f1": f1(scores(one, few))}
        for one in (load_associator(None), tried)
    )
    taken = verdict.better(recipe)
    return AdaptRow(halves.name, learned, len(source.numbers), taken, verdict, minutes, before, after)


def method_of(associator: Associator) -> Method:
    """The associator as a method."""
    return Method("ours", associator.associate, load_reconstruction(associator=associator))


@dataclass(frozen=True)
class AdaptBench:
    """Adapt the association to one half of a recording by what is found there without any truth; score the other half.

    Halves of Shelf's dev frames, and days 1 and 2 of MVOR with two detectors' skeletons.
    """

    data: Path = Path("../shared/data")
    """Folder of the converted tables."""
    seeds: Count = 1
    """Trainings of each."""
    out: Path = Path("data/results/adapt.json")
    """Result file."""

    def run(self) -> int:
        """Adapt, score, print, write."""
        require_file(self.out)
        torch.set_num_threads(1)
        rows = []
        for read in CAPTURES:
            halves = read(self.data)
            for seed in range(self.seeds):
                for learned in (0, 1):
                    recipe = replace(AdaptRecipe(), seed=AdaptRecipe().seed + seed)
                    with tempfile.TemporaryDirectory() as folder:
                        row = adapt_to(halves, learned, recipe, Path(folder))
                    print(line(row), flush=True)
                    rows.append(row)
        write_figures(self.out, SCHEMA, {"rows": [asdict(row) for row in rows]})
        return 0


def line(row: AdaptRow) -> str:
    """One row in words."""
    change = ", ".join(f"{name} {row.before[name]:.2f} -> {row.after[name]:.2f}" for name in row.before)
    said = "taken" if row.taken else "not taken"
    return (
        f"{row.capture}, learned from part {row.learned_from + 1} ({row.frames} frames, {row.minutes:.1f} min): labels "
        f"{row.verdict.before:.2f} -> {row.verdict.after:.2f} ± {row.verdict.error:.2f}, {said}; "
        f"truth of the other, with the best weights that were tried: {change}"
    )
