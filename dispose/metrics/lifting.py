"""Errors of poses told by one camera, and whether several answers are spread as the truth is: each figure once, mm.

Poses are compared as they are given: put the roots together first (`about_root`). Joints that are not `known` do not
count, whatever finite number stands there. Hypotheses are the samples of one answer; the third axis from the end.
Where a published protocol leaves joints out (`NOT_IN_PCK`, `NOT_IN_CPS`), `known` says so (`without_joints`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor

from dispose.geometry.rigid import umeyama
from dispose.metrics.pose import mpjpe
from dispose.tensors import TensorStruct

PCK_MM = 150.0
AUC_MM = tuple(5.0 * step for step in range(31))
CPS_MM = tuple(float(step) for step in range(1, 301))
LEVELS = tuple(0.05 * step for step in range(1, 20))
NOT_IN_PCK = ("mid_hip", "spine", "nose")
NOT_IN_CPS = ("spine",)
"""What Holmquist and Wandt leave out (holmquist2023diffpose): 14 joints of Human3.6M's 17, and 16."""

SIDED_BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
CHEST = ("neck", "thorax")
BLOCK = 64
"""Persons whose hypotheses are compared with each other at a time: 200 x 200 distances a joint."""


def about_root(xyz: Float[Tensor, "*batch joints 3"], roots: Sequence[int]) -> Float[Tensor, "*batch joints 3"]:
    """Joints relative to the mean of some of them (`Skeleton.root_of`)."""
    return xyz - xyz[..., list(roots), :].mean(-2, keepdim=True)


def without_joints(
    known: Bool[Tensor, "*batch joints"], joints: Sequence[str], left_out: Sequence[str]
) -> Bool[Tensor, "*batch joints"]:
    """`known` but for some joints by name; names that there are not are none."""
    return known & torch.tensor([joint not in left_out for joint in joints], device=known.device)


def frame_average(errors: Float[Tensor, " frames"]) -> Float[Tensor, ""]:
    """Mean over the frames that have an error; NaN of none."""
    return errors.nanmean()


def action_average(errors: Float[Tensor, " frames"], actions: Sequence[str]) -> Float[Tensor, ""]:
    """Mean over the actions of each one's mean over its frames: what papers on Human3.6M print.

    It differs from `frame_average` by up to a millimetre, since actions are not equally long.
    """
    each = [errors[torch.tensor([a == action for a in actions])].nanmean() for action in sorted(set(actions))]
    return torch.stack(each).nanmean()


def least_squares_scale(
    predicted: Float[Tensor, "*batch joints 3"], truth: Float[Tensor, "*batch joints 3"]
) -> Float[Tensor, "*batch"]:
    """The scale of the prediction that brings it nearest to the truth, ``<p, g> / <p, p>`` (pavllo2019videopose3d)."""
    return (predicted * truth).sum((-1, -2)) / (predicted**2).sum((-1, -2))


def scaled_mpjpe(
    predicted: Float[Tensor, "*batch joints 3"],
    truth: Float[Tensor, "*batch joints 3"],
    known: Bool[Tensor, "*batch joints"],
) -> Float[Tensor, "*batch"]:
    """MPJPE after the prediction took the truth's size about the root, which is the origin of both."""
    counted = known[..., None]
    factor = least_squares_scale(torch.where(counted, predicted, 0.0), torch.where(counted, truth, 0.0))
    return mpjpe(factor[..., None, None] * predicted, truth, known)


def aligned(
    predicted: Float[Tensor, "*batch joints 3"],
    truth: Float[Tensor, "*batch joints 3"],
    known: Bool[Tensor, "*batch joints"],
) -> Float[Tensor, "*batch joints 3"]:
    """The prediction after the best similarity onto the truth: what stands before the letters PA."""
    return umeyama(predicted, truth, known.to(predicted.dtype)).apply(predicted)


