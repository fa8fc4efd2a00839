"""From the joints of people to solids: trunk, head, limbs, hands and feet of realistic thickness."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from dispose.skeletons.catalog import COCO_17
from dispose.tensors import TensorStruct, cat
from dispose_synthetic.renderer.solids import Solids, ellipsoids, frame_along, round_cones

PARTS = (
    "pelvis", "belly", "chest", "yoke", "neck", "head", "nose", "l_ear", "r_ear", "bun",
    "l_upper_arm", "r_upper_arm", "l_forearm", "r_forearm", "l_hand", "r_hand",
    "l_thigh", "r_thigh", "l_shank", "r_shank", "l_foot", "r_foot", "seat",
)  # fmt: skip
"""Parts of a body, in the order of its solids; last the stool of who sits."""
_SITTING = 0.5
"""Who sits has thighs that rise or fall by less than this share of their length."""
_LOWEST_SEAT_MM = 330.0


@dataclass(frozen=True, eq=False)
class Builds(TensorStruct):
    """How thick people are.

    Attributes:
        size: all thicknesses relative to those of an adult of 1.72 m.
        girth: of the trunk, relative.
        limb: thickness of arms and legs, relative.
        hem: thickness that trousers and sleeves add, relative.
        bun: radius of a knot of hair at the back of the head, relative to the head (0: none).
    """

    size: Float[Tensor, " persons"]
    girth: Float[Tensor, " persons"]
    limb: Float[Tensor, " persons"]
    hem: Float[Tensor, " persons"]
    bun: Float[Tensor, " persons"]


def _rows(xyz: Tensor, *names: str) -> tuple[Tensor, ...]:
    return tuple(xyz[:, COCO_17.index(name)] for name in names)


def trunk_axes(xyz: Float[Tensor, "persons 17 3"]) -> tuple[Tensor, Tensor]:
    """Unit vectors to the front of the chest and to the front of the pelvis."""
    shoulders, hips = _rows(xyz, "l_shoulder", "r_shoulder"), _rows(xyz, "l_hip", "r_hip")
    up = (shoulders[0] + shoulders[1] - hips[0] - hips[1]) / 2
    across = (shoulders[0] - shoulders[1], hips[0] - hips[1])
    return tuple(normalize(torch.linalg.cross(side, up, dim=-1), dim=-1) for side in across)  # type: ignore[return-value]


def head_axes(xyz: Float[Tensor, "persons 17 3"]) -> tuple[Tensor, Tensor, Tensor]:
    """Middle between the ears, axes of the head as rows (front, left, up), and the width between the ears."""
    nose, left, right = _rows(xyz, "nose", "l_ear", "r_ear")
    middle = (left + right) / 2
    side = left - right
    # The nose lies a little below the ears: its direction is turned back up by that angle.
    axes = frame_along(side, nose - middle)
    front, left_axis = axes[:, 0], axes[:, 2]
    up = torch.linalg.cross(front, left_axis, dim=-1)
    # 0.44 forward, 0.05 down in shares of the head.
    front, up = normalize(front + 0.114 * up, dim=-1), normalize(up - 0.114 * front, dim=-1)
    return middle, torch.stack([front, left_axis, up], dim=-2), side.norm(dim=-1)


def _trunk(xyz: Tensor, builds: Builds, chest_front: Tensor, pelvis_front: Tensor) -> list[Solids]:
    l_shoulder, r_shoulder, l_hip, r_hip = _rows(xyz, "l_shoulder", "r_shoulder", "l_hip", "r_hip")
    neck, hips = (l_shoulder + r_shoulder) / 2, (l_hip + r_hip) / 2
    half = (l_shoulder - r_shoulder).norm(dim=-1) / 2
    hip_half = (l_hip - r_hip).norm(dim=-1) / 2
    thick = builds.size * builds.girth
    up = neck - hips
    waist, breast = hips + 0.34 * up, hips + 0.74 * up
    wide = hip_half + 48 * thick
    belly_front = normalize(chest_front + pelvis_front, dim=-1)
    pelvis = round_cones(hips - 0.02 * up, hips + 0.1 * up, (wide, wide * 0.98), pelvis_front, flat=0.68)
    belly = round_cones(hips + 0.12 * up, waist, (wide * 0.97, 0.82 * half + 12 * thick), belly_front, flat=0.7)
    chest = round_cones(waist, breast, (0.82 * half + 10 * thick, 0.86 * half + 16 * thick), chest_front, flat=0.68)
    yoke = round_cones(
        l_shoulder - 0.03 * up, r_shoulder - 0.03 * up, (58 * builds.size, 58 * builds.size), chest_front, flat=1.15
    )
    return [pelvis, belly, chest, yoke]


def _head(xyz: Tensor, builds: Builds, chest_front: Tensor) -> list[Solids]:
    (nose,) = _rows(xyz, "nose")
    l_shoulder, r_shoulder = _rows(xyz, "l_shoulder", "r_shoulder")
    l_ear, r_ear = _rows(xyz, "l_ear", "r_ear")
    middle, axes, width = head_axes(xyz)
    head = width / 0.66
    front, up = axes[:, 0], axes[:, 2]
    centre = middle + head[:, None] * (0.02 * front + 0.06 * up)
    radii = head[:, None] * torch.tensor([0.41, 0.33, 0.53])
    base = (l_shoulder + r_shoulder) / 2
    throat = middle - head[:, None] * (0.3 * up + 0.04 * front)
    neck = round_cones(base - 0.25 * (throat - base), throat, (56 * builds.size, 50 * builds.size), chest_front)
    tip = round_cones(
        nose - 0.13 * head[:, None] * (front - 0.9 * up),
        nose - 0.03 * head[:, None] * front,
        (0.035 * head, 0.055 * head),
        front,
    )
    ears = [ellipsoids(ear, axes, head[:, None] * torch.tensor([0.08, 0.045, 0.14])) for ear in (l_ear, r_ear)]
    knot = centre - head[:, None] * (0.42 * front - 0.12 * up)
    # Who wears no knot has one of no size inside the head.
    inner = torch.where((builds.bun > 0)[:, None], knot, centre)
    bun = ellipsoids(inner, axes, (head * builds.bun.clamp(min=0.02))[:, None].expand(-1, 3))
    return [neck, ellipsoids(centre, axes, radii), tip, *ears, bun]


def _sides(xyz: Tensor, *names: str) -> tuple[Tensor, ...]:
    """Joints of both sides (left, right) before the persons."""
    return tuple(torch.stack(_rows(xyz, f"l_{name}", f"r_{name}")) for name in names)


def _arms(xyz: Tensor, builds: Builds, front: Tensor) -> list[Solids]:
    shoulder, elbow, wrist = _sides(xyz, "shoulder", "elbow", "wrist")
    front = front.expand_as(shoulder)
    fore = normalize(wrist - elbow, dim=-1)
    thick = builds.size * builds.limb
    sleeve = thick * (1 + 0.5 * (builds.hem - 1))
    upper = round_cones(shoulder, elbow, (54 * sleeve, 41 * sleeve), front)
    lower = round_cones(elbow, wrist, (40 * thick, 27 * thick), front)
    palm = 88 * builds.size[:, None] * fore
    ends = wrist + 0.25 * palm, wrist + 1.4 * palm
    hand = round_cones(*ends, (34 * builds.size, 22 * builds.size), front, flat=0.75)
    return [upper, lower, hand]


def _legs(xyz: Tensor, builds: Builds, front: Tensor) -> list[Solids]:
    hip, knee, ankle = _sides(xyz, "hip", "knee", "ankle")
    front = front.expand_as(hip)
    thick = builds.size * builds.limb
    thigh = round_cones(hip, knee, (84 * thick * builds.girth, 57 * thick * builds.hem), front)
    shank = round_cones(knee, ankle, (56 * thick * builds.hem, 39 * thick * builds.hem), front)
    # Feet point where the pelvis points, across the shank; a bent knee points there too.
    down = normalize(ankle - knee, dim=-1)
    ahead = front + (knee - hip) / 300.0
    ahead = normalize(ahead - (ahead * down).sum(-1, keepdim=True) * down, dim=-1)
    size = builds.size[:, None]
    sole = ankle + 42 * size * down
    heel, toe = sole - 42 * size * ahead, sole + (150 * ahead + 8 * down) * size
    foot = round_cones(heel, toe, (40 * builds.size, 30 * builds.size), down)
    return [thigh, shank, foot]


def _seats(xyz: Tensor) -> list[Solids]:
    """A stool under people who sit; a grain of dust inside everybody else."""
    l_hip, r_hip, l_knee, r_knee = _rows(xyz, "l_hip", "r_hip", "l_knee", "r_knee")
    hips, knees = (l_hip + r_hip) / 2, (l_knee + r_knee) / 2
    rise = (knees - hips)[:, 2].abs() / (l_knee - l_hip).norm(dim=-1).clamp(min=1.0)
    sits = (rise < _SITTING) & (hips[:, 2] > _LOWEST_SEAT_MM)
    plate = hips - torch.tensor([0.0, 0.0, 220.0])
    foot = torch.where(sits[:, None], plate * torch.tensor([1.0, 1.0, 0.0]), hips)
    radius = torch.where(sits, 130.0, 1.0)
    across = torch.tensor([1.0, 0.0, 0.0]).expand_as(hips)
    top = torch.where(sits[:, None], plate, hips + torch.tensor([0.0, 0.0, 1.0]))
    return [round_cones(foot, top, (0.7 * radius, radius), across)]


def bodies(xyz_world: Float[Tensor, "persons 17 3"], builds: Builds) -> Solids:
    """The solids of people, part by part: `PARTS`-major, so that solid ``part * persons + person`` is theirs."""
    xyz = xyz_world.float()
    chest, pelvis = trunk_axes(xyz)
    trunk, head = _trunk(xyz, builds, chest, pelvis), _head(xyz, builds, chest)
    return cat([*trunk, *head, *_arms(xyz, builds, chest), *_legs(xyz, builds, pelvis), *_seats(xyz)], "solids")


def part_of(solid: Int[Tensor, "*hits"], persons: int) -> tuple[Int[Tensor, "*hits"], Int[Tensor, "*hits"]]:
    """Part and person of solids of `bodies`."""
    part = torch.div(solid, max(persons, 1), rounding_mode="floor")
    return part, solid - part * persons
