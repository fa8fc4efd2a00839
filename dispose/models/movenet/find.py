"""People in one image, and the joints of people whose places are known."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.models.movenet.decode import decode_people, decode_person
from dispose.models.movenet.inputs import Rgb, crop_squares, letterbox
from dispose.models.movenet.network import MoveNet, TracedMoveNet


@dataclass(frozen=True, eq=False)
class MultiplePeople:
    """People of one image in its pixels, the best first.

    Attributes:
        keypoints: x, y and score, in the order of `dispose.skeletons.catalog.COCO_17`.
        boxes: left, top, right, bottom; inside the image.
        scores: in [0, 1].
    """

    keypoints: Float[np.ndarray, "persons 17 3"]
    boxes: Float[np.ndarray, "persons 4"]
    scores: Float[np.ndarray, " persons"]


@torch.inference_mode()
def find_people(network: MoveNet | TracedMoveNet, image: Rgb, side: int) -> MultiplePeople:
    """Up to six people, with keypoints that are rough; nobody who is no peak of the network's map of middles.

    Args:
        network: for several people.
        image: red first.
        side: the long side that the network is shown, px.
    """
    shown = letterbox(image, side)
    people = decode_people(network(_tensor(shown.image[None])))
    height, width = shown.image.shape[:2]
    to_source = np.array(shown.source_scale) * (width, height)
    order = np.argsort(-people.scores[0].numpy(), kind="stable")
    order = order[people.peaks[0].numpy()[order] > 0]
    keypoints = people.keypoints[0].double().numpy()[order][..., [1, 0, 2]]
    keypoints[..., :2] *= to_source
    boxes = people.boxes[0].double().numpy()[order][:, [1, 0, 3, 2]] * np.tile(to_source, 2)
    # The padding is no place for a box.
    boxes = np.clip(boxes, 0, np.tile((image.shape[1], image.shape[0]), 2))
    return MultiplePeople(keypoints, boxes, people.scores[0].double().numpy()[order])


@torch.inference_mode()
def find_joints(
    network: MoveNet | TracedMoveNet, image: Rgb, squares: Float[np.ndarray, "persons 3"]
) -> Float[np.ndarray, "persons 17 3"]:
    """Keypoints (x, y in pixels of the image, score) of the one person in each square.

    One after the other: a batch takes no less time on one core, and more memory.

    Args:
        network: for one person.
        image: red first.
        squares: middle x, middle y and side, px.
    """
    side = network.config.side
    keypoints = np.zeros((len(squares), 17, 3))
    for one, crop, (x, y, extent) in zip(keypoints, crop_squares(image, squares, side), squares, strict=True):
        found = decode_person(network(_tensor(crop[None])))[0].double().numpy()
        one[:, :2] = (found[:, [1, 0]] - 0.5) * extent + (x, y)
        one[:, 2] = found[:, 2]
    return keypoints


def _tensor(images: UInt8[np.ndarray, "images height width 3"]) -> Float[Tensor, "images 3 height width"]:
    """Images as a network takes them."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()
