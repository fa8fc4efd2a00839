"""What a training run is made of: one record of optimisation, what every network learns from, and whole recipes."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from dispose.association.view_blocks import DIRECT_VIEWS
from dispose.errors import InputError
from dispose.losses.objective import RELEASED_SIGMA, Weights
from dispose.models.dispose.associator import AssociatorConfig
from dispose.models.dispose.model import DisPoseConfig
from dispose.models.dispose.sampling import NoiseConfig
from dispose.models.rays.network import RaysConfig
from dispose.models.triangulation.algebraic import AlgebraicConfig
from dispose.models.triangulation.volumetric import VolumetricConfig
from dispose.options import FROM_0
from dispose.skeletons.catalog import BODY_25, COCO_17, H36M_17, HALPE_26, PANOPTIC_15, SHELF_14
from dispose_synthetic.renderer.captures import RenderConfig
from dispose_synthetic.rigs import ARCHETYPES, HUDDLES
from dispose_synthetic.scenes import SceneConfig
from dispose_synthetic.sightings import SightingConfig

ASSOCIATOR = "associator.safetensors"
BACKBONE = "backbone.safetensors"
MODEL = "dispose.safetensors"
ALGEBRAIC = "algebraic.safetensors"
VOLUMETRIC = "volumetric.safetensors"
RAYS = "rays.safetensors"
"""What runs leave in their folder."""

OURS = Weights(
    reprojection=1.0, reprojection_heatmap=100.0, anchor=0.1, consistency=1.0, divergence=1.0, confidence=1.0
)
"""The released weights of Stage II, the divergence instead of the two squared errors of Stage I, and confidences."""


EVEN_NOISE = NoiseConfig(latent_scale=1.0, log_snr=(3.0, -7.0))
"""What a state tells falls evenly with time: at the cosine's usual scale of 4 it gives the answer away up to time 0.8,
and most steps teach copying."""


@dataclass(frozen=True)
class Optimisation:
    """AdamW (Adam where nothing decays), linear warm-up, cosine to a last rate.

    Attributes:
        steps: optimiser steps.
        batch: examples per step, over all processes: detections, graphs or frames.
        rate: peak learning rate.
        last_rate: learning rate at the end.
        warmup: steps of the warm-up.
        clip: largest gradient norm.
        weight_decay: decoupled from the gradient.
        average: decay of the exponential moving average of the weights, which is what is kept; 0 = the last weights.
        average_every: optimiser steps between updates of the average.
        checkpoint_every: optimiser steps between checkpoints.
        select_every: optimiser steps between looks at the validation split, whose best weights are kept; one more look
            is taken at the end. 0 = the last weights are kept.
        patience: looks without a better score after which training ends; 0 = it goes on to the last step.
    """

    steps: int = field(metadata=FROM_0)
    batch: int
    rate: float
    last_rate: float = 1e-6
    warmup: int = field(default=1000, metadata=FROM_0)
    clip: float = 1.1
    weight_decay: float = 0.0
    average: float = 0.0
    average_every: int = 1
    checkpoint_every: int = 250
    select_every: int = field(default=0, metadata=FROM_0)
    patience: int = field(default=0, metadata=FROM_0)

    def __post_init__(self) -> None:
        if self.average and self.select_every:
            raise InputError("weights are either averaged or selected on the validation split, not both")

    def rate_at(self, step: int) -> float:
        """Linear warm-up, then cosine from the peak to the last rate."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        share = min((step - self.warmup) / max(self.steps - self.warmup, 1), 1.0)
        return self.last_rate + (self.rate - self.last_rate) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class PlacementTraining:
    """The depth network, from the detections of `chunks` shards of synthetic scenes."""

    chunks: int = 48
    optimisation: Optimisation = Optimisation(
        steps=4000, batch=1024, rate=2e-3, last_rate=0.0, warmup=200, clip=1.0, weight_decay=1e-4
    )


@dataclass(frozen=True)
class DenoiserTraining:
    """The denoiser of detections with keypoints.

    Attributes:
        chunks: shards of scenes whose graphs it sees.
        optimisation: steps and rates.
        pure_noise: share of the graphs shown at time 1, where the sampler starts.
        most_tuples: graphs larger than this are left out (they would set the memory of a step).
    """

    chunks: int = 110
    optimisation: Optimisation = Optimisation(
        steps=7000, batch=16, rate=1.5e-3, last_rate=0.0, warmup=200, clip=1.0, weight_decay=1e-2
    )
    pure_noise: float = 0.25
    most_tuples: int = 1200


