"""DiffPose of Holmquist & Wandt: samples of where keypoints may be become the condition of a diffusion over poses.

A pose is a state: joints from their own middle, in units. Released sizes are the defaults of `HypothesesConfig`; what
ships is smaller, and diffuses round a pose that it says first (`Guess`).
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from dispose.diffusion.parameterisations import answer_named
from dispose.diffusion.schedules import StepTable, cosine_betas, table_of_betas
from dispose.errors import InputError
from dispose.models.lifting.residual import ResidualBlock, ResidualConfig, ResidualLifter
from dispose.models.lifting.sides import even_sides
from dispose.models.lifting.told import features_of
from dispose.models.lifting.view import ViewPeople
from dispose.nn.beliefs import Samples, channels
from dispose.options import FROM_0
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import TensorStruct

HEADS = 4

SPREADS = (-5.0, 1.0)
"""Bounds of the logarithm of how far a part of a guess is off by itself, in units of the state."""

LEAST_SPREAD = 0.03
"""What every coordinate of a state is off by at least."""

SHARPNESS = (0.001, 0.004, 0.016, 0.064)
"""Uncertainties of keypoints, in units of a person's extent, at which it is known how much a spread has to grow: those
of exact ones up to those of a poor detector.
"""


@dataclass(frozen=True)
class HypothesesConfig:
    """Sizes and choices.

    Attributes:
        seen: names of the keypoints.
        joints: names of the joints of a pose, both hips among them.
        samples: places per keypoint.
        peak: whether the first of them is where the keypoint most probably is.
        likelihood: whether samples count by their likelihood.
        channels: per coordinate of a sample.
        reach: the channels lie between minus this and this.
        project: whether the channels pass a linear layer.
        layers: of the transformer over the joints; 0 = none.
        feed_forward: its width.
        dropout: within it.
        joint_dropout: share of the joints that training does not show.
        concatenate: the condition is the samples themselves, the likeliest first; nothing of the above is used.
        condition: numbers in it.
        sight: whether what a view tells of its people is heard too (`dispose.models.lifting.told.told`).
        width: of the denoiser.
        blocks: of the denoiser, of two layers each.
        steps: of the noise.
        answer: what the denoiser answers with: one of `dispose.diffusion.parameterisations.ANSWERS`.
        lifter: a residual network of the same joints that says the pose; the guess then says its spread. Takes `sight`.
        guess: blocks of the network that says a pose and its spread first; 0 = none, the noise is of the whole pose.
        leans: directions in which the parts of a guess are wrong together.
        rays: a guess is put together from how far along the rays of the keypoints joints lie (`along_rays`), which
            takes `sight` and as many keypoints as joints.
        even: share of what left and right bones of a pose differ by that is taken away at the end (`even_sides`).
        unit: metres of the state's unit.
        most: largest coordinate of a clean state.
        axes: signs of the state's axes relative to those of a view (right, down, away).
    """

    seen: tuple[str, ...] = COCO_17.joints
    joints: tuple[str, ...] = COCO_17.joints
    samples: int = 32
    peak: bool = True
    likelihood: bool = True
    channels: int = 64
    reach: float = 1.0
    project: bool = True
    layers: int = 4
    feed_forward: int = 512
    dropout: float = 0.1
    joint_dropout: float = 0.1
    concatenate: bool = False
    condition: int = 2048
    sight: bool = False
    width: int = 1024
    blocks: int = 2
    steps: int = 25
    answer: str = "noise"
    lifter: ResidualConfig | None = None
    guess: int = field(default=0, metadata=FROM_0)
    leans: int = field(default=0, metadata=FROM_0)
    rays: bool = False
    even: float = 0.0
    unit: float = 0.1
    most: float = 30.0
    axes: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def heard(self) -> int:
        """Numbers in the condition."""
        return 2 * len(self.seen) * self.samples if self.concatenate else self.condition

    @property
    def state(self) -> int:
        """Numbers in a pose."""
        return 3 * len(self.joints)


class Residual(nn.Module):
    """Two layers that are added to what comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "*items width"]) -> Float[Tensor, "*items width"]:
        """Shape is kept."""
        return x + functional.leaky_relu(self.second(functional.leaky_relu(self.first(x))))


