"""Pictures of fisheye lenses: what is drawn is what OpenCV's lens does."""

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from torch.testing import assert_close

from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras
from dispose_viz.image.calibration import draw_lens, through_lens
from dispose_viz.image.epipolar import epipolar_curve, lens_reach

LENS = (0.05, -0.02, 0.01, -0.003)


def two_cameras() -> Cameras:
    centre = torch.tensor([[4000.0, 0, 1800], [0, 3500, 2200]], dtype=torch.float64)
    target = torch.tensor([0.0, 0, 900], dtype=torch.float64).expand(2, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    matrix = torch.tensor([[500.0, 0, 640], [0, 510, 480], [0, 0, 1]], dtype=torch.float64).expand(2, 3, 3).clone()
    lens = torch.zeros(2, 8, dtype=torch.float64)
    lens[1, :4] = torch.tensor(LENS, dtype=torch.float64)
    size = torch.tensor([[1280.0, 960]], dtype=torch.float64).expand(2, 2).clone()
    fisheye = torch.tensor([False, True])
    return Cameras(("plain", "round"), size, matrix, lens, rotation, translation, fisheye=fisheye)


def test_a_lens_is_drawn_as_opencv_bends() -> None:
    camera = two_cameras().select(views=[1])
    straight = torch.tensor([[0.0, 0], [640, 480], [1279, 959], [200, 900]], dtype=torch.float64)
    flat = (straight - camera.matrix[0, :2, 2]) / torch.tensor([500.0, 510], dtype=torch.float64)
    theirs = cv2.fisheye.distortPoints(flat.numpy()[None], camera.matrix[0].numpy(), np.array(LENS))
    assert_close(through_lens(camera, straight), torch.from_numpy(theirs[0]), atol=1e-6, rtol=0)
    axes = draw_lens(Figure().add_subplot(), two_cameras(), 1)
    assert axes.get_title().startswith("round: the lens moves pixels by up to")


def test_a_ray_is_drawn_through_what_it_shows() -> None:
    cameras = two_cameras()
    xyz = torch.tensor([[-1500.0, 600, 1000]], dtype=torch.float64)
    xy, _ = cameras.project(xyz)
    curve = epipolar_curve(cameras, 0, xy[0, 0], 1)
    known = curve[torch.isfinite(curve).all(-1)]
    assert float((known - xy[1, 0]).norm(dim=-1).min()) < 3
    # It is bent: no straight line goes through it.
    ends = known[[0, -1]]
    along = (ends[1] - ends[0]) / (ends[1] - ends[0]).norm()
    across = torch.stack([-along[1], along[0]])
    assert float(((known - ends[0]) @ across).abs().max()) > 5
    assert lens_reach(cameras.lens[1]) == lens_reach(cameras.lens[0]) == 8.0
