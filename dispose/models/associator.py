"""Stage I for detections with keypoints: who is who, by projected diffusion on the polystochastic polytope."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.association import cues
from dispose.association.completion import FILL_WHERE_SURE, CompletionConfig, fill_seen_once
from dispose.association.decode import Rounding, group_confidence, pair_worth, set_packing
from dispose.association.evidence import EvidenceConfig, Placement, fuse_ready, joint_beliefs, pair_misfit
from dispose.association.graph import CandidateGraph, collate
from dispose.association.polytope import feasible_marginals
from dispose.association.reconstruct import reconstruct
from dispose.association.viewpoint import Viewpoints, viewpoints
from dispose.diffusion.samplers import Process, Step, keep_latent, log_of_mass, projected_ddim
from dispose.diffusion.schedules import cosine_alpha_bar
from dispose.models.denoiser import Denoiser, DenoiserConfig
from dispose.models.placement import PlacementConfig, PlacementNet, placement_features
from dispose.scene.convert import convert_detections
from dispose.scene.frame import Frame
from dispose.scene.prediction import Association, Prediction
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_kernels.candidates import Evidence, join
from dispose_kernels.sinkhorn import newton_projection, sweep_projection

TOLERANCE = 1e-7
"""Marginal residual of the converged projections, in units of one detection."""


@dataclass(frozen=True)
class CandidateConfig:
    """Which tuples become candidates.

    Attributes:
        pair_limit: two detections can be one person where their mean capped chi-square per joint is at most this.
        member_limit: a tuple of m members may cost this much times m - 1 (summed over the joints).
        budget: tuples kept per detection, the best by ``gain (m - 1) - cost``.
        gain: what one more member may cost before the smaller tuple is the better one.
    """

    pair_limit: float = 17.0
    member_limit: float = 300.0
    budget: int = 24
    gain: float = 100.0


@dataclass(frozen=True)
class SamplerConfig:
    """How the reverse process is run.

    Attributes:
        steps: denoiser calls.
        hypotheses: random starts besides which nothing else is random; 0 = one run from the zero latent.
        stochasticity: DDIM's eta.
        latent_scale: a true tuple's clean latent is +scale, a false one's -scale.
        projection: what puts a graph's latents onto its polytope.
        observe: the latent that a reverse step starts from (`dispose.diffusion.samplers.Process`).
    """

    steps: int = 6
    hypotheses: int = 0
    stochasticity: float = 0.0
    latent_scale: float = 4.0
    projection: Callable[[CandidateGraph], Callable[[Tensor], Tensor]] = field(default_factory=lambda: converged)
    observe: Callable[[Tensor, Tensor], Tensor] = keep_latent


@dataclass(frozen=True)
class AssociatorConfig:
    """Everything the weights depend on."""

    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    candidates: CandidateConfig = field(default_factory=CandidateConfig)
    placement: PlacementConfig = field(default_factory=PlacementConfig)
    chans: int = 64
    layers: int = 2
    heads: int = 4
    gate_floor: float = 1.0

    def denoiser(self) -> DenoiserConfig:
        """The denoiser's sizes for these features."""
        detection_features = 5 * self.placement.joints + 5 + 2
        return DenoiserConfig(
            detection_features=detection_features,
            tuple_features=len(cues.TUPLE_FEATURES),
            incidence_features=len(cues.INCIDENCE_FEATURES),
            chans=self.chans,
            layers=self.layers,
            heads=self.heads,
            gate_floor=self.gate_floor,
        )


@dataclass(frozen=True, eq=False)
class Described:
    """A frame and what its detections say, the views sorted by where the cameras stand.

    Attributes:
        order: for every sorted view its place in the frame.
        frame: the frame with sorted views and the association skeleton.
        seen: its detections from their viewpoints.
        placement: where their bodies stand.
        evidence: their joints as normal distributions about `origin`.
        origin: a point amid the people, mm.
    """

    order: tuple[int, ...]
    frame: Frame
    seen: Viewpoints
    placement: Placement
    evidence: Evidence
    origin: Float[Tensor, " 3"]


