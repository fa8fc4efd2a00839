"""Which 2-D and 3-D labels the decoder learns from: the two are compared before either is believed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Labels
from dispose.tensors import TensorStruct, cat

THRESHOLD = 0.3
"""Labels below this confidence are none (released)."""

AGREEMENT_PX = 16.0
"""A 2-D and a 3-D label agree within this distance in the original image (released)."""


@dataclass(frozen=True, eq=False)
class PoseTargets(TensorStruct):
    """Labels of the people of a batch in one list.

    Attributes:
        sample: the sample of every person.
        identity: the person's number in their frame, `ABSENT` if unknown; equal in augmented copies of the frame.
        xy_image: joints in original pixels; 0 where there is no label.
        confidence: of those, in [0, 1]; 0 where there is no label.
        xyz_world: joints in mm; 0 where there is no label.
        xyz_confidence: of those, in [0, 1]; 0 where there is no label.
    """

    sample: Int[Tensor, " persons"]
    identity: Int[Tensor, " persons"]
    xy_image: Float[Tensor, "persons views joints 2"]
    confidence: Float[Tensor, "persons views joints"]
    xyz_world: Float[Tensor, "persons joints 3"]
    xyz_confidence: Float[Tensor, "persons joints"]


def pack_labels(labels: Sequence[Labels], views: int) -> PoseTargets:
    """The labels of several samples in one list of people; samples with fewer views get views without labels.

    Raises:
        ShapeError: there is no sample, or one has more views.
    """
    if not labels:
        raise ShapeError("labels of no sample cannot be packed")
    parts = []
    for number, of_sample in enumerate(labels):
        found = of_sample.visible.shape[0]
        if found > views:
            raise ShapeError(f"{found} views in the labels of sample {number}, {views} in the rigs")
        of_sample, poses = of_sample.pad(views=views), of_sample.poses
        xy = of_sample.xy_image.transpose(0, 1)
        confidence = torch.where(of_sample.visible, of_sample.confidence, 0.0).transpose(0, 1)
        known = torch.where(poses.valid, poses.confidence, 0.0)
        sample = torch.full_like(poses.id, number)
        parts.append(PoseTargets(sample, poses.id, xy, confidence, poses.xyz_world, known))
    return cat(parts, "persons")


def curate(targets: PoseTargets, rigs: Cameras) -> PoseTargets:
    """Believe 2-D labels where the 3-D label of the joint agrees, and the 3-D label where they differ.

    A 2-D label is kept if its joint has no 3-D label or the reprojection of that is near. Otherwise the reprojection
    takes its place, with the confidence of the 3-D label, if it lies in the image; if not, the label is dropped.
    Joints that only the 3-D label knows are filled in alike. The image is as large as its camera says.
    `rigs` are the cameras of the samples.
    """
    dtype = targets.xy_image.dtype
    cameras = rigs[targets.sample]
    projected, front = cameras.project(targets.xyz_world.to(rigs.matrix.dtype))
    inside = front & cameras.inside(projected)
    projected = projected.to(dtype)
    seen = targets.confidence >= THRESHOLD
    if cameras.present is not None:
        seen = seen & cameras.present[..., None]
    certain = targets.xyz_confidence >= THRESHOLD
    placed = certain[:, None].expand_as(seen)
    agree = front & ((projected - targets.xy_image).norm(dim=-1) <= AGREEMENT_PX)

    keep = seen & (agree | ~placed)
    moved = placed & inside & ~keep
    xy = torch.where(keep[..., None], targets.xy_image, torch.where(moved[..., None], projected, 0.0))
    filled = torch.where(moved, targets.xyz_confidence[:, None], 0.0)
    confidence = torch.where(keep, targets.confidence, filled.to(targets.confidence.dtype))
    xyz, sure = (
        torch.where(certain[..., None], targets.xyz_world, 0.0),
        torch.where(certain, targets.xyz_confidence, 0.0),
    )
    return replace(targets, xy_image=xy, confidence=confidence, xyz_world=xyz, xyz_confidence=sure)
