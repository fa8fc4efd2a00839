"""What a model may see of one instant, and, apart from it, what only training and metrics may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras, telling_fisheyes
from dispose.skeletons.catalog import COCO_17
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct, stack


@dataclass(frozen=True, eq=False)
class Poses(TensorStruct):
    """Skeletons in the world.

    Attributes:
        skeleton: what the joint axis means.
        xyz_world: joints in mm; 0 where not valid.
        confidence: joint confidence in [0, 1].
        valid: which joints are known.
        id: the person's number: an identity in labels, a track in predictions.
        covariance: how uncertain joints are, mm²; None where nobody says.
        score: how probable it is that a person's joints lie within 150 mm of the truth in the mean; None where nobody
            says.
    """

    skeleton: Skeleton
    xyz_world: Float[Tensor, "persons joints 3"]
    confidence: Float[Tensor, "persons joints"]
    valid: Bool[Tensor, "persons joints"]
    id: Int[Tensor, " persons"]
    covariance: Float[Tensor, "persons joints 3 3"] | None = None
    score: Float[Tensor, " persons"] | None = None


FARTHEST_PX = 1e6
"""A keypoint farther than this from the image's corner is no place in an image."""


def usable_keypoints(
    xy_image: Float[Tensor, "*people joints 2"],
    confidence: Float[Tensor, "*people joints"],
    visible: Bool[Tensor, "*people joints"],
) -> tuple[Float[Tensor, "*people joints 2"], Float[Tensor, "*people joints"], Bool[Tensor, "*people joints"]]:
    """Keypoints in double precision; one that is no number or farther than `FARTHEST_PX` is not visible.

    A confidence that is no number is 0, others are kept within [0, 1].
    """
    place = xy_image.to(torch.float64)
    seen = visible & (place.abs() <= FARTHEST_PX).all(-1)
    sure = torch.nan_to_num(confidence.to(torch.float64), nan=0.0).clamp(0, 1)
    return torch.where(seen[..., None], place, 0.0), torch.where(seen, sure, 0.0), seen


@dataclass(frozen=True, eq=False)
class Detections(TensorStruct):
    """Padded per-view lists of detected people with keypoints.

    Attributes:
        skeleton: what the joint axis means.
        xy_image: keypoints in pixels; 0 where not visible.
        confidence: keypoint scores in [0, 1]; 0 where not visible.
        visible: which keypoints the detector reported.
        score: person scores in [0, 1].
        valid: which slots hold a detection.
        index: position of the detection in its camera's source list, `ABSENT` in empty slots.
    """

    skeleton: Skeleton
    xy_image: Float[Tensor, "views slots joints 2"]
    confidence: Float[Tensor, "views slots joints"]
    visible: Bool[Tensor, "views slots joints"]
    score: Float[Tensor, "views slots"]
    valid: Bool[Tensor, "views slots"]
    index: Int[Tensor, "views slots"]

    @property
    def counts(self) -> Int[Tensor, " views"]:
        """Number of detections in every view."""
        return self.valid.sum(-1)

    def distinct(self) -> "Detections":
        """The same slots, of which a detection that repeats an earlier one of its view exactly is not valid.

        Detector outputs in the wild hold the same skeleton twice; as two detections they would be two people.
        """
        same_place = (self.xy_image[:, :, None] == self.xy_image[:, None]).all(-1).all(-1)
        same_joints = (self.visible[:, :, None] == self.visible[:, None]).all(-1)
        repeat = same_place & same_joints & self.valid[:, :, None] & self.valid[:, None]
        return replace(self, valid=self.valid & ~repeat.tril(-1).any(-1))

    @staticmethod
    def from_lists(
        skeleton: Skeleton,
        keypoints: Sequence[Sequence[Float[Tensor, "joints 3"]]],
        scores: Sequence[Sequence[float]] | None = None,
        index: Sequence[Sequence[int]] | None = None,
    ) -> "Detections":
        """Pad per-view lists of ``(joints, 3)`` arrays ``x, y, score`` (score 0 or NaN = not visible).

        The person score defaults to the mean score of the visible keypoints.
        """
        views, joints = len(keypoints), len(skeleton)
        slots = max((len(people) for people in keypoints), default=0)
        xys = torch.zeros(views, slots, joints, 3, dtype=torch.float64)
        valid = torch.zeros(views, slots, dtype=torch.bool)
        source = torch.full((views, slots), ABSENT, dtype=torch.long)
        for v, people in enumerate(keypoints):
            if people:
                held = slice(len(people))
                xys[v, held] = torch.stack([torch.as_tensor(person, dtype=torch.float64) for person in people])
                valid[v, held] = True
                source[v, held] = torch.tensor(range(len(people)) if index is None else index[v])
        visible = torch.isfinite(xys).all(-1) & (xys[..., 2] > 0)
        xys = torch.where(visible[..., None], xys, 0.0)
        if scores is None:
            score = xys[..., 2].sum(-1) / visible.sum(-1).clamp(min=1)
        else:
            score = torch.zeros(views, slots, dtype=torch.float64)
            for v, values in enumerate(scores):
                score[v, : len(values)] = torch.as_tensor(list(values), dtype=torch.float64)
        return Detections(skeleton, xys[..., :2], xys[..., 2], visible, score, valid, source)


@dataclass(frozen=True, eq=False)
class Images(TensorStruct):
    """All views of one instant (or of several samples), brought to one size.

    Attributes:
        pixels: RGB, normalised by ImageNet's mean and deviation; means nothing where a view has no image.
        input_from_image: the affine from pixels of the original image to pixels of `pixels`
            (`dispose.geometry.image_affine`).
        present: which views have an image; the others say nothing.
    """

    pixels: Float[Tensor, "*batch views 3 height width"]
    input_from_image: Float[Tensor, "*batch views 2 3"]
    present: Bool[Tensor, "*batch views"]

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the images."""
        return self.pixels.shape[-1], self.pixels.shape[-2]


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
            whole = frame.require_images()
            rows, held = filled_rows(len(frame.cameras), views, whole.present.device)
            mine = whole.select(views=rows)
            images.append(replace(mine, present=mine.present & held))
        return ImageBatch(stack_rigs([frame.cameras for frame in frames]), stack(images))


def stack_rigs(rigs: Sequence[Cameras]) -> Cameras:
    """One rig per sample; rigs with fewer cameras are padded with views that are not `present`."""
    views, wide = max((len(rig) for rig in rigs), default=0), []
    round_lenses = any(rig.fisheye is not None for rig in rigs)
    for rig in rigs:
        rows, held = filled_rows(len(rig), views, rig.size.device)
        rig = telling_fisheyes(rig) if round_lenses else rig
        wide.append(replace(rig.select(views=rows), names=(), present=held))
    return stack(wide)


def filled_rows(count: int, views: int, device: torch.device) -> tuple[list[int], Bool[Tensor, " views"]]:
    """So many views, the first again for those that a sample lacks, and which are its own.

    The first fills up because its affine can be inverted, and nobody looks at its pixels.
    """
    return [*range(count), *[0] * (views - count)], torch.arange(views, device=device) < count
