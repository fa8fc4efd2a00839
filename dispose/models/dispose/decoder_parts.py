"""Small parts of a decoder layer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dispose.tensors import TensorStruct

COUNT_CHANS = 64
Nodes = Float[Tensor, "persons views joints chans"]


@dataclass(frozen=True, eq=False)
class PackedPersons(TensorStruct):
    """Who stands where in the batch: what the attributes of hyperedges may depend on.

    Attributes:
        sample: the sample of every person.
        slot: the person's place among the people of their sample, from 0.
        samples: how many samples there are.
    """

    sample: Int[Tensor, " persons"]
    slot: Int[Tensor, " persons"]
    samples: int

    @staticmethod
    def of(sample: Int[Tensor, " persons"], samples: int) -> "PackedPersons":
        """Slots count the people of a sample in the order in which they come."""
        same = sample[:, None] == sample[None, :]
        slot = same.tril(-1).sum(1)
        return PackedPersons(sample, slot, samples)


EdgeRows = Callable[[PackedPersons, int, int, int], Int[Tensor, "persons edges"]]
"""Which embedding every hyperedge of every person carries: ``(roster, first, second, instances)``.

A person has `first` hyperedges of their own and then `second` of the kinds 0, 1, …; rows count the `instances`
instance embeddings first and the kinds after them.
"""


def own_rows(roster: PackedPersons, first: int, second: int, instances: int) -> Int[Tensor, "persons edges"]:
    """The first edges carry the person's instance embedding, the others that of their kind."""
    person = (roster.slot % instances)[:, None].expand(-1, first)
    kind = instances + torch.arange(second, device=person.device)
    return torch.cat([person, kind.expand(len(person), -1)], 1)


Members = Callable[[PackedPersons, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Which incidences of both families of hyperedges hold, from those that should: ``(roster, first, second)``."""


def own_members(
    roster: PackedPersons, first: Bool[Tensor, "persons *first"], second: Bool[Tensor, "persons *second"]
) -> tuple[Bool[Tensor, "persons *first"], Bool[Tensor, "persons *second"]]:
    """As they should."""
    return first, second


class FeedForward(nn.Module):
    """``fc2(gelu(fc1 x))`` with dropout after both."""

    def __init__(self, chans: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inward = nn.Linear(chans, hidden)
        self.outward = nn.Linear(hidden, chans)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*items chans"]) -> Float[Tensor, "*items chans"]:
        """Shape is kept."""
        return self.dropout(self.outward(self.dropout(nn.functional.gelu(self.inward(x)))))


class OffsetNet(nn.Module):
    """Where in an image the joint really is, as a step from the reference, and how far to trust the image."""

    def __init__(self, chans: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(chans)
        self.trunk = nn.Sequential(FeedForward(chans, chans, dropout))
        self.step = nn.Linear(chans, 2)
        self.trust = nn.Linear(chans, 1)
        for head in (self.step, self.trust):
            nn.init.normal_(head.weight, std=1e-3)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.trust.bias, 2.0)

    def forward(
        self, x: Nodes
    ) -> tuple[Nodes, Float[Tensor, "persons views joints 2"], Float[Tensor, "persons views joints"]]:
        """State, offset in (-1, 1) and logit of trust."""
        state = x + self.trunk(self.norm(x))
        return state, self.step(state).tanh(), self.trust(state)[..., 0]


class ViewAggregation(nn.Module):
    """One feature per joint from those of its views."""

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.logit = nn.Linear(chans, 1)

    def forward(
        self,
        x: Nodes,
        weight: Float[Tensor, "persons views joints"],
        visible: Bool[Tensor, "persons views joints"],
    ) -> Float[Tensor, "persons joints chans"]:
        """Soft-max over visible views of a linear logit and half the logarithm of the triangulation weight."""
        logit = self.logit(x)[..., 0] + 0.5 * weight.detach().clamp(min=1e-6).log()
        return (visible_softmax(logit, visible)[..., None] * x).sum(1)


class GeometricFeedback(nn.Sequential):
    """What the triangulation says to the joint's feature; silent at initialisation."""

    def __init__(self, chans: int) -> None:
        super().__init__(nn.Linear(4 + COUNT_CHANS, chans), nn.LayerNorm(chans), nn.GELU(), nn.Linear(chans, chans))
        for parameter in self[3].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        position: Float[Tensor, "persons joints 3"],
        residual: Float[Tensor, "persons joints"],
        count: Float[Tensor, "persons joints counts"],
    ) -> Float[Tensor, "persons joints chans"]:
        """From normalised positions, residuals (1 = not triangulated; 1e-6 … 1) and the embedded number of views."""
        count = count.to(position.dtype)
        return super().forward(torch.cat([position, residual.clamp(1e-6, 1).log()[..., None], count], -1))


CountEmbedding = Callable[[Int[Tensor, "persons joints"], int], Float[Tensor, "persons joints chans"]]
"""From numbers of views and how many channels are wanted."""


def count_embedding(count: Int[Tensor, "persons joints"], chans: int) -> Float[Tensor, "persons joints chans"]:
    """Sines, then cosines, at frequencies from 1 down to almost 1e-4."""
    ladder = torch.arange(chans // 2, device=count.device) / (chans // 2)
    angle = count[..., None] * torch.exp(-math.log(1e4) * ladder)
    return torch.cat([angle.sin(), angle.cos()], -1)


def ray_encoder(chans: int) -> nn.Sequential:
    """Embedding of viewing directions."""
    return nn.Sequential(nn.Linear(3, chans), nn.LayerNorm(chans), nn.GELU(), nn.Linear(chans, chans))


def visible_softmax(
    logit: Float[Tensor, "persons views joints"], visible: Bool[Tensor, "persons views joints"]
) -> Float[Tensor, "persons views joints"]:
    """Soft-max over the views that see a joint; 0 for the others, and for all where none does."""
    least = torch.finfo(logit.dtype).min
    return logit.masked_fill(~visible, least).softmax(1) * visible


def view_joint_incidence(
    first: Bool[Tensor, "persons views joints"], second: Bool[Tensor, "persons views joints"]
) -> Bool[Tensor, "persons edges nodes"]:
    """One edge per view with its joints in `first`, then one per joint with its views in `second`; nodes by view."""
    views, joints = first.shape[1:]
    device = first.device
    view = torch.eye(views, dtype=torch.bool, device=device)[:, :, None].expand(-1, -1, joints).flatten(1)
    joint = torch.eye(joints, dtype=torch.bool, device=device)[:, None].expand(-1, views, -1).flatten(1)
    return torch.cat([view & first.flatten(1)[:, None], joint & second.flatten(1)[:, None]], 1)


def person_part_incidence(
    members: Int[Tensor, "members 2"],
    kinds: int,
    first: Bool[Tensor, "persons joints"],
    second: Bool[Tensor, "persons members"],
) -> Bool[Tensor, "persons edges joints"]:
    """One edge with the joints in `first`, then one per body part with its members (part, joint) in `second`."""
    part, joint = members.T
    parts = first.new_zeros((len(first), kinds, first.shape[1]))
    parts[:, part, joint] = second
    return torch.cat([first[:, None], parts], 1)


def part_members(parts: tuple[tuple[int, ...], ...]) -> Int[Tensor, "members 2"]:
    """All pairs of a part and a joint of it, joint by joint."""
    pairs = sorted((joint, kind) for kind, joints in enumerate(parts) for joint in joints)
    return torch.tensor([(kind, joint) for joint, kind in pairs])
