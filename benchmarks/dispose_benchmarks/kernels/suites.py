"""What is measured of every operator."""

import time
from functools import partial

import torch
from torch import Tensor
from tqdm import tqdm

from dispose_benchmarks.kernels.instances import ProblemInstance, random_capture, random_evidence
from dispose_benchmarks.kernels.timing import Feasibility, Result, Scale, compare, peak_mib, time_calls
from dispose_kernels.candidates import Evidence, enumerate_product, join, pair_cost
from dispose_kernels.deformable_attention import DeformableBackend, deformable_backend
from dispose_kernels.segment import Reduction, SegmentBackend, segment_backend
from dispose_kernels.sinkhorn import Marginals, newton_projection, pack, sweep_projection

Results = list[Result]


def segment_suite(captures: int) -> Results:
    """Five reductions of 2,000 items of 64 channels into 300 segments, forward and backward."""
    random = torch.Generator().manual_seed(0)
    values = torch.randn(2000, 64, generator=random)
    index = torch.randint(0, 300, (2000,), generator=random)

    def gradient(reduction: Reduction) -> Tensor:
        leaf = values.clone().requires_grad_()
        out = reduction(leaf, index, 300)
        return torch.autograd.grad(torch.where(torch.isfinite(out), out, 0.0).square().sum(), leaf)[0]

    native, reference = reductions(segment_backend("native")), reductions(segment_backend("reference"))
    case = "2000x64 -> 300, forward and backward"
    return [
        compare(f"segment_{name}", case, partial(gradient, fast), partial(gradient, plain))
        for (name, fast), (_, plain) in zip(native, reference, strict=True)
    ]


def reductions(backend: SegmentBackend) -> list[tuple[str, Reduction]]:
    """The reductions of a backend by name."""
    return [
        ("sum", backend.sum), ("mean", backend.mean), ("max", backend.max), ("softmax", backend.softmax),
        ("logsumexp", backend.logsumexp),
    ]  # fmt: skip


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
    return Scale("join with a budget of 16", case, round(1e3 * time_calls(run).median, 2), len(run().cost), peak_mib())


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
