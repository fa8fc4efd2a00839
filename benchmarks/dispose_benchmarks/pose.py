"""Time and memory of a frame and of a training step of the image models, on images of any size, with random weights.

What the networks see is noise, so their heat maps would hold nobody: the backbone's maps are replaced by those of the
people of a synthetic scene, and the decoder is given the true roots. Everything is computed, on a known number of
people, and no weights are needed. Nothing here says how good a model is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.association.polytope import CandidateGraph
from dispose.association.roots import group_roots, map_pixel_of
from dispose.geometry.image_affine import apply, letterbox, map_from_input, rotation_about
from dispose.losses.objective import total
from dispose.models.dispose.model import DisPose, DisPoseConfig
from dispose.models.dispose.root_associator import ImageAssociator
from dispose.models.dispose.sampling import Problem, SamplerConfig
from dispose.nn.backbones import STRIDE
from dispose.nn.heatmaps import Features, render_gaussians
from dispose.released.candidates import released_candidates
from dispose.released.model import (
    ReleasedConfig,
    ReleasedDisPose,
    find_peaks,
    find_people,
    read_roots,
    root_graph,
)
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Detections, Frame, ImageBatch, Images, Labels, Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.training.config import PoseTraining
from dispose.training.frames import ExampleBatch, ImageExample
from dispose.training.stages import PoseTask
from dispose_benchmarks.clock import Clock, Part, peak_mib
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SIGMA_MAP_PX = 3.0
"""Width of the people in the replaced heat maps: what the backbone learns."""
TURN = 0.2
"""Radians between one copy of a frame of a training step and the next."""


@dataclass(frozen=True)
class PoseCell:
    """One measurement: of `ours` or the `released` model, and of the `inference` of one frame or a `training step`.

    So many cameras and people in the room, frames of the step (or 1), images through the backbone, and candidate
    tuples of Stage I over all images; the parts of the run of median length. Memory is the largest: of the device's
    tensors on an accelerator, else of the whole process; before the work began it held the weights, and on a CPU the
    interpreter and the libraries. The note is what the figures do not say.
    """

    model: str
    work: str
    views: int
    persons: int
    frames: int
    images: int
    tuples: int
    parts: tuple[Part, ...]
    memory_mib: float
    before_mib: float
    note: str

    @property
    def milliseconds(self) -> float:
        """All parts together."""
        return round(sum(part.milliseconds for part in self.parts), 1)


def watch(clock: Clock, backbone: nn.Module, denoiser: nn.Module, decoder: nn.Module, heatmaps: Tensor) -> None:
    """Time the networks, and replace the backbone's heat maps."""
    clock.watch(backbone, "backbone")
    clock.watch(denoiser, "denoiser")
    clock.watch(decoder, "decoder")

    def show(_module: nn.Module, _given: object, features: Features) -> Features:
        return Features(heatmaps.to(features.heatmaps), *features.pyramid)

    backbone.register_forward_hook(show)


def bench_scene(views: int, persons: int, seed: int) -> tuple[Cameras, Poses]:
    """Cameras and exactly so many people in a synthetic room."""
    config = SceneConfig(views=(views, views), persons=(persons, persons), ghosts=0, chunk=4)
    frame, labels = sample_scenes(torch.Generator().manual_seed(seed), 1, config)[0]
    return frame.cameras, convert_poses(labels.poses, PANOPTIC_15)


def noise_frame(cameras: Cameras, input_size: tuple[int, int], seed: int, turn: float = 0.0) -> Frame:
    """Images of nothing, in the network's size; an augmented copy is turned about its middle (radians)."""
    width, height = input_size
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(len(cameras), 3, height, width, generator=generator)
    present, angle = torch.ones(len(cameras), dtype=torch.bool), torch.full((len(cameras),), turn, dtype=torch.float64)
    affine = rotation_about(letterbox(cameras.size, input_size), input_size, angle, torch.ones_like(angle))
    return Frame.of_images(0, cameras, Images(pixels, affine, present))


