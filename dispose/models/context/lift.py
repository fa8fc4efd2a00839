"""Context-Aware PoseFormer as every lifter of one image is called."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.models.context.crops import cut_out_people
from dispose.models.context.network import ContextNetwork, lift_crops
from dispose.models.lifting.sight import PeopleInView, Picture


@dataclass(frozen=True, eq=False)
class ContextLift:
    """A network with weights that looks at the picture around the keypoints (`LiftSeen`)."""

    network: ContextNetwork

    def __call__(
        self, sight: PeopleInView, image: Picture | None, generator: torch.Generator
    ) -> Float[Tensor, "persons 1 joints 3"]:
        """One hypothesis of everybody in an image (RGB); nothing is drawn.

        Raises:
            InputError: there is no image; somebody has no keypoint, or none inside the image.
        """
        if image is None:
            raise InputError("Context-Aware PoseFormer looks at the image beside the keypoints, and there is none")
        crops = cut_out_people([image] * len(sight), sight, self.network.config.input_size)
        return lift_crops(self.network, crops)[:, None]