def pck(
    predicted: Float[Tensor, "*batch joints 3"],
    truth: Float[Tensor, "*batch joints 3"],
    known: Bool[Tensor, "*batch joints"],
    thresholds: Sequence[float] = (PCK_MM,),
) -> Float[Tensor, "*batch"]:
    """Share of the known joints that lie within a distance of the truth; the mean over several distances.

    With `AUC_MM` that mean is the AUC. NaN where no joint is known.
    """
    errors = torch.linalg.vector_norm(predicted - truth, dim=-1, keepdim=True)
    within = (errors <= errors.new_tensor(thresholds)).to(errors.dtype).mean(-1)
    return torch.where(known, within, 0.0).sum(-1) / known.sum(-1)


def worst_joint(
    predicted: Float[Tensor, "*batch joints 3"],
    truth: Float[Tensor, "*batch joints 3"],
    known: Bool[Tensor, "*batch joints"],
) -> Float[Tensor, "*batch"]:
    """Distance of the joint that is farthest off; minus infinity where none is known."""
    errors = torch.linalg.vector_norm(predicted - truth, dim=-1)
    return torch.where(known, errors, -torch.inf).amax(-1)


def correct_poses_score(worst: Float[Tensor, " poses"]) -> Float[Tensor, ""]:
    """Area under the share of correct poses over the threshold, 1 to 300 mm; 299 at most (wehrbein2021probabilistic).

    A pose is correct whose `worst_joint`, after `aligned`, is nearer than the threshold. Of several hypotheses the one
    with the least worst joint is the best at every threshold.
    """
    correct = (worst[:, None] < worst.new_tensor(CPS_MM)).to(worst.dtype).mean(0)
    return torch.trapezoid(correct)


@dataclass(frozen=True, eq=False)
class OfHypotheses(TensorStruct):
    """One figure over the hypotheses of an answer: the smallest, the mean, the median and the largest."""

    best: Float[Tensor, "*batch"]
    mean: Float[Tensor, "*batch"]
    median: Float[Tensor, "*batch"]
    worst: Float[Tensor, "*batch"]


def over_hypotheses(errors: Float[Tensor, "*batch hypotheses"]) -> OfHypotheses:
    """Summary of errors, each by itself: the best under one alignment need not be the best under another."""
    median = _quantile(errors.movedim(-1, 0).sort(0).values, 0.5)
    return OfHypotheses(errors.amin(-1), errors.mean(-1), median, errors.amax(-1))


def symmetry_error(
    xyz: Float[Tensor, "*batch joints 3"], known: Bool[Tensor, "*batch joints"], joints: Sequence[str]
) -> Float[Tensor, "*batch"]:
    """Mean difference of the lengths of left and right bones, mm, over those whose joints are all known; else NaN.

    Thighs, shanks, upper arms and forearms; collarbones where the skeleton has a neck or thorax.
    """
    pairs = [[f"{side}_{end}" for side in "lr" for end in bone] for bone in SIDED_BONES]
    pairs += [[chest, "l_shoulder", chest, "r_shoulder"] for chest in CHEST if chest in joints]
    rows = torch.tensor([[list(joints).index(name) for name in four] for four in pairs], device=xyz.device)
    ends, there = xyz[..., rows, :], known[..., rows].all(-1)
    left = torch.linalg.vector_norm(ends[..., 1, :] - ends[..., 0, :], dim=-1)
    right = torch.linalg.vector_norm(ends[..., 3, :] - ends[..., 2, :], dim=-1)
    return torch.where(there, (left - right).abs(), 0.0).sum(-1) / there.sum(-1)


def velocity_error(
    predicted: Float[Tensor, "frames joints 3"],
    truth: Float[Tensor, "frames joints 3"],
    known: Bool[Tensor, "frames joints"],
    clip: Int[Tensor, " frames"],
) -> Float[Tensor, ""]:
    """Mean length of the difference of two velocities, mm per frame, within clips only; NaN where there is none.

    Rows of one clip that follow each other are consecutive frames.
    """
    off = predicted - truth
    same = (clip[1:] == clip[:-1])[:, None] & known[1:] & known[:-1]
    return torch.linalg.vector_norm(off[1:] - off[:-1], dim=-1)[same].mean()


