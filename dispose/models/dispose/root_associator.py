"""Stage I for pictures: root peaks of the heat maps in, who is who out, by the same projected diffusion.

A detection is a peak of the root's heat map; what it looks like is read from the feature maps around it, and the
geometry of candidate tuples is that of single points (`dispose.association.roots`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.association.decode import Rounding, set_packing
from dispose.association.polytope import CandidateGraph, feasible_marginals
from dispose.association.roots import (
    ROOT_INCIDENCE_FEATURES,
    ROOT_TUPLE_FEATURES,
    RootCandidateConfig,
    RootTuples,
    map_pixel_of,
    root_cue,
    root_incidence_features,
    root_tuple_features,
    root_tuples,
)
from dispose.geometry.image_affine import apply, fraction, sampling_grid
from dispose.models.dispose.denoiser import Denoiser, DenoiserConfig
from dispose.models.dispose.sampling import Problem, SamplerConfig, better_together, decide, nobody, trajectory
from dispose.nn.backbones import STRIDE
from dispose.nn.heatmaps import Features
from dispose.nn.projective_attention import ProjectiveAttention
from dispose.scene.frame import Frame, ImageBatch
from dispose.scene.results import AssociationResult
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True)
class ImageAssociatorConfig:
    """Everything the weights depend on.

    Attributes:
        inward: channels of the backbone's feature maps.
        candidates: which tuples are looked at.
        chans: width of the hidden layers.
        layers: rounds of the denoiser.
        heads: attention heads of the denoiser.
        reader_heads: heads that read the feature maps around a peak.
        reader_points: samples per head and level.
        appearance: numbers by which the look of two detections is compared.
        gate_floor: see `DenoiserConfig`.
    """

    inward: int = 256
    candidates: RootCandidateConfig = field(default_factory=RootCandidateConfig)
    chans: int = 64
    layers: int = 2
    heads: int = 4
    reader_heads: int = 4
    reader_points: int = 4
    appearance: int = 16
    gate_floor: float = 1.0

    def denoiser(self) -> DenoiserConfig:
        """The denoiser's sizes for these features."""
        return DenoiserConfig(
            detection_features=self.chans + 2,
            tuple_features=len(ROOT_TUPLE_FEATURES) + 1,
            incidence_features=len(ROOT_INCIDENCE_FEATURES) + 1,
            chans=self.chans,
            layers=self.layers,
            heads=self.heads,
            gate_floor=self.gate_floor,
        )


@dataclass(frozen=True, eq=False)
class RootGeometry(TensorStruct):
    """What geometry and heat maps say of one frame's root peaks: the part of a problem without weights.

    Attributes:
        tuples: candidates.
        of_tuples: their features.
        of_incidences: features of memberships.
        cue: geometric score of every tuple.
        fractions: where the valid detections lie in their images.
        view: the view of every valid detection.
        score: of every valid detection, beside the logarithm of how many its view holds.
        valid: which slots hold a detection.
    """

    tuples: RootTuples
    of_tuples: Float[Tensor, "tuples tuple_features"]
    of_incidences: Float[Tensor, "incidences incidence_features"]
    cue: Float[Tensor, " tuples"]
    fractions: Float[Tensor, "detections 2"]
    view: Int[Tensor, " detections"]
    score: Float[Tensor, "detections 2"]
    valid: Tensor


@torch.no_grad()
def root_geometry(
    frame: Frame,
    heat: Float[Tensor, "views height width"],
    input_from_image: Float[Tensor, "views 2 3"],
    config: RootCandidateConfig,
) -> RootGeometry | None:
    """Candidates and their geometric evidence, or None where fewer than two views see anybody.

    Args:
        frame: root points (`DisPose.detect`).
        heat: the root's heat maps.
        input_from_image: the images' affines.
        config: limits of the candidates.
    """
    found = frame.detections
    if int((found.counts > 0).sum()) < 2:
        return None
    tuples = root_tuples(frame, map_pixel_of(input_from_image, STRIDE), config)
    size = (heat.shape[-1] * STRIDE, heat.shape[-2] * STRIDE)
    xy, _ = frame.cameras.project(tuples.xyz_world)
    at = fraction(apply(input_from_image[:, None].double(), xy), size)
    there = nn.functional.grid_sample(heat[:, None].double(), sampling_grid(at)[:, None], align_corners=False)
    root = found.skeleton.index(found.skeleton.root_of[0])
    view = found.valid.nonzero()[:, 0]
    own = fraction(apply(input_from_image[:, None].double(), found.xy_image[:, :, root].double()), size)
    crowd = found.counts[view].double().log1p()
    return RootGeometry(
        tuples=tuples,
        of_tuples=root_tuple_features(tuples, frame, there[:, 0, 0].T),
        of_incidences=root_incidence_features(tuples, frame),
        cue=root_cue(tuples).float(),
        fractions=own[found.valid].float(),
        view=view,
        score=torch.stack([found.score[found.valid].double(), crowd], 1).float(),
        valid=found.valid,
    )


