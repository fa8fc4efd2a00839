"""Where the corners of a camera's picture lie in the world: shared by the drawings of rigs."""

import numpy as np
import torch
from jaxtyping import Float

from dispose.scene.cameras import Cameras


def image_corners(cameras: Cameras, reach_mm: float) -> Float[np.ndarray, "views 4 3"]:
    """World points (mm) `reach_mm` along the rays of the four picture corners, clockwise from the top left."""
    unit = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], dtype=cameras.size.dtype)
    xy = unit * cameras.size[:, None] - 0.5
    return (cameras.centres[:, None] + reach_mm * cameras.directions(xy)).numpy()
