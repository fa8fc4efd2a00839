"""What DiffPose of Holmquist and Wandt learns: noise in poses whose samples of keypoints it hears."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.parameterisations import corrupt
from dispose.losses.objective import Term
from dispose.models.diffpose_hypotheses.network import HypothesesConfig, HypothesesNetwork
from dispose.models.diffpose_hypotheses.sampling import Sighted, see_keypoints
from dispose.options import FROM_0
from dispose.training.config import Optimisation
from dispose.training.lifting import LIFTER_PLAN, LiftExamples, with_mirror_images
from dispose.training.task import Task
from dispose_synthetic.one_view import OneViewConfig

FARTHEST = 6.0
"""Poses whose distance from the guess is larger than so many spreads are shown to the denoiser at this distance."""

DISTANCE, LIKELIHOOD = 1.0, 0.3
"""How much the distance of the guess and the likelihood of its spread count, against the squared error of noise."""


@dataclass(frozen=True)
class HypothesesRecipe:
    """The network and how it learns.

    Attributes:
        name: of the run and of the weights.
        seed: of everything that is drawn.
        captured: whether people move as captured ones do (the folder ``cmu_motion`` is needed), or as procedural ones.
        model: sizes.
        views: what is drawn of people.
        draws: noisy poses of every person in a step; the condition is computed once for all of them.
        bfloat16: compute the layers in bfloat16 (weights, covariances and losses stay in float32).
        optimisation: steps, people per step.
        lifter: how the lifter learns before everything else, where there is one.
        denoiser: how the denoiser goes on alone once the guess stands; None = not at all.
        denoiser_draws: noisy poses of every person in a step of that, which costs little more with many of them.
        validation_people: drawn after training, on whom the claimed spread is scaled; where there are captured people
            it is these, in their own bodies, and not what training makes up.
    """

    name: str
    model: HypothesesConfig
    optimisation: Optimisation
    lifter: Optimisation = LIFTER_PLAN
    denoiser: Optimisation | None = None
    denoiser_draws: int = 8
    seed: int = field(default=0, metadata=FROM_0)
    captured: bool = True
    views: OneViewConfig = field(default_factory=OneViewConfig)
    draws: int = 1
    bfloat16: bool = False
    validation_people: int = 3072


def noise_terms(
    network: HypothesesNetwork,
    evidence: Sighted,
    xyz: Float[Tensor, "persons joints 3"],
    draws: int,
    generator: torch.Generator,
) -> tuple[Term, ...]:
    """The squared error of what the denoiser says of noisy poses, and what the guess is off by.

    Args:
        network: in training mode, where joints are held back.
        evidence: of every person one hypothesis.
        xyz: true poses, metres.
        draws: noisy poses of every person.
        generator: of times, noise and joints held back.
    """
    config, truth = network.config, network.centred(xyz)
    device = generator.device
    held = torch.rand(len(xyz), 1, len(config.seen), generator=generator, device=device).to(truth)
    shown = (held >= config.joint_dropout).to(truth.dtype) if network.training else None
    guessed = network.guessed(evidence.samples, evidence.sight, evidence.states, shown)
    terms, clean = (), truth[:, None]
    if network.guess is not None:
        # Of a pose that a lifter says this is only told: it learns no more.
        distance = (clean - guessed.pose).unflatten(-1, (3, -1)).norm(dim=-2).mean()
        # The pose is what comes nearest to the truth; likelihood speaks of the covariance alone.
        centred = replace(guessed, pose=guessed.pose.detach())
        off, factor = centred.latent(clean), guessed.factor.diagonal(dim1=-2, dim2=-1)
        surprise = (off.square() / 2 + factor.log()).mean()
        terms = (Term("distance", distance, DISTANCE), Term("surprise", surprise, LIKELIHOOD))
        # Nor does the noise teach the guess anything.
        guessed = replace(centred, factor=guessed.factor.detach(), features=guessed.features.detach())
        clean = off.detach().clamp(-FARTHEST, FARTHEST)
    step = torch.randint(config.steps, (len(xyz), draws, 1), generator=generator, device=device).to(truth.device)
    alpha_bar = truth.new_tensor(network.table.alpha_bar)[step]
    noise = torch.randn(len(xyz), draws, config.state, generator=generator, device=device).to(truth)
    clean = clean.expand_as(noise)
    heard = network.denoiser.hear(guessed.features)
    answer = network.denoise(corrupt(clean, noise, alpha_bar), step.to(truth.dtype), guessed, heard)
    return (Term("noise", (answer - network.answer.target(clean, noise, alpha_bar)).square().mean()), *terms)


class HypothesesTask(Task):
    """Fit the condition, the guess and the denoiser to people of whom every joint is known."""

    name = "hypotheses"

    def __init__(self, network: HypothesesNetwork, draws: int, *, bfloat16: bool = False) -> None:
        super().__init__()
        self.network, self.draws, self.reduced = network, draws, bfloat16

    def forward(self, batch: LiftExamples) -> tuple[Term, ...]:
        """The terms of `noise_terms`; everything random comes from the global generator, which the loop seeds."""
        device = self.network.denoiser.inward.weight.device
        batch = with_mirror_images(batch[batch.known.all(1)]).to(device)
        if not len(batch.xyz):
            return ()
        generator = torch.default_generator
        evidence = see_keypoints(self.network.config, batch.people, 1, generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.reduced):
            return noise_terms(self.network, evidence, batch.xyz, self.draws, generator)
