"""The picture of a check says which camera is wrong."""

import numpy as np
import pytest

from dispose.inference.check.diagnosis import diagnose
from dispose.scene.teaching import rotate_camera
from dispose_viz.scene import rig
from dispose_viz.style import DARK, LIGHT, new_figure


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_the_picture_says_which_camera_and_why(toy, theme) -> None:
    wrong = rotate_camera(toy.frame.cameras, 1, 6.0)
    diagnosis = diagnose([toy.frame.detections], wrong)
    figure = rig.draw_check(new_figure(13, 6, theme=theme), wrong, diagnosis, "bumped")
    numbers = {tuple(text.get_position()): float(text.get_text()) for text in figure.axes[1].texts}
    assert len(numbers) == 12
    own = [value for place, value in numbers.items() if 1 in place]
    rest = [value for place, value in numbers.items() if 1 not in place]
    assert min(own) > 2 * max(rest)
    assert "camera cam02 disagrees" in figure.get_supxlabel().replace("\n", " ")


def test_people_at_the_end_of_the_world_do_not_shrink_the_rig(toy) -> None:
    diagnosis = diagnose([toy.frame.detections], toy.frame.cameras)
    diagnosis.consistency.xyz_world[0] = 1e9
    axes = rig.draw_check(new_figure(13, 6), toy.frame.cameras, diagnosis, "far").axes[0]
    assert np.abs(axes.get_xlim()).max() < 50 and len(np.asarray(axes.lines[-1].get_xdata())) >= 1


def test_a_folder_is_listed_two_levels_deep(tmp_path) -> None:
    (tmp_path / "pose" / "cam01_json").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "pose" / "cam01_json" / f"{number}.json").write_text("{}")
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "Calib.toml").write_text("")
    text = rig.folder_tree(tmp_path)
    assert "    Calib.toml" in text and "    cam01_json/  (3 .json files)" in text
