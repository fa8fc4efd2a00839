"""The table on synthetic images: every line is there, and heat maps that are right give classic methods people."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dispose.baselines.heatmap_peaks import MAP_GATES
from dispose.evaluation.score import answers
from dispose.evaluation.toy_images import (
    BASELINE,
    CLASSICS,
    GATES_MM,
    JOINT_GATES,
    OURS,
    WITHOUT,
    ToyTables,
    by_views,
    evaluate_toy_images,
    in_pixels,
    look,
    reduction,
    toy_methods,
    toy_row,
    toy_scenes,
)
from dispose.geometry.image_affine import map_from_input
from dispose.models.dispose.model import DisPose
from dispose.nn.backbones import STRIDE
from dispose.nn.heatmaps import Features, render_gaussians, subpixel_peaks
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.scene.frame import ImageBatch
from dispose_synthetic.renderer.captures import RenderConfig, sample_captures

MODEL = replace(TOY_SMOKE.training.model, input_size=(128, 96))

HELD_OUT = RenderConfig(size=(64, 48), views=(3, 7), persons=(1, 5), frames_per_rig=2)


class Drawn(DisPose):
    """A model whose heat maps are drawn from the truth; everything else is untrained."""

    def __init__(self, truths: Sequence[Tensor]) -> None:
        super().__init__(MODEL)
        self.truths = list(truths)

    def see(self, batch: ImageBatch) -> Features:
        seen = super().see(batch)
        views = batch.images.present.shape[1]
        maps, _, height, width = seen.heatmaps.shape
        persons = [len(xyz) for xyz in self.truths]
        sample = torch.cat([torch.full((count,), number) for number, count in enumerate(persons)])
        xy, front = batch.cameras[sample].project(torch.cat(self.truths))
        xy = map_from_input(xy, STRIDE).flatten(0, 1).float()
        visible, map_of = front.flatten(0, 1), (sample[:, None] * views + torch.arange(views)).flatten()
        drawn = render_gaussians(xy, visible, map_of, maps, size=(width, height), sigma=1.0)
        return replace(seen, heatmaps=drawn)


@pytest.fixture(scope="module")
def tables() -> ToyTables:
    torch.manual_seed(0)
    model = DisPose(MODEL).eval()
    return evaluate_toy_images(model, frames=2, gate_frames=1)


def test_every_method_has_a_line(tables: ToyTables):
    assert [row.method for row in tables.rows][:3] == [OURS, WITHOUT, BASELINE]
    assert len(tables.rows) == 4 + len(CLASSICS)
    assert {row.frames for row in tables.rows} == {2}
    assert len(tables.tried) == len(CLASSICS) * len(GATES_MM) + len(JOINT_GATES)
    assert {row.method for row in tables.by_views} == {OURS, WITHOUT, BASELINE}


def test_the_captures_are_of_the_asked_kind_and_repeatable():
    first, again = (list(toy_scenes(3, HELD_OUT, 5)) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one[0].require_images().pixels, other[0].require_images().pixels)
        assert 3 <= len(one[0].cameras) <= 7 and len(one[1].poses.id) <= 5
    assert not torch.equal(first[1][0].cameras.centres, first[2][0].cameras.centres), "a rig for two frames"


def test_right_heat_maps_give_right_people():
    config = RenderConfig(size=MODEL.input_size, views=(4, 4), persons=(1, 2), frames_per_rig=1, empty=0.0)
    captures = list(sample_captures(torch.Generator().manual_seed(11), 3, config))
    torch.manual_seed(0)
    model = Drawn([capture.poses.xyz_world for capture in captures]).eval()
    looked = look(model, toy_scenes(3, config, 11), 3)
    method = toy_methods(looked, CLASSICS[:1], MAP_GATES)[1]
    found = answers(looked.source, method)
    row = toy_row(found)
    assert row.value("recall_500") == 100 and row.value("pair_f1") > 80
    assert row.value("mpjpe_mm") < 60, "a heat-map pixel is about 80 mm here"
    assert [r.value("views") for r in by_views((found,))] == [4.0]
    assert reduction([row, replace(row, method=OURS)]) == 0


def test_peaks_are_in_original_pixels_and_in_views_with_pictures():
    frame, _ = next(iter(toy_scenes(1, HELD_OUT, 3)))
    views = len(frame.cameras)
    maps = torch.zeros(views, 15, 12, 16)
    maps[:, :, 5, 9] = 1.0
    half = torch.tensor([[0.5, 0, 3], [0, 0.5, 1]], dtype=torch.float64).repeat(views, 1, 1)
    present = torch.ones(views, dtype=torch.bool)
    present[0] = False
    images = replace(frame.require_images(), input_from_image=half, present=present)
    found = in_pixels(subpixel_peaks(maps, 2, 0.5), replace(frame, images=images), DisPose.skeleton)
    assert found.valid[1:, :, 0].all() and not found.valid[0].any() and not found.valid[:, :, 1].any()
    # Pixel 9 of the map is 37.5 of the input (stride 4), which is 69 of the image.
    assert torch.allclose(found.xy_image[1, 0, 0], torch.tensor([69.0, 41.0], dtype=torch.float64), atol=0.5)
    assert torch.allclose(found.spacing_px, torch.tensor(8.0, dtype=torch.float64))
