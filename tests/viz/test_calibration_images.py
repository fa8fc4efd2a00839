"""Whether a calibration fits its images can be seen: on made rigs exactly, on real images within pixels."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from dispose.formats.calibration.json_files import read_calibration_panoptic
from dispose.formats.images.series import read_image
from dispose_viz.image.calibration import draw_cameras, draw_floor, seen_points
from dispose_viz.image.canvas import draw_canvas
from dispose_viz.style import new_figure


def test_floor_lines_stay_inside_the_picture_and_on_the_floor(toy) -> None:
    cameras = toy.frame.cameras
    axes = draw_canvas(new_figure(4.0, 3.0).add_subplot(), cameras.size[0], "a")
    draw_floor(axes, cameras, 0, half_mm=1000.0, step_mm=500.0)
    lines = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert len(lines) == 2 * 5 + 3
    for line in lines[:-1]:
        xy = torch.from_numpy(np.concatenate(line.get_segments())).double()
        assert bool((xy >= -0.5).all()) and bool((xy <= cameras.size[0] - 0.5).all())
        rays = cameras.select(views=[0]).directions(xy[None])[0]
        met = cameras.centres[0] - rays * (cameras.centres[0, 2] / rays[:, 2:])
        assert bool((met[:, :2].abs() < 1000.5).all())


def test_points_behind_outside_and_folded_are_not_seen(toy) -> None:
    cameras = toy.frame.cameras
    behind = 2 * cameras.centres[:1]
    middle = torch.tensor([[0.0, 0.0, 900.0]], dtype=torch.float64)
    _, seen = seen_points(cameras, 0, torch.cat([behind, middle]))
    assert seen.tolist() == [False, True]
    # A barrel lens far beyond its reach brings points from the side back into the image.
    lens = cameras.distortion.clone()
    lens[:, 0] = -0.5
    bent = type(cameras)(cameras.names, cameras.size, cameras.matrix, lens, cameras.rotation, cameras.translation)
    ahead = torch.nn.functional.normalize(middle[0] - bent.centres[0], dim=0)
    aside = torch.linalg.cross(ahead, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    points = bent.centres[0] + 4000 * (ahead + torch.linspace(0, 3, 60, dtype=torch.float64)[:, None] * aside)
    xy, seen = seen_points(bent, 0, points)
    folded = bent.inside(xy[None].expand(4, -1, 2))[0] & ~seen
    assert bool(seen[:10].all()) and bool(folded.any())
    assert bool((xy[seen][1:, 0] - xy[seen][:-1, 0]).sign().unique().numel() == 1)


def test_other_cameras_are_named_and_the_camera_itself_is_not(toy) -> None:
    cameras = toy.frame.cameras
    axes = draw_canvas(new_figure(4.0, 3.0).add_subplot(), cameras.size[0], "a")
    draw_cameras(axes, cameras, 0, cameras)
    assert cameras.names[0] not in {text.get_text() for text in axes.texts}


def test_real_pictures_show_the_other_cameras_where_the_calibration_puts_them(shared_data: Path) -> None:
    # The dome's cameras look through dark holes in white panels; the optical centre lies a little behind its hole.
    folder = shared_data / "raw" / "panoptic" / "images"
    everywhere = read_calibration_panoptic(folder / "camera_parameters.json")
    gaps = []
    for name in ("00_03", "00_12", "00_23"):
        view = everywhere.names.index(name)
        grey = read_image(folder / name / f"{name}_00009348.jpg").mean(-1)
        xy, there = seen_points(everywhere, view, everywhere.centres)
        there[view] = False
        for x, y in xy[there].round().int().tolist():
            around = grey[max(0, y - 22) : y + 23, max(0, x - 22) : x + 23] < 60
            if around.shape != (45, 45) or around.sum() < 60:
                continue
            _, _, stats, centres = cv2.connectedComponentsWithStats(around.astype(np.uint8))
            hole = centres[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))]
            gaps.append(float(np.hypot(*(hole - 22))))
    assert len(gaps) >= 15 and float(np.median(gaps)) < 8


@pytest.mark.parametrize("step", [250, 500])
def test_a_finer_grid_has_more_lines(toy, step: int) -> None:
    axes = draw_canvas(new_figure(4.0, 3.0).add_subplot(), toy.frame.cameras.size[0], "a")
    draw_floor(axes, toy.frame.cameras, 0, half_mm=1000.0, step_mm=float(step))
    assert len(axes.collections) == 2 * (2000 // step + 1) + 3
