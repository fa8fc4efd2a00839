"""How time and memory of a whole frame grow with views and people, beside plain enumeration.

A frame: people in a room seen by a ring or corners of cameras, five pixels of noise, one person in ten missed and one
false person per view. Ours: everything `dispose predict` does for a batch of frames (candidates, diffusion, rounding,
triangulation). Plain: every combination of detections of one frame one after another with its cost, then
self-attention over all kept tuples with its full matrix, once. Times are of this process on one thread; only their
ratio means something.
"""

import importlib.util
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from dispose.association.cues import MISFIT_CAP, fuse
from dispose.association.evidence import pair_misfit
from dispose.association.view_blocks import DIRECT_VIEWS
from dispose.formats.folders import require_file
from dispose.models.dispose.associator import Associator
from dispose.options import Count
from dispose.scene.frame import Frame
from dispose.scene.results import Reconstruct
from dispose.zoo import load_associator
from dispose.zoo.triangulators import load_reconstruction
from dispose_benchmarks.clock import Clock, peak_mib
from dispose_benchmarks.held_out import detect_simply
from dispose_benchmarks.report import apart, require_numbers, write_figures
from dispose_kernels.candidates import ABSENT, Evidence
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SCHEMA = "dispose.bench/1"
MOST_COMBINATIONS = 200_000
"""Plain enumeration is not run beyond this: it would take minutes to ages."""

MOST_ATTENTION = 6_000
"""Tuples beyond which the full attention matrix is not made (8 heads of float32: 1.1 GiB)."""


@dataclass(frozen=True)
class Cell:
    """One size of problem: cameras, people in the room, frames computed together; detections and tuples of the first.

    Seconds are those of a whole frame of a batch, median of the repeats, elapsed and of the processor, which other
    processes do not lengthen. Memory is the peak of a process that did only this, with the interpreter, torch and the
    weights. Plain enumeration would look at so many combinations; its time, with dense attention, is NaN where it was
    not run.
    """

    views: int
    persons: int
    batch: int
    detections: int
    tuples: int
    seconds: float
    processor_seconds: float
    memory_mib: float
    combinations: float
    plain_seconds: float


@dataclass(frozen=True)
class GrowthFit:
    """``time ~ views^a people^b``, least squares of logarithms over the sizes of `from_views` views and more."""

    from_views: int
    views_exponent: float
    persons_exponent: float


def fit_growth(cells: Sequence[Cell], from_views: int) -> GrowthFit | None:
    """How processor time grows with views and people; None where sizes are too few to tell both."""
    sizes = [cell for cell in cells if cell.views >= from_views]
    if len({cell.views for cell in sizes}) < 2 or len({cell.persons for cell in sizes}) < 2:
        return None
    known = torch.tensor([[cell.views, cell.persons, math.e] for cell in sizes], dtype=torch.float64).log()
    time = torch.tensor([[cell.processor_seconds] for cell in sizes], dtype=torch.float64).log()
    views, persons, _ = torch.linalg.lstsq(known, time).solution[:, 0].tolist()
    return GrowthFit(from_views, views, persons)


def growth_fits(cells: Sequence[Cell]) -> list[GrowthFit]:
    """The fit over all sizes, and over those whose views are decided in blocks, where there are both."""
    numbers = sorted({cell.views for cell in cells})
    starts = dict.fromkeys((numbers[0], next((views for views in numbers if views > DIRECT_VIEWS), numbers[0])))
    return [fit for start in starts if (fit := fit_growth(cells, start)) is not None]


def bench_frame(views: int, persons: int, generator: torch.Generator) -> Frame:
    """A frame of exactly so many people, simple noise, misses and one false person per view."""
    config = SceneConfig(views=(views, views), persons=(persons, persons), ghosts=0, chunk=4)
    frame, _ = detect_simply(*sample_scenes(generator, 1, config)[0], generator)
    return frame


def whole_frames(associator: Associator, reconstruct: Reconstruct, frames: Sequence[Frame]) -> None:
    """What `dispose predict` does for a batch of frames."""
    found = associator.associate(frames)
    reconstruct(frames, [result.association for result in found])


def plain_seconds(associator: Associator, frame: Frame) -> float:
    """Seconds of plain enumeration and dense attention, or NaN where there are too many combinations or tuples."""
    if combinations(frame) > MOST_COMBINATIONS:
        return math.nan
    started = time.perf_counter()
    described = associator.described(frame)
    if described is None:
        return math.nan
    evidence, limits = described.evidence, associator.config.candidates
    allowed = pair_misfit(evidence, cap=MISFIT_CAP) <= limits.pair_limit
    kept = enumerate_all(evidence, allowed, limits.member_limit)
    if len(kept) > MOST_ATTENTION:
        return math.nan
    dense_attention(torch.randn(len(kept), associator.config.chans), associator.config.heads)
    return time.perf_counter() - started


