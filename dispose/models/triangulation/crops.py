"""What algebraic and volumetric triangulation share: how maps lie in images, and what views of a person look like.

Both see one person in several calibrated images at once, cut out of them. The cameras are not moved into the cut: the
affine of the images (`dispose.scene.frame.Images.input_from_image`) says where every pixel of the network's input lies
in the original image, and the lens is undone there. So any size, shape and lens will do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, input_from_map, invert, map_from_input
from dispose.geometry.pinhole import normalize_points
from dispose.nn.backbones import STRIDE, Backbone, BackboneMaps
from dispose.scene.cameras import Cameras
from dispose.scene.frame import ImageBatch
from dispose.tensors import TensorStruct


def read_in_place(xy_map: Float[Tensor, "*points 2"], size: tuple[int, int]) -> Float[Tensor, "*points 2"]:
    """A point of a map is read where it lies."""
    return xy_map


@dataclass(frozen=True)
class MapRules:
    """How heat maps and the network's input lie over each other.

    Attributes:
        input_from_map: pixels of a map at some stride in pixels of the input.
        map_from_input: and back.
        read_at: where a map of some width and height is read for a point, map pixels.
    """

    input_from_map: Callable[[Tensor, int], Tensor]
    map_from_input: Callable[[Tensor, int], Tensor]
    read_at: Callable[[Tensor, tuple[int, int]], Tensor]


EXACT_MAPS = MapRules(input_from_map, map_from_input, read_in_place)
"""Pixel centres are at integers in maps and input alike (`dispose.geometry.image_affine`)."""


@dataclass(frozen=True, eq=False)
class ViewPoints(TensorStruct):
    """Points as the views of samples see them, ready to be triangulated.

    Attributes:
        xy_normalized: places without the lens.
        focal: input pixels per unit of these, along x and y.
        rotation: of the cameras.
        translation: of the cameras, mm.
        weights: how much every view counts for every joint; 0 = not at all.
    """

    xy_normalized: Float[Tensor, "samples joints views 2"]
    focal: Float[Tensor, "samples views 2"]
    rotation: Float[Tensor, "samples views 3 3"]
    translation: Float[Tensor, "samples views 3"]
    weights: Float[Tensor, "samples joints views"]


Solve = Callable[[ViewPoints], Float[Tensor, "samples joints 3"]]
"""From what the views see to points of space, mm."""


def view_points(
    xy_input: Float[Tensor, "samples views joints 2"],
    weights: Float[Tensor, "samples views joints"],
    cameras: Cameras,
    input_from_image: Float[Tensor, "samples views 2 3"],
) -> ViewPoints:
    """Pixels of the network's input as rays of the cameras, in the dtype of the pixels."""
    cameras, affine = cameras.to(xy_input.dtype), input_from_image.to(xy_input.dtype)
    xy_image = apply(invert(affine)[:, :, None], xy_input)
    xy = normalize_points(xy_image, cameras.matrix[:, :, None], cameras.lens[:, :, None])
    focal = (affine[..., :2] @ cameras.matrix[..., :2, :2]).norm(dim=-1)
    return ViewPoints(
        xy.transpose(1, 2), focal, cameras.rotation, cameras.translation, weights.to(xy.dtype).transpose(1, 2)
    )


def project_into_maps(
    xyz_world: Float[Tensor, "samples *points 3"],
    cameras: Cameras,
    input_from_image: Float[Tensor, "samples views 2 3"],
    rules: MapRules = EXACT_MAPS,
) -> tuple[Float[Tensor, "samples views *points 2"], Tensor]:
    """Where points of space appear in the maps of every view, and whether they lie before its camera."""
    xy_image, front = cameras.to(xyz_world.dtype).project(xyz_world)
    between = (1,) * (xyz_world.ndim - 2)
    affine = input_from_image.to(xyz_world.dtype)
    affine = affine.reshape(*affine.shape[:2], *between, 2, 3)
    # Many small matrix products are far slower than this sum.
    x, y = xy_image[..., :1], xy_image[..., 1:]
    xy_input = affine[..., 0] * x + affine[..., 1] * y + affine[..., 2]
    return rules.map_from_input(xy_input, STRIDE), front


def look_at_views(backbone: Backbone, batch: ImageBatch) -> BackboneMaps:
    """What the backbone makes of every image of every sample; all is 0 where a view has no image."""
    present = batch.images.present.flatten()
    pixels = batch.images.pixels.flatten(0, 1)
    seen = backbone.look(pixels[present].contiguous(memory_format=torch.channels_last))
    if bool(present.all()):
        return seen
    rows = present.nonzero()[:, 0]
    wide = {
        name: value.new_zeros(len(present), *value.shape[1:]).index_copy(0, rows, value)
        for name, value in vars(seen).items()
    }
    return BackboneMaps(**wide)


def require_views(batch: ImageBatch, fewest: int, method: str) -> None:
    """Raise `InputError` where a sample has fewer images than a method needs."""
    counts = batch.images.present.sum(1)
    short = (counts < fewest).nonzero()[:, 0].tolist()
    if short:
        needed = f"{fewest} view{'s' if fewest > 1 else ''}"
        raise InputError(
            f"{method} triangulation needs {needed} at least; sample {short[0]} has {int(counts[short[0]])}"
        )
