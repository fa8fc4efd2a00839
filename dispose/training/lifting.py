"""What networks learn from that lift one image: people drawn for every step, as many as one likes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dispose.datasets.cmu_motion import Motion
from dispose.losses.objective import Term
from dispose.models.lifting.view import ViewPeople
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct, cat
from dispose.training.config import Optimisation
from dispose.training.task import Task
from dispose_synthetic.one_view import OneViewConfig, sample_views
from dispose_synthetic.randomness import Noise

NUMBERS = 65_536

LIFTER_WIDTH = 640
LIFTER_PLAN = Optimisation(
    steps=6000, batch=256, rate=1.5e-3, warmup=200, clip=1.0, weight_decay=1e-2, average=0.998, checkpoint_every=500
)
"""The lifter that shipped systems go out from, and how it learns."""


@dataclass(frozen=True, eq=False)
class LiftExamples(TensorStruct):
    """People as a camera sees them, and where their joints truly are: metres from the middle of the hips, in the axes
    of `ViewPeople`; `known` which to learn from.
    """

    people: ViewPeople
    xyz: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]

    def mirror(self) -> "LiftExamples":
        """Everybody seen in a mirror."""
        swap = Skeleton("", self.people.joints, ()).mirror
        flip = self.xyz.new_tensor([-1.0, 1.0, 1.0])
        return LiftExamples(self.people.mirror(swap), self.xyz[:, swap] * flip, self.known[:, swap])


def with_mirror_images(batch: LiftExamples) -> LiftExamples:
    """Everybody, and everybody as seen in a mirror: drawing people costs more than learning from them."""
    return cat([batch, batch.mirror()], "persons")


class DrawnViews:
    """People drawn for every step by its seeds, in postures of captured motion where there is some.

    Without motion all postures are procedural.
    """

    def __init__(self, config: OneViewConfig, motion: Motion | None) -> None:
        self.config, self.motion = config, motion

    @property
    def groups(self) -> Sequence[int]:
        """One. Examples are numbers to draw by."""
        return [0] * NUMBERS

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> LiftExamples:
        """As many people as there are rows."""
        source = Noise(torch.Generator().manual_seed(seeds[0]))
        return self.draw(source, len(rows))

    def draw(self, source: Noise, people: int) -> LiftExamples:
        """So many people."""
        return LiftExamples(*sample_views(source, self.motion, people, self.config))


def in_half_precision(like: Tensor) -> torch.autocast:
    """Products in bfloat16: a third of the time on a core that has it."""
    return torch.autocast(like.device.type, torch.bfloat16)


class LifterTask(Task):
    """The mean distance of the joints; `network` makes `persons joints 3` of `ViewPeople`."""

    name = "lifter"

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: LiftExamples) -> tuple[Term, ...]:
        """Metres."""
        batch = with_mirror_images(batch).to(next(self.parameters()).device)
        with in_half_precision(batch.xyz):
            found = self.network(batch.people)
        return (Term("distance", (found.float() - batch.xyz).norm(dim=-1)[batch.known].mean()),)
