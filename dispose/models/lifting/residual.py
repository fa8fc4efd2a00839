"""One answer from one image: a residual network of fully connected layers.

The plain way to lift keypoints, beside which every other has to be seen (martinez2017simple).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.models.lifting.view import ViewPeople
from dispose.skeletons.catalog import COCO_17

SIGMA_SCALE = 10.0
"""Told uncertainties are a few hundredths of a person's extent."""


@dataclass(frozen=True)
class ResidualConfig:
    """Joints in and out, width of the layers, number of blocks of two."""

    joints: tuple[str, ...] = COCO_17.joints
    width: int = 320
    blocks: int = 3
    dropout: float = 0.0


class ResidualBlock(nn.Module):
    """Two layers that are added to what comes in."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, x: Float[Tensor, "*persons chans"]) -> Float[Tensor, "*persons chans"]:
        """The input and what is added."""
        return x + self.layers(x)


class ResidualLifter(nn.Module):
    """Keypoints to joints in the axes of `ViewPeople`, metres from the middle of the hips."""

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        self.config = config
        count = len(config.joints)
        self.enter = nn.Linear(features_of(count), config.width)
        self.blocks = nn.Sequential(*(ResidualBlock(config.width, config.dropout) for _ in range(config.blocks)))
        self.leave = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 3 * count))

    def forward(self, people: ViewPeople) -> Float[Tensor, "persons joints 3"]:
        """Of every person one pose."""
        return self.lift(told(people))

    def lift(self, features: Float[Tensor, "*persons features"]) -> Float[Tensor, "*persons joints 3"]:
        """The pose of those of whom `told` says this."""
        return self.leave(self.blocks(self.enter(features))).unflatten(-1, (-1, 3))


def features_of(joints: int) -> int:
    """How many numbers `told` gives."""
    return 5 * joints + 4


def told(people: ViewPeople) -> Float[Tensor, "persons features"]:
    """All that is known of people as one vector: keypoints, uncertainty, score and whether seen, size, and up."""
    seen = people.seen.to(people.uv.dtype)
    parts = (people.uv.flatten(1), SIGMA_SCALE * people.sigma, people.confidence, seen)
    return torch.cat([*parts, people.size.log()[:, None], people.up], 1)
