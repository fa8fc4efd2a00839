"""The bench of triangulators times what it says: whole people, fresh every time, by number of views."""

import json
from pathlib import Path

import pytest
import torch

from dispose.association.reconstruct import GroupKeypoints, dlt
from dispose.errors import InputError
from dispose.scene.frame import Poses
from dispose_benchmarks.triangulators import TriangulatorsBench, draw_groups, measure


def test_everybody_is_seen_whole_by_every_view() -> None:
    groups = draw_groups(3, 10)
    assert groups.member.shape == (10, 3) and groups.seen.shape == (10, 3, 17)
    assert groups.seen.double().mean() > 0.98


def test_a_person_costs_their_share_of_a_batch_and_nothing_is_kept_between_runs() -> None:
    asked: list[GroupKeypoints] = []

    def watched(groups: GroupKeypoints) -> Poses:
        assert "xy_image" not in vars(groups)
        asked.append(groups)
        return dlt(groups)

    cost = measure("watched", watched, draw_groups(2, 8), repeats=3)
    assert len(asked) == 4 and len({id(one) for one in asked}) == 4
    assert cost.person_ms == pytest.approx(cost.batch_ms / 8) and cost.batch_ms > 0
    assert (cost.method, cost.views, cost.persons) == ("watched", 2, 8)


def test_the_quickest_run_counts_but_never_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0005, 0.0, 0.003, 0.0, 0.001, 0.0, 0.002])
    monkeypatch.setattr("dispose_benchmarks.triangulators.process_time", lambda: next(clock))
    assert measure("x", dlt, draw_groups(2, 4), repeats=3).batch_ms == pytest.approx(1.0)


def test_the_bench_writes_a_row_for_every_number_of_views(tmp_path: Path) -> None:
    out, threads = tmp_path / "x.json", torch.get_num_threads()
    bench = TriangulatorsBench(triangulators=("dlt", "ransac"), views=(2, 3), persons=8, repeats=1, out=out)
    assert bench.run() == 0 and torch.get_num_threads() == threads == 1
    rows = json.loads(out.read_text())["rows"]
    assert [(row["method"], row["views"]) for row in rows] == [("dlt", 2), ("ransac", 2), ("dlt", 3), ("ransac", 3)]
    with pytest.raises(InputError, match="no triangulator named 'magic'"):
        TriangulatorsBench(triangulators=("magic",), out=out).run()
    with pytest.raises(InputError, match="--views is 0"):
        TriangulatorsBench(views=(0,), out=out).run()
