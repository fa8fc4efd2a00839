"""The tasks of the model for images: its heat maps, then Stage I and Stage II on frozen ones, with teacher forcing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.polytope import collate
from dispose.association.roots import map_pixel_of
from dispose.datasets.augmentation.images import drop_views, jitter_roots
from dispose.losses.associator import released_errors
from dispose.losses.confidence import censored_likelihood, error_likelihood
from dispose.losses.curation import PoseTargets, curate, pack_labels
from dispose.losses.heatmaps import asymmetric_mse, heatmap_targets
from dispose.losses.objective import SampleViews, Term, pose_terms, weigh
from dispose.models.dispose.decoder import Refined
from dispose.models.dispose.model import DisPose
from dispose.models.dispose.sampling import NoiseConfig, Problem
from dispose.nn.backbones import STRIDE
from dispose.scene.frame import Frame, ImageBatch
from dispose.tensors import ABSENT, TensorStruct
from dispose.training.associator import TOLERANCE, denoise_known
from dispose.training.config import BackboneTraining, PoseTraining
from dispose.training.examples import clean_assignment
from dispose.training.frames import ExampleBatch, ImageExample, Skipped
from dispose.training.task import Task, uniform
from dispose.training.teacher_forcing import (
    forced_roots,
    match_roots,
    membership,
    negative_proposals,
    perturb_roots,
    supported_membership,
)
from dispose_kernels.sinkhorn import newton_projection

STAGE1 = ("divergence", "mass", "latent")


class BackboneTask(Task):
    """Fit the heat maps to labelled joints."""

    name = "backbone"

    def __init__(self, model: DisPose, settings: BackboneTraining) -> None:
        super().__init__()
        self.settings, self.network, self.skipped = settings, model.backbone, Skipped()
        # Not a child: its other parts are not trained here.
        self._model = [model]

    def forward(self, batch: ExampleBatch) -> tuple[Term, ...]:
        """Asymmetric squared error of all maps that show a labelled joint."""
        self.skipped.add(batch.skipped)
        examples = batch.examples
        if self.settings.copies and len(examples) > 1:
            # The plain image is for consistency between copies, which heat maps have none of.
            examples = tuple(example for example in examples if example.copy > 0)
        device = next(self.network.parameters()).device
        return (Term("heatmap", self.loss(examples, device) if examples else torch.zeros((), device=device)),)

    def loss(self, examples: Sequence[ImageExample], device: torch.device) -> Float[Tensor, ""]:
        """Of some examples with equally many views."""
        batch = ImageBatch.of([example.frame for example in examples]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            features = self._model[0].see(batch)
        height, width = features.heatmaps.shape[-2:]
        labels = [example.labels.to(device) for example in examples]
        targets = curate(pack_labels(labels, batch.images.present.shape[1]), batch.cameras)
        unmatched = [row.unmatched for row in labels] if self.settings.supervise_unmatched else []
        maps = heatmap_targets(
            targets,
            unmatched,
            batch.images.input_from_image,
            size=(width, height),
            stride=STRIDE,
            sigma=self.settings.sigma_map_px,
        )
        supervised = maps.supervised & batch.images.present.flatten()[:, None]
        if self.settings.complete_labels:
            supervised = batch.images.present.flatten()[:, None].expand_as(maps.supervised)
        target = maps.heatmaps.to(features.heatmaps.dtype)
        return asymmetric_mse(
            features.heatmaps,
            target,
            supervised,
            excess=self.settings.background,
            weight=1 + self.settings.peak * target,
        )


@dataclass(frozen=True, eq=False)
class ForcedProposals(TensorStruct):
    """The people of teacher forcing.

    Attributes:
        roots: where they are proposed, mm; one tensor for all samples.
        sample: whose they are.
        label: their row in the packed labels.
        rooted: labelled people who have a root at all.
        real: labelled people; the others are negative proposals, whose label means nothing.
    """

    roots: Float[Tensor, "persons 3"]
    sample: Tensor
    label: Tensor
    rooted: Bool[Tensor, " persons"]
    real: Bool[Tensor, " persons"]


class PoseTask(Task):
    """Fit Stage I and Stage II; the backbone is frozen and its statistics fixed."""

    name = "pose"

    def __init__(self, model: DisPose, settings: PoseTraining) -> None:
        super().__init__()
        self.settings, self.model, self.skipped = settings, model, Skipped()
        model.backbone.requires_grad_(False)

    def forward(self, batch: ExampleBatch) -> tuple[Term, ...]:
        """All losses of some examples with equally many views."""
        self.skipped.add(batch.skipped)
        terms = self.terms(batch.examples) if batch.examples else self.no_terms()
        return weigh(terms, self.settings.objective)

    @property
    def released(self) -> bool:
        """Whether the objective holds the released errors of Stage I."""
        return self.settings.objective.mass > 0 or self.settings.objective.latent > 0

    def no_terms(self) -> tuple[Term, ...]:
        """What a step without frames has to say: 0, under the same names as any other."""
        skipped = ("heatmap",) if self.released else ("heatmap", "mass", "latent")
        nothing = next(self.parameters()).new_zeros(())
        return tuple(Term(name, nothing) for name in vars(self.settings.objective) if name not in skipped)

    def terms(self, examples: Sequence[ImageExample]) -> tuple[Term, ...]:
        """All losses of some examples with equally many views; every frame counts alike."""
        model = self.model.eval()
        model.associator.train()
        model.decoder.train()
        frames = [example.frame for example in examples]
        batch = ImageBatch.of(frames)
        moved = batch.to(model.associator.look.weight.device)
        device = moved.images.pixels.device
        with torch.no_grad():
            with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bfloat16):
                features = model.see(moved).to(torch.float32)
            detected = model.detect(features, moved, frames)
        seen = [self._seen(frame, example) for frame, example in zip(detected, examples, strict=True)]
        detected, identity = [frame for frame, _ in seen], [who for _, who in seen]
        problems = model.associator.problems(detected, features, moved)
        stage1, weights = self._associate(examples, problems, identity)
        forced = self._force(examples, detected, identity, weights).to(device)
        refined = model.decoder(
            features,
            moved.cameras,
            moved.images.input_from_image,
            moved.images.input_size,
            forced.roots,
            forced.sample,
            has_image=moved.images.present,
        )
        labels = pack_labels([example.labels for example in examples], batch.images.present.shape[1])
        targets = curate(labels, batch.cameras)[forced.label.cpu()].to(device)
        copies = torch.tensor([example.of_frame for example in examples], device=device)
        height, width = features.heatmaps.shape[-2:]
        views = SampleViews(moved.cameras, moved.images.input_from_image, copies, (width, height), STRIDE)
        parts = []
        for frame in copies.unique().tolist():
            of_frame = copies[targets.sample] == frame
            mine = of_frame & forced.rooted
            terms = pose_terms(
                refined.xyz_world,
                refined.residual,
                refined.triangulated,
                targets,
                mine,
                views,
                sigma=self.settings.sigma_map_px,
            )
            sure = confidence_loss(refined, targets, mine, of_frame & ~forced.real)
            parts.append((*terms, Term("confidence", sure)))
        # Every term's mean over the frames of the step.
        means = [Term(same[0].name, torch.stack([term.value for term in same]).mean()) for same in zip(*parts)]
        return (*means, *stage1)

    def _seen(self, frame: Frame, example: ImageExample) -> tuple[Frame, Tensor]:
        """The peaks as training shows them, some moved and some lost, and who each is; false ones stay."""
        map_pixel = map_pixel_of(example.frame.require_images().input_from_image, STRIDE)
        identity = match_roots(frame, example.labels, self.settings.match_map_px * map_pixel)
        generator = torch.Generator().manual_seed(example.seed + 4)
        kept = drop_views(identity, self.settings.view_dropout, generator)
        found = frame.detections
        root = found.skeleton.index(found.skeleton.root_of[0])
        # Jitter in original pixels: the width is the same in every view's heat map.
        moved = jitter_roots(torch.zeros_like(found.xy_image[:, :, root]), 1, self.settings.jitter_map_px, generator)
        xy = found.xy_image.clone()
        xy[:, :, root] += torch.where(found.valid[..., None], moved * map_pixel[:, None, None], 0.0)
        valid = found.valid & kept
        found = replace(found, xy_image=xy, valid=valid, visible=found.visible & valid[..., None])
        return Frame(frame.number, frame.cameras, found), torch.where(valid, identity, ABSENT)

    def _associate(
        self,
        examples: Sequence[ImageExample],
        problems: Sequence[Problem | None],
        identity: Sequence[Tensor],
    ) -> tuple[tuple[Term, ...], list[Tensor]]:
        """Stage I's losses, and for every sample which detections make up whose root.

        The divergence is the mean over all samples, those without anything to associate count as 0; mass and latent
        are computed where the objective weighs them, over all tuples as released.
        """
        member = [
            membership(who, example.labels.xy_image.shape[1]) for who, example in zip(identity, examples, strict=True)
        ]
        known = [k for k, problem in enumerate(problems) if problem is not None]
        if not known:
            return tuple(term for term in self.no_terms() if term.name in STAGE1), member
        device = self.model.associator.look.weight.device
        chosen = [problem for problem in problems if problem is not None]
        truth = [clean_assignment(problem, identity[k]) for k, problem in zip(known, chosen, strict=True)]
        graph = collate([problem.graph for problem in chosen])
        denoised = denoise_known(
            self.model.associator.denoiser,
            graph,
            torch.cat(truth).to(device),
            [examples[k].seed for k in known],
            noise=NoiseConfig(self.settings.latent_scale),
            pure_noise=self.settings.pure_noise,
        )
        terms = (Term("divergence", denoised.divergence.sum() / len(examples)),)
        drawn = uniform(torch.tensor([examples[k].seed for k in known])) < self.settings.from_stage1
        coupled = {k for k, chosen in zip(known, drawn.tolist(), strict=True) if chosen}
        if not coupled and not self.released:
            return terms, member
        # Implicit differentiation of the converged projection: losses on the mass, and those of Stage II on roots that
        # are made with it, reach the denoiser.
        mass = newton_projection(denoised.logits.double(), graph.marginals, tolerance=TOLERANCE).mass
        if self.released:
            of_mass, of_latent = released_errors(mass, torch.cat(truth).to(mass))
            terms += (Term("mass", of_mass), Term("latent", of_latent))
        parts = mass.cpu().split([len(problem.cost) for problem in chosen])
        for k, problem, part in zip(known, chosen, parts, strict=True):
            if k in coupled:
                member[k] = supported_membership(problem.graph.to("cpu"), part, member[k])
        return terms, member

    def _force(
        self,
        examples: Sequence[ImageExample],
        detected: Sequence[Frame],
        identity: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> ForcedProposals:
        """Every labelled person at a root from their own detections, moved by noise; and negative proposals."""
        clean = [
            forced_roots(frame, example.labels, weight)
            for frame, example, weight in zip(detected, examples, weights, strict=True)
        ]
        roots, sample, label, real, first = [], [], [], [], 0
        moved = perturb_roots(clean, [e.seed for e in examples], self.settings.root_noise_mm)
        for number, (row, example) in enumerate(zip(moved, examples, strict=True)):
            negative = negative_proposals(detected[number], example.labels, identity[number], example.seed)
            negative = negative if len(row) else negative[:0]
            roots += [row, negative]
            sample.append(torch.full((len(row) + len(negative),), number, dtype=torch.long))
            label += [torch.arange(first, first + len(row)), torch.full((len(negative),), first)]
            real += [torch.ones(len(row), dtype=torch.bool), torch.zeros(len(negative), dtype=torch.bool)]
            first += len(row)
        everyone, labelled = torch.cat(roots), torch.cat(real)
        rooted = torch.isfinite(everyone).all(1) & labelled
        return ForcedProposals(torch.nan_to_num(everyone), torch.cat(sample), torch.cat(label), rooted, labelled)


def confidence_loss(
    refined: Refined, targets: PoseTargets, chosen: Bool[Tensor, " persons"], negative: Bool[Tensor, " persons"]
) -> Float[Tensor, ""]:
    """Likelihood of the measured errors under the predicted ones, joints and people; 0 without that head.

    Args:
        refined: the decoder's answer.
        targets: labels of the same people.
        chosen: labelled people.
        negative: proposals that are nobody: their error is large, whatever it is.
    """
    errors = refined.errors
    if errors is None:
        return refined.xyz_world.new_zeros(())
    known = torch.where(chosen[:, None], targets.xyz_confidence, 0.0)
    error = (refined.xyz_world[-1] - targets.xyz_world).detach().norm(dim=-1).to(errors.joint_log_scale.dtype)
    weight = (known > 0).to(error.dtype)
    joints = error_likelihood(errors.joint_log_scale, errors.joint_log_shape, error, weight)
    mean = (weight * error).sum(1) / weight.sum(1).clamp(min=1)
    measured = weight.sum(1) > 0
    rows = measured | negative
    persons = censored_likelihood(
        errors.person_log_scale[rows], errors.person_log_shape[rows], mean[rows], measured[rows]
    )
    return joints + persons