@dataclass(frozen=True)
class BackboneTraining:
    """Heat maps from labelled joints.

    Attributes:
        optimisation: steps and rates.
        sigma_map_px: width of the target Gaussians.
        background: weight of too much heat against too little (the released loss is asymmetric).
        peak: how much more a pixel at a target's peak counts than one of the background (besides `background`).
        supervise_unmatched: people of whom only one view knows count too.
        copies: differently augmented copies of every frame to learn from; 0 = the frame as it is.
        bfloat16: compute the network in bfloat16 (weights, losses and statistics stay in float32).
        complete_labels: labels name everybody, so a map without a label is truly empty (synthetic images).
    """

    optimisation: Optimisation = Optimisation(steps=20_000, batch=16, rate=1e-4)
    sigma_map_px: float = 3.0
    background: float = 0.1
    peak: float = 0.0
    supervise_unmatched: bool = True
    copies: int = field(default=1, metadata=FROM_0)
    bfloat16: bool = False
    complete_labels: bool = False


@dataclass(frozen=True)
class PoseTraining:
    """Stage I and Stage II on a frozen backbone.

    Attributes:
        optimisation: steps and rates.
        copies: differently augmented copies of every frame beside the plain one.
        bfloat16: compute the frozen backbone in bfloat16.
        root_noise_mm: standard deviation, per axis, of the noise on the roots of teacher forcing.
        match_map_px: a peak is a labelled person's root when it lies this near, heat-map pixels.
        view_dropout: how often a labelled person who is seen in more than two views is lost in one of them.
        jitter_map_px: width of the uniform, centred jitter of the root peaks, heat-map pixels.
        pure_noise: share of the graphs shown to the denoiser at time 1, where the sampler starts.
        latent_scale: see `dispose.models.dispose.sampling.NoiseConfig`.
        objective: what the losses weigh.
        sigma_map_px: of the Gaussians of reprojected joints.
        from_stage1: share of the samples whose roots come from Stage I's own mass through the differentiable
            triangulation, so that Stage II's losses train the association too (0 as released).
    """

    optimisation: Optimisation = Optimisation(steps=25_000, batch=4, rate=3e-4)
    copies: int = field(default=2, metadata=FROM_0)
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
    """Synthetic images drawn for a run: from what, into how many shards, of how many captures each."""

    images: RenderConfig = field(default_factory=RenderConfig)
    chunks: int = 60
    frames_per_chunk: int = 64


@dataclass(frozen=True)
class LabelRules:
    """What training makes of the pseudo-labels of a data set (`dispose.scene.labels`).

    Attributes:
        fewest_joints: people with fewer 3-D joints are known in 2-D only.
        highest_ankle_mm: people with an ankle above this height are known in 2-D only: they lie. None = nobody does.
        view_confidence: the confidence of a 3-D joint is the mean of the views that see it.
        slots: most people in a view; the unmatched ones fill what the others leave, the surest first.
    """

    fewest_joints: int = 12
    highest_ankle_mm: float | None = None
    view_confidence: bool = False
    slots: int = 10


@dataclass(frozen=True)
class AssociatorRecipe:
    """The associator of keypoint detections, on synthetic scenes: the depth network, then the denoiser.

    A shard holds the examples of `frames_per_chunk` frames; `validation_frames` that no training saw are associated
    after it.
    """

    name: str = "synthetic"
    seed: int = field(default=925, metadata=FROM_0)
    scenes: SceneConfig = SceneConfig(
        views=(2, DIRECT_VIEWS), view_weights=(2.0, 3.0, 3.0, 2.0), rigs=(*ARCHETYPES, *HUDDLES)
    )
    frames_per_chunk: int = 256
    validation_frames: int = 200
    model: AssociatorConfig = AssociatorConfig(noise=EVEN_NOISE)
    placement: PlacementTraining = field(default_factory=PlacementTraining)
    denoiser: DenoiserTraining = field(default_factory=DenoiserTraining)


MARKERS_15 = (
    "pelvis", "thorax", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
    "l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle", "head",
)  # fmt: skip
"""Joints as marker-based sets have them."""

DETECTORS = tuple(skeleton.joints for skeleton in (COCO_17, BODY_25, HALPE_26, H36M_17, PANOPTIC_15, SHELF_14))


