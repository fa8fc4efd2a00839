"""One image of one person with 2-D joints: where the joints are in space, by Context-Aware PoseFormer."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dispose.models.context.crops import ImageKeypoints, PersonCrops, cut_out_people
from dispose.models.context.network import ContextNetwork, lift_crops
from dispose.models.lifting.view import view_people
from dispose.scene.cameras import Cameras
from dispose.scene.lifted import Lifted


def image_keypoints(
    joints: tuple[str, ...],
    cameras: Cameras,
    xy_image: Float[Tensor, "persons joints 2"],
    confidence: Float[Tensor, "persons joints"],
    seen: Bool[Tensor, "persons joints"],
    sigma_px: Float[Tensor, "persons joints"],
    *,
    upright: bool = True,
) -> ImageKeypoints:
    """2-D joints as the network is told of them; the arguments are those of `view_people`."""
    people = view_people(joints, cameras, xy_image, confidence, seen, sigma_px, upright=upright)
    return ImageKeypoints(cameras, torch.where(seen[..., None], xy_image, 0.0), people)


def lift_images(network: ContextNetwork, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], found: ImageKeypoints) -> Lifted:
    """The pose of every person, one hypothesis each.

    Args:
        network: with weights.
        images: whole images (RGB), one per person.
        found: their 2-D joints, in the order of the network's skeleton.

    Raises:
        InputError: somebody has no keypoint, or none inside the image.
    """
    return to_lifted(network, cut_out_people(images, found, network.config.input_size))


def to_lifted(network: ContextNetwork, crops: PersonCrops) -> Lifted:
    """The poses of people who are cut out already, in the axes of their cameras, mm."""
    xyz = network.rules.to_camera(crops, 1000 * lift_crops(network, crops))
    return Lifted(network.skeleton, xyz[:, None])