class Condition(nn.Module):
    """Samples of all keypoints as one vector."""

    def __init__(self, config: HypothesesConfig) -> None:
        super().__init__()
        self.config, chans = config, 2 * config.channels
        self.project = nn.Linear(chans, chans) if config.project else None
        self.joint = nn.Embedding(len(config.seen), chans)
        self.transformer = None
        if config.layers:
            layer = nn.TransformerEncoderLayer(chans, HEADS, config.feed_forward, config.dropout, batch_first=True)
            self.transformer = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        told = config.state * (config.lifter is not None) + features_of(len(config.seen)) * config.sight
        self.flatten = nn.Linear(len(config.seen) * chans + told, config.condition)

    def forward(
        self,
        samples: Samples,
        sight: Float[Tensor, "*persons sight"],
        shown: Float[Tensor, "*persons joints"] | None = None,
    ) -> Float[Tensor, "*persons condition"]:
        """The condition; `shown` are factors of the joints, 0 for those that are held back."""
        config = self.config
        weight = samples.likelihood if config.likelihood else (samples.likelihood > 0).to(samples.likelihood)
        if shown is not None:
            weight = weight * shown[..., None]
        token = channels(samples.xy.mT, weight[..., None, :], config.channels, config.reach).flatten(-2)
        # The layer is linear: it is applied to the sum over the samples, to which it adds its bias once for each.
        if self.project is not None:
            token = functional.linear(token, self.project.weight, config.samples * self.project.bias)
        token = (token + self.joint.weight).flatten(0, -3)
        if self.transformer is not None:
            token = self.transformer(token)
        told = torch.cat([token.flatten(1).view(*sight.shape[:-1], -1), sight], -1)
        return self.flatten(told)


class Concatenated(nn.Module):
    """The samples one after the other, the likeliest first: the plain condition to compare with."""

    def forward(
        self,
        samples: Samples,
        sight: Float[Tensor, "*persons sight"],
        shown: Float[Tensor, "*persons joints"] | None = None,
    ) -> Float[Tensor, "*persons condition"]:
        """Nothing is learned, nothing is held back."""
        return samples.falling().xy.transpose(-3, -2).flatten(-3)


@dataclass(frozen=True, eq=False)
class Guessed(TensorStruct):
    """What noise is relative to: ``state = pose + factor @ latent``; and what the denoiser hears.

    A latent of white noise makes states whose covariance is ``factor @ factor.T``.
    """

    pose: Float[Tensor, "*persons state"]
    factor: Float[Tensor, "*persons state state"]
    features: Float[Tensor, "*persons heard"]

    def state(self, latent: Float[Tensor, "*persons state"]) -> Float[Tensor, "*persons state"]:
        """The state of a latent."""
        return self.pose + (self.factor @ latent[..., None])[..., 0]

    def latent(self, state: Float[Tensor, "*persons state"]) -> Float[Tensor, "*persons state"]:
        """The latent of a state."""
        return torch.linalg.solve_triangular(self.factor, (state - self.pose)[..., None], upper=False)[..., 0]


def along_rays(people: ViewPeople) -> Float[Tensor, "persons state parts"]:
    """Which states people's parts add up to: depths of all joints, the width of the picture, and what is left.

    A joint at depth z (from the hips) whose keypoint is at u, in units of the person's size s in radians, lies at
    ``x = w (u - u_hips) + s u z``, and so does y. Parts are z of every joint, w, and x and y of every joint beside its
    ray. For joints without a keypoint u is 0: they are only beside.
    """
    hips = [people.joints.index(hip) for hip in ("l_hip", "r_hip")]
    one, there = torch.eye(len(people.joints), device=people.uv.device), people.seen.to(people.uv.dtype)
    middle = (people.uv * there[..., None])[:, hips].sum(1) / there[:, hips].sum(1, keepdim=True).clamp(min=1)
    from_hips = (people.uv - middle[:, None]) * there[..., None]
    rows = []
    for axis in (0, 1):
        depth = people.size[:, None, None] * people.uv[:, :, axis, None] * one
        beside = [one.expand_as(depth) if other == axis else torch.zeros_like(depth) for other in (0, 1)]
        rows.append(torch.cat([depth, from_hips[:, :, axis, None], *beside], -1))
    rows.append(functional.pad(one, (0, 1 + 2 * len(one))).expand(len(people), -1, -1))
    states = torch.stack(rows, 1)
    return (states - states.mean(2, keepdim=True)).flatten(1, 2)


