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

from dispose.association.candidates import released_candidates
from dispose.association.graph import CandidateGraph
from dispose.association.roots import group_roots, map_pixel_of
from dispose.geometry.image_affine import apply, letterbox, map_from_input
from dispose.models.dispose.backbone import STRIDE
from dispose.models.dispose.model import DisPose, DisPoseConfig
from dispose.models.dispose.root_associator import ImageAssociator, ImageAssociatorConfig
from dispose.models.dispose.sampling import Problem, SamplerConfig
from dispose.nn.features import Features
from dispose.nn.heatmaps import render_gaussians
from dispose.released.model import (
    Found,
    ReleasedConfig,
    ReleasedDisPose,
    find_peaks,
    find_people,
    read_roots,
    root_graph,
)
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Frame, ImageBatch
from dispose.scene.images import Images
from dispose.scene.poses import Poses
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
        milliseconds: of the run of median length, all parts together.
        parts: where they went.
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
    milliseconds: float
    parts: tuple[Part, ...]
    memory_mib: float
    before_mib: float
    note: str


class WatchedAssociator(ImageAssociator):
    """Stage I whose candidates are timed."""

    def __init__(self, config: ImageAssociatorConfig, clock: Clock) -> None:
        super().__init__(config)
        self._clock = clock
        self.tuples = 0

    def problems(self, frames: Sequence[Frame], features: Features, batch: ImageBatch) -> list[Problem | None]:
        """As always."""
        with self._clock.part("candidates"):
            problems = super().problems(frames, features, batch)
        self.tuples = sum(len(problem.cost) for problem in problems if problem is not None)
        return problems


class WatchedDisPose(DisPose):
    """Our model whose parts are timed and whose heat maps show the people they should."""

    def __init__(self, config: DisPoseConfig, clock: Clock, heatmaps: Float[Tensor, "maps joints height width"]):
        super().__init__(config)
        self._clock = clock
        self.associator = WatchedAssociator(config.associator, clock)
        watch(clock, self.backbone, self.associator.denoiser, self.decoder, heatmaps)

    def detect(self, features: Features, batch: ImageBatch, frames: Sequence[Frame]) -> list[Frame]:
        """As always."""
        with self._clock.part("candidates"):
            return super().detect(features, batch, frames)


class WatchedReleased(ReleasedDisPose):
    """The released model whose parts are timed. Decoding and the roots' triangulation count for the projection."""

    def __init__(self, config: ReleasedConfig, clock: Clock, heatmaps: Float[Tensor, "maps joints height width"]):
        super().__init__(config)
        self._clock = clock
        self.tuples = 0
        watch(clock, self.backbone, self.denoiser, self.decoder, heatmaps)

    def associate(self, features: Features, cameras: Cameras, input_from_image: Float[Tensor, "views 2 3"]) -> Found:
        """As always, for two views or more that see somebody."""
        root = PANOPTIC_15.index("mid_hip")
        heatmaps = features.heatmaps[:, root].cpu()
        with self._clock.part("candidates"):
            seen = find_peaks(heatmaps, cameras, input_from_image, self.config.score_threshold)
            candidates = released_candidates(seen.points)
            graph = root_graph(read_roots(self.proj_attn, features, seen), candidates, seen.points.valid)
        self.tuples = len(candidates.cue)
        with self._clock.part("projection"):
            alpha = self.config.alpha
            return find_people(self.denoiser, graph, candidates, seen, alpha, heatmaps, input_from_image)


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


def watched_projection(clock: Clock, graph: CandidateGraph) -> Callable[[Tensor], Tensor]:
    """The default projection, timed."""
    project = SamplerConfig().projection(graph)

    def timed(latent: Tensor) -> Tensor:
        with clock.part("projection"):
            return project(latent)

    return timed


@torch.no_grad()
def run_ours(model: WatchedDisPose, frame: Frame, roots: Float[Tensor, "persons 3"], clock: Clock) -> None:
    """A frame through our model; the decoder works on the people who are there."""
    batch = ImageBatch.of([frame])
    features = model.see(batch)
    detected = model.detect(features, batch, [frame])
    sampler = SamplerConfig(projection=partial(watched_projection, clock))
    association = model.associate(detected, features, batch, sampler=sampler)[0]
    pixel = map_pixel_of(frame.require_images().input_from_image.cpu(), STRIDE)
    group_roots(detected[0], association.members, pixel)
    model.refine(features, batch, [roots])


@torch.no_grad()
def run_released(model: WatchedReleased, frame: Frame, roots: Float[Tensor, "persons 3"]) -> None:
    """A frame through the released model; the decoder works on the people who are there."""
    batch = ImageBatch.of([frame])
    features = model.backbone(batch.pixels.flatten(0, 1))
    found = model.associate(features, frame.cameras.to("cpu"), batch.input_from_image[0].cpu())
    model.refine(features, batch, [replace(found, xyz_world=roots.cpu().double())])


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
        name, model = "ours", WatchedDisPose(config, clock, heatmaps).to(device).eval()
        work = partial(run_ours, model, frame, roots, clock)
    else:
        name, model = "released", WatchedReleased(config, clock, heatmaps).to(device).eval()
        work = partial(run_released, model, frame, roots)
    before = memory_mib(device)
    parts = clock.median(work, repeats)
    return PoseCell(
        model=name,
        work="inference",
        views=views,
        persons=persons,
        frames=1,
        images=views,
        tuples=model.tuples if isinstance(model, WatchedReleased) else model.associator.tuples,
        milliseconds=round(sum(part.milliseconds for part in parts), 1),
        parts=parts,
        memory_mib=round(memory_mib(device), 1),
        before_mib=round(before, 1),
        note="",
    )


def memory_mib(device: torch.device) -> float:
    """Peak so far: of the accelerator's tensors, or of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
