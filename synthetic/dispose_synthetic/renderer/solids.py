"""Round cones, stretched: the one solid that people, poles and stools are made of, and its exact ray intersection.

A round cone is the hull of two spheres on the z axis of its own frame; a linear map stretches it, so that a
sphere becomes an ellipsoid and a capsule a flat trunk. Rays start at camera centres; distances are mm along unit
directions.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.tensors import TensorStruct
from dispose_synthetic.renderer.lenses import Lenses, outlines

NEAREST_MM = 50.0
"""Nothing nearer to a lens than this is drawn."""
_EMPTY = 2**63 - 1
_CHUNK = 16384
"""Rays tried together: they stay in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Solids(TensorStruct):
    """Stretched round cones.

    Attributes:
        local_from_world: linear map from offsets to `base` (mm) to the frame in which the solid is a round cone.
        base: middle of the first sphere in the world, mm.
        length: of the axis, in units of the frame; the second sphere lies at ``(0, 0, length)``.
        first: radius of the sphere at `base`, in units of the frame.
        second: radius of the sphere at the other end.
        reach: radii in mm of world spheres round both ends whose hull holds it.
    """

    local_from_world: Float[Tensor, "solids 3 3"]
    base: Float[Tensor, "solids 3"]
    length: Float[Tensor, " solids"]
    first: Float[Tensor, " solids"]
    second: Float[Tensor, " solids"]
    reach: Float[Tensor, "solids 2"]

    def __len__(self) -> int:
        return self.base.shape[0]

    @property
    def top(self) -> Float[Tensor, "solids 3"]:
        """Middle of the second sphere in the world, mm."""
        along = torch.linalg.inv(self.local_from_world)[..., 2]
        return self.base + along * self.length[:, None]


def frame_along(axis: Float[Tensor, "*solids 3"], forward: Float[Tensor, "*solids 3"]) -> Float[Tensor, "*solids 3 3"]:
    """Rotations whose rows are: as far forward as can be, to the left, along the axis."""
    z = torch.nn.functional.normalize(axis, dim=-1)
    # Where forward lies along the axis any direction across will do.
    spare = torch.roll(z, 1, dims=-1) + torch.tensor([0.0, 0.1, 0.0])
    across = forward - (forward * z).sum(-1, keepdim=True) * z
    good = across.norm(dim=-1, keepdim=True) > 1e-3
    x = torch.where(good, across, spare - (spare * z).sum(-1, keepdim=True) * z)
    x = torch.nn.functional.normalize(x, dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x, dim=-1), z], dim=-2)


def round_cones(
    start: Float[Tensor, "*solids 3"],
    end: Float[Tensor, "*solids 3"],
    radii: tuple[Tensor, Tensor],
    forward: Float[Tensor, "*solids 3"],
    *,
    flat: float = 1.0,
) -> Solids:
    """Round cones between world points (mm); `radii` are half widths, half depths (forward) are `flat` of them."""
    axis = end - start
    stretch = torch.tensor([1 / flat, 1.0, 1.0])[:, None]
    local = frame_along(axis, forward) * stretch
    first, second = (radius.expand(axis.shape[:-1]).reshape(-1) for radius in radii)
    # A sphere that holds its neighbour makes the cone a sphere; its axis may be no longer than the cone allows.
    length = axis.norm(dim=-1).reshape(-1)
    reach = torch.stack([first, second], dim=-1) * max(1.0, flat)
    return Solids(local.reshape(-1, 3, 3), start.reshape(-1, 3), length, first, second, reach)


def ellipsoids(
    centre: Float[Tensor, "*solids 3"], axes: Float[Tensor, "*solids 3 3"], radii: Float[Tensor, "*solids 3"]
) -> Solids:
    """Ellipsoids with orthonormal axes as rows; in their own frame they are unit spheres."""
    local = (axes / radii[..., None]).reshape(-1, 3, 3)
    one = torch.ones(local.shape[0])
    return Solids(local, centre.reshape(-1, 3), 0 * one, one, one, radii.amax(-1).reshape(-1, 1).expand(-1, 2))


@dataclass(frozen=True, eq=False)
class Strikes(TensorStruct):
    """What rays hit first: one row per pixel that shows a solid.

    Attributes:
        pixel: position in the packed pixels of all views.
        solid: which solid.
        distance: from the camera, mm.
        point: where, in the solid's own frame.
        normal: outward unit normal in the world.
        along: place on the solid's axis, 0 at the first sphere and 1 at the second (0 for ellipsoids).
    """

    pixel: Int[Tensor, " hits"]
    solid: Int[Tensor, " hits"]
    distance: Float[Tensor, " hits"]
    point: Float[Tensor, "hits 3"]
    normal: Float[Tensor, "hits 3"]
    along: Float[Tensor, " hits"]


@dataclass(frozen=True, eq=False)
class _Views(TensorStruct):
    """Every solid as one view sees it (`items` = views x solids that show): what does not change from ray to ray."""

    view: Int[Tensor, " items"]
    solid: Int[Tensor, " items"]
    box: Int[Tensor, "items 4"]
    linear: Float[Tensor, "9 items"]
    origin: Float[Tensor, "3 items"]
    shape: Float[Tensor, "8 items"]


