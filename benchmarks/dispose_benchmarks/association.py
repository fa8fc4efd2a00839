"""How time and memory of a whole frame grow with views and people, beside plain enumeration.

A frame: people in a room seen by a ring or corners of cameras, five pixels of noise, one person in ten missed and one
false person per view. Ours: everything `dispose predict` does for a frame (candidates, diffusion, rounding,
triangulation). Plain: every combination of detections one after another with its cost, then self-attention over all
kept tuples with its full matrix, once. Times are of this process on one thread; only their ratio means something.
"""

import math
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.cues import MISFIT_CAP, fuse
from dispose.association.evidence import pair_misfit
from dispose.errors import DisposeError
from dispose.models.dispose.associator import Associator
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.skeletons.catalog import COCO_17
from dispose.zoo import load_associator
from dispose.zoo.records import from_json
from dispose_kernels.candidates import ABSENT, Evidence
from dispose_synthetic.scenes import SceneConfig, sample_scenes

NOISE_PX = 5.0
MISSED = 0.1
MOST_COMBINATIONS = 200_000
"""Plain enumeration is not run beyond this: it would take minutes to ages."""

MOST_ATTENTION = 6_000
"""Tuples beyond which the full attention matrix is not made (8 heads of float32: 1.1 GiB)."""


@dataclass(frozen=True)
class Cell:
    """One size of problem.

    Attributes:
        views: cameras.
        persons: people in the room.
        detections: detections over all views.
        tuples: candidate tuples.
        seconds: a whole frame, median of the repeats.
        memory_mib: peak memory of a process that did only this, with the interpreter, torch and the weights.
        combinations: tuples that plain enumeration would look at.
        plain_seconds: plain enumeration and dense attention; NaN where it was not run.
    """

    views: int
    persons: int
    detections: int
    tuples: int
    seconds: float
    memory_mib: float
    combinations: float
    plain_seconds: float


def bench_frame(views: int, persons: int, generator: torch.Generator) -> Frame:
    """A frame of exactly so many people, simple noise, misses and one false person per view."""
    config = SceneConfig(views=(views, views), persons=(persons, persons), ghosts=0, chunk=4)
    frame, labels = sample_scenes(generator, 1, config)[0]
    xy, front = frame.cameras.project(labels.poses.xyz_world)
    xy = xy + NOISE_PX * torch.randn(xy.shape, generator=generator, dtype=xy.dtype)
    inside = (frame.cameras.inside(xy) & front).sum(-1) >= 8
    found = inside & (torch.rand(inside.shape, generator=generator) >= MISSED)
    people: list[list[Tensor]] = []
    for view in range(views):
        seen = [_keypoints(xy[view, person]) for person in found[view].nonzero()[:, 0].tolist()]
        shift = frame.cameras.size[view] * (torch.rand(2, generator=generator, dtype=xy.dtype) - 0.5)
        people.append([*seen, _keypoints(xy[view, 0] + shift)])
    return Frame(0, frame.cameras, Detections.from_lists(COCO_17, people))


def _keypoints(xy: Float[Tensor, "joints 2"]) -> Float[Tensor, "joints 3"]:
    return torch.cat([xy, torch.full_like(xy[:, :1], 0.8)], dim=1)


def whole_frame(associator: Associator, frame: Frame) -> None:
    """What `dispose predict` does for one frame."""
    associator.reconstruct(frame, associator(frame))


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


def measure(views: int, persons: int, *, repeats: int, seed: int) -> Cell:
    """One cell, in this process."""
    torch.set_num_threads(1)
    associator = load_associator()
    whole_frame(associator, bench_frame(2, 2, torch.Generator().manual_seed(1)))
    frame = bench_frame(views, persons, torch.Generator().manual_seed(seed))
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        whole_frame(associator, frame)
        times.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    problem = associator.problem(frame)
    return Cell(
        views=views,
        persons=persons,
        detections=int(frame.detections.valid.sum()),
        tuples=0 if problem is None else len(problem.cost),
        seconds=sorted(times)[len(times) // 2],
        memory_mib=peak,
        combinations=combinations(frame),
        plain_seconds=plain_seconds(associator, frame),
    )


def measure_apart(views: int, persons: int, *, repeats: int, seed: int) -> Cell:
    """One cell in a process of its own, so that its peak memory is its own."""
    code = (
        "from dispose_benchmarks.association import measure; from dispose.zoo.records import to_json; "
        f"print(to_json(measure({views}, {persons}, repeats={repeats}, seed={seed})))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise DisposeError(f"bench of {views} views and {persons} people failed: {reason}")
    return from_json(done.stdout.strip().splitlines()[-1], Cell, "bench")
