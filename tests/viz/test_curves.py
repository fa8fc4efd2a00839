"""Training curves are what the log says."""

import numpy as np
import pytest

from dispose.errors import InputError
from dispose_viz.charts import curves
from dispose_viz.charts.curves import (
    LINES,
    draw_curves,
    draw_logs,
    look_of,
    read_curves,
    read_logs,
    running_mean,
    shared_first,
)
from dispose_viz.style import DARK, LIGHT, new_figure
from dispose_workbench.results.run_folders import read_run_folders


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
    for width in (0, -4):
        with pytest.raises(InputError, match=f"at least 1 step, not {width}"):
            running_mean(value, width)


@pytest.mark.parametrize("kinds", [LINES, curves.MARKERS])
def test_no_two_of_many_runs_look_the_same(kinds) -> None:
    count = 8 * len(kinds)
    assert len({look_of(run, kinds) for run in range(count)}) == count


def test_one_named_line_per_curve(tmp_path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,a,b\n0,1,2\n1,0,1\n")
    axes = draw_curves(new_figure(4.0, 3.0).add_subplot(), read_curves(path), "loss")
    legend = axes.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["a", "b"]
    assert axes.get_xlabel() == "optimiser step" and axes.get_ylabel() == "loss"


def write_training(folder, values) -> None:
    (folder / "csv").mkdir(parents=True)
    (folder / "recipe.json").write_text(f'{{"rate": {values[0]}, "same": 1}}')
    rows = "".join(f"{step},{value}\n" for step, value in enumerate(values))
    (folder / "csv" / "metrics.csv").write_text(f"step,loss\n{rows}")
    (folder / "metrics.json").write_text(f'{{"f1": {values[-1]}, "{folder.name}": 1}}')


def test_several_runs_lie_over_each_other_and_a_broken_log_is_said(tmp_path) -> None:
    for name, values in (("a", [3.0, 2.0]), ("b", [3.5, 1.0]), ("c", [4.0, 0.5])):
        write_training(tmp_path / name, values)
    (tmp_path / "c" / "csv" / "metrics.csv").write_text("x\n1\n")
    runs, _ = read_run_folders([tmp_path])
    logs, sentences = read_logs(runs)
    assert [log.run for log in logs] == ["a", "b"]
    assert len(sentences) == 1 and "'step'" in sentences[0] and "c" in sentences[0]
    figure = draw_logs(new_figure(6.0, 3.0), logs)
    (axes,) = figure.axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 2
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), [3.5, 1.0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_what_most_runs_have_comes_first_and_losses_before_others() -> None:
    assert shared_first(["x", "loss", "y", "y"]) == ("y", "loss", "x")


def test_the_table_shows_what_differs_and_says_what_is_missing(tmp_path) -> None:
    for name, values in (("a<b>", [3.0, 2.0]), ("b", [3.5, 1.0])):
        write_training(tmp_path / name, values)
    runs, _ = read_run_folders([tmp_path])
    assert curves.find_differences(runs) == ("rate",)
    table = curves.table(runs)
    assert "a&lt;b&gt;" in table and "same" not in table and table.count("–") == 2
    assert curves.remarks(runs) == ("2 of 3 key figures are not in every run.",)
    figure = curves.draw_figures(new_figure(6.0, 3.0), runs, most=1)
    assert figure.axes[0].get_xlabel() == "f1" and len(figure.axes) == 1


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_runs_are_drawn_in_both_themes(theme, tmp_path) -> None:
    write_training(tmp_path / "a", [3.0, 2.0])
    runs, _ = read_run_folders([tmp_path])
    figure = draw_logs(new_figure(6.0, 3.0, theme=theme), read_logs(runs)[0], smooth=3)
    assert figure.axes[0].xaxis.label.get_color() == theme.ink
    assert curves.draw_figures(new_figure(6.0, 3.0, theme=theme), runs).axes
