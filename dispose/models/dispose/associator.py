"""Stage I for detections with keypoints: who is who, by projected diffusion on the polystochastic polytope."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.association import cues
from dispose.association.completion import FILL_WHERE_SURE, CompletionConfig, fill_seen_once
from dispose.association.decode import Rounding, limit_untried, set_packing
from dispose.association.evidence import (
    EvidenceConfig,
    Placement,
    fuse_ready,
    joint_beliefs,
    noise_excess,
    pair_misfit,
    widen,
)
from dispose.association.packing import PackedDetections, camera_order, gather_groups, pack_detections
from dispose.association.polytope import CandidateGraph, feasible_marginals, with_fallbacks
from dispose.association.reconstruct import Triangulate, predictions_of, robust, trust_joints
from dispose.association.view_blocks import DIRECT_VIEWS, ROUNDS, join_blocks, share_people, view_blocks
from dispose.association.viewpoint import Viewpoints, viewpoints
from dispose.diffusion.samplers import Step
from dispose.models.dispose.denoiser import Denoiser, DenoiserConfig
from dispose.models.dispose.placement import PlacementConfig, PlacementNet, placement_features
from dispose.models.dispose.sampling import (
    PAIR_THRESHOLD,
    NoiseConfig,
    Posterior,
    Problem,
    SamplerConfig,
    better_together,
    decide,
    nobody,
    posterior_of,
    trajectory,
)
from dispose.scene.convert import convert_detections
from dispose.scene.frame import Frame
from dispose.scene.results import Association, AssociationResult, Prediction
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_kernels.candidates import Candidates, Evidence, join

DETECTIONS_AT_ONCE = 512
"""Detections of the frames computed together: more would save nothing and hold more memory."""

USUAL_SAMPLER = SamplerConfig(steps=2)
"""More steps score no better on held-out frames, one step a little worse where views are few (docs/experiments.md)."""


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
    noise: NoiseConfig = NoiseConfig()

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
    """One frame and what its detections say, for looking at.

    Attributes:
        order: for every sorted view its place in the frame.
        frame: the frame with sorted views and the association skeleton.
        evidence: its joints as normal distributions.
    """

    order: tuple[int, ...]
    frame: Frame
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class BatchEvidence:
    """What the detections of some frames say, the views sorted by where the cameras stand.

    Attributes:
        packed: the detections with the association skeleton.
        seen: the detections from their viewpoints.
        placement: where their bodies stand.
        evidence: their joints as normal distributions about their frame's `origin`, as wide as the frame's noise is.
        origin: a point amid the people of every frame, mm.
        misfit: mean capped chi-square of every two detections.
    """

    packed: PackedDetections
    seen: Viewpoints
    placement: Placement
    evidence: Evidence
    origin: Float[Tensor, "frames 3"]
    misfit: Float[Tensor, "frames views slots views slots"]


class Associator(nn.Module):
    """Detections in, disjoint groups of detections out, a batch of frames at a time.

    Any number of views and detections. The result of a frame depends neither on the other frames of its batch nor on
    the order of its cameras: they are sorted by where they stand before anything is computed.
    """

    def __init__(self, config: AssociatorConfig) -> None:
        super().__init__()
        self.config = config
        self.placement = PlacementNet(config.placement)
        self.denoiser = Denoiser(config.denoiser())

    @torch.no_grad()
    def describe(self, frames: Sequence[Frame], part_of: Int[Tensor, " frames"] | None = None) -> BatchEvidence:
        """What every detection says about its joints; in every frame somebody is detected.

        Frames with the same number in `part_of` are views of one frame, which share their noise (`noise_excess`).
        """
        packed = pack_detections(frames, camera_order).distinct().convert(COCO_17)
        seen = viewpoints(packed)
        placement = self.placement(seen)
        mean, covariance = joint_beliefs(seen, placement, self.config.evidence)
        total = mean.new_zeros(len(frames), 3).index_add(0, packed.frame, mean.mean(1))
        origin = total / torch.bincount(packed.frame, minlength=len(frames))[:, None]
        evidence = fuse_ready(mean, covariance, packed.valid, origin[packed.frame])
        misfit = pair_misfit(evidence, cap=cues.MISFIT_CAP)
        part_of = torch.arange(len(frames), device=misfit.device) if part_of is None else part_of
        excess = noise_excess(misfit, part_of)
        if bool((excess > 1).any()):
            evidence = widen(evidence, excess)
            misfit = pair_misfit(evidence, cap=cues.MISFIT_CAP)
        return BatchEvidence(packed, seen, placement, evidence, origin, misfit)

    def described(self, frame: Frame) -> FrameEvidence | None:
        """What the detections of one frame say, or None where fewer than two views see anybody."""
        if not sees_enough(frame):
            return None
        described, order = self.describe([frame]), camera_order(frame.cameras)
        found = convert_detections(frame.detections.select(views=order).distinct(), COCO_17)
        evidence = Evidence(*(value[0] for value in vars(described.evidence).values()))
        return FrameEvidence(tuple(order), Frame(frame.number, frame.cameras.select(views=order), found), evidence)

    def problem(self, frame: Frame) -> Problem | None:
        """Candidates and their evidence of one frame, or None where fewer than two views see anybody."""
        return self.problems([frame]) if sees_enough(frame) else None

    @torch.no_grad()
    def problems(self, frames: Sequence[Frame], part_of: Int[Tensor, " frames"] | None = None) -> Problem:
        """Candidates and their evidence of frames with detections in two views or more (`sees_enough`).

        `part_of` as in `describe`.
        """
        described, limits = self.describe(frames, part_of), self.config.candidates
        kept = join(
            described.evidence,
            described.misfit <= limits.pair_limit,
            cap=cues.MISFIT_CAP,
            limit=limits.member_limit,
            budget=limits.budget,
            gain=limits.gain,
        )
        graph = candidate_graph(described, kept)
        order = described.packed.order[graph.sample]
        # Columns that pad a frame go behind its own; what they hold is ABSENT.
        place = torch.where(order == ABSENT, torch.arange(order.shape[1], device=order.device), order)
        members = torch.full_like(graph.members, ABSENT).scatter_(1, place, graph.members)
        return Problem(graph, members, with_fallbacks(kept.cost, kept.cost.new_zeros(len(frames)), kept.frame))

    def trajectory(
        self, problem: Problem, sampler: SamplerConfig | None = None, generator: torch.Generator | None = None
    ) -> Iterator[Step]:
        """The states of the reverse process (`dispose.models.dispose.sampling.trajectory`)."""
        return trajectory(self.denoiser, problem, sampler or USUAL_SAMPLER, generator, noise=self.config.noise)

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
        """Who is who in one frame (`associate`)."""
        found = self.associate([frame], sampler=sampler, worth=worth, rounding=rounding, generator=generator)
        return found[0].association

    def associate(
        self,
        frames: Sequence[Frame],
        *,
        sampler: SamplerConfig | None = None,
        worth: Callable[[Tensor, Tensor], Tensor] = better_together,
        rounding: Rounding = set_packing,
        generator: torch.Generator | None = None,
    ) -> list[AssociationResult]:
        """Who is who in every frame, with the candidate tuples and the way of their mass.

        A frame in which fewer than two views see anybody has no groups and no candidates. Where more than
        `DIRECT_VIEWS` views do, blocks of views are decided and joined by the pairs they hold together
        (`dispose.association.view_blocks`); `worth` and `rounding` then choose nothing.
        """
        results = [AssociationResult(nobody(len(f.cameras), f.detections.valid.device)) for f in frames]
        for batch in batches_of(frames):
            parts = [(row, views) for row in batch for views in self.blocks(frames[row])]
            part_of = torch.tensor([row for row, _ in parts], device=frames[0].detections.valid.device)
            problem = self.problems([frames[row].select(views=views) for row, views in parts], part_of)
            steps = list(self.trajectory(problem, sampler, generator))
            found = iter(decide(problem, steps, [len(views) for _, views in parts], worth=worth, rounding=rounding))
            for row, group in groupby(parts, key=itemgetter(0)):
                frame, blocks = frames[row], [views for _, views in group]
                weighed = [next(found) for _ in blocks]
                valid = frame.detections.valid
                result = weighed[0] if len(blocks) == 1 else join_blocks(blocks, weighed, valid, PAIR_THRESHOLD)
                tried = limit_untried(result.association, frame.cameras.centres)
                results[row] = replace(result, association=tried)
        return results

    @torch.no_grad()
    def blocks(self, frame: Frame) -> list[list[int]]:
        """Which views are decided together: all, or of many that see somebody several blocks."""
        somebody = frame.detections.valid.any(1).tolist()
        views = [view for view in camera_order(frame.cameras) if somebody[view]]
        if len(views) <= DIRECT_VIEWS:
            return [list(range(len(frame.cameras)))]
        packed = pack_detections([frame.select(views=views)]).convert(COCO_17)
        seen = viewpoints(packed)
        overlap = share_people(packed, seen, self.placement(seen))
        return [[views[place] for place in block] for block in view_blocks(overlap)]

    @torch.no_grad()
    def reconstruct(
        self,
        frames: Sequence[Frame],
        associations: Sequence[Association],
        *,
        triangulate: Triangulate = robust,
        completion: CompletionConfig | None = FILL_WHERE_SURE,
    ) -> list[Prediction]:
        """Skeletons of the groups: triangulated, and joints that one view sees placed by the rest of the body.

        Without `completion` only the former: for a triangulation that says itself what one view knows.
        """
        groups = gather_groups(frames, associations)
        poses = triangulate(groups)
        if completion is not None and len(groups.frame):
            seen = viewpoints(groups.packed.convert(COCO_17))
            filled = fill_seen_once(groups, poses, COCO_17, seen, self.placement(seen), completion)
            poses = trust_joints(filled)
        return predictions_of(frames, associations, poses)

    def reconstruct_frame(self, frame: Frame, association: Association) -> Prediction:
        """`reconstruct` of one frame."""
        return self.reconstruct([frame], [association])[0]


def sees_enough(frame: Frame) -> bool:
    """Whether two views see somebody, so that there is something to associate."""
    return seeing_views(frame) >= 2


def seeing_views(frame: Frame) -> int:
    """How many views see somebody."""
    return int(frame.detections.valid.any(1).sum())


def batches_of(frames: Sequence[Frame]) -> Iterator[list[int]]:
    """Positions of the frames that see enough, in runs of at most `DETECTIONS_AT_ONCE` (or one frame).

    A detection counts as often as it is decided on.
    """
    run: list[int] = []
    held = 0
    for row, frame in enumerate(frames):
        if not sees_enough(frame):
            continue
        count, many = int(frame.detections.valid.sum()), seeing_views(frame) > DIRECT_VIEWS
        count *= ROUNDS if many else 1
        if run and held + count > DETECTIONS_AT_ONCE:
            yield run
            run, held = [], 0
        run, held = [*run, row], held + count
    if run:
        yield run


def candidate_graph(described: BatchEvidence, kept: Candidates) -> CandidateGraph:
    """Features and polytope of the candidate tuples; every frame's all-absent tuple is appended."""
    packed, evidence, seen, placement = described.packed, described.evidence, described.seen, described.placement
    members, frame = kept.members, kept.frame
    padded = packed.visible[packed.number.clamp(min=0)] & packed.valid[..., None]
    fused = cues.fuse(evidence, members, padded, frame)
    table = cues.packed_incidences(members, frame, packed.number)
    of_incidences = cues.incidence_features(evidence, fused, table, seen, placement, described.origin[packed.frame])
    of_tuples = cues.tuple_features(
        fused, table, of_incidences, members, seen, packed.cameras[frame], packed.skeleton, described.origin[frame]
    )
    frames = len(packed.order)
    cue = cues.noise_normalised_cue(fused).float()
    return CandidateGraph(
        members=with_fallbacks(members, members.new_full((frames, members.shape[1]), ABSENT), frame),
        detections=detection_features(packed, seen, placement),
        tuples=with_fallbacks(of_tuples, of_tuples.new_zeros(frames, of_tuples.shape[1]), frame),
        incidences=of_incidences,
        cue=with_fallbacks(cue, cue.new_zeros(frames), frame),
        # Every frame before a tuple's own has appended one.
        tuple_of=table.tuple_of + frame[table.tuple_of],
        detection_of=table.detection,
        sample=with_fallbacks(frame, torch.arange(frames, device=frame.device), frame),
        marginals=feasible_marginals(members, packed.valid, frame),
    )


def detection_features(
    packed: PackedDetections, seen: Viewpoints, placement: Placement
) -> Float[Tensor, "detections features"]:
    """The pose from its viewpoint, how sure its depth is, and how many others its view holds."""
    crowd = packed.valid.sum(2)[packed.frame, packed.view].float().log1p()
    return torch.cat([placement_features(seen), placement.log_depth_sigma.log()[:, None], crowd[:, None]], dim=1)
