"""Where labels meet both stages: which peak is whom, and the roots of Stage II's teacher forcing."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.association.polytope import CandidateGraph
from dispose.association.roots import weighted_roots
from dispose.scene.frame import Frame, Labels
from dispose.tensors import ABSENT

FAR = 1e6


def match_roots(frame: Frame, labels: Labels, gate_px: Float[Tensor, " views"]) -> Int[Tensor, "views slots"]:
    """The row of the labelled person whose root a peak is, `ABSENT` for a peak that is nobody's.

    One to one in every view, the nearest together, at most `gate_px` original pixels apart.
    """
    found = frame.detections
    root = found.skeleton.index(found.skeleton.root_of[0])
    identity = torch.full(found.valid.shape, ABSENT, dtype=torch.long)
    if identity.shape[1] == 0 or labels.xy_image.shape[1] == 0:
        return identity
    distance = (found.xy_image[:, :, None, root].double() - labels.xy_image[:, None, :, root].double()).norm(dim=-1)
    usable = found.valid[:, :, None] & labels.visible[:, None, :, root] & (distance <= gate_px[:, None, None])
    cost = torch.where(usable, distance, FAR)
    for view in range(len(identity)):
        slots, persons = linear_sum_assignment(cost[view].numpy())
        for slot, person in zip(slots.tolist(), persons.tolist(), strict=True):
            if bool(usable[view, slot, person]):
                identity[view, slot] = person
    return identity


def membership(identity: Int[Tensor, "views slots"], persons: int) -> Float[Tensor, "persons views slots"]:
    """1 where a detection is a person's."""
    return (identity[None] == torch.arange(persons)[:, None, None]).double()


def forced_roots(
    frame: Frame, labels: Labels, weight: Float[Tensor, "persons views slots"]
) -> Float[Tensor, "persons 3"]:
    """Roots triangulated from weighted detections; a person with fewer than two of them gets the label's root.

    Persons without a labelled 3-D root and without two detections are NaN.
    """
    skeleton = labels.poses.skeleton
    root = skeleton.index(skeleton.root_of[0])
    label = torch.where(labels.poses.valid[:, root, None], labels.poses.xyz_world[:, root], torch.nan)
    enough = (weight.detach() > 0).flatten(1).sum(1) >= 2
    if not bool(enough.any()):
        return label.double()
    harmless = torch.where(enough[:, None, None], weight, torch.ones_like(weight))
    return torch.where(enough[:, None], weighted_roots(frame, harmless), label.double())


def supported_membership(
    graph: CandidateGraph, mass: Float[Tensor, " tuples"], member: Float[Tensor, "persons views slots"]
) -> Float[Tensor, "persons views slots"]:
    """How probable it is that a detection belongs with a person's own detections, by the mass of a graph's tuples.

    The mean over the person's detections in other views of the mass of all tuples that hold both. Differentiable in
    the mass: through it the triangulated root, and whatever is computed from it, speaks to Stage I.

    Args:
        graph: one sample.
        mass: of its tuples, on the polytope.
        member: which detections are whose (`membership`).
    """
    tuples, views = graph.members.shape
    slots = member.shape[2]
    held = torch.zeros(tuples, views, slots + 1, dtype=mass.dtype)
    slot = torch.where(graph.members == ABSENT, slots, graph.members)
    held.scatter_(2, slot[..., None], 1.0)
    held = held[..., :slots].flatten(1)
    together = (held * mass[:, None]).T @ held
    own = member.to(mass.dtype).flatten(1)
    view = torch.arange(views).repeat_interleave(slots)
    across = (view[:, None] != view).to(mass.dtype)
    support = own @ (together * across)
    count = own @ across
    return (support / count.clamp(min=1)).view_as(member)


def perturb_roots(
    roots: Sequence[Float[Tensor, "_ 3"]], seeds: Sequence[int], noise_mm: float
) -> list[Float[Tensor, "_ 3"]]:
    """Roots with normal noise on every coordinate, drawn from a seed per sample."""
    out = []
    for row, seed in zip(roots, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed + 1)
        out.append(row + noise_mm * torch.randn(row.shape, generator=generator, dtype=torch.float64).to(row.device))
    return out


NEAR_MM = 250.0
"""A negative proposal is at least this far from every labelled root."""


def negative_proposals(
    frame: Frame, labels: Labels, identity: Int[Tensor, "views slots"], seed: int
) -> Float[Tensor, "_ 3"]:
    """At most one root where nobody is: two detections of different views that are not one person, triangulated.

    It is what a wrong association would propose, and teaches the confidence of people.
    """
    generator = torch.Generator().manual_seed(seed + 3)
    view, slot = frame.detections.valid.nonzero(as_tuple=True)
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    if len(view) < 2:
        return nothing
    order = torch.randperm(len(view), generator=generator)
    one = order[0]
    who = identity[view, slot]
    other = order[1:][(view[order[1:]] != view[one]) & ((who[order[1:]] != who[one]) | (who[one] == ABSENT))]
    if not len(other):
        return nothing
    weight = torch.zeros(1, *frame.detections.valid.shape, dtype=torch.float64)
    for k in (one, other[0]):
        weight[0, view[k], slot[k]] = 1.0
    xyz = weighted_roots(frame, weight)
    root = labels.poses.skeleton.index(labels.poses.skeleton.root_of[0])
    apart = (labels.poses.xyz_world[:, root] - xyz).norm(dim=-1)
    apart = torch.where(labels.poses.valid[:, root], apart, torch.inf)
    _, front = frame.cameras.project(xyz)
    far = bool(torch.isfinite(xyz).all()) and bool((apart > NEAR_MM).all()) and int(front.sum()) >= 2
    return xyz if far else nothing
