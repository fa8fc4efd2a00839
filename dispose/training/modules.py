"""Lightning modules: one training step per network."""

import math
from collections.abc import Iterator

import lightning
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from dispose.association.graph import collate
from dispose.losses.placement import placement_loss
from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.placement import PlacementNet
from dispose.skeletons.catalog import COCO_17
from dispose.training.config import DenoiserTraining, PlacementTraining
from dispose.training.denoising import denoise_known
from dispose.training.shards import GraphExample, PlacementExamples


class Schedule(IterableDataset[list[int]]):
    """The examples of every optimiser step, as a function of seed and step alone.

    Starting it at a later step gives what an unbroken run would have seen there. With several processes each takes
    its share of the same global batch.
    """

    def __init__(self, seed: int, examples: int, batch: int, start: int, stop: int, rank: int, world: int) -> None:
        self.seed, self.examples, self.batch = seed, examples, batch
        self.start, self.stop, self.rank, self.world = start, stop, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.start, self.stop):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            chosen = torch.randint(self.examples, (self.batch,), generator=generator)
            yield [step, *chosen[self.rank :: self.world].tolist()]


def one_cycle(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(steps - warmup, 1), 1.0)))


def coin(rows: Int[Tensor, " examples"], step: int) -> Bool[Tensor, " examples"]:
    """A fair coin for every example of a step, the same in whatever process it is tossed (Knuth's hash)."""
    return (rows * 2_654_435_761 + step * 40_503) // 128 % 2 == 0


class _Task(lightning.LightningModule):
    """What both tasks share: the schedule of examples and of the learning rate."""

    def __init__(self, settings: PlacementTraining | DenoiserTraining, examples: int, seed: int) -> None:
        super().__init__()
        self.settings, self.examples, self.seed = settings, examples, seed
        self.warmup, self.weight_decay = 200, 1e-4

    def train_dataloader(self) -> DataLoader[list[int]]:
        """The schedule from the step the trainer stands at."""
        schedule = Schedule(
            self.seed, self.examples, self.settings.batch, self.trainer.global_step, self.settings.steps,
            self.trainer.global_rank, self.trainer.world_size,
        )  # fmt: skip
        return DataLoader(schedule, batch_size=None)

    def configure_optimizers(self):
        """AdamW with one cycle."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.settings.rate, weight_decay=self.weight_decay)
        cycle = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle(step, self.settings.steps, self.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class PlacementTask(_Task):
    """Fit the depth network to detections with known bodies."""

    def __init__(self, network: PlacementNet, examples: PlacementExamples, settings: PlacementTraining, seed: int):
        super().__init__(settings, len(examples.xyz), seed)
        self.network = network
        self._examples = examples

    def training_step(self, batch: list[int], index: int) -> Float[Tensor, ""]:
        """Negative log-likelihood of the true bodies, half of them seen in a mirror."""
        step, *chosen = batch
        rows = torch.tensor(chosen)
        examples = self._examples.rows(rows).mirrored(coin(rows, step), COCO_17.mirror)
        loss = placement_loss(self.network(examples.seen), examples.seen, examples.xyz, examples.known)
        self.log("placement/loss", loss, prog_bar=True)
        return loss


class DenoiserTask(_Task):
    """Fit the denoiser to noisy assignments of graphs whose clean assignment is known."""

    def __init__(self, network: Denoiser, examples: list[GraphExample], settings: DenoiserTraining, seed: int):
        super().__init__(settings, len(examples), seed)
        self.plan = settings
        self.warmup, self.weight_decay = settings.warmup, settings.weight_decay
        self.network = network
        self._examples = examples

    def training_step(self, batch: list[int], index: int) -> Float[Tensor, ""]:
        """Mean over graphs of the divergence between the true and the predicted clean assignment, per detection."""
        step, *rows = batch
        loss = self.loss(
            [self._examples[row] for row in rows], [self.seed * 7919 + step * 65_537 + row for row in rows]
        )
        self.log("denoiser/loss", loss, prog_bar=True, batch_size=len(rows))
        return loss

    def loss(self, examples: list[GraphExample], seeds: list[int]) -> Float[Tensor, ""]:
        """The loss of some graphs; every graph's time and noise follow from its own seed."""
        graph = collate([example.graph for example in examples])
        truth = torch.cat([example.truth for example in examples])
        denoised = denoise_known(
            self.network,
            graph,
            truth,
            seeds,
            latent_scale=self.plan.latent_scale,
            pure_noise=self.plan.pure_noise,
        )
        return denoised.divergence.mean()