def heatmaps_of(frames: Sequence[Frame], people: Sequence[Poses]) -> Float[Tensor, "maps joints height width"]:
    """What a perfect backbone would give for these frames, which have equally many views."""
    parts = []
    for frame, poses in zip(frames, people, strict=True):
        views, persons = len(frame.cameras), len(poses.xyz_world)
        height, width = (side // STRIDE for side in frame.require_images().pixels.shape[-2:])
        xy, front = frame.cameras.project(poses.xyz_world)
        affine = frame.require_images().input_from_image[:, None, None].to(xy.dtype)
        xy_map = map_from_input(apply(affine, xy), STRIDE).flatten(0, 1).float()
        map_of = torch.arange(views).repeat_interleave(persons)
        drawn = render_gaussians(xy_map, front.flatten(0, 1), map_of, views, size=(width, height), sigma=SIGMA_MAP_PX)
        parts.append(drawn)
    return torch.cat(parts)


@torch.no_grad()
def run_ours(model: DisPose, frame: Frame, roots: Float[Tensor, "persons 3"], clock: Clock) -> int:
    """A frame through our model; the decoder works on the people who are there. Returns the number of tuples."""
    batch = ImageBatch.of([frame])
    features = model.see(batch)
    with clock.part("candidates"):
        detected = model.detect(features, batch, [frame])
        (problem,) = model.associator.problems(detected, features, batch)

    def projection(graph: CandidateGraph) -> Callable[[Tensor], Tensor]:
        return clock.wrap("projection", SamplerConfig().projection(graph))

    sampler = SamplerConfig(projection=projection)
    association = model.associator.weigh(problem, len(frame.cameras), sampler=sampler).association
    group_roots(detected[0], association.members, map_pixel_of(frame.require_images().input_from_image.cpu(), STRIDE))
    model.refine(features, batch, [roots])
    return 0 if problem is None else len(problem.cost)


@torch.no_grad()
def run_released(model: ReleasedDisPose, frame: Frame, roots: Float[Tensor, "persons 3"], clock: Clock) -> int:
    """A frame, in which two views see somebody, through the released model; the decoder works on who is there.

    Decoding and the roots' triangulation count for the projection. Returns the number of tuples.
    """
    batch, config = ImageBatch.of([frame]), model.config
    features = model.backbone(batch.images.pixels.flatten(0, 1))
    cameras, affine = frame.cameras.to("cpu"), batch.images.input_from_image[0].cpu()
    heatmaps = features.heatmaps[:, PANOPTIC_15.index("mid_hip")].cpu()
    with clock.part("candidates"):
        seen = find_peaks(heatmaps, cameras, affine, config.score_threshold)
        candidates = released_candidates(seen.points)
        graph = root_graph(read_roots(model.proj_attn, features, seen), candidates, seen.points.valid)
    with clock.part("projection"):
        found = find_people(model.denoiser, graph, candidates, seen, config.alpha, heatmaps, affine)
    model.refine(features, batch, [replace(found, xyz_world=roots.cpu().double())])
    return len(candidates.cue)


def measure_inference(
    config: DisPoseConfig | ReleasedConfig, views: int, persons: int, *, device: torch.device, repeats: int, seed: int
) -> PoseCell:
    """Inference of one frame in this process; peak memory counts everything the process did before."""
    cameras, poses = bench_scene(views, persons, seed)
    frame = noise_frame(cameras, config.input_size, seed)
    heatmaps = heatmaps_of([frame], [poses]).to(device)
    roots = poses.xyz_world[:, PANOPTIC_15.index("mid_hip")].float()
    clock = Clock(device)
    torch.manual_seed(seed)
    frame = Frame.of_images(frame.number, frame.cameras, frame.require_images().to(device))
    if isinstance(config, DisPoseConfig):
        name, model = "ours", DisPose(config).to(device).eval()
        watch(clock, model.backbone, model.associator.denoiser, model.decoder, heatmaps)
        work = partial(run_ours, model, frame, roots, clock)
    else:
        name, model = "released", ReleasedDisPose(config).to(device).eval()
        watch(clock, model.backbone, model.denoiser, model.decoder, heatmaps)
        work = partial(run_released, model, frame, roots, clock)
    before = memory_mib(device)
    parts = clock.median(work, repeats)
    after, tuples = memory_mib(device), work()
    return PoseCell(name, "inference", views, persons, 1, views, tuples, parts, after, before, "")


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
    # Imported here: only training needs Lightning.
    from dispose.training.fit import optimizer_of

    batch = settings.optimisation.batch
    scenes = [bench_scene(views, persons, seed + k) for k in range(batch)]
    frames, examples = [], []
    for number, (cameras, poses) in enumerate(scenes):
        labels = exact_labels(cameras, poses)
        for copy in range(settings.copies + 1):
            frames.append(noise_frame(cameras, config.input_size, seed + number, TURN * copy))
            examples.append(ImageExample(frames[-1], labels, seed + 97 * number + copy, number, copy))
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


def exact_labels(cameras: Cameras, poses: Poses) -> Labels:
    """Labels without an error: every joint in every view that holds it."""
    xy, front = cameras.project(poses.xyz_world)
    visible = cameras.inside(xy) & front
    unmatched = Detections.from_lists(PANOPTIC_15, [[]] * len(cameras))
    return Labels.of_images(poses, torch.where(visible[..., None], xy, 0.0), visible.double(), visible, unmatched)


def memory_mib(device: torch.device) -> float:
    """Peak so far: of the accelerator's tensors, or of the process."""
    return round(torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else peak_mib(), 1)
