"""The cameras of several frames at once, for work that is packed over people."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.pinhole import normalize_points, project_points
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Rigs(TensorStruct):
    """One rig per sample; rigs with fewer cameras are padded with views that are not `present`.

    Attributes:
        size: image width and height in pixels.
        matrix: intrinsics.
        distortion: OpenCV's ``k1 k2 p1 p2 k3 k4 k5 k6``.
        rotation: rotation part of ``camera_from_world``.
        translation: translation part of ``camera_from_world``, mm.
        present: which views are cameras.
    """

    size: Float[Tensor, "samples views 2"]
    matrix: Float[Tensor, "samples views 3 3"]
    distortion: Float[Tensor, "samples views 8"]
    rotation: Float[Tensor, "samples views 3 3"]
    translation: Float[Tensor, "samples views 3"]
    present: Bool[Tensor, "samples views"]

    @staticmethod
    def of(cameras: Sequence[Cameras]) -> "Rigs":
        """Stack the cameras of every sample."""
        views = max((len(c) for c in cameras), default=0)

        def stacked(name: str) -> Tensor:
            parts = []
            for rig in cameras:
                value = vars(rig)[name]
                filler = value[:1].expand(views - len(rig), *value.shape[1:])
                parts.append(torch.cat([value, filler]))
            return torch.stack(parts)

        counts = torch.tensor([len(c) for c in cameras])
        return Rigs(
            size=stacked("size"),
            matrix=stacked("matrix"),
            distortion=stacked("distortion"),
            rotation=stacked("rotation"),
            translation=stacked("translation"),
            present=torch.arange(views) < counts[:, None],
        )

    @property
    def centres(self) -> Float[Tensor, "samples views 3"]:
        """Camera centres in the world, mm."""
        return -(self.rotation.mT @ self.translation[..., None])[..., 0]

    def project(
        self, xyz_world: Float[Tensor, "persons points 3"], sample: Int[Tensor, " persons"]
    ) -> tuple[Float[Tensor, "persons views points 2"], Bool[Tensor, "persons views points"]]:
        """Every person's points in the views of his sample: image points, and whether they lie in front of a camera."""
        xyz_camera = xyz_world[:, None] @ self.rotation[sample].mT + self.translation[sample][:, :, None]
        xy = project_points(xyz_camera, self.matrix[sample][:, :, None], self.distortion[sample][:, :, None])
        front = (xyz_camera[..., 2] > 0) & self.present[sample][..., None]
        return xy, front

    def inside(
        self, xy_image: Float[Tensor, "persons views points 2"], sample: Int[Tensor, " persons"]
    ) -> Bool[Tensor, "persons views points"]:
        """Whether image points lie inside their picture (pixel centres at integers)."""
        return ((xy_image >= -0.5) & (xy_image <= self.size[sample][:, :, None] - 0.5)).all(-1)

    def directions(
        self, xy_image: Float[Tensor, "persons views points 2"], sample: Int[Tensor, " persons"]
    ) -> Float[Tensor, "persons views points 3"]:
        """Unit world directions of the rays through image points; their origins are `centres`."""
        xy = normalize_points(xy_image, self.matrix[sample][:, :, None], self.distortion[sample][:, :, None])
        xyz = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
        world = xyz @ self.rotation[sample]
        return world / world.norm(dim=-1, keepdim=True)
