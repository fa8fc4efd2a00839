"""`dispose bench kernels`: the fast operators beside their definitions, in one run, on random captures.

Times are those of `torch.utils.benchmark`. A capture is a marginal problem of association, or evidence in a ring of
cameras; tests take them too.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.benchmark import Timer
from tqdm import tqdm

from dispose.formats.folders import require_file
from dispose.options import Count
from dispose_benchmarks.clock import peak_mib
from dispose_benchmarks.report import write_figures
from dispose_kernels.candidates import ABSENT, Evidence, enumerate_product, join, pair_cost
from dispose_kernels.deformable_attention import DeformableBackend, deformable_backend
from dispose_kernels.segment import Reduction, segment_backend
from dispose_kernels.sinkhorn import Marginals, newton_projection, pack, sweep_projection

SCHEMA = "dispose.kernel-bench/1"
LEAST_SECONDS = 0.2
"""An operator is called again and again for so long."""


@dataclass(frozen=True, eq=False)
class ProblemInstance:
    """One random frame: who was detected, candidate tuples (right, partly right, wrong, single), oracle-like logits.

    The last tuple of the marginal problem, and of the logits, is absent everywhere.
    """

    members: Int[Tensor, "candidates views"]
    valid: Bool[Tensor, "views slots"]
    marginals: Marginals
    logits: Float[Tensor, " tuples"]


def random_capture(
    generator: torch.Generator, *, views: int, people: int, false_people: int, wrong: int, confidence: float = 5.0
) -> ProblemInstance:
    """People seen with probability 0.85 in every view, as many false detections in every view as asked for.

    Logits are plus or minus the confidence for right and other tuples, with normal noise of 0.4 times it. Marginals:
    1 for a detection, ``all detections + 1 - detections of the view`` for its dustbin.
    """
    seen = torch.rand(people, views, generator=generator) < 0.85
    right = torch.where(seen, seen.long().cumsum(0) - 1, ABSENT)
    counts = seen.sum(0) + false_people
    parts = right[:, None].expand(-1, 4, -1)
    parts = torch.where(torch.rand(parts.shape, generator=generator) < 0.6, parts, ABSENT).reshape(-1, views)
    guess = (torch.rand(wrong, views, generator=generator) * counts).long()
    keep = (torch.rand(wrong, views, generator=generator) < 0.5) & (counts > 0)
    guess = torch.where(keep, guess, ABSENT)
    valid = torch.arange(max(1, int(counts.max())))[None] < counts[:, None]
    view, slot = torch.nonzero(valid, as_tuple=True)
    single = torch.full((len(view), views), ABSENT)
    single[torch.arange(len(view)), view] = slot
    members = torch.cat([right, parts, guess, single])
    members = torch.unique(members[(members != ABSENT).any(1)], dim=0)
    good = (members[:, None] == right[None]).all(2).any(1) if people else members.new_zeros(len(members)).bool()
    noise = torch.randn(len(members), generator=generator, dtype=torch.float64)
    logits = torch.where(good, confidence, -confidence) + 0.4 * confidence * noise
    return ProblemInstance(members, valid, _always_feasible(members, counts), torch.cat([logits, logits.new_zeros(1)]))


def _always_feasible(members: Tensor, counts: Tensor) -> Marginals:
    """Bins of a view: its detections, then its dustbin."""
    first = (counts + 1).cumsum(0) - counts - 1
    everyone = torch.cat([members, torch.full((1, members.shape[1]), ABSENT)])
    bins = first + torch.where(everyone == ABSENT, counts, everyone)
    target = torch.ones(int((counts + 1).sum()), dtype=torch.float64)
    target[first + counts] = (counts.sum() + 1 - counts).double()
    sample, sample_of_bin = torch.zeros(len(bins), dtype=torch.long), torch.zeros(len(target), dtype=torch.long)
    return Marginals(bins, target, sample, sample_of_bin, 1)


def random_evidence(
    generator: torch.Generator,
    *,
    views: int,
    people: int,
    false_people: int,
    joints: int,
    noise_mm: float = 15.0,
) -> Evidence:
    """Rays of a ring of cameras, 5 m away, to people's joints; 10 % of people missed, 15 % of joints unseen.

    A ray's precision is ``(I - d dt) / noise^2``: nothing is known along it.
    """
    angle = torch.arange(views, dtype=torch.float64) / views * 2 * torch.pi
    angle = angle + 0.1 * torch.rand(views, generator=generator, dtype=torch.float64)
    centre = torch.stack([5000 * angle.cos(), 5000 * angle.sin(), torch.full_like(angle, 1500.0)], -1)
    true = _people(generator, people, joints)[None].expand(views, -1, -1, -1)
    false = _people(generator, views * false_people, joints).reshape(views, false_people, joints, 3)
    xyz = torch.cat([true, false], 1)
    xyz = xyz + noise_mm * torch.randn(xyz.shape, generator=generator, dtype=torch.float64)
    valid = torch.rand(xyz.shape[:2], generator=generator) < 0.9
    seen = (torch.rand(xyz.shape[:3], generator=generator) < 0.85) & valid[..., None]
    ray = xyz - centre[:, None, None]
    ray = ray / ray.norm(dim=-1, keepdim=True)
    precision = (torch.eye(3, dtype=torch.float64) - ray[..., :, None] * ray[..., None, :]) / noise_mm**2
    precision = torch.where(seen[..., None, None], precision, 0.0)
    information = (precision @ centre[:, None, None, :, None])[..., 0]
    constant = (information * centre[:, None, None]).sum(-1)
    return Evidence(precision, information, constant, valid)


def _people(generator: torch.Generator, people: int, joints: int) -> Tensor:
    """Joints scattered like a body around places in a room of 5 m, mm."""
    place = (torch.rand(people, 1, 3, generator=generator, dtype=torch.float64) - 0.5) * 5000.0
    body = torch.randn(people, joints, 3, generator=generator, dtype=torch.float64)
    spread = torch.tensor([200.0, 200.0, 500.0], dtype=torch.float64)
    return place * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64) + body * spread


@dataclass(frozen=True)
class Comparison:
    """One operator against its definition, on the same operands in the same run; medians of many calls."""

    operator: str
    case: str
    fast_ms: float
    reference_ms: float
    ratio: float
    difference: float


@dataclass(frozen=True)
class Feasibility:
    """How well the converged projection meets its marginals on random captures."""

    captures: int
    false_people_per_view: int
    tuples: int
    worst_residual: float
    slowest_iterations: int
    seconds: float


@dataclass(frozen=True)
class Scale:
    """What one operator takes where its definition is out of reach; memory is the peak of the process so far."""

    operator: str
    case: str
    milliseconds: float
    tuples: int
    peak_mib: int


Result = Comparison | Feasibility | Scale
Results = list[Result]


def row_of(result: Result) -> dict[str, object]:
    """A figure as the result file has it."""
    return {"kind": type(result).__name__.lower(), **asdict(result)}


def line_of(result: Result) -> str:
    """A figure for a terminal."""
    known = row_of(result)
    texts = [str(value) for value in known.values() if isinstance(value, str)]
    numbers = [f"{name.replace('_', ' ')} {value:.5g}" for name, value in known.items() if not isinstance(value, str)]
    return f"{': '.join(texts)}: {', '.join(numbers)}"


def median_ms(function: Callable[[], object]) -> float:
    """The median of many calls of a function, after some that do not count, on as many threads as torch may use."""
    timer = Timer("function()", globals={"function": function}, num_threads=torch.get_num_threads())
    return 1e3 * timer.blocked_autorange(min_run_time=LEAST_SECONDS).median


def compare(operator: str, case: str, fast: Callable[[], Tensor], reference: Callable[[], Tensor]) -> Comparison:
    """Times of both, their ratio (above 1: the fast one is faster) and the largest difference of their results."""
    difference = float((fast() - reference()).abs().max())
    fast_ms, reference_ms = median_ms(fast), median_ms(reference)
    ratio = round(reference_ms / fast_ms, 2)
    return Comparison(operator, case, round(fast_ms, 4), round(reference_ms, 4), ratio, difference)


def segment_suite(captures: int) -> Results:
    """Five reductions of 2,000 items of 64 channels into 300 segments, forward and backward."""
    random = torch.Generator().manual_seed(0)
    values = torch.randn(2000, 64, generator=random)
    index = torch.randint(0, 300, (2000,), generator=random)

    def gradient(reduction: Reduction) -> Tensor:
        leaf = values.clone().requires_grad_()
        out = reduction(leaf, index, 300)
        return torch.autograd.grad(torch.where(torch.isfinite(out), out, 0.0).square().sum(), leaf)[0]

    native, reference = vars(segment_backend("native")), vars(segment_backend("reference"))
    case = "2000x64 -> 300, forward and backward"
    return [
        compare(f"segment_{name}", case, partial(gradient, native[name]), partial(gradient, reference[name]))
        for name in ("sum", "mean", "max", "softmax", "logsumexp")
    ]


def sinkhorn_suite(captures: int) -> Results:
    """Newton against sweeps on a training batch, and the marginals of many captures with 50 false people a view."""
    results: Results = []
    for confidence in (1.0, 3.0):
        parts = _captures(16, false_people=2, wrong=120, confidence=confidence)
        logits, marginals = _together(parts)
        results.append(
            compare(
                "newton_projection",
                f"16 captures, {len(logits)} tuples, {len(marginals.target)} bins, logits +-{confidence:g}; "
                "reference: 1000 sweeps",
                lambda u=logits, m=marginals: newton_projection(u, m).mass,
                lambda u=logits, m=marginals: sweep_projection(u, m, 1000),
            )
        )
    return [*results, feasibility(captures)]


def feasibility(captures: int, *, false_people: int = 50, batch: int = 20) -> Feasibility:
    """Largest marginal residual over random captures with many false people, projected in packed batches."""
    worst, slowest, tuples, seconds = 0.0, 0, 0, 0.0
    for first in tqdm(range(0, captures, batch), desc="captures projected", unit_scale=batch):
        size = min(batch, captures - first)
        logits, marginals = _together(_captures(size, false_people=false_people, wrong=300, seed=first))
        start = time.perf_counter()
        projection = newton_projection(logits, marginals)
        seconds += time.perf_counter() - start
        worst = max(worst, float(projection.residual.max()))
        slowest, tuples = max(slowest, projection.iterations), tuples + len(logits)
    return Feasibility(captures, false_people, tuples, worst, slowest, round(seconds, 3))


def candidates_suite(captures: int) -> Results:
    """The join against the full product on small rigs, and alone, with a budget, on large ones."""
    results: Results = []
    for views, people in ((3, 5), (4, 4), (5, 3)):
        evidence = _evidence(views, people, 1)
        allowed = pair_cost(evidence) < torch.inf
        results.append(
            compare(
                "join",
                f"{views} views x {people + 1} detections, no pair excluded; reference: full product",
                lambda e=evidence, a=allowed: join(e, a, cap=16.0, limit=50.0).cost,
                lambda e=evidence, a=allowed: enumerate_product(e, a, cap=16.0, limit=50.0).cost,
            )
        )
    for views, people in ((5, 10), (10, 10), (15, 15)):
        evidence = _evidence(views, people, 2)
        for name, most in (("no pair excluded", torch.inf), ("pairs below 30", 30.0)):
            allowed = pair_cost(evidence) < most
            results.append(_scale(evidence, allowed, f"{views} views x {people + 2} detections, {name}"))
    return results


def deformable_suite(captures: int) -> Results:
    """Deformable attention of a laptop's and of the published sizes; gradients are those of the locations."""
    laptop, published = ((64, 48), (32, 24), (16, 12)), ((240, 128), (120, 64), (60, 32))
    native, reference = deformable_backend("native"), deformable_backend("reference")
    results: Results = []
    for queries, heads, chans, sizes in ((180, 4, 64, laptop), (100, 8, 256, published)):
        levels, map_of, location, weight = _attention_operands(queries, heads, chans, sizes)
        case = f"{queries} queries, {heads} heads, 3 levels x 8 points, {chans} channels of {sizes[0][0]}x{sizes[0][1]}"

        def forward(backend: DeformableBackend, operands=(levels, map_of, location, weight)) -> Tensor:
            with torch.no_grad():
                return backend.gather(*operands)[0]

        def gradient(backend: DeformableBackend, operands=(levels, map_of, location, weight)) -> Tensor:
            out = backend.gather(*operands)[0]
            found = torch.autograd.grad(out.square().sum(), operands[2])[0]
            return found / found.abs().max()

        for work, words in ((forward, "forward"), (gradient, "forward and backward")):
            pair = partial(work, native), partial(work, reference)
            results.append(compare("deformable_gather", f"{case}, {words}", *pair))
    return results


