"""What the views say of single people, and the same as rays in axes that turn with the person.

Whatever the network sees is told in axes laid into the person: it cannot know how the world is turned or where its
origin lies, so its answer turns and moves with the world.
"""

from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.packing import GroupKeypoints, bound_of, box_diagonal
from dispose.geometry.triangulation import RobustPoints, robust_of_sights, rotate, triangulate_points
from dispose.models.rays.body_axes import Template, lay_axes, template_of
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct, along

FARTHEST_MM = 20_000.0
"""People whose keypoints lie on one spot are not taken to be farther away than this."""

FEW = 3
"""With fewer triangulated joints than this the rest of the body is first put where it looks as large as a mean one."""


@dataclass(frozen=True, eq=False)
class Sightings(TensorStruct):
    """The keypoints of single people in all views.

    Attributes:
        joints: their names.
        cameras: the rig of every person.
        xy_image: pixels; 0 where not seen.
        confidence: scores; 0 where not seen.
        seen: which keypoints there are.
    """

    joints: tuple[str, ...] = field(metadata=along("joints"))
    cameras: Cameras
    xy_image: Float[Tensor, "persons views joints 2"]
    confidence: Float[Tensor, "persons views joints"]
    seen: Bool[Tensor, "persons views joints"]

    @staticmethod
    def of(groups: GroupKeypoints) -> "Sightings":
        """The members of every group."""
        joints = groups.packed.skeleton.joints
        return Sightings(joints, groups.cameras, groups.xy_image, groups.confidence, groups.seen)

    @property
    def size_px(self) -> Float[Tensor, "persons views"]:
        """Diagonal of the box around everybody's keypoints in every view; 0 where nothing is seen."""
        return box_diagonal(self.xy_image, self.seen)


