"""The study of many hypotheses: beliefs are what they say, every promise is measured, and it runs in miniature."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.skeletons.catalog import H36M_17
from dispose_benchmarks.studies import lift_hypotheses, lifters
from dispose_benchmarks.studies.lift_hypotheses import (
    FULL,
    PROMISES,
    SMOKE,
    draw_believed,
    of_controls,
    of_hypotheses,
    samples_of,
    score_hypotheses,
    train_hypotheses,
)
from dispose_benchmarks.studies.promises import kept
from dispose_synthetic.human36m_rig import TEST_SUBJECTS
from dispose_synthetic.randomness import Noise
from tests.benchmarks.here_pool import HerePool


def believed(people: int = 64, share: float = 0.3):
    return draw_believed(Noise(torch.Generator().manual_seed(2)), TEST_SUBJECTS, people, share)


def test_beliefs_lie_in_the_crop_and_hidden_joints_are_told_badly():
    drawn = believed()
    seen, hidden = drawn.middle[:, :, 0][~drawn.hidden], drawn.hidden
    assert float(seen.abs().max()) < 1 and float(drawn.hidden.double().mean()) == pytest.approx(0.3, abs=0.05)
    assert float(drawn.width[hidden].min()) > 2 * float(drawn.width[~hidden].max()) - 1e-6
    assert float((drawn.height[..., 1] > 0)[hidden].double().mean()) == pytest.approx(0.4, abs=0.07)
    assert float(drawn.height[..., 1][~hidden].max()) == 0
    hips = drawn.xyz[:, [H36M_17.index("l_hip"), H36M_17.index("r_hip")]].mean(1)
    assert float(hips.norm(dim=-1).max()) < 0.05 and 0.5 < float(drawn.xyz[..., 1].abs().amax()) < 1.5


def test_samples_follow_their_modes():
    drawn = believed(8, 1.0)
    two = replace(drawn, height=torch.tensor([0.2, 0.6]).expand(8, 17, 2))
    samples = samples_of(Noise(torch.Generator().manual_seed(0)), two, 400, 1).samples
    torch.testing.assert_close(samples.xy[:, 0, :, 0], two.middle[:, :, 1])
    torch.testing.assert_close(samples.likelihood[..., 0], torch.full((8, 1, 17), 0.6))
    near = (samples.xy[:, 0, :, 1:, None] - two.middle[:, :, None]).norm(dim=-1).argmin(-1)
    apart = (two.middle[:, :, 0] - two.middle[:, :, 1]).norm(dim=-1) > 5 * two.width[..., 0]
    assert float(near[apart].double().mean()) == pytest.approx(0.75, abs=0.05)


def test_every_promise_speaks_of_something_that_is_measured():
    lines = score_hypotheses(train_hypotheses(0, SMOKE), 0, SMOKE)
    for promise in PROMISES:
        assert kept(promise, lines) >= 0, promise.title
    assert len(PROMISES) == 3 * 15 + 2


def test_the_controls_are_what_they_say():
    drawn = believed(200)
    truth = 1000 * drawn.xyz
    generator = torch.Generator().manual_seed(1)
    shift = 50 * torch.randn(200, 1, 17, 3, generator=generator)
    poses = truth[:, None] + shift + 40 * torch.randn(200, 200, 17, 3, generator=generator)
    own, other = of_hypotheses(poses, drawn), of_controls(poses, drawn, generator)
    # Independent errors have no shape: noise is as good as residuals, and as good as hypotheses that are the same.
    assert other["noise: best of 200"] == pytest.approx(own["best of 200"], rel=0.03)
    assert other["residuals: best of 200"] == pytest.approx(own["best of 200"], rel=0.2)
    assert own["spread in depth"] == pytest.approx(40, rel=0.02)
    assert own["best of 1"] > own["best of 10"] > own["best of 200"]
    assert own["share within 90 %"] < 0.8


def test_the_command_runs_one_study_in_miniature(tmp_path: Path, capsys, monkeypatch):
    tiny = replace(lifters.PARTS[0], smoke=replace(SMOKE, steps=2, people=4))
    monkeypatch.setattr(lifters, "PARTS", (tiny, *lifters.PARTS[1:]))
    monkeypatch.setattr(lifters, "worker_pool", HerePool)
    out = tmp_path / "study.json"
    options = ["--smoke", "--seeds", "0", "--protocols", "hypotheses", "--out", str(out)]
    assert main(["evaluate", "lifters", *options]) == 0
    assert "40 % hidden, asymmetry / residuals of others" in capsys.readouterr().out
    assert {"kind", "method", "mm", "seeds"} <= set(json.loads(out.read_text())["rows"][0])
    assert len(json.loads((tmp_path / "study_lines.json").read_text())["rows"]) == len(PROMISES)


def test_a_study_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="no study of lifters called 'gaits'"):
        lifters.chosen(("gaits",))
    assert lifters.chosen(()) == lifters.PARTS


@pytest.mark.slow
def test_most_promises_are_kept_by_one_seed():
    """Five minutes of one core; `dispose evaluate lifters` asks the median of three seeds."""
    lines = lift_hypotheses.study_seed(0, FULL)
    broken = []
    for promise in PROMISES:
        value = kept(promise, lines)
        holds = value >= 0.9 * promise.bound if promise.least else value <= 1.1 * promise.bound
        broken += [] if holds else [f"{promise.title}: {value:.3f}"]
    assert not broken, "\n".join(broken)
