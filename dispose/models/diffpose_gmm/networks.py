"""The two graph networks of informed diffusion: one that lifts keypoints, one that tells the noise in a pose."""

from dataclasses import dataclass
from functools import partial

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from dispose.nn.blocks import sinusoidal
from dispose.nn.graph import OURS, GraphNetwork, GraphRules, GraphSizes, row_normalised
from dispose.skeletons.catalog import by_name

STATE = 5
"""Numbers of a joint in a state: two of the image, three of space."""

TIME_EXPANSION = 4
"""How much wider than a joint the embedding of time is."""


@dataclass(frozen=True)
class GraphLifterConfig:
    """A graph network that lifts.

    Attributes:
        skeleton: by name; its bones are the graph.
        sizes: of the network.
        told: numbers that are told of every joint beside its place in the image; 0 as published.
    """

    skeleton: str = "coco_17"
    sizes: GraphSizes = GraphSizes()
    told: int = 0


class GraphLifter(nn.Module):
    """Places of joints in the image, and what else is told of them, to places in space, metres."""

    def __init__(self, config: GraphLifterConfig, rules: GraphRules = OURS) -> None:
        super().__init__()
        self.config = config
        self.body = GraphNetwork(2 + config.told, 3, config.sizes, _bones(config.skeleton), rules=rules)

    def forward(self, joints: Float[Tensor, "persons joints inward"]) -> Float[Tensor, "persons joints 3"]:
        """One pose, not yet from its root."""
        return self.body(joints)


@dataclass(frozen=True)
class GraphDenoiserConfig:
    """A graph network that tells the noise in states of ``(u, v, x, y, z)``.

    Attributes:
        skeleton: by name; its bones are the graph.
        sizes: of the network.
        told: numbers that are told of every joint beside its state; 0 as published.
        condition: numbers that are told of a person; 0 as published.
    """

    skeleton: str = "coco_17"
    sizes: GraphSizes = GraphSizes()
    told: int = 0
    condition: int = 0


class GraphDenoiser(nn.Module):
    """The noise in a state, given the number of its step."""

    def __init__(self, config: GraphDenoiserConfig, rules: GraphRules = OURS, embed=sinusoidal) -> None:
        super().__init__()
        self.config = config
        chans = config.sizes.chans
        wide = TIME_EXPANSION * chans
        self.embed = partial(embed, chans=chans)
        self.time = nn.Sequential(nn.Linear(chans, wide), nn.SiLU(), nn.Linear(wide, wide))
        self.person = nn.Linear(config.condition, wide) if config.condition else None
        bones = _bones(config.skeleton)
        self.body = GraphNetwork(STATE + config.told, STATE, config.sizes, bones, wide, rules)

    def forward(
        self,
        state: Float[Tensor, "persons joints inward"],
        step: Float[Tensor, " persons"],
        person: Float[Tensor, "persons condition"] | None = None,
    ) -> Float[Tensor, "persons joints 5"]:
        """The noise of unit variance, or in the units of the state, as it was trained."""
        condition = self.time(self.embed(step))
        if self.person is not None and person is not None:
            condition = condition + self.person(silu(person))
        return self.body(state, condition)


def _bones(skeleton: str) -> Float[Tensor, "joints joints"]:
    known = by_name(skeleton)
    return row_normalised(len(known), known.bone_indices)
