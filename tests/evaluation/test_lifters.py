"""What is said of lifters: errors, spread, and the control that knows nothing of the person at hand."""

import time
from collections.abc import Sequence

import pytest
import torch

from dispose.evaluation.lifters import (
    BOUND,
    CONTROL,
    HIPS,
    OUTER,
    TIMED,
    Lifter,
    held_out_residuals,
    limbs_of,
    score_answers,
    score_hypotheses,
    seconds_alone,
    spread_figures,
)
from dispose.evaluation.real_motion import LIMBS, LiftTrial, trial_of
from dispose.evaluation.reports import Figure
from dispose.models.lifting.view import ViewPeople
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.one_view import meeting_point
from dispose_synthetic.people import PeopleConfig, sample_people
from dispose_synthetic.randomness import Noise
from tests.synthetic.motions import small_motion

JOINTS = COCO_17.joints


def people_before_a_rig(count: int = 40) -> LiftTrial:
    xyz = sample_people(Noise(torch.Generator().manual_seed(5)), count, 1, PeopleConfig()).xyz_body[:, 0].double()
    rig = human36m_rig("S9")
    middle = torch.cat([meeting_point(rig), torch.zeros(1, dtype=torch.float64)])
    return trial_of(rig, xyz + middle, COCO_17, 9)


def one_that_knows(trial: LiftTrial, sigma_mm: float, count: int, shift_mm: float = 0.0):
    """A lifter that is told the truth, and adds noise whose size differs from person to person."""
    truth = trial.see(JOINTS).from_camera(trial.xyz_camera).float() / 1000
    whole = torch.zeros(len(trial), len(JOINTS), 3)
    whole[:, [JOINTS.index(joint) for joint in LIMBS]] = truth
    size = torch.linspace(0.3, 2.0, len(trial))[torch.randperm(len(trial), generator=torch.Generator().manual_seed(1))]
    answer = whole + size[:, None, None] * sigma_mm / 1000 * torch.randn(whole.shape, generator=torch.Generator())
    sizes = trial.see(JOINTS).size

    def lift(people: ViewPeople, generator: torch.Generator) -> torch.Tensor:
        rows = (people.size[:, None] - sizes[None]).abs().argmin(1)
        noise = torch.randn(len(rows), count, len(JOINTS), 3, generator=generator)
        moved = answer[rows][:, None] + size[rows, None, None, None] * sigma_mm / 1000 * noise
        return moved + shift_mm / 1000 * torch.tensor([0.0, 0.0, 1.0]) * (torch.arange(len(JOINTS)) % 2)[:, None]

    return lift


def value(figures: Sequence[Figure], name: str) -> float:
    (found,) = [figure.value for figure in figures if figure.name == name]
    assert isinstance(found, float)
    return found


def axes(figures: Sequence[Figure], name: str) -> tuple[float, ...]:
    (found,) = [figure.value for figure in figures if figure.name == name]
    assert isinstance(found, tuple) and len(found) == 3
    return found


def test_errors_of_answers_are_in_the_cameras_axes_and_mm():
    trial = people_before_a_rig()
    right = Lifter("right", JOINTS, one_that_knows(trial, 0.0, 1))
    for name in ("mpjpe_mm", "scaled_mm", "pa_mm", "pa_outer_mm"):
        assert abs(value(score_answers(right, trial, noise=None), name)) < 0.01, name

    def twice(people: ViewPeople, generator: torch.Generator) -> torch.Tensor:
        return 2 * right.answer(people, generator)

    doubled = score_answers(Lifter("twice", JOINTS, twice), trial, noise=None)
    size = float(trial.xyz_camera.norm(dim=-1).mean())
    assert abs(value(doubled, "mpjpe_mm") / size - 1) < 1e-3
    assert abs(value(doubled, "scaled_mm")) < 0.01 and abs(value(doubled, "pa_mm")) < 0.01

    def shoulders_off(people: ViewPeople, generator: torch.Generator) -> torch.Tensor:
        found = right.answer(people, generator)
        found[..., [JOINTS.index("l_shoulder"), JOINTS.index("r_shoulder")], 2] += 0.3
        return found

    off = score_answers(Lifter("off", JOINTS, shoulders_off), trial, noise=None)
    assert value(off, "pa_mm") > 20 and value(off, "pa_outer_mm") < 0.01
    assert len(OUTER) == 8 and [LIMBS[row] for row in HIPS] == ["l_hip", "r_hip"]


