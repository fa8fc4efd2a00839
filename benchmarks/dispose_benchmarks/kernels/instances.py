"""Random captures for timings and tests: marginal problems of association, and evidence in a ring of cameras."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose_kernels.candidates import ABSENT, Evidence
from dispose_kernels.sinkhorn import Marginals


@dataclass(frozen=True, eq=False)
class ProblemInstance:
    """One random frame: who was detected, candidate tuples (right, partly right, wrong, single), oracle-like logits.

    The last tuple of the marginal problem, and of the logits, is absent everywhere.
    """

    members: Int[Tensor, "candidates views"]
    valid: Bool[Tensor, "views slots"]
    marginals: Marginals
    logits: Float[Tensor, " tuples"]


def random_capture(
    generator: torch.Generator, *, views: int, people: int, false_people: int, wrong: int, confidence: float = 5.0
) -> ProblemInstance:
    """People seen with probability 0.85 in every view, as many false detections in every view as asked for.

    Logits are plus or minus the confidence for right and other tuples, with normal noise of 0.4 times it. Marginals:
    1 for a detection, ``all detections + 1 - detections of the view`` for its dustbin.
    """
    seen = torch.rand(people, views, generator=generator) < 0.85
    right = torch.where(seen, seen.long().cumsum(0) - 1, ABSENT)
    counts = seen.sum(0) + false_people
    parts = right[:, None].expand(-1, 4, -1)
    parts = torch.where(torch.rand(parts.shape, generator=generator) < 0.6, parts, ABSENT).reshape(-1, views)
    guess = (torch.rand(wrong, views, generator=generator) * counts).long()
    keep = (torch.rand(wrong, views, generator=generator) < 0.5) & (counts > 0)
    guess = torch.where(keep, guess, ABSENT)
    valid = torch.arange(max(1, int(counts.max())))[None] < counts[:, None]
    view, slot = torch.nonzero(valid, as_tuple=True)
    single = torch.full((len(view), views), ABSENT)
    single[torch.arange(len(view)), view] = slot
    members = torch.cat([right, parts, guess, single])
    members = torch.unique(members[(members != ABSENT).any(1)], dim=0)
    good = (members[:, None] == right[None]).all(2).any(1) if people else members.new_zeros(len(members)).bool()
    noise = torch.randn(len(members), generator=generator, dtype=torch.float64)
    logits = torch.where(good, confidence, -confidence) + 0.4 * confidence * noise
    return ProblemInstance(members, valid, _always_feasible(members, counts), torch.cat([logits, logits.new_zeros(1)]))


def _always_feasible(members: Tensor, counts: Tensor) -> Marginals:
    """Bins of a view: its detections, then its dustbin."""
    first = (counts + 1).cumsum(0) - counts - 1
    everyone = torch.cat([members, torch.full((1, members.shape[1]), ABSENT)])
    bins = first + torch.where(everyone == ABSENT, counts, everyone)
    target = torch.ones(int((counts + 1).sum()), dtype=torch.float64)
    target[first + counts] = (counts.sum() + 1 - counts).double()
    sample, sample_of_bin = torch.zeros(len(bins), dtype=torch.long), torch.zeros(len(target), dtype=torch.long)
    return Marginals(bins, target, sample, sample_of_bin, 1)


def random_evidence(
    generator: torch.Generator,
    *,
    views: int,
    people: int,
    false_people: int,
    joints: int,
    noise_mm: float = 15.0,
) -> Evidence:
    """Rays of a ring of cameras, 5 m away, to people's joints; 10 % of people missed, 15 % of joints unseen.

    A ray's precision is ``(I - d dt) / noise^2``: nothing is known along it.
    """
    angle = torch.arange(views, dtype=torch.float64) / views * 2 * torch.pi
    angle = angle + 0.1 * torch.rand(views, generator=generator, dtype=torch.float64)
    centre = torch.stack([5000 * angle.cos(), 5000 * angle.sin(), torch.full_like(angle, 1500.0)], -1)
    true = _people(generator, people, joints)[None].expand(views, -1, -1, -1)
    false = _people(generator, views * false_people, joints).reshape(views, false_people, joints, 3)
    xyz = torch.cat([true, false], 1)
    xyz = xyz + noise_mm * torch.randn(xyz.shape, generator=generator, dtype=torch.float64)
    valid = torch.rand(xyz.shape[:2], generator=generator) < 0.9
    seen = (torch.rand(xyz.shape[:3], generator=generator) < 0.85) & valid[..., None]
    ray = xyz - centre[:, None, None]
    ray = ray / ray.norm(dim=-1, keepdim=True)
    precision = (torch.eye(3, dtype=torch.float64) - ray[..., :, None] * ray[..., None, :]) / noise_mm**2
    precision = torch.where(seen[..., None, None], precision, 0.0)
    information = (precision @ centre[:, None, None, :, None])[..., 0]
    constant = (information * centre[:, None, None]).sum(-1)
    return Evidence(precision, information, constant, valid)


def _people(generator: torch.Generator, people: int, joints: int) -> Tensor:
    """Joints scattered like a body around places in a room of 5 m, mm."""
    place = (torch.rand(people, 1, 3, generator=generator, dtype=torch.float64) - 0.5) * 5000.0
    body = torch.randn(people, joints, 3, generator=generator, dtype=torch.float64)
    spread = torch.tensor([200.0, 200.0, 500.0], dtype=torch.float64)
    return place * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64) + body * spread
