"""Original image, network input, heat map and sampling grid: how ours converts between them.

Pixel centres are at integers everywhere; a map at stride s has its pixel k at ``s k + (s - 1) / 2`` of the input.
An affine is the 2x3 matrix of ``xy_to = A[:, :2] @ xy_from + A[:, 2]``.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def letterbox(size: Float[Tensor, "*batch 2"], input_size: tuple[int, int]) -> Float[Tensor, "*batch 2 3"]:
    """Input from image: the whole image at the largest scale that fits, centred. Sizes are width, height."""
    return crop((size - 1) / 2, size, input_size)


def crop(
    centre: Float[Tensor, "*batch 2"], size: Float[Tensor, "*batch 2"], input_size: tuple[int, int]
) -> Float[Tensor, "*batch 2 3"]:
    """Input from image: a box around a point at the largest scale that fits, centred. Sizes are width, height."""
    target = torch.tensor(input_size, dtype=size.dtype, device=size.device)
    scale = (target / size).amin(-1)[..., None]
    linear = scale[..., None] * torch.eye(2, dtype=size.dtype, device=size.device)
    return torch.cat([linear, ((target - 1) / 2 - scale * centre)[..., None]], dim=-1)


def rotation_about(
    input_from_image: Float[Tensor, "*batch 2 3"],
    input_size: tuple[int, int],
    angle: Float[Tensor, "*batch"],
    scale: Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch 2 3"]:
    """The affine followed by a rotation (radians, x towards y) and a magnification about the input's middle."""
    cos, sin = scale * angle.cos(), scale * angle.sin()
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    middle = (torch.tensor(input_size, dtype=linear.dtype, device=linear.device) - 1) / 2
    shift = middle - (linear @ middle[..., None])[..., 0]
    return compose(torch.cat([linear, shift[..., None]], dim=-1), input_from_image)


def apply(affine: Float[Tensor, "*#batch 2 3"], xy: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
    """Points moved by an affine."""
    return (affine[..., :2] @ xy[..., None])[..., 0] + affine[..., 2]


def invert(affine: Float[Tensor, "*batch 2 3"]) -> Float[Tensor, "*batch 2 3"]:
    """The affine the other way."""
    linear = torch.linalg.inv(affine[..., :2])
    return torch.cat([linear, -linear @ affine[..., 2:]], dim=-1)


def compose(outer: Float[Tensor, "*#batch 2 3"], inner: Float[Tensor, "*#batch 2 3"]) -> Float[Tensor, "*batch 2 3"]:
    """``outer`` after ``inner``."""
    linear = outer[..., :2] @ inner[..., :2]
    return torch.cat([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], dim=-1)


def map_from_input(xy_input: Float[Tensor, "*batch 2"], stride: float | int) -> Float[Tensor, "*batch 2"]:
    """Points of the network input in pixels of a map at some stride."""
    return (xy_input + 0.5) / stride - 0.5


def input_from_map(xy_map: Float[Tensor, "*batch 2"], stride: float | int) -> Float[Tensor, "*batch 2"]:
    """Points of a map at some stride in pixels of the network input."""
    return (xy_map + 0.5) * stride - 0.5


def fraction(xy: Float[Tensor, "*batch 2"], size: tuple[int, int]) -> Float[Tensor, "*batch 2"]:
    """Pixels as fractions of a map's width and height: 0 and 1 are its outer edges, whatever its resolution."""
    return (xy + 0.5) / torch.tensor(size, dtype=xy.dtype, device=xy.device)


def sampling_grid(fractions: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
    """Fractions as `grid_sample` wants them with ``align_corners=False``."""
    return 2 * fractions - 1
