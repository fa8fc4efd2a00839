"""What a detector that never errs would report of people in space: nobody hidden, nothing missed."""

import torch

from dispose.scene.cameras import Cameras
from dispose.scene.detections import Detections
from dispose.scene.frame import Frame
from dispose.scene.poses import Poses
from dispose.tensors import ABSENT


def projected_frame(number: int, cameras: Cameras, poses: Poses) -> Frame:
    """The people as every camera sees them; slots are rows of `poses`.

    A joint is seen where it is known, in front of the camera and inside its image; a person of whom a view sees no
    joint is no detection there.
    """
    xy, front = cameras.project(torch.where(poses.valid[..., None], poses.xyz_world, 0.0).double())
    visible = front & poses.valid & cameras.inside(xy)
    confidence = torch.where(visible, poses.confidence.double(), 0.0)
    valid = visible.any(-1)
    index = torch.where(valid, torch.arange(valid.shape[1]), ABSENT)
    xy = torch.where(visible[..., None], xy, 0.0)
    return Frame(number, cameras, Detections(poses.skeleton, xy, confidence, visible, valid.double(), valid, index))
