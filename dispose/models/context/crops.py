"""Single people cut out of images, with their 2-D joints: what Context-Aware PoseFormer is told."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dispose.datasets.labelled_people import screen_of_pixels
from dispose.datasets.multiview import warp_views
from dispose.errors import InputError
from dispose.geometry.image_affine import apply, crop
from dispose.geometry.pinhole import project_points
from dispose.models.lifting.sight import PeopleInView
from dispose.models.lifting.view import ViewPeople
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct

MARGIN = 1.25
"""Width and height of a box, in those of the keypoints inside it."""
SMALLEST_BOX_PX = 8.0


@dataclass(frozen=True, eq=False)
class PersonCrops(TensorStruct):
    """People, one in each cut of an image.

    Attributes:
        pixels: RGB, normalised by ImageNet's mean and deviation.
        xy_crop: keypoints in pixels of the cut; 0 where not seen.
        xy_screen: keypoints of the whole image from its middle, in halves of its width; 0 where not seen.
        people: the same keypoints as every lifter is told of them.
    """

    pixels: Float[Tensor, "persons 3 height width"]
    xy_crop: Float[Tensor, "persons joints 2"]
    xy_screen: Float[Tensor, "persons joints 2"]
    people: ViewPeople

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the cuts."""
        return self.pixels.shape[-1], self.pixels.shape[-2]

    def mirror(self, swap: list[int]) -> "PersonCrops":
        """The same people seen in a mirror; `swap` says for every joint which one its mirror image is."""
        flip = self.xy_crop.new_tensor([-1.0, 1.0])
        across = self.xy_crop.new_tensor([self.size[0] - 1.0, 0.0])
        people = self.people.mirror(swap)
        xy_crop = torch.where(people.seen[..., None], across + flip * self.xy_crop[:, swap], 0.0)
        return PersonCrops(self.pixels.flip(-1), xy_crop, flip * self.xy_screen[:, swap], people)


def keypoint_boxes(
    xy_image: Float[Tensor, "persons joints 2"], seen: Bool[Tensor, "persons joints"], *, margin: float = MARGIN
) -> tuple[Float[Tensor, "persons 2"], Float[Tensor, "persons 2"]]:
    """Middle and size of a box around the keypoints that are seen, pixels.

    Raises:
        InputError: nothing is seen of somebody.
    """
    nobody = (~seen.any(1)).nonzero()[:, 0].tolist()
    if nobody:
        raise InputError(f"person {nobody[0]} has no keypoint: there is nothing to cut out of the image")
    low = torch.where(seen[..., None], xy_image, torch.inf).amin(1)
    high = torch.where(seen[..., None], xy_image, -torch.inf).amax(1)
    return (low + high) / 2, (margin * (high - low)).clamp(min=SMALLEST_BOX_PX)


ROOT_BOX_MM = ((-1000.0, -900.0), (1000.0, 1100.0))
"""Corners of the released box, from the true root along x and y of the camera."""


def root_boxes(
    root_camera: Float[Tensor, "persons 3"], cameras: Cameras
) -> tuple[Float[Tensor, "persons 2"], Float[Tensor, "persons 2"]]:
    """The released boxes: two metres around the true root (mm, the camera's axes).

    They tell the network how large a person is, which nobody knows at test time.
    """
    corners = root_camera.new_tensor(ROOT_BOX_MM)
    offset = torch.cat([corners, torch.zeros_like(corners[:, :1])], 1)
    matrix, distortion = (part.to(root_camera.dtype)[:, 0, None] for part in (cameras.matrix, cameras.lens))
    xy = project_points(root_camera[:, None] + offset, matrix, distortion)
    return xy.mean(1), xy[:, 1] - xy[:, 0]


def crop_people(
    pixels: Float[Tensor, "persons 3 height width"],
    input_from_image: Float[Tensor, "persons 2 3"],
    found: PeopleInView,
) -> PersonCrops:
    """People whose cuts are there already: where they lie in the images says the affine."""
    seen = found.people.seen[..., None]
    xy_crop = apply(input_from_image[:, None], found.xy_image.to(input_from_image.dtype)).float()
    screen = screen_of_pixels(found.xy_image, found.cameras.size.to(found.xy_image.dtype)).float()
    return PersonCrops(pixels, torch.where(seen, xy_crop, 0.0), torch.where(seen, screen, 0.0), found.people)


def cut_out_people(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    found: PeopleInView,
    input_size: tuple[int, int],
    boxes: tuple[Float[Tensor, "persons 2"], Float[Tensor, "persons 2"]] | None = None,
) -> PersonCrops:
    """People cut out of images (RGB, one per person; the same one may come again).

    Args:
        images: whole images.
        found: their keypoints.
        input_size: width and height of the cuts.
        boxes: middle and size, pixels; None = around the keypoints (`keypoint_boxes`).

    Raises:
        InputError: somebody has no keypoint, or none inside the image.
    """
    centre, size = boxes or keypoint_boxes(found.xy_image, found.people.seen)
    inside = found.people.seen & found.cameras.inside(found.xy_image[:, None])[:, 0]
    for person, image in enumerate(images):
        if not bool(inside[person].any()):
            height, width = image.shape[:2]
            raise InputError(f"person {person}: no keypoint lies inside the image of {width} x {height} pixels")
    affine = crop(centre.double(), size.double(), input_size)
    return crop_people(warp_views(images, affine, input_size).pixels, affine, found)
