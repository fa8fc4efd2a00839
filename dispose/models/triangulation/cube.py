"""Cubes of voxels: where they stand, what the views show of them, how the views are joined, expected positions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from dispose.errors import InputError
from dispose.geometry.image_affine import fraction, sampling_grid
from dispose.models.triangulation.crops import EXACT_MAPS, MapRules, project_into_maps
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct

FAINTEST = 1e-12
"""Added to heat before its logarithm is taken: what no view shows is this improbable."""


@dataclass(frozen=True, eq=False)
class Cubes(TensorStruct):
    """One cube of voxels per sample, turned about the vertical axis.

    Attributes:
        cells: voxels along a side.
        side_mm: between the centres of the first and the last voxel.
        centre: of the cube, mm.
        yaw: by how much it is turned about +Z, radians.
    """

    cells: int
    side_mm: float
    centre: Float[Tensor, "samples 3"]
    yaw: Float[Tensor, " samples"]

    @property
    def rotation(self) -> Float[Tensor, "samples 3 3"]:
        """From the cubes' axes to the world's."""
        cos, sin, zero, one = self.yaw.cos(), self.yaw.sin(), torch.zeros_like(self.yaw), torch.ones_like(self.yaw)
        return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], -1).unflatten(-1, (3, 3))

    @cached_property
    def offsets(self) -> Float[Tensor, "samples cells cells cells 3"]:
        """From the cubes' centres to the centres of their voxels, mm, in world axes."""
        half = self.side_mm / 2
        line = torch.linspace(-half, half, self.cells, dtype=self.centre.dtype, device=self.centre.device)
        grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), dim=-1)
        return torch.einsum("sij,xyzj->sxyzi", self.rotation, grid)

    @property
    def xyz_world(self) -> Float[Tensor, "samples cells cells cells 3"]:
        """Centres of the voxels, mm."""
        return self.offsets + self.centre[:, None, None, None]

    def nearest(self, xyz_world: Float[Tensor, "samples joints 3"]) -> Int[Tensor, "samples joints"]:
        """Number of the voxel nearest to a point, of the flattened cube."""
        local = (xyz_world - self.centre[:, None]) @ self.rotation
        step = self.side_mm / (self.cells - 1)
        cell = ((local + self.side_mm / 2) / step).round().long().clamp(0, self.cells - 1)
        return (cell[..., 0] * self.cells + cell[..., 1]) * self.cells + cell[..., 2]

    def expected(
        self, probability: Float[Tensor, "samples joints cells cells cells"]
    ) -> Float[Tensor, "samples joints 3"]:
        """Soft-argmax: the mean position under a probability of the voxels, mm."""
        # Around the centre, where single precision is finest.
        return torch.einsum("sjxyz,sxyzi->sji", probability, self.offsets) + self.centre[:, None]

    def covariance(
        self, probability: Float[Tensor, "samples joints cells cells cells"]
    ) -> Float[Tensor, "samples joints 3 3"]:
        """How uncertain a position is under a probability of the voxels, mm²; within a voxel all places are alike."""
        mean = torch.einsum("sjxyz,sxyzi->sji", probability, self.offsets)
        square = (self.offsets[..., :, None] * self.offsets[..., None, :]).flatten(-2)
        second = torch.einsum("sjxyz,sxyzi->sji", probability, square).unflatten(-1, (3, 3))
        within = (self.side_mm / (self.cells - 1)) ** 2 / 12
        eye = torch.eye(3, dtype=mean.dtype, device=mean.device)
        return second - mean[..., :, None] * mean[..., None, :] + within * eye


