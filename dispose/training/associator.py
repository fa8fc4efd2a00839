"""Tasks of the associator of keypoint detections: the depth network, then the denoiser."""

from dataclasses import replace

from dispose.losses.associator import placement_loss
from dispose.losses.objective import Term
from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.placement import PlacementNet
from dispose.training.config import DenoiserTraining
from dispose.training.denoising import denoise_known
from dispose.training.examples import GraphBatch, PlacementExamples
from dispose.training.task import Task


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

    def __init__(self, network: Denoiser, settings: DenoiserTraining) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, batch: GraphBatch) -> tuple[Term, ...]:
        """Mean over graphs of the divergence between the true and the predicted clean assignment, per detection."""
        settings, device = self.settings, next(self.network.parameters()).device
        denoised = denoise_known(
            self.network,
            replace(batch.graph.to(device), marginals=batch.graph.marginals.to(device)),
            batch.truth.to(device),
            batch.seeds,
            latent_scale=settings.latent_scale,
            pure_noise=settings.pure_noise,
        )
        return (Term("loss", denoised.divergence.mean()),)
