"""Pictures of Stage II: every layer is shown, samples lie where the layer reads, edges hold their joints."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from dispose.models.dispose.decoder import Body
from dispose.models.dispose.decoder_layer import LayerUpdate, SamplingLocations
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15, PANOPTIC_15_REST
from dispose_viz.image import decoder, view_panels
from dispose_viz.style import DARK, LIGHT, lay_out, new_figure, person_color


def looking(views: int) -> tuple[SamplingLocations, LayerUpdate]:
    """One person, one joint; half of the first view's weight lies beside the image, the last is not looked at."""
    middle = torch.tensor([600.0, 300.0]).expand(1, views, 1, 2).clone()
    samples = middle[..., None, :] + torch.tensor([[0.0, 0], [20.0, 0], [0, 30.0], [10.0, 10]])
    samples[0, 0, 0, 1] = torch.tensor([-500.0, 300.0])
    weight = torch.tensor([0.2, 0.5, 0.2, 0.1]).expand(1, views, 1, 4)
    visible = torch.ones(1, views, 1, dtype=torch.bool)
    visible[0, -1] = False
    one = torch.ones(1, 1)
    moved = LayerUpdate(
        torch.zeros(1, 1, 3), middle + 25, visible, one, one.bool(), torch.full((1, views, 1), 1 / views)
    )
    return SamplingLocations(middle, samples, weight, torch.tensor([0, 1, 2, 0]), visible), moved


def test_sampling_locations_show_every_sample_and_say_what_lies_beside_the_picture(toy) -> None:
    cameras = toy.frame.cameras
    black = [np.zeros((720, 1280, 3), dtype=np.uint8)] * len(cameras)
    figure = view_panels.draw_images(new_figure(10, 6), cameras, black, columns=2)
    decoder.draw_sampling(figure, *looking(len(cameras)), person=0, joint=0)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "cam01: 50% beside the picture" and titles[-1] == "cam04: not looked at"
    assert titles[1] == "cam02: 0% beside the picture"
    first, last = figure.axes[0], figure.axes[-1]
    assert sum(len(np.asarray(group.get_offsets())) for group in first.collections) == 4 and not last.collections
    (left, right), (bottom, top) = first.get_xlim(), first.get_ylim()
    assert left >= -0.5 and right <= 1279.5 and right - left == pytest.approx(640) and left < 600 < right
    assert top < 300 < bottom
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fine map", "middle map", "coarse map"]


def test_every_layer_has_its_panel_at_one_scale(toy) -> None:
    people = toy.prediction.poses
    layers = [people, *(later.poses for later in toy.later[1:])]
    picture = np.zeros((720, 1280, 3), dtype=np.uint8)
    figure = decoder.draw_refinement(new_figure(12, 4), toy.frame.cameras, picture, 0, layers, 1)
    assert [a.get_title() for a in figure.axes] == ["rest pose at the root", *(f"after layer {n}" for n in range(1, 5))]
    assert len({(a.get_xlim(), a.get_ylim()) for a in figure.axes}) == 1
    for axes in figure.axes:
        assert to_hex(axes.collections[0].get_color()[0]).upper() == person_color(1)  # type: ignore[attr-defined]


def test_errors_are_those_of_the_nearest_true_person() -> None:
    truth = torch.tensor(PANOPTIC_15_REST.xyz, dtype=torch.float64)[None] + torch.tensor(
        [[[0.0, 0, 900]], [[3e3, 0, 900]]]
    )
    there = torch.ones(2, 15)
    poses = [
        Poses(PANOPTIC_15, truth.flip(0) + torch.tensor([dx, 0, 0]), there, there.bool(), torch.arange(2))
        for dx in (300.0, -40.0)
    ]
    known = Poses(PANOPTIC_15, truth, there, there.bool(), torch.arange(2))
    errors = decoder.errors_by_layer(poses, known)
    np.testing.assert_allclose(errors, np.array([300.0, 40.0])[:, None, None] * np.ones((1, 2, 15)))
    axes = decoder.draw_layer_errors(new_figure(5, 3).add_subplot(), errors.mean(-1))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["rest pose", "layer 1"]
    assert [text.get_text() for text in axes.texts] == ["P0", "P1"] and "mm" in axes.get_ylabel()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_trust_and_confidence_have_axes_and_all_their_numbers(theme) -> None:
    weight = torch.full((4, 15), 0.25)
    names = ["a", "b", "c", "d"]
    axes = decoder.draw_trust(new_figure(8, 3, theme=theme).add_subplot(), weight, names, PANOPTIC_15.joints)
    assert np.asarray(axes.images[0].get_array()).shape == (4, 15)
    sure, error = torch.rand(2, 15), np.linspace(12, 400, 30).reshape(2, 15)
    axes = decoder.draw_confidence(new_figure(5, 4, theme=theme).add_subplot(), sure, error, below_mm=50.0)
    assert axes.xaxis.label.get_color() == theme.ink
    assert "P(error below 50 mm)" in axes.get_xlabel() and "(mm)" in axes.get_ylabel()
    assert sum(len(np.asarray(line.get_xdata())) for line in axes.lines[:2]) == 30


