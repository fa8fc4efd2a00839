"""The calibrated cameras of one rig."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.geometry.pinhole import normalize_points, project_points
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Cameras(TensorStruct):
    """Intrinsics, distortion and pose of every view; world in mm, +Z up (float64).

    Attributes:
        names: one unique name per view.
        size: image width and height in pixels.
        matrix: 3x3 intrinsics.
        distortion: OpenCV's ``k1 k2 p1 p2 k3 k4 k5 k6``.
        rotation: rotation part of ``camera_from_world``.
        translation: translation part of ``camera_from_world``, mm.
    """

    names: tuple[str, ...]
    size: Float[Tensor, "views 2"]
    matrix: Float[Tensor, "views 3 3"]
    distortion: Float[Tensor, "views 8"]
    rotation: Float[Tensor, "views 3 3"]
    translation: Float[Tensor, "views 3"]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def centres(self) -> Float[Tensor, "views 3"]:
        """Camera centres in the world, mm."""
        return -(self.rotation.mT @ self.translation[..., None])[..., 0]

    def select(self, views: Sequence[int]) -> "Cameras":
        """The cameras of some views, in the order given."""
        rows = list(views)
        return Cameras(
            tuple(self.names[v] for v in rows),
            *(t[rows] for t in (self.size, self.matrix, self.distortion, self.rotation, self.translation)),
        )

    def to_camera(self, xyz_world: Float[Tensor, "*points 3"]) -> Float[Tensor, "views *points 3"]:
        """World points in every camera's coordinates, mm."""
        flat = xyz_world.reshape(-1, 3)
        out = flat @ self.rotation.mT + self.translation[:, None]
        return out.reshape(len(self), *xyz_world.shape)

    def project(
        self, xyz_world: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "views *points 2"], Bool[Tensor, "views *points"]]:
        """Image points of world points in every view, and whether they lie in front of the camera."""
        xyz_camera = self.to_camera(xyz_world)
        ones = (1,) * (xyz_world.ndim - 1)
        xy = project_points(xyz_camera, self.matrix.reshape(-1, *ones, 3, 3), self.distortion.reshape(-1, *ones, 8))
        return xy, xyz_camera[..., 2] > 0

    def directions(self, xy_image: Float[Tensor, "views *points 2"]) -> Float[Tensor, "views *points 3"]:
        """Unit world directions of the rays through image points; their origins are `centres`."""
        ones = (1,) * (xy_image.ndim - 2)
        xy = normalize_points(xy_image, self.matrix.reshape(-1, *ones, 3, 3), self.distortion.reshape(-1, *ones, 8))
        xyz = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
        world = (self.rotation.mT.reshape(-1, *ones, 3, 3) @ xyz[..., None])[..., 0]
        return world / world.norm(dim=-1, keepdim=True)

    def inside(self, xy_image: Float[Tensor, "views *points 2"]) -> Bool[Tensor, "views *points"]:
        """Whether image points lie inside their picture (pixel centres at integers)."""
        size = self.size.reshape(len(self), *(1,) * (xy_image.ndim - 2), 2)
        return ((xy_image >= -0.5) & (xy_image <= size - 0.5)).all(-1)
