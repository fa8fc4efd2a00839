"""A detector of points that are known to be somebody's: noise, and a share of points that lie far off."""

from dataclasses import dataclass, replace

import torch

from dispose.scene.frame import Detections, Frame, Labels
from dispose.tensors import ABSENT


@dataclass(frozen=True)
class PointNoise:
    """How far points are found from where they are: Gaussian in x and y.

    Attributes:
        sigma_px: standard deviation of most points, pixels.
        wrong: share of the points that are displaced by `wrong_px` instead.
        wrong_px: their standard deviation, pixels.
    """

    sigma_px: float = 3.0
    wrong: float = 0.1
    wrong_px: float = 30.0


def detect_points(frame: Frame, labels: Labels, noise: PointNoise, generator: torch.Generator) -> tuple[Frame, Labels]:
    """The frame as a detector sees it that misses nothing and tells everybody apart; all scores are 1.

    Every true person has the slot of their row in every view, with the valid joints that lie before the camera. Scores
    give no hint which points are wrong.
    """
    truth, count = labels.poses, len(labels.poses.id)
    xy, front = frame.cameras.project(truth.xyz_world)
    wrong = torch.rand(front.shape, generator=generator, dtype=xy.dtype) < noise.wrong
    sigma = torch.where(wrong, noise.wrong_px, noise.sigma_px)
    xy = xy + sigma[..., None] * torch.randn(xy.shape, generator=generator, dtype=xy.dtype)
    seen = front & truth.valid
    valid = seen.any(-1)
    slot = torch.arange(count).expand(len(frame.cameras), count)
    detections = Detections(
        truth.skeleton,
        torch.where(seen[..., None], xy, 0.0),
        seen.to(xy.dtype),
        seen,
        valid.to(xy.dtype),
        valid,
        torch.where(valid, slot, ABSENT),
    )
    identity = torch.where(valid, truth.id.expand_as(slot), ABSENT)
    return replace(frame, detections=detections), replace(labels, identity=identity)
