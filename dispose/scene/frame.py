"""What a model may see of one instant, and, apart from it, what only training and metrics may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.images import Images
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import COCO_17
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct, stack


@dataclass(frozen=True, eq=False)
class Frame(TensorStruct):
    """All views at one instant: detections, images, or both. Cameras speak of the original images.

    Attributes:
        number: the frame's number.
        cameras: the rig.
        detections: the 2-D people of every view; nobody where only images are known (`of_images`).
        images: the images; None where only detections are known.
    """

    number: int
    cameras: Cameras
    detections: Detections
    images: Images | None = None

    def __post_init__(self) -> None:
        views = {"detections": self.detections.valid.shape[0]}
        if self.images is not None:
            views["images"] = self.images.present.shape[0]
        for name, count in views.items():
            if count != len(self.cameras):
                raise ShapeError(f"frame {self.number}: {len(self.cameras)} views in cameras, {count} in {name}")

    @staticmethod
    def of_images(number: int, cameras: Cameras, images: Images, skeleton: Skeleton = COCO_17) -> "Frame":
        """A frame of images alone; `skeleton` is that of the people who are to be found in them."""
        return Frame(number, cameras, Detections.from_lists(skeleton, [[]] * len(cameras)), images)

    def require_images(self) -> Images:
        """The images. Raises `ShapeError` where the frame has none."""
        if self.images is None:
            raise ShapeError(f"frame {self.number} has no images")
        return self.images


@dataclass(frozen=True, eq=False)
class Labels(TensorStruct):
    """What is known of a frame: for training, metrics and evaluation only.

    Measured truth speaks of detections (`of_detections`); pseudo-labels, made without 3-D truth, speak of joints in
    the images (`of_images`). What a source does not know is empty.

    Attributes:
        identity: the person of every detection slot; `ABSENT` = nobody (a false or unlabelled detection).
        poses: 3-D skeletons; `poses.id` speaks of the same persons as `identity`. A person known in 2-D only has no
            valid joint.
        xy_image: the persons' joints in every view, row by row as `poses`, original pixels; 0 where not visible.
        confidence: of those joints, in [0, 1]; 0 where not visible.
        visible: which joints were found in which view.
        unmatched: 2-D people that belong to none of these persons.
    """

    identity: Int[Tensor, "views slots"]
    poses: Poses
    xy_image: Float[Tensor, "views persons joints 2"]
    confidence: Float[Tensor, "views persons joints"]
    visible: Bool[Tensor, "views persons joints"]
    unmatched: Detections

    @staticmethod
    def of_detections(identity: Int[Tensor, "views slots"], poses: Poses) -> "Labels":
        """Who every detection is, and where everybody is in space."""
        views = identity.shape[0]
        nothing = poses.confidence.new_zeros(views, *poses.valid.shape)
        xy = nothing[..., None].expand(*nothing.shape, 2)
        return Labels(identity, poses, xy, nothing, nothing > 0, Detections.from_lists(poses.skeleton, [[]] * views))

    @staticmethod
    def of_images(
        poses: Poses,
        xy_image: Float[Tensor, "views persons joints 2"],
        confidence: Float[Tensor, "views persons joints"],
        visible: Bool[Tensor, "views persons joints"],
        unmatched: Detections,
    ) -> "Labels":
        """Where everybody's joints are in every image and, as far as known, in space."""
        identity = poses.id.new_zeros(len(visible), 0)
        return Labels(identity, poses, xy_image, confidence, visible, unmatched)


@dataclass(frozen=True, eq=False)
class ImageBatch(TensorStruct):
    """The images of several frames; frames with fewer views are padded with views that are not present."""

    cameras: Cameras
    images: Images

    @staticmethod
    def of(frames: Sequence[Frame]) -> "ImageBatch":
        """Stack frames, at least one, whose images have one size."""
        views = max(len(frame.cameras) for frame in frames)
        images = []
        for frame in frames:
            # The first view fills up: its affine can be inverted, and nobody looks at its pixels.
            mine = frame.require_images().select(views=filled_rows(len(frame.cameras), views))
            images.append(replace(mine, present=mine.present & (torch.arange(views) < len(frame.cameras))))
        return ImageBatch(stack_rigs([frame.cameras for frame in frames]), stack(images))


def stack_rigs(rigs: Sequence[Cameras]) -> Cameras:
    """One rig per sample; rigs with fewer cameras are padded with views that are not `present`."""
    views = max((len(rig) for rig in rigs), default=0)
    wide = [
        replace(
            rig.select(views=filled_rows(len(rig), views)),
            names=(),
            present=torch.arange(views, device=rig.size.device) < len(rig),
        )
        for rig in rigs
    ]
    return stack(wide)


def filled_rows(count: int, views: int) -> list[int]:
    """So many views, the first repeated for those that a sample lacks."""
    return [*range(count), *[0] * (views - count)]
