"""Truth that came as a prediction of everybody with their detections: as labels of a frame."""

import torch
from jaxtyping import Int
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.frame import Frame, Labels
from dispose.scene.prediction import Association, Prediction
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


def association_of_identities(identity: Int[Tensor, "views slots"]) -> Association:
    """One group for everybody seen in at least two views."""
    rows = []
    for person in torch.unique(identity[identity != ABSENT]):
        view, slot = (identity == person).nonzero(as_tuple=True)
        if len(view) >= 2:
            members = torch.full((identity.shape[0],), ABSENT, dtype=torch.long)
            members[view] = slot
            rows.append(members)
    empty = torch.zeros(0, identity.shape[0], dtype=torch.long)
    return Association(torch.stack(rows) if rows else empty, torch.ones(len(rows), dtype=torch.float64))