@dataclass(frozen=True, eq=False)
class Problem:
    """A frame's association problem: the graph, and the tuples in the frame's own order of views.

    Attributes:
        graph: one sample, its views sorted by where the cameras stand.
        members: the graph's tuples with the frame's views as columns.
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


class Associator(nn.Module):
    """Detections of one frame in, disjoint groups of detections out.

    Any number of views and detections. The result does not depend on the order of the cameras: they are sorted by
    where they stand before anything is computed.
    """

    def __init__(self, config: AssociatorConfig) -> None:
        super().__init__()
        self.config = config
        self.placement = PlacementNet(config.placement)
        self.denoiser = Denoiser(config.denoiser())

    @torch.no_grad()
    def described(self, frame: Frame) -> Described | None:
        """What every detection says about its joints, or None where fewer than two views see anybody."""
        order = camera_order(frame)
        found = convert_detections(frame.detections.select(order).distinct(), COCO_17)
        if int((found.counts > 0).sum()) < 2:
            return None
        ordered = Frame(frame.number, frame.cameras.select(order), found)
        seen = viewpoints(ordered)
        placement = self.placement(seen)
        mean, covariance = joint_beliefs(seen, placement, self.config.evidence)
        origin = mean.mean((0, 1))
        evidence = fuse_ready(mean, covariance, found.valid, origin)
        return Described(tuple(order), ordered, seen, placement, evidence, origin)

    @torch.no_grad()
    def problem(self, frame: Frame) -> Problem | None:
        """Candidates and their evidence, or None where fewer than two views see anybody."""
        described = self.described(frame)
        if described is None:
            return None
        limits = self.config.candidates
        allowed = pair_misfit(described.evidence, cap=cues.MISFIT_CAP) <= limits.pair_limit
        kept = join(
            described.evidence,
            allowed,
            cap=cues.MISFIT_CAP,
            limit=limits.member_limit,
            budget=limits.budget,
            gain=limits.gain,
        )
        graph = candidate_graph(described, kept.members)
        members = torch.full_like(graph.members, ABSENT)
        members[:, list(described.order)] = graph.members
        return Problem(graph, members, torch.cat([kept.cost, kept.cost.new_zeros(1)]))

    def trajectory(
        self, problem: Problem, sampler: SamplerConfig | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Step]:
        """The states of the reverse process; with several hypotheses they are packed one after the other."""
        sampler = sampler or SamplerConfig()
        copies = max(sampler.hypotheses, 1)
        graph = collate([problem.graph] * copies) if copies > 1 else problem.graph
        start = torch.zeros(len(graph.cue), dtype=torch.float64)
        if sampler.hypotheses:
            start = torch.randn(start.shape, generator=generator, dtype=torch.float64)
        times = [1 - k / sampler.steps for k in range(sampler.steps)]
        process = Process(
            denoise=self.denoise(graph, sampler.projection(graph)),
            project=sampler.projection(graph),
            latent_of=lambda mass: clean_latent(mass, sampler.latent_scale),
            alpha_bar=alpha_bar,
            observe=sampler.observe,
        )
        return projected_ddim(process, start, times, stochasticity=sampler.stochasticity, generator=generator)

    def denoise(
        self, graph: CandidateGraph, project: Callable[[Tensor], Tensor]
    ) -> Callable[[Float[Tensor, " tuples"], float], Float[Tensor, " tuples"]]:
        """The denoiser of one graph as a function of mass and time, its answer projected."""

        def clean_mass(mass: Tensor, time: float) -> Tensor:
            with torch.inference_mode():
                level = torch.full((graph.samples,), (1 - alpha_bar(time)) ** 0.5)
                logits = self.denoiser(graph, mass.float(), torch.full((graph.samples,), time), level)
            return project(logits.double())

        return clean_mass

    def posterior(
        self, problem: Problem, sampler: SamplerConfig | None = None, generator: torch.Generator | None = None
    ) -> Posterior:
        """Posterior mass of every tuple, averaged over the hypotheses."""
        states = list(self.trajectory(problem, sampler, generator))
        first, last = (state.clean.view(-1, len(problem.cost)).mean(0) for state in (states[0], states[-1]))
        return Posterior(marginal=first, sampled=last)

    def forward(
        self,
        frame: Frame,
        *,
        sampler: SamplerConfig | None = None,
        worth: Callable[[Tensor, Tensor], Tensor] = better_together,
        rounding: Rounding = set_packing,
        generator: torch.Generator | None = None,
    ) -> Association:
        """Who is who in one frame; the confidence of a group is the probability of its pairs before sampling."""
        problem = self.problem(frame)
        if problem is None:
            nobody = torch.zeros(0, len(frame.cameras), dtype=torch.long)
            return Association(nobody, torch.zeros(0, dtype=torch.float64))
        mass = self.posterior(problem, sampler, generator)
        chosen = rounding(worth(mass.mean, problem.members), problem.members)
        return Association(problem.members[chosen], group_confidence(mass.marginal, problem.members, chosen))

    @torch.no_grad()
    def reconstruct(
        self, frame: Frame, association: Association, *, completion: CompletionConfig = FILL_WHERE_SURE
    ) -> Prediction:
        """Skeletons of the groups: triangulated, and joints that one view sees placed by the rest of the body."""
        prediction = reconstruct(frame, association)
        coco = Frame(frame.number, frame.cameras, convert_detections(frame.detections, COCO_17))
        seen = viewpoints(coco)
        if not len(seen) or not len(association):
            return prediction
        return fill_seen_once(frame, prediction, COCO_17, seen, self.placement(seen), completion)


def candidate_graph(described: Described, members: Int[Tensor, "tuples views"]) -> CandidateGraph:
    """Features and polytope of the candidate tuples of one frame; the all-absent tuple is appended."""
    frame, evidence, origin = described.frame, described.evidence, described.origin
    seen, placement, valid = described.seen, described.placement, described.frame.detections.valid
    fused = cues.fuse(evidence, members, frame.detections.visible)
    table = cues.incidences(members, valid)
    of_incidences = cues.incidence_features(evidence, fused, table, seen, placement, origin)
    of_tuples = cues.tuple_features(
        fused, table, of_incidences, members, seen, frame.cameras, frame.detections.skeleton, origin
    )
    absent = torch.full_like(members[:1], ABSENT)
    cue = cues.noise_normalised_cue(fused).float()
    return CandidateGraph(
        members=torch.cat([members, absent]),
        detections=detection_features(frame, seen, placement),
        tuples=torch.cat([of_tuples, torch.zeros_like(of_tuples[:1])]),
        incidences=of_incidences,
        cue=torch.cat([cue, cue.new_zeros(1)]),
        tuple_of=table.tuple_of,
        detection_of=table.detection,
        sample=torch.zeros(len(members) + 1, dtype=torch.long),
        marginals=feasible_marginals(members, valid),
    )


def detection_features(frame: Frame, seen: Viewpoints, placement: Placement) -> Float[Tensor, "detections features"]:
    """The pose from its viewpoint, how sure its depth is, and how many others its view holds."""
    counts = frame.detections.counts
    crowd = counts[:, None].expand(frame.detections.valid.shape)[frame.detections.valid].float().log1p()
    return torch.cat([placement_features(seen), placement.log_depth_sigma.log()[:, None], crowd[:, None]], dim=1)


def camera_order(frame: Frame) -> list[int]:
    """Views sorted by where their cameras stand (then by where they look), whatever order they came in."""
    keys = torch.cat([frame.cameras.centres, frame.cameras.rotation[:, 2]], dim=1).tolist()
    return sorted(range(len(keys)), key=keys.__getitem__)


def alpha_bar(time: float) -> float:
    """Signal fraction of the cosine schedule."""
    return float(cosine_alpha_bar(torch.tensor(time, dtype=torch.float64)))


def clean_latent(mass: Float[Tensor, " tuples"], scale: float) -> Float[Tensor, " tuples"]:
    """``scale (2 x - 1)``: affine in the mass, so that the mean mass gives the mean latent."""
    return scale * (2 * mass.double().clamp(0, 1) - 1)


def converged(graph: CandidateGraph) -> Callable[[Tensor], Tensor]:
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
