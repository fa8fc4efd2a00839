"""What the weights of 2-D detections learn from: synthetic scenes whose groups are known and then made worse."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.packing import gather_groups
from dispose.models.triangulation.detections import DetectionWeightsConfig
from dispose.models.triangulation.statistics import KeypointStatistics, keypoint_statistics
from dispose.options import FROM_0
from dispose.scene.convert import convert_detections, convert_poses
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import Association
from dispose.skeletons.catalog import COCO_17, H36M_17, PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct
from dispose.training.config import Optimisation
from dispose.training.shards import save_shard
from dispose_synthetic.detectors.points import PointNoise, detect_points
from dispose_synthetic.rigs import ARCHETYPES, HUDDLES
from dispose_synthetic.scenes import SceneConfig, sample_scenes

SKELETONS = (COCO_17, COCO_17, COCO_17, PANOPTIC_15, H36M_17)
"""Whose joints the chunks have, in turn."""

VALIDATION_CHUNK = 1_000_000
"""Chunk numbers from here on are never trained on."""


@dataclass(frozen=True)
class DetectionScenes:
    """What groups of detections are drawn from.

    Attributes:
        scenes: people, rigs and detectors.
        points: share of the frames whose detections are true points with plain noise and no telling score instead.
        sigma_px: fewest and most of that noise in an image 640 wide.
        wrong: largest share of those points that lie far off.
        wrong_px: how far, likewise.
        missing: largest share of those points that are not reported.
        lost: how often a group lacks a member.
        stranger: how often a member is another person's detection.
    """

    scenes: SceneConfig = SceneConfig(
        views=(2, 8), view_weights=(3.0, 4.0, 3.0, 3.0, 1.0, 0.5, 0.5), rigs=(*ARCHETYPES, *HUDDLES)
    )
    points: float = 0.5
    sigma_px: tuple[float, float] = (0.7, 8.0)
    wrong: float = 0.3
    wrong_px: tuple[float, float] = (10.0, 90.0)
    missing: float = 0.3
    lost: float = 0.1
    stranger: float = 0.05


@dataclass(frozen=True)
class DetectionWeightsRecipe:
    """The network and what it learns from: the people of `chunks` shards.

    After training the covariances are scaled on those of `validation_chunks` shards that it never saw.
    """

    name: str = "algebraic_detections"
    seed: int = field(default=925, metadata=FROM_0)
    model: DetectionWeightsConfig = DetectionWeightsConfig()
    drawn: DetectionScenes = DetectionScenes()
    chunks: int = 24
    frames_per_chunk: int = 128
    validation_chunks: int = 5
    optimisation: Optimisation = field(
        default_factory=lambda: Optimisation(
            steps=1500, batch=64, rate=2e-3, last_rate=0.0, warmup=100, clip=1.0, weight_decay=1e-3
        )
    )


@dataclass(frozen=True, eq=False)
class WeighedPeople(TensorStruct):
    """Statistics of people's keypoints and where their joints truly are, mm; `known` which have a truth."""

    statistics: KeypointStatistics
    xyz_world: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]


def scene_of_points(
    frame: Frame, labels: Labels, drawn: DetectionScenes, generator: torch.Generator
) -> tuple[Frame, Labels]:
    """The frame as a detector of plain noise sees it, by how much drawn for the frame."""

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    wide = float(frame.cameras.size[:, 0].mean()) / 640.0
    sigma, far = (
        wide * float(torch.tensor(between(*torch.tensor(bounds).log().tolist())).exp())
        for bounds in (drawn.sigma_px, drawn.wrong_px)
    )
    noise = PointNoise(sigma, between(0.0, drawn.wrong), far)
    frame, labels = detect_points(frame, labels, noise, generator)
    found, lost = frame.detections, between(0.0, drawn.missing)
    kept = found.visible & (torch.rand(found.visible.shape, generator=generator) >= lost)
    found = replace(
        found,
        visible=kept,
        xy_image=torch.where(kept[..., None], found.xy_image, 0.0),
        confidence=torch.where(kept, found.confidence, 0.0),
    )
    return replace(frame, detections=found), labels


