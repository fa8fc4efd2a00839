"""The study of informed diffusion: what is drawn, that every promise is measured, and that the control learns."""

from dataclasses import replace

import pytest
import torch

from dispose.models.diffpose_gmm.model import RELEASE, DiffPoseGmm, DiffPoseGmmConfig
from dispose_benchmarks.studies import lift_gmm, lifters
from dispose_benchmarks.studies.lift_gmm import PROMISES, SMOKE, Filmed, ResidualTask, film, in_mode, study_seed
from dispose_benchmarks.studies.promises import kept
from dispose_synthetic.human36m_rig import TEST_SUBJECTS
from dispose_synthetic.randomness import Noise


def source(seed: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(seed))


def test_people_stand_in_the_pictures_and_are_seen_with_the_noise_that_is_told():
    people = film(source(), TEST_SUBJECTS, 200)
    assert float(((people.xy > 0) & (people.xy < 1000)).double().mean()) > 0.97
    assert not people.xyz[:, 0].any() and 0.6 < float(people.xyz[:, 10].norm(dim=-1).mean()) < 0.9
    seen = Filmed(people.xy.repeat(20, 1, 1), people.xyz.repeat(20, 1, 1)).see(source(1))
    off = 500 * (seen.people.uv + 1) - people.xy.repeat(20, 1, 1)
    hidden = seen.people.sigma > 0.02
    assert float(hidden.double().mean()) == pytest.approx(0.15, abs=0.01)
    assert float(off[hidden].std()) == pytest.approx(28.0, rel=0.03)
    assert float(off[~hidden].std()) == pytest.approx(5.0, rel=0.03)


def test_every_promise_speaks_of_something_that_is_measured():
    lines = study_seed(0, SMOKE)
    assert lines == study_seed(0, SMOKE)
    for promise in PROMISES:
        assert kept(promise, lines) >= 0, promise.title
    names = {line.method for line in lines}
    assert all(f"two runs{end}" in names for end in (": difference",)) and len(lines) == 2 * 9 + 5
    assert next(part for part in lifters.PARTS if part.name == "gmm").promises == PROMISES


def test_a_mode_changes_nothing_but_the_mode():
    config = DiffPoseGmmConfig("h36m_17", None, SMOKE.sizes, SMOKE.sizes, evidence=False, mirrored=False, mode=RELEASE)
    network = DiffPoseGmm(config).eval()
    network.error.fill_(0.05)
    other = in_mode(network, start=7)
    assert other.start == 7 and other.config.mode == replace(RELEASE, start=7)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


def test_the_control_learns_and_its_lifter_does_not():
    config = DiffPoseGmmConfig("h36m_17", None, SMOKE.sizes, SMOKE.sizes, evidence=False, mirrored=False, mode=RELEASE)
    network = DiffPoseGmm(config)
    task = ResidualTask(network.lifter, SMOKE.sizes)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    lift_gmm.learn(task, replace(SMOKE, batch=4), film(source(), TEST_SUBJECTS, 32), 2, 0)
    moved = {name for name, value in task.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("network.") for name in moved)
