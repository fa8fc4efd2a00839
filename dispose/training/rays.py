"""Training of the network that reads joints from rays: people drawn step by step, as many as one likes."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dispose.association.packing import GroupKeypoints, gather_groups
from dispose.association.reconstruct import RIGHT_MM
from dispose.datasets.cmu_motion import Motion
from dispose.losses.estimates import distance_loss, mean_of, student_t_loss
from dispose.losses.objective import Term
from dispose.models.rays.estimate import FEWEST_KEYPOINTS, PEOPLE_AT_ONCE, seeing
from dispose.models.rays.network import BodyEstimate, RayNetwork
from dispose.models.rays.sightings import BodyRays, Sightings, body_rays
from dispose.scene.frame import Labels
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT, TensorStruct, cat
from dispose.training.beginnings import claim_with_motion
from dispose.training.config import RAYS, RaysRecipe
from dispose.training.fit import fit
from dispose.training.shards import Shards, build_shards, save_shard, write_once
from dispose.training.task import Task
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.records import to_json
from dispose_synthetic.randomness import Noise, choose
from dispose_synthetic.rigs import CalibrationError
from dispose_synthetic.scenes import sample_scenes
from dispose_synthetic.sightings import SeenPeople, SightingConfig, sample_sightings

FARTHEST_M = 5.0
EARLY = 0.3
"""How much an early round's joints count against the last one's."""

DISTANCE, RIGHT = 2.0, 0.3
"""How much a metre of mean error counts, and the doubt about whole people, against the likelihood."""

NUMBERS = 65_536
USUAL_CALIBRATION = CalibrationError(scale=(0.0, 1.0))
"""Claims are made for rigs calibrated no worse than usual. Training sees errors three times as large, so that it stands
them. What intervals hold there, and at a perfect rig: ``python tools/claims_of_rays.py``."""

GAUSSIAN_INTERVALS = (0.67449, 1.64485)
"""Standard deviations that hold 50 and 90 % of a Gaussian."""
VALIDATION_SEED = 20_260

FEWEST_JOINTS = 300
"""So many joints of people whom so many cameras see say what is to be claimed of them."""


@dataclass(frozen=True, eq=False)
class RayExamples(TensorStruct):
    """People's rays in their own axes, and where their joints truly are there, metres; `known` which to learn from."""

    rays: BodyRays
    xyz: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]


def ray_examples(people: SeenPeople) -> RayExamples:
    """People as the network sees them. Of those who are hardly seen no joint is learned."""
    rays = body_rays(people.sightings)
    enough = people.sightings.seen.sum((1, 2)) >= FEWEST_KEYPOINTS
    return RayExamples(rays, rays.to_body(people.xyz_world), people.known & enough[:, None])


def mirror(examples: RayExamples) -> RayExamples:
    """People of COCO's joints seen in a mirror: left and right swap, in their own axes y changes its sign."""
    swap, flip, rays = COCO_17.mirror, torch.tensor([1.0, -1.0, 1.0]), examples.rays
    seen = rays.select(joints=swap)
    rays = replace(
        seen, kind=rays.kind, centre=rays.centre * flip, direction=seen.direction * flip, start=seen.start * flip
    )
    return RayExamples(rays, examples.xyz[:, swap] * flip, examples.known[:, swap])


def scene_examples(recipe: RaysRecipe, generator: torch.Generator) -> RayExamples:
    """The people of a chunk of frames, grouped as the labels say but for a few strangers among them."""
    scenes = sample_scenes(generator, recipe.scenes.chunk, recipe.scenes)
    associations = [association_of_identities(labels.identity) for _, labels in scenes]
    groups = gather_groups([frame for frame, _ in scenes], associations)
    people = [
        labels.poses[labelled_rows(association, labels)]
        for association, (_, labels) in zip(associations, scenes, strict=True)
    ]
    member = with_strangers(groups, recipe.sightings.stranger, generator)
    sightings = Sightings.of(replace(groups, member=member))
    xyz = torch.cat([poses.xyz_world for poses in people])
    return ray_examples(SeenPeople(sightings, xyz, torch.cat([poses.valid for poses in people])))


def labelled_rows(association: Association, labels: Labels) -> Int[Tensor, " persons"]:
    """The row in the labels of the person whom every group is."""
    members = association.members
    view = (members != ABSENT).int().argmax(1)
    who = labels.identity[view, members[torch.arange(len(view)), view]]
    return (labels.poses.id[None] == who[:, None]).int().argmax(1)


