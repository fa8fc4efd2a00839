"""Time and memory of the image models on images of any size, with random weights.

What the networks see is noise, so their heat maps would hold nobody: the backbone's maps are replaced by those of the
people of a synthetic scene, and the decoder is given the true roots. Everything is computed, on a known number of
people, and no weights are needed. Nothing here says how good a model is.
"""

import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.association.graph import CandidateGraph
from dispose.association.roots import group_roots, map_pixel_of
from dispose.geometry.image_affine import apply, letterbox, map_from_input
from dispose.models.dispose.backbone import STRIDE
from dispose.models.dispose.model import DisPose, DisPoseConfig
from dispose.models.dispose.sampling import SamplerConfig
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
from dispose.scene.frame import Frame, ImageBatch, Images, Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose_benchmarks.clock import Clock, Part
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SIGMA_MAP_PX = 3.0
"""Width of the people in the replaced heat maps: what the backbone learns."""


@dataclass(frozen=True)
class PoseCell:
    """One measurement.

    Attributes:
        model: `ours` or `released`.
        work: `inference` of one frame, or a `training step`.
        views: cameras.
        persons: people in the room.
        frames: frames of a step, or 1.
        images: images that went through the backbone.
        tuples: candidate tuples of Stage I, over all images.
        parts: where the time of the run of median length went.
        memory_mib: largest memory: of the device's tensors on an accelerator; else of the whole process.
        before_mib: the same before the work began: weights, and on a CPU the interpreter and the libraries.
        note: what the figures do not say.
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


def noise_frame(cameras: Cameras, input_size: tuple[int, int], seed: int) -> Frame:
    """Images of nothing, in the network's size."""
    width, height = input_size
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(len(cameras), 3, height, width, generator=generator)
    present = torch.ones(len(cameras), dtype=torch.bool)
    return Frame.of_images(0, cameras, Images(pixels, letterbox(cameras.size, input_size), present))


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
    association = model.associator.associate(problem, len(frame.cameras), sampler=sampler)
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


def memory_mib(device: torch.device) -> float:
    """Peak so far: of the accelerator's tensors, or of the process."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
