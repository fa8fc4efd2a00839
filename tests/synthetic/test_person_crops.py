"""Pictures of single people: what is drawn is where the cut's affine says, with the lens of the camera."""

import torch

from dispose.geometry.image_affine import apply
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.human36m_rig import human36m_rig
from dispose_synthetic.one_view import meeting_point
from dispose_synthetic.people import PeopleConfig, place_people, sample_people
from dispose_synthetic.randomness import Noise, between
from dispose_synthetic.renderer.lenses import Sensors
from dispose_synthetic.renderer.person_crops import CropConfig, cut_cameras, film_person, mannequins

SENSORS = Sensors(torch.ones(4, 3), torch.zeros(4), torch.full((4,), 0.01), torch.zeros(4))
CONFIG = CropConfig((96, 128))


def filmed(people: int):
    source, rig = Noise(torch.Generator().manual_seed(2)), human36m_rig("S9")
    for _ in range(people):
        xyz = sample_people(source, 1, 1, PeopleConfig()).xyz_body[:, 0]
        floor = meeting_point(rig).float() + between(source, (1, 2), -900.0, 900.0)
        xyz = place_people(xyz, floor, between(source, (1,), 0.0, 2 * torch.pi))[0]
        yield rig, film_person(source, rig, xyz, mannequins, SENSORS, CONFIG)


def test_left_joints_are_red_where_they_are_said_to_be_and_right_ones_blue():
    right, wrong = 0, 0
    for rig, shown in filmed(4):
        xy, _ = rig.project(shown.xyz_world[0].double())
        pixel = apply(shown.input_from_image[:, None], xy).round().long()
        inside = ((pixel >= 0) & (pixel < torch.tensor(CONFIG.size))).all(-1)
        view = torch.arange(len(rig))[:, None]
        colour = shown.pixels[view, pixel[..., 1].clamp(0, 127), pixel[..., 0].clamp(0, 95)].float()
        redness = colour[..., 0] - colour[..., 2]
        for side, sign in (("l", 1), ("r", -1)):
            for joint in ("knee", "elbow", "wrist"):
                column = COCO_17.index(f"{side}_{joint}")
                strong = inside[:, column] & (redness[:, column].abs() > 30)
                right += int((strong & (sign * redness[:, column] > 0)).sum())
                wrong += int((strong & (sign * redness[:, column] < 0)).sum())
    # The rest is hidden behind a limb of the other side.
    assert right > 60 and right > 3 * wrong


def test_a_cut_camera_sees_points_where_the_affine_puts_them():
    for rig, shown in filmed(1):
        points = shown.xyz_world[0].double()
        xy, _ = rig.project(points)
        cut, _ = cut_cameras(rig, shown.input_from_image, CONFIG.size).project(points)
        torch.testing.assert_close(cut, apply(shown.input_from_image[:, None], xy))


def test_every_view_of_a_person_is_a_row_with_its_own_camera():
    for rig, shown in filmed(1):
        assert len(shown) == 4 and shown.pixels.shape == (4, 128, 96, 3)
        for view in range(4):
            alone, _ = shown.cameras.project(shown.xyz_world.double()[:, None])
            together, _ = rig.project(shown.xyz_world[view].double())
            torch.testing.assert_close(alone[view, 0, 0], together[view])
