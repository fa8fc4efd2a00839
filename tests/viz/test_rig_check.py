"""Mistakes made on purpose are what they claim to be, and the picture of a check says which camera is wrong."""

import numpy as np
import pytest
import torch

from dispose.inference.diagnosis import diagnose
from dispose_viz.scene import rig_check
from dispose_viz.style import DARK, LIGHT, new_figure


def test_a_bumped_camera_stays_where_it_stands(toy) -> None:
    cameras = toy.frame.cameras
    wrong = rig_check.swap_view_axes(cameras, 1, 6.0)
    torch.testing.assert_close(wrong.centres, cameras.centres)
    between = wrong.rotation @ cameras.rotation.mT
    angle = torch.rad2deg(((between.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).arccos())
    torch.testing.assert_close(angle, torch.tensor([0.0, 6.0, 0.0, 0.0]).double(), atol=1e-4, rtol=0)


def test_exchanged_cameras_keep_their_names_and_a_turned_world_keeps_what_is_seen(toy) -> None:
    cameras = toy.frame.cameras
    exchanged = rig_check.exchanged(cameras, 0, 2)
    assert exchanged.names == cameras.names
    torch.testing.assert_close(exchanged.centres[[2, 1, 0, 3]], cameras.centres)
    xyz = torch.tensor([[300.0, -200.0, 1500.0]], dtype=torch.float64)
    upright = torch.stack([xyz[:, 0], xyz[:, 2], -xyz[:, 1]], -1)
    torch.testing.assert_close(rig_check.y_up(cameras).project(upright)[0], cameras.project(xyz)[0])
    torch.testing.assert_close(rig_check.in_metres(cameras).centres, cameras.centres / 1000)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_picture_says_which_camera_and_why(toy, theme) -> None:
    wrong = rig_check.swap_view_axes(toy.frame.cameras, 1, 6.0)
    diagnosis = diagnose([toy.frame.detections], wrong)
    figure = rig_check.draw_check(new_figure(13, 6), wrong, diagnosis, "bumped", theme=theme)
    numbers = {tuple(text.get_position()): float(text.get_text()) for text in figure.axes[1].texts}
    assert len(numbers) == 12
    own = [value for place, value in numbers.items() if 1 in place]
    rest = [value for place, value in numbers.items() if 1 not in place]
    assert min(own) > 2 * max(rest)
    assert "camera cam02 disagrees" in figure.get_supxlabel().replace("\n", " ")


def test_people_at_the_end_of_the_world_do_not_shrink_the_rig(toy) -> None:
    diagnosis = diagnose([toy.frame.detections], toy.frame.cameras)
    diagnosis.consistency.xyz_world[0] = 1e9
    axes = rig_check.draw_check(new_figure(13, 6), toy.frame.cameras, diagnosis, "far").axes[0]
    assert np.abs(axes.get_xlim()).max() < 50 and len(np.asarray(axes.lines[-1].get_xdata())) >= 1


def test_a_folder_is_listed_two_levels_deep(tmp_path) -> None:
    (tmp_path / "pose" / "cam01_json").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "pose" / "cam01_json" / f"{number}.json").write_text("{}")
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "Calib.toml").write_text("")
    text = rig_check.folder_tree(tmp_path)
    assert "    Calib.toml" in text and "    cam01_json/  (3 .json files)" in text
