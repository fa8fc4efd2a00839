"""Time and memory of one training step of Stage I and II with random weights (`dispose_benchmarks.pose`)."""

from collections.abc import Sequence

import torch

from dispose.geometry.image_affine import letterbox, rotation_about
from dispose.losses.objective import total
from dispose.models.dispose.model import DisPose, DisPoseConfig
from dispose.models.dispose.root_associator import ImageAssociator
from dispose.models.dispose.sampling import Problem
from dispose.nn.heatmaps import Features
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, ImageBatch, Images, Labels, Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.training.config import PoseTraining
from dispose.training.fit import optimizer_of
from dispose.training.frames import ExampleBatch, ImageExample
from dispose.training.pose import PoseTask
from dispose_benchmarks.clock import Clock
from dispose_benchmarks.pose import PoseCell, bench_scene, heatmaps_of, memory_mib, noise_frame, watch

TURN = 0.2
"""Radians between one copy of a frame and the next."""


def measure_step(
    config: DisPoseConfig,
    settings: PoseTraining,
    views: int,
    persons: int,
    *,
    device: torch.device,
    repeats: int,
    seed: int,
) -> PoseCell:
    """One optimiser step in this process: forward, losses, backward, clipping, Adam; reading images is left out."""
    batch = settings.optimisation.batch
    scenes = [bench_scene(views, persons, seed + k) for k in range(batch)]
    frames, examples = [], []
    for number, (cameras, poses) in enumerate(scenes):
        labels = exact_labels(cameras, poses)
        for copy in range(settings.copies + 1):
            frame = vary(noise_frame(cameras, config.input_size, seed + number), config.input_size, copy)
            frames.append(frame)
            examples.append(ImageExample(frame, labels, seed + 97 * number + copy, number, copy))
    people = [poses for _, poses in scenes for _ in range(settings.copies + 1)]
    clock = Clock(device)
    torch.manual_seed(seed)
    model = DisPose(config).to(device)
    watch(clock, model.backbone, model.associator.denoiser, model.decoder, heatmaps_of(frames, people).to(device))
    found: list[Problem | None] = []

    def problems(frames: Sequence[Frame], features: Features, batch: ImageBatch) -> list[Problem | None]:
        found[:] = ImageAssociator.problems(model.associator, frames, features, batch)
        return list(found)

    # What an instance has of its own comes before its class's.
    model.detect = clock.wrap("candidates", model.detect)
    model.associator.problems = clock.wrap("candidates", problems)
    task, batch_of_step = PoseTask(model, settings).to(device), ExampleBatch(tuple(examples), ())
    optimizer = optimizer_of(task, settings.optimisation)
    weights = [p for p in task.parameters() if p.requires_grad]

    def step() -> None:
        loss = total(task(batch_of_step)).float()
        with clock.part("backward"):
            optimizer.zero_grad()
            loss.backward()
        with clock.part("optimiser"):
            torch.nn.utils.clip_grad_norm_(weights, settings.optimisation.clip)
            optimizer.step()

    before = memory_mib(device)
    parts = clock.median(step, repeats)
    note = f"{settings.copies + 1} copies of every frame; the losses count as other, reading images is left out"
    tuples = sum(len(problem.cost) for problem in found if problem is not None)
    images, after = len(examples) * views, memory_mib(device)
    return PoseCell("ours", "training step", views, persons, batch, images, tuples, parts, after, before, note)


def vary(frame: Frame, input_size: tuple[int, int], copy: int) -> Frame:
    """The frame as its augmented copy is seen: turned, a little more for every copy."""
    images = frame.require_images()
    turn = torch.full((len(frame.cameras),), TURN * copy, dtype=torch.float64)
    affine = rotation_about(letterbox(frame.cameras.size, input_size), input_size, turn, torch.ones_like(turn))
    return Frame.of_images(frame.number, frame.cameras, Images(images.pixels, affine, images.present))


def exact_labels(cameras: Cameras, poses: Poses) -> Labels:
    """Labels without an error: every joint in every view that holds it."""
    xy, front = cameras.project(poses.xyz_world)
    visible = cameras.inside(xy) & front
    unmatched = Detections.from_lists(PANOPTIC_15, [[]] * len(cameras))
    return Labels.of_images(poses, torch.where(visible[..., None], xy, 0.0), visible.double(), visible, unmatched)
