"""One person before several cameras: what triangulators say of few views, and of views of which one lies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.packing import GroupKeypoints, PackedDetections, gather_groups
from dispose.association.reconstruct import Triangulate, triangulate_keypoints
from dispose.errors import InputError
from dispose.geometry.image_affine import apply, input_from_map, invert, map_from_input
from dispose.geometry.triangulation import BySights, ransac_of_sights, robust_of_sights
from dispose.geometry.uncertainty import expected_error
from dispose.models.rays.estimate import estimate_joints
from dispose.models.rays.network import RayNetwork
from dispose.models.rays.sightings import Sightings
from dispose.models.triangulation.cube import Cubes, log_sum, unproject
from dispose.models.triangulation.detections import DetectionWeights
from dispose.models.triangulation.statistics import keypoint_statistics
from dispose.nn.heatmaps import soft_argmax
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Images, Labels, Poses
from dispose.scene.results import Association
from dispose.tensors import ABSENT, TensorStruct, cat, stack
from dispose.zoo.checkpoints import load_detection_weights, load_rays
from dispose_synthetic.scenes import SceneConfig, sample_scenes

MARGIN = 0.05
"""Room around a person that is cut out, as a share of their box."""

GAIN = 100.0
"""How much more a high pixel of a heat map counts than a low one."""

CELLS, SIDE_MM = 40, 2000.0
"""Voxels along a side of a cube, and its size."""

WITNESS = 2.0
"""How much a view counts as a witness: heat maps are wider than what they say is uncertain."""

FAINTEST = 0.3
"""A joint whose heat map is nowhere higher is not seen."""


@dataclass(frozen=True, eq=False)
class LabelledGroups(TensorStruct):
    """Groups of one person each, and where their joints truly are, row by row."""

    groups: GroupKeypoints
    truth: Poses


def groups_of(scenes: Sequence[tuple[Frame, Labels]], fewest: int = 2) -> LabelledGroups:
    """Everybody in some frames whom at least so many views see, put together as the labels say."""
    frames, associations, truths = [], [], []
    for frame, labels in scenes:
        if labels.identity.shape[1] == 0:  # nobody is found
            continue
        mine = labels.identity[None] == labels.poses.id[:, None, None]
        members = torch.where(mine.any(-1), mine.int().argmax(-1), ABSENT)
        rows = (members != ABSENT).sum(1) >= fewest
        frames.append(frame)
        associations.append(Association(members[rows], torch.ones(int(rows.sum()), dtype=torch.float64)))
        truths.append(labels.poses[rows])
    return LabelledGroups(gather_groups(frames, associations), cat(truths, "persons"))


@dataclass(frozen=True, eq=False)
class JudgedJoints(TensorStruct):
    """What a triangulator says of people, mm.

    Attributes:
        real_mm: distances from the truth; NaN where it says nothing, and where there is no truth.
        claimed_mm: the distances that it expects; NaN where it claims nothing.
        asked: joints that there is a truth of.
    """

    real_mm: Float[Tensor, "persons joints"]
    claimed_mm: Float[Tensor, "persons joints"]
    asked: Bool[Tensor, "persons joints"]

    @property
    def share(self) -> float:
        """Of the joints that there is a truth of, how many anything is said of."""
        return float(torch.isfinite(self.real_mm).sum()) / max(int(self.asked.sum()), 1)


def said_of(triangulate: Triangulate, people: LabelledGroups) -> JudgedJoints:
    """What a triangulator says of people."""
    poses, truth = triangulate(people.groups), people.truth
    both = poses.valid & truth.valid
    real = (poses.xyz_world.double() - truth.xyz_world.double()).norm(dim=-1)
    claimed = torch.full_like(real, torch.nan)
    if poses.covariance is not None:
        claimed = expected_error(poses.covariance.double())
    return JudgedJoints(torch.where(both, real, torch.nan), torch.where(both, claimed, torch.nan), truth.valid)


def common_means(said: Sequence[JudgedJoints]) -> list[float]:
    """Mean real errors over the joints that everybody says who says anything at all, mm; NaN for who says nothing."""
    real = torch.stack([one.real_mm for one in said])
    known = torch.isfinite(real)
    speaks = known.flatten(1).any(1)
    common = known[speaks].all(0) if bool(speaks.any()) else torch.zeros_like(known[0])
    return torch.where(common, real, torch.nan).flatten(1).nanmean(1).tolist()


def cut_out(
    heatmaps: Float[Tensor, "views joints height width"],
    cameras: Cameras,
    images: Images,
    poses: Poses,
    stride: int,
) -> Float[Tensor, "persons views joints height width"]:
    """Everybody's heat: that inside the box around them, 0 elsewhere. The box is that of their joints, as projected."""
    xy, _ = cameras.project(poses.xyz_world.double())
    xy_map = map_from_input(apply(images.input_from_image.double()[:, None, None], xy), stride).transpose(0, 1)
    low, high = xy_map.amin(2), xy_map.amax(2)
    room = MARGIN * (high - low).amax(-1, keepdim=True)
    low, high = (low - room)[:, :, None, None], (high + room)[:, :, None, None]
    height, width = heatmaps.shape[-2:]
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = (across >= low[..., 0]) & (across <= high[..., 0]) & (down >= low[..., 1]) & (down <= high[..., 1])
    return heatmaps.clamp(min=0) * inside[:, :, None]


