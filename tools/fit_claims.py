"""Fit what skeletons claim of themselves: the factors of joint covariances and the scores of persons.

``python tools/fit_claims.py`` prints the numbers that stand in `dispose.association.claims` and
`dispose.association.claims`, and how well they hold on scenes with other seeds. Four minutes.

Synthetic captures are grouped in three ways: by the truth, by the truth with a wrong member in three groups of ten (the
nearest other person of that view, or anybody), and by a classic associator. Every group is compared with the true
person nearest to it. A robust likelihood (Student's t in three dimensions) gives the factors, which are then scaled so
that ellipsoids of 50 % and of 90 % miss their share by equally much; the scores are a logistic regression.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial

import torch
from jaxtyping import Float
from scipy.stats import chi2
from torch import Tensor

from dispose.association.body_bounds import without_impossible
from dispose.association.claims import (
    Factor,
    ScoreModel,
    claim,
    fit_of,
    ideal_covariance,
    joint_cues,
    person_cues,
    weigh,
)
from dispose.association.packing import gather_groups
from dispose.association.reconstruct import triangulate_joints
from dispose.baselines.svt import svt
from dispose.geometry.uncertainty import probability_within
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association
from dispose.tensors import ABSENT
from dispose_synthetic.scenes import SceneConfig, sample_scenes

FIT_SEED, CHECK_SEED = 11, 12
FRAMES, AT_ONCE = 1280, 32
FREEDOM = 4.0
WRONG_MEMBERS = 0.3
NEIGHBOUR = 0.7
RIGHT_MM, NEAR_MM, NOBODY_MM = 150.0, 50.0, 500.0


@dataclass(frozen=True, eq=False)
class Cases:
    """Joints and persons of triangulated groups beside the truth: cues, and what came of them."""

    joint: Float[Tensor, "joints cues"]
    ideal: Float[Tensor, "joints 3 3"]
    error: Float[Tensor, "joints 3"]
    groups: Sequence[tuple]
    right: Float[Tensor, " persons"]


def wrong_members(frame: Frame, found: Association, generator: torch.Generator) -> Association:
    """Some groups get the detection of somebody else in one view, mostly the one nearest in the image."""
    members, detections = found.members.clone(), frame.detections
    for row in range(len(members)):
        if float(torch.rand((), generator=generator)) >= WRONG_MEMBERS:
            continue
        view = int(torch.randint(members.shape[1], (1,), generator=generator))
        mine = int(members[row, view])
        others = [slot for slot in detections.valid[view].nonzero()[:, 0].tolist() if slot != mine]
        if not others:
            continue
        chosen = others[int(torch.randint(len(others), (1,), generator=generator))]
        if mine != ABSENT and float(torch.rand((), generator=generator)) < NEIGHBOUR:
            gap = (detections.xy_image[view, others] - detections.xy_image[view, mine]).norm(dim=-1).median(-1).values
            chosen = others[int(gap.argmin())]
        members[row, view] = chosen
    kept = (members != ABSENT).sum(1) >= 2
    return Association(members[kept], found.confidence[kept])


def gather(seed: int, frames: int) -> Cases:
    """Groups of synthetic frames, triangulated, and their truth."""
    generator = torch.Generator().manual_seed(seed)
    scenes = sample_scenes(generator, frames, SceneConfig())
    joint, ideal, error, groups, right = [], [], [], [], []
    for start in range(0, len(scenes), AT_ONCE):
        part = scenes[start : start + AT_ONCE]
        by_truth = [association_of_identities(labels.identity) for _, labels in part]
        spoilt = [wrong_members(frame, one, generator) for (frame, _), one in zip(part, by_truth, strict=True)]
        for found in (by_truth, spoilt, [svt(frame) for frame, _ in part]):
            evidence = gather_groups([frame for frame, _ in part], found)
            poses = without_impossible(triangulate_joints(evidence))
            truth, away = nearest(poses, [labels for _, labels in part], [len(one) for one in found])
            fit, known = fit_of(evidence, poses), poses.valid & (away < NOBODY_MM)[:, None]
            covariance = ideal_covariance(fit)
            joint.append(joint_cues(fit, covariance, evidence, poses)[known])
            ideal.append(covariance[known])
            error.append((poses.xyz_world - truth)[known])
            some = poses.valid.any(1)
            groups.append((evidence, poses, some))
            right.append((away <= RIGHT_MM).double()[some])
    return Cases(torch.cat(joint), torch.cat(ideal), torch.cat(error), groups, torch.cat(right))


def nearest(poses: Poses, labels: Sequence[Labels], counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The joints of the true person nearest to every skeleton, and the mean distance, mm."""
    truth, away, first = torch.zeros_like(poses.xyz_world), torch.full(poses.id.shape, torch.inf).double(), 0
    for one, count in zip(labels, counts, strict=True):
        rows = slice(first, first + count)
        gap = pairwise_mpjpe(poses[rows], one.poses)
        if gap.numel():
            best = gap.min(1)
            truth[rows], away[rows] = one.poses.xyz_world[best.indices], best.values
        first = rows.stop
    return truth, away


