"""The geometry of the decoder: people in their own cameras, and the points where their rays meet."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.image_affine import apply, fraction, invert
from dispose.geometry.triangulation import triangulate_midpoint
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct

Points = Float[Tensor, "persons views joints 2"]
Sizes = Float[Tensor, "persons views 1 2"]


@dataclass(frozen=True)
class PixelRules:
    """Where an image begins and ends, and which fraction of it a pixel is.

    Attributes:
        inside: whether image points lie inside images of these sizes.
        clip: image points brought to the image, so that what lies far outside stays finite.
        reference: fractions of the network input for points of it (`dispose.geometry.image_affine.fraction`).
    """

    inside: Callable[[Points, Sizes], Bool[Tensor, "persons views joints"]]
    clip: Callable[[Points, Sizes], Points]
    reference: Callable[[Points, tuple[int, int]], Points]


def inside_image(xy: Points, size: Sizes) -> Bool[Tensor, "persons views joints"]:
    """Pixel centres at integers: the image ends half a pixel beyond the outermost ones."""
    return ((xy >= -0.5) & (xy <= size - 0.5)).all(-1)


def clip_to_image(xy: Points, size: Sizes) -> Points:
    """The nearest point of the image."""
    return xy.clamp(torch.full_like(size, -0.5), size - 0.5)


PIXEL_CENTRES = PixelRules(inside_image, clip_to_image, fraction)
"""The convention of the project."""


@dataclass(frozen=True, eq=False)
class PersonInputs(TensorStruct):
    """The network inputs of packed people, view by view.

    Attributes:
        cameras: the rig of every person.
        sample: the sample of every person.
        usable: views that are cameras and have an image.
        input_from_image: affine of every person's views.
        image_from_input: its inverse.
        input_size: width and height of the network input.
        rules: the pixel convention.
    """

    cameras: Cameras
    sample: Int[Tensor, " persons"]
    usable: Bool[Tensor, "persons views"]
    input_from_image: Float[Tensor, "persons views 2 3"]
    image_from_input: Float[Tensor, "persons views 2 3"]
    input_size: tuple[int, int]
    rules: PixelRules

    @staticmethod
    def of(
        rigs: Cameras,
        sample: Int[Tensor, " persons"],
        has_image: Bool[Tensor, "samples views"],
        input_from_image: Float[Tensor, "samples views 2 3"],
        input_size: tuple[int, int],
        rules: PixelRules,
    ) -> "PersonInputs":
        """Gather what belongs to every person; `has_image` says which views have an image."""
        cameras, affine = rigs[sample], input_from_image[sample].to(rigs.matrix.dtype)
        usable = has_image[sample] if cameras.present is None else cameras.present & has_image[sample]
        return PersonInputs(cameras, sample, usable, affine, invert(affine), input_size, rules)

    @property
    def map_of(self) -> Int[Tensor, "persons views"]:
        """The map (``samples * views``, sample by sample) of every view of every person."""
        views = self.usable.shape[1]
        return self.sample[:, None] * views + torch.arange(views, device=self.sample.device)

    def project(
        self, xyz_world: Float[Tensor, "persons joints 3"]
    ) -> tuple[Points, Bool[Tensor, "persons views joints"]]:
        """Joints in the network input of every view, and whether they lie in an image that is there."""
        xy, front = self.cameras.project(xyz_world)
        size = self.cameras.size[:, :, None].to(xy.dtype)
        visible = front & self.rules.inside(xy, size) & self.usable[..., None]
        clipped = torch.nan_to_num(self.rules.clip(xy, size), nan=-1.0)
        return apply(self.input_from_image[:, :, None], clipped), visible

    def to_image(self, xy_input: Points) -> Points:
        """Points of the network input in pixels of the original images."""
        return apply(self.image_from_input[:, :, None], xy_input)

    def to_joints(self, xyz_world: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons views joints 3"]:
        """Unit vectors from the cameras to the joints, in the axes of the cameras."""
        inner = (xyz_world[:, None] - self.cameras.centres[:, :, None]) @ self.cameras.rotation.mT
        return inner / inner.norm(dim=-1, keepdim=True).clamp(min=1e-6)

    def rays(
        self, xy_image: Points
    ) -> tuple[Float[Tensor, "persons joints views 3"], Float[Tensor, "persons 1 views 3"]]:
        """Directions and origins of the rays through image points, views last but one."""
        return self.cameras.directions(xy_image).transpose(1, 2), self.cameras.centres[:, None]

    def resolution(self, xyz_world: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons joints views"]:
        """Pixels of the network input per mm at the joints: how much a view can say about where they are."""
        depth = self.cameras.to_camera(xyz_world)[..., 2].clamp(min=100.0)
        focal = self.cameras.matrix[..., 0, 0] * torch.linalg.det(self.input_from_image[..., :2]).abs().sqrt()
        return (focal[..., None] / depth).transpose(1, 2)


Triangulate = Callable[
    [PersonInputs, Points, Float[Tensor, "persons joints views"], Float[Tensor, "persons joints 3"]],
    tuple[Float[Tensor, "persons joints 3"], Float[Tensor, "persons joints"]],
]
"""From image points, weights that sum to one over views (0 = unseen) and the places before: new places, residuals.

