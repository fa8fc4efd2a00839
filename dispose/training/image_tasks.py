"""Lightning modules of the image models: heat maps, then Stage I and Stage II on frozen heat maps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import lightning
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import DataLoader

from dispose.association.graph import collate
from dispose.association.roots import map_pixel_of
from dispose.association.targets import true_tuples
from dispose.datasets.augmentation.images import drop_views, jitter_roots
from dispose.losses.assignment import released_assignment_loss
from dispose.losses.confidence import censored_likelihood, error_likelihood
from dispose.losses.curation import PoseTargets, curate, heatmap_targets, pack_labels
from dispose.losses.heatmaps import asymmetric_mse
from dispose.losses.objective import SampleViews, Terms, pose_terms, total
from dispose.models.dispose.backbone import STRIDE
from dispose.models.dispose.decoder import Refined
from dispose.models.dispose.model import DisPose
from dispose.models.dispose.sampling import Problem
from dispose.scene.frame import Frame, ImageBatch
from dispose.tensors import ABSENT, TensorStruct
from dispose.training.denoising import TOLERANCE, denoise_known
from dispose.training.image_config import BackboneTraining, Optimisation, PoseTraining
from dispose.training.image_source import ImageExample, ImageSource, Skipped, ViewSchedule, gather
from dispose.training.teacher_forcing import (
    forced_roots,
    match_roots,
    membership,
    negative_proposals,
    perturb_roots,
    supported_membership,
)
from dispose_kernels.sinkhorn import newton_projection


class _ImageTask(lightning.LightningModule):
    """What both tasks share: the schedule of frames, and Adam with warm-up and cosine."""

    def __init__(self, source: ImageSource, plan: Optimisation, *, copies: int, seed: int) -> None:
        super().__init__()
        self.source, self.plan, self.copies, self.seed = source, plan, copies, seed
        self.skipped = Skipped()

    def train_dataloader(self) -> DataLoader[list[int]]:
        """The schedule from the step the trainer stands at."""
        schedule = ViewSchedule(
            [self.source.views(row) for row in range(len(self.source))],
            self.plan.batch,
            seed=self.seed,
            start=self.trainer.global_step,
            stop=self.plan.steps,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        return DataLoader(schedule, batch_size=None)

    def examples(self, batch: Sequence[int]) -> list[ImageExample]:
        """What a step learns from; unreadable frames are left out and counted."""
        return gather(self.source, batch, copies=self.copies, seed=self.seed, skipped=self.skipped)

    def configure_optimizers(self):
        """AdamW (Adam where nothing decays) over what is trained."""
        plan = self.plan
        optimizer = torch.optim.AdamW(
            [p for p in self.parameters() if p.requires_grad], lr=plan.rate, weight_decay=plan.weight_decay
        )
        cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, plan) / plan.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def _record(self, name: str, value: Tensor, count: int, *, shown: bool = False) -> None:
        """Log a value, averaged over the processes."""
        self.log(name, value, prog_bar=shown, batch_size=count, sync_dist=self.trainer.world_size > 1)

    def anchored(self, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The loss, connected to every trained weight: processes with nothing to learn in a step stay in step."""
        return loss + 0.0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()


def rate_at(step: int, plan: Optimisation) -> float:
    """Linear warm-up, then cosine from the peak to the last rate."""
    if step < plan.warmup:
        return plan.rate * (step + 1) / plan.warmup
    share = min((step - plan.warmup) / max(plan.steps - plan.warmup, 1), 1.0)
    return plan.last_rate + (plan.rate - plan.last_rate) * 0.5 * (1 + math.cos(math.pi * share))