def squared(cases: Cases) -> Float[Tensor, " joints"]:
    """Squared errors in units of the ideal covariance."""
    return (cases.error[:, None] @ torch.linalg.solve(cases.ideal, cases.error[..., None]))[:, 0, 0]


def minimise(loss, start: Tensor) -> Tensor:
    """Where a smooth function is least."""
    place = start.clone().requires_grad_()
    search = torch.optim.LBFGS([place], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        value = loss(place) + 1e-4 * place.square().sum()
        value.backward()
        return value

    search.step(closure)
    return place.detach()


def coverage(cases: Cases, values: Tensor, share: float) -> float:
    """How many errors lie in the ellipsoids that should hold such a share of them."""
    held = squared(cases) <= (2 * (cases.joint @ values)).exp() * float(chi2.ppf(share, 3))
    return float(held.double().mean())


def fit_factor(cases: Cases) -> Tensor:
    """The numbers of `Factor`."""
    square = squared(cases)

    def loss(values: Tensor) -> Tensor:
        log_scale = cases.joint @ values
        ratio = (square / (2 * log_scale).exp()).clamp(max=1e8)
        return (3 * log_scale + (FREEDOM + 3) / 2 * torch.log1p(ratio / FREEDOM)).mean()

    values = minimise(loss, torch.zeros(cases.joint.shape[1], dtype=torch.float64))
    low, high = 0.0, 1.0
    for _ in range(30):
        middle, tried = (low + high) / 2, values.clone()
        tried[0] += middle
        enough = coverage(cases, tried, 0.5) - 0.5 > 0.9 - coverage(cases, tried, 0.9)
        low, high = (low, middle) if enough else (middle, high)
    values[0] += high
    return values


def persons(cases: Cases, factor: Factor) -> Float[Tensor, "persons cues"]:
    """The cues of all persons with a joint."""
    return torch.cat([person_cues(e, claim(e, poses, factor))[some] for e, poses, some in cases.groups])


def fit_score(cues: Tensor, right: Tensor) -> Tensor:
    """The numbers of `ScoreModel`."""
    log_loss = partial(torch.nn.functional.binary_cross_entropy_with_logits, target=right)
    return minimise(lambda values: log_loss(cues @ values), torch.zeros(cues.shape[1], dtype=torch.float64))


def named(kind: type, values: Tensor) -> str:
    """The numbers as the source has them."""
    pairs = zip(fields(kind), values.tolist(), strict=True)
    return f"{kind.__name__}(\n" + "".join(f"    {one.name}={value:.3f},\n" for one, value in pairs) + ")"


def reliability(claimed: Tensor, came: Tensor) -> str:
    """Claimed and real share by tenths of the claim."""
    parts = []
    for low in range(0, 10, 2):
        here = (claimed >= low / 10) & (claimed < (low + 2) / 10 + 1e-9 * (low == 8))
        parts.append(f"{claimed[here].mean():.2f}/{came[here].mean():.2f} ({int(here.sum())})")
    return "  ".join(parts)


def main() -> None:
    """Fit, print, check."""
    torch.set_num_threads(1)
    cases, check = gather(FIT_SEED, FRAMES), gather(CHECK_SEED, FRAMES // 2)
    values = fit_factor(cases)
    factor = Factor(*(round(value, 3) for value in values.tolist()))
    print(named(Factor, values))
    for share in (0.5, 0.9):
        print(f"ellipsoids of {share:.0%} hold {coverage(check, values, share):.1%} of the errors")
    covariance = (2 * weigh(factor, check.joint)).exp()[:, None, None] * check.ideal
    near = (check.error.norm(dim=-1) <= NEAR_MM).double()
    print("joints within 50 mm, claimed/real:", reliability(probability_within(covariance, NEAR_MM), near))
    score = fit_score(persons(cases, factor), cases.right)
    print(named(ScoreModel, score))
    claimed = torch.sigmoid(persons(check, factor) @ score)
    print("persons within 150 mm, claimed/real:", reliability(claimed, check.right))


if __name__ == "__main__":
    main()