@dataclass(frozen=True, eq=False)
class BodyRays(TensorStruct):
    """Rays in a person's own axes, metres: +X forward, +Y to their left, +Z up, the origin within the body.

    Attributes:
        origin: the person's origin in the world, mm.
        axes: rows are the person's axes in the world.
        kind: what joints they are (`Template.kind`).
        centre: camera centres.
        direction: unit directions of the rays.
        start: first guess of every joint.
        robust: whether the guess is a robust triangulation.
        inlier: keypoints that agree with it.
        error: their distance from its projection, in units of the inlier bound, at most 30; 0 where there is none.
        metres_per_px: how long a pixel is at the person.
        size_px: apparent size of the person; 0 where not seen.
        border: distance of a keypoint from the border of its image, in apparent sizes, at most 1.
        confidence: scores.
        seen: which keypoints there are.
    """

    origin: Float[Tensor, "persons 3"]
    axes: Float[Tensor, "persons 3 3"]
    kind: Tensor
    centre: Float[Tensor, "persons views 3"]
    direction: Float[Tensor, "persons views joints 3"]
    start: Float[Tensor, "persons joints 3"]
    robust: Bool[Tensor, "persons joints"]
    inlier: Bool[Tensor, "persons views joints"]
    error: Float[Tensor, "persons views joints"]
    metres_per_px: Float[Tensor, "persons views"]
    size_px: Float[Tensor, "persons views"]
    border: Float[Tensor, "persons views joints"]
    confidence: Float[Tensor, "persons views joints"]
    seen: Bool[Tensor, "persons views joints"]

    def to_world(self, xyz: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons joints 3"]:
        """Places in a person's axes, metres, as places in the world, mm."""
        return 1000 * xyz.double() @ self.axes + self.origin[:, None]

    def to_body(self, xyz_world: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons joints 3"]:
        """Places in the world, mm, in a person's axes, metres."""
        return ((xyz_world.double() - self.origin[:, None]) @ self.axes.mT / 1000).float()


def body_rays(sightings: Sightings, *, steps: int = 3) -> BodyRays:
    """Triangulate robustly, lay axes into every person, and tell their rays in these; `steps`: of the triangulation."""
    cameras, seen, size = sightings.cameras, sightings.seen, sightings.size_px
    bound = bound_of(size)
    points = triangulate_points(
        sightings.xy_image.transpose(1, 2),
        torch.where(seen, sightings.confidence, 0.0).transpose(1, 2),
        cameras.matrix[:, None],
        cameras.lens[:, None],
        cameras.rotation[:, None],
        cameras.translation[:, None],
        threshold_px=bound[:, None],
        by=partial(robust_of_sights, steps=steps),
    )
    robust = torch.isfinite(points.xyz_world).all(-1) & (points.inlier.sum(-1) >= 2)
    direction = cameras.directions(sightings.xy_image)
    template = template_of(sightings.joints).to(direction.device)
    known, xyz = _first_places(sightings, direction, template, robust, points)
    origin, axes = lay_axes(xyz, known, template, -cameras.rotation[..., 1, :], seen.any(2))
    expected = template.points @ axes + origin[:, None]
    on_rays = _nearest_on_rays(expected, direction, cameras.centres, seen)
    start = torch.where(robust[..., None], points.xyz_world, on_rays)
    agreed = seen & robust[:, None]
    error = torch.nan_to_num(points.error_px.transpose(1, 2), nan=0.0, posinf=1e4) / bound[..., None].clamp(min=1e-9)
    edge = torch.minimum(sightings.xy_image, cameras.size[:, :, None] - 1 - sightings.xy_image).amin(-1)
    depth = (rotate(cameras.rotation, origin[:, None]) + cameras.translation)[..., 2].clamp(min=100.0)
    return BodyRays(
        origin=origin,
        axes=axes,
        kind=template.kind,
        centre=((cameras.centres - origin[:, None]) @ axes.mT / 1000).float(),
        direction=(direction @ axes.mT[:, None]).float(),
        start=((start - origin[:, None]) @ axes.mT / 1000).float(),
        robust=robust,
        inlier=points.inlier.transpose(1, 2) & agreed,
        error=torch.where(agreed, error.clamp(max=30.0), 0.0).float(),
        metres_per_px=(depth / focal_px(cameras) / 1000).float(),
        size_px=size.float(),
        border=(edge / size.clamp(min=1.0)[..., None]).clamp(0, 1).float(),
        confidence=torch.where(seen, sightings.confidence, 0.0).float(),
        seen=seen,
    )


def focal_px(cameras: Cameras) -> Float[Tensor, "*batch views"]:
    """Mean focal length of every camera, pixels."""
    return (cameras.matrix[..., 0, 0] + cameras.matrix[..., 1, 1]) / 2


def _first_places(
    sightings: Sightings,
    direction: Float[Tensor, "persons views joints 3"],
    template: Template,
    robust: Bool[Tensor, "persons joints"],
    points: RobustPoints,
) -> tuple[Bool[Tensor, "persons joints"], Float[Tensor, "persons joints 3"]]:
    """Joints from which the body's axes are told, and where they are, mm: the triangulated ones where these suffice.

    Of others the view that shows the person largest puts all joints at one depth: that of those triangulated, else the
    one at which a mean body looks as large.
    """
    cameras, seen = sightings.cameras, sightings.seen
    view = sightings.size_px.argmax(1)
    person = torch.arange(len(view), device=view.device)
    shown, ray = seen[person, view], direction[person, view]
    share = (shown / shown.sum(1, keepdim=True).clamp(min=1))[..., None]
    middle = (share * sightings.xy_image[person, view]).sum(1, keepdim=True)
    apparent = (share * (sightings.xy_image[person, view] - middle).square()).sum((1, 2)).sqrt()
    mean = (share * template.points).sum(1, keepdim=True)
    # Two of three directions show in an image.
    spread = (share * (template.points - mean).square()).sum((1, 2)).mul(2 / 3).sqrt()
    by_size = focal_px(cameras)[person, view] * spread.clamp(min=100.0) / apparent.clamp(min=1.0)
    by_size = by_size.clamp(max=FARTHEST_MM)
    front, centre = cameras.rotation[person, view, 2], cameras.centres[person, view]
    xyz = torch.where(robust[..., None], points.xyz_world, 0.0)
    depth = ((xyz - centre[:, None]) * front[:, None]).sum(-1)
    count = robust.sum(1)
    depth = torch.where(count > 0, (depth * robust).sum(1) / count.clamp(min=1), by_size)
    along = (ray * front[:, None]).sum(-1, keepdim=True).clamp(min=0.05)
    flat = centre[:, None] + ray / along * depth[:, None, None]
    enough = (count >= FEW)[:, None]
    known = torch.where(enough, robust, shown | robust)
    return known, torch.where(robust[..., None], xyz, flat)


def _nearest_on_rays(
    expected: Float[Tensor, "persons joints 3"],
    direction: Float[Tensor, "persons views joints 3"],
    centres: Float[Tensor, "persons views 3"],
    seen: Bool[Tensor, "persons views joints"],
) -> Float[Tensor, "persons joints 3"]:
    """The point of a joint's ray nearest to where the joint is expected; the mean over views, the expected of none."""
    offset = expected[:, None] - centres[:, :, None]
    foot = centres[:, :, None] + direction * (direction * offset).sum(-1, keepdim=True)
    count = seen.sum(1)[..., None]
    return torch.where(count > 0, (foot * seen[..., None]).sum(1) / count.clamp(min=1), expected)
