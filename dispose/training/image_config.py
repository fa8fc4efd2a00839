"""What a training run of the image models is made of."""

from dataclasses import dataclass, field

from dispose.losses.objective import RELEASED_SIGMA, Weights
from dispose.models.dispose.model import DisPoseConfig
from dispose_synthetic.renderer.captures import RenderConfig

OURS = Weights(
    reprojection=1.0, reprojection_heatmap=100.0, anchor=0.1, consistency=1.0, divergence=1.0, confidence=1.0
)
"""The released weights of Stage II, the divergence instead of the two squared errors of Stage I, and confidences."""


@dataclass(frozen=True)
class Optimisation:
    """Adam, linear warm-up, cosine to a last rate.

    Attributes:
        steps: optimiser steps.
        batch: frames per step, over all processes.
        rate: peak learning rate.
        last_rate: learning rate at the end.
        warmup: steps of the warm-up.
        clip: largest gradient norm.
        weight_decay: decoupled from the gradient.
        average: decay of the exponential moving average of the weights, which is what is kept; 0 = the last weights.
        checkpoint_every: optimiser steps between checkpoints.
    """

    steps: int
    batch: int
    rate: float
    last_rate: float = 1e-6
    warmup: int = 1000
    clip: float = 1.1
    weight_decay: float = 0.0
    average: float = 0.0
    checkpoint_every: int = 250


@dataclass(frozen=True)
class BackboneTraining:
    """Heat maps from labelled joints (spec §3).

    Attributes:
        optimisation: steps and rates.
        sigma_map_px: width of the target Gaussians.
        background: weight of too much heat against too little (the released loss is asymmetric).
        peak: how much more a pixel at a target's peak counts than one of the background (besides `background`).
        supervise_unmatched: people of whom only one view knows count too.
        copies: differently augmented copies of every frame to learn from; 0 = the frame as it is.
        bfloat16: compute the network in bfloat16 (weights, losses and statistics stay in float32).
        complete_labels: labels name everybody, so a map without a label is truly empty (synthetic pictures).
    """

    optimisation: Optimisation = Optimisation(steps=20_000, batch=16, rate=1e-4)
    sigma_map_px: float = 3.0
    background: float = 0.1
    peak: float = 0.0
    supervise_unmatched: bool = True
    copies: int = 1
    bfloat16: bool = False
    complete_labels: bool = False


@dataclass(frozen=True)
class PoseTraining:
    """Stage I and Stage II on a frozen backbone (spec §2.4, §6.1).

    Attributes:
        optimisation: steps and rates.
        copies: differently augmented copies of every frame beside the plain one.
        bfloat16: compute the frozen backbone in bfloat16.
        root_noise_mm: standard deviation, per axis, of the noise on the roots that Stage II is taught with.
        match_map_px: a peak is a labelled person's root when it lies this near, heat-map pixels.
        view_dropout: how often a labelled person who is seen in more than two views is lost in one of them.
        jitter_map_px: width of the uniform, centred jitter of the root peaks, heat-map pixels.
        pure_noise: share of the graphs shown to the denoiser at time 1, where the sampler starts.
        latent_scale: see `dispose.models.dispose.sampling.SamplerConfig`.
        objective: what the losses weigh.
        sigma_map_px: of the Gaussians of reprojected joints.
        from_stage1: share of the steps whose roots come from Stage I's own mass through the differentiable
            triangulation, so that Stage II's losses train the association too (0 as released).
    """

    optimisation: Optimisation = Optimisation(steps=25_000, batch=4, rate=3e-4)
    copies: int = 2
    bfloat16: bool = False
    root_noise_mm: float = 64.0
    match_map_px: float = 8.0
    view_dropout: float = 0.2
    jitter_map_px: float = 8.0
    pure_noise: float = 0.25
    latent_scale: float = 4.0
    objective: Weights = OURS
    sigma_map_px: float = RELEASED_SIGMA
    from_stage1: float = 0.0


@dataclass(frozen=True)
class ShardConfig:
    """Synthetic pictures drawn for a run.

    Attributes:
        pictures: what they are drawn from.
        chunks: files of captures.
        frames_per_chunk: captures in one of them.
    """

    pictures: RenderConfig = field(default_factory=RenderConfig)
    chunks: int = 60
    frames_per_chunk: int = 64


@dataclass(frozen=True)
class ImageRecipe:
    """A complete run: the backbone, then both stages.

    Attributes:
        name: of the run and of the weights.
        seed: of everything random.
        model: sizes of the networks.
        backbone: training of the heat maps.
        pose: training of Stage I and II.
    """

    name: str
    seed: int = 925
    model: DisPoseConfig = field(default_factory=DisPoseConfig)
    backbone: BackboneTraining = field(default_factory=BackboneTraining)
    pose: PoseTraining = field(default_factory=PoseTraining)


@dataclass(frozen=True)
class RenderedRecipe:
    """A run on synthetic pictures: what they are, and how they are learned from."""

    images: ImageRecipe
    bank: ShardConfig = field(default_factory=ShardConfig)
