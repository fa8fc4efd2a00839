"""Pictures of candidates: true pairs are marked, counts are written out, a cut says what it costs."""

import numpy as np
import pytest
import torch

from dispose_benchmarks.studies.candidates import CandidateStages, Judged
from dispose_viz.hypergraph import candidates
from dispose_viz.style import DARK, lay_out, new_figure, person_color


def some() -> Judged:
    cue = np.array([0.9, 0.8, 0.2, 0.1, 0.7])
    pure = np.array([True, True, True, False, False])
    return Judged(np.full(5, 2), 1 / cue, cue, np.array([0.5, np.nan, 0.5, 0.5, 0.9]), pure, pure & (cue != 0.9))


def test_every_stage_is_a_bar_with_its_number() -> None:
    axes = candidates.draw_stages(new_figure(6, 3, theme=DARK).add_subplot(), CandidateStages(4477, 462, 400, 201))
    assert [text.get_text() for text in axes.texts] == ["4,477", "462", "400", "201"]


def test_a_dot_marks_every_true_pair_and_views_are_named(toy) -> None:
    detections = toy.frame.detections
    identity = torch.tensor([0, 1, 2, 0, 1, -1, 0, 1, 2, 0, 1, 2])
    view = detections.valid.nonzero()[:, 0]
    misfit = torch.full((12, 12), 3.0).double()
    misfit[view[:, None] == view] = torch.inf
    misfit[0, 4] = misfit[4, 0] = 24.0
    axes = candidates.draw_pair_table(
        new_figure(8, 7).add_subplot(), misfit, identity, detections, toy.frame.cameras.names, limit=17.0
    )
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    # Persons 0 and 1 are seen by four views, person 2 by three: ordered pairs.
    assert len(dots) == 2 * (6 + 6 + 3)
    assert {line.get_markerfacecolor() for line in dots} == {person_color(i) for i in range(3)}
    apart, close = (np.ma.asarray(image.get_array()) for image in axes.images)
    assert np.ma.count_masked(close) == 12 * 3 + 2 and int((apart == 1).sum()) == 2
    assert {text.get_text() for text in axes.texts} == set(toy.frame.cameras.names)


def test_right_and_wrong_are_counted_without_those_that_have_no_score() -> None:
    judged = some()
    axes = candidates.draw_right_and_wrong(
        new_figure(5, 3).add_subplot(), judged.released, judged.pure, words="released", bins=np.linspace(0, 1, 11)
    )
    legend = axes.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == ["wrong (2)", "right (2)"]


def test_a_cut_says_what_is_kept_and_who_is_lost() -> None:
    judged = some()
    for least, words in ((0.0, ["5\nof 5", "0\nof 2"]), (0.3, ["3\nof 5", "1\nof 2"]), (1.0, ["0\nof 5", "2\nof 2"])):
        figure = candidates.draw_cut(new_figure(9, 3), judged, judged.cue, least, words="our cue")
        assert [text.get_text() for text in figure.axes[1].texts] == words
    # Without a score nothing is kept.
    figure = candidates.draw_cut(new_figure(9, 3), judged, judged.released, 0.0, words="released")
    assert figure.axes[1].texts[0].get_text() == "4\nof 5"


@pytest.mark.filterwarnings("error")
def test_a_frame_without_candidates_is_drawn_with_its_zeros() -> None:
    figure = new_figure(6, 3)
    axes = candidates.draw_stages(figure.add_subplot(), CandidateStages(4, 1, 0, 0))
    lay_out(figure).draw_without_rendering()
    assert [text.get_text() for text in axes.texts] == ["4", "1", "0", "0"] and axes.get_xlim()[0] < 1
    nothing = np.zeros(0)
    axes = new_figure(6, 3).add_subplot()
    candidates.draw_right_and_wrong(axes, nothing, nothing > 0, words="cue", bins=np.linspace(0, 1, 5))
    figure = new_figure(8, 3)
    judged = Judged(nothing.astype(int), nothing, nothing, nothing, nothing > 0, nothing > 0)
    candidates.draw_cut(figure, judged, nothing, 0.5, words="cue")
    lay_out(figure).draw_without_rendering()
