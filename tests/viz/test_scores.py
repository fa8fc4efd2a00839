"""Score pictures hold what they were given."""

import numpy as np

from dispose_viz.charts.curves import Score, draw_scores
from dispose_viz.style import new_figure


def test_one_named_line_per_method_and_ours_stands_out() -> None:
    scores = [Score("ours", np.array([99.0, np.nan])), Score("classic", np.array([90.0, 95.0]))]
    axes = draw_scores(new_figure(5.0, 3.0).add_subplot(), [2, 3], scores, xlabel="views", ylabel="pair F1 (%)")
    ours, classic = axes.lines
    assert [line.get_label() for line in (ours, classic)] == ["ours", "classic"]
    assert ours.get_linewidth() > classic.get_linewidth() and ours.get_color() != classic.get_color()
    assert list(axes.get_xticks()) == [2, 3] and axes.get_ylabel() == "pair F1 (%)"
    np.testing.assert_array_equal(np.asarray(classic.get_ydata()), [90.0, 95.0])
