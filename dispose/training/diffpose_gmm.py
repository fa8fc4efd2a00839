"""Training of informed diffusion: first the lifter, then the refiner on its frozen answers."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.noise import antithetic_steps, corrupt_about, draw_noise
from dispose.losses.objective import Term
from dispose.models.diffpose_gmm.model import DiffPoseGmm, DiffPoseGmmConfig, state_of
from dispose.models.lifting.residual import ResidualConfig
from dispose.nn.graph import GraphSizes
from dispose.options import FROM_0
from dispose.training.config import Optimisation
from dispose.training.lifting import LIFTER_PLAN, LIFTER_WIDTH, LiftExamples, in_half_precision, with_mirror_images
from dispose.training.task import Task
from dispose_synthetic.one_view import OneViewConfig

WEIGHTS = "diffpose_gmm.safetensors"
"""What a run leaves in its folder."""

VALIDATION_SEED = 20_261


@dataclass(frozen=True)
class DiffPoseGmmRecipe:
    """What is trained and how.

    Attributes:
        name: of the recipe.
        seed: of everything random.
        captured: half of the people and more are in captured postures; the recipe needs the motion.
        model: sizes of the networks and the mode of the diffusion.
        views: people as they are drawn.
        lifter: how the lifter learns.
        refiner: how the refiner learns.
        validation_people: by whom the lifter's error is measured.
    """

    name: str = "diffpose-gmm"
    seed: int = field(default=0, metadata=FROM_0)
    captured: bool = True
    model: DiffPoseGmmConfig = DiffPoseGmmConfig(
        residual=ResidualConfig(width=LIFTER_WIDTH),
        denoiser=GraphSizes(chans=64, layers=3, dropout=0.0, inner_dropout=0.0),
    )
    views: OneViewConfig = field(default_factory=OneViewConfig)
    lifter: Optimisation = LIFTER_PLAN
    refiner: Optimisation = Optimisation(
        steps=1200, batch=128, rate=1e-3, warmup=100, clip=5.0, average=0.995, checkpoint_every=500
    )
    validation_people: int = 4096


class RefinerTask(Task):
    """What is asked for of states whose steps come in pairs, one early and one late; the lifter is not trained.

    ``sum over joints and numbers of (asked for - told)²``, in the denoiser's units; joints that are not known do not
    count.

    Source: Gong et al. 2023.
    """

    name = "refiner"

    def __init__(self, network: DiffPoseGmm) -> None:
        super().__init__()
        network.lifter.requires_grad_(False)
        self.network = network

    def forward(self, batch: LiftExamples) -> tuple[Term, ...]:
        """One term."""
        batch = with_mirror_images(batch).to(self.network.error.device)
        network, people = self.network, batch.people
        # Asked only where its answer is used: as a centre, as context, or in place of what is not known.
        asked = network.config.mode.centred or network.config.mode.context or not bool(batch.known.all())
        with torch.no_grad():
            network.lifter.eval()
            initial = network.initial(people) if asked else batch.xyz
        clean = state_of(people, torch.where(batch.known[..., None], batch.xyz, initial))
        law, told = network.law(people, initial), network.told(people, initial)
        step = antithetic_steps(len(clean), len(network.table)).to(clean.device)
        level = clean.new_tensor(network.table.alpha_bar)[step, None, None]
        noise = draw_noise(law, clean)
        with in_half_precision(clean):
            answer = network.denoise(corrupt_about(law, clean, noise, level) - law.centre, step.float(), law, told)
        asked_for = network.answer.target(clean - law.centre, noise, level)
        off = ((asked_for - answer.float()) / network.unit(law)).square().sum(-1) * batch.known
        return (Term("noise", off.sum(1).mean()),)


@torch.no_grad()
def error_of(network: DiffPoseGmm, examples: LiftExamples) -> Float[Tensor, "joints 3"]:
    """Root mean squares of the initial pose's errors by joint and axis, metres."""
    known = examples.known[..., None]
    square = torch.where(known, (network.initial(examples.people) - examples.xyz).square(), 0.0).sum(0)
    return (square / known.sum(0).clamp(min=1)).sqrt().clamp(min=1e-3)


@torch.no_grad()
def describe(network: DiffPoseGmm, examples: LiftExamples) -> str:
    """What the lifter and the refined mean are off by on people drawn after training."""
    generator = torch.Generator().manual_seed(VALIDATION_SEED)
    count = network.config.mode.hypotheses
    refined = network.hypotheses(examples.people, count, generator).mean(1)
    off = [
        1000 * float((xyz - examples.xyz).norm(dim=-1)[examples.known].mean())
        for xyz in (network.initial(examples.people), refined)
    ]
    return (
        f"On {len(examples.xyz)} people drawn after training: joints off by {off[0]:.1f} mm in the initial pose, by "
        f"{off[1]:.1f} in the mean of {count} refined, from step {network.start} of {len(network.table)}."
    )
