"""The classic associators score on the real sets what they are known to score; random grouping does not."""

import functools
import json
from pathlib import Path

import pytest
import torch

from dispose.cli.evaluate import EvaluateCommand
from dispose.errors import InputError
from dispose.evaluation.classic import CLASSIC, classic
from dispose.evaluation.protocols import MVOR_RTPOSE, PANOPTIC_MINI, SHELF_DEV, Protocol, protocols_of
from dispose.evaluation.reports import Figure, Report, Row, plain_value, write_report
from dispose.evaluation.score import (
    best_method,
    evaluate,
    evaluate_association,
    gated_method,
    gather,
    oracle_method,
    random_method,
)
from dispose.inference.readings import Source

# Pair F1 of the reference table that comes with the data, at the gates of `CLASSIC`.
SHELF_F1 = {"integer_programme": 98.3, "svt": 98.6, "greedy": 96.3, "hungarian": 94.6}
MVOR_F1 = {"integer_programme": 99.1, "svt": 99.2, "greedy": 98.5}
PANOPTIC_F1 = {"integer_programme": 99.0}


@functools.cache
def scenes_of(protocol: Protocol, folder: Path) -> Source:
    return gather(protocol.read(folder))


@pytest.mark.parametrize("key", SHELF_F1)
def test_shelf(shared_data: Path, key: str) -> None:
    one = classic(key)
    row = evaluate_association(SHELF_DEV, scenes_of(SHELF_DEV, shared_data), gated_method(one, one.gate_mm))
    assert row.value("pair_f1") == pytest.approx(SHELF_F1[key], abs=1.0)


def test_shelf_parts(shared_data: Path) -> None:
    row = evaluate(SHELF_DEV, scenes_of(SHELF_DEV, shared_data), gated_method(classic("integer_programme"), 150.0))
    assert row.value("pcp") == pytest.approx(96.8, abs=0.5)


@pytest.mark.parametrize("key", MVOR_F1)
def test_mvor(shared_data: Path, key: str) -> None:
    one = classic(key)
    method = gated_method(one, one.gate_mm, MVOR_RTPOSE.joints)
    row = evaluate_association(MVOR_RTPOSE, scenes_of(MVOR_RTPOSE, shared_data), method)
    assert row.value("pair_f1") == pytest.approx(MVOR_F1[key], abs=1.0)


@pytest.mark.parametrize("key", PANOPTIC_F1)
def test_panoptic(shared_data: Path, key: str) -> None:
    one = classic(key)
    row = evaluate(PANOPTIC_MINI, scenes_of(PANOPTIC_MINI, shared_data), gated_method(one, one.gate_mm))
    assert row.value("pair_f1") == pytest.approx(PANOPTIC_F1[key], abs=1.0)
    assert row.value("mpjpe_mm") == pytest.approx(13.9, abs=1.0)


@pytest.mark.parametrize("protocol", (SHELF_DEV, MVOR_RTPOSE, PANOPTIC_MINI), ids=lambda p: p.name)
def test_the_oracle_is_perfect_and_random_grouping_fails(shared_data: Path, protocol: Protocol) -> None:
    scenes = scenes_of(protocol, shared_data)
    oracle = evaluate_association(protocol, scenes, oracle_method(scenes))
    assert [oracle.value(name) for name in ("pair_precision", "pair_recall", "pair_f1", "exact")] == [100.0] * 4
    random = evaluate_association(protocol, scenes, random_method())
    assert random.value("pair_f1") < 50 and random.value("exact") < 35


def test_random_grouping_halves_pcp(shared_data: Path) -> None:
    scenes = gather(list(SHELF_DEV.read(shared_data))[::4])
    assert evaluate(SHELF_DEV, scenes, random_method()).value("pcp") < 75


def test_skeletons_of_exact_detections_are_exact(shared_data: Path) -> None:
    from dispose.datasets.tables.panoptic import Simulation, read_panoptic_mini

    scenes = gather(read_panoptic_mini(shared_data / "panoptic_mini", simulation=Simulation(0.0, 0.0)))
    for one in CLASSIC:
        row = evaluate(PANOPTIC_MINI, scenes, gated_method(one, one.gate_mm))
        assert row.value("pair_f1") == 100.0
        assert row.value("mpjpe_mm") < 1e-6 and row.value("root_mm") < 1e-6


def test_views_can_be_chosen_and_exchanged(shared_data: Path) -> None:
    whole = list(PANOPTIC_MINI.read(shared_data))
    some = gather(whole, (4, 0, 2))
    first = some.read(some.numbers[0])
    assert first is not None and first.labels is not None
    assert first.frame.cameras.names == ("00_23", "00_03", "00_12")
    assert torch.equal(first.labels.identity, whole[0][1].identity[[4, 0, 2]])
    one = gated_method(classic("integer_programme"), 150.0)
    forth = evaluate(PANOPTIC_MINI, gather(whole, (0, 2, 4)), one)
    back = evaluate(PANOPTIC_MINI, some, one)
    assert forth.value("pair_f1") == back.value("pair_f1")
    assert forth.value("mpjpe_mm") == pytest.approx(back.value("mpjpe_mm"), abs=1e-6)
    for wrong in ((5,), (0, 0), (-1,)):
        with pytest.raises(InputError, match="views"):
            gather(whole, wrong)


def test_a_sweep_keeps_the_best_gate(shared_data: Path) -> None:
    scenes = scenes_of(PANOPTIC_MINI, shared_data)
    method, tried = best_method(PANOPTIC_MINI, scenes, [gated_method(classic("greedy"), gate) for gate in (5.0, 150.0)])
    assert method.gate_mm == 150.0 and [row.gate_mm for row in tried] == [5.0, 150.0]


def test_the_command_writes_what_it_measured(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    command = EvaluateCommand("panoptic_mini", ("greedy", "random"), shared_data, (0, 1, 2), (100.0, 150.0), out=out)
    assert command.run() == 0
    content = json.loads(out.read_text())
    assert content["schema"] == "dispose.results/1" and content["views"] == [0, 1, 2]
    assert content["rows"][0]["method"].startswith("greedy") and len(content["sweep"]) == 2
    assert {"commit", "command", "versions", "seconds"} <= content.keys()
    assert all(0 <= row["pair_f1"] <= 100 and row["frames"] == 20 for row in content["rows"])
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
    assert "greedy agglomerative" in capsys.readouterr().out


def test_unknown_names_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shelf"):
        protocols_of("campus")
    with pytest.raises(InputError, match="svt"):
        classic("spectral")
    with pytest.raises(InputError, match=r"no file .*shelf"):
        EvaluateCommand("shelf", ("greedy",), tmp_path).run()


def test_figures_that_do_not_exist_become_null(tmp_path: Path) -> None:
    assert plain_value(float("nan")) is None
    assert plain_value((1.0, float("nan"))) == [1.0, None]
    row = Row("nobody", "none", 0, None, (Figure("pair_f1", float("nan")),), 0.0)
    write_report(tmp_path / "new" / "a.json", Report("none", None, (row,), (), "dispose evaluate none", 0.0))
    assert json.loads((tmp_path / "new" / "a.json").read_text())["rows"][0]["pair_f1"] is None
    with pytest.raises(InputError, match="pcp"):
        row.value("pcp")
