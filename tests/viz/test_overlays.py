"""Images with people and heat over them: everything where it is, in pixels of the original image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, letterbox, map_from_input
from dispose_viz.image.view_panels import draw_heat, draw_heat_scale, draw_images, draw_joint, draw_people
from dispose_viz.style import new_figure


@pytest.fixture
def figure(toy):
    """The toy's views, the last without an image."""
    cameras = toy.frame.cameras
    pictures = [np.zeros((720, 1280, 3), np.uint8) for _ in cameras.names]
    return draw_images(new_figure(8.0, 4.0), cameras, [*pictures[:-1], None])


def test_every_view_has_its_picture_or_says_that_there_is_none(toy, figure) -> None:
    names = toy.frame.cameras.names
    assert [axes.get_title() for axes in figure.axes] == [*names[:-1], f"{names[-1]}: no picture"]
    assert [len(axes.images) for axes in figure.axes] == [1] * (len(names) - 1) + [0]
    assert list(figure.axes[0].images[0].get_extent()) == [-0.5, 1279.5, 719.5, -0.5]


def test_people_are_drawn_where_the_camera_sees_them_with_their_number(toy, figure) -> None:
    cameras, poses = toy.frame.cameras, toy.prediction.poses
    axes = draw_people(figure.axes[1], cameras, poses, 1)
    assert {text.get_text() for text in axes.texts} == {f"P{person}" for person in poses.id.tolist()}
    drawn = np.concatenate([np.asarray(line.get_xydata()) for line in axes.lines])
    expected = cameras.project(poses.xyz_world)[0][1][poses.valid].numpy()
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
    nobody = replace(poses, valid=torch.zeros_like(poses.valid))
    bones = len([c for c in axes.collections if isinstance(c, LineCollection)])
    draw_people(axes, cameras, nobody, 1)
    assert len([c for c in axes.collections if isinstance(c, LineCollection)]) == bones


def test_heat_lies_over_the_pixels_that_it_speaks_of(toy, figure) -> None:
    axes = figure.axes[0]
    limits = axes.get_xlim(), axes.get_ylim()
    affine = letterbox(toy.frame.cameras.size[0], (256, 192))
    draw_heat(axes, torch.rand(48, 64), affine, 4)
    left, right, bottom, top = axes.images[-1].get_extent()
    # The middle of the heat map's pixel (10, 20) by both ways.
    drawn = torch.tensor([left + 10.5 / 64 * (right - left), top + 20.5 / 48 * (bottom - top)], dtype=torch.float64)
    there = map_from_input(apply(affine.double(), drawn), 4)
    np.testing.assert_allclose(there.numpy(), [10, 20], atol=1e-6)
    assert (axes.get_xlim(), axes.get_ylim()) == limits


def test_nothing_in_the_picture_shows_as_strongly_as_heat(toy, figure) -> None:
    axes = draw_heat(figure.axes[0], torch.eye(48, 64), letterbox(toy.frame.cameras.size[0], (256, 192)), 4)
    veil = np.asarray(axes.images[-1].get_alpha())
    assert veil[0, 0] == 1.0 and 0.5 < veil[0, 1] < 0.8


def test_a_joint_is_ringed_where_it_projects_and_the_heat_has_a_scale(toy, figure) -> None:
    cameras, poses = toy.frame.cameras, toy.prediction.poses
    axes = draw_joint(figure.axes[2], cameras, poses, 2, "l_wrist")
    rings = np.concatenate([np.asarray(line.get_xydata()) for line in axes.lines])
    expected = cameras.project(poses.xyz_world[:, poses.skeleton.index("l_wrist")])[0][2]
    np.testing.assert_allclose(rings, expected.numpy(), atol=1e-6)
    assert [text.get_text() for text in axes.texts] == ["P0", "P1", "P2"]
    with pytest.raises(InputError, match="no joint 'tail'"):
        draw_joint(axes, cameras, poses, 2, "tail")
    before = len(figure.axes)
    bar = draw_heat_scale(figure).axes[before]
    assert "heat map" in bar.get_ylabel() and bar.get_ylim() == (0.0, 1.0)
