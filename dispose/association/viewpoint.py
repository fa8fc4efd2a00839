"""A detection seen from its own viewpoint: the same pose gives the same numbers in every camera.

Pixels depend on the lens, the resolution and where in the image a person stands. Rays do not: here the
keypoints of a detection become directions in a frame whose z axis runs through the person and whose -y axis is
"up" in the world, divided by the person's own angular size.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.packing import PackedDetections
from dispose.geometry.pinhole import normalize_points
from dispose.tensors import TensorStruct

SMALLEST_SIZE = 4e-3
"""Angular size (radians) below which a detection's extent says nothing: about two pixels of a wide lens."""


@dataclass(frozen=True, eq=False)
class Viewpoints(TensorStruct):
    """Every detection of some frames, packed frame by frame and view by view.

    Attributes:
        centre: the camera centre, mm.
        axes: rows are the viewpoint's x, y, z axes in the world; z runs through the visible joints' mean direction.
        xy: joints on the plane z = 1 of the viewpoint, divided by `size`; 0 where not visible.
        size: angular extent of the visible joints (root mean square about their mean).
        pixel: angular size of one pixel.
        visible: which joints are seen.
        confidence: keypoint scores.
        score: person scores.
    """

    centre: Float[Tensor, "detections 3"]
    axes: Float[Tensor, "detections 3 3"]
    xy: Float[Tensor, "detections joints 2"]
    size: Float[Tensor, " detections"]
    pixel: Float[Tensor, " detections"]
    visible: Bool[Tensor, "detections joints"]
    confidence: Float[Tensor, "detections joints"]
    score: Float[Tensor, " detections"]

    def __len__(self) -> int:
        return self.size.shape[0]


def viewpoints(packed: PackedDetections) -> Viewpoints:
    """The viewpoint of every detection.

    A detection without a visible joint looks along its camera's axis with the smallest size.
    """
    cameras, place, visible = packed.cameras, (packed.frame, packed.view), packed.visible
    rotation, matrix = cameras.rotation[place], cameras.matrix[place]
    flat = normalize_points(packed.xy_image, matrix[:, None], cameras.lens[place][:, None])
    direction = torch.cat([flat, torch.ones_like(flat[..., :1])], dim=-1) @ rotation
    direction = direction / direction.norm(dim=-1, keepdim=True)
    seen = visible[..., None].to(direction.dtype)
    mean = (direction * seen).sum(1)
    mean = torch.where(visible.any(1)[:, None], mean, rotation[:, 2])
    axes = _upright_axes(mean / mean.norm(dim=-1, keepdim=True), rotation)
    local = direction @ axes.mT
    xy = torch.where(visible[..., None], local[..., :2] / local[..., 2:].clamp(min=0.1), 0.0)
    count = visible.sum(1).clamp(min=1)[:, None].to(xy.dtype)
    middle = xy.sum(1) / count
    spread = (((xy - middle[:, None]) * seen) ** 2).sum((1, 2)) / count[:, 0]
    size = spread.sqrt().clamp(min=SMALLEST_SIZE)
    return Viewpoints(
        centre=cameras.centres[place],
        axes=axes,
        xy=xy / size[:, None, None],
        size=size,
        pixel=1 / matrix[:, 0, 0],
        visible=visible,
        confidence=packed.confidence,
        score=packed.score,
    )


def _upright_axes(
    z: Float[Tensor, "detections 3"], rotation: Float[Tensor, "detections 3 3"]
) -> Float[Tensor, "detections 3 3"]:
    """Axes with this z and with y pointing down in the world; straight up or down the camera's own y decides."""
    down = torch.zeros_like(z)
    down[:, 2] = -1
    sideways = torch.linalg.cross(down, z)
    fallback = torch.linalg.cross(rotation[:, 1], z)
    x = torch.where(sideways.norm(dim=-1, keepdim=True) > 1e-3, sideways, fallback)
    x = x / x.norm(dim=-1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=1)