def with_strangers(groups: GroupKeypoints, share: float, generator: torch.Generator) -> Int[Tensor, "persons views"]:
    """The members of groups, a share of which holds somebody else, or nobody, in one view."""
    member, views = groups.member.clone(), groups.member.shape[1]
    persons = len(member)
    odd = torch.rand(persons, generator=generator) < share
    view = (torch.rand(persons, generator=generator) * views).long()
    pick = torch.rand(persons, groups.packed.number.shape[2], generator=generator)
    there = groups.packed.number[groups.frame, view]
    other = torch.where(there == ABSENT, -1.0, pick).argmax(1)
    stranger = there[torch.arange(persons), other]
    row = odd.nonzero()[:, 0]
    member[row, view[row]] = stranger[row]
    return member


def build_scene_shard(recipe: RaysRecipe, shard: int, path: Path) -> None:
    """Write the people of some chunks of frames: a function of the recipe's seed and the shard's number."""
    generator = torch.Generator().manual_seed(recipe.seed * 10_000_019 + shard)
    save_shard(path, [scene_examples(recipe, generator) for _ in range(recipe.chunks_per_shard)])


def no_examples() -> RayExamples:
    """Of nobody."""
    one, three = torch.zeros(0, 1), torch.zeros(0, 1, 3)
    joints, flags = torch.zeros(0, 1, 1), torch.zeros(0, 1, 1, dtype=torch.bool)
    none, axes = torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, 3, 3, dtype=torch.float64)
    kind = torch.zeros(1, dtype=torch.long)
    rays = BodyRays(
        none, axes, kind, three, three[:, None], three, one > 0, flags, joints, one, one, joints, joints, flags
    )
    return RayExamples(rays, three, one > 0)


class DrawnPeople:
    """People drawn for every step by its seeds; those of one step have one skeleton and equally many cameras.

    Some steps show rooms full of people instead, from shards.
    """

    def __init__(self, recipe: RaysRecipe, motion: Motion | None, shards: Sequence[Path]) -> None:
        self.recipe, self.motion = recipe, motion
        self.scenes = Shards(shards, no_examples())

    @property
    def groups(self) -> Sequence[int]:
        """One. Examples are numbers to draw by."""
        return [0] * NUMBERS

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> RayExamples:
        """As many people as there are rows, or fewer of a room."""
        recipe = self.recipe
        source = Noise(torch.Generator().manual_seed(seeds[0]))
        if len(self.scenes) and float(source.uniform(())) < recipe.scene_share:
            found = self.scenes[int(source.uniform(()) * len(self.scenes))]
            order = torch.randperm(len(found.xyz), generator=source.generator)[: len(rows)]
            chosen = found.select(persons=order)
            return mirror(chosen) if float(source.uniform(())) < 0.5 else chosen
        which = int(choose(source, (), torch.tensor(recipe.skeleton_weights)))
        skeleton = recipe.skeletons[which]
        return ray_examples(sample_sightings(source, self.motion, len(rows), skeleton, recipe.sightings))


class RaysTask(Task):
    """Fit places, covariances and the probability that a person is right."""

    name = "rays"

    def __init__(self, network: RayNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: RayExamples) -> tuple[Term, ...]:
        """Likelihood and distance of all rounds, and the doubt about whole people."""
        batch = batch.to(self.network.spread.weight.device)
        found, odds = self.network(batch.rays)
        shares = [EARLY] * (len(found) - 1) + [1.0]
        likelihood, distance = batch.xyz.new_zeros(()), batch.xyz.new_zeros(())
        for share, one in zip(shares, found, strict=True):
            likelihood = likelihood + share * student_t_loss(one.xyz, one.covariance, batch.xyz, batch.known)
            distance = distance + share * distance_loss(one.xyz, batch.xyz, batch.known, most=FARTHEST_M)
        right, judged = are_right(found[-1], batch)
        doubt = binary_cross_entropy_with_logits(odds, right.float(), reduction="none")
        return (
            Term("likelihood", likelihood),
            Term("distance", distance, DISTANCE),
            Term("doubt", mean_of(doubt, judged), RIGHT),
        )


def are_right(estimate: BodyEstimate, batch: RayExamples) -> tuple[Bool[Tensor, " persons"], Bool[Tensor, " persons"]]:
    """Whose joints, of those that are said, lie within `RIGHT_MM` of the truth in the mean, and who can be judged."""
    judged = batch.known & estimate.said
    count = judged.sum(1)
    error = torch.where(judged, (estimate.xyz - batch.xyz).norm(dim=-1), 0.0).sum(1) / count.clamp(min=1)
    return 1000 * error <= RIGHT_MM, count > 0


