"""Poses that one image allows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Lifted(TensorStruct):
    """What single images say of single people: poses, all equally likely, without a place in the room.

    Attributes:
        skeleton: whose joints they have.
        xyz_camera: from the middle of the hips, in the camera's axes, mm.
    """

    skeleton: Skeleton
    xyz_camera: Float[Tensor, "persons hypotheses joints 3"]

    @property
    def mean(self) -> Float[Tensor, "persons joints 3"]:
        """The mean pose, mm."""
        return self.xyz_camera.mean(1)

    @property
    def covariance(self) -> Float[Tensor, "persons joints 3 3"]:
        """Of every joint over the hypotheses, mm²; 0 where there is only one."""
        return spread_of(self.xyz_camera.transpose(1, 2))


@dataclass(frozen=True, eq=False)
class Placed(TensorStruct):
    """Lifted people, and for each of their poses where before the camera the middle of the hips is, mm.

    A pose that is larger stands farther away: how far is as uncertain as how large somebody is.
    """

    lifted: Lifted
    place: Float[Tensor, "persons hypotheses 3"]

    def __len__(self) -> int:
        return len(self.place)

    @property
    def xyz_camera(self) -> Float[Tensor, "persons hypotheses joints 3"]:
        """Joints in the camera's axes, mm from its centre."""
        return self.lifted.xyz_camera + self.place[:, :, None]

    def to_world(self, cameras: Cameras) -> Float[Tensor, "persons hypotheses joints 3"]:
        """Joints in the world, mm; of every person one view."""
        off = self.xyz_camera - cameras.translation[:, :1, None]
        return (off.flatten(1, 2) @ cameras.rotation[:, 0]).view(off.shape)


def spread_of(samples: Float[Tensor, "*batch samples dims"]) -> Float[Tensor, "*batch dims dims"]:
    """Covariance of samples of equal weight; 0 where there is only one."""
    off = samples - samples.mean(-2, keepdim=True)
    return off.mT @ off / max(off.shape[-2] - 1, 1)


def place_before_camera(
    xyz_camera: Float[Tensor, "*batch joints 3"],
    plane: Float[Tensor, "*#batch joints 2"],
    weight: Float[Tensor, "*#batch joints"],
) -> Float[Tensor, "*batch 3"]:
    """Where the middle of the hips has to be so that a pose is seen where its keypoints are, mm in the camera's axes.

    Minimises the weighted squares of ``x - u z`` and ``y - v z`` over the joints, which is linear in the place; the
    pose's size decides how far away the person is. With fewer than two joints of weight nothing is decided: NaN.

    Args:
        xyz_camera: joints from the middle of the hips, mm.
        plane: keypoints at distance 1 before the camera, without distortion.
        weight: of every keypoint, 0 where not seen.
    """
    u, v, x, y, z = *plane.unbind(-1), *xyz_camera.unbind(-1)
    one, none = torch.ones_like(x * u), torch.zeros_like(x * u)
    rows = torch.stack([torch.stack([one, none, -u * one], -1), torch.stack([none, one, -v * one], -1)], -2)
    right = torch.stack([u * z - x, v * z - y], -1)
    heavy = weight[..., None, None] * rows
    normal = (rows.mT @ heavy).sum(-3)
    enough = ((weight > 0).sum(-1) >= 2)[..., None].expand(right[..., 0, :1].shape)
    normal = torch.where(enough[..., None], normal, torch.eye(3, dtype=normal.dtype, device=normal.device))
    found = torch.linalg.solve(normal, (heavy.mT @ right[..., None]).sum(-3))[..., 0]
    return torch.where(enough, found, torch.nan)
