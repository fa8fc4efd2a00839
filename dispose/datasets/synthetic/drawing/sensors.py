"""From light to picture: shadows on the floor, and what a camera makes of a scene."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.datasets.synthetic.drawing.rooms import SHADOW_CELL_MM, SHADOW_CELLS, Light
from dispose.datasets.synthetic.drawing.solids import Solids
from dispose.datasets.synthetic.noise import Noise, between
from dispose.tensors import TensorStruct


@dataclass(frozen=True, eq=False)
class Sensors(TensorStruct):
    """How every camera of a rig turns light into numbers.

    Attributes:
        gain: exposure and white balance per channel.
        gamma: of the tone curve.
        blur: deviation of the point spread, pixels.
        noise: deviation of the noise, in [0, 1].
    """

    gain: Float[Tensor, "views 3"]
    gamma: Float[Tensor, " views"]
    blur: Float[Tensor, " views"]
    noise: Float[Tensor, " views"]


def sample_sensors(source: Noise, views: int, noise: tuple[float, float], blur: tuple[float, float]) -> Sensors:
    """Cameras of one make, each a little different."""
    exposure = between(source, (1, 1), 0.8, 1.25) * (1 + 0.08 * source.normal((views, 1)))
    balance = 1 + 0.05 * source.normal((1, 3)) + 0.035 * source.normal((views, 3))
    gamma = between(source, (1,), 0.8, 1.2) * (1 + 0.04 * source.normal((views,)))
    soft = between(source, (1,), *blur) * between(source, (views,), 0.8, 1.2)
    return Sensors(exposure * balance, gamma, soft, between(source, (1,), *noise).expand(views))


def floor_shadow(solids: Solids, light: Light) -> Float[Tensor, " cells"]:
    """Brightness of every cell of the floor: the lamp's shadow of all solids, and dark contact below them."""
    low = light.towards[2].clamp(min=0.3)
    ends = torch.stack([solids.base, solids.top], dim=1)
    cast = ends[..., :2] - ends[..., 2:] / low * light.towards[:2]
    under = ends[..., :2]
    shadow, contact = (np.zeros((SHADOW_CELLS, SHADOW_CELLS), np.float32) for _ in range(2))
    width = (2 * solids.reach / SHADOW_CELL_MM).round().int().clamp(min=1).tolist()
    for image, lines in ((shadow, cast), (contact, under)):
        cells = (lines / SHADOW_CELL_MM + SHADOW_CELLS / 2).round().int().clamp(-9999, 9999).tolist()
        for (start, end), thick in zip(cells, width, strict=True):
            cv2.line(image, start, end, 1.0, thick)
    soft = cv2.GaussianBlur(shadow, (0, 0), 1.2)
    dark = cv2.GaussianBlur(contact, (0, 0), 4.0)
    lamp = float(light.lamp / (light.lamp + light.ambient))
    return torch.from_numpy((1 - 0.8 * lamp * soft) * (1 - 0.45 * dark)).reshape(-1)


def expose(
    source: Noise, light: Float[Tensor, "views height width 3"], sensors: Sensors
) -> UInt8[Tensor, "views height width 3"]:
    """Pictures as the cameras of a rig deliver them."""
    out = light.clamp(min=0.0).numpy()
    for view, soft in enumerate(sensors.blur.tolist()):
        if soft > 0.05:
            out[view] = cv2.GaussianBlur(out[view], (0, 0), soft)
    tone = torch.from_numpy(out) * sensors.gain[:, None, None]
    tone = tone.clamp(1e-4, 1.0) ** sensors.gamma[:, None, None, None]
    tone = tone + sensors.noise[:, None, None, None] * source.normal(tone.shape)
    return (tone * 255 + 0.5).clamp(0, 255).to(torch.uint8)