class BackboneTask(_ImageTask):
    """Fit the heat maps to labelled joints."""

    def __init__(self, model: DisPose, source: ImageSource, settings: BackboneTraining, seed: int) -> None:
        super().__init__(source, settings.optimisation, copies=settings.copies, seed=seed)
        self.settings = settings
        self.network = model.backbone
        # Not a child: its other parts are not trained here.
        self._model = [model]

    def training_step(self, batch: list[int], index: int) -> Float[Tensor, ""]:
        """Asymmetric squared error of all maps that show a labelled joint."""
        examples = self.examples(batch)
        if self.settings.copies and len(examples) > 1:
            # The plain picture is for consistency between copies, which heat maps have none of.
            examples = [example for example in examples if example.copy > 0]
        loss = self.loss(examples) if examples else torch.zeros((), device=self.device)
        self._record("backbone/heatmap", loss, max(len(examples), 1), shown=True)
        return self.anchored(loss)

    def loss(self, examples: Sequence[ImageExample]) -> Float[Tensor, ""]:
        """Of some examples with equally many views."""
        batch = ImageBatch.of([example.frame for example in examples]).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
            features = self._model[0].see(batch)
        height, width = features.heatmaps.shape[-2:]
        labels = [example.labels.to(self.device) for example in examples]
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
    """The people that Stage II is taught with.

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


class PoseTask(_ImageTask):
    """Fit Stage I and Stage II; the backbone is frozen and its statistics fixed."""

    def __init__(self, model: DisPose, source: ImageSource, settings: PoseTraining, seed: int) -> None:
        super().__init__(source, settings.optimisation, copies=settings.copies, seed=seed)
        self.settings = settings
        model.backbone.requires_grad_(False)
        self.associator, self.decoder = model.associator, model.decoder
        self._model = [model]

    def training_step(self, batch: list[int], index: int) -> Float[Tensor, ""]:
        """The weighted sum of all terms."""
        # Dropout and whatever else draws from the global generator: the same on an unbroken and a resumed run.
        torch.manual_seed(self.seed * 104_729 + batch[0])
        examples = self.examples(batch)
        if not examples:
            return self.anchored(torch.zeros((), device=self.device))
        terms = self.terms(examples)
        loss = total(terms, self.settings.objective)
        for name, value in terms.named():
            self._record(f"pose/{name}", value, len(examples))
        self._record("pose/loss", loss.detach(), len(examples), shown=True)
        return self.anchored(loss.float())

    def terms(self, examples: Sequence[ImageExample]) -> Terms:
        """All losses of some examples with equally many views; every frame counts alike."""
        model = self._model[0].eval()
        self.associator.train()
        self.decoder.train()
        frames = [example.frame for example in examples]
        batch = ImageBatch.of(frames)
        moved = batch.to(self.device)
        with torch.no_grad():
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bfloat16):
                features = model.see(moved).to(torch.float32)
            detected = model.detect(features, moved, frames)
        seen = [self._seen(frame, example) for frame, example in zip(detected, examples, strict=True)]
        detected, identity = [frame for frame, _ in seen], [who for _, who in seen]
        problems = self.associator.problems(detected, features, moved)
        stage1, weights = self._associate(examples, problems, identity)
        taught = self._taught(examples, detected, identity, weights)
        refined = self.decoder(
            features,
            moved.cameras,
            moved.images.input_from_image,
            moved.images.input_size,
            taught.roots.to(self.device),
            taught.sample.to(self.device),
            pictured=moved.images.present,
        )
        labels = pack_labels([example.labels for example in examples], batch.images.present.shape[1])
        targets = curate(labels, batch.cameras)[taught.label].to(self.device)
        copies = torch.tensor([example.of_frame for example in examples], device=self.device)
        height, width = features.heatmaps.shape[-2:]
        views = SampleViews(moved.cameras, moved.images.input_from_image, copies, (width, height), STRIDE)
        parts = []
        for frame in copies.unique().tolist():
            mine = (copies[targets.sample] == frame) & taught.rooted.to(self.device)
            terms = pose_terms(
                refined.xyz_world,
                refined.residual,
                refined.triangulated,
                targets,
                mine,
                views,
                sigma=self.settings.sigma_map_px,
            )
            decoy = (copies[targets.sample] == frame) & ~taught.real.to(self.device)
            parts.append(replace(terms, confidence=confidence_loss(refined, targets, mine, decoy)))
        stage2 = mean_terms(parts)
        return replace(stage2, divergence=stage1.divergence, mass=stage1.mass, latent=stage1.latent)

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
    ) -> tuple[Terms, list[Tensor]]:
        """Stage I's losses, and for every sample which detections make up whose root.

        The divergence is the mean over all samples, those without anything to associate count as 0; mass and latent
        are computed where the objective weighs them, over all tuples as released.
        """
        member = [
            membership(who, example.labels.xy_image.shape[1]) for who, example in zip(identity, examples, strict=True)
        ]
        known = [k for k, problem in enumerate(problems) if problem is not None]
        if not known:
            nothing = torch.zeros((), device=self.device)
            return Terms(divergence=nothing, mass=nothing, latent=nothing), member
        chosen = [problem for problem in problems if problem is not None]
        truth = [clean_assignment(problem, identity[k]) for k, problem in zip(known, chosen, strict=True)]
        graph = collate([problem.graph for problem in chosen])
        denoised = denoise_known(
            self.associator.denoiser,
            graph,
            torch.cat(truth).to(self.device),
            [examples[k].seed for k in known],
            latent_scale=self.settings.latent_scale,
            pure_noise=self.settings.pure_noise,
        )
        terms = Terms(divergence=denoised.divergence.sum() / len(examples))
        coupled = {k for k in known if coin(examples[k].seed) < self.settings.from_stage1}
        released = self.settings.objective.mass > 0 or self.settings.objective.latent > 0
        if not coupled and not released:
            return terms, member
        # Implicit differentiation of the converged projection: losses on the mass, and those of Stage II on roots that
        # are made with it, reach the denoiser.
        mass = newton_projection(denoised.logits.double(), graph.marginals, tolerance=TOLERANCE).mass
        if released:
            loss = partial(released_assignment_loss, mass, denoised.logits, torch.cat(truth).to(mass))
            terms = replace(
                terms,
                mass=loss(mass_weight=1.0, latent_weight=0.0),
                latent=loss(mass_weight=0.0, latent_weight=1.0),
            )
        parts = mass.cpu().split([len(problem.cost) for problem in chosen])
        for k, problem, part in zip(known, chosen, parts, strict=True):
            if k in coupled:
                member[k] = supported_membership(problem.graph.to("cpu"), part, member[k])
        return terms, member

    def _taught(
        self,
        examples: Sequence[ImageExample],
        detected: Sequence[Frame],
        identity: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> ForcedProposals:
        """Every labelled person at a root from his own detections, moved by noise; and negative proposals."""
        clean = [
            forced_roots(frame, example.labels, weight)
            for frame, example, weight in zip(detected, examples, weights, strict=True)
        ]
        roots, sample, label, real, first = [], [], [], [], 0
        taught = perturb_roots(clean, [e.seed for e in examples], self.settings.root_noise_mm)
        for number, (row, example) in enumerate(zip(taught, examples, strict=True)):
            nobody = negative_proposals(detected[number], example.labels, identity[number], example.seed)
            nobody = nobody if len(row) else nobody[:0]
            roots += [row, nobody]
            sample.append(torch.full((len(row) + len(nobody),), number, dtype=torch.long))
            label += [torch.arange(first, first + len(row)), torch.full((len(nobody),), first)]
            real += [torch.ones(len(row), dtype=torch.bool), torch.zeros(len(nobody), dtype=torch.bool)]
            first += len(row)
        everyone, labelled = torch.cat(roots), torch.cat(real)
        rooted = torch.isfinite(everyone).all(1) & labelled
        return ForcedProposals(torch.nan_to_num(everyone), torch.cat(sample), torch.cat(label), rooted, labelled)


def clean_assignment(problem: Problem, identity: Tensor) -> Float[Tensor, " tuples"]:
    """The true assignment on a problem's tuples; the fallback takes what is left."""
    members, cost = problem.members.cpu(), problem.cost.cpu()
    truth = true_tuples(members[:-1], cost[:-1], identity)
    total_mass = float(problem.graph.marginals.target.sum()) / members.shape[1]
    return torch.cat([truth, truth.new_full((1,), total_mass) - truth.sum()])


def confidence_loss(
    refined: Refined, targets: PoseTargets, chosen: Bool[Tensor, " persons"], decoy: Bool[Tensor, " persons"]
) -> Float[Tensor, ""]:
    """Likelihood of the measured errors under the predicted ones, joints and people; 0 without that head.

    Args:
        refined: the decoder's answer.
        targets: labels of the same people.
        chosen: labelled people.
        decoy: proposals that are nobody: their error is large, whatever it is.
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
    rows = measured | decoy
    persons = censored_likelihood(
        errors.person_log_scale[rows], errors.person_log_shape[rows], mean[rows], measured[rows]
    )
    return joints + persons


def mean_terms(parts: Sequence[Terms]) -> Terms:
    """Every term's mean over the frames of a step."""
    names = [name for name, _ in parts[0].named()]
    return Terms(**{name: torch.stack([vars(part)[name] for part in parts]).mean() for name in names})


def coin(seed: int) -> float:
    """A number in [0, 1) from an example's seed."""
    return float(torch.rand((), generator=torch.Generator().manual_seed(seed + 2)))