def radial_quantile(
    hypotheses: Float[Tensor, "*batch hypotheses joints 3"], truth: Float[Tensor, "*batch joints 3"]
) -> Float[Tensor, "*batch joints"]:
    """Share of the hypotheses that lie nearer to their median (axis by axis) than the truth does.

    Even between 0 and 1 where the hypotheses are spread as the truth is; near 1 where they are too sure.
    """
    median = _quantile(hypotheses.movedim(-3, 0).sort(0).values, 0.5)[..., None, :, :]
    own = torch.linalg.vector_norm(hypotheses - median, dim=-1)
    of_truth = torch.linalg.vector_norm(truth[..., None, :, :] - median, dim=-1)
    return (own < of_truth).to(truth.dtype).mean(-2)


def expected_calibration_error(quantile: Float[Tensor, " samples"]) -> Float[Tensor, ""]:
    """Mean distance of ``share of samples at most p`` from p over p = 0.05, 0.10 .. 0.95, of `radial_quantile`."""
    levels = quantile.new_tensor(LEVELS)
    # Shares of n hypotheses may lie a rounding above a level that they equal.
    reached = (quantile[:, None] <= levels + 1e-6).to(quantile.dtype).mean(0)
    return (reached - levels).abs().mean()


def within_interval(
    hypotheses: Float[Tensor, "*batch hypotheses joints 3"], truth: Float[Tensor, "*batch joints 3"], share: float
) -> Bool[Tensor, "*batch joints 3"]:
    """Whether the truth lies, axis by axis, in the central interval of the hypotheses that should hold it with `share`.

    The ends are the quantiles at place ``p (n + 1)`` of n hypotheses in order: these hold one more draw of the same
    kind with just that probability, however few they are (down to n = (1 + share) / (1 - share)).
    """
    ordered = hypotheses.movedim(-3, 0).sort(0).values
    low, high = (_quantile(ordered, p) for p in ((1 - share) / 2, (1 + share) / 2))
    return (low <= truth) & (truth <= high)


@dataclass(frozen=True, eq=False)
class Calibration(TensorStruct):
    """How far the spread of hypotheses is that of the truth; shares between 0 and 1, NaN for a joint never known.

    Attributes:
        error: `expected_calibration_error` of all known joints together.
        radial: share of truths that no more than 50 % and 90 % of the hypotheses are nearer to the median than.
        axes: share of truths `within_interval` of 50 % and of 90 %, per joint and axis.
    """

    error: Float[Tensor, ""]
    radial: Float[Tensor, "2 joints"]
    axes: Float[Tensor, "2 joints 3"]


def calibration(
    hypotheses: Float[Tensor, "persons hypotheses joints 3"],
    truth: Float[Tensor, "persons joints 3"],
    known: Bool[Tensor, "persons joints"],
) -> Calibration:
    """Calibration of several people's hypotheses, which best of N alone would not punish for being too spread."""
    quantile = radial_quantile(hypotheses, truth)
    counted = known.to(truth.dtype)

    def share(holds: Tensor, weight: Tensor) -> Tensor:
        return (holds.to(weight.dtype) * weight).sum(0) / weight.sum(0)

    radial = [share(quantile <= level + 1e-6, counted) for level in (0.5, 0.9)]
    axes = [share(within_interval(hypotheses, truth, level), counted[..., None]) for level in (0.5, 0.9)]
    return Calibration(expected_calibration_error(quantile[known]), torch.stack(radial), torch.stack(axes))


def energy_score(
    hypotheses: Float[Tensor, "persons hypotheses joints 3"], truth: Float[Tensor, "persons joints 3"]
) -> Float[Tensor, "persons joints"]:
    """``mean |h_i - y| - 1 / (2 n (n - 1)) Σ_ij |h_i - h_j|`` of every joint, mm: the fair estimator (ferro2014fair).

    Smallest, in the mean, for hypotheses drawn as the truth is; it does not depend on their number. A single one is an
    answer without doubt, and scores its distance from the truth.
    """
    near = torch.linalg.vector_norm(hypotheses - truth[:, None], dim=-1).mean(1)
    count = hypotheses.shape[1]
    if count == 1:
        return near
    clouds = hypotheses.transpose(1, 2).split(BLOCK)
    # The quick formula by products loses half the digits of small distances.
    exact = "donot_use_mm_for_euclid_dist"
    sums = [torch.cdist(some, some, compute_mode=exact).sum((-1, -2)) for some in clouds]
    return near - torch.cat(sums) / (2 * count * (count - 1))


