"""Laws of residuals: numbers are projected distances, cells are medians, and a turned camera is its column."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.offsetbox import TextArea
from matplotlib.quiver import Quiver

from dispose.errors import InputError, ShapeError
from dispose.scene.results import Prediction
from dispose.scene.teaching import rotate_camera
from dispose.skeletons.catalog import SHELF_14
from dispose_viz.image.canvas import draw_canvas
from dispose_viz.image.residuals import (
    LEAST_TOP_PX,
    draw_matrix,
    medians_px,
    over_frames,
    residuals_of,
    suspects,
    view_medians_px,
)
from dispose_viz.image.view_panels import draw_person_views, draw_residuals, draw_views
from dispose_viz.style import DARK, new_figure


def test_residuals_are_the_distances_between_keypoints_and_projections(toy) -> None:
    residuals = residuals_of(toy.frame, toy.prediction)
    xy, _ = toy.frame.cameras.project(toy.prediction.poses.xyz_world)
    found = toy.frame.detections.xy_image
    for person in range(3):
        for view in range(4):
            if person == 2 and view == 1:
                assert bool(torch.isnan(residuals.length_px[person, view]).all()), "nobody's detection"
            else:
                expected = (xy[view, person] - found[view, person]).norm(dim=-1)
                torch.testing.assert_close(residuals.length_px[person, view], expected)


def test_a_cell_is_the_median_of_its_person_in_its_view(toy) -> None:
    residuals = residuals_of(toy.frame, toy.prediction)
    table, length = medians_px(residuals), residuals.length_px.numpy()
    assert table.shape == (3, 4) and np.isnan(table[2, 1]) and np.isfinite(np.delete(table.ravel(), 9)).all()
    assert table[0, 3] == np.median(length[0, 3])
    assert view_medians_px(residuals)[1] == np.median(length[:2, 1])
    axes = draw_matrix(new_figure(6, 3).add_subplot(), residuals, toy.frame.cameras.names)
    texts = [t.get_text() for t in axes.texts]
    assert texts[:4] == [f"{value:.1f}" for value in table[0]] and texts[9] == "–"
    assert texts[12:] == [f"{value:.1f}" for value in view_medians_px(residuals)]
    assert axes.images[0].get_clim() == (0.0, LEAST_TOP_PX)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["P0", "P1", "P2", "everybody"]


@pytest.mark.parametrize("view", [0, 2])
def test_the_column_of_a_turned_camera_stands_out(toy, view: int) -> None:
    frame = replace(toy.frame, cameras=rotate_camera(toy.frame.cameras, view, 2.0))
    residuals = residuals_of(frame, toy.prediction)
    assert suspects(residuals_of(toy.frame, toy.prediction)) == ()
    assert suspects(residuals) == (view,)
    assert int(np.nanargmax(view_medians_px(residuals))) == view
    axes = draw_matrix(new_figure(6, 3, theme=DARK).add_subplot(), residuals, frame.cameras.names)
    assert [t.get_text().endswith("✗") for t in axes.get_xticklabels()] == [v == view for v in range(4)]
    assert len(axes.patches) == 1


def test_the_number_at_an_arrow_is_the_largest_error_and_the_means_stand_above(toy) -> None:
    residuals = residuals_of(toy.frame, toy.prediction)
    figure = draw_views(new_figure(12, 8), toy.frame, prediction=toy.prediction)
    for view, axes in enumerate(figure.axes):
        before = len(axes.texts)
        draw_residuals(axes, toy.frame, toy.prediction, view)
        length = residuals.length_px[:, view]
        assert [t.get_text() for t in axes.texts[before:]] == [f"{float(length[length.isfinite()].max()):.0f} px"]
        words = [t.get_text() for box in axes.artists for t in box.findobj(TextArea)]
        assert words == ["mean error (px)", *_means(length), "10 px"]
    figure.canvas.draw()


def _means(length) -> list[str]:
    return [f"P{i} {float(row.mean()):.1f}" for i, row in enumerate(length) if bool(torch.isfinite(row).all())]


def test_means_stand_in_the_order_of_the_people(toy) -> None:
    turned = toy.prediction.select(persons=[2, 0, 1])
    axes = draw_canvas(new_figure(4, 3).add_subplot(), toy.frame.cameras.size[0], "a")
    draw_residuals(axes, toy.frame, turned, 0)
    words = [t.get_text() for box in axes.artists for t in box.findobj(TextArea)]
    assert [word[:2] for word in words if word.startswith("P")] == ["P0", "P1", "P2"]


def test_other_skeletons_meet_in_the_joints_that_both_name(toy) -> None:
    poses = toy.prediction.poses
    shared = [j for j in SHELF_14.joints if j in poses.skeleton.joints]
    xyz = torch.zeros(3, 14, 3, dtype=torch.float64)
    valid = torch.zeros(3, 14, dtype=torch.bool)
    rows = SHELF_14.indices(tuple(shared))
    xyz[:, rows] = poses.xyz_world[:, poses.skeleton.indices(tuple(shared))]
    valid[:, rows] = True
    others = replace(poses, skeleton=SHELF_14, xyz_world=xyz, valid=valid, confidence=valid.double())
    residuals = residuals_of(toy.frame, replace(toy.prediction, poses=others))
    same = residuals_of(toy.frame, toy.prediction)
    assert residuals.joints == tuple(shared) and 10 < len(shared) < 14 + 1
    columns = [same.joints.index(j) for j in shared]
    torch.testing.assert_close(residuals.length_px, same.length_px[..., columns], equal_nan=True)


def test_nan_joints_nobody_and_one_view_are_drawn_without_complaint(toy) -> None:
    poses = toy.prediction.poses
    broken = replace(poses, xyz_world=poses.xyz_world.clone(), valid=poses.valid.clone())
    broken.xyz_world[0], broken.valid[0] = torch.nan, False
    residuals = residuals_of(toy.frame, replace(toy.prediction, poses=broken))
    assert np.isnan(medians_px(residuals)[0]).all() and np.isfinite(view_medians_px(residuals)).all()
    axes = draw_canvas(new_figure(4, 3).add_subplot(), toy.frame.cameras.size[0], "a")
    draw_residuals(axes, toy.frame, replace(toy.prediction, poses=broken), 0)
    (arrows,) = (c for c in axes.collections if isinstance(c, Quiver))
    assert arrows.N == int(residuals.used[:, 0].sum()) == 2 * 17
    nobody = toy.prediction.select(persons=[])
    draw_matrix(new_figure(6, 3).add_subplot(), residuals_of(toy.frame, nobody), toy.frame.cameras.names)
    axes = draw_residuals(axes, toy.frame, nobody, 1)
    association = toy.prediction.association
    one = replace(toy.prediction, association=replace(association, members=association.members[:, :1]))
    alone = residuals_of(toy.frame.select(views=[0]), one)
    assert suspects(alone) == () and medians_px(alone).shape == (3, 1)


def test_several_frames_are_one_table_with_a_row_per_person(toy) -> None:
    first = residuals_of(toy.frame, toy.prediction)
    two = toy.prediction.select(persons=[2, 0])
    some = replace(two, number=8, poses=replace(two.poses, id=torch.tensor([2, 7])))
    second = residuals_of(toy.frame, some)
    both = over_frames([first, second])
    assert both.person == (0, 1, 2, 7) and both.length_px.shape == (4, 4, 34)
    pooled = torch.cat([first.length_px[2, 0], second.length_px[0, 0]])
    assert medians_px(both)[2, 0] == pytest.approx(np.median(pooled.numpy()))
    assert medians_px(both)[3, 0] == medians_px(second)[1, 0]
    with pytest.raises(ShapeError, match="2 frames with 2 kinds"):
        over_frames([first, residuals_of(toy.frame.select(views=[0]), _one_view(toy.prediction))])
    with pytest.raises(ShapeError, match="0 frames"):
        over_frames([])


def _one_view(prediction: Prediction) -> Prediction:
    association = prediction.association
    return replace(prediction, association=replace(association, members=association.members[:, :1]))


def test_one_person_is_shown_in_every_view_with_their_errors_only(toy) -> None:
    figure = draw_person_views(new_figure(12, 8, theme=DARK), toy.frame, toy.prediction, 2)
    assert [axes.get_title().splitlines()[0] for axes in figure.axes] == ["cam01", "cam02: not seen", "cam03", "cam04"]
    for view, axes in enumerate(figure.axes):
        words = [t.get_text() for box in axes.artists for t in box.findobj(TextArea)]
        length = residuals_of(toy.frame, toy.prediction).length_px[2, view]
        mean = ["nobody to compare"] if view == 1 else ["mean error (px)", f"P2 {float(length.mean()):.1f}"]
        assert words == [*mean, "10 px"]
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        x, y = toy.frame.cameras.project(toy.prediction.poses.xyz_world[2])[0][view].unbind(-1)
        assert left < x.min() and x.max() < right and top < y.min() and y.max() < bottom
        assert right - left < 1280
    with pytest.raises(InputError, match="no person 5"):
        draw_person_views(new_figure(12, 8), toy.frame, toy.prediction, 5)


def test_another_number_of_cameras_is_one_sentence(toy) -> None:
    with pytest.raises(ShapeError, match="3 views in the frame, 4 in the prediction"):
        residuals_of(toy.frame.select(views=[0, 1, 2]), toy.prediction)
    with pytest.raises(ShapeError, match="4 views in the residuals, 2 names"):
        draw_matrix(new_figure(6, 3).add_subplot(), residuals_of(toy.frame, toy.prediction), ["a", "b"])
