"""What the joints of a person cost: every triangulator on the same groups, in batches on one core."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time

import torch
from tqdm import tqdm

from dispose.association.reconstruct import GroupKeypoints, Triangulate, gather_groups
from dispose.formats.folders import require_file
from dispose.options import Count
from dispose.scene.labels import association_of_identities
from dispose.zoo.triangulators import TRIANGULATOR_NAMES, load_triangulator
from dispose_benchmarks.held_out import held_out
from dispose_benchmarks.report import require_numbers, write_figures
from dispose_synthetic.detectors.points import PointNoise, detect_points
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SCHEMA = "dispose.bench.triangulators/1"
PER_FRAME = 4
"""People of a frame."""

NOISE = PointNoise(4.0, 0.1, 40.0)


@dataclass(frozen=True)
class TriangulatorCost:
    """Processor time of one triangulator for a batch of people whom so many views see whole, and for one of them."""

    method: str
    views: int
    persons: int
    batch_ms: float
    person_ms: float


def draw_groups(views: int, persons: int, seed: int = 0) -> GroupKeypoints:
    """So many synthetic people of 17 joints in as many views; a tenth of the points is wrong."""
    generator, frames = held_out(seed), -(-persons // PER_FRAME)
    config = SceneConfig(views=(views, views), persons=(PER_FRAME, PER_FRAME), ghosts=0)
    pairs = [detect_points(*pair, NOISE, generator) for pair in sample_scenes(generator, frames, config)]
    groups = [association_of_identities(labels.identity) for _, labels in pairs]
    return gather_groups([frame for frame, _ in pairs], groups).select(persons=slice(0, persons))


def measure(name: str, triangulate: Triangulate, groups: GroupKeypoints, repeats: int) -> TriangulatorCost:
    """The quickest of some runs after one that does not count: what else the machine does makes the others slower."""
    persons, views = groups.member.shape
    # A fresh record every time: one that was asked before keeps what it gathered.
    times = [elapsed(lambda: triangulate(replace(groups))) for _ in range(repeats + 1)]
    batch = 1e3 * min(times[1:])
    return TriangulatorCost(name, views, persons, batch, batch / persons)


def elapsed(work: Callable[[], object]) -> float:
    """Processor time of a call, seconds."""
    start = process_time()
    work()
    return process_time() - start


@dataclass(frozen=True)
class TriangulatorsBench:
    """Time every triangulator on batches of people of 17 joints, on one core.

    Everybody is seen whole by all views, which is the most there can be to compute; a tenth of the points is wrong.
    """

    triangulators: tuple[str, ...] = TRIANGULATOR_NAMES
    """Which of them."""
    views: tuple[int, ...] = (2, 3, 5, 10)
    """Numbers of views."""
    persons: Count = 100
    """People of a batch."""
    repeats: Count = 9
    """Runs; the quickest counts."""
    out: Path = Path("data/results/bench_triangulators.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_numbers("views", self.views, 1)
        require_file(self.out)
        torch.set_num_threads(1)
        table = [(name, load_triangulator(name)) for name in self.triangulators]
        rows = []
        with torch.no_grad():
            for views in tqdm(self.views, unit="rig"):
                groups = draw_groups(views, self.persons)
                rows += [measure(name, triangulate, groups, self.repeats) for name, triangulate in table]
        print("triangulator  views people     batch    person")
        for row in rows:
            print(f"{row.method:<12} {row.views:>6} {row.persons:>6} {row.batch_ms:>6.1f} ms {row.person_ms:>6.3f} ms")
        write_figures(self.out, SCHEMA, {"rows": [asdict(row) for row in rows]})
        return 0