class Guess(nn.Module):
    """A pose and the covariance of what it is off by, from the condition.

    Parts are guessed, with the covariance ``diag(spread²) + leans leansᵀ``; a linear map makes states of them, which is
    the identity unless it is handed in.
    """

    def __init__(self, config: HypothesesConfig) -> None:
        super().__init__()
        self.leans, width = config.leans, config.heard
        parts = config.state + 1 if config.rays else config.state
        self.blocks = nn.Sequential(*(ResidualBlock(width, 0.0) for _ in range(config.guess)), nn.LayerNorm(width))
        self.pose = None if config.lifter else nn.Linear(width, parts)
        self.spread = nn.Linear(width, parts)
        self.lean = nn.Linear(width, parts * config.leans)
        for layer in (self.spread, self.lean):
            nn.init.normal_(layer.weight, std=0.01)

    def forward(
        self,
        condition: Float[Tensor, "*persons heard"],
        states: Float[Tensor, "*#persons state parts"] | None = None,
        lifted: Float[Tensor, "*#persons state"] | None = None,
    ) -> Guessed:
        """In units of the state; `lifted` is the pose where a lifter says it."""
        features = self.blocks(condition)
        with torch.autocast(condition.device.type, enabled=False):
            exact = features.float()
            spread = self.spread(exact).clamp(*SPREADS).exp()
            root = torch.cat([torch.diag_embed(spread), self.lean(exact).unflatten(-1, (-1, self.leans))], -1)
            pose = lifted if self.pose is None else self.pose(exact)
            assert pose is not None, "the pose of this network is said by a lifter"
            if states is not None:
                root = states @ root
                pose = pose if self.pose is None else (states @ pose[..., None])[..., 0]
            pose = pose.expand(*root.shape[:-1])
            least = LEAST_SPREAD**2 * torch.eye(pose.shape[-1], device=pose.device)
            return Guessed(pose, torch.linalg.cholesky(root @ root.mT + least), features)


class PoseDenoiser(nn.Module):
    """What noise there is in a latent, from the latent, the number of the step and the condition.

    Where a guess is made it is told the state of the noisy latent too: which poses are bodies does not depend on it.
    """

    def __init__(self, config: HypothesesConfig) -> None:
        super().__init__()
        self.noisy = config.state * (2 if config.guess else 1) + 1
        self.inward = nn.Linear(self.noisy + config.heard, config.width)
        self.blocks = nn.Sequential(*(Residual(config.width) for _ in range(config.blocks)))
        self.outward = nn.Linear(config.width, config.state)

    def hear(self, condition: Float[Tensor, "*persons heard"]) -> Float[Tensor, "*persons width"]:
        """What the condition adds to the first layer, the same at every step."""
        return functional.linear(condition, self.inward.weight[:, self.noisy :], self.inward.bias)

    def forward(
        self,
        noisy: Float[Tensor, "*poses noisy"],
        step: Float[Tensor, "*poses 1"],
        heard: Float[Tensor, "*#poses width"],
    ) -> Float[Tensor, "*poses state"]:
        """The answer; `heard` is what `hear` made of the condition."""
        x = functional.linear(torch.cat([noisy, step], -1), self.inward.weight[:, : self.noisy]) + heard
        return self.outward(self.blocks(x))


