"""Claimed against real errors: groups, the diagonal, and answers side by side."""

import math

import numpy as np
import pytest

from dispose_viz.charts.claims import MeanErrors, NamedClaims, draw_answers, draw_calibration, grouped
from dispose_viz.style import PALETTE, new_figure


def test_joints_are_grouped_by_what_is_claimed_of_them() -> None:
    claimed = np.array([4.0, 1, 3, 2, np.nan, 5] * 5)
    real = np.array([40.0, 10, 30, 20, 99, np.nan] * 5)
    said, true = grouped(NamedClaims("a", claimed, real), groups=4)
    np.testing.assert_allclose(said, [1, 2, 3, 4])
    np.testing.assert_allclose(true, [10, 20, 30, 40])
    few, _ = grouped(NamedClaims("a", claimed[:6], real[:6]), groups=4)
    assert len(few) == 0, "four joints are no group"


def test_right_claims_lie_on_the_diagonal_and_bold_ones_above_it() -> None:
    claimed = np.geomspace(10, 200, 60)
    silent = NamedClaims("dlt", claimed * np.nan, claimed)
    axes = draw_calibration(
        new_figure(5, 5).add_subplot(),
        [silent, NamedClaims("right", claimed, claimed), NamedClaims("bold", claimed, 2 * claimed)],
    )
    right, bold, diagonal = axes.lines
    assert [line.get_label() for line in axes.lines] == ["right", "bold", "as claimed"]
    x, y = np.asarray(right.get_xydata()).T
    np.testing.assert_allclose(x, y)
    x, y = np.asarray(bold.get_xydata()).T
    np.testing.assert_allclose(y, 2 * x)
    assert right.get_color() == PALETTE[1], "a method keeps its colour where another claims nothing"
    assert diagonal.get_linestyle() == "--" and axes.get_xlim() == axes.get_ylim()


def test_an_answer_is_a_dot_at_the_real_and_a_bar_at_the_claimed_error() -> None:
    cases = [
        ("no lie", [MeanErrors("dlt", 20.0, math.nan), MeanErrors("rays", 15.0, 16.0)]),
        ("a stranger", [MeanErrors("dlt", 160.0, math.nan), MeanErrors("rays", 17.0, 25.0)]),
    ]
    figure = draw_answers(new_figure(9, 3), cases)
    first, second = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["no lie", "a stranger"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["dlt", "rays"]
    dots, bars = (
        [np.asarray(line.get_xydata()).tolist()[0] for line in second.lines if line.get_marker() == marker]
        for marker in "o|"
    )
    assert dots == [[160.0, 0], [17.0, 1]] and bars[1] == [25.0, 1] and math.isnan(bars[0][0])
    low, high = first.get_xlim()
    assert (low, high) == second.get_xlim() and low < 15 and high > 160 and first.get_ylim()[0] > first.get_ylim()[1]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"real error", "claimed error"}


def test_logarithmic_axes_have_plain_numbers() -> None:
    figure = new_figure(6, 6)
    axes = draw_calibration(figure.add_subplot(), [NamedClaims("a", np.geomspace(10, 90, 40), np.full(40, 30.0))])
    figure.draw_without_rendering()
    words = [label.get_text() for label in axes.get_xticklabels()] + [
        label.get_text() for label in axes.get_xticklabels(minor=True)
    ]
    assert {"10", "20", "50"} <= set(words) and not any("10^" in word for word in words)
    assert pytest.approx(axes.get_xlim()[0], rel=0.5) == 9