def _attention_operands(
    queries: int, heads: int, chans: int, sizes: tuple[tuple[int, int], ...]
) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
    """Maps of four views, and points around one place per query."""
    random = torch.Generator().manual_seed(queries)
    maps = [torch.randn(4, chans, h, w, generator=random) for w, h in sizes]
    levels = [level.contiguous(memory_format=torch.channels_last) for level in maps]
    place = torch.rand(queries, 1, 1, 1, 2, generator=random)
    location = place + 0.05 * torch.randn(queries, heads, len(sizes), 8, 2, generator=random)
    weight = torch.rand(queries, heads, len(sizes), 8, generator=random)
    map_of = torch.arange(queries) % 4
    return levels, map_of, location.requires_grad_(), weight.requires_grad_()


def _scale(evidence: Evidence, allowed: Tensor, case: str) -> Scale:
    run = partial(join, evidence, allowed, cap=16.0, limit=50.0, budget=16)
    return Scale("join with a budget of 16", case, round(median_ms(run), 2), len(run().cost), int(peak_mib()))


def _evidence(views: int, people: int, false_people: int) -> Evidence:
    random = torch.Generator().manual_seed(views)
    return random_evidence(random, views=views, people=people, false_people=false_people, joints=17)


def _captures(
    count: int, *, false_people: int, wrong: int, confidence: float = 5.0, seed: int = 0
) -> list[ProblemInstance]:
    random = torch.Generator().manual_seed(seed)
    return [
        random_capture(
            random,
            views=3 + (seed + k) % 4 if false_people > 10 else 5,
            people=1 + (seed + k) % 8,
            false_people=false_people,
            wrong=wrong,
            confidence=confidence,
        )
        for k in range(count)
    ]


def _together(parts: list[ProblemInstance]) -> tuple[Tensor, Marginals]:
    return torch.cat([part.logits for part in parts]), pack([part.marginals for part in parts])


SUITES = {
    "segment": segment_suite,
    "sinkhorn": sinkhorn_suite,
    "candidates": candidates_suite,
    "deformable": deformable_suite,
}
Suite = Literal["segment", "sinkhorn", "candidates", "deformable"]


@dataclass(frozen=True)
class KernelsBench:
    """Time the fast operators beside their definitions, on the same operands, and compare what they return."""

    suites: Annotated[tuple[Suite, ...], tyro.conf.Positional] = ("segment", "sinkhorn", "candidates", "deformable")
    """Which operators."""
    captures: Count = 1000
    """Random captures whose marginals are projected."""
    threads: Count = 1
    """Threads torch may use."""
    out: Path = Path("data/results/bench_kernels.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            results = tuple(result for name in self.suites for result in SUITES[name](self.captures))
        finally:
            torch.set_num_threads(before)
        for result in results:
            print(line_of(result))
        about = {"torch": str(torch.__version__), "threads": self.threads}
        write_figures(self.out, SCHEMA, {**about, "results": [row_of(result) for result in results]})
        return 0
