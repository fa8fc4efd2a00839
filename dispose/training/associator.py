"""Tasks of the associator of keypoint detections: the depth network, then the denoiser, whose step is shared."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.association.polytope import CandidateGraph
from dispose.diffusion.parameterisations import corrupt
from dispose.losses.associator import placement_loss, projected_divergence
from dispose.losses.objective import Term
from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.placement import PlacementNet
from dispose.models.dispose.sampling import NoiseConfig
from dispose.tensors import TensorStruct
from dispose.training.config import DenoiserTraining
from dispose.training.examples import GraphBatch, PlacementExamples
from dispose.training.task import Task
from dispose_kernels.sinkhorn import newton_projection

TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Denoised(TensorStruct):
    """What a denoiser made of noisy assignments.

    Attributes:
        divergence: of every sample, per detection.
        logits: the denoiser's answer.
        mass: its projection, without gradient.
    """

    divergence: Float[Tensor, " samples"]
    logits: Float[Tensor, " tuples"]
    mass: Float[Tensor, " tuples"]


def denoise_known(
    network: Denoiser,
    graph: CandidateGraph,
    truth: Float[Tensor, " tuples"],
    seeds: Sequence[int],
    *,
    noise: NoiseConfig,
    pure_noise: float,
) -> Denoised:
    """Corrupt a known assignment and ask the denoiser for it.

    Args:
        network: the denoiser.
        graph: one sample or several.
        truth: the clean assignment.
        seeds: one per sample; its time and noise follow from it alone.
        noise: what is undone.
        pure_noise: share of the samples shown at time 1, where the sampler starts, half of these from zero.
    """
    time, drawn = _draw(graph, seeds, pure_noise)
    time, drawn = time.to(truth.device), drawn.to(truth.device)
    alpha_bar = noise.alpha_bar(time)
    latent = corrupt(noise.clean_latent(truth), drawn, alpha_bar[graph.sample])
    with torch.no_grad():
        mass = newton_projection(latent, graph.marginals, tolerance=TOLERANCE).mass
    logits = network(graph, mass.float(), time.float(), (1 - alpha_bar).sqrt().float())
    with torch.no_grad():
        predicted = newton_projection(logits.detach().double(), graph.marginals, tolerance=TOLERANCE).mass
    divergence = projected_divergence(logits, predicted.float(), truth, graph.sample, graph.samples)
    return Denoised(divergence / _detections_of(graph), logits, predicted)


def _draw(graph: CandidateGraph, seeds: Sequence[int], pure_noise: float) -> tuple[Tensor, Tensor]:
    """Time and noise of every sample."""
    times, noises = [], []
    counts = torch.bincount(graph.sample, minlength=graph.samples).tolist()
    for seed, count in zip(seeds, counts, strict=True):
        generator = torch.Generator().manual_seed(seed)
        time, kind = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        noise = torch.randn(count, generator=generator, dtype=torch.float64)
        times.append(1.0 if kind < pure_noise else time)
        noises.append(noise * (0.0 if kind < pure_noise / 2 else 1.0))
    return torch.tensor(times, dtype=torch.float64), torch.cat(noises)


def _detections_of(graph: CandidateGraph) -> Float[Tensor, " samples"]:
    """Number of detections of every sample."""
    sample = torch.zeros(len(graph.detections), dtype=torch.long, device=graph.sample.device)
    sample[graph.detection_of] = graph.sample[graph.tuple_of]
    return torch.bincount(sample, minlength=graph.samples).clamp(min=1).float()


class PlacementTask(Task):
    """Fit the depth network to detections with known bodies."""

    name = "placement"

    def __init__(self, network: PlacementNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: PlacementExamples) -> tuple[Term, ...]:
        """Negative log-likelihood of the true bodies."""
        batch = batch.to(self.network.outward.weight.device)
        return (Term("loss", placement_loss(self.network(batch.seen), batch.seen, batch.xyz, batch.known)),)


class DenoiserTask(Task):
    """Fit the denoiser to noisy assignments of graphs whose clean assignment is known."""

    name = "denoiser"

    def __init__(self, network: Denoiser, settings: DenoiserTraining, noise: NoiseConfig) -> None:
        super().__init__()
        self.network, self.settings, self.noise = network, settings, noise

    def forward(self, batch: GraphBatch) -> tuple[Term, ...]:
        """Mean over graphs of the divergence between the true and the predicted clean assignment, per detection."""
        settings, device = self.settings, next(self.network.parameters()).device
        denoised = denoise_known(
            self.network,
            replace(batch.graph.to(device), marginals=batch.graph.marginals.to(device)),
            batch.truth.to(device),
            batch.seeds,
            noise=self.noise,
            pure_noise=settings.pure_noise,
        )
        return (Term("loss", denoised.divergence.mean()),)
