"""What figures mean when nothing is known."""

import torch

from dispose.scene.frame import Frame
from dispose.scene.results import Association
from dispose.tensors import ABSENT


def random_grouping(frame: Frame, generator: torch.Generator) -> Association:
    """As many groups as the fullest view has detections; every view deals its own to them at random."""
    valid = frame.detections.valid
    views = valid.shape[0]
    groups = int(valid.sum(-1).max()) if valid.numel() else 0
    members = torch.full((groups, views), ABSENT, device=valid.device)
    for view in range(views):
        slots = valid[view].nonzero()[:, 0]
        members[torch.randperm(groups, generator=generator)[: len(slots)].to(valid.device), view] = slots
    members = members[(members != ABSENT).sum(-1) >= 2]
    return Association(members, torch.full((len(members),), 0.5, dtype=torch.float64, device=valid.device))