def test_spread_that_is_the_errors_beats_the_control():
    trial = people_before_a_rig(120)
    lifter = Lifter("knows", JOINTS, one_that_knows(trial, 40.0, 20), one_that_knows(trial, 40.0, 200))
    said, control, bound = score_hypotheses(lifter, trial, small_motion(20), noise=None).values()
    for name, level in (("in_50", 50.0), ("in_90", 90.0)):
        assert all(abs(share - level) < 5.0 for share in axes(said, name)), (name, axes(said, name))
    # Over all joints even the control is right about something: which joints are hard.
    assert all(value(said, name) > 0.3 for name in ("rank", "rank_all", "rank_people"))
    assert all(abs(value(control, name)) < 0.25 for name in ("rank", "rank_people"))
    assert value(bound, "energy_mm") < value(said, "energy_mm") < value(control, "energy_mm")
    # Of one who is off by a known length, the best of many in any direction is nearer than the answer.
    assert value(bound, "best_mm") < value(bound, "of_mean_mm") < value(bound, "mean_mm")
    assert value(said, "best_mm") < value(said, "of_mean_mm") < value(said, "mean_mm")


def test_every_step_is_scored_beside_few_and_timed_for_one_person_alone(monkeypatch):
    trial = people_before_a_rig(12)
    few, every = one_that_knows(trial, 40.0, 30), one_that_knows(trial, 0.0, 30)
    lifter = Lifter("knows", JOINTS, few, few, every)
    found = score_hypotheses(lifter, trial, small_motion(20), noise=None)
    assert list(found) == ["knows", "knows, every step", CONTROL, BOUND]
    assert value(found["knows, every step"], "mean_mm") < 0.01 < value(found["knows"], "mean_mm")
    asked, clock = list[int](), [0.0]

    def slow(people: ViewPeople, generator: torch.Generator) -> torch.Tensor:
        asked.append(len(people))
        # The first is slow, as things are that are loaded when they are needed.
        clock[0] += 60.0 if len(asked) == 1 else 0.25
        return few(people, generator)

    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert seconds_alone(slow, trial.see(JOINTS)) == 0.25 and asked == [1] * TIMED
    with pytest.raises(ValueError, match="one answer"):
        score_hypotheses(Lifter("one", JOINTS, few), trial, small_motion(20), noise=None)


def test_residuals_are_truth_less_answer_of_drawn_people():
    def lift(people: ViewPeople, generator: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(people), 1, len(JOINTS), 3)

    residuals = held_out_residuals(Lifter("nothing", JOINTS, lift), small_motion(20), exact=True)
    limb = (residuals[:, LIMBS.index("l_elbow")] - residuals[:, LIMBS.index("l_wrist")]).norm(dim=-1)
    assert len(residuals) > 500 and 150 < float(limb.median()) < 350


def test_the_limbs_are_from_the_middle_of_the_hips():
    xyz = torch.randn(3, 2, len(JOINTS), 3)
    limbs = limbs_of(xyz, JOINTS)
    assert torch.allclose(limbs[..., list(HIPS), :].mean(-2), torch.zeros(3, 2, 3), atol=1e-6)
    first, second = (xyz[..., JOINTS.index(joint), :] for joint in LIMBS[:2])
    assert torch.allclose(limbs[..., 0, :] - limbs[..., 1, :], first - second, atol=1e-6)


def test_too_sure_is_seen():
    generator = torch.Generator().manual_seed(0)
    truth = 100 * torch.randn(300, 12, 3, generator=generator)
    said = 20 * torch.randn(300, 100, 12, 3, generator=generator)
    assert all(share < 30 for share in axes(spread_figures(said, truth), "in_50"))


def test_doubt_is_ranked_over_all_joints_over_people_and_joint_by_joint():
    """Every answer is 0. One joint is off by ten times as much as the other, and said to be; which people are hard is
    told in the wrong order.
    """
    generator = torch.Generator().manual_seed(3)
    hard, joint = torch.linspace(1, 2, 60)[:, None], torch.tensor([1.0, 10.0])
    truth = (hard * joint)[..., None] * torch.tensor([1.0, 0.0, 0.0])
    cloud = torch.randn(1, 400, 1, 3, generator=generator)
    cloud = (cloud - cloud.mean(1, keepdim=True)) * (hard.flip(0) * joint)[:, None, :, None]
    truth, cloud = (torch.cat([some] * 6, -2) for some in (truth, cloud))
    found = spread_figures(cloud, truth)
    assert value(found, "rank") < -0.99 and value(found, "rank_people") < -0.99 and value(found, "rank_all") > 0.4
