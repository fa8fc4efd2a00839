"""How far keypoints are trusted, in the images: sizes, colours, crosses, and what is wrong with them."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection

from dispose_viz.image.trust import MOST_POINTS, draw_trusted_views, relative_trust
from dispose_viz.style import new_figure


def only(axes, kind):
    return [one for one in axes.collections if isinstance(one, kind)]


def test_trust_is_compared_joint_by_joint() -> None:
    weight = torch.tensor([[2.0, 0.0, 5.0], [4.0, 0.0, 0.0]])
    torch.testing.assert_close(relative_trust(weight), torch.tensor([[0.5, 0.0, 1.0], [1.0, 0.0, 0.0]]))


def test_every_seen_keypoint_is_a_disc_or_a_cross_and_its_error_a_line(toy) -> None:
    cameras, true = toy.frame.cameras, toy.prediction.poses.select(persons=[0])
    xy = cameras.project(true.xyz_world)[0][:, 0] + torch.tensor([30.0, 0.0])
    seen, weight = torch.ones(4, 17, dtype=torch.bool), torch.ones(4, 17)
    seen[2, 5:] = False
    weight[1, :3], weight[1, 3] = 0.0, 0.5
    figure = draw_trusted_views(new_figure(12, 5), cameras, xy, seen, weight, true)
    axes = figure.axes[1]
    assert [a.get_title() for a in figure.axes[:4]] == list(cameras.names)
    (discs,) = only(axes, PathCollection)
    np.testing.assert_allclose(np.asarray(discs.get_offsets()), xy[1, 3:], atol=1e-9)
    assert np.asarray(discs.get_array())[:2].tolist() == [0.5, 1.0]
    assert discs.get_sizes()[1] == pytest.approx(MOST_POINTS**2) and discs.get_sizes()[0] < MOST_POINTS**2
    (crosses,) = [line for line in axes.lines if line.get_marker() == "x"]
    np.testing.assert_allclose(np.asarray(crosses.get_xydata()), xy[1, :3])
    ways = only(figure.axes[2], LineCollection)[0].get_segments()
    assert len(ways) == 5
    np.testing.assert_allclose([way[0] - way[1] for way in ways], [[30.0, 0.0]] * 5, atol=1e-6)
    assert "trust" in figure.axes[-1].get_ylabel()


def test_a_view_shows_the_person_upright_and_whole_over_its_image(toy) -> None:
    cameras, true = toy.frame.cameras, toy.prediction.poses.select(persons=[2])
    xy = cameras.project(true.xyz_world)[0][:, 0]
    images = [np.full((720, 1280, 3), 128, np.uint8), None, None, None]
    seen = torch.ones(4, 17, dtype=torch.bool)
    seen[3] = False
    figure = draw_trusted_views(new_figure(12, 5), cameras, xy, seen, seen.double(), true, images=images)
    assert [len(axes.images) for axes in figure.axes[:4]] == [1, 0, 0, 0]
    for view, axes in enumerate(figure.axes[:4]):
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert 0 < right - left < bottom - top
        assert bool(((xy[view] > torch.tensor([left, top])) & (xy[view] < torch.tensor([right, bottom]))).all())
