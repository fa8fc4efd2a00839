"""One answer from one image: a residual network of fully connected layers.

The plain way to lift keypoints, beside which every other has to be seen (martinez2017simple).
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from dispose.models.lifting.told import features_of, told
from dispose.models.lifting.view import ViewPeople
from dispose.skeletons.catalog import COCO_17


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
