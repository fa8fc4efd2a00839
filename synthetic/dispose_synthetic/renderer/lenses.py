"""A rig's lenses and sensors: pixels as rays, computed once per rig, and what a camera makes of the light."""

from dataclasses import dataclass

import cv2
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from dispose.geometry.pinhole import distort
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between

_BEYOND = 1.3
"""Points up to this many times as far out as the border are projected as they are."""
_CHUNK = 8192
"""Pixels treated together: they stay in the processor's cache."""
_SHARP = 0.05
"""Blur below this (pixels) changes nothing."""


@dataclass(frozen=True, eq=False)
class Lenses(TensorStruct):
    """The rays of all pixels of all views, packed view by view, row by row.

    Attributes:
        cameras: whose pixels they are; all images have one size.
        size: width and height, pixels.
        centre: where the rays start, mm.
        direction: unit world directions.
        border: largest radius ``|x/z, y/z|`` of any ray of a view.
        stretch: by which the lens magnifies anywhere, against a lens without distortion.
    """

    cameras: Cameras
    size: tuple[int, int]
    centre: Float[Tensor, "views 3"]
    direction: Float[Tensor, "3 pixels"]
    border: Float[Tensor, " views"]
    stretch: Float[Tensor, " views"]

    @property
    def pixels(self) -> int:
        """Number of pixels of all views together."""
        return self.direction.shape[1]


def pixel_grid(size: tuple[int, int]) -> Float[Tensor, "pixels 2"]:
    """Pixel centres of an image, row by row."""
    y, x = torch.meshgrid(torch.arange(size[1]), torch.arange(size[0]), indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2).float()


def _view_rays(camera: Cameras, grid: Float[Tensor, "pixels 2"]) -> Float[Tensor, "pixels 3"]:
    if not bool(camera.distortion.any()):
        xy = (grid - camera.matrix[0, :2, 2]) @ torch.linalg.inv(camera.matrix[0, :2, :2]).mT
        rays = torch.cat([xy, torch.ones_like(xy[:, :1])], dim=-1) @ camera.rotation[0]
        return rays / rays.norm(dim=-1, keepdim=True)
    return torch.cat([camera.directions(part[None])[0] for part in grid.split(_CHUNK)])


def _stretch(cameras: Cameras, border: Float[Tensor, " views"]) -> Float[Tensor, " views"]:
    """Largest magnification along or across the radius, out to where points are projected."""
    radius = torch.linspace(1e-4, _BEYOND, 200, dtype=torch.float64) * border[:, None]
    points = torch.stack([radius, torch.zeros_like(radius)], dim=-1)
    bent = distort(points, cameras.distortion[:, None]).norm(dim=-1)
    along = bent.diff(dim=-1).abs() / radius.diff(dim=-1)
    # Two hundredths more for what is not radial.
    return 0.02 + torch.maximum(along.amax(-1), (bent / radius).amax(-1)).clamp(min=1.0)


def lenses_of(cameras: Cameras, size: tuple[int, int]) -> Lenses:
    """The exact ray of every pixel: lens distortion is undone, once per rig.

    Single precision is exact to 0.003 pixels here and three times as fast.
    """
    grid = pixel_grid(size)
    rays = [_view_rays(cameras.select(views=[view]).to(torch.float32), grid) for view in range(len(cameras))]
    direction = torch.stack(rays)
    cosine = (direction @ cameras.rotation[:, 2].float()[..., None])[..., 0]
    border = (((1 - cosine**2).clamp(min=0.0).sqrt() / cosine.clamp(min=1e-3)).amax(-1)).double()
    packed = direction.reshape(-1, 3).T.contiguous()
    return Lenses(cameras, size, cameras.centres.float(), packed, border, _stretch(cameras, border))


def outlines(
    lenses: Lenses, ends: Float[Tensor, "ends solids 3"], reach: Float[Tensor, "ends solids"]
) -> tuple[Int[Tensor, "views solids 2"], Int[Tensor, "views solids 2"]]:
    """Boxes of pixels (first, last) that hold the images of spheres round both ends; empty: last before first."""
    cameras = lenses.cameras
    xyz = cameras.to_camera(ends.double())
    radius = reach.double()
    depth = xyz[..., 2]
    behind = (depth < -radius).all(1)
    # A sphere that touches the lens may be anywhere in the image.
    touches = (xyz.norm(dim=-1) < 2.0 * radius).any(1)
    xy = xyz[..., :2] / depth.clamp(min=1.0)[..., None]
    # Beyond the border the lens model may fold back: such points are drawn towards it, which keeps them outside.
    away = xy.norm(dim=-1)
    most = _BEYOND * lenses.border[:, None, None]
    xy = xy * (most / away.clamp(min=1e-9)).clamp(max=1.0)[..., None]
    bent = distort(xy, cameras.distortion[:, None, None])
    focal = cameras.matrix[:, [0, 1], [0, 1]][:, None, None]
    middle = bent * focal + cameras.matrix[:, None, None, :2, 2]
    slant = (1 + away.clamp(max=2.0) ** 2).sqrt()
    half = (lenses.stretch[:, None, None] * slant * radius / (depth - radius).clamp(min=30.0))[..., None] * focal + 1.0
    last = torch.tensor(lenses.size) - 1
    low = (middle - half).amin(1).floor().clamp(min=0)
    high = torch.minimum((middle + half).amax(1).ceil(), last.double())
    low, high = low.clamp(max=1e6), high.clamp(min=-1e6)
    full = touches[..., None]
    low = torch.where(full, 0.0, low)
    high = torch.where(full, last.double(), high)
    high = torch.where(behind[..., None], -1.0, high)
    return low.long(), high.long()


@dataclass(frozen=True, eq=False)
class Sensors(TensorStruct):
    """How every camera of a rig turns light into numbers.

    `gain` is exposure and white balance per channel, `curve` the bend of the tone curve (positive brightens the
    middle), `blur` the deviation of the point spread (pixels), and `noise` that of the noise (of full scale).
    """

    gain: Float[Tensor, "views 3"]
    curve: Float[Tensor, " views"]
    blur: Float[Tensor, " views"]
    noise: Float[Tensor, " views"]


def sample_sensors(source: Noise, views: int, noise: tuple[float, float], blur: tuple[float, float]) -> Sensors:
    """Cameras of one make, each a little different."""
    exposure = between(source, (1, 1), 0.8, 1.2) * (1 + 0.08 * source.normal((views, 1)))
    balance = 1 + 0.05 * source.normal((1, 3)) + 0.035 * source.normal((views, 3))
    curve = between(source, (1,), -0.25, 0.35) + 0.05 * source.normal((views,))
    soft = between(source, (1,), *blur) * between(source, (views,), 0.8, 1.2)
    return Sensors(exposure * balance, curve, soft, between(source, (1,), *noise).expand(views))


def expose(
    source: Noise, light: Float[Tensor, "views height width 3"], sensors: Sensors
) -> UInt8[Tensor, "views height width 3"]:
    """Images as the cameras of a rig deliver them."""
    out = torch.empty(light.shape, dtype=torch.uint8)
    for view, (soft, curve, noise) in enumerate(zip(sensors.blur, sensors.curve, sensors.noise, strict=True)):
        image = light[view]
        if soft > _SHARP:
            image = torch.from_numpy(cv2.GaussianBlur(image.numpy(), (0, 0), float(soft)))
        tone = (image * sensors.gain[view]).clamp_(0.0, 1.0)
        tone += curve * tone * (1 - tone)
        tone += noise * source.normal(tone.shape)
        out[view] = tone.mul_(255).add_(0.5).clamp_(0, 255)
    return out
