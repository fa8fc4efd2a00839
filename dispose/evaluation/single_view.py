"""People whom all cameras but one lose: who finds them, how far off, and what it costs everybody else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.scene.convert import convert_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.results import Associate, Prediction, Reconstruct

FEWEST_KEPT = 10
"""Keypoints that the one view must have which is left to somebody."""

FOUND_MM = 500.0


@dataclass(frozen=True, eq=False)
class Hidden:
    """A frame in which one person is left to one view, and who that is."""

    frame: Frame
    labels: Labels
    person: int


def hide_people(frames: Sequence[tuple[Frame, Labels]]) -> list[Hidden]:
    """Of every frame a person in turn, whom several views see, left to the one view that has most keypoints of them.

    Frames in which nobody can be left so are left out.
    """
    found = []
    for turn, (frame, labels) in enumerate(frames):
        seen = frame.detections.visible.sum(-1) * frame.detections.valid
        people = [int(one) for one in labels.poses.id if int(((labels.identity == one) & (seen > 0)).any(1).sum()) > 1]
        people = [one for one in people if int((seen * (labels.identity == one)).max()) >= FEWEST_KEPT]
        if people:
            person = people[turn % len(people)]
            mine = labels.identity == person
            kept = (seen * mine).flatten().argmax()
            gone = mine.clone()
            gone.view(-1)[kept] = False
            detections = replace(frame.detections, valid=frame.detections.valid & ~gone)
            found.append(Hidden(replace(frame, detections=detections), labels, person))
    return found


@dataclass(frozen=True)
class HiddenFigures:
    """What became of people left to one view.

    Attributes:
        persons: how many.
        found: share of them with a pose within 500 mm in the mean of the joints.
        within_150: the same, within 150 mm.
        error_mm: mean error of those found, in the room; NaN of none.
        pose_mm: the same after the mean of the joints was put on the true one.
        covered: share of the joints of those found that lie within the 90 % ellipsoid of their covariance.
        others: share of the other labelled people with a pose within 500 mm.
        extra: people per frame that are nobody labelled, found or not.
    """

    persons: int
    found: float
    within_150: float
    error_mm: float
    pose_mm: float
    covered: float
    others: float
    extra: float


CHI_90 = 6.251
"""90 % of a Gaussian in space lie within this squared radius (chi-square, three degrees of freedom)."""


def distances(
    poses: Poses, truth: Poses
) -> tuple[Float[Tensor, "persons truths joints"], Bool[Tensor, "persons truths joints"]]:
    """Between joints of the same name, mm, and which are known of both."""
    common = [joint for joint in truth.skeleton.joints if joint in poses.skeleton.joints]
    ours, theirs = poses.skeleton.indices(tuple(common)), truth.skeleton.indices(tuple(common))
    off = poses.xyz_world[:, None, ours].double() - truth.xyz_world[None, :, theirs].double()
    return off.norm(dim=-1), poses.valid[:, None, ours] & truth.valid[None, :, theirs]


def mean_known(values: Float[Tensor, "*some joints"], known: Bool[Tensor, "*some joints"]) -> Float[Tensor, "*some"]:
    """Mean over the joints that are known; infinite where fewer than three are."""
    count = known.sum(-1)
    return torch.where(count >= 3, (values * known).sum(-1) / count.clamp(min=1), torch.inf)


def score_hidden(cases: Sequence[Hidden], predictions: Sequence[Prediction]) -> HiddenFigures:
    """The figures of predictions for these frames."""
    rows, others, extra = [], [], 0
    for case, prediction in zip(cases, predictions, strict=True):
        truth, poses = convert_poses(case.labels.poses, prediction.poses.skeleton), prediction.poses
        off, known = distances(poses, truth)
        mean = mean_known(off, known)
        hidden = int((truth.id == case.person).nonzero()[0, 0])
        rest = [row for row in range(len(truth.id)) if row != hidden and bool(truth.valid[row].any())]
        nearest = mean.amin(0) if len(poses.id) else mean.new_full((len(truth.id),), torch.inf)
        others += [float(nearest[row]) for row in rest]
        extra += int((mean.amin(1) > FOUND_MM).sum()) if len(truth.id) else len(poses.id)
        rows.append(_of_hidden(poses, truth, hidden, mean, known))
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 3)
    there = table[:, 0] <= FOUND_MM
    return HiddenFigures(
        len(cases),
        float(there.double().mean()),
        float((table[:, 0] <= 150).double().mean()),
        float(table[there, 0].mean()),
        float(table[there, 1].mean()),
        float(table[there, 2].nanmean()),
        float((torch.tensor(others) <= FOUND_MM).double().mean()),
        extra / max(len(cases), 1),
    )


def _of_hidden(poses: Poses, truth: Poses, hidden: int, mean: Tensor, known: Tensor) -> tuple[float, float, float]:
    """Error, error of the pose, and share of joints covered, of whoever is nearest to the hidden person."""
    if not len(poses.id):
        return float("inf"), float("nan"), float("nan")
    who = int(mean[:, hidden].argmin())
    both = known[who, hidden]
    off = (poses.xyz_world[who].double() - truth.xyz_world[hidden].double())[both]
    if len(off) < 3:
        return float("inf"), float("nan"), float("nan")
    turned = (off - off.mean(0)).norm(dim=-1).mean()
    if poses.covariance is None:
        return float(mean[who, hidden]), float(turned), float("nan")
    inverse = torch.linalg.inv(poses.covariance[who, both].double() + torch.eye(3, dtype=torch.float64))
    inside = ((inverse @ off[..., None])[..., 0] * off).sum(-1) <= CHI_90
    return float(mean[who, hidden]), float(turned), float(inside.double().mean())


def answer_hidden(cases: Sequence[Hidden], associate: Associate, reconstruct: Reconstruct) -> list[Prediction]:
    """What is said of these frames."""
    frames = [case.frame for case in cases]
    return list(reconstruct(frames, [one.association for one in associate(frames)]))