def test_the_view_hypergraph_has_a_box_per_view_and_a_line_through_the_views_that_see_the_joint(toy) -> None:
    xy, _ = toy.frame.cameras.project(toy.prediction.poses.xyz_world[0])
    visible = np.ones((4, 17), dtype=bool)
    visible[2, COCO_17.index("l_wrist")] = False
    axes = decoder.draw_view_hypergraph(
        new_figure(10, 4).add_subplot(), COCO_17, xy.numpy(), visible, list("abcd"), joints=["nose", "l_wrist"]
    )
    assert len(axes.patches) == 4
    thick = [line for line in axes.lines if line.get_linewidth() == 3.5]
    assert [len(np.asarray(line.get_xdata())) for line in thick] == [4, 3]
    assert {"nose", "left wrist"} <= {text.get_text() for text in axes.texts}


def test_the_part_hypergraph_outlines_every_part_in_metres_with_left_on_the_right() -> None:
    pose = np.array(PANOPTIC_15_REST.xyz) + np.array([0, 0, 900.0])
    axes = decoder.draw_part_hypergraph(new_figure(4, 6).add_subplot(), PANOPTIC_15, pose, Body().parts)
    parts = [line for line in axes.lines if line.get_linewidth() == decoder.PART_WIDTH]
    assert [len(np.asarray(line.get_xdata())) for line in parts] == [len(part) for part in Body().parts]
    assert "(m)" in axes.get_ylabel()
    front = decoder.from_the_front(pose, PANOPTIC_15)
    assert front[PANOPTIC_15.index("l_shoulder"), 0] > front[PANOPTIC_15.index("r_shoulder"), 0]
    np.testing.assert_allclose(front[:, 1], pose[:, 2] / 1000)


@pytest.mark.filterwarnings("error")
def test_joints_that_are_no_numbers_leave_their_edges_and_nobody_is_drawn_too() -> None:
    pose = np.array(PANOPTIC_15_REST.xyz) + np.array([0, 0, 900.0])
    pose[PANOPTIC_15.index("l_wrist")], pose[PANOPTIC_15.index("l_shoulder")] = np.nan, np.inf
    figure = new_figure(4, 6)
    axes = decoder.draw_part_hypergraph(figure.add_subplot(), PANOPTIC_15, pose, Body().parts)
    lay_out(figure).draw_without_rendering()
    assert all(np.isfinite(np.asarray(line.get_xydata())).all() for line in axes.lines)
    front = decoder.from_the_front(pose, PANOPTIC_15)
    assert np.flatnonzero(np.isnan(front).any(1)).tolist() == sorted(PANOPTIC_15.indices(("l_wrist", "l_shoulder")))
    for sure, error in ((torch.zeros(0, 15), np.zeros((0, 15))), (torch.rand(1, 15), np.full((1, 15), np.nan))):
        figure = new_figure(5, 4)
        decoder.draw_confidence(figure.add_subplot(), sure, error, below_mm=50.0)
        lay_out(figure).draw_without_rendering()


def test_names_of_thirty_one_views_stay_apart() -> None:
    figure, names = new_figure(9, 5), [f"00_{view:02d}" for view in range(31)]
    axes = decoder.draw_trust(figure.add_subplot(), torch.full((31, 15), 1 / 31), names, PANOPTIC_15.joints)
    lay_out(figure).draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_yticklabels() if label.get_text()]
    heights = sorted((box.y0, box.y1) for box in boxes)
    assert len(boxes) >= 15 and all(a[1] <= b[0] + 2 for a, b in pairwise(heights))
