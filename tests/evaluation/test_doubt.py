"""Controls of the diffusion: what they take away, and how doubt is counted."""

import pytest
import torch

from dispose.evaluation.doubt import (
    SAMPLES,
    Frozen,
    Question,
    calibration_error,
    control_row,
    controls,
    draw_huddles,
    evaluate_doubt,
    exchanged,
    pair_beliefs,
    perturb,
    swap_kept,
)
from dispose.models.dispose.sampling import trajectory
from dispose.tensors import ABSENT
from dispose.zoo import load_associator


@pytest.fixture(scope="module")
def associator():
    return load_associator()


@pytest.fixture(scope="module")
def asked(associator):
    return [Question(associator.problems([frame]), identity) for frame, identity in draw_huddles(2, 9, 4)]


def test_calibration_error_by_hand():
    said = torch.tensor([0.9, 0.9, 0.9, 0.9, 0.1], dtype=torch.float64)
    right = torch.tensor([True, True, False, False, False])
    assert calibration_error(said, right) == pytest.approx(100 * (abs(3.6 - 2) + 0.1) / 5)
    assert calibration_error(torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.bool)) == 0
    assert calibration_error(torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool)) == 0


def test_two_people_are_exchanged_in_one_view():
    members = torch.tensor([[0, 0], [1, 1], [0, 1], [1, 0], [0, ABSENT]])
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    assert exchanged(members, truth) == ([1, 0], [2, 3]) or exchanged(members, truth) == ([1, 0], [3, 2])
    assert exchanged(members[:3], truth[:3]) is None
    assert exchanged(members, torch.tensor([1.0, 0, 0, 0, 0])) is None


def test_pairs_in_question_know_whether_they_are_one_person(asked):
    question = asked[0]
    truth = (question.identity[0] != ABSENT).sum()
    said, right = pair_beliefs(question, torch.full((len(question.members) + 1,), 0.5, dtype=torch.float64))
    assert ((said >= 0.01) & (said <= 1)).all() and len(said) == len(right)
    assert 0 < int(right.sum()) <= int(truth)


def test_a_frozen_denoiser_sees_its_first_state_only(associator, asked):
    seen = []

    def recording(graph, mass, time, level):
        seen.append((mass, float(time[0])))
        return associator.denoiser(graph, mass, time, level)

    for _ in trajectory(Frozen(recording), asked[0].problem):
        pass
    assert len({time for _, time in seen}) == len(seen) == 6
    assert all(torch.equal(mass, seen[0][0]) for mass, _ in seen)


def test_perturbed_marginals_are_feasible_and_differ(associator, asked):
    problem, generator = asked[0].problem, torch.Generator().manual_seed(0)
    mass = next(iter(trajectory(associator.denoiser, problem))).clean
    one, other = (perturb(mass, problem, generator) for _ in range(2))
    assert not torch.allclose(one, other)
    carried = torch.zeros_like(problem.graph.marginals.target)
    for bins in problem.graph.marginals.bins.unbind(1):
        carried.index_add_(0, bins, one)
    torch.testing.assert_close(carried, problem.graph.marginals.target, rtol=0, atol=1e-5)


def test_samples_are_as_many_as_promised_and_controls_answer(associator, asked):
    by_name = {control.name: control for control in controls(associator)}
    generator = torch.Generator().manual_seed(0)
    differ = {"samples": 0, "latent negated": 0, "state frozen": 0}
    for question in asked:
        several = by_name[f"best of {SAMPLES} samples, by the labels"].answer(question, generator)
        assert len(several) == SAMPLES
        differ["samples"] += any(not torch.allclose(several[0], one) for one in several[1:])
        (plain,) = by_name["six steps"].answer(question, generator)
        for name in ("latent negated", "state frozen"):
            (other,) = by_name[f"six steps, {name}"].answer(question, generator)
            differ[name] += not torch.allclose(plain, other)
    assert all(differ.values()), differ


def test_the_state_outweighs_the_evidence_late_and_not_at_the_start(associator, asked):
    """The law of the probe: a swap in pure noise is not seen, and a swap without noise is kept."""
    generator = torch.Generator().manual_seed(0)
    early = [swap_kept(associator, question, 1.0, generator) for question in asked]
    late = [swap_kept(associator, question, 0.02, generator) for question in asked]
    early, late = ([share for share in shares if share is not None] for shares in (early, late))
    assert len(early) >= 2 and max(early) < 0.1 and sum(late) / len(late) > 0.5


def test_the_table_has_a_row_for_every_control_time_and_claim(associator):
    rows = list(evaluate_doubt(associator, frames=1, seeds=(0,), views=(2,)))
    names = [row.method for row in rows]
    assert len(names) == len(set(names)) == 11 + 6 + 5
    assert all(row.detections == "huddles, 2 views" for row in rows)


def test_the_shipped_sampler_groups_huddles_and_says_how_sure_it_is(associator):
    """A negated latent, or no projection, may still group; what it claims is then far off."""
    drawn = draw_huddles(4, 4, 12)
    questions = [Question(associator.problems([frame]), identity) for frame, identity in drawn]
    rows = {
        control.name: control_row(control, questions, "huddles")
        for control in controls(associator)
        if control.name in ("two steps, as shipped", "six steps, latent negated", "six steps, no projection")
    }
    shipped = rows.pop("two steps, as shipped")
    assert shipped.value("pair_f1") > 97 and shipped.value("exact") > 94 and shipped.value("pair_ece") < 5
    for other in rows.values():
        assert other.value("pair_ece") > shipped.value("pair_ece") + 5, other.method
