"""The log of a training that was killed: rows stay, those that are done again are there once, torn ones go."""

from pathlib import Path

from dispose.training.metrics_log import MetricsLog


def test_rows_survive_a_kill_and_are_there_once(tmp_path: Path) -> None:
    path = tmp_path / "csv" / "metrics.csv"
    first = MetricsLog(path)
    for step in (9, 19, 29):
        first.log_metrics({"loss": step / 10}, step)
    # Killed within the row after that; the last checkpoint was of step 20.
    path.write_text(path.read_text() + "39,3.")
    again = MetricsLog(path)
    again.log_metrics({"loss": 2.9}, 29)
    again.log_metrics({"loss": 3.9, "score": 7.0}, 39)
    assert path.read_text() == "step,loss,score\n9,0.9,\n19,1.9,\n29,2.9,\n39,3.9,7.0\n"
