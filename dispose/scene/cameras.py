"""The calibrated cameras of one rig, or of many."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.pinhole import normalize_points, project_points
from dispose.tensors import TensorStruct, along


@dataclass(frozen=True, eq=False)
class Cameras(TensorStruct):
    """Intrinsics, distortion and pose of every view; world in mm, +Z up (float64).

    One rig has no leading axes. Rigs of several samples are stacked (`stack_rigs`), and ``cameras[sample]`` is the rig
    of every packed person; points then have the same leading axes.

    Attributes:
        names: one unique name per view; those of the first rig where several are stacked.
        size: image width and height in pixels.
        matrix: 3x3 intrinsics.
        distortion: OpenCV's ``k1 k2 p1 p2 k3 k4 k5 k6``; of a fisheye ``k1 k2 k3 k4`` of that model and zeros.
        rotation: rotation part of ``camera_from_world``.
        translation: translation part of ``camera_from_world``, mm.
        present: which views are cameras, where stacked rigs have fewer than the widest; None = all.
        fisheye: which views have a fisheye lens; None = none.
    """

    names: tuple[str, ...] = field(metadata=along("views"))
    size: Float[Tensor, "*batch views 2"]
    matrix: Float[Tensor, "*batch views 3 3"]
    distortion: Float[Tensor, "*batch views 8"]
    rotation: Float[Tensor, "*batch views 3 3"]
    translation: Float[Tensor, "*batch views 3"]
    present: Bool[Tensor, "*batch views"] | None = None
    fisheye: Bool[Tensor, "*batch views"] | None = None

    def __len__(self) -> int:
        return self.size.shape[-2]

    @property
    def lens(self) -> Float[Tensor, "*batch views lens"]:
        """The numbers that `geometry.pinhole` takes: the distortion, and where there are fisheyes, which they are."""
        if self.fisheye is None:
            return self.distortion
        return torch.cat([self.distortion, self.fisheye[..., None].to(self.distortion)], dim=-1)

    @cached_property
    def centres(self) -> Float[Tensor, "*batch views 3"]:
        """Camera centres in the world, mm."""
        return -(self.rotation.mT @ self.translation[..., None])[..., 0]

    def to_camera(self, xyz_world: Float[Tensor, "*batch_points 3"]) -> Float[Tensor, "*batch_views_points 3"]:
        """World points in every camera's coordinates, mm: ``*batch *points 3`` to ``*batch views *points 3``."""
        batch, points = self.size.shape[:-2], xyz_world.shape[self.size.ndim - 2 : -1]
        flat = xyz_world.reshape(*batch, 1, prod(points), 3)
        out = flat @ self.rotation.mT + self.translation[..., None, :]
        return out.reshape(*batch, len(self), *points, 3)

    def project(
        self, xyz_world: Float[Tensor, "*batch_points 3"]
    ) -> tuple[Float[Tensor, "*batch_views_points 2"], Bool[Tensor, "*batch_views_points"]]:
        """Image points of world points in every view, and whether they lie in front of the camera.

        ``*batch *points 3`` to ``*batch views *points 2``.
        """
        xyz_camera = self.to_camera(xyz_world)
        points = xyz_world.ndim - self.size.ndim + 1
        xy = project_points(xyz_camera, self._spread(self.matrix, points, 2), self._spread(self.lens, points, 1))
        front = xyz_camera[..., 2] > 0
        return xy, front if self.present is None else front & self._spread(self.present, points, 0)

    def directions(self, xy_image: Float[Tensor, "*batch_views_points 2"]) -> Float[Tensor, "*batch_views_points 3"]:
        """Unit world directions of the rays through image points; their origins are `centres`."""
        points = xy_image.ndim - self.size.ndim
        xy = normalize_points(xy_image, self._spread(self.matrix, points, 2), self._spread(self.lens, points, 1))
        xyz = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
        world = (self._spread(self.rotation.mT, points, 2) @ xyz[..., None])[..., 0]
        return world / world.norm(dim=-1, keepdim=True)

    def inside(self, xy_image: Float[Tensor, "*batch_views_points 2"]) -> Bool[Tensor, "*batch_views_points"]:
        """Whether image points lie inside their image (pixel centres at integers)."""
        size = self._spread(self.size, xy_image.ndim - self.size.ndim, 1)
        return ((xy_image >= -0.5) & (xy_image <= size - 0.5)).all(-1)

    def _spread(self, value: Tensor, points: int, inner: int) -> Tensor:
        """A camera's numbers before the point axes of what they are applied to."""
        shape = (*value.shape[: value.ndim - inner], *(1,) * points, *value.shape[value.ndim - inner :])
        return value.reshape(shape)


def telling_fisheyes(cameras: Cameras) -> Cameras:
    """The same cameras, which say of every view whether it has a fisheye lens: as several rigs joined must."""
    if cameras.fisheye is not None:
        return cameras
    return replace(cameras, fisheye=torch.zeros(cameras.size.shape[:-1], dtype=torch.bool, device=cameras.size.device))


def perspective_only(cameras: Cameras, who: str = "released weights") -> Cameras:
    """The same cameras; `InputError` where one has a fisheye lens, for what was made without them."""
    if cameras.fisheye is not None and bool(cameras.fisheye.any()):
        raise InputError(f"a camera has a fisheye lens, which {who} do not know; undistort the pictures first.")
    return cameras
