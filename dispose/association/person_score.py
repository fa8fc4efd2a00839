"""How probable it is that a person is right: that their joints lie within 150 mm of the truth in the mean."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.association.claims import misfit_of
from dispose.association.packing import GroupKeypoints
from dispose.errors import ShapeError
from dispose.geometry.uncertainty import expected_error
from dispose.scene.frame import Poses
from dispose.tensors import ABSENT


@dataclass(frozen=True)
class ScoreModel:
    """Log odds that a person is right: a sum over `person_cues`. What made the numbers: ``python tools/fit_claims.py``.

    Attributes:
        constant: of everybody.
        error: logarithm of the mean expected error of the known joints, in units of 50 mm.
        unknown: share of the joints that are not known.
        evidence: logarithm of the sum of the scores of all keypoints.
        doubt: 1 minus their mean score.
        members: 1 over the number of views in which the person is seen.
        contradicting: share of the keypoints that contradict.
        worst_member: that share in the view where it is greatest.
    """

    constant: float
    error: float
    unknown: float
    evidence: float
    doubt: float
    members: float
    contradicting: float
    worst_member: float

    def weigh(self, cues: Float[Tensor, "*batch cues"]) -> Float[Tensor, "*batch"]:
        """The sum over the cues."""
        return cues @ cues.new_tensor([vars(self)[one.name] for one in fields(self)])


SCORE = ScoreModel(
    constant=1.855,
    error=-3.068,
    unknown=-0.147,
    evidence=0.869,
    doubt=1.262,
    members=-2.191,
    contradicting=-3.939,
    worst_member=-0.339,
)


def person_cues(evidence: GroupKeypoints, poses: Poses) -> Float[Tensor, "persons cues"]:
    """What speaks for and against persons, in the order of the fields of `ScoreModel`; poses have covariances."""
    if poses.covariance is None:
        raise ShapeError("persons are scored by how uncertain their joints are, and these skeletons do not say it")
    misfit, known = misfit_of(evidence, poses), poses.valid.double()
    agree, sees = (misfit <= 1).double(), (~misfit.isnan()).double()
    error = torch.where(poses.valid, expected_error(poses.covariance), 0.0).sum(1) / known.sum(1).clamp(min=1)
    total = evidence.confidence.sum((1, 2))
    of_view = torch.where(sees.sum(1) > 0, 1 - agree.sum(1) / sees.sum(1).clamp(min=1), 0.0)
    cues = (
        torch.ones_like(total),
        (error / 50).clamp(min=0.02).log(),
        1 - known.mean(1),
        total.clamp(min=0.1).log(),
        1 - total / evidence.seen.sum((1, 2)).clamp(min=1),
        1 / (evidence.member != ABSENT).sum(1).clamp(min=1),
        1 - agree.sum((1, 2)) / sees.sum((1, 2)).clamp(min=1),
        of_view.amax(1),
    )
    return torch.stack(cues, dim=-1)


def score_persons(evidence: GroupKeypoints, poses: Poses, model: ScoreModel = SCORE) -> Poses:
    """The same skeletons with scores; 0 for a person without a known joint."""
    score = torch.sigmoid(model.weigh(person_cues(evidence, poses)))
    return replace(poses, score=torch.where(poses.valid.any(1), score, 0.0))
