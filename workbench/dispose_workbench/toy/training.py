"""Training of the teaching toy: the real model's training step on scenes drawn as they are needed, in seconds.

A training can leave a folder, as the long trainings do: recipe, log, figures.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dispose.association.graph import collate
from dispose.errors import InputError
from dispose.formats.files import replacing
from dispose.models.dispose.denoiser import Denoiser
from dispose.training.associator import denoise_known
from dispose.training.processes import claim
from dispose.zoo.records import to_json
from dispose_workbench.toy.scenes import TOY_DENOISER, ToyConfig, draw_toy_scenes, toy_problem, true_mass
from dispose_workbench.toy.scores import by_diffusion, score_toy

LATENT_SCALE = 4.0
"""As `dispose.models.dispose.sampling.SamplerConfig` has it, with which the trained network is sampled."""

UNSEEN = 40
"""Scenes that the trained network is scored on."""


@dataclass(frozen=True)
class ToyTraining:
    """A short training.

    Attributes:
        scenes: how scenes are drawn.
        steps: steps of the optimiser.
        batch: fresh scenes per step.
        rate: peak learning rate, reached after a tenth of the steps; it falls to 0 along a cosine.
        pure_noise: share of the scenes shown at time 1, where the sampler starts.
    """

    scenes: ToyConfig = field(default_factory=ToyConfig)
    steps: int = 200
    batch: int = 16
    rate: float = 3e-3
    pure_noise: float = 0.25

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise InputError(f"a training needs steps and scenes, got {self.steps} steps of {self.batch} scenes")


def chance_divergence(scenes: ToyConfig) -> float:
    """The divergence per detection (nats) of who shares everybody out evenly, ``(1 - 1 / views) log people``."""
    return (1 - 1 / scenes.views) * math.log(scenes.people)


def train_toy(network: Denoiser, training: ToyTraining, generator: torch.Generator) -> Iterator[float]:
    """Train in place, yielding the divergence per detection (nats) of every step; who stops listening stops it.

    All randomness but the network's first weights comes from the generator.
    """
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.rate, weight_decay=1e-4, fused=True)
    warmup = max(training.steps // 10, 1)
    for step in range(training.steps):
        rise, fall = min((step + 1) / warmup, 1.0), 0.5 + 0.5 * math.cos(math.pi * step / training.steps)
        for group in optimizer.param_groups:
            group["lr"] = training.rate * rise * fall
        scenes = draw_toy_scenes(training.scenes, training.batch, generator)
        graph = collate([toy_problem(scene).graph for scene in scenes])
        seeds = torch.randint(2**62, (training.batch,), generator=generator).tolist()
        truth = torch.cat([true_mass(scene) for scene in scenes])
        answer = denoise_known(network, graph, truth, seeds, latent_scale=LATENT_SCALE, pure_noise=training.pure_noise)
        loss = answer.divergence.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        yield float(loss.detach())


def write_toy_run(folder: Path, training: ToyTraining, *, seed: int = 0) -> Path:
    """Train from scratch and write ``recipe.json``, ``metrics.jsonl`` (a line per step), ``metrics.json``.

    The log grows while the training runs, the figures come last. Returns the folder.

    Raises:
        InputError: the folder holds a run of another recipe.
    """
    claim(folder, to_json(training))
    torch.manual_seed(seed)
    network, generator = Denoiser(TOY_DENOISER), torch.Generator().manual_seed(seed)
    unseen = draw_toy_scenes(training.scenes, UNSEEN, generator)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as log:
        for number, loss in enumerate(train_toy(network, training, generator), 1):
            log.write(json.dumps({"step": number, "toy/loss": loss}) + "\n")
            log.flush()
    score = score_toy(by_diffusion(network.eval()), unseen)
    with replacing(folder / "metrics.json") as file:
        json.dump({"people_right_%": 100 * score.people, "scenes_right_%": 100 * score.scenes}, file)
    return folder
