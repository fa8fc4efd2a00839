"""Single people as one camera sees them, in the axes of a camera that looks straight at them.

A network that lifts one image is told neither where in the image a person stands nor how large they look in pixels:
the camera is turned towards them, and distances in the image are told in units of their own extent. What it answers
is turned back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.pinhole import normalize_points
from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct, along

SMALLEST_SIZE = 1e-3
"""Extents smaller than this (radians) are taken to be this: keypoints on one spot."""


@dataclass(frozen=True, eq=False)
class ViewPeople(TensorStruct):
    """Keypoints of single people, on the image plane of a virtual camera at their camera's centre that looks at them.

    Virtual axes: +X right, +Y down, +Z away from the camera.

    Attributes:
        joints: their names.
        uv: keypoints on the plane at distance 1, in units of `size`; 0 where not seen.
        sigma: how uncertain these are: standard deviation in either direction, same unit; 0 where not seen.
        confidence: scores; 0 where not seen.
        seen: which keypoints there are.
        size: root-mean-square distance of the keypoints from the middle of the virtual image, radians (nearly).
        up: unit vector of the world's +Z in the virtual axes; 0 where it is not known.
        rotation: virtual axes from the camera's.
    """

    joints: tuple[str, ...] = field(metadata=along("joints"))
    uv: Float[Tensor, "persons joints 2"]
    sigma: Float[Tensor, "persons joints"]
    confidence: Float[Tensor, "persons joints"]
    seen: Bool[Tensor, "persons joints"]
    size: Float[Tensor, " persons"]
    up: Float[Tensor, "persons 3"]
    rotation: Float[Tensor, "persons 3 3"]

    def __len__(self) -> int:
        return len(self.size)

    def to_camera(self, xyz: Float[Tensor, "persons *some 3"]) -> Float[Tensor, "persons *some 3"]:
        """Vectors in virtual axes, such as joints from the middle of the hips, in the camera's axes; unit unchanged."""
        return _turn(xyz, self.rotation.mT)

    def from_camera(self, xyz: Float[Tensor, "persons *some 3"]) -> Float[Tensor, "persons *some 3"]:
        """Vectors in the camera's axes in virtual axes."""
        return _turn(xyz, self.rotation)

    def mirror(self, swap: list[int]) -> "ViewPeople":
        """The same people seen in a mirror; `swap` says for every joint which one its mirror image is."""
        flip = torch.tensor([-1.0, 1.0, 1.0])
        other = self.select(joints=swap)
        rotation = flip[:, None].to(self.rotation) * self.rotation * flip.to(self.rotation)
        uv, up = other.uv * flip[:2].to(self.uv), self.up * flip.to(self.up)
        return replace(other, joints=self.joints, uv=uv, up=up, rotation=rotation)


Lift = Callable[[ViewPeople, torch.Generator], Tensor]
"""``(people, generator) -> hypotheses``: `persons hypotheses joints 3`, virtual axes, metres from the middle of the
hips. A method that knows one answer gives one hypothesis."""


def _turn(xyz: Tensor, rotation: Tensor) -> Tensor:
    flat = xyz.reshape(len(xyz), -1, 3).to(rotation.dtype)
    return (flat @ rotation.mT).reshape(xyz.shape).to(xyz.dtype)


def confidence_of(sigma_px: Float[Tensor, "*people"], width: Float[Tensor, "*#people"]) -> Float[Tensor, "*people"]:
    """The score that lifters learn to see beside keypoints of some standard deviation, in images of some width, pixels.

    Scores of real detectors mean something else with every detector; they first become standard deviations.
    """
    return torch.exp(-8.0 * sigma_px / width)


def view_people(
    joints: tuple[str, ...],
    cameras: Cameras,
    xy_image: Float[Tensor, "persons joints 2"],
    confidence: Float[Tensor, "persons joints"],
    seen: Bool[Tensor, "persons joints"],
    sigma_px: Float[Tensor, "persons joints"],
    *,
    upright: bool = True,
) -> ViewPeople:
    """What a network for one image is told.

    Args:
        joints: names of the keypoints.
        cameras: of every person one view (``persons 1 …``).
        xy_image: keypoints, pixels.
        confidence: scores.
        seen: which keypoints there are.
        sigma_px: their standard deviation in either direction, pixels.
        upright: whether the world's +Z is known to point up; False for an image whose camera is known by its
            intrinsics alone.
    """
    matrix, rotation = cameras.matrix[:, 0], cameras.rotation[:, 0]
    plane = normalize_points(xy_image.double(), matrix[:, None], cameras.lens[:, 0, None])
    # Of who is not seen, such as behind the camera, the place may be no number, which no weight of 0 removes.
    plane = torch.where(seen[..., None], plane, 0.0)
    rays = torch.cat([plane, torch.ones_like(plane[..., :1])], -1)
    weight = seen.to(rays.dtype)[..., None]
    middle = (weight * rays / rays.norm(dim=-1, keepdim=True)).sum(1)
    middle = torch.where(seen.any(1, keepdim=True), middle, rays.new_tensor([0.0, 0.0, 1.0]))
    turn, _ = look_at(torch.zeros_like(middle), middle, rays.new_tensor([0.0, -1.0, 0.0]))
    rays = rays @ turn.mT
    uv = torch.where(seen[..., None], rays[..., :2] / rays[..., 2:].clamp(min=1e-3), 0.0)
    size = (uv.square().sum((1, 2)) / seen.sum(1).clamp(min=1)).sqrt().clamp(min=SMALLEST_SIZE)
    focal = (matrix[:, 0, 0] + matrix[:, 1, 1]) / 2
    sigma = torch.where(seen, sigma_px / (focal * size)[:, None], 0.0)
    up = (turn @ rotation @ rays.new_tensor([0.0, 0.0, 1.0])) * float(upright)
    return ViewPeople(
        joints,
        (uv / size[:, None, None]).float(),
        sigma.float(),
        torch.where(seen, confidence, 0.0).float(),
        seen,
        size.float(),
        up.float(),
        turn,
    )