def keypoints_of(
    heat: Float[Tensor, "persons views joints height width"], images: Images, stride: int
) -> tuple[Float[Tensor, "persons views joints 2"], Float[Tensor, "persons views joints"]]:
    """The expected pixel of every joint in the original image, and the height of its heat map as its score."""
    xy_map, _ = soft_argmax(heat, GAIN)
    image_from_input = invert(images.input_from_image.double())
    xy = apply(image_from_input[None, :, None], input_from_map(xy_map.double(), stride))
    score = heat.flatten(-2).amax(-1).double().clamp(max=1.0)
    return xy, torch.where(score >= FAINTEST, score, 0.0)


def frame_of(
    number: int,
    cameras: Cameras,
    poses: Poses,
    xy_image: Float[Tensor, "persons views joints 2"],
    score: Float[Tensor, "persons views joints"],
) -> tuple[Frame, Labels]:
    """A frame whose detections are keypoints of people who are known."""
    keypoints = torch.cat([xy_image, score[..., None]], -1).transpose(0, 1)
    found = Detections.from_lists(poses.skeleton, [list(people) for people in keypoints])
    return Frame(number, cameras, found), Labels.of_detections(poses.id.repeat(len(cameras), 1), poses)


Lie = Callable[[LabelledGroups, int, int], LabelledGroups]
"""From the people of one frame, one of them (row) and a view that lies about them to what is seen of them then."""


@dataclass(frozen=True)
class NamedLie:
    """What a view may do wrong."""

    name: str
    tell: Lie


def honest(people: LabelledGroups, row: int, view: int) -> LabelledGroups:
    """The view says what it sees."""
    return people.select(persons=[row])


def outlier(shift_px: float) -> Lie:
    """All keypoints of the view lie too far to the right, pixels."""

    def tell(people: LabelledGroups, row: int, view: int) -> LabelledGroups:
        packed = people.groups.packed
        xy = packed.xy_image.clone()
        xy[_detection(people, row, view), :, 0] += shift_px
        return _with(people, packed=replace(packed, xy_image=xy)).select(persons=[row])

    return tell


def swapped_sides(people: LabelledGroups, row: int, view: int) -> LabelledGroups:
    """The view takes left for right."""
    packed, which = people.groups.packed, _detection(people, row, view)
    values = {name: vars(packed)[name].clone() for name in ("xy_image", "confidence", "visible")}
    for value in values.values():
        value[which] = value[which, packed.skeleton.mirror]
    return _with(people, packed=replace(packed, **values)).select(persons=[row])


def stranger(people: LabelledGroups, row: int, view: int) -> LabelledGroups:
    """The view shows the next person. Raises `InputError` where there is none whom it sees."""
    member = people.groups.member.clone()
    others = [k % len(member) for k in range(row + 1, row + len(member)) if member[k % len(member), view] != ABSENT]
    if not others:
        raise InputError(f"view {view} sees nobody but person {row}: there is no stranger")
    member[row, view] = member[others[0], view]
    return _with(people, member=member).select(persons=[row])


def lies(shift_px: float) -> tuple[NamedLie, ...]:
    """Nothing wrong, keypoints that are so far off, left for right, another person."""
    return (
        NamedLie("no lie", honest),
        NamedLie(f"{shift_px:g} px off", outlier(shift_px)),
        NamedLie("left for right", swapped_sides),
        NamedLie("a stranger", stranger),
    )


