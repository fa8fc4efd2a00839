"""Where along its rays a detected body stands, from one view: the depth cue of people of human size.

Two detections that share no joint still speak about one body: the size of what is seen tells how far away it is,
and the pose tells where the unseen joints would be. The network answers with a normal distribution per joint, so
that fragments can be compared with the same chi-square as complete skeletons (`dispose.association.evidence`).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.association.evidence import Placement
from dispose.association.viewpoint import Viewpoints
from dispose.nn.blocks import ResidualMLP


@dataclass(frozen=True)
class PlacementConfig:
    """Size of the network; the joints are those of the association skeleton."""

    joints: int = 17
    chans: int = 160
    blocks: int = 3


class PlacementNet(nn.Module):
    """Pose seen from its viewpoint to depth, joint offsets and their uncertainties.

    The reference point is the mean of the visible joints. Outputs: its depth times the angular size (a length
    in mm that depends on the pose only), every joint's offset from it in the viewpoint's axes, and scales.
    """

    def __init__(self, config: PlacementConfig) -> None:
        super().__init__()
        self.config = config
        self.inward = nn.Linear(5 * config.joints + 5, config.chans)
        self.blocks = nn.Sequential(*(ResidualMLP(config.chans) for _ in range(config.blocks)))
        self.norm = nn.LayerNorm(config.chans)
        self.outward = nn.Linear(config.chans, 2 + 5 * config.joints)
        nn.init.normal_(self.outward.weight, std=1e-3)
        nn.init.zeros_(self.outward.bias)

    def forward(self, seen: Viewpoints) -> Placement:
        """A placement of every detection, in float32 arithmetic."""
        x = self.outward(self.norm(self.blocks(self.inward(placement_features(seen)))))
        joints = self.config.joints
        log_depth = 5.8 + x[:, 0] - seen.size.float().log()
        return Placement(
            log_depth=log_depth,
            log_depth_sigma=(x[:, 1] - 1.5).clamp(-4.5, 2.0).exp(),
            offset=300 * x[:, 2 : 2 + 3 * joints].view(-1, joints, 3),
            offset_sigma=150 * x[:, 2 + 3 * joints : 2 + 4 * joints].clamp(-3.5, 2.5).exp(),
            image_sigma=0.05 * x[:, 2 + 4 * joints :].clamp(-3.5, 3.5).exp() * seen.size.float()[:, None],
        )


def placement_features(seen: Viewpoints) -> Float[Tensor, "detections features"]:
    """Network input: joints in units of the body's own size, what is visible, scores, elevation, angular size."""
    visible = seen.visible.float()
    count = visible.sum(1, keepdim=True)
    return torch.cat(
        [
            seen.xy.float().clamp(-6, 6).flatten(1),
            visible,
            seen.confidence.float(),
            (seen.confidence.float() > 0.5).float() * visible,
            seen.axes[:, 2:, 2].float(),
            seen.size.float().log()[:, None] + 2.0,
            count / visible.shape[1],
            seen.score.float()[:, None],
            (seen.pixel / seen.size).float().clamp(max=1.0)[:, None] * 10,
        ],
        dim=1,
    )
