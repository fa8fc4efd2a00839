"""People in what MoveNet's heads say, as the published graphs find them.

Numbers that look odd (0.300048828125) are what half precision makes of the rounder ones in the graphs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.models.movenet.network import JOINTS, MoveNetHeads

MOST_PEOPLE = 6
PEAK_WINDOW = 5
PEAK_TOLERANCE = 1.0132789611816406e-06
SPREAD = 0.300048828125
"""Variance (twice) of where a keypoint is looked for, in cells², per cell of the grid's short side."""
SEEN = 0.126953125
"""Keypoints above it count for the score of a person."""
CLOSE = 1.7998046875
"""Cells that are added to a distance before it divides a score."""


@dataclass(frozen=True, eq=False)
class RelativePeople:
    """People of images in shares of the input's height and width.

    Attributes:
        keypoints: y, x and score; a place may lie outside [0, 1].
        boxes: top, left, bottom, right.
        scores: of people.
        peaks: of their middles; 0 = nobody is in this row, and what else it says means nothing.
    """

    keypoints: Float[Tensor, "images persons joints 3"]
    boxes: Float[Tensor, "images persons 4"]
    scores: Float[Tensor, "images persons"]
    peaks: Float[Tensor, "images persons"]


def decode_people(heads: MoveNetHeads) -> RelativePeople:
    """Up to six people per image, in the order of their peaks.

    A keypoint's map is weighed by a Gaussian about where its person's middle expects it, inside their box. Weight and
    box are a product of a factor per row and one per column. The score of a keypoint is the highest that **any** of the
    six gives to its place: the graph does that, and people who overlap depend on it.

    Raises:
        ShapeError: the heads are those of a network for one person.
    """
    if heads.box_scale is None or heads.box_offset is None:
        raise ShapeError("these heads say no boxes: they are those of a network for one person")
    height, width = heads.center.shape[-2:]
    peaks, index = _peaks(heads.center.sigmoid()[:, 0])
    middle = torch.stack((index // width, index % width), -1).to(peaks)
    scale = _at(heads.box_scale, index).clamp(min=0)
    center = middle + _at(heads.box_offset, index)
    size = middle.new_tensor((height, width))
    low = (center - scale / 2).clamp(min=0).minimum(size)
    high = (center + scale / 2).clamp(min=0).minimum(size)
    expected = middle[:, :, None] + _at(heads.kpt_regress, index).unflatten(-1, (JOINTS, 2))
    spread = SPREAD * min(height, width)
    factors = []
    for axis, count in enumerate((height, width)):
        cells = torch.arange(count, device=peaks.device, dtype=peaks.dtype)
        weight = torch.exp(-((cells - expected[..., axis, None]) ** 2) / spread)
        inside = (cells >= low[..., axis, None]) & (cells < high[..., axis, None])
        factors.append(weight * inside[:, :, None])
    rows, columns = factors
    heat = heads.kpt_heatmap.sigmoid()
    weighed = (heat[:, None] * rows[..., None] * columns[..., None, :]).flatten(-2)
    cell = weighed.max(-1).indices
    by_anybody = weighed.gather(-1, cell.transpose(1, 2)[:, None].expand(-1, MOST_PEOPLE, -1, -1))
    score = by_anybody.amax(1).transpose(1, 2)
    counted = score > SEEN
    mean = (score * counted).sum(-1) / counted.sum(-1).clamp(min=1)
    boxes = torch.cat((low, high), -1) / size.repeat(2)
    return RelativePeople(_placed(heads.kpt_offset, cell, score), boxes, peaks * mean, peaks)


def decode_person(heads: MoveNetHeads) -> Float[Tensor, "images joints 3"]:
    """The one person of each image: y, x (shares of the input) and score of every keypoint.

    Who stands near the middle of the image is preferred; somebody is always found.
    """
    height, width = heads.center.shape[-2:]
    grid = _grid(height, width, heads.center)
    middle_distance = (grid - grid.new_tensor((height / 2, width / 2))).norm(dim=-1)
    near = heads.center.sigmoid()[:, 0] / (middle_distance + CLOSE)
    index = near.flatten(1).max(-1, keepdim=True).indices
    middle = torch.stack((index // width, index % width), -1).to(grid)
    expected = (middle[:, :, None] + _at(heads.kpt_regress, index).unflatten(-1, (JOINTS, 2)))[:, 0]
    distance = (grid - expected[:, :, None, None]).norm(dim=-1)
    heat = heads.kpt_heatmap.sigmoid()
    cell = (heat / (distance + CLOSE)).flatten(-2).max(-1).indices
    score = heat.flatten(-2).gather(-1, cell[..., None])[..., 0]
    return _placed(heads.kpt_offset, cell[:, None], score[:, None])[:, 0]


def _peaks(
    likely: Float[Tensor, "images height width"],
) -> tuple[Float[Tensor, "images persons"], Int[Tensor, "images persons"]]:
    """The highest peaks and their cells; 0 and the first of the other cells where there are fewer."""
    highest = F.max_pool2d(likely[:, None], PEAK_WINDOW, 1, PEAK_WINDOW // 2)[:, 0]
    is_peak = (likely - highest).abs() < PEAK_TOLERANCE
    # TensorFlow takes the first of equal values, torch any: others are made unequal, the first the highest.
    numbers = torch.arange(likely[0].numel(), device=likely.device).to(likely).view_as(likely[0])
    kept, index = torch.where(is_peak, likely, -1 - numbers).flatten(1).topk(MOST_PEOPLE)
    return kept.clamp(min=0), index


def _at(
    maps: Float[Tensor, "images chans height width"], index: Int[Tensor, "images persons"]
) -> Float[Tensor, "images persons chans"]:
    """What maps say at cells."""
    flat = maps.flatten(2)
    return flat.gather(2, index[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)


def _placed(
    offsets: Float[Tensor, "images pairs height width"],
    cell: Int[Tensor, "images persons joints"],
    score: Float[Tensor, "images persons joints"],
) -> Float[Tensor, "images persons joints 3"]:
    """Keypoints in cells, moved by each joint's own pair of offsets there: y, x, score."""
    height, width = offsets.shape[-2:]
    pairs = offsets.flatten(2).unflatten(1, (JOINTS, 2))
    where = cell.transpose(1, 2)[:, :, None].expand(-1, -1, 2, -1)
    moved = pairs.gather(-1, where).permute(0, 3, 1, 2)
    y = ((cell // width) + moved[..., 0]) / height
    x = ((cell % width) + moved[..., 1]) / width
    return torch.stack((y, x, score), -1)


def _grid(height: int, width: int, like: Tensor) -> Float[Tensor, "height width 2"]:
    """Row and column of every cell."""
    y, x = (torch.arange(count, device=like.device, dtype=like.dtype) for count in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij"), -1)
