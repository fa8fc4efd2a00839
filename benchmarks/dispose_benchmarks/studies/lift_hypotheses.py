"""DiffPose of Holmquist and Wandt in small: are many poses from one image spread as the truth is, and as bodies are?

People before the real cameras of Human3.6M; of every joint a belief in a crop round the person (tight where it is seen;
wide, wrong and sometimes with two modes where it is hidden), from which the network hears samples. It learns on the
cameras of five subjects and is scored on those of two others. Two controls say what spread alone would be worth:
independent noise as wide as the hypotheses, and residuals of other people added to the mean pose.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.losses.objective import total
from dispose.metrics.lifting import (
    calibration,
    independent_noise,
    over_hypotheses,
    residual_bootstrap,
    symmetry_error,
)
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.diffpose_hypotheses.network import HypothesesConfig, HypothesesNetwork
from dispose.models.diffpose_hypotheses.sampling import FULL as EVERY_STEP
from dispose.models.diffpose_hypotheses.sampling import MEAN, QUICK, Chain, Sighted, draw_poses
from dispose.nn.beliefs import Samples
from dispose.skeletons.catalog import H36M_17
from dispose.tensors import TensorStruct, stack
from dispose.training.hypotheses import noise_terms
from dispose_benchmarks.studies.promises import Promise, StudyLine
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.joint_maps import looked_at, sample_joints
from dispose_synthetic.randomness import Noise, between

HIDDEN = (0.0, 0.2, 0.4)
"""Shares of the joints that are hidden."""

SEEN_WIDTH, HIDDEN_WIDTH = (0.012, 0.03), (0.06, 0.2)
"""Deviation of a belief, in half sides of the crop; the truth is as far from its middle."""

SEEN_HEIGHT, HIDDEN_HEIGHT = (0.45, 1.0), (0.1, 0.5)
RIVAL = 0.4
"""Share of hidden joints that have a second mode."""

MARGIN, FLOOR_MM = 1.2, 1200.0
COUNTS = (1, 10, 50, 200)
WRONG_COUNT = 20


@dataclass(frozen=True)
class HypothesesPlan:
    """How much is learned and scored: optimiser steps, people of a step, noisy poses of each, and people scored."""

    steps: int = 3000
    batch: int = 256
    draws: int = 2
    rate: float = 2e-3
    average: float = 0.995
    people: int = 96
    model: HypothesesConfig = HypothesesConfig(
        seen=H36M_17.joints,
        joints=H36M_17.joints,
        samples=16,
        channels=24,
        layers=1,
        feed_forward=96,
        dropout=0.0,
        condition=384,
        width=384,
        answer="velocity",
        guess=2,
        leans=24,
        even=0.5,
    )


FULL = HypothesesPlan()
SMOKE = HypothesesPlan(steps=6, batch=8, people=12)


def _case(share: float) -> str:
    return f"hypotheses: {100 * share:.0f} % hidden"


PROMISES = tuple(
    Promise(f"{_case(share)}, {title}", _case(share), method, bound, against, least=least)
    for share in HIDDEN
    for title, method, bound, against, least, where in (
        ("best of 200 / mean of errors", "best of 200", 0.6, "mean of errors", False, HIDDEN),
        ("best of 10 / best of 1", "best of 10", 0.999, "best of 1", False, HIDDEN),
        ("best of 50 / best of 10", "best of 50", 0.999, "best of 10", False, HIDDEN),
        ("best of 200 / best of 50", "best of 200", 0.999, "best of 50", False, HIDDEN),
        ("mean pose / mean of errors", "mean pose", 0.85, "mean of errors", False, HIDDEN),
        ("error of calibration", "error of calibration", 0.08, "", False, HIDDEN),
        ("holds 90 %, at most", "share within 90 %", 0.95, "", False, HIDDEN),
        ("holds 90 %, at least", "share within 90 %", 0.80, "", True, HIDDEN),
        ("spread in depth / in the plane", "spread in depth", 1.6, "spread in the plane", True, HIDDEN),
        ("spread of hidden / seen joints in the plane", "spread of hidden", 1.1, "spread of seen", True, HIDDEN[1:]),
        ("best of 200 / residuals of others", "best of 200", 0.9, "residuals: best of 200", False, HIDDEN),
        ("best of 200 / independent noise", "best of 200", 0.9, "noise: best of 200", False, HIDDEN),
        ("asymmetry / residuals of others", "asymmetry", 0.6, "residuals: asymmetry", False, HIDDEN),
        ("best of 20 by another's image / own", "wrong image: best of 20", 3.0, "best of 20", True, HIDDEN),
        ("mean pose of few steps / all steps", "few steps: mean pose", 1.03, "mean pose", False, HIDDEN),
        ("best of 200 of few steps / all steps", "few steps: best of 200", 1.03, "best of 200", False, HIDDEN),
    )
    if share in where
)
"""What is asked of the study."""


@dataclass(frozen=True, eq=False)
class Believed(TensorStruct):
    """People in one view each: two modes per joint, in half sides of a crop, and where the joints are.

    Attributes:
        middle: of the modes.
        width: their deviation.
        height: of the heat at their middle; 0 = there is no such mode.
        hidden: which joints are.
        xyz: the truth in the camera's axes, metres from the middle of the hips.
    """

    middle: Float[Tensor, "persons joints modes 2"]
    width: Float[Tensor, "persons joints modes"]
    height: Float[Tensor, "persons joints modes"]
    hidden: Bool[Tensor, "persons joints"]
    xyz: Float[Tensor, "persons joints 3"]


def draw_believed(source: Noise, subjects: tuple[str, ...], people: int, share: float | Tensor) -> Believed:
    """New people, each before a camera drawn from the rigs of some subjects."""
    joints = sample_joints(source, people).double()
    rigs = [human36m_rig(subject) for subject in subjects]
    single = [replace(rig.select(views=[view]), names=()) for rig in rigs for view in range(4)]
    number = (source.uniform((people,)) * len(single)).long()
    cameras, middle = stack(single)[number], torch.stack([looked_at(rig) for rig in rigs])[number // 4]
    joints[..., :2] += (middle + FLOOR_MM * (2 * source.uniform((people, 2)).double() - 1))[:, None]
    xy, xyz = cameras.project(joints)[0][:, 0], cameras.to_camera(joints)[:, 0]
    low, high = xy.amin(1), xy.amax(1)
    side = MARGIN * (high - low).amax(-1)
    place = ((xy - ((low + high) / 2)[:, None]) / (side[:, None, None] / 2)).float()
    xyz = (xyz - xyz[:, [H36M_17.index("mid_hip")]]).float() / 1000
    return _believe(source, place, xyz, share)


def _believe(source: Noise, place: Tensor, xyz: Tensor, share: float | Tensor) -> Believed:
    """Beliefs of places in the crop."""
    shape = place.shape[:2]
    hidden = source.uniform(shape) < share
    width = torch.where(hidden, between(source, shape, *HIDDEN_WIDTH), between(source, shape, *SEEN_WIDTH))
    height = torch.where(hidden, between(source, shape, *HIDDEN_HEIGHT), between(source, shape, *SEEN_HEIGHT))
    rival = hidden & (source.uniform(shape) < RIVAL)
    away = place + width[..., None] * source.normal(place.shape)
    turn = between(source, shape, 0.0, 2 * torch.pi)
    far = between(source, shape, 0.2, 0.6)
    other = away + far[..., None] * torch.stack([turn.cos(), turn.sin()], -1)
    second = torch.where(rival, height * between(source, shape, 0.4, 1.2), 0.0)
    return Believed(
        torch.stack([away, other], 2), torch.stack([width] * 2, -1), torch.stack([height, second], -1), hidden, xyz
    )


def samples_of(source: Noise, believed: Believed, count: int, hypotheses: int) -> Sighted:
    """Samples as if drawn from heat maps, the highest mode first, anew for every hypothesis."""
    people, joints = believed.hidden.shape
    mass = believed.height * believed.width.square()
    shape = (people, hypotheses, joints, count)
    second = source.uniform(shape) * mass.sum(-1)[:, None, :, None] >= mass[:, None, :, :1]
    noise = source.normal((*shape, 2))
    second[..., 0], noise[..., 0, :] = (believed.height[..., 1] > believed.height[..., 0])[:, None], 0.0

    def of_mode(value: Tensor) -> Tensor:
        first, other = (value[:, None, :, None, k] for k in (0, 1))
        return torch.where(second if value.ndim == 3 else second[..., None], other, first)

    xy = of_mode(believed.middle) + of_mode(believed.width)[..., None] * noise
    likelihood = of_mode(believed.height) * torch.exp(-noise.square().sum(-1) / 2)
    return Sighted(Samples(xy, likelihood), xy.new_zeros(people, hypotheses, 0), xy.new_zeros(people))


def train_hypotheses(seed: int, plan: HypothesesPlan) -> HypothesesNetwork:
    """The network on beliefs of people of whose joints up to half are hidden; the average of its weights."""
    torch.manual_seed(seed)
    network = HypothesesNetwork(plan.model)
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(plan.average), use_buffers=True
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, plan.steps + 1, pct_start=0.05)
    generator = torch.Generator().manual_seed(1_000_003 * seed + 3)
    source = Noise(generator)
    for _ in range(plan.steps):
        share = between(source, (plan.batch, 1), 0.0, 0.5)
        drawn = draw_believed(source, TRAINING_SUBJECTS, plan.batch, share)
        evidence = samples_of(source, drawn, plan.model.samples, 1)
        with torch.autocast("cpu", torch.bfloat16):
            loss = total(noise_terms(network, evidence, drawn.xyz, plan.draws, generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
    return network.eval()


@torch.no_grad()
def score_hypotheses(network: HypothesesNetwork, seed: int, plan: HypothesesPlan) -> list[StudyLine]:
    """Every share of hidden joints: the hypotheses, the controls, and the same by the image of somebody else."""
    lines = []
    for number, share in enumerate(HIDDEN):
        generator = torch.Generator().manual_seed(5_000_011 * (seed + 1) + number)
        source = Noise(generator)
        drawn = draw_believed(source, TEST_SUBJECTS, plan.people, share)
        evidence = samples_of(source, drawn, plan.model.samples, COUNTS[-1])
        poses = lift_evidence(network, evidence, EVERY_STEP, generator)
        quick = lift_evidence(network, evidence, QUICK, generator)
        single = lift_evidence(network, samples_of(source, drawn, plan.model.samples, 1), MEAN, generator)[:, 0]
        figures = of_hypotheses(poses, drawn) | of_controls(poses, drawn, generator)
        wrong = poses[:, :WRONG_COUNT].roll(1, 0)
        figures |= {"z0": _error(single, drawn), "wrong image: best of 20": _best(wrong, drawn)}
        figures |= {f"few steps: {name}": of_hypotheses(quick, drawn)[name] for name in ("mean pose", "best of 200")}
        lines += [StudyLine(_case(share), method, value) for method, value in figures.items()]
    return lines


def lift_evidence(
    network: HypothesesNetwork, evidence: Sighted, chain: Chain, generator: torch.Generator
) -> Float[Tensor, "persons hypotheses joints 3"]:
    """Poses, mm, some people at a time."""
    parts = []
    for first in range(0, len(evidence.sight), 16):
        parts.append(1000 * draw_poses(network, evidence[first : first + 16], chain, generator))
    return torch.cat(parts)


def of_hypotheses(poses: Float[Tensor, "persons hypotheses joints 3"], drawn: Believed) -> dict[str, float]:
    """Errors, calibration and spread, mm or shares."""
    truth, known = _truth(drawn)
    errors = mpjpe(poses, truth[:, None], known[:, None].expand(poses.shape[:3]))
    aligned = pa_mpjpe(poses, truth[:, None].expand_as(poses), known[:, None].expand(poses.shape[:3]))
    told, spread = calibration(poses, truth, known), poses.std(1)
    plane, hidden = spread[..., :2].square().mean(-1).sqrt(), drawn.hidden
    found = {f"best of {count}": float(errors[:, :count].amin(1).mean()) for count in (*COUNTS, WRONG_COUNT)}
    return found | {
        "mean of errors": float(errors.mean()),
        "mean pose": _error(poses.mean(1), drawn),
        "PA best of 200": float(over_hypotheses(aligned).best.mean()),
        "PA mean of errors": float(aligned.mean()),
        "error of calibration": float(told.error),
        "share within 50 %": float(told.radial[0].mean()),
        "share within 90 %": float(told.radial[1].mean()),
        "spread in depth": float(spread[..., 2].mean()),
        "spread in the plane": float(spread[..., :2].mean()),
        "spread of hidden": float(plane[hidden].mean()) if bool(hidden.any()) else 0.0,
        "spread of seen": float(plane[~hidden].mean()),
        "asymmetry": float(symmetry_error(poses, known[:, None].expand(poses.shape[:3]), H36M_17.joints).mean()),
    }


def of_controls(
    poses: Float[Tensor, "persons hypotheses joints 3"], drawn: Believed, generator: torch.Generator
) -> dict[str, float]:
    """The mean pose with noise as wide as the hypotheses, and with residuals of the other half of the people."""
    truth, known = _truth(drawn)
    mean, half = poses.mean(1), len(poses) // 2
    noisy = independent_noise(mean, poses.std(1), COUNTS[-1], generator)
    residual = truth - mean
    others = torch.cat([
        residual_bootstrap(mean[:half], residual[half:], COUNTS[-1], generator),
        residual_bootstrap(mean[half:], residual[:half], COUNTS[-1], generator),
    ])  # fmt: skip
    everywhere = known[:, None].expand(others.shape[:3])
    return {
        "noise: best of 200": _best(noisy, drawn),
        "residuals: best of 200": _best(others, drawn),
        "residuals: asymmetry": float(symmetry_error(others, everywhere, H36M_17.joints).mean()),
    }


def _truth(drawn: Believed) -> tuple[Tensor, Tensor]:
    return 1000 * drawn.xyz, torch.ones_like(drawn.hidden)


def _error(pose: Tensor, drawn: Believed) -> float:
    return float(mpjpe(pose, *_truth(drawn)).mean())


def _best(poses: Tensor, drawn: Believed) -> float:
    truth, known = _truth(drawn)
    return float(mpjpe(poses, truth[:, None], known[:, None].expand(poses.shape[:3])).amin(1).mean())


def study_seed(seed: int, plan: HypothesesPlan) -> list[StudyLine]:
    """Everything that one seed says."""
    torch.set_num_threads(1)
    return score_hypotheses(train_hypotheses(seed, plan), seed, plan)