def _detection(people: LabelledGroups, row: int, view: int) -> int:
    """The detection of a person in a view. Raises `InputError` where there is none."""
    which = int(people.groups.member[row, view])
    if which == ABSENT:
        raise InputError(f"view {view} does not see person {row}: it cannot lie about them")
    return which


def _with(people: LabelledGroups, **changed: PackedDetections | Tensor) -> LabelledGroups:
    return replace(people, groups=replace(people.groups, **changed))


def sample_single_people(views: int, people: int, generator: torch.Generator) -> list[tuple[Frame, Labels]]:
    """Drawn people, each alone before a rig of so many cameras, found by one of the fitted detectors."""
    config = SceneConfig(views=(views, views), persons=(1, 1), ghosts=0, moved_world=False, chunk=people)
    return sample_scenes(generator, people, config)


def by_views(scenes: Sequence[tuple[Frame, Labels]], views: Sequence[int]) -> LabelledGroups:
    """The people whom some of the cameras see, by these alone."""
    some = list(views)
    return groups_of([(frame.select(views=some), labels.select(views=some)) for frame, labels in scenes], fewest=1)


Weigh = Callable[[GroupKeypoints], Float[Tensor, "persons views joints"]]
"""How much every keypoint counts, in a unit of its own; 0 where a joint is not seen."""


def weigh_by(name: str) -> Weigh:
    """What a triangulator makes of keypoints: 1 for those that agree, or learned weights, one over a variance.

    Raises `InputError` for a triangulator without weights, listing those that have some.
    """
    judges: dict[str, Callable[[], Weigh]] = {
        "robust": lambda: _agreeing(robust_of_sights),
        "ransac": lambda: _agreeing(ransac_of_sights),
        "algebraic": lambda: _by_detections(load_detection_weights()),
        "rays": lambda: _by_rays(load_rays()),
    }
    if name not in judges:
        raise InputError(f"no weights of views by {name!r}; there are those of {', '.join(judges)}")
    return judges[name]()


def _agreeing(by: BySights) -> Weigh:
    return lambda groups: (triangulate_keypoints(groups, by).inlier.transpose(1, 2) & groups.seen).double()


def _by_detections(network: DetectionWeights) -> Weigh:
    def weigh(groups: GroupKeypoints) -> Float[Tensor, "persons views joints"]:
        with torch.no_grad():
            log_sigma = network(keypoint_statistics(groups))[-1].log_sigma
        return torch.where(groups.seen, (-2 * log_sigma.double()).exp(), 0.0)

    return weigh


def _by_rays(network: RayNetwork) -> Weigh:
    return lambda groups: estimate_joints(network, Sightings.of(groups)).weight


@dataclass(frozen=True, eq=False)
class JoinedCube(TensorStruct):
    """What the views of one person show in a cube, and what that makes probable.

    Attributes:
        cubes: one.
        xyz_world: its voxels, mm.
        shown: heat of every view at every voxel.
        probability: of every voxel, by all views as independent witnesses.
        xyz_mean: the mean places under it, mm.
    """

    cubes: Cubes
    xyz_world: Float[Tensor, "cells cells cells 3"]
    shown: Float[Tensor, "views joints cells cells cells"]
    probability: Float[Tensor, "joints cells cells cells"]
    xyz_mean: Float[Tensor, "joints 3"]


def join_in_cube(
    heat: Float[Tensor, "views joints height width"], cameras: Cameras, images: Images, root: Float[Tensor, " 3"]
) -> JoinedCube:
    """A person's heat maps in a cube around a place, mm, joined as the volumetric method's shortcut does."""
    cubes = Cubes(CELLS, SIDE_MM, root.double()[None], torch.zeros(1, dtype=torch.float64))
    rigs = stack([replace(cameras, names=())])
    shown = unproject(heat.double()[None], cubes, rigs, images.input_from_image.double()[None])
    together = WITNESS * log_sum(shown, torch.ones(shown.shape[:3], dtype=shown.dtype))
    probability = together.flatten(2).softmax(-1).view_as(together)
    return JoinedCube(cubes, cubes.xyz_world[0], shown[0], probability[0], cubes.expected(probability)[0])
