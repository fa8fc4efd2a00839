"""What the pictures of views contain."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.quiver import Quiver

from dispose.scene.frame import Labels
from dispose.tensors import ABSENT
from dispose_viz.image.canvas import draw_canvas, draw_names, draw_skeleton, name_of, zoom_to_people
from dispose_viz.image.residuals import LONGEST, magnification
from dispose_viz.image.view_panels import draw_labels, draw_residuals, draw_views, owners_of
from dispose_viz.style import lay_out, new_figure, person_color


def bone_colors(axes) -> list[str]:
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    return [to_hex(np.asarray(c.get_edgecolor())[0]).upper() for c in lines]


def is_grey(color: str) -> bool:
    channels = to_rgb(color)
    return max(channels) - min(channels) < 0.02


def test_every_view_is_drawn_with_units_and_the_pixel_centres_at_integers(toy) -> None:
    figure = draw_views(new_figure(8.0, 6.0), toy.frame)
    assert [a.get_title() for a in figure.axes] == list(toy.frame.cameras.names)
    for axes in figure.axes:
        assert "px" in axes.get_xlabel() and "px" in axes.get_ylabel()
    axes = draw_canvas(new_figure(4.0, 3.0).add_subplot(), toy.frame.cameras.size[0], "a")
    assert axes.get_xlim() == (-0.5, 1279.5) and axes.get_ylim() == (719.5, -0.5)


def test_zoom_shows_everybody_in_the_proportions_of_the_picture_and_nothing_outside_it(toy) -> None:
    for view in range(4):
        axes = draw_canvas(new_figure(4.0, 3.0).add_subplot(), toy.frame.cameras.size[view], "a")
        zoom_to_people(axes, toy.frame.detections, view)
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert -0.5 <= left < right <= 1279.5 and -0.5 <= top < bottom <= 719.5
        assert (right - left) / (bottom - top) == pytest.approx(1280 / 720)
        x, y = toy.frame.detections.xy_image[view].unbind(-1)
        assert left < x.min() and x.max() < right and top < y.min() and y.max() < bottom


def test_without_a_prediction_every_detection_is_muted_and_numbered(toy) -> None:
    figure = draw_views(new_figure(8.0, 6.0), toy.frame)
    for axes in figure.axes:
        colors = bone_colors(axes)
        assert len(set(colors)) == 3 and all(is_grey(c) for c in colors)
        assert [t.get_text() for t in axes.texts] == ["#0", "#1", "#2"]


def test_a_person_has_the_same_colour_in_every_view(toy) -> None:
    figure = draw_views(new_figure(8.0, 6.0), toy.frame, prediction=toy.prediction)
    for view, axes in enumerate(figure.axes):
        owners = owners_of(toy.prediction, view, 3)
        for color, owner in zip(bone_colors(axes), owners, strict=False):
            assert is_grey(color) if owner == ABSENT else color == person_color(owner)
        assert len(bone_colors(axes)) == 3 + 3, "three detections and three reprojections"
    assert [t.get_text() for t in figure.axes[1].texts] == ["P0", "P1", "#2"]


def test_labels_colour_detections_by_who_they_truly_are(toy) -> None:
    identity = torch.tensor([[0, 1, 2], [2, 0, ABSENT], [1, 0, 2], [ABSENT] * 3])
    figure = draw_labels(new_figure(8.0, 6.0), toy.frame, Labels.of_detections(identity, toy.prediction.poses))
    for axes, row in zip(figure.axes, identity.tolist(), strict=True):
        for color, owner in zip(bone_colors(axes), row, strict=True):
            assert is_grey(color) if owner == ABSENT else color == person_color(owner)


def test_residual_arrows_point_at_the_reprojection_and_are_cut_where_they_would_be_long(toy) -> None:
    axes = draw_canvas(new_figure(4.0, 3.0).add_subplot(), toy.frame.cameras.size[0], "a")
    wild = replace(toy.frame.detections, xy_image=toy.frame.detections.xy_image.clone())
    wild.xy_image[0, 0, 3] += torch.tensor([70.0, 0.0])
    draw_residuals(axes, replace(toy.frame, detections=wild), toy.prediction, 0)
    (arrows,) = [cast(Any, c) for c in axes.collections if isinstance(c, Quiver)]
    assert arrows.N == 3 * 17
    xy, _ = toy.frame.cameras.project(toy.prediction.poses.xyz_world)
    shift = (xy[0, 0] - wild.xy_image[0, 0]).numpy()
    drawn = np.stack([arrows.U, arrows.V], -1)[:17] / magnification(axes)
    kept = np.arange(17) != 3
    np.testing.assert_allclose(drawn[kept], shift[kept], atol=1e-9)
    np.testing.assert_allclose(drawn[3], shift[3] * LONGEST / np.linalg.norm(shift[3]), atol=1e-9)


def test_unseen_joints_take_their_bones_with_them(toy) -> None:
    axes = new_figure(4.0, 3.0).add_subplot()
    skeleton = toy.frame.detections.skeleton
    xy, nothing = toy.frame.detections.xy_image[0, 0], torch.zeros(17, dtype=torch.bool)
    draw_skeleton(axes, xy, nothing, skeleton, "#000000")
    assert not axes.collections and not axes.lines
    seen = ~nothing
    seen[skeleton.index("l_knee")] = False
    draw_skeleton(axes, xy, seen, skeleton, "#000000")
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    touching = sum("l_knee" in bone for bone in skeleton.bones)
    assert len(lines[0].get_segments()) == len(skeleton.bones) - touching


def test_joints_that_are_no_numbers_are_left_out_with_their_bones(toy) -> None:
    detections = toy.frame.detections
    broken = replace(detections, xy_image=detections.xy_image.clone())
    broken.xy_image[0, 0, 0], broken.xy_image[1, 2] = torch.nan, torch.nan
    figure = draw_views(new_figure(8.0, 6.0), replace(toy.frame, detections=broken), prediction=toy.prediction)
    figure.draw_without_rendering()
    assert len(bone_colors(figure.axes[1])) == 2 + 3
    for line in figure.axes[0].lines:
        assert np.isfinite(np.asarray(line.get_xydata())).all()


def test_nobody_detected_and_a_single_view_are_drawn_whole(toy) -> None:
    detections = toy.frame.detections
    empty = replace(toy.frame, detections=replace(detections, valid=torch.zeros_like(detections.valid)))
    for axes in draw_views(new_figure(8.0, 6.0), empty, prediction=None).axes:
        assert axes.get_xlim() == (-0.5, 1279.5) and not axes.texts
    (axes,) = draw_views(new_figure(8.0, 6.0), toy.frame.select(views=[2])).axes
    assert axes.get_title() == "cam03"


def test_upright_pictures_stand_in_one_row(toy) -> None:
    cameras = toy.frame.cameras
    upright = replace(toy.frame, cameras=replace(cameras, size=cameras.size.flip(1)))
    for frame, rows in ((toy.frame, 2), (upright, 1)):
        places = [axes.get_subplotspec() for axes in draw_views(new_figure(8.0, 6.0), frame).axes]
        assert len({place.rowspan.start for place in places if place is not None}) == rows


def test_a_real_picture_covers_the_whole_canvas(toy) -> None:
    axes = new_figure(4.0, 3.0).add_subplot()
    draw_canvas(axes, toy.frame.cameras.size[0], "a", image=np.zeros((72, 128, 3)))
    assert axes.images[0].get_extent() == [-0.5, 1279.5, 719.5, -0.5]


def test_the_name_of_a_person_at_the_upper_edge_stays_in_the_picture(toy) -> None:
    for top in (2.0, 30.0, 200.0):
        figure = new_figure(6, 4)
        axes = draw_canvas(figure.add_subplot(), torch.tensor([1280.0, 720.0]), "a")
        xy = torch.tensor([[600.0, top], *([[640.0, top + 300]] * 16)])
        draw_names(axes, name_of("P7", xy, torch.ones(17, dtype=torch.bool), "#000000"))
        lay_out(figure).draw_without_rendering()
        name, frame = axes.texts[0].get_window_extent(), axes.get_window_extent()
        assert frame.y0 < name.y0 and name.y1 <= frame.y1 + 1, f"cut for a head at {top} px"