def rank_correlation(one: Float[Tensor, " samples"], other: Float[Tensor, " samples"]) -> Float[Tensor, ""]:
    """Spearman's correlation of two figures, equal values sharing their mean rank; 0 where one never changes."""
    ranks = torch.from_numpy(rankdata(torch.stack([one, other]).cpu().numpy(), axis=-1)).to(one.device)
    about = ranks - ranks.mean(-1, keepdim=True)
    scale = about.norm(dim=-1).prod()
    return torch.where(scale > 0, (about[0] * about[1]).sum() / torch.where(scale > 0, scale, 1.0), 0.0)


def spread_and_error(
    hypotheses: Float[Tensor, "persons hypotheses joints 3"], truth: Float[Tensor, "persons joints 3"]
) -> tuple[Float[Tensor, "persons joints"], Float[Tensor, "persons joints"]]:
    """How far hypotheses lie from their mean (root mean square), and how far the mean lies from the truth, mm."""
    mean = hypotheses.mean(1)
    spread = (hypotheses - mean[:, None]).square().sum(-1).mean(1).sqrt()
    return spread, torch.linalg.vector_norm(mean - truth, dim=-1)


def spread_error_correlation(
    hypotheses: Float[Tensor, "persons hypotheses joints 3"],
    truth: Float[Tensor, "persons joints 3"],
    known: Bool[Tensor, "persons joints"],
) -> Float[Tensor, " joints"]:
    """Of every joint over the people, the rank correlation of its spread with the error of the hypotheses' mean.

    Joint by joint, because wrists are both less sure and less right than hips in any answer.
    """
    spread, error = spread_and_error(hypotheses, truth)
    each = [rank_correlation(spread[rows, joint], error[rows, joint]) for joint, rows in enumerate(known.unbind(1))]
    return torch.stack(each)


def residual_bootstrap(
    answer: Float[Tensor, "persons joints 3"],
    residuals: Float[Tensor, "samples joints 3"],
    count: int,
    generator: torch.Generator,
) -> Float[Tensor, "persons hypotheses joints 3"]:
    """Control: a single answer plus whole residual poses (truth - answer, of people held out), drawn blindly.

    It is nearly calibrated and its best of many is good, without knowing anything about the person at hand.
    """
    drawn = torch.randint(len(residuals), (len(answer), count), generator=generator, device=generator.device)
    return answer[:, None] + residuals[drawn.to(residuals.device)]


def known_lengths(
    answer: Float[Tensor, "persons joints 3"],
    truth: Float[Tensor, "persons joints 3"],
    count: int,
    generator: torch.Generator,
) -> Float[Tensor, "persons hypotheses joints 3"]:
    """Bound: a single answer plus errors exactly as long as its own, joint by joint, in every direction alike.

    No method knows as much of how far an answer is off. What this does not win by, widths cannot bring; who also knows
    in which direction may do better.
    """
    shape = (len(answer), count, *answer.shape[1:])
    direction = torch.randn(shape, generator=generator, device=generator.device, dtype=answer.dtype).to(answer.device)
    direction = direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    length = torch.linalg.vector_norm(truth - answer, dim=-1)
    return answer[:, None] + length[:, None, :, None] * direction


def independent_noise(
    answer: Float[Tensor, "persons joints 3"],
    deviation: Float[Tensor, "#persons joints 3"],
    count: int,
    generator: torch.Generator,
) -> Float[Tensor, "persons hypotheses joints 3"]:
    """Control: a single answer plus Gaussian noise of a standard deviation, every coordinate by itself."""
    shape = (len(answer), count, *answer.shape[1:])
    noise = torch.randn(shape, generator=generator, device=generator.device, dtype=answer.dtype)
    return answer[:, None] + deviation[:, None] * noise.to(answer.device)


def _quantile(ordered: Float[Tensor, "hypotheses *batch"], p: float) -> Float[Tensor, "*batch"]:
    """What lies at place ``p (n + 1)`` of n values in ascending order (`torch.quantile` takes 16 million at most)."""
    place = min(max(p * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    return torch.lerp(ordered[int(place)], ordered[min(int(place) + 1, len(ordered) - 1)], place - int(place))
