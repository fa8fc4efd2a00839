"""Charts of triangulators show what the tables say, each line under its name."""

import json
from pathlib import Path

import numpy as np
import pytest

from dispose_viz.charts.triangulators import (
    BY_VIEWS,
    JOINTS,
    PEOPLE,
    Chart,
    Series,
    draw_by_views,
    draw_claims,
    draw_tables,
    read_series,
    title_of,
)
from dispose_viz.style import new_figure


def by_views(method: str, frames: str, errors: list[float | None]) -> list[dict[str, object]]:
    return [
        {"method": method, "detections": frames, "views": 1.0 + i, "joint_mm": e, "p95_mm": e, "joints": 10.0 * i}
        for i, e in enumerate(errors)
    ]


ROWS = [
    *by_views("dlt", "rooms", [None, 100.0, 60.0]),
    *by_views("ransac", "rooms", [None, 80.0, 30.0]),
    *by_views("dlt", "a dome", [50.0, 20.0, 10.0]),
]


def claims(method: str, views: tuple[float, float], chart: Chart) -> list[dict[str, object]]:
    low, high = views
    return [
        {"method": method, "detections": "rooms", "views": low, "most_views": high, chart.at: c, chart.value: 2.0 * c}
        for c in (5.0, 10.0, 40.0)
    ]


def lines(folder: Path, rows: list[dict[str, object]], chart: Chart) -> list[Series]:
    path = folder / "rows.json"
    path.write_text(json.dumps({"rows": rows}))
    return read_series(path, chart)


def test_lines_are_the_rows_of_a_method_and_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    first, second, third = lines(tmp_path, ROWS, BY_VIEWS[0])
    assert (first.name, second.name, third.frames) == ("dlt", "ransac", "a dome")
    assert first.at == (1.0, 2.0, 3.0) and np.isnan(first.value[0]) and first.value[1:] == (100.0, 60.0)
    assert lines(tmp_path, ROWS, JOINTS) == []


def test_every_set_of_frames_has_its_row_of_charts(tmp_path: Path) -> None:
    figure = draw_by_views(new_figure(16, 9), [lines(tmp_path, ROWS, chart) for chart in BY_VIEWS])
    assert len(figure.axes) == 2 * len(BY_VIEWS)
    error, worst, joints = figure.axes[:3]
    assert error.get_title() == "rooms: mean error of the placed joints"
    np.testing.assert_array_equal(error.lines[1].get_ydata(), [np.nan, 80.0, 30.0])
    assert error.get_yscale() == worst.get_yscale() == "log" and joints.get_yscale() == "linear"
    np.testing.assert_array_equal(joints.lines[0].get_ydata(), [0.0, 10.0, 20.0])
    # A method keeps its look from chart to chart.
    assert figure.axes[0].lines[0].get_color() == figure.axes[3].lines[0].get_color()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["DLT", "RANSAC"]


@pytest.mark.parametrize("chart", [JOINTS, PEOPLE], ids=["joints", "people"])
def test_claims_stand_over_a_line_on_which_they_are_true(tmp_path: Path, chart: Chart) -> None:
    other = PEOPLE if chart == JOINTS else JOINTS
    rows = [*claims("dlt", (4.0, 5.0), chart), *claims("dlt", (1.0, 1.0), chart), *claims("dlt", (2.0, 2.0), other)]
    figure = draw_claims(new_figure(16, 5), lines(tmp_path, rows, chart), chart)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"rooms\n{chart.title} seen by 1 view", f"rooms\n{chart.title} seen by 4 to 5 views"]
    line, diagonal = figure.axes[1].lines
    np.testing.assert_array_equal(line.get_ydata(), 2 * np.asarray(line.get_xdata()))
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["DLT", "as claimed"]


def test_a_name_that_is_in_no_table_is_shown_as_it_is() -> None:
    assert title_of("ransac") == "RANSAC" and title_of("magic") == "magic"


def test_pictures_are_written_beside_the_tables_that_are_there(tmp_path: Path) -> None:
    results = tmp_path / "x.json"
    assert draw_tables(results) == []
    (tmp_path / "x_by_views.json").write_text(json.dumps({"rows": ROWS}))
    (tmp_path / "x_reliability.json").write_text(json.dumps({"rows": claims("dlt", (2.0, 2.0), PEOPLE)}))
    written = draw_tables(results)
    assert [path.name for path in written] == ["x_by_views.png", "x_reliability_people.png"]
    assert all(path.stat().st_size > 10_000 for path in written)