class ImageAssociator(nn.Module):
    """Root peaks of one frame or several in, disjoint groups of them out."""

    def __init__(self, config: ImageAssociatorConfig) -> None:
        super().__init__()
        self.config = config
        self.reader = ProjectiveAttention(
            config.chans, heads=config.reader_heads, points=config.reader_points, inward=config.inward
        )
        self.norm = nn.LayerNorm(config.chans)
        self.look = nn.Linear(config.chans, config.appearance)
        self.denoiser = Denoiser(config.denoiser())

    def problems(self, frames: Sequence[Frame], features: Features, batch: ImageBatch) -> list[Problem | None]:
        """The association problem of every frame; None where fewer than two views see anybody.

        Gradients reach the reader through the problems' features.

        Args:
            frames: root points of every sample.
            features: of all samples and views.
            batch: the images.
        """
        views = batch.images.present.shape[1]
        root = frames[0].detections.skeleton.index(frames[0].detections.skeleton.root_of[0])
        found: list[RootGeometry | None] = []
        for sample, frame in enumerate(frames):
            maps = slice(sample * views, sample * views + len(frame.cameras))
            affine = batch.images.input_from_image[sample, : len(frame.cameras)]
            found.append(
                root_geometry(frame, features.heatmaps[maps, root].cpu(), affine.cpu(), self.config.candidates)
            )
        known = [(sample, geometry) for sample, geometry in enumerate(found) if geometry is not None]
        if not known:
            return [None] * len(frames)
        map_of = torch.cat([geometry.view + sample * views for sample, geometry in known])
        reference = torch.cat([geometry.fractions for _, geometry in known])
        device = features.fine.device
        state = self.norm(self.reader(features.pyramid, map_of.to(device), reference.to(device)))
        parts = iter(state.split([len(geometry.view) for _, geometry in known]))
        return [None if geometry is None else self.problem(geometry, next(parts)) for geometry in found]

    def problem(self, geometry: RootGeometry, state: Float[Tensor, "detections chans"]) -> Problem:
        """Geometry and look together; the all-absent tuple is appended."""
        device, tuples = state.device, geometry.tuples
        table, members = tuples.table, tuples.members
        look = nn.functional.normalize(self.look(state), dim=-1)
        tuple_of, detection = table.tuple_of.to(device), table.detection.to(device)
        total = look.new_zeros(len(members), look.shape[1]).index_add(0, tuple_of, look[detection])
        size = (members != ABSENT).sum(1).to(look)
        # Mean over the pairs of members, and over a member's pairs, of the cosine of their looks.
        alike = ((total.square().sum(1) - size) / (size * (size - 1)).clamp(min=1))[:, None]
        own = ((total[tuple_of] * look[detection]).sum(1) - 1) / (size[tuple_of] - 1).clamp(min=1)
        of_tuples = torch.cat([geometry.of_tuples.to(device), torch.where(size[:, None] > 1, alike, 0.0)], 1)
        of_incidences = torch.cat([geometry.of_incidences.to(device), own[:, None]], 1)
        absent = torch.full_like(members[:1], ABSENT)
        everyone = torch.cat([members, absent]).to(device)
        graph = CandidateGraph(
            members=everyone,
            detections=torch.cat([state, geometry.score.to(device)], 1),
            tuples=torch.cat([of_tuples, torch.zeros_like(of_tuples[:1])]),
            incidences=of_incidences,
            cue=torch.cat([geometry.cue, geometry.cue.new_zeros(1)]).to(device),
            tuple_of=tuple_of,
            detection_of=detection,
            sample=torch.zeros(len(everyone), dtype=torch.long, device=device),
            marginals=feasible_marginals(members, geometry.valid).to(device),
        )
        cost = torch.cat([tuples.cost, tuples.cost.new_zeros(1)]).to(device)
        return Problem(graph, everyone, cost)

    @torch.no_grad()
    def weigh(
        self,
        problem: Problem | None,
        views: int,
        *,
        sampler: SamplerConfig | None = None,
        worth: Callable[[Tensor, Tensor], Tensor] = better_together,
        rounding: Rounding = set_packing,
        generator: torch.Generator | None = None,
    ) -> AssociationResult:
        """Disjoint groups of the peaks of a problem, with the candidate tuples and the way of their mass.

        None where there is no problem.
        """
        if problem is None:
            return AssociationResult(nobody(views, torch.device("cpu")))
        steps = list(trajectory(self.denoiser, problem, sampler, generator))
        # The peaks that the groups speak of are on the CPU, wherever the maps are.
        return decide(problem, steps, [views], worth=worth, rounding=rounding)[0].to("cpu")
