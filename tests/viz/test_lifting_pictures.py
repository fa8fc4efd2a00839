"""Pictures of many poses: lines where the poses are, ellipses that hold nine tenths, everybody in the page."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse
from torch import Tensor

from dispose.formats.lifted import LiftedCamera, LiftedFrame, LiftedHeader
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import TOLD, ContextConfig, ContextNetwork, PyramidConfig, gaze_of
from dispose.nn.backbones import BackboneConfig
from dispose.scene.lifted import Lifted, Placed
from dispose.skeletons.catalog import COCO_17
from dispose_viz.lifting.charts import NamedQuantiles, draw_deviations, draw_quantiles
from dispose_viz.lifting.fans import (
    ABOVE,
    FLANK,
    FRONT,
    MOST_DRAWN,
    draw_fan,
    draw_spread,
    frame_side,
    on_side,
    reach_of,
)
from dispose_viz.lifting.gaze import as_picture, draw_looks, draw_reach
from dispose_viz.lifting.meeting import draw_clouds
from dispose_viz.lifting.page import MOST_PEOPLE, draw_page, film_images
from dispose_viz.style import new_figure

SHAPE = torch.tensor([100.0, 30.0, 250.0], dtype=torch.float64)


@pytest.fixture
def poses(generator: torch.Generator) -> Tensor:
    """Two hundred poses, mm: 100 to the right, 30 down and 250 away is the deviation of every joint."""
    middle = 300 * torch.randn(17, 3, generator=generator, dtype=torch.float64)
    return middle + SHAPE * torch.randn(200, 17, 3, generator=generator, dtype=torch.float64)


def test_a_side_shows_right_and_up() -> None:
    point = torch.tensor([1.0, 2.0, 3.0])
    assert on_side(point, FRONT).tolist() == [1, -2]
    assert on_side(point, FLANK).tolist() == [3, -2]
    assert on_side(point, ABOVE).tolist() == [1, 3]


def test_a_fan_has_some_poses_and_their_mean(poses: Tensor) -> None:
    axes = draw_fan(new_figure(4, 4).add_subplot(), poses, COCO_17, FLANK, "#0072B2")
    fan, mean = (one for one in axes.collections if isinstance(one, LineCollection))
    bones = len(COCO_17.bones)
    assert len(fan.get_segments()) <= 2 * MOST_DRAWN * bones and len(mean.get_segments()) == bones
    start, end = COCO_17.bone_indices[3]
    expected = on_side(poses.mean(0), FLANK)[[start, end]].numpy()
    assert np.allclose(mean.get_segments()[3], expected)


def test_ellipses_hold_nine_tenths(poses: Tensor) -> None:
    axes = draw_spread(new_figure(4, 4).add_subplot(), poses, ABOVE, "#0072B2")
    rings = [one for one in axes.patches if isinstance(one, Ellipse)]
    assert len(rings) == 17
    for joint, ring in enumerate(rings):
        places = on_side(poses[:, joint], ABOVE).numpy()
        inside = ring.get_patch_transform().inverted().transform(places)
        assert 0.85 < ((inside**2).sum(1) <= 1).mean() < 0.95
    assert frame_side(axes, ABOVE, reach_mm=500).get_xlim() == (-500, 500)


def frame_of(poses: Tensor, people: int) -> tuple[LiftedHeader, LiftedFrame]:
    xyz = poses[None].expand(people, -1, -1, -1)
    place = torch.tensor([0.0, 0.0, 4000.0], dtype=torch.float64).expand(people, len(poses), 3)
    xy = torch.rand(people, 17, 2, dtype=torch.float64) * 100
    placed = Placed(Lifted(COCO_17, xyz), place + 50 * torch.randn(people, len(poses), 3, dtype=torch.float64))
    score = torch.ones(people, 17, dtype=torch.float64)
    frame = LiftedFrame(5, torch.arange(people), xy, score, score > 0, placed)
    camera = LiftedCamera("cam", (160, 120), ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)), (0.0,) * 8, "--focal-px 1")
    return LiftedHeader("model $x$", "w", "image.png", "k.json", camera, COCO_17, len(poses), 0, "here"), frame


def test_a_page_has_rows_for_the_first_people(poses: Tensor) -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    for people in (1, MOST_PEOPLE + 2):
        figure = draw_page(*frame_of(poses, people), image)
        assert len(figure.axes) == 2 + 3 * min(people, MOST_PEOPLE)
    assert reach_of(poses) > float(poses.mean(0).abs().max())


def test_a_film_has_one_image_per_frame_all_of_one_size(poses: Tensor) -> None:
    header, frame = frame_of(poses[:20], 2)
    image = np.zeros((120, 160, 3), np.uint8)
    film = list(film_images(header, [(frame, image), (frame[:1], image)], width=8.0))
    assert len(film) == 2 and film[0].shape == film[1].shape and (film[0] != film[1]).any()


def test_bars_are_the_deviations(poses: Tensor) -> None:
    axes = draw_deviations(new_figure(6, 3).add_subplot(), COCO_17.joints, poses)
    heights = np.array([[bar.get_height() for bar in group] for group in axes.containers]).T
    assert np.allclose(heights, poses.std(0).numpy())


def test_a_line_below_the_diagonal_is_too_sure() -> None:
    even = torch.linspace(0, 1, 1001, dtype=torch.float64)
    axes = draw_quantiles(
        new_figure(4, 4).add_subplot(), [NamedQuantiles("even", even), NamedQuantiles("sure", even**0.25)]
    )
    (first, sure) = (line.get_ydata() for line in axes.lines[:2])
    levels = axes.lines[0].get_xdata()
    assert np.allclose(first, levels, atol=0.01)
    assert (np.asarray(sure)[1:-1] < np.asarray(levels)[1:-1]).all()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert labels[0].startswith("even: 0.00") and float(labels[1].split()[-1]) > 0.2


def test_clouds_and_where_they_meet(poses: Tensor) -> None:
    clouds = torch.stack([poses[:, 0], poses[:, 1]])
    met = (poses[:, 0].mean(0) + torch.tensor([30.0, 40.0, 0.0]), torch.eye(3).double())
    axes = draw_clouds(new_figure(5, 5).add_subplot(), ("a", "b$"), clouds, poses[:, 0].mean(0), met)
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", r"b\$", "meeting, 50 mm off", "truth"]
    assert len(axes.patches) == 3
    # All of the widest ellipse is seen, and hardly more.
    truth = poses[:, 0].mean(0)
    far = (poses[:, 1].mean(0) - truth)[:2].abs() + (4.605**0.5) * poses[:, 1, :2].std(0)
    assert float(axes.get_xlim()[1] - truth[0]) == pytest.approx(1.05 * float(far.max()), rel=0.01)
    wide = draw_clouds(new_figure(5, 5).add_subplot(), ("a", "b"), 100 * clouds, truth)
    assert np.ptp(wide.get_ylim()) == pytest.approx(6000.0)


def test_looks_are_where_the_network_reads(tmp_path: Path, generator: torch.Generator) -> None:
    """Untrained, a joint looks a step of 0.01 of half a cut around itself, in four directions."""
    from dispose.models.context.crops import PersonCrops
    from dispose.models.lifting.view import ViewPeople

    torch.manual_seed(0)
    small = PyramidConfig(resnet=BackboneConfig(joints=17))
    network = ContextNetwork(ContextConfig(pyramid=small, lifter=LifterConfig(coordinates=TOLD, chans=32))).eval()
    seen = torch.ones(2, 17).bool()
    uv = torch.randn(2, 17, 2, generator=generator)
    people = ViewPeople(COCO_17.joints, uv, torch.full((2, 17), 0.02), torch.ones(2, 17), seen, torch.ones(2),
                        torch.zeros(2, 3), torch.eye(3).double().expand(2, 3, 3))  # fmt: skip
    xy = 60 + 60 * torch.rand(2, 17, 2, generator=generator)
    crops = PersonCrops(torch.randn(2, 3, 256, 192, generator=generator), xy, uv, people)
    gaze = gaze_of(network, crops)
    assert gaze.weight.shape[1:4] == (2, len(network.look(crops.pixels)), 17)
    assert torch.allclose(gaze.weight.sum(-1), torch.ones(()), atol=1e-5)
    off = gaze.place[0] - xy[:, None, :, None, None]
    assert float(off.norm(dim=-1).max()) < 8 and float(off.norm(dim=-1).min()) > 0.3
    axes = draw_looks(new_figure(3, 4).add_subplot(), gaze.place[0, 0, :, 9], gaze.weight[0, 0, :, 9], xy[0, 9])
    marks = np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections])
    assert np.allclose(marks, gaze.place[0, 0, :, 9].reshape(-1, 2).numpy())
    bars = draw_reach(new_figure(6, 3).add_subplot(), COCO_17.joints, gaze.place[0], gaze.weight[0], xy)
    assert 0.3 < max(bar.get_height() for group in bars.containers for bar in group) < 8
    picture = as_picture(crops.pixels[0])
    assert picture.shape == (256, 192, 3) and picture.min() >= 0 and picture.max() <= 1
