"""How good the poses are that one image gives, and whether several of them are spread as the truth is.

Best of many and coverage alone prove nothing: a single answer to which errors that it made elsewhere are added blindly
has them too (`residual_bootstrap`). So that control, made of a method's own mean poses, is scored beside its
hypotheses; and a bound on what knowing widths is worth (`known_lengths`).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.errors import InputError
from dispose.evaluation.real_motion import LIMBS, TRIALS, LiftTrial
from dispose.evaluation.reports import Figure, Row
from dispose.evaluation.triangulators import medians
from dispose.metrics.lifting import (
    about_root,
    calibration,
    energy_score,
    known_lengths,
    over_hypotheses,
    rank_correlation,
    residual_bootstrap,
    scaled_mpjpe,
    spread_and_error,
    spread_error_correlation,
    symmetry_error,
)
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.lifting.view import Lift, ViewPeople
from dispose_synthetic.one_view import OneViewConfig, sample_views
from dispose_synthetic.randomness import Noise

HIPS = (LIMBS.index("l_hip"), LIMBS.index("r_hip"))
OUTER = tuple(row for row, joint in enumerate(LIMBS) if joint.rpartition("_")[2] not in ("shoulder", "hip"))
"""Elbows, wrists, knees and ankles, which all sets define alike."""

TOLD_EXACT = OneViewConfig(exact=1.0, faceless=1.0, whole=1.0, told=0.0)
"""Drawn people of whom that is told which is told of real ones: the twelve joints, exactly."""

TOLD_NOISY = replace(TOLD_EXACT, exact=0.0, noise=(1.0, 1.0))
"""The same through detectors."""

BLOCK = 64
"""People lifted at a time."""

THINNED = {"humaneva": 12, "human36m": 30}
"""Of so many people one is asked for all hypotheses; of the others the mean pose is scored."""

TIMED = 7
"""People who are lifted alone, to see how long one takes."""

RESIDUALS, RESIDUAL_SEED, NOISE_SEED = 2048, 20_260, 0


@dataclass(frozen=True)
class Lifter:
    """A way to lift, by name.

    Attributes:
        name: in tables.
        joints: of its skeleton.
        answer: the mean of what this gives is its single answer: a few hypotheses.
        hypotheses: many; None where it knows one answer.
        every_step: as many by every step of the chain, where `hypotheses` takes few.
    """

    name: str
    joints: tuple[str, ...]
    answer: Lift
    hypotheses: Lift | None = None
    every_step: Lift | None = None

    def many(self) -> dict[str, Lift]:
        """What draws many hypotheses, by the name of its row; nothing where it knows one answer."""
        named = {self.name: self.hypotheses, f"{self.name}, every step": self.every_step}
        return {name: lift for name, lift in named.items() if lift is not None}


def limbs_of(xyz: Float[Tensor, "*batch joints 3"], joints: Sequence[str]) -> Float[Tensor, "*batch limbs 3"]:
    """The joints that are compared, from the middle of the hips."""
    return about_root(xyz[..., [joints.index(joint) for joint in LIMBS], :], HIPS)


@torch.no_grad()
def lift_people(lift: Lift, people: ViewPeople, *, seed: int) -> Float[Tensor, "persons hypotheses limbs 3"]:
    """What a lifter says of people, mm in the virtual axes."""
    generator = torch.Generator().manual_seed(seed)
    found = [lift(people[rows : rows + BLOCK], generator) for rows in range(0, len(people), BLOCK)]
    return 1000 * limbs_of(torch.cat(found), people.joints)


def score_answers(lifter: Lifter, trial: LiftTrial, *, noise: int | None) -> tuple[Figure, ...]:
    """Errors of the mean poses, mm: as they are, of the best scale, of the best similarity, and that of outer joints.

    Args:
        lifter: what is scored.
        trial: on whom.
        noise: seed of the detection noise; None = exact keypoints.
    """
    people = trial.see(lifter.joints, seed=noise)
    said = lift_people(lifter.answer, people, seed=0).mean(1).double()
    truth = people.from_camera(trial.xyz_camera)
    known = torch.ones(said.shape[:2], dtype=torch.bool)
    outer = torch.zeros(len(LIMBS), dtype=torch.bool)
    outer[list(OUTER)] = True
    return (
        Figure("mpjpe_mm", float(mpjpe(said, truth, known).mean())),
        Figure("scaled_mm", float(scaled_mpjpe(said, truth, known).mean())),
        Figure("pa_mm", float(pa_mpjpe(said, truth, known).mean())),
        Figure("pa_outer_mm", float(pa_mpjpe(said, truth, known & outer).mean())),
    )


def score_hypotheses(
    lifter: Lifter, trial: LiftTrial, motion: Motion, *, noise: int | None
) -> dict[str, tuple[Figure, ...]]:
    """Figures by the name of their row: of many hypotheses (`Lifter.many`), of the control: the mean of these plus
    errors made on drawn people, and of the bound: the mean of these plus errors that are known but for their direction.

    Raises:
        ValueError: the lifter knows one answer.
    """
    if lifter.hypotheses is None:
        raise ValueError(f"{lifter.name} knows one answer")
    people = trial.see(lifter.joints, seed=noise)
    truth = people.from_camera(trial.xyz_camera).float()
    clouds = {name: lift_people(lift, people, seed=1) for name, lift in lifter.many().items()}
    said = clouds[lifter.name]
    residuals = held_out_residuals(lifter, motion, exact=noise is None)
    generator = torch.Generator().manual_seed(RESIDUAL_SEED)
    clouds[CONTROL] = residual_bootstrap(said.mean(1), residuals, said.shape[1], generator)
    clouds[BOUND] = known_lengths(said.mean(1), truth, said.shape[1], generator)
    return {name: spread_figures(cloud, truth) for name, cloud in clouds.items()}


def seconds_alone(lift: Lift, people: ViewPeople) -> float:
    """How long one person takes who is alone in an image, s: the median of a few."""
    times = []
    for row in range(min(TIMED, len(people))):
        start = time.perf_counter()
        lift(people[row : row + 1], torch.Generator().manual_seed(row))
        times.append(time.perf_counter() - start)
    return median(times)


def held_out_residuals(lifter: Lifter, motion: Motion, *, exact: bool) -> Float[Tensor, "samples limbs 3"]:
    """Truth less answer, mm, of drawn people whom no step of training has seen."""
    config = replace(TOLD_EXACT if exact else TOLD_NOISY, joints=lifter.joints)
    source = Noise(torch.Generator().manual_seed(RESIDUAL_SEED))
    people, xyz, known = sample_views(source, motion, RESIDUALS, config)
    limbs = [lifter.joints.index(joint) for joint in LIMBS]
    whole = (known & people.seen)[:, limbs].all(1)
    people, xyz = people[whole], xyz[whole]
    return 1000 * limbs_of(xyz, lifter.joints) - lift_people(lifter.answer, people, seed=2).mean(1)


def spread_figures(
    said: Float[Tensor, "persons hypotheses limbs 3"], truth: Float[Tensor, "persons limbs 3"]
) -> tuple[Figure, ...]:
    """How good the best is, how good all are, and whether their spread is that of the truth (``in_…``: x, y, z)."""
    known = torch.ones(truth.shape[:2], dtype=torch.bool)
    everyone = known[:, None].expand(said.shape[:3])
    error = over_hypotheses(mpjpe(said, truth[:, None].expand_as(said), everyone))
    fit = calibration(said, truth, known)
    spread, off = spread_and_error(said, truth)
    half, most = (tuple(100 * float(share) for share in level.mean(0)) for level in fit.axes)
    return (
        Figure("best_mm", float(error.best.mean())),
        Figure("mean_mm", float(error.mean.mean())),
        Figure("of_mean_mm", float(mpjpe(said.mean(1), truth, known).mean())),
        Figure("energy_mm", float(energy_score(said, truth).mean())),
        Figure("symmetry_mm", float(symmetry_error(said, everyone, LIMBS).mean())),
        Figure("rank_all", float(rank_correlation(spread.flatten(), off.flatten()))),
        Figure("rank_people", float(rank_correlation(spread.mean(1), off.mean(1)))),
        Figure("rank", float(spread_error_correlation(said, truth, known).mean())),
        Figure("in_50", half),
        Figure("in_90", most),
        Figure("ece", float(fit.error)),
    )


@dataclass(frozen=True)
class Measured:
    """Rows of single answers, and rows of many hypotheses beside their control and bound."""

    answers: tuple[Row, ...]
    spreads: tuple[Row, ...]


CONTROL = "its mean pose and errors made elsewhere"
BOUND = "its mean pose and errors known but for their direction"


def measure(trained: Sequence[Lifter], data: Path, motion: Motion) -> Measured:
    """Lifters of one kind, each trained from another seed, on real motion: medians over them.

    Args:
        trained: lifters of one name.
        data: the folder of the converted tables; a set that is not there is left out.
        motion: what the control's errors are made on.

    Raises:
        InputError: no set is there.
    """
    answers, spreads = list[Row](), list[Row]()
    for trial in TRIALS:
        if not (data / trial.folder).is_dir():
            print(f"left out: {trial.title}; there is no folder {data / trial.folder}.")
            continue
        everybody = trial.read(data)
        some = everybody[:: THINNED[trial.name]]
        for noise, told in ((None, "exact"), (NOISE_SEED, "fitted noise")):
            start = time.perf_counter()
            title = f"{trial.title}, {told}"
            found = [score_answers(one, everybody, noise=noise) for one in trained]
            seconds = (time.perf_counter() - start) / len(everybody) / len(trained)
            answers.append(Row(trained[0].name, title, len(everybody), None, medians(found), seconds))
            if trained[0].hypotheses is not None:
                drawn = [score_hypotheses(one, some, motion, noise=noise) for one in trained]
                people = some.see(trained[0].joints, seed=noise)
                alone = {name: seconds_alone(lift, people) for name, lift in trained[0].many().items()}
                spreads += [
                    Row(name, title, len(some), None, medians([one[name] for one in drawn]), alone.get(name, 0.0))
                    for name in drawn[0]
                ]
    if not answers:
        raise InputError(f"{data}: neither humaneva nor h36m_motion is there; data/README.md says how to obtain them.")
    return Measured(tuple(answers), tuple(spreads))
