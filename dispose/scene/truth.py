"""Truth that came as a prediction of everybody with their detections: as labels of a frame."""

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.frame import Frame, Labels
from dispose.scene.prediction import Prediction
from dispose.tensors import ABSENT


def identities(frame: Frame, truth: Prediction) -> Int[Tensor, "views slots"]:
    """The true person of every detection slot; the truth's members count positions in the source files.

    Raises:
        ShapeError: frame and truth have different cameras in number.
    """
    found, members = frame.detections, truth.association.members
    if members.shape[1] != len(frame.cameras):
        raise ShapeError(f"frame {frame.number}: {len(frame.cameras)} views, {members.shape[1]} in the truth")
    identity = torch.full(found.valid.shape, ABSENT, dtype=torch.long)
    for person, sources in zip(truth.poses.id.tolist(), members, strict=True):
        mine = found.valid & (found.index == sources[:, None]) & (sources != ABSENT)[:, None]
        identity[mine] = person
    return identity


def labels_of(frame: Frame | None, truth: Prediction) -> Labels:
    """The labels of a frame; without cameras, or where the truth names no detections, of its people alone."""
    if frame is None:
        return Labels.of_detections(torch.zeros(0, 0, dtype=torch.long), truth.poses)
    if truth.association.members.shape[1] == 0:
        return Labels.of_detections(torch.full(frame.detections.valid.shape, ABSENT, dtype=torch.long), truth.poses)
    return Labels.of_detections(identities(frame, truth), truth.poses)
