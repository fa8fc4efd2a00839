"""What a camera can see of people: image borders, other bodies, the own body, furniture, the back of a head."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.pinhole import project_points
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import TensorStruct
from dispose_synthetic.placement import Furniture

_INDEX = {name: i for i, name in enumerate(COCO_17.joints)}
HEAD_JOINTS = (0, 1, 2, 3, 4)
# Bodies as capsules between two means of joints, with a radius in mm.
CAPSULES = (
    (("l_shoulder", "r_shoulder"), ("l_hip", "r_hip"), 150.0),
    (("l_ear", "r_ear"), ("l_ear", "r_ear", "nose"), 110.0),
    (("l_shoulder",), ("l_elbow",), 50.0), (("r_shoulder",), ("r_elbow",), 50.0),
    (("l_elbow",), ("l_wrist",), 42.0), (("r_elbow",), ("r_wrist",), 42.0),
    (("l_hip",), ("l_knee",), 80.0), (("r_hip",), ("r_knee",), 80.0),
    (("l_knee",), ("l_ankle",), 55.0), (("r_knee",), ("r_ankle",), 55.0),
)  # fmt: skip
# A joint is not hidden by the part of the own body that it belongs to or touches.
OWN = tuple(
    tuple(
        joint in first + second
        or (i == 0 and joint in ("l_shoulder", "r_shoulder", "l_hip", "r_hip"))
        or (i == 1 and _INDEX[joint] in HEAD_JOINTS)
        for i, (first, second, _) in enumerate(CAPSULES)
    )
    for joint in COCO_17.joints
)
BEHIND_MM = 120.0
"""A joint is hidden only by what is nearer to the camera by this much."""
FACE_TURN = {"nose": -0.4, "l_eye": -0.15, "r_eye": -0.15, "l_ear": -0.5, "r_ear": -0.5}
"""Smallest cosine between the direction in which a facial point looks and the direction to the camera."""


@dataclass(frozen=True, eq=False)
class Sight(TensorStruct):
    """How every joint appears in every view.

    Exact image points (pixels) and depths along the optical axis (mm); `inside` means in front of the camera and inside
    the image. What hides a joint: its side of the face is turned away, the own body, somebody else (`occluder`, the
    slot of that person; itself where nobody does), or furniture. `scale` is pixels per mm at the person's depth, and
    `width` that of the image in pixels.
    """

    xy_image: Float[Tensor, "frames views persons joints 2"]
    depth: Float[Tensor, "frames views persons joints"]
    inside: Bool[Tensor, "frames views persons joints"]
    turned_away: Bool[Tensor, "frames views persons joints"]
    by_self: Bool[Tensor, "frames views persons joints"]
    by_other: Bool[Tensor, "frames views persons joints"]
    by_thing: Bool[Tensor, "frames views persons joints"]
    occluder: Int[Tensor, "frames views persons joints"]
    scale: Float[Tensor, "frames views persons"]
    width: Float[Tensor, "frames views"]


def _turned_away(xyz_world: Tensor, centres: Tensor) -> Tensor:
    """Facial points that look away from the camera."""
    ears = xyz_world[:, :, [_INDEX["l_ear"], _INDEX["r_ear"]]]
    middle = ears.mean(2)
    left = torch.nn.functional.normalize(ears[:, :, 0] - ears[:, :, 1], dim=-1)
    ahead = torch.nn.functional.normalize(xyz_world[:, :, _INDEX["nose"]] - middle, dim=-1)
    outward = torch.stack(
        [ahead, 0.85 * ahead + 0.4 * left, 0.85 * ahead - 0.4 * left, left + 0.1 * ahead, 0.1 * ahead - left], dim=2
    )
    outward = torch.nn.functional.normalize(outward, dim=-1)
    towards = torch.nn.functional.normalize(centres[:, :, None] - middle[:, None], dim=-1)
    cosine = (outward[:, None] * towards[..., None, :]).sum(-1)
    limits = torch.tensor([FACE_TURN[name] for name in COCO_17.joints[: len(HEAD_JOINTS)]], dtype=cosine.dtype)
    hidden = torch.zeros(*cosine.shape[:-1], len(COCO_17), dtype=torch.bool)
    hidden[..., : len(HEAD_JOINTS)] = cosine < limits
    return hidden


def _capsules(points: Tensor) -> tuple[Tensor, Tensor]:
    """Both ends of every capsule of every person; `points` has joints in its last axis but one."""
    ends = [
        torch.stack([points[..., COCO_17.indices(names), :].mean(-2) for names in side], dim=-2)
        for side in ([c[0] for c in CAPSULES], [c[1] for c in CAPSULES])
    ]
    return ends[0], ends[1]


def _hidden_by_bodies(xy: Tensor, depth: Tensor, focal: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By the own body, by somebody else, and by whom; compares every joint with every capsule in the image."""
    persons = xy.shape[2]
    points = torch.cat([xy, depth[..., None]], dim=-1).float()
    # Written out by coordinate and in place: this is where a chunk of frames spends its time.
    x, y, z = (c[..., None, None] for c in points.unbind(-1))
    start, end = _capsules(points)
    ax, ay, az = (c[:, :, None, None] for c in start.unbind(-1))
    dx, dy, dz = (c[:, :, None, None] for c in (end - start).unbind(-1))
    length = (dx * dx + dy * dy).clamp_(min=1e-6)
    share = (x * (dx / length)).add_(y * (dy / length)).sub_((ax * dx + ay * dy) / length).clamp_(0.0, 1.0)
    near = (share * dz).add_(az)
    apart = (share * dx).add_(ax).sub_(x).square_().add_((share * dy).add_(ay).sub_(y).square_())
    radius = torch.tensor([c[2] for c in CAPSULES]) * focal[:, :, None, None, None, None]
    covered = apart.sqrt_().mul_(near.clamp(min=200.0)) < radius
    covered &= near + BEHIND_MM < z
    covered &= near > 150.0
    covered &= present[:, None, None, None, :, None]
    same = torch.eye(persons, dtype=torch.bool)[:, None, :, None]
    own = torch.tensor(OWN)[None, :, None]
    by_self = (covered & same & ~own).any(-1).any(-1)
    by_whom = (covered & ~same).any(-1)
    occluder = torch.where(by_whom.any(-1), by_whom.float().argmax(-1), torch.arange(persons)[:, None])
    return by_self, by_whom.any(-1), occluder


