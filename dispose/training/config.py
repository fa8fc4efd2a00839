"""What a training run of the associator is made of."""

from dataclasses import dataclass, field

from dispose.models.dispose.associator import AssociatorConfig
from dispose_synthetic.scenes import SceneConfig


@dataclass(frozen=True)
class PlacementTraining:
    """The depth network's optimisation.

    Attributes:
        chunks: chunks of frames whose detections it sees.
        steps: optimiser steps.
        batch: detections per step.
        rate: peak learning rate (one cycle: linear warm-up, cosine to zero).
    """

    chunks: int = 48
    steps: int = 4000
    batch: int = 1024
    rate: float = 2e-3


@dataclass(frozen=True)
class DenoiserTraining:
    """The denoiser's optimisation.

    Attributes:
        chunks: chunks of frames whose graphs it sees.
        steps: optimiser steps.
        batch: graphs per step, over all processes.
        rate: peak learning rate (one cycle: linear warm-up, cosine to zero).
        warmup: steps of the warm-up.
        clip: largest gradient norm.
        weight_decay: AdamW's.
        pure_noise: share of the graphs shown at time 1, where the sampler starts.
        latent_scale: see `dispose.models.dispose.sampling.SamplerConfig`.
        most_tuples: graphs larger than this are left out (they would set the memory of a step).
    """

    chunks: int = 80
    steps: int = 5000
    batch: int = 16
    rate: float = 1.5e-3
    warmup: int = 200
    clip: float = 1.0
    weight_decay: float = 1e-2
    pure_noise: float = 0.25
    latent_scale: float = 4.0
    most_tuples: int = 800


@dataclass(frozen=True)
class SyntheticRecipe:
    """A complete run: scenes drawn from `scenes`, the depth network, then the denoiser.

    Attributes:
        name: of the run and of the weights.
        seed: of everything random.
        scenes: what the synthetic captures look like.
        frames_per_chunk: frames in a chunk of examples.
        validation_frames: held-out synthetic frames that are associated after training.
        model: sizes of the networks.
        placement: the depth network's optimisation.
        denoiser: the denoiser's optimisation.
        checkpoint_every: optimiser steps between checkpoints.
    """

    name: str = "synthetic"
    seed: int = 925
    scenes: SceneConfig = field(default_factory=SceneConfig)
    frames_per_chunk: int = 256
    validation_frames: int = 200
    model: AssociatorConfig = field(default_factory=AssociatorConfig)
    placement: PlacementTraining = field(default_factory=PlacementTraining)
    denoiser: DenoiserTraining = field(default_factory=DenoiserTraining)
    checkpoint_every: int = 250
