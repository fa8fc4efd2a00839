"""Mistakes made on purpose are what they claim to be, and what they do not touch is as it was."""

import math

import pytest
import torch

from dispose.errors import InputError
from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose.scene.teaching import exchange_cameras, read_as_millimetres, rotate_camera, turn_y_up


@pytest.fixture(scope="module")
def rig() -> Cameras:
    centres = torch.tensor([[4000.0, 0, 2000], [0, 4000, 2000], [-4000, 0, 2000]], dtype=torch.float64)
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64)
    rotation, translation = look_at(centres, torch.zeros_like(centres), up)
    matrix = torch.tensor([[900.0, 0, 639.5], [0, 900, 359.5], [0, 0, 1]], dtype=torch.float64).expand(3, 3, 3)
    size = torch.tensor([[1280.0, 720]], dtype=torch.float64).expand(3, 2)
    return Cameras(("a", "b", "c"), size, matrix, torch.zeros(3, 8, dtype=torch.float64), rotation, translation)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_it_turns_by_the_angle_about_its_own_centre(rig: Cameras, axis: int) -> None:
    knocked = rotate_camera(rig, 1, 2.0, axis=axis)
    torch.testing.assert_close(knocked.centres, rig.centres)
    assert torch.equal(knocked.rotation[[0, 2]], rig.rotation[[0, 2]])
    relative = knocked.rotation[1] @ rig.rotation[1].T
    assert math.degrees(math.acos((float(relative.trace()) - 1) / 2)) == pytest.approx(2.0)
    torch.testing.assert_close(rotate_camera(knocked, 1, -2.0, axis=axis).translation, rig.translation)


def test_a_pan_moves_the_picture_sideways_by_focal_length_times_tangent(rig: Cameras) -> None:
    before, _ = rig.project(torch.zeros(3, dtype=torch.float64))
    after, _ = rotate_camera(rig, 0, 2.0).project(torch.zeros(3, dtype=torch.float64))
    moved = torch.tensor([900 * math.tan(math.radians(2)), 0.0], dtype=torch.float64)
    torch.testing.assert_close((after - before)[0], moved)


def test_a_view_that_is_not_there_is_one_sentence(rig: Cameras) -> None:
    with pytest.raises(InputError, match="no view 3 to turn, the rig has 3"):
        rotate_camera(rig, 3, 2.0)


def test_exchanged_cameras_keep_their_names_and_a_turned_world_keeps_what_is_seen(rig: Cameras) -> None:
    exchanged = exchange_cameras(rig, 0, 2)
    assert exchanged.names == rig.names
    torch.testing.assert_close(exchanged.centres[[2, 1, 0]], rig.centres)
    xyz = torch.tensor([[300.0, -200.0, 1500.0]], dtype=torch.float64)
    upright = torch.stack([xyz[:, 0], xyz[:, 2], -xyz[:, 1]], -1)
    torch.testing.assert_close(turn_y_up(rig).project(upright)[0], rig.project(xyz)[0])
    torch.testing.assert_close(read_as_millimetres(rig).centres, rig.centres / 1000)
