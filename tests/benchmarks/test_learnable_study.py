"""The study of learned triangulation: it runs in miniature, judges by its promises, and, in full, keeps them."""

import json
from pathlib import Path

import pytest
import torch

from dispose.cli.main import main
from dispose.skeletons.catalog import H36M_17
from dispose_benchmarks.studies.cube_study import score_cube, train_cube
from dispose_benchmarks.studies.learnable import FULL, PROMISES, LearnableStudy, study_seed
from dispose_benchmarks.studies.promises import Promise, StudyLine, kept
from dispose_benchmarks.studies.view_trust import (
    STATISTICS,
    StudyPlan,
    map_statistics,
    score_trust,
    separation,
    train_trust,
    triangulate_by_consent,
    triangulate_maps,
)
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.joint_maps import draw_joint_maps
from tests.benchmarks.here_pool import HerePool

TINY = StudyPlan(trust_steps=3, trust_batch=4, cube_steps=2, cube_batch=2, people=4)


def test_every_promise_speaks_of_something_that_is_measured():
    lines = [*_of("b", score_trust(train_trust(0, TINY), 0, TINY)), *_of("c", score_cube(train_cube(0, TINY), 0, TINY))]
    known = {(line.case, line.method) for line in lines}
    for promise in PROMISES:
        if not promise.case.startswith("ideal") and "voxels" not in promise.method:
            assert (promise.case, promise.method) in known, promise.title
            if promise.against:
                assert (promise.other_case or promise.case, promise.against) in known, promise.title
    order = next(line.value for line in lines if line.case == "4 views in another order")
    assert order < 1e-3


def _of(part: str, lines: list[StudyLine]) -> list[StudyLine]:
    plain = ("DLT", "RANSAC", "robust")
    return [
        StudyLine(one.case, f"{one.method}, {part}" if one.method in plain else one.method, one.value) for one in lines
    ]


def test_a_promise_is_a_ratio_or_a_value():
    lines = [StudyLine("a", "ours", 3.0), StudyLine("a", "theirs", 4.0), StudyLine("b", "theirs", 6.0)]
    assert kept(Promise("", "a", "ours", 1.0), lines) == 3.0
    assert kept(Promise("", "a", "ours", 1.0, "theirs"), lines) == 0.75
    assert kept(Promise("", "a", "ours", 1.0, "theirs", "b"), lines) == 0.5


def test_figures_are_medians_over_the_seeds_that_are_done(tmp_path: Path, capsys):
    done = []
    for value in (1.0, 5.0, 2.0):
        measured = {(promise.case, promise.method) for promise in PROMISES}
        measured |= {(promise.other_case or promise.case, promise.against) for promise in PROMISES if promise.against}
        done.append([StudyLine(case, method, value) for case, method in sorted(measured)])
    LearnableStudy((0, 1, 2), FULL, tmp_path / "learnable.json").write(done)
    rows = json.loads((tmp_path / "learnable.json").read_text())["rows"]
    assert all(row.get("mpjpe_mm", row.get("value")) == 2.0 and row["seeds"] == 3 for row in rows)
    lines = json.loads((tmp_path / "learnable_lines.json").read_text())["rows"]
    assert {row["holds"] for row in lines} == {"yes", "no"} and len(lines) == len(PROMISES)
    assert "DOES NOT HOLD" in capsys.readouterr().out


def test_the_statistics_of_a_map_are_what_they_say():
    maps = torch.zeros(1, 17, 24, 20)
    left, right = H36M_17.index("l_knee"), H36M_17.index("r_knee")
    maps[0, left, 5, 6], maps[0, left, 15, 6], maps[0, right, 6, 7] = 0.8, 0.4, 0.5
    found = dict(zip(STATISTICS, map_statistics(maps, H36M_17)[0, left].tolist(), strict=True))
    assert found["peak"] == pytest.approx(0.8)
    assert found["amount"] == pytest.approx(torch.tensor(0.8**2 + 0.4**2).log().item())
    share = 0.4**2 / (0.8**2 + 0.4**2)
    assert found["spread"] == pytest.approx(10 * (share * (1 - share)) ** 0.5, rel=1e-4)
    assert found["rival"] == pytest.approx(0.5)
    assert found["mirror"] == pytest.approx(0.5)
    assert map_statistics(maps, H36M_17)[0, H36M_17.index("nose"), STATISTICS.index("mirror")] == 0


def test_separation_is_the_share_of_pairs_in_the_right_order():
    assert separation(torch.tensor([0.1, 0.4, 0.3, 0.9]), torch.tensor([False, True, False, True])) == 1.0
    assert separation(torch.tensor([0.1, 0.4, 0.3, 0.9]), torch.tensor([True, True, False, False])) == 0.25


def test_plain_ways_of_the_study_agree_where_nobody_lies():
    drawn = draw_joint_maps(torch.Generator().manual_seed(1), [human36m_rig("S9")] * 4, torch.zeros(4).long())
    plain = triangulate_maps(drawn, torch.ones(4, 4, 17))
    for exact in (False, True):
        assert float((triangulate_by_consent(drawn, None, exact=exact) - plain).norm(dim=-1).mean()) < 10
    assert float((plain - drawn.xyz_world).norm(dim=-1).mean()) < 25


def test_the_command_runs_in_miniature(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr("dispose.cli.evaluate.SMOKE", TINY)
    monkeypatch.setattr("dispose_benchmarks.studies.learnable.IDEAL", ())
    monkeypatch.setattr("dispose_benchmarks.studies.learnable.PROMISES", PROMISES[9:])
    monkeypatch.setattr("dispose_benchmarks.studies.learnable.worker_pool", HerePool)
    assert main(["evaluate", "learnable", "--smoke", "--seeds", "0", "--out", str(tmp_path / "study.json")]) == 0
    assert "c: new ring of 8" in capsys.readouterr().out
    assert (tmp_path / "study_lines.json").exists()


@pytest.mark.slow
def test_most_promises_are_kept_by_one_seed():
    """Three minutes of one core; `dispose evaluate learnable` asks the median of three seeds."""
    lines = study_seed(0, FULL)
    broken = []
    for promise in PROMISES:
        value = kept(promise, lines)
        holds = value >= 0.97 * promise.bound if promise.least else value <= 1.15 * promise.bound
        broken += [] if holds else [f"{promise.title}: {value:.3f}"]
    assert not broken, "\n".join(broken)
