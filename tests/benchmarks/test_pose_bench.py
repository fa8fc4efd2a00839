"""What `dispose bench pose` measures is the work it names, on the people it says."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

import dispose.cli.main as cli
from dispose.geometry.image_affine import apply, map_from_input
from dispose.nn.backbones import STRIDE, BackboneConfig
from dispose.nn.heatmaps import subpixel_peaks
from dispose.recipes.synthetic import TOY_SMOKE
from dispose.released.model import RELEASED
from dispose.skeletons.catalog import PANOPTIC_15
from dispose_benchmarks.clock import REST, Clock
from dispose_benchmarks.pose import bench_scene, heatmaps_of, measure_inference, measure_step, noise_frame

CPU = torch.device("cpu")
STEP_PARTS = {REST, "backbone", "candidates", "denoiser", "decoder", "backward", "optimiser"}
FRAME_PARTS = {REST, "backbone", "candidates", "denoiser", "projection", "decoder"}


class Sleeper(nn.Module):
    def forward(self) -> None:
        time.sleep(0.03)


def test_inner_parts_do_not_count_for_outer_ones():
    clock, sleeper = Clock(CPU), Sleeper()
    clock.watch(sleeper, "inner")

    def work() -> None:
        time.sleep(0.01)
        with clock.part("outer"):
            sleeper()
            time.sleep(0.02)

    started = time.perf_counter()
    found = {part.name: part.milliseconds for part in clock.median(work, 1)}
    assert found["inner"] >= 30 and found["outer"] >= 20 and found[REST] >= 10
    # Two runs, of which one counts.
    assert sum(found.values()) <= 1e3 * (time.perf_counter() - started) - 60


def test_the_median_run_counts_and_the_first_does_not():
    clock, lengths = Clock(CPU), iter([0.2, 0.01, 0.12, 0.05])
    (part,) = clock.median(lambda: time.sleep(next(lengths)), 3)
    assert 50 <= part.milliseconds < 110


def test_heat_maps_show_the_roots_of_the_people():
    cameras, poses = bench_scene(3, 4, seed=1)
    frame = noise_frame(cameras, (480, 256), seed=1)
    root = PANOPTIC_15.index("mid_hip")
    maps = heatmaps_of([frame], [poses])
    assert maps.shape == (3, 15, 64, 120) and len(poses.xyz_world) == 4
    xy, _ = cameras.project(poses.xyz_world[:, root])
    xy_map = map_from_input(apply(frame.require_images().input_from_image[:, None], xy), STRIDE)
    peaks = subpixel_peaks(maps[:, root : root + 1], 10, 0.3)
    found = 0
    for view in range(3):
        for peak, valid in zip(peaks.xy_map[view, 0].double(), peaks.valid[view, 0], strict=True):
            if valid:
                # Two people who stand close together may share a peak.
                assert float((xy_map[view] - peak).norm(dim=-1).min()) < 3
                found += 1
    assert found >= 6


def test_inference_of_our_model_is_split_into_its_parts():
    cell = measure_inference(TOY_SMOKE.training.model, 3, 2, device=CPU, repeats=1, seed=0)
    assert {part.name for part in cell.parts} == FRAME_PARTS and cell.tuples > 2
    assert cell.milliseconds == pytest.approx(sum(part.milliseconds for part in cell.parts), abs=0.1)
    assert (cell.model, cell.images, cell.memory_mib >= cell.before_mib) == ("ours", 3, True)


def test_inference_of_the_released_model_is_split_into_its_parts():
    trunk = BackboneConfig(depth=18, width=8, deconv_chans=256)
    cell = measure_inference(
        replace(RELEASED[0], input_size=(128, 64), backbone=trunk), 2, 2, device=CPU, repeats=1, seed=0
    )
    assert {part.name for part in cell.parts} == FRAME_PARTS and cell.model == "released"


def test_a_training_step_is_split_into_its_parts():
    pytest.importorskip("lightning", reason="training needs Lightning")
    settings = replace(TOY_SMOKE.training.pose, copies=1)
    cell = measure_step(TOY_SMOKE.training.model, settings, 2, 2, device=CPU, repeats=1, seed=0)
    assert {part.name for part in cell.parts} == STEP_PARTS
    assert (cell.frames, cell.images) == (2, 8)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--views", "1"], "--views is 1; numbers from 2 on"),
        (["--persons", "0"], "--persons is 0; numbers from 1 on"),
        (["--train-views", "1"], "--train-views is 1; 2 or more"),
    ],
)
def test_a_bench_of_nothing_is_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["bench", "pose", *words]) == 2
    assert sentence in capsys.readouterr().err
