"""The figures of the operators reach their file whole, and a wrong name is refused."""

import json

import pytest
import torch

import dispose.cli.main as cli
from dispose_benchmarks.kernels import Comparison, deformable_suite, feasibility


def test_the_report_holds_every_figure(tmp_path):
    threads = torch.get_num_threads()
    out = tmp_path / "deep" / "bench.json"
    assert cli.main(["bench", "kernels", "segment", "--out", str(out), "--captures", "2"]) == 0
    assert torch.get_num_threads() == threads
    report = json.loads(out.read_text())
    assert report["schema"] == "dispose.kernel-bench/1" and report["threads"] == 1
    assert {result["operator"] for result in report["results"]} == {
        "segment_sum",
        "segment_mean",
        "segment_max",
        "segment_softmax",
        "segment_logsumexp",
    }
    assert all(result["kind"] == "comparison" and result["difference"] < 1e-5 for result in report["results"])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["bench.json"]


def test_an_unknown_suite_is_refused(tmp_path):
    with pytest.raises(SystemExit):
        cli.main(["bench", "kernels", "sinkhron", "--out", str(tmp_path / "bench.json")])


def test_the_feasibility_figure_is_that_of_the_projection():
    figure = feasibility(3, batch=2)
    assert figure.captures == 3
    assert figure.worst_residual <= 1e-6


def test_deformable_attention_is_measured_and_equals_its_definition():
    results = deformable_suite(1)
    assert {result.operator for result in results if isinstance(result, Comparison)} == {"deformable_gather"}
    assert all(result.difference < 1e-4 for result in results if isinstance(result, Comparison))