def unproject(
    maps: Float[Tensor, "samples views chans height width"],
    cubes: Cubes,
    cameras: Cameras,
    input_from_image: Float[Tensor, "samples views 2 3"],
    rules: MapRules = EXACT_MAPS,
) -> Float[Tensor, "samples views chans cells cells cells"]:
    """What every view shows at every voxel: its map where the voxel appears, between pixels by their distance.

    0 outside the map, behind the camera, and in views without a camera.
    """
    xy_map, front = project_into_maps(cubes.xyz_world.to(maps.dtype), cameras, input_from_image, rules)
    size = (maps.shape[-1], maps.shape[-2])
    grid = sampling_grid(fraction(rules.read_at(xy_map, size), size))
    # A lens may throw voxels beside or behind it anywhere; what is no number is outside.
    grid = torch.where(front[..., None] & (grid.abs() < 1e4), grid, 2e4).flatten(0, 1)
    cells = cubes.cells
    flat = functional.grid_sample(
        maps.flatten(0, 1), grid.reshape(len(grid), cells * cells, cells, 2), align_corners=False
    )
    return flat.reshape(*maps.shape[:3], cells, cells, cells)


def require_seen(
    cubes: Cubes,
    cameras: Cameras,
    input_from_image: Tensor,
    present: Bool[Tensor, "samples views"],
    size: tuple[int, int],
) -> None:
    """Raise `InputError` where no voxel of a cube appears in a map (of some width and height) of any view."""
    xy_map, front = project_into_maps(cubes.xyz_world, cameras, input_from_image)
    limit = torch.tensor(size, dtype=xy_map.dtype, device=xy_map.device) - 0.5
    inside = front & ((xy_map >= -0.5) & (xy_map <= limit)).all(-1)
    blind = (~(inside.flatten(2).any(2) & present).any(1)).nonzero()[:, 0].tolist()
    if blind:
        where = ", ".join(f"{value:.0f}" for value in cubes.centre[blind[0]].tolist())
        raise InputError(f"the cube around ({where}) mm of sample {blind[0]} lies outside every camera's image")


Values = Float[Tensor, "samples views chans cells cells cells"]
Shares = Float[Tensor, "samples views chans"]
Joined = Float[Tensor, "samples chans cells cells cells"]


def weighted_sum(values: Values, shares: Shares) -> Joined:
    """The sum over the views of what they show times how much they count."""
    return torch.einsum("svcxyz,svc->scxyz", values, shares)


def softmax_over_views(values: Values, shares: Shares) -> Joined:
    """The mean over the views with weights ``exp(value)``: the view that shows most counts most."""
    there = shares[..., None, None, None] > 0
    return (values * values.masked_fill(~there, -torch.inf).softmax(1)).sum(1)


def largest_over_views(values: Values, shares: Shares) -> Joined:
    """The largest value of any view."""
    return values.masked_fill(shares[..., None, None, None] <= 0, -torch.inf).amax(1)


def log_sum(values: Values, shares: Shares) -> Joined:
    """``Σ log(value + 1e-12)``: views as independent witnesses, a voxel is as probable as all of them together say."""
    return weighted_sum((values.clamp(min=0) + FAINTEST).log(), shares)


@dataclass(frozen=True)
class Aggregation:
    """How the views of a cube are joined.

    Attributes:
        name: in configurations.
        join: from values and how much every view counts, per channel: 0 for those that there are not, else 1, or a
            learned confidence.
        learned: whether that is a learned confidence.
        normalized: whether it is brought to the sum 1 over the views.
    """

    name: str
    join: Callable[[Values, Shares], Joined]
    learned: bool = False
    normalized: bool = False


AGGREGATIONS = (
    Aggregation("sum", weighted_sum),
    Aggregation("conf", weighted_sum, learned=True),
    Aggregation("conf_norm", weighted_sum, learned=True, normalized=True),
    Aggregation("softmax", softmax_over_views),
    Aggregation("max", largest_over_views),
    Aggregation("log_sum", log_sum),
)


def aggregation_named(name: str) -> Aggregation:
    """The row of a name; `InputError` lists the names where there is none."""
    for one in AGGREGATIONS:
        if one.name == name:
            return one
    raise InputError(f"no aggregation of views named {name!r}; known: {', '.join(one.name for one in AGGREGATIONS)}")
