"""From what cameras could see to what a detector says: noise, gaps, fragments, thefts and inventions."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.tensors import ABSENT, TensorStruct
from dispose_synthetic.detectors.errors import (
    DraftDetections,
    false_people,
    noisy_points,
    reported_joints,
    scores_of,
    steal_and_snap,
    swap_sides,
    tear_or_repeat,
)
from dispose_synthetic.detectors.parameters import DetectorModel
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import RigBatch
from dispose_synthetic.visibility import Sight


@dataclass(frozen=True, eq=False)
class Detected(TensorStruct):
    """Padded detections of many frames and who they are.

    Attributes:
        xy_image: keypoints in pixels; 0 where not visible.
        confidence: keypoint scores; 0 where not visible.
        visible: which keypoints are reported.
        valid: which slots hold a detection.
        identity: the person of every slot; `ABSENT` for false people, second pieces and empty slots.
    """

    xy_image: Float[Tensor, "frames views slots joints 2"]
    confidence: Float[Tensor, "frames views slots joints"]
    visible: Bool[Tensor, "frames views slots joints"]
    valid: Bool[Tensor, "frames views slots"]
    identity: Int[Tensor, "frames views slots"]


def detect(
    source: Noise,
    sight: Sight,
    rigs: RigBatch,
    ghosts: Float[Tensor, "frames views ghosts joints 3"],
    model: DetectorModel,
) -> Detected:
    """Run the detection model on what the true cameras see.

    The largest detection of a person in a view carries the person's number; a second piece or a repetition
    carries `ABSENT`, and so does a detection most of whose joints were taken from somebody else.

    Args:
        sight: exact projections and who hides what.
        rigs: the true rigs.
        ghosts: body shapes (mm, upright, facing anywhere) from which false people are made; their number
            bounds the false people per view.
        model: one detector per frame.
    """
    visible = reported_joints(source, sight, model)
    xy, error_mm = noisy_points(source, sight, rigs, model)
    people = DraftDetections(xy, visible, error_mm, _own(sight))
    people = swap_sides(source, steal_and_snap(source, people, sight, model), model)
    main, second = tear_or_repeat(source, people, sight, model)
    invented = false_people(source, ghosts, sight, rigs, model)
    return _pack(source, sight, model, (main, second, invented))


def _own(sight: Sight) -> Int[Tensor, "frames views persons joints"]:
    """Every joint belongs at first to its own person."""
    persons = sight.depth.shape[2]
    return torch.arange(persons)[:, None].expand(sight.depth.shape).clone()


def _identities(main: DraftDetections, valid: Tensor) -> Tensor:
    """The person of every main detection: itself where at least half of its joints are its own."""
    persons = torch.arange(main.owner.shape[2])
    own = ((main.owner == persons[:, None]) & main.visible).sum(-1)
    keeps = valid & (2 * own >= main.visible.sum(-1))
    return torch.where(keeps, persons, ABSENT)


def _pack(
    source: Noise, sight: Sight, model: DetectorModel, parts: tuple[DraftDetections, DraftDetections, DraftDetections]
) -> Detected:
    """Put all pieces in one list per view, in random order, without the pieces that are too small."""
    fewest = model.fewest_joints.round()[:, None, None]
    valid = [(part.visible.sum(-1) >= fewest) & part.visible.any(-1) for part in parts]
    nobody = [torch.full_like(v, ABSENT, dtype=torch.long) for v in valid[1:]]
    identity = torch.cat([_identities(parts[0], valid[0]), *nobody], dim=2)
    xy = torch.cat([part.xy for part in parts], dim=2)
    visible = torch.cat([part.visible for part in parts], dim=2) & torch.cat(valid, dim=2)[..., None]
    confidence = torch.cat([scores_of(source, part, sight, model) for part in parts], dim=2)
    filled = torch.cat(valid, dim=2)
    order = (torch.rand(filled.shape, generator=source.generator) + 2.0 * ~filled).argsort(-1)
    slots = int(filled.sum(-1).max()) if filled.numel() else 0
    order = order[..., :slots]
    wide = order[..., None].expand(*order.shape, visible.shape[-1])
    visible = visible.gather(2, wide)
    xy = xy.gather(2, wide[..., None].expand(*wide.shape, 2)) * visible[..., None]
    return Detected(
        xy, confidence.gather(2, wide) * visible, visible, filled.gather(2, order), identity.gather(2, order)
    )