def groups_of(labels: Labels, drawn: DetectionScenes, generator: torch.Generator) -> Int[Tensor, "persons views"]:
    """Everybody's detections, of which some are lost and some are another person's; a row per true person."""
    identity = labels.identity
    persons, views = len(labels.poses.id), len(identity)
    if identity.shape[1] == 0:
        return torch.full((persons, views), ABSENT)
    mine = identity[None] == labels.poses.id[:, None, None]
    members = torch.where(mine.any(-1), mine.int().argmax(-1), ABSENT)
    shape = (persons, views)
    lost = torch.rand(shape, generator=generator) < drawn.lost
    other = (torch.rand((views, identity.shape[1], persons), generator=generator).argsort(1)).permute(2, 0, 1)[..., 0]
    swap = (torch.rand(shape, generator=generator) < drawn.stranger) & (members != ABSENT)
    valid = torch.take_along_dim((identity != ABSENT)[None].expand(persons, -1, -1), other[..., None], -1)[..., 0]
    members = torch.where(swap & valid, other, members)
    return torch.where(lost, ABSENT, members)


def draw_people(recipe: DetectionWeightsRecipe, chunk: int) -> list[WeighedPeople]:
    """The people of a chunk, together who are seen by equally many cameras."""
    generator = torch.Generator().manual_seed(recipe.seed * 10_000_019 + chunk)
    skeleton = SKELETONS[chunk % len(SKELETONS)]
    found: list[WeighedPeople] = []
    alike: dict[int, list[tuple[Frame, Labels]]] = {}
    for frame, labels in sample_scenes(generator, recipe.frames_per_chunk, recipe.drawn.scenes):
        if float(torch.rand((), generator=generator)) < recipe.drawn.points:
            frame, labels = scene_of_points(frame, labels, recipe.drawn, generator)
        alike.setdefault(len(frame.cameras), []).append((frame, labels))
    for some in alike.values():
        found += _weighed(some, skeleton, recipe.drawn, generator)
    return found


def _weighed(
    scenes: Sequence[tuple[Frame, Labels]], skeleton: Skeleton, drawn: DetectionScenes, generator: torch.Generator
) -> list[WeighedPeople]:
    """The statistics of the groups of frames with equally many views; none where nobody is seen twice."""
    frames, groups, truth = [], [], []
    for frame, labels in scenes:
        members = groups_of(labels, drawn, generator)
        kept = (members != ABSENT).sum(1) >= 2
        frames.append(replace(frame, detections=convert_detections(frame.detections, skeleton)))
        groups.append(Association(members[kept], torch.ones(int(kept.sum())).double()))
        truth.append(convert_poses(labels.poses, skeleton).select(persons=kept))
    statistics = keypoint_statistics(gather_groups(frames, groups))
    xyz = torch.cat([poses.xyz_world for poses in truth])
    known = torch.cat([poses.valid for poses in truth]) & statistics.known
    return [WeighedPeople(statistics, xyz, known)] if len(xyz) else []


def no_people() -> WeighedPeople:
    """Nobody, as the shards hold people."""
    joints, views = torch.zeros(0, 1), torch.zeros(0, 1, 1)
    each, seen = torch.zeros(0, 1).double(), views > 0
    place = torch.zeros(0, 1, 3).double()
    statistics = KeypointStatistics(
        name=joints.long(),
        neighbour=views.double(),
        values=views[..., None],
        seen=seen,
        xy=torch.zeros(0, 1, 1, 2).double(),
        focal_px=each,
        bound_px=each,
        rotation=torch.zeros(0, 1, 3, 3).double(),
        translation=place,
        start=place,
    )
    return WeighedPeople(statistics, place, joints > 0)


def build_people_chunk(recipe: DetectionWeightsRecipe, chunk: int, path: Path) -> None:
    """Write the people of one chunk."""
    save_shard(path, draw_people(recipe, chunk))