class HypothesesNetwork(nn.Module):
    """Condition, guess and denoiser; `dispose.models.diffpose_hypotheses.sampling` runs them."""

    claim: Tensor

    def __init__(self, config: HypothesesConfig) -> None:
        super().__init__()
        self.answer = answer_named(config.answer)
        if config.lifter is not None and (not config.guess or not config.sight or config.seen != config.joints):
            raise InputError(
                "a lifter takes a guess, sight, and keypoints of the joints of a pose: set all, or no lifter."
            )
        self.config = config
        # The first, so that its weights begin as those of a lifter alone do.
        self.lifter = ResidualLifter(config.lifter) if config.lifter else None
        self.condition = Concatenated() if config.concatenate else Condition(config)
        self.guess = Guess(config) if config.guess else None
        self.denoiser = PoseDenoiser(config)
        self.table: StepTable = table_of_betas(cosine_betas(config.steps))
        self.register_buffer("claim", torch.ones(len(SHARPNESS), 3), persistent=config.guess > 0)

    def guessed(
        self,
        samples: Samples,
        sight: Float[Tensor, "persons hypotheses sight"],
        states: Float[Tensor, "persons 1 state parts"] | None = None,
        shown: Float[Tensor, "persons hypotheses joints"] | None = None,
    ) -> Guessed:
        """What noise is relative to: the guess, of parts that make `states`, or the middle of everything.

        `shown` are factors of the joints, 0 for those that are held back.
        """
        lifted = None
        if self.lifter is not None:
            with torch.no_grad(), torch.autocast(sight.device.type, enabled=False):
                lifted = self.centred(self.lifter.lift(sight[:, :1]))
            sight = torch.cat([sight, lifted.expand(*sight.shape[:2], -1)], -1)
        condition = self.condition(samples, sight, shown)
        if self.guess is not None:
            return self.guess(condition, states, lifted)
        none = condition.new_zeros(*condition.shape[:-1], self.config.state)
        return Guessed(none, torch.diag_embed(none + 1), condition)

    def claimed(self, sigma: Float[Tensor, " persons"]) -> Float[Tensor, "persons 3"]:
        """By how much hypotheses of people with keypoints of some uncertainty lie farther out, along x, y, z."""
        return near_sharpness(sigma) @ self.claim

    def denoise(
        self,
        latent: Float[Tensor, "*poses state"],
        step: Float[Tensor, "*poses 1"],
        guessed: Guessed,
        heard: Float[Tensor, "*#poses width"],
    ) -> Float[Tensor, "*poses state"]:
        """The denoiser's answer to a noisy latent."""
        noisy = latent if self.guess is None else torch.cat([latent, guessed.state(latent)], -1)
        return self.denoiser(noisy, step, heard)

    def centred(self, xyz: Float[Tensor, "*persons joints 3"]) -> Float[Tensor, "*persons state"]:
        """Poses, metres in the axes of a view, as states: axis by axis, joints from their middle."""
        xyz = xyz - xyz.mean(-2, keepdim=True)
        return (xyz * xyz.new_tensor(self.config.axes) / self.config.unit).transpose(-2, -1).flatten(-2)

    def poses(self, state: Float[Tensor, "*persons state"]) -> Float[Tensor, "*persons joints 3"]:
        """States as poses, metres from the middle of the hips."""
        xyz = state.unflatten(-1, (3, -1)).transpose(-2, -1) * self.config.unit
        xyz = even_sides(xyz * xyz.new_tensor(self.config.axes), self.config.joints, self.config.even)
        hips = [self.config.joints.index(hip) for hip in ("l_hip", "r_hip")]
        return xyz - xyz[..., hips, :].mean(-2, keepdim=True)


def near_sharpness(sigma: Float[Tensor, " persons"]) -> Float[Tensor, "persons knots"]:
    """Weights, of sum 1, of the values of `SHARPNESS` on both sides of uncertainties, linear in their logarithm."""
    knots = sigma.new_tensor(SHARPNESS).log()
    place = sigma.clamp(SHARPNESS[0], SHARPNESS[-1]).log()
    return (1 - (place[:, None] - knots).abs() / (knots[1] - knots[0])).clamp(min=0)
