"""Laws of epipolar curves: they pass through the match, bend as the lens bends, and distances are those to them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.offsetbox import AnchoredOffsetbox, TextArea

from dispose.errors import InputError
from dispose.scene.cameras import Cameras
from dispose.tensors import ABSENT
from dispose_viz.image.epipolar import (
    draw_epipolar_views,
    epipolar_curve,
    lens_reach,
    nearest_on_curve,
    nearest_on_curves,
)
from dispose_viz.style import DARK, new_figure, person_color


def bent(cameras: Cameras) -> Cameras:
    lens = torch.tensor([-0.28, 0.09, 0.001, -0.0008, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    return replace(cameras, distortion=lens.expand(len(cameras), 8))


def distances(frame, view: int, slot: int, joints: tuple[str, ...], target: int) -> torch.Tensor:
    """Pixels between every detection's joints and the curves of a chosen detection's."""
    rows = list(frame.detections.skeleton.indices(joints))
    near = nearest_on_curves(frame, view, slot, joints, target)
    return (near - frame.detections.xy_image[target][:, rows]).norm(dim=-1)


def words_of(axes) -> list[str]:
    boxes = [box for box in axes.artists if isinstance(box, AnchoredOffsetbox)]
    return [t.get_text() for box in boxes for t in box.findobj(TextArea)]


@pytest.mark.parametrize("lens", [False, True])
def test_the_curve_passes_through_the_true_match(toy, lens: bool) -> None:
    cameras = bent(toy.frame.cameras) if lens else toy.frame.cameras
    points = toy.prediction.poses.xyz_world[0]
    xy, _ = cameras.project(points)
    for source, target in ((0, 1), (1, 3), (2, 0)):
        for joint in (0, 9, 16):
            met = nearest_on_curve(cameras, source, xy[source, joint], target, xy[target])
            torch.testing.assert_close(met[joint], xy[target, joint], atol=1e-6, rtol=0)


def test_without_a_lens_distances_are_those_of_the_fundamental_matrix(toy) -> None:
    cameras = toy.frame.cameras
    xy, _ = cameras.project(toy.prediction.poses.xyz_world[1])
    turn = cameras.rotation[1] @ cameras.rotation[0].T
    shift = (cameras.translation[1] - turn @ cameras.translation[0]).expand(3, 3)
    essential = torch.linalg.cross(shift, turn.T).T
    fundamental = torch.linalg.inv(cameras.matrix[1]).T @ essential @ torch.linalg.inv(cameras.matrix[0])
    aside = xy[1] + torch.tensor([7.0, -4.0], dtype=torch.float64)
    for joint in range(3):
        line = fundamental @ torch.cat([xy[0, joint], torch.ones(1, dtype=torch.float64)])
        straight = (aside @ line[:2] + line[2]).abs() / line[:2].norm()
        met = nearest_on_curve(cameras, 0, xy[0, joint], 1, aside)
        torch.testing.assert_close((met - aside).norm(dim=-1), straight, atol=1e-6, rtol=0)


def test_a_lens_bends_the_curve_and_it_stays_in_the_picture(toy) -> None:
    cameras = bent(toy.frame.cameras)
    xy, _ = cameras.project(toy.prediction.poses.xyz_world[0])
    curve = epipolar_curve(cameras, 0, xy[0, 0], 1)
    known = curve[torch.isfinite(curve).all(-1)]
    ends, middle = known[[0, -1]], known[len(known) // 2]
    along = (ends[1] - ends[0]) / (ends[1] - ends[0]).norm()
    offset = middle - ends[0]
    assert float((offset - (offset @ along) * along).norm()) > 2.0, "a chord of a bent line leaves it"
    assert float(cameras.select(views=[1]).inside(known[None]).double().mean()) > 0.95


def test_a_lens_model_reaches_as_far_as_it_moves_points_outwards() -> None:
    straight = torch.zeros(8, dtype=torch.float64)
    barrel = torch.tensor([-1 / 12, 0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    assert lens_reach(straight) == 8.0
    assert lens_reach(barrel) == pytest.approx(2.0, abs=0.01), "r - r³/12 turns back at r = 2"


def test_a_ray_behind_the_other_camera_has_no_curve(toy) -> None:
    cameras = toy.frame.cameras
    behind = replace(cameras, rotation=cameras.rotation.clone(), translation=cameras.translation.clone())
    turn = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    for view in (1, 3):
        behind.rotation[view] = turn @ behind.rotation[view]
        behind.translation[view] = turn @ behind.translation[view]
    pixel = torch.tensor([640.0, 300.0], dtype=torch.float64)
    assert not bool(torch.isfinite(epipolar_curve(behind, 3, pixel, 1)).any())
    met = nearest_on_curve(behind, 3, pixel, 1, pixel[None])
    assert bool(torch.isnan(met).all())


def test_the_true_match_is_listed_first_and_missing_joints_have_no_distance(toy) -> None:
    detections = toy.frame.detections
    distance = distances(toy.frame, 0, 0, ("nose", "l_wrist"), 2)
    assert distance.shape == (3, 2) and int(distance.mean(1).argmin()) == 0
    hidden = replace(detections, visible=detections.visible.clone())
    hidden.visible[2, :, 0] = False
    frame = replace(toy.frame, detections=hidden)
    assert bool(torch.isnan(distances(frame, 0, 0, ("nose",), 2)).all())
    owners = [[0, 1, 2], [0, 1, ABSENT], [0, 1, 2], [0, 1, 2]]
    figure = draw_epipolar_views(new_figure(9, 6, theme=DARK), frame, 0, 0, ("nose",), owners=owners)
    assert words_of(figure.axes[2]) == ["nobody to compare"]
    listed = words_of(figure.axes[1])
    assert listed[0].startswith("P0 ") and all(text.endswith(" px") for text in listed)
    assert listed[0] == f"P0 {float(distances(frame, 0, 0, ('nose',), 1)[0, 0]):.0f} px"
    assert figure.axes[0].get_title() == "cam01: the nose of P0"
    lines = [line.get_color() for line in figure.axes[1].lines]
    assert DARK.ink in lines and person_color(0) in lines


def test_a_view_without_detections_still_shows_the_curve(toy) -> None:
    detections = toy.frame.detections
    empty = replace(detections, valid=detections.valid.clone())
    empty.valid[3] = False
    figure = draw_epipolar_views(new_figure(9, 6), replace(toy.frame, detections=empty), 0, 0, ("nose",))
    curve = np.asarray(figure.axes[3].lines[-1].get_xydata())
    assert np.isfinite(curve).any() and words_of(figure.axes[3]) == ["nobody to compare"]


def test_keypoints_that_are_no_numbers_are_not_there(toy) -> None:
    detections = toy.frame.detections
    broken = replace(detections, xy_image=detections.xy_image.clone())
    broken.xy_image[1, 0, 0], broken.xy_image[0, 1, 0] = torch.nan, torch.nan
    frame = replace(toy.frame, detections=broken)
    distance = distances(frame, 0, 0, ("nose",), 1)[:, 0]
    assert torch.isnan(distance).tolist() == [True, False, False]
    draw_epipolar_views(new_figure(9, 6), frame, 0, 0, ("nose",)).draw_without_rendering()
    with pytest.raises(InputError, match="shows no nose"):
        distances(frame, 0, 1, ("nose",), 1)


def test_what_has_no_curve_is_one_sentence(toy) -> None:
    cameras, frame = toy.frame.cameras, toy.frame
    pixel = torch.tensor([640.0, 300.0], dtype=torch.float64)
    with pytest.raises(InputError, match="cam02 sees its own ray as a point"):
        epipolar_curve(cameras, 1, pixel, 1)
    with pytest.raises(InputError, match="no pixel"):
        epipolar_curve(cameras, 1, pixel * torch.nan, 0)
    with pytest.raises(InputError, match="no detection in slot 5"):
        distances(frame, 0, 5, ("nose",), 1)
    with pytest.raises(InputError, match="no joint 'tail'"):
        distances(frame, 0, 0, ("tail",), 1)
    with pytest.raises(InputError, match="no view 9"):
        distances(frame, 9, 0, ("nose",), 1)
