"""Where Context-Aware PoseFormer looks: the places of the pictures' maps that its joints read, block by block."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.models.context.crops import PersonCrops
from dispose.models.context.lifter import ContextBlock
from dispose.models.context.network import ContextNetwork
from dispose.tensors import TensorStruct, stack


@dataclass(frozen=True, eq=False)
class Gaze(TensorStruct):
    """What every joint of people reads of every map, in every context block.

    Attributes:
        place: pixels of the cut.
        weight: how much each place counts; those of a head sum to 1.
    """

    place: Float[Tensor, "*blocks persons levels joints heads points 2"]
    weight: Float[Tensor, "*blocks persons levels joints heads points"]


@torch.no_grad()
def gaze_of(network: ContextNetwork, crops: PersonCrops) -> Gaze:
    """Where the network looks on its way to an answer; at least one context block is needed."""
    maps, lifter, seen = network.look(crops.pixels), network.lifter, crops.people.seen
    grid = network.rules.grid(crops.xy_crop, crops.size)
    told, features = lifter.tokens(maps, grid, network.rules.tell(crops), seen)
    last = crops.xy_crop.new_tensor(crops.size) - 1
    found = []
    for block in lifter.context:
        assert isinstance(block, ContextBlock)
        place, weight = block.gaze(features, told, grid)
        found.append(Gaze((place + 1) / 2 * last, weight))
        features = block(features, told, maps, grid) * seen[:, None, :, None]
    return stack(found)
