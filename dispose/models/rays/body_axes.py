"""Axes laid into a person: a mean body turned and moved onto their joints.

The axes turn and move with the world, whatever it is turned and moved by.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.models.rays.template import Template

SPREAD_MM = 500.0
"""A joint much farther than this from the middle of the body is no part of it."""

MISFIT_MM = 250.0
"""A joint much farther than this from its place on the mean body says little of how the person is turned."""

UPRIGHT_MM2 = 0.02 * 400.0**2
"""How much the cameras' upward directions count, per joint, against the joints: only where these leave the turn open,
as of people seen from one side."""

ROUNDS = 2


def lay_axes(
    xyz_world: Float[Tensor, "persons joints 3"],
    known: Bool[Tensor, "persons joints"],
    template: Template,
    up: Float[Tensor, "persons views 3"],
    seeing: Bool[Tensor, "persons views"],
) -> tuple[Float[Tensor, "persons 3"], Float[Tensor, "persons 3 3"]]:
    """The origin of every person, mm, and their axes as rows: forward, left, up.

    The mean body is laid onto the joints by Kabsch's rotation, twice reweighted against joints out of place.

    Args:
        xyz_world: joints, mm.
        known: which of them there are.
        template: the mean body.
        up: upward directions of the cameras.
        seeing: views that see the person.
    """
    xyz = torch.where(known[..., None], xyz_world, 0.0)
    # Joints of unknown names say where the person is, a little.
    trust = known * template.weights.clamp(min=1e-3)
    gap = (xyz[:, :, None] - xyz[:, None]).norm(dim=-1)
    far = (trust[:, None] * gap.clamp(max=2 * SPREAD_MM)).sum(-1)
    middle = torch.where(known, far, torch.inf).argmin(1)
    near = torch.take_along_dim(gap, middle[:, None, None], 1)[:, 0]
    trust = trust / (1 + (near / SPREAD_MM) ** 2) ** 2
    skyward = (up * seeing[..., None]).sum(1)
    skyward = skyward / skyward.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    weights = trust
    origin, axes = _fit(xyz, weights, template, skyward)
    for _ in range(ROUNDS):
        misfit = (template.points @ axes + origin[:, None] - xyz).norm(dim=-1)
        weights = trust / (1 + (misfit / MISFIT_MM) ** 2) ** 2
        origin, axes = _fit(xyz, weights, template, skyward)
    return origin, axes


def _fit(
    xyz: Float[Tensor, "persons joints 3"],
    weights: Float[Tensor, "persons joints"],
    template: Template,
    skyward: Float[Tensor, "persons 3"],
) -> tuple[Float[Tensor, "persons 3"], Float[Tensor, "persons 3 3"]]:
    """The rigid motion of the mean body that fits weighted joints best."""
    share = (weights / weights.sum(1, keepdim=True).clamp(min=1e-12))[..., None]
    there, here = (share * xyz).sum(1), (share * template.points).sum(1)
    moved = share * (template.points - here[:, None])
    product = moved.mT @ (xyz - there[:, None])
    vertical = torch.zeros_like(product)
    vertical[:, 2] = UPRIGHT_MM2 * skyward
    left, _, right = torch.linalg.svd(product + vertical)
    proper = torch.linalg.det(left @ right).sign()
    scale = torch.stack([torch.ones_like(proper), torch.ones_like(proper), proper], -1)
    axes = (left * scale[:, None]) @ right
    return there - (here[:, None] @ axes)[:, 0], axes