def train_rays(recipe: RaysRecipe, folder: Path, motion: Path | None, *, workers: int | None = None) -> Path:
    """Train, scale the covariances on people that no step saw, save; the path of the weights.

    Args:
        recipe: what is trained and how.
        folder: of the run.
        motion: the folder ``cmu_motion``.
        workers: processes that draw ahead.

    Raises:
        InputError: the recipe needs captured motion and there is none; the folder holds a run of another recipe.
    """
    captured = claim_with_motion(folder, recipe, motion)
    weights, raw = folder / RAYS, folder / "rays_unscaled.safetensors"
    build = functools.partial(build_scene_shard, recipe)
    paths = build_shards(folder, "scenes", recipe.shards, build, workers=workers)
    people = DrawnPeople(recipe, captured, paths)
    if not raw.exists():
        torch.manual_seed(recipe.seed)
        task = RaysTask(RayNetwork(recipe.model))
        fit(task, people, folder / task.name, recipe.optimisation, seed=recipe.seed, workers=workers)
        write_once(raw, lambda path: save_weights(path, task.network, recipe=to_json(recipe)))
    if not weights.exists():
        network = load_weights(raw, RayNetwork)
        note = scale_covariances(network, recipe, captured)
        print(note)
        write_once(weights, lambda path: save_weights(path, network, recipe=to_json(recipe), note=note))
    return weights


@dataclass(frozen=True, eq=False)
class DrawnErrors(TensorStruct):
    """Errors of the joints that a network says of people drawn anew, before anything is claimed.

    Attributes:
        ratio: along each of the person's axes, in standard deviations of the network's own.
        error_mm: distance from the truth.
        place: of the person's factor in `RayNetwork.by_views`.
    """

    ratio: Float[Tensor, "joints 3"]
    error_mm: Float[Tensor, " joints"]
    place: Int[Tensor, " joints"]

    def claimed(self, network: RayNetwork) -> Float[Tensor, "joints 3"]:
        """The ratios by what the network claims."""
        return self.ratio / (network.claim * network.by_views[self.place])[:, None]


@torch.no_grad()
def drawn_errors(
    network: RayNetwork, recipe: RaysRecipe, motion: Motion | None, people: int, sightings: SightingConfig, seed: int
) -> DrawnErrors:
    """How far off a network is on so many people whom no step saw."""
    source, parts = Noise(torch.Generator().manual_seed(seed)), []
    for _ in range(max(people // PEOPLE_AT_ONCE, 1)):
        which = int(choose(source, (), torch.tensor(recipe.skeleton_weights)))
        drawn = sample_sightings(source, motion, PEOPLE_AT_ONCE, recipe.skeletons[which], sightings)
        batch = ray_examples(drawn)
        found = network(batch.rays)[0][-1]
        judged = batch.known & found.said
        error = found.xyz - batch.xyz
        sigma = torch.diagonal(found.covariance, dim1=-2, dim2=-1).sqrt()
        place = seeing(drawn.sightings.seen)[:, None].expand_as(judged)
        parts.append(DrawnErrors((error.abs() / sigma)[judged], 1000 * error.norm(dim=-1)[judged], place[judged]))
    return cat(parts, "joints")


@torch.no_grad()
def scale_covariances(network: RayNetwork, recipe: RaysRecipe, motion: Motion | None) -> str:
    """Set the network's claims so that its intervals of 50 % hold half of people's joints; figures of it.

    One factor for everybody first, then one by the number of cameras that see a person, where there are enough of them.
    """
    usual = replace(recipe.sightings, calibration=USUAL_CALIBRATION)
    drawn = drawn_errors(network, recipe, motion, recipe.validation_people, usual, VALIDATION_SEED)
    network.claim.fill_(float(drawn.ratio.quantile(0.5)) / GAUSSIAN_INTERVALS[0])
    # A step's people are before equally many cameras: it takes more of them to meet all numbers.
    more = drawn_errors(network, recipe, motion, 4 * recipe.validation_people, usual, VALIDATION_SEED + 1)
    network.by_views.fill_(1.0)
    for place in range(len(network.by_views)):
        mine = more.ratio[more.place == place]
        if len(mine) >= FEWEST_JOINTS:
            network.by_views[place] = float(mine.quantile(0.5)) / GAUSSIAN_INTERVALS[0] / network.claim
    ratio, error = drawn.claimed(network), drawn.error_mm
    held = [100 * float((ratio < edge).double().mean()) for edge in GAUSSIAN_INTERVALS]
    off = f"{float(error.mean()):.1f} mm in the mean, {float(error.median()):.1f} in the median"
    holds = f"intervals of 50 and 90 % hold {held[0]:.1f} and {held[1]:.1f} %"
    return f"On {recipe.validation_people} people drawn after training: joints off by {off}; {holds}."
