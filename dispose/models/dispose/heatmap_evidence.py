"""What a joint's own heat map shows around the place where the joint is supposed to be."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

SHARPNESS = 8.0
"""How much likelier a step towards a peak of height 1 is than one towards nothing, as a logit, before training."""
CREDIT = 4.0
"""What a peak of height 1 adds to the logit of a view's weight before training."""


class HeatmapEvidence(nn.Module):
    """Square windows of the joint's heat map: a feature for the network, and a step towards the peak.

    Two or more windows of different spacing see both the exact place of a near peak and the direction of a far one.
    The step is the mean of the window's points under a soft-max of their height and of a preference that the joint's
    state predicts; how far each window is followed, the state decides as well.

    Args:
        chans: width of the state.
        spacings: of each window, in pixels of the heat map.
        size: points of a window's side, odd.
    """

    grid: Tensor
    line: Tensor

    def __init__(self, chans: int, *, spacings: tuple[float, ...], size: int) -> None:
        super().__init__()
        side = torch.arange(size) - (size - 1) / 2
        square = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1).flatten(0, 1)
        self.register_buffer("grid", torch.stack([spacing * square for spacing in spacings]), persistent=False)
        self.register_buffer("line", torch.stack([spacing * side for spacing in spacings]), persistent=False)
        points = size * size
        self.windows = len(spacings)
        self.embed = nn.Linear(self.windows * (points + 1), chans)
        self.prefer = nn.Linear(chans, self.windows * points)
        self.follow = nn.Linear(chans, self.windows + 1)
        self.sharpness = nn.Parameter(torch.full((self.windows,), SHARPNESS))
        self.credit = nn.Parameter(torch.tensor(CREDIT))
        for linear in (self.prefer, self.follow):
            nn.init.normal_(linear.weight, std=1e-3)
            nn.init.zeros_(linear.bias)
        # A peak far from the middle is likelier someone else's.
        near = -0.5 * (square.norm(dim=-1) / (size / 2)).square()
        with torch.no_grad():
            self.prefer.bias.copy_(near.repeat(self.windows))

    def read(
        self,
        heatmaps: Float[Tensor, "maps joints height width"],
        map_of: Int[Tensor, "persons views"],
        reference: Float[Tensor, "persons views joints 2"],
    ) -> Float[Tensor, "persons views joints windows points"]:
        """Heights in every joint's windows around a fraction of the image, bilinear, 0 outside the map."""
        joints, height, width = heatmaps.shape[1:]
        size = reference.new_tensor([width, height])
        # Single precision is a hundred-thousandth of a pixel here, and half the work.
        middle = torch.nan_to_num(reference * size - 0.5).float()
        xy = middle[..., None, None, :] + self.line[..., None]
        low = xy.detach().clamp(xy.new_full((2,), -2.0), size.float() + 1).floor()
        above = (xy - low).clamp(0, 1)
        corner = low.long()[..., None, :] + torch.tensor([0, 1], device=xy.device)[:, None]
        inside = (corner >= 0) & (corner < size.long())
        share = (torch.stack([1 - above, above], -2) * inside).to(heatmaps.dtype).flatten(-3, -2)
        column, row = corner.clamp(min=0).minimum(size.long() - 1).flatten(-3, -2).unbind(-1)
        joint = torch.arange(joints, device=map_of.device)
        base = ((map_of[..., None] * joints + joint) * height)[..., None, None]
        place = ((base + row) * width)[..., :, None] + column[..., None, :]
        read = heatmaps.reshape(-1)[place]
        across = (read * share[..., None, :, 0]).unflatten(-1, (-1, 2)).sum(-1)
        return (across * share[..., 1, None]).unflatten(-2, (-1, 2)).sum(-2).flatten(-2)

    def feature(
        self, heights: Float[Tensor, "persons views joints windows points"]
    ) -> Float[Tensor, "persons views joints chans"]:
        """An embedding of what the windows show, their highest points beside the rest."""
        return self.embed(torch.cat([heights.flatten(-2), heights.amax(-1)], -1))

    def step(
        self,
        heights: Float[Tensor, "persons views joints windows points"],
        state: Float[Tensor, "persons views joints chans"],
    ) -> tuple[Float[Tensor, "persons views joints 2"], Float[Tensor, "persons views joints"]]:
        """The step in pixels of the heat map, and what the height found there adds to the view's trust."""
        preference = self.prefer(state).unflatten(-1, heights.shape[-2:])
        share = (self.sharpness[:, None] * heights + preference).softmax(-1)
        steps = torch.einsum("pvjwk,wkc->pvjwc", share, self.grid.to(share.dtype))
        follow = self.follow(state).softmax(-1)[..., : self.windows]
        height = (follow * (share * heights).sum(-1)).sum(-1)
        return (follow[..., None] * steps).sum(-2), self.credit * height
