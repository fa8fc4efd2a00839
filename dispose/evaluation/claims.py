"""Is what is claimed of joints and people true? Claimed against real, in groups of equally many, by number of views."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.reconstruct import RIGHT_MM
from dispose.evaluation.joints import AskedJoints, asked_joints, truths_of_groups
from dispose.evaluation.reports import Figure, Row
from dispose.geometry.uncertainty import expected_error
from dispose.metrics.pose import mpjpe
from dispose.scene.results import FrameResult
from dispose.tensors import ABSENT, TensorStruct, cat

VIEW_SPANS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10))
"""Fewest and most views of what is told together."""

BINS = 10
FEWEST = 30
"""A group of fewer joints or people than this says nothing."""


@dataclass(frozen=True, eq=False)
class AskedPeople(TensorStruct):
    """The people of groups whose person is known: how probably they are right, as they say, how far off, seen by whom.

    `score` is NaN where nothing was said; `error_mm` is the mean over the known joints, NaN without any.
    """

    score: Float[Tensor, " persons"]
    error_mm: Float[Tensor, " persons"]
    views: Float[Tensor, " persons"]


@dataclass(frozen=True, eq=False)
class Claims:
    """What was said of known people, and how it was."""

    joints: AskedJoints
    people: AskedPeople


def claims_of(results: Sequence[FrameResult], joints: Sequence[str]) -> Claims:
    """What was said of groups whose person is known, of some of their joints."""
    people = []
    for one in results:
        poses, truth = one.prediction.poses, truths_of_groups(one)
        error = mpjpe(poses.xyz_world.double(), truth.xyz_world.double(), poses.valid & truth.valid)
        said = torch.full_like(error, torch.nan) if poses.score is None else poses.score.double()
        views = (one.prediction.association.members != ABSENT).sum(1).double()
        people.append(AskedPeople(said, error, views))
    return Claims(asked_joints(results, joints), cat(people, "persons"))


def claim_rows(method: str, detections: str, frames: int, drawn: Sequence[Claims]) -> Iterator[Row]:
    """Rows of joints (mean error, mm) and of people (share that is right, percent), claimed and real.

    A row stands for one of up to `BINS` equally large groups, by what is claimed, of joints that so many views see.
    """
    joints = cat([one.joints for one in drawn], "joints")
    people = cat([one.people for one in drawn], "persons")
    claimed = expected_error(joints.covariance)
    said = joints.known & torch.isfinite(claimed)
    real = joints.offset.norm(dim=-1)
    right = (people.error_mm < RIGHT_MM).double()
    kinds = (
        ("_mm", claimed, real, joints.views, said),
        ("", 100 * people.score, 100 * right, people.views, torch.isfinite(people.score + people.error_mm)),
    )
    for unit, claim, truth, views, there in kinds:
        for low, high in VIEW_SPANS:
            for group in groups_of(claim, there & (views >= low) & (views <= high)):
                figures = (
                    Figure("views", float(low)), Figure("most_views", float(high)), Figure("count", float(len(group))),
                    Figure(f"claimed{unit}", float(claim[group].mean())),
                    Figure(f"real{unit}", float(truth[group].mean())),
                )  # fmt: skip
                yield Row(method, detections, frames, None, figures, 0.0)


def groups_of(claim: Float[Tensor, " some"], which: Bool[Tensor, " some"]) -> list[Tensor]:
    """Places of those in question, in order of their claim, in up to `BINS` groups of at least `FEWEST`."""
    places = which.nonzero()[:, 0]
    count = min(BINS, len(places) // FEWEST)
    ordered = places[claim[places].argsort(stable=True)]
    return list(ordered.tensor_split(count)) if count else []
