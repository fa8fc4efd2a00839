"""Stage I for detections with keypoints: who is who, by projected diffusion on the polystochastic polytope."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.association import cues
from dispose.association.completion import FILL_WHERE_SURE, CompletionConfig, fill_seen_once
from dispose.association.decode import Rounding, group_confidence, set_packing
from dispose.association.evidence import EvidenceConfig, Placement, fuse_ready, joint_beliefs, pair_misfit
from dispose.association.graph import CandidateGraph
from dispose.association.polytope import feasible_marginals
from dispose.association.reconstruct import reconstruct_frame
from dispose.association.viewpoint import Viewpoints, viewpoints
from dispose.diffusion.samplers import Step
from dispose.models.dispose.denoiser import Denoiser, DenoiserConfig
from dispose.models.dispose.placement import PlacementConfig, PlacementNet, placement_features
from dispose.models.dispose.sampling import (
    Posterior,
    Problem,
    SamplerConfig,
    better_together,
    hypotheses_of,
    posterior_of,
    trajectory,
)
from dispose.scene.convert import convert_detections
from dispose.scene.frame import Frame
from dispose.scene.prediction import Association, Prediction
from dispose.scene.results import AssociationResult
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_kernels.candidates import Evidence, join


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
class FrameEvidence:
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
    def described(self, frame: Frame) -> FrameEvidence | None:
        """What every detection says about its joints, or None where fewer than two views see anybody."""
        order = camera_order(frame)
        found = convert_detections(frame.detections.select(views=order).distinct(), COCO_17)
        if int((found.counts > 0).sum()) < 2:
            return None
        ordered = Frame(frame.number, frame.cameras.select(views=order), found)
        seen = viewpoints(ordered)
        placement = self.placement(seen)
        mean, covariance = joint_beliefs(seen, placement, self.config.evidence)
        origin = mean.mean((0, 1))
        evidence = fuse_ready(mean, covariance, found.valid, origin)
        return FrameEvidence(tuple(order), ordered, seen, placement, evidence, origin)

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
        """The states of the reverse process (`dispose.models.dispose.sampling.trajectory`)."""
        return trajectory(self.denoiser, problem, sampler, generator)

    def posterior(
        self, problem: Problem, sampler: SamplerConfig | None = None, generator: torch.Generator | None = None
    ) -> Posterior:
        """Posterior mass of every tuple, averaged over the hypotheses."""
        return posterior_of(problem, list(self.trajectory(problem, sampler, generator)))

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
        return self.weigh(frame, sampler=sampler, worth=worth, rounding=rounding, generator=generator).association

    def weigh(
        self,
        frame: Frame,
        *,
        sampler: SamplerConfig | None = None,
        worth: Callable[[Tensor, Tensor], Tensor] = better_together,
        rounding: Rounding = set_packing,
        generator: torch.Generator | None = None,
    ) -> AssociationResult:
        """As `forward`, with the candidate tuples and the way of their mass; one run of the sampler serves both."""
        problem = self.problem(frame)
        if problem is None:
            nobody = torch.zeros(0, len(frame.cameras), dtype=torch.long)
            return AssociationResult(Association(nobody, torch.zeros(0, dtype=torch.float64)))
        steps = list(self.trajectory(problem, sampler, generator))
        mass = posterior_of(problem, steps)
        chosen = rounding(worth(mass.mean, problem.members), problem.members)
        confidence = group_confidence(mass.marginal, problem.members, chosen)
        return AssociationResult(Association(problem.members[chosen], confidence), hypotheses_of(problem, steps))

    def associate(
        self,
        frames: Sequence[Frame],
        *,
        sampler: SamplerConfig | None = None,
        worth: Callable[[Tensor, Tensor], Tensor] = better_together,
        rounding: Rounding = set_packing,
        generator: torch.Generator | None = None,
    ) -> list[AssociationResult]:
        """Who is who in every frame, with the candidate tuples and the way of their mass."""
        return [
            self.weigh(frame, sampler=sampler, worth=worth, rounding=rounding, generator=generator) for frame in frames
        ]

    def reconstruct(
        self,
        frames: Sequence[Frame],
        associations: Sequence[Association],
        *,
        completion: CompletionConfig = FILL_WHERE_SURE,
    ) -> list[Prediction]:
        """Skeletons of the groups: triangulated, and joints that one view sees placed by the rest of the body."""
        return [
            self.reconstruct_frame(frame, association, completion=completion)
            for frame, association in zip(frames, associations, strict=True)
        ]

    @torch.no_grad()
    def reconstruct_frame(
        self, frame: Frame, association: Association, *, completion: CompletionConfig = FILL_WHERE_SURE
    ) -> Prediction:
        """Skeletons of the groups: triangulated, and joints that one view sees placed by the rest of the body."""
        prediction = reconstruct_frame(frame, association)
        coco = Frame(frame.number, frame.cameras, convert_detections(frame.detections, COCO_17))
        seen = viewpoints(coco)
        if not len(seen) or not len(association):
            return prediction
        return fill_seen_once(frame, prediction, COCO_17, seen, self.placement(seen), completion)


def candidate_graph(described: FrameEvidence, members: Int[Tensor, "tuples views"]) -> CandidateGraph:
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