def _hidden_by_things(xyz_world: Tensor, centres: Tensor, furniture: Furniture) -> Tensor:
    """Whether a box lies between the camera and the joint (slab test)."""
    origin = centres.float()[:, :, None, None, None]
    ray = xyz_world.float()[:, None, :, :, None] - origin
    safe = torch.where(ray.abs() < 1e-6, torch.full_like(ray, 1e-6), ray)
    near = (furniture.low[:, None, None, None] - origin) / safe
    far = (furniture.high[:, None, None, None] - origin) / safe
    enter = torch.minimum(near, far).amax(-1)
    leave = torch.maximum(near, far).amin(-1)
    hit = (enter < leave) & (enter > 0) & (enter < 0.98) & furniture.present[:, None, None, None]
    return hit.any(-1)


def look(
    xyz_world: Float[Tensor, "frames persons joints 3"],
    present: Bool[Tensor, "frames persons"],
    rigs: Cameras,
    furniture: Furniture,
) -> Sight:
    """What every camera of the true rigs sees of everybody."""
    # Written out: `Cameras.to_camera` rounds otherwise, and a seed's captures would be others.
    xyz = xyz_world.double()[:, None] @ rigs.rotation[:, :, None].mT + rigs.translation[:, :, None, None]
    xy = project_points(xyz, rigs.matrix[:, :, None, None], rigs.lens[:, :, None, None])
    depth, focal = xyz[..., 2], rigs.matrix[..., 0, 0]
    # Far outside the image the lens model folds back into it: such points are outside whatever it says.
    radius = (xyz[..., :2] / depth.clamp(min=1.0)[..., None]).norm(dim=-1)
    corner = (rigs.size / rigs.matrix.diagonal(dim1=-2, dim2=-1)[..., :2]).norm(dim=-1)[:, :, None, None] / 2
    inside = rigs.inside(xy) & (depth > 150.0) & (radius < 1.35 * corner) & present[:, None, :, None]
    by_self, by_other, occluder = _hidden_by_bodies(xy, depth, focal.float(), present)
    scale = (focal[..., None] / depth.mean(-1).clamp(min=200.0)).float()
    return Sight(
        xy, depth, inside, _turned_away(xyz_world.double(), rigs.centres), by_self, by_other,
        _hidden_by_things(xyz_world, rigs.centres, furniture), occluder, scale, rigs.size[..., 0].float(),
    )  # fmt: skip
