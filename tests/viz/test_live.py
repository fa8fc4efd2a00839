"""Laws of watching a process: the picture follows it, its failure is told, an interruption ends it."""

import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from dispose.errors import DisposeError
from dispose_viz import widgets
from dispose_viz.charts.curves import draw_training, last_values, read_training
from dispose_viz.style import new_figure

STEPS = "import sys, time\nfor i in range(3): print('step', i, flush=True); time.sleep(0.15)\n"


class Screen:
    """What IPython would show, one after the other."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def display(self, figure: Figure, display_id: bool) -> "Screen":
        self.figures.append(figure)
        return self

    def update(self, figure: Figure) -> None:
        self.figures.append(figure)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(widgets, "display", screen.display)
    return screen


def test_the_picture_is_drawn_again_while_the_process_runs_and_at_its_end(tmp_path: Path, screen: Screen) -> None:
    log, seen = tmp_path / "log", []

    def draw() -> Figure:
        seen.append(log.read_text().count("step") if log.exists() else 0)
        return new_figure(1.0, 1.0)

    seconds = widgets.follow([sys.executable, "-c", STEPS], log, draw)
    assert seen[0] == 0 and seen[-1] == 3 and len(screen.figures) == len(seen) >= 3 and seconds > 0.4


def test_a_failure_is_told_with_the_last_lines(tmp_path: Path, screen: Screen) -> None:
    command = [sys.executable, "-c", f"{STEPS}\nsys.exit('no more memory')"]
    with pytest.raises(DisposeError, match=r"status 1:(.|\n)*no more memory"):
        widgets.follow(command, tmp_path / "log", lambda: new_figure(1.0, 1.0))


def test_an_interruption_ends_the_process(tmp_path: Path, screen: Screen) -> None:
    drawn = []

    def draw() -> Figure:
        drawn.append(1)
        if len(drawn) > 1:
            raise KeyboardInterrupt
        return new_figure(1.0, 1.0)

    with pytest.raises(KeyboardInterrupt):
        widgets.follow([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", draw)


def test_a_training_is_drawn_at_every_stage_of_it(tmp_path: Path) -> None:
    assert read_training(tmp_path) == () and draw_training(new_figure(4.0, 2.0), ()).texts
    for stage, text in (("first", "step,loss,other\n0,2.0,1\n1,1.0,1\n"), ("second", "step,loss\n")):
        (tmp_path / stage / "csv").mkdir(parents=True)
        (tmp_path / stage / "csv" / "metrics.csv").write_text(text)
    (log,) = read_training(tmp_path)
    assert log.run == "first" and [curve.name for curve in log.curves] == ["loss"]
    assert last_values((log,)) == (("loss", 1.5),)
    (axes,) = draw_training(new_figure(4.0, 2.0), (log,)).axes
    assert axes.get_ylabel() == "loss: first" and axes.get_xlabel() == "optimiser step"
