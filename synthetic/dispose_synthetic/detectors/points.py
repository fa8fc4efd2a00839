"""A detector of points that are known to be somebody's: noise, and a share of points that lie far off."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.scene.frame import Detections, Frame, Labels
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_synthetic.detectors.detector import JOINT_BIAS, JOINT_NOISE, REFERENCE_WIDTH
from dispose_synthetic.detectors.parameters import DetectorModel
from dispose_synthetic.randomness import Noise


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


USUAL_NOISE, USUAL_BIAS = 1.0, 1.0
"""Of joints that COCO does not have, relative to the model's."""


def fitted_points(
    source: Noise,
    xy_image: Float[Tensor, "people joints 2"],
    px_per_mm: Float[Tensor, " people"],
    width: Float[Tensor, " people"],
    joints: tuple[str, ...],
    model: DetectorModel,
) -> tuple[Float[Tensor, "people joints 2"], Float[Tensor, "people joints"]]:
    """Points as detectors fitted to real ones find them that nothing hides, and the deviation one expects of them.

    Noise, a share of four times that noise, and an offset that is the detector's own idea of a joint; the latter two
    are not in what is told of the deviation of a joint, but the offset's usual size is.

    Args:
        source: randomness.
        xy_image: where the joints are, pixels.
        px_per_mm: scale at every person.
        width: of their images, pixels.
        joints: names.
        model: a detector for every person.

    Returns:
        Points, pixels, and standard deviations in either direction, pixels.
    """
    own, lean = (
        torch.tensor([table[COCO_17.index(joint)] if joint in COCO_17.joints else usual for joint in joints])
        for table, usual in ((JOINT_NOISE, USUAL_NOISE), (JOINT_BIAS, USUAL_BIAS))
    )
    scale, pixel = px_per_mm[:, None].float(), (width / REFERENCE_WIDTH)[:, None].float()
    sigma = torch.hypot(model.noise_px[:, None] * pixel, model.noise_mm[:, None] * scale) * own
    heavy = source.uniform(xy_image.shape[:2]) < model.outliers[:, None]
    bias = torch.hypot(model.bias_mm, model.view_bias_mm)[:, None] * lean * scale
    noise = torch.where(heavy, 4.0, 1.0) * sigma
    moved = noise[..., None] * source.normal(xy_image.shape) + bias[..., None] * source.normal(xy_image.shape)
    return xy_image + moved, torch.hypot(sigma, bias)