@dataclass(frozen=True)
class RaysRecipe:
    """The network and what it learns from.

    Attributes:
        name: of the run and of the weights.
        seed: of everything that is drawn.
        captured: whether people move as captured ones do (the folder ``cmu_motion`` is needed), or as procedural ones.
        model: sizes.
        sightings: what is drawn of people who stand alone.
        scenes: what is drawn of rooms full of people, whose detections the fitted detection model makes.
        scene_share: share of the steps that learn from these.
        shards: files of them, drawn before training.
        chunks_per_shard: chunks of frames in each.
        skeletons: whose joints people have.
        skeleton_weights: how often.
        optimisation: steps, people per step.
        validation_people: on whom the claimed covariances are scaled after training.
    """

    name: str = "rays"
    seed: int = field(default=925, metadata=FROM_0)
    captured: bool = True
    model: RaysConfig = RaysConfig()
    sightings: SightingConfig = field(default_factory=SightingConfig)
    scenes: SceneConfig = SceneConfig(views=(2, 8))
    scene_share: float = 0.2
    shards: int = 24
    chunks_per_shard: int = 8
    skeletons: tuple[tuple[str, ...], ...] = (*DETECTORS, MARKERS_15)
    skeleton_weights: tuple[float, ...] = (0.35, 0.08, 0.07, 0.12, 0.12, 0.1, 0.16)
    optimisation: Optimisation = Optimisation(
        steps=12_000, batch=128, rate=1.5e-3, last_rate=0.0, warmup=200, clip=1.0, weight_decay=1e-3
    )
    validation_people: int = 4096


@dataclass(frozen=True)
class TriangulationTraining:
    """One person cut out of several views, to its joints.

    Attributes:
        optimisation: steps and rates.
        views: fewest and most views of a step, chosen at random for every sample.
        margin: side of a cut, in extents of the true joints in the image.
        jitter: how much cuts are moved and scaled at random, as a share of their side.
        bfloat16: compute the networks in bfloat16.
        heatmap: what the error of the heat maps counts (0 as released: that backbone comes trained).
        sigma_map_px: width of their targets.
        surprise: what the surprise at the right voxels counts.
        root_noise_mm: deviation of the cubes' centres from the true root, per axis.
        slow_backbone: the backbone of a volumetric network learns at a tenth of the rate.
    """

    optimisation: Optimisation
    views: tuple[int, int] = (4, 4)
    margin: float = 1.25
    jitter: float = 0.0
    bfloat16: bool = False
    heatmap: float = 0.0
    sigma_map_px: float = 1.5
    surprise: float = 0.01
    root_noise_mm: float = 0.0
    slow_backbone: bool = False


@dataclass(frozen=True)
class TriangulationRecipe:
    """Algebraic or volumetric triangulation, as the model says; `shards`: synthetic images to learn from.

    Training usually goes on from the backbone of the recipe `warm`.
    """

    name: str
    model: AlgebraicConfig | VolumetricConfig
    training: TriangulationTraining
    seed: int = field(default=925, metadata=FROM_0)
    shards: ShardConfig | None = None
    warm: str | None = None


@dataclass(frozen=True)
class ModelRecipe:
    """The model for images: its backbone, then both stages; `name` is of the run and of the weights."""

    name: str
    seed: int = field(default=925, metadata=FROM_0)
    model: DisPoseConfig = field(default_factory=DisPoseConfig)
    backbone: BackboneTraining = field(default_factory=BackboneTraining)
    pose: PoseTraining = field(default_factory=PoseTraining)


@dataclass(frozen=True)
class RenderedRecipe:
    """A model for images on synthetic ones: what they are, and how they are learned from."""

    training: ModelRecipe
    shards: ShardConfig = field(default_factory=ShardConfig)


@dataclass(frozen=True)
class DatasetRecipe:
    """A model for images on a data set in its original layout, from pseudo-labels alone.

    Of the labelled frames every `interval`-th is learned from, as the cameras named see it; training usually goes on
    from the weights of the recipe `warm`.
    """

    training: ModelRecipe
    cameras: tuple[str, ...]
    interval: int = 1
    rules: LabelRules = LabelRules()
    warm: str | None = None


@dataclass(frozen=True)
class Beginning:
    """What training goes on from.

    Attributes:
        trunk: ImageNet weights of a torchvision ResNet.
        backbone: weights of a backbone, or of a whole model.
        stages: weights of a whole model, ours or an imported released one, for Stage I and II.
    """

    trunk: Path | None = None
    backbone: Path | None = None
    stages: Path | None = None


NOTHING = Beginning()
