"""Training curves are what the log says."""

import numpy as np
import pytest

from dispose.errors import InputError
from dispose_viz.curves import draw_curves, read_curves, running_mean
from dispose_viz.style import new_figure


def test_csv_with_gaps_as_lightning_writes_it(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train_loss,valid_f1\n0,0,2.5,\n0,10,1.5,\n0,10,,0.9\n0,20,nan,\n")
    loss, f1 = read_curves(path)[::1]
    assert (loss.name, f1.name) == ("train_loss", "valid_f1")
    np.testing.assert_array_equal(loss.step, [0, 10])
    np.testing.assert_array_equal(loss.value, [2.5, 1.5])
    np.testing.assert_array_equal(f1.value, [0.9])


def test_a_half_written_last_line_is_left_out_and_a_broken_middle_is_named(tmp_path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo')
    (loss,) = read_curves(path)
    np.testing.assert_array_equal(loss.value, [2.0, 1.0])
    path.write_text('{"step": 1, "loss": 2.0}\nnonsense\n{"step": 3, "loss": 1.0}\n')
    with pytest.raises(InputError, match="line 2"):
        read_curves(path)


def test_no_log_and_no_steps_are_one_sentence(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read_curves(tmp_path / "nowhere.csv")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="'step'"):
        read_curves(tmp_path / "a.csv")


def test_running_mean_keeps_constants_and_width_one_changes_nothing() -> None:
    value = np.random.default_rng(0).normal(size=20)
    np.testing.assert_allclose(running_mean(value, 1), value, atol=1e-12)
    np.testing.assert_allclose(running_mean(np.full(9, 3.0), 4), 3.0)


def test_one_named_line_per_curve(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,a,b\n0,1,2\n1,0,1\n")
    axes = draw_curves(new_figure(4.0, 3.0).add_subplot(), read_curves(path), "loss")
    legend = axes.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["a", "b"]
    assert axes.get_xlabel() == "optimiser step" and axes.get_ylabel() == "loss"