def enumerate_all(
    evidence: Evidence, allowed: Bool[Tensor, "views slots views slots"], limit: float
) -> Int[Tensor, "tuples views"]:
    """Every combination, in chunks of whole tensors: the released way, with our costs."""
    views = len(evidence.valid)
    options = [torch.cat([torch.tensor([ABSENT]), evidence.valid[v].nonzero()[:, 0]]) for v in range(views)]
    members = torch.cartesian_prod(*options)
    members = members[(members != ABSENT).any(1)]
    visible = evidence.valid[..., None].expand(evidence.constant.shape)
    kept = []
    for chunk in members.split(1 << 14):
        fits = torch.ones(len(chunk), dtype=torch.bool)
        for a in range(views):
            for b in range(a):
                both = (chunk[:, a] != ABSENT) & (chunk[:, b] != ABSENT)
                fits &= ~both | allowed[a, chunk[:, a].clamp(min=0), b, chunk[:, b].clamp(min=0)]
        fused = fuse(evidence, chunk, visible)
        fits &= (fused.size == 1) | (fused.misfit.sum(1) <= limit * (fused.size - 1))
        kept.append(chunk[fits])
    return torch.cat(kept)


def dense_attention(x: Float[Tensor, "tuples chans"], heads: int) -> Float[Tensor, "heads tuples tuples"]:
    """Self-attention with its matrix of weights in memory, as with PyTorch's need_weights."""
    split = x.view(len(x), heads, -1).transpose(0, 1)
    return (split @ split.mT / split.shape[-1] ** 0.5).softmax(-1)


def combinations(frame: Frame) -> float:
    """Size of the Cartesian product of detections and absence."""
    return float((frame.detections.counts + 1).double().prod())


def measure(views: int, persons: int, *, batch: int, repeats: int, seed: int) -> Cell:
    """One cell, in this process."""
    torch.set_num_threads(1)
    associator, reconstruct = load_associator(), load_reconstruction()
    frames = [bench_frame(views, persons, torch.Generator().manual_seed(seed + k)) for k in range(batch)]
    parts = Clock(torch.device("cpu")).median(partial(whole_frames, associator, reconstruct, frames), repeats)
    peak = peak_mib()
    hypotheses = associator.associate(frames[:1])[0].hypotheses
    return Cell(
        views=views,
        persons=persons,
        batch=batch,
        detections=int(frames[0].detections.valid.sum()),
        tuples=0 if hypotheses is None else len(hypotheses.cost),
        seconds=sum(part.milliseconds for part in parts) / 1000 / batch,
        processor_seconds=sum(part.processor_ms for part in parts) / 1000 / batch,
        memory_mib=peak,
        combinations=combinations(frames[0]),
        plain_seconds=plain_seconds(associator, frames[0]),
    )


@dataclass(frozen=True)
class AssociationBench:
    """Time whole frames (candidates, diffusion, rounding, triangulation) on one core, and plain enumeration beside.

    Every size runs in a process of its own, so that its peak memory is its own. People are missed in one view of
    ten, and every view has one false person. Times are of this machine in this minute: compare their ratios.
    """

    views: tuple[int, ...] = (3, 5, 7, 10, 15, 31)
    """Numbers of cameras."""
    persons: tuple[int, ...] = (4, 8, 10, 15)
    """Numbers of people."""
    batch: Count = 16
    """Frames computed together."""
    repeats: Count = 3
    """Runs of every size; the median counts."""
    seed: int = 0
    """Of the scenes."""
    out: Path = Path("data/results/bench_association.json")
    """Result file; an image of the growth with the same name and .png stands beside it."""

    def run(self) -> int:
        """Measure, print, write."""
        require_numbers("views", self.views, 2)
        require_numbers("persons", self.persons, 1)
        require_file(self.out)
        sizes = [(views, persons) for views in self.views for persons in self.persons]
        options = {"batch": self.batch, "repeats": self.repeats, "seed": self.seed}
        cells = [
            apart(f"bench of {views} views and {persons} people", None, measure, views, persons, **options)
            for views, persons in tqdm(sizes, unit="size")
        ]
        print(table(cells))
        fits = growth_fits(cells)
        for fit in fits:
            exponents = f"views^{fit.views_exponent:.2f} people^{fit.persons_exponent:.2f}"
            print(f"from {fit.from_views} views on: processor time ~ {exponents}")
        rows, growth = ([asdict(one) for one in several] for several in (cells, fits))
        write_figures(self.out, SCHEMA, {"rows": rows, "growth": growth})
        return self.draw()

    def draw(self) -> int:
        """The image is made by the viz package in a process of its own: `dispose` never draws."""
        if importlib.util.find_spec("matplotlib") is None:
            print("no image: matplotlib is not installed (pip install 'dispose[viz]')")
            return 0
        image = self.out.with_suffix(".png")
        done = subprocess.run(
            [sys.executable, "-m", "dispose_viz.charts.growth", str(self.out), str(image)], check=False
        )
        if done.returncode == 0:
            print(f"wrote {image}")
        return done.returncode


def table(cells: Sequence[Cell]) -> str:
    """Cells as lines of text."""
    lines = ["views people  tuples     frame  processor    memory  combinations  plain / ours"]
    for cell in cells:
        ratio = cell.plain_seconds / cell.seconds
        factor = f"{ratio:.1f} x" if math.isfinite(ratio) else "not run"
        lines.append(
            f"{cell.views:>5} {cell.persons:>6} {cell.tuples:>7} {cell.seconds * 1000:>6.0f} ms "
            f"{cell.processor_seconds * 1000:>7.0f} ms {cell.memory_mib:>5.0f} MiB {cell.combinations:>13.2g} "
            f"{factor:>13}"
        )
    return "\n".join(lines)
