"""How many steps of the reverse diffusion pay: figures of association and time on held-out synthetic frames."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.sampling import SamplerConfig
from dispose.options import Count, require_file
from dispose.scene.frame import Frame, Labels
from dispose.zoo import load_associator
from dispose_benchmarks.report import require_numbers, write_figures
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SCHEMA = "dispose.bench.steps/1"
HELD_OUT = 7_000_000_000
"""Added to seeds: training draws from smaller ones."""

KINDS = {
    "as trained on": SceneConfig(),
    "crowded": SceneConfig(views=(4, 6), view_weights=(1.0,), persons=(9, 12)),
    "few views": SceneConfig(views=(2, 3), view_weights=(1.0,)),
    "few joints": SceneConfig(),
}
LOST_JOINTS = 0.6
"""Share of the joints that are hidden where there are few."""


@dataclass(frozen=True)
class StepRow:
    """One number of denoiser calls on one kind of frames, over all seeds; shares in percent.

    F1 of pairs of detections, over all and of the worst seed; people whose detections are one group, complete and
    alone; and the processor time of a frame, from detections to groups, on one thread in batches.
    """

    kind: str
    steps: int
    pair_f1: float
    exact: float
    lowest_f1: float
    milliseconds: float


def draw(kind: str, seed: int, frames: int) -> list[tuple[Frame, Labels]]:
    """Held-out frames of a kind."""
    generator = torch.Generator().manual_seed(HELD_OUT + seed)
    scenes = sample_scenes(generator, frames, KINDS[kind])
    return [(hide_joints(f, generator), labels) for f, labels in scenes] if kind == "few joints" else scenes


def hide_joints(frame: Frame, generator: torch.Generator) -> Frame:
    """The frame with most joints not seen."""
    found = frame.detections
    visible = found.visible & (torch.rand(found.visible.shape, generator=generator) >= LOST_JOINTS)
    xy, confidence = torch.where(visible[..., None], found.xy_image, 0.0), torch.where(visible, found.confidence, 0.0)
    return replace(frame, detections=replace(found, visible=visible, xy_image=xy, confidence=confidence))


def measure(
    associator: Associator, kind: str, steps: int, scenes: Sequence[Sequence[tuple[Frame, Labels]]], batch: int
) -> StepRow:
    """One row."""
    each, seconds = [], 0.0
    for drawn in scenes:
        counts = PairCounts()
        for first in range(0, len(drawn), batch):
            part = drawn[first : first + batch]
            started = time.process_time()
            found = associator.associate([frame for frame, _ in part], sampler=SamplerConfig(steps=steps))
            seconds += time.process_time() - started
            for result, (_, labels) in zip(found, part, strict=True):
                counts += count_pairs(result.association, labels.identity)
        each.append(counts)
    total = sum(each, PairCounts())
    frames = sum(map(len, scenes))
    lowest = min(counts.f1 for counts in each)
    return StepRow(kind, steps, 100 * total.f1, 100 * total.exact_rate, 100 * lowest, 1000 * seconds / frames)


@dataclass(frozen=True)
class StepsBench:
    """Score numbers of sampler steps on held-out synthetic frames of several kinds, with the time they take."""

    steps: tuple[int, ...] = (1, 2, 3, 6, 10)
    """Numbers of steps."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the scenes."""
    frames: Count = 64
    """Frames of every kind and seed."""
    batch: Count = 16
    """Frames computed together."""
    out: Path = Path("data/results/sampler_steps.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_numbers("steps", self.steps, 1)
        require_numbers("seeds", self.seeds, 0)
        require_file(self.out)
        torch.set_num_threads(1)
        associator, rows = load_associator(), []
        for kind in tqdm(KINDS, unit="kind"):
            scenes = [draw(kind, seed, self.frames) for seed in self.seeds]
            rows += [measure(associator, kind, steps, scenes, self.batch) for steps in self.steps]
        print("kind           steps   pair F1    exact   lowest F1      frame")
        for row in rows:
            print(
                f"{row.kind:<14} {row.steps:>5} {row.pair_f1:>9.2f} {row.exact:>8.2f} {row.lowest_f1:>11.2f} "
                f"{row.milliseconds:>7.1f} ms"
            )
        frames = self.frames * len(self.seeds)
        write_figures(self.out, SCHEMA, {"frames": frames, "rows": [asdict(row) for row in rows]})
        return 0
