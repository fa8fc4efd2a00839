"""From 2-D joints and the feature maps around them to 3-D joints: deformable context, then transformers.

After the published description (zhao2023contextpose). A joint has one token of its coordinates and one of every map.
Maps are frozen: they come from a network that finds joints in images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dispose.nn.blocks import AttentionBlock, DropPath, ResidualMLP, require_heads
from dispose.nn.projective_attention import compass
from dispose_kernels.deformable_attention.grids import border, sample_grid, zeros

Maps = Sequence[Float[Tensor, "persons _ _ _"]]
FIRST_STEP = 0.01
"""How far apart the places lie at first, of half the crop."""


@dataclass(frozen=True)
class LifterConfig:
    """Sizes of the lifter; the defaults are the published ones.

    Attributes:
        joints: of a person.
        coordinates: numbers that the coordinate token of a joint is made of.
        chans: width of a token.
        context: blocks that look around in the maps; 0 = features at the joints only.
        within: blocks among the tokens of one joint.
        between: blocks among the joints.
        heads: of the attention.
        context_heads: heads with which a token looks around.
        points: places that each of these reads.
        drop_path: share of skipped branches of the last block of each kind, rising from 0.
    """

    joints: int = 17
    coordinates: int = 2
    chans: int = 128
    context: int = 4
    within: int = 4
    between: int = 4
    heads: int = 8
    context_heads: int = 4
    points: int = 4
    drop_path: float = 0.2


class ContextBlock(nn.Module):
    """The tokens of every map look around their joint in that map, then a feed-forward block."""

    def __init__(self, map_chans: Sequence[int], config: LifterConfig, drop_path: float) -> None:
        super().__init__()
        chans, heads, points = config.chans, config.context_heads, config.points
        require_heads(chans, heads)
        self.split = (heads, points)
        self.norm = nn.LayerNorm(chans)
        self.weight = nn.Linear(chans, heads * points)
        self.offset = nn.Linear(chans, 2 * heads * points)
        self.value = nn.ModuleList(nn.Linear(c, chans // heads) for c in map_chans)
        self.drop_path = DropPath(drop_path)
        self.feed_forward = ResidualMLP(chans, activation=nn.GELU, drop_path=drop_path)
        nn.init.zeros_(self.offset.weight)
        with torch.no_grad():
            self.offset.bias.copy_(FIRST_STEP * compass(heads, points).flatten())

    def forward(
        self,
        features: Float[Tensor, "persons levels joints chans"],
        coordinates: Float[Tensor, "persons joints chans"],
        maps: Maps,
        grid: Float[Tensor, "persons joints 2"],
    ) -> Float[Tensor, "persons levels joints chans"]:
        """The tokens of the maps, renewed."""
        place, weight = self.gaze(features, coordinates, grid)
        seen = []
        for level, (value, one) in enumerate(zip(self.value, maps, strict=True)):
            read = sample_grid(one, place[:, level], weight[:, level], align_corners=True, padding=border)
            # The weights of a head sum to 1, so its value may be taken after the sum.
            seen.append(value(read).flatten(2))
        return self.feed_forward(features + self.drop_path(torch.stack(seen, 1)))

    def gaze(
        self,
        features: Float[Tensor, "persons levels joints chans"],
        coordinates: Float[Tensor, "persons joints chans"],
        grid: Float[Tensor, "persons joints 2"],
    ) -> tuple[
        Float[Tensor, "persons levels joints heads points 2"], Float[Tensor, "persons levels joints heads points"]
    ]:
        """Where every token reads its map (-1 to 1), anywhere in the crop, and how much each place counts."""
        query = self.norm(features + coordinates[:, None])
        offset = self.offset(query).tanh().unflatten(-1, (*self.split, 2))
        return grid[:, None, :, None, None] + offset, self.weight(query).unflatten(-1, self.split).softmax(-1)


class ContextLifter(nn.Module):
    """2-D joints and maps to 3-D joints.

    Args:
        map_chans: channels of the maps, fine to coarse.
        config: sizes.
    """

    def __init__(self, map_chans: Sequence[int], config: LifterConfig) -> None:
        super().__init__()
        self.config = config
        chans, tokens = config.chans, 1 + len(map_chans)
        self.coordinates = nn.Linear(config.coordinates, chans)
        self.features = nn.ModuleList(nn.Linear(c, chans) for c in map_chans)
        self.place = nn.Parameter(torch.zeros(1, tokens, config.joints, chans))
        self.context = nn.ModuleList(
            ContextBlock(map_chans, config, share) for share in _rising(config.drop_path, config.context)
        )
        self.within, self.between = (
            nn.ModuleList(
                AttentionBlock(width, config.heads, activation=nn.GELU, drop_path=share)
                for share in _rising(config.drop_path, count)
            )
            for width, count in ((chans, config.within), (tokens * chans, config.between))
        )
        self.last = nn.Sequential(nn.LayerNorm(tokens * chans), nn.Linear(tokens * chans, 3))

    def close_eyes(self) -> None:
        """Let the maps say nothing until the lifter learns to look: it answers as if all of them were 0."""
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and (name.startswith("features.") or ".value." in name):
                nn.init.zeros_(parameter)

    def forward(
        self,
        maps: Maps,
        grid: Float[Tensor, "persons joints 2"],
        coordinates: Float[Tensor, "persons joints inputs"],
        seen: Bool[Tensor, "persons joints"],
    ) -> Float[Tensor, "persons joints 3"]:
        """3-D joints, metres, in the axes and about the origin that training set.

        Args:
            maps: of the crops, fine to coarse.
            grid: the joints in the crops, -1 to 1 between the middles of the outermost pixels.
            coordinates: what is told of the joints beside the maps.
            seen: joints that are known in 2-D; features around the others count as 0.
        """
        told, features = self.tokens(maps, grid, coordinates, seen)
        for block in self.context:
            features = block(features, told, maps, grid) * seen[:, None, :, None]
        tokens = torch.cat([told[:, None], features], 1).transpose(1, 2)
        persons, joints = tokens.shape[:2]
        for block in self.within:
            tokens = block(tokens.flatten(0, 1)).unflatten(0, (persons, joints))
        tokens = tokens.flatten(2)
        for block in self.between:
            tokens = block(tokens)
        return self.last(tokens)

    def tokens(
        self,
        maps: Maps,
        grid: Float[Tensor, "persons joints 2"],
        coordinates: Float[Tensor, "persons joints inputs"],
        seen: Bool[Tensor, "persons joints"],
    ) -> tuple[Float[Tensor, "persons joints chans"], Float[Tensor, "persons levels joints chans"]]:
        """The tokens of coordinates and of the maps right at the joints, before anything looks around."""
        at = grid[:, :, None, None]
        one = torch.ones_like(at[..., 0])
        read = []
        for layer, level in zip(self.features, maps, strict=True):
            read.append(layer(sample_grid(level, at, one, align_corners=True, padding=zeros)[:, :, 0]))
        features = (torch.stack(read, 1) + self.place[:, 1:]) * seen[:, None, :, None]
        return self.coordinates(coordinates) + self.place[:, 0], features


def _rising(most: float, count: int) -> list[float]:
    """Shares from 0 to the most, evenly."""
    return torch.linspace(0, most, count).tolist() if count > 1 else [0.0] * count
