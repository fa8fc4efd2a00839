"""A mean body: roughly where joints of every name lie, for the first guess and for how a person is turned."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
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
