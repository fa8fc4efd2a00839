"""How many steps of the reverse diffusion pay: figures of association and time on held-out synthetic frames."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.formats.folders import require_file
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.sampling import SamplerConfig
from dispose.options import Count
from dispose.scene.frame import Frame, Labels
from dispose.zoo import load_associator
from dispose_benchmarks.held_out import held_out, score
from dispose_benchmarks.report import require_numbers, write_figures
from dispose_synthetic.joint_poor import a_share, report_joints
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SCHEMA = "dispose.bench.steps/1"
KINDS = {
    "as trained on": SceneConfig(),
    "crowded": SceneConfig(views=(4, 6), view_weights=(1.0,), persons=(9, 12)),
    "few views": SceneConfig(views=(2, 3), view_weights=(1.0,)),
    "few joints": SceneConfig(),
}
FEW_JOINTS = a_share(0.4, 0.4)
"""Which are reported where there are few."""


@dataclass(frozen=True)
class StepRow:
    """One number of denoiser calls on one kind of frames, over all seeds (`GroupingScore`), on one thread."""

    kind: str
    steps: int
    pair_f1: float
    exact: float
    lowest_f1: float
    milliseconds: float


def draw(kind: str, seed: int, frames: int) -> list[tuple[Frame, Labels]]:
    """Held-out frames of a kind."""
    generator = held_out(seed)
    scenes = sample_scenes(generator, frames, KINDS[kind])
    return [report_joints(*scene, FEW_JOINTS, generator) for scene in scenes] if kind == "few joints" else scenes


def measure(
    associator: Associator, kind: str, steps: int, scenes: Sequence[Sequence[tuple[Frame, Labels]]], batch: int
) -> StepRow:
    """One row."""
    associate = partial(associator.associate, sampler=SamplerConfig(steps=steps))
    return StepRow(kind, steps, **asdict(score(associate, scenes, batch)))


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
