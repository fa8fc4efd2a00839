"""What a camera makes of the light: exposure, white balance, tone, blur and noise."""

from dataclasses import dataclass

import cv2
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between

_SHARP = 0.05
"""Blur below this (pixels) changes nothing."""


@dataclass(frozen=True, eq=False)
class Sensors(TensorStruct):
    """How every camera of a rig turns light into numbers.

    Attributes:
        gain: exposure and white balance per channel.
        curve: bend of the tone curve: positive brightens the middle.
        blur: deviation of the point spread, pixels.
        noise: deviation of the noise, of full scale.
    """

    gain: Float[Tensor, "views 3"]
    curve: Float[Tensor, " views"]
    blur: Float[Tensor, " views"]
    noise: Float[Tensor, " views"]


def sample_sensors(source: Noise, views: int, noise: tuple[float, float], blur: tuple[float, float]) -> Sensors:
    """Cameras of one make, each a little different."""
    exposure = between(source, (1, 1), 0.8, 1.2) * (1 + 0.08 * source.normal((views, 1)))
    balance = 1 + 0.05 * source.normal((1, 3)) + 0.035 * source.normal((views, 3))
    curve = between(source, (1,), -0.25, 0.35) + 0.05 * source.normal((views,))
    soft = between(source, (1,), *blur) * between(source, (views,), 0.8, 1.2)
    return Sensors(exposure * balance, curve, soft, between(source, (1,), *noise).expand(views))


def expose(
    source: Noise, light: Float[Tensor, "views height width 3"], sensors: Sensors
) -> UInt8[Tensor, "views height width 3"]:
    """Images as the cameras of a rig deliver them."""
    out = torch.empty(light.shape, dtype=torch.uint8)
    for view, (soft, curve, noise) in enumerate(zip(sensors.blur, sensors.curve, sensors.noise, strict=True)):
        image = light[view]
        if soft > _SHARP:
            image = torch.from_numpy(cv2.GaussianBlur(image.numpy(), (0, 0), float(soft)))
        tone = (image * sensors.gain[view]).clamp_(0.0, 1.0)
        tone += curve * tone * (1 - tone)
        tone += noise * source.normal(tone.shape)
        out[view] = tone.mul_(255).add_(0.5).clamp_(0, 255)
    return out
