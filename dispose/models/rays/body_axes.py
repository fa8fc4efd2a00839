"""Axes laid into a person: a mean body, by the names of its joints, turned and moved onto theirs.

The axes turn and move with the world, whatever it is turned and moved by.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.tensors import TensorStruct

# Joint: forward, left, up from the middle of the hips (mm), and how much it tells of the body's turn: trunks turn as
# one, limbs go their own ways.
_MIDDLE = {
    "nose": (110.0, 0.0, 640.0, 0.5),
    "head": (30.0, 0.0, 650.0, 0.5),
    "head_top": (10.0, 0.0, 790.0, 0.5),
    "top_head": (10.0, 0.0, 790.0, 0.5),
    "bottom_head": (60.0, 0.0, 570.0, 0.5),
    "upper_neck": (10.0, 0.0, 550.0, 1.0),
    "neck": (0.0, 0.0, 480.0, 1.0),
    "thorax": (0.0, 0.0, 460.0, 1.0),
    "spine": (0.0, 0.0, 210.0, 1.0),
    "mid_hip": (0.0, 0.0, 0.0, 1.0),
    "pelvis": (-50.0, 0.0, 20.0, 1.0),
}
_LEFT = {
    "eye": (95.0, 32.0, 675.0, 0.3),
    "ear": (10.0, 75.0, 655.0, 0.3),
    "shoulder": (0.0, 175.0, 460.0, 1.0),
    "elbow": (20.0, 230.0, 190.0, 0.15),
    "wrist": (140.0, 240.0, 10.0, 0.05),
    "hip": (0.0, 95.0, 0.0, 1.0),
    "knee": (60.0, 105.0, -410.0, 0.3),
    "ankle": (0.0, 110.0, -800.0, 0.15),
    "big_toe": (170.0, 110.0, -870.0, 0.05),
    "small_toe": (130.0, 170.0, -870.0, 0.05),
    "heel": (-60.0, 110.0, -870.0, 0.05),
}

MEAN_BODY: dict[str, tuple[float, float, float, float]] = {
    **_MIDDLE,
    **{f"l_{name}": place for name, place in _LEFT.items()},
    **{f"r_{name}": (x, -y, z, w) for name, (x, y, z, w) in _LEFT.items()},
}

JOINT_NAMES = tuple(MEAN_BODY)
"""The names that the network was taught; it takes others as joints that it knows nothing of."""


@dataclass(frozen=True, eq=False)
class Template(TensorStruct):
    """The mean body with the joints of some skeleton; a joint of an unknown name lies at the origin and has weight 0.

    Attributes:
        points: mm from the middle of the hips, +X forward, +Y left, +Z up.
        weights: how much a joint tells of the body's turn.
        kind: row in `JOINT_NAMES`, plus one; 0 = unknown.
    """

    points: Float[Tensor, "joints 3"]
    weights: Float[Tensor, " joints"]
    kind: Int[Tensor, " joints"]


def template_of(joints: tuple[str, ...]) -> Template:
    """The mean body with joints of these names."""
    rows = torch.tensor([MEAN_BODY.get(name, (0.0, 0.0, 0.0, 0.0)) for name in joints], dtype=torch.float64)
    kind = [JOINT_NAMES.index(name) + 1 if name in MEAN_BODY else 0 for name in joints]
    return Template(rows[:, :3], rows[:, 3], torch.tensor(kind))


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
