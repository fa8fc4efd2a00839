"""The reverse process on a graph of candidate tuples: from a denoiser to posterior mass."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.decode import Rounding, group_confidence, pair_worth, set_packing
from dispose.association.polytope import CandidateGraph, collate
from dispose.diffusion.parameterisations import predict_clean
from dispose.diffusion.samplers import (
    Process,
    Step,
    ddim_step,
    keep_latent,
    log_of_mass,
    normal_start,
    reverse_process,
    zero_start,
)
from dispose.diffusion.schedules import cosine_alpha_bar, log_snr_alpha_bar
from dispose.scene.results import Association, AssociationResult, Hypotheses
from dispose_kernels.sinkhorn import newton_projection, sweep_projection

TOLERANCE = 1e-7
"""Marginal residual of the converged projections, in units of one detection."""


Judge = Callable[[CandidateGraph, Tensor, Tensor, Tensor], Tensor]
"""``(graph, mass, time, noise level) -> logits``: the denoiser, or what a control experiment puts in its place."""


@dataclass(frozen=True)
class NoiseConfig:
    """Which noise a denoiser learned to undo.

    Attributes:
        latent_scale: a true tuple's clean latent is +scale, a false one's -scale.
        log_snr: logarithm of signal over noise at times 0 and 1, even between; None = the cosine schedule.
    """

    latent_scale: float = 4.0
    log_snr: tuple[float, float] | None = None

    def alpha_bar(self, time: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """Signal fraction at times in [0, 1]."""
        if self.log_snr is None:
            return cosine_alpha_bar(time)
        first, last = self.log_snr
        return log_snr_alpha_bar(time, first=first, last=last)

    def signal(self, time: float) -> float:
        """Signal fraction at one time."""
        return float(self.alpha_bar(torch.tensor(time, dtype=torch.float64)))

    def clean_latent(self, mass: Float[Tensor, " tuples"]) -> Float[Tensor, " tuples"]:
        """``scale (2 x - 1)``: affine in the mass, so that the mean mass gives the mean latent."""
        return self.latent_scale * (2 * mass.double().clamp(0, 1) - 1)


@dataclass(frozen=True)
class SamplerConfig:
    """How the reverse process is run.

    Attributes:
        steps: denoiser calls.
        hypotheses: random starts besides which nothing else is random; 0 = one run from the zero latent.
        stochasticity: DDIM's eta.
        projection: what puts a graph's latents onto its polytope.
        observe: the latent that a reverse step starts from (`dispose.diffusion.samplers.Process`).
    """

    steps: int = 6
    hypotheses: int = 0
    stochasticity: float = 0.0
    projection: Callable[[CandidateGraph], Callable[[Tensor], Tensor]] = field(
        default_factory=lambda: project_converged
    )
    observe: Callable[[Tensor, Tensor], Tensor] = keep_latent


@dataclass(frozen=True, eq=False)
class Problem:
    """The association problem of a frame or several: the graph, and the tuples in the frames' own order of views.

    Attributes:
        graph: a sample per frame, its views sorted by where the cameras stand.
        members: the graph's tuples with the frame's views as columns, and `ABSENT` in those that the frame lacks.
        cost: geometric cost of every tuple (`dispose_kernels.candidates`).
    """

    graph: CandidateGraph
    members: Int[Tensor, "tuples views"]
    cost: Float[Tensor, " tuples"]


@dataclass(frozen=True, eq=False)
class Posterior:
    """Two answers to how probable a tuple is.

    Attributes:
        marginal: the first clean state, asked from pure noise: the network's mean over all assignments. Calibrated
            by its training, undecided where the evidence is.
        sampled: the last clean state, by then committed to one consistent assignment (or to a share of several
            hypotheses).
    """

    marginal: Float[Tensor, " tuples"]
    sampled: Float[Tensor, " tuples"]

    @property
    def mean(self) -> Float[Tensor, " tuples"]:
        """The mean of both: what sampling decided, and what it gave up although it was fairly probable."""
        return (self.marginal + self.sampled) / 2


PAIR_THRESHOLD = 0.1
"""Two detections are better grouped than apart above this mean posterior: a pair that sampling affirms, or one whose
marginal is above 0.2. The best of seven on held-out synthetic frames."""


better_together = partial(pair_worth, threshold=PAIR_THRESHOLD)
"""What tuples are worth unless another is asked for."""


def trajectory(
    denoiser: Judge,
    problem: Problem,
    sampler: SamplerConfig | None = None,
    generator: torch.Generator | None = None,
    *,
    noise: NoiseConfig | None = None,
) -> Iterator[Step]:
    """The states of the reverse process; with several hypotheses they are packed one after the other."""
    sampler, noise = sampler or SamplerConfig(), noise or NoiseConfig()
    copies = max(sampler.hypotheses, 1)
    graph = collate([problem.graph] * copies) if copies > 1 else problem.graph
    start = zero_start(graph.cue.double())
    if sampler.hypotheses:
        # Sample after sample, so that a batch draws what its samples would draw one by one.
        counts = torch.bincount(problem.graph.sample, minlength=problem.graph.samples).tolist()
        parts = start.view(copies, -1).split(counts, 1)
        start = torch.cat([normal_start(part, generator) for part in parts], 1).flatten()
    times = [1 - k / sampler.steps for k in range(sampler.steps)]
    process = Process(
        denoise=clean_mass(denoiser, graph, sampler.projection(graph), noise),
        project=sampler.projection(graph),
        parameterisation=predict_clean(noise.clean_latent),
        alpha_bar=noise.signal,
        observe=sampler.observe,
    )
    step = partial(ddim_step, stochasticity=sampler.stochasticity)
    return reverse_process(process, start, times, step=step, generator=generator)


def clean_mass(
    denoiser: Judge, graph: CandidateGraph, project: Callable[[Tensor], Tensor], noise: NoiseConfig
) -> Callable[[Float[Tensor, " tuples"], float], Float[Tensor, " tuples"]]:
    """The denoiser of one graph as a function of mass and time, its answer projected."""

    def denoise(mass: Tensor, time: float) -> Tensor:
        with torch.inference_mode():
            moment = torch.full((graph.samples,), time, device=mass.device)
            logits = denoiser(graph, mass.float(), moment, torch.full_like(moment, (1 - noise.signal(time)) ** 0.5))
        return project(logits.double())

    return denoise


def posterior_of(problem: Problem, steps: Sequence[Step]) -> Posterior:
    """The posterior from the recorded steps of the reverse process."""
    first, last = (over_starts(problem, step.clean) for step in (steps[0], steps[-1]))
    return Posterior(marginal=first, sampled=last)


def decide(
    problem: Problem,
    steps: Sequence[Step],
    views: Sequence[int],
    *,
    worth: Callable[[Tensor, Tensor], Tensor] = better_together,
    rounding: Rounding = set_packing,
) -> list[AssociationResult]:
    """Groups of every sample, with all its tuples and their mass at every recorded step.

    The last clean state stands at time 0; the fallback tuple, absent everywhere, is left out; several random starts
    are averaged. The confidence of a group is the probability of its pairs before sampling.

    Args:
        problem: of one sample or several.
        steps: the recorded steps of the reverse process.
        views: number of views of every sample.
        worth: what tuples are worth, given their mass.
        rounding: which disjoint tuples are taken, given their worth.
    """
    posterior = posterior_of(problem, steps)
    states = torch.stack([over_starts(problem, state) for state in (*(s.mass for s in steps), steps[-1].clean)])
    time = torch.tensor([*(step.time for step in steps), 0.0], dtype=torch.float64, device=states.device)
    counts = torch.bincount(problem.graph.sample, minlength=problem.graph.samples).tolist()
    results, first = [], 0
    for width, count in zip(views, counts, strict=True):
        rows = slice(first, first + count - 1)
        members, marginal = problem.members[rows, :width], posterior.marginal[rows]
        chosen = rounding(worth(posterior.mean[rows], members), members)
        association = Association(members[chosen], group_confidence(marginal, members, chosen))
        cost, cue = problem.cost[rows], problem.graph.cue[rows]
        results.append(AssociationResult(association, Hypotheses(members, cost, cue, marginal, time, states[:, rows])))
        first += count
    return results


def nobody(views: int, device: torch.device) -> Association:
    """No groups."""
    members = torch.zeros(0, views, dtype=torch.long, device=device)
    return Association(members, torch.zeros(0, dtype=torch.float64, device=device))


def over_starts(problem: Problem, mass: Float[Tensor, " copies_of_tuples"]) -> Float[Tensor, " tuples"]:
    """The mean over the random starts that were packed one after the other."""
    return mass.view(-1, len(problem.cost)).mean(0)


def project_converged(graph: CandidateGraph) -> Callable[[Tensor], Tensor]:
    """The converged projection of one graph; every call starts from the duals of the last."""
    duals: Tensor | None = None

    def project(latent: Tensor) -> Tensor:
        nonlocal duals
        result = newton_projection(latent, graph.marginals, tolerance=TOLERANCE, warm_start=duals)
        duals = result.duals
        return result.mass

    return project


def two_sweeps(graph: CandidateGraph) -> Callable[[Tensor], Tensor]:
    """As released: two sweeps over the views, after which only the last view's marginals are met."""
    return lambda latent: sweep_projection(latent, graph.marginals, 2)


RELEASED_SAMPLER = SamplerConfig(steps=10, projection=two_sweeps, observe=log_of_mass)
"""Ten deterministic steps from the zero latent, truncated projections, going on from the logarithm of the mass."""