Joints with fewer than two views get some finite place, which the caller does not use.
"""


def nearest_to_rays(
    views: PersonInputs,
    xy_image: Points,
    weights: Float[Tensor, "persons joints views"],
    before: Float[Tensor, "persons joints 3"],
) -> tuple[Float[Tensor, "persons joints 3"], Float[Tensor, "persons joints"]]:
    """The point that minimises weighted squared distances to the rays in pixels; residual = their root mean square, mm.

    A millimetre counts by the pixels it measures in a view where the joint stood before, so near cameras and long
    lenses count more than far ones.
    """
    direction, origin = views.rays(xy_image)
    weights = weights.to(direction.dtype)
    precision = views.resolution(before.detach()).square() * weights
    share = precision / precision.sum(-1, keepdim=True).clamp(min=1e-12)
    found = triangulate_midpoint(origin.expand_as(direction), direction, share)
    xyz = torch.where(torch.isfinite(found), found, before)
    moved = xyz[..., None, :] - origin
    across = moved - (moved * direction).sum(-1, keepdim=True) * direction
    return xyz, ((weights * across.square().sum(-1)).sum(-1) + 1e-6).sqrt()


def smallest_singular_vector(
    views: PersonInputs,
    xy_image: Points,
    weights: Float[Tensor, "persons joints views"],
    before: Float[Tensor, "persons joints 3"],
) -> tuple[Float[Tensor, "persons joints 3"], Float[Tensor, "persons joints"]]:
    """The released triangulation: null vector of the stack of ``w [[d]x | -(d x C)]``; residual = its singular value.

    Computed in float64. The derivative is that of first-order perturbation theory, which needs only the smallest
    singular value to stand apart, where that of a whole decomposition wants all of them to.
    """
    direction, origin = (part.double() for part in views.rays(xy_image))
    system = plucker_rows(direction, origin.expand_as(direction)) * weights.double()[..., None, None]
    system = system.flatten(-3, -2)
    enough = ((weights > 0).sum(-1) >= 2)[..., None, None]
    # Without two views the null space is no line: a harmless system instead, whose result nobody uses.
    harmless = torch.eye(system.shape[-2], 4, dtype=system.dtype, device=system.device)
    ladder = torch.arange(4, 0, -1, dtype=system.dtype, device=system.device)
    system = torch.where(enough, system, harmless * ladder)
    singular = torch.linalg.svd(system.detach(), full_matrices=False)
    null, others = singular.Vh[..., -1, :], singular.Vh[..., :-1, :]
    gap = (singular.S[..., :-1].square() - singular.S[..., -1:].square()).clamp(min=1e-12)
    normal = system.mT @ system
    change = (others @ (normal - normal.detach()) @ null[..., None]) / gap[..., None]
    homogeneous = null - (others.mT @ change)[..., 0]
    residual = (system @ null[..., None])[..., 0].square().sum(-1)
    # The root has no slope at zero, where the rays meet exactly.
    residual = residual.clamp(min=1e-24).sqrt()
    scale = homogeneous[..., 3:]
    scale = torch.where(scale.abs() > 1e-12, scale, 1e-12)
    return (homogeneous[..., :3] / scale).to(before.dtype), residual.to(before.dtype)


def plucker_rows(
    direction: Float[Tensor, "*batch 3"], origin: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 3 4"]:
    """``[[d]x | -(d x o)]``: three equations that a homogeneous point on the ray fulfils."""
    x, y, z = direction.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.cat([cross, -torch.linalg.cross(direction, origin)[..., None]], -1)