def _view_all(solids: Solids, lenses: Lenses) -> _Views:
    """The items whose outline touches an image."""
    ends = torch.stack([solids.base, solids.top])
    low, high = outlines(lenses, ends, solids.reach.T)
    show = (low <= high).all(-1)
    view, solid = show.nonzero(as_tuple=True)
    local = solids.local_from_world.double()
    offset = lenses.centre.double()[view] - solids.base.double()[solid]
    x, y, z = (local[solid] @ offset[..., None])[..., 0].unbind(-1)
    h, first, second = (part.double()[solid] for part in (solids.length, solids.first, solids.second))
    # Sine of the cone's opening; where one sphere holds the other there is no cone and the two spheres are all.
    k = torch.where(h > 1e-6, (first - second) / h.clamp(min=1e-6), 0.0).clamp(-0.999, 0.999)
    q = first - k * z
    shape = torch.stack([
        h, k, 1 - k * k, first * k - z, (1 - k * k) * (x * x + y * y) - q * q,
        x * x + y * y + z * z - first**2, x * x + y * y + (z - h) ** 2 - second**2, first,
    ])  # fmt: skip
    box = torch.cat([low[show], high[show]], dim=-1)
    linear = solids.local_from_world.reshape(-1, 9).T[:, solid]
    return _Views(view, solid, box, linear, torch.stack([x, y, z]).float(), shape.float())


def _pairs(views: _Views, lenses: Lenses) -> tuple[Tensor, Tensor]:
    """Packed (item, pixel) for all pixels in all outlines."""
    width, height = lenses.size
    x0, y0, x1, y1 = views.box.unbind(-1)
    rows = y1 - y0 + 1
    row_item = torch.repeat_interleave(torch.arange(rows.shape[0]), rows)
    row = torch.arange(row_item.shape[0]) - (rows.cumsum(0) - rows)[row_item] + y0[row_item]
    start = (views.view[row_item] * height + row) * width + x0[row_item]
    counts = (x1 - x0 + 1)[row_item]
    of_row = torch.repeat_interleave(torch.arange(counts.shape[0]), counts)
    pixel = torch.arange(of_row.shape[0]) + (start - (counts.cumsum(0) - counts))[of_row]
    return row_item[of_row], pixel


def _enter(views: _Views, item: Tensor, ray: Tensor) -> Tensor:
    """Distance at which rays (in the items' frames) enter their round cone; infinite where they miss it."""
    dx, dy, dz = ray
    ox, oy, oz = views.origin.index_select(1, item)
    h, k, c2, slope, side, near, far, first = views.shape.index_select(1, item)
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    out = torch.full_like(a, torch.inf)
    for half, rest in ((b, near), (b - h * dz, far)):
        inside = half * half - a * rest
        t = (-half - inside.clamp(min=0.0).sqrt()) / a
        out = torch.where((inside >= 0) & (t > NEAREST_MM) & (t < out), t, out)
    ca = c2 * a - dz * dz
    cb = c2 * b + dz * slope
    inside = cb * cb - ca * side
    root = inside.clamp(min=0.0).sqrt()
    low, high = first * k, h + (first - h * k) * k
    for sign in (-1.0, 1.0):
        t = (sign * root - cb) / ca
        z = oz + t * dz
        out = torch.where((inside >= 0) & (z > low) & (z < high) & (t > NEAREST_MM) & (t < out), t, out)
    return out


def _try(views: _Views, lenses: Lenses, item: Tensor, pixel: Tensor, limit: Tensor) -> tuple[Tensor, ...]:
    """The pairs whose ray strikes before its limit: item, pixel, distance, and the ray in the item's frame."""
    dx, dy, dz = lenses.direction.index_select(1, pixel)
    m = views.linear.index_select(1, item)
    ray = torch.stack([m[3 * r] * dx + m[3 * r + 1] * dy + m[3 * r + 2] * dz for r in range(3)])
    t = _enter(views, item, ray)
    hit = (t < limit[pixel]).nonzero()[:, 0]
    return item[hit], pixel[hit], t[hit], ray[:, hit]


def strike(solids: Solids, lenses: Lenses, limit: Float[Tensor, " pixels"]) -> Strikes:
    """The nearest solid of every pixel, where it is nearer than `limit` (mm): an exact z-buffer.

    Every solid is tried only inside the box round its outline. Equal distances go to the solid that comes first.
    """
    views = _view_all(solids, lenses)
    item, pixel = _pairs(views, lenses)
    parts = [_try(views, lenses, *pair, limit) for pair in zip(item.split(_CHUNK), pixel.split(_CHUNK), strict=True)]
    item, pixel, t, ray = (torch.cat(column, dim=-1) for column in zip(*parts, strict=True))
    # Positive floats are ordered like their bits: distance first, then the item.
    key = (t.view(torch.int32).long() << 32) | item
    nearest = torch.full((lenses.direction.shape[1],), _EMPTY).scatter_reduce_(0, pixel, key, "amin")
    first = (nearest[pixel] == key).nonzero()[:, 0]
    return _strikes(views, item[first], pixel[first], t[first], ray[:, first])


def _strikes(views: _Views, item: Tensor, pixel: Tensor, t: Tensor, ray: Tensor) -> Strikes:
    """Points, normals and places on the axis of the hits that won."""
    point = views.origin[:, item] + t * ray
    h, k, c2 = views.shape[:3, item]
    foot = (point[2] - k * point[:2].norm(dim=0) / c2.sqrt()).clamp(min=0.0)
    foot = torch.minimum(foot, h)
    x, y, z = point[0], point[1], point[2] - foot
    m = views.linear[:, item]
    # Normals are covectors: they go back to the world by the transpose.
    normal = torch.stack([m[c] * x + m[3 + c] * y + m[6 + c] * z for c in range(3)], dim=-1)
    normal = torch.nn.functional.normalize(normal, dim=-1)
    along = torch.where(h > 1e-6, foot / h.clamp(min=1e-6), 0.0)
    return Strikes(pixel, views.solid[item], t, point.T, normal, along)
