"""Single people as the cameras of random rigs see them, with a detector's mistakes: what networks for poses learn from.

Frames of `dispose_synthetic.scenes` have rooms, furniture and people who hide each other; here a person stands alone,
and everything that goes wrong is drawn, so that a hundred people take milliseconds.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.geometry.rigid import rodrigues
from dispose.models.rays.sightings import Sightings
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose.skeletons.skeleton import Skeleton, conversion_between, convert_joints
from dispose.tensors import TensorStruct
from dispose_synthetic.motion import LANDMARKS, Variety, sample_moving_people
from dispose_synthetic.people import PeopleConfig, rotation_about, sample_people
from dispose_synthetic.randomness import Noise, between, choose
from dispose_synthetic.rigs import ARCHETYPES, CalibrationError, RigArchetype, miscalibrate, sample_rooms

ALL_JOINTS = Skeleton("landmarks", tuple(LANDMARKS), (), ())
LIMB_ENDINGS = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "toe", "heel"), ("nose", "eye", "ear", "head"))


USUAL_POSTURES = PeopleConfig()

FORWARD_MM, BACK_DEG = (("hip", 75.0), ("knee", 52.0)), 9.0
"""How captured people stand, and procedural ones do not: joints lie farther forward beside the line from the ankles to
the shoulders, and all that is above the hips leans back.
"""


@dataclass(frozen=True)
class SightingConfig:
    """What goes wrong; pairs are (low, high), shares are of people, views or keypoints.

    Attributes:
        views: fewest and most cameras.
        procedural: share of the people in procedural postures instead of captured ones; these have COCO's joints.
        noise_px: deviation of keypoints in an image 640 pixels wide, drawn log-uniformly for every person.
        noise_mm: and at the person.
        outliers: largest share of keypoints that lie elsewhere; drawn for every person, none of half of them.
        outlier_px: how far off these are, likewise log-uniform.
        missing: largest share of single keypoints that are not reported.
        limb_missing: share of arms, legs and heads that a view does not show.
        legs_hidden: share of people whose legs most views do not show, as behind a table.
        unseen: share of views in which a person is not found.
        swapped: share of views in which left and right are exchanged, in all or in arms or legs.
        stranger: share of people one of whose views shows somebody else, in whole or in part.
        bias_mm: deviation of a detector's idea of a joint from the truth, the same in all views.
        border: share of people whose keypoints beyond the border are put on it instead of left out.
        blind: share of people whose scores are all 1; of others they fall with the error, more or less.
    """

    views: tuple[int, int] = (1, 8)
    view_weights: tuple[float, ...] = (1.0, 3.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.5)
    procedural: float = 0.3
    noise_px: tuple[float, float] = (0.5, 5.0)
    noise_mm: tuple[float, float] = (2.0, 25.0)
    outliers: float = 0.2
    outlier_px: tuple[float, float] = (10.0, 120.0)
    missing: float = 0.3
    limb_missing: float = 0.06
    legs_hidden: float = 0.12
    unseen: float = 0.12
    swapped: float = 0.05
    stranger: float = 0.08
    bias_mm: float = 12.0
    border: float = 0.5
    blind: float = 0.4
    rigs: tuple[RigArchetype, ...] = ARCHETYPES
    calibration: CalibrationError = CalibrationError()


@dataclass(frozen=True, eq=False)
class SeenPeople(TensorStruct):
    """Sightings of people and where their joints truly are, mm; `known` which of these have a truth."""

    sightings: Sightings
    xyz_world: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]


def sample_bodies_in_motion(
    source: Noise,
    motion: Motion | None,
    people: int,
    procedural: float,
    *,
    postures: PeopleConfig = USUAL_POSTURES,
    variety: Variety | None = None,
) -> tuple[Float[Tensor, "people landmarks 3"], Bool[Tensor, "people landmarks"]]:
    """People of all sizes at the origin, turned anyhow, half of them seen in a mirror; and which joints they have.

    Without captured motion all postures are procedural.
    """
    coco = as_captured(sample_people(source, people, 1, postures).xyz_body[:, 0])
    everything = torch.ones(coco.shape[:2], dtype=torch.bool)
    rules = conversion_between(COCO_17, ALL_JOINTS)
    xyz, _, known = convert_joints(coco, everything.float(), everything, rules)
    if motion is not None:
        captured = source.uniform((people,)) >= procedural
        xyz = torch.where(captured[:, None, None], sample_moving_people(source, motion, people, variety), xyz)
        known = known | captured[:, None]
    flip = source.uniform((people,)) < 0.5
    mirror = xyz[:, ALL_JOINTS.mirror] * torch.tensor([1.0, -1.0, 1.0])
    xyz = torch.where(flip[:, None, None], mirror, xyz)
    turn = rotation_about(2, between(source, (people,), 0.0, 2 * torch.pi))
    lift = torch.where(source.uniform((people, 1)) < 0.1, between(source, (people, 1), 0.0, 700.0), 0.0)
    xyz = xyz @ turn.mT
    xyz[..., 2] += lift
    return xyz, known


def as_captured(xyz: Float[Tensor, "people joints 3"]) -> Float[Tensor, "people joints 3"]:
    """Procedural people (COCO's joints, mm) who hold themselves as captured ones do (`FORWARD_MM`, `BACK_DEG`)."""
    column = COCO_17.joints.index
    hips, shoulders = (xyz[:, [column(f"l_{end}"), column(f"r_{end}")]] for end in ("hip", "shoulder"))
    middle, left = hips.mean(1, keepdim=True), hips[:, 0] - hips[:, 1]
    left = left / left.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    forward = torch.linalg.cross(left, shoulders.mean(1) - middle[:, 0])
    forward = forward / forward.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    back = rodrigues(-torch.deg2rad(torch.tensor(BACK_DEG)) * left)
    legs = torch.tensor([any(word in joint for word in ("hip", "knee", "ankle")) for joint in COCO_17.joints])
    moved = torch.where(legs[:, None], xyz, middle + (xyz - middle) @ back.mT)
    for ending, far in FORWARD_MM:
        for side in "lr":
            moved[:, column(f"{side}_{ending}")] += far * forward
    return moved


def sample_sightings(
    source: Noise, motion: Motion | None, people: int, skeleton: tuple[str, ...], config: SightingConfig
) -> SeenPeople:
    """People with the joints of a skeleton as random rigs with equally many cameras see them."""
    low, high = config.views
    views = low + int(choose(source, (), torch.tensor(config.view_weights[: high - low + 1])))
    rooms = sample_rooms(source, people, views, config.rigs)
    # A second body for every person: the stranger of some view.
    bodies, known = sample_bodies_in_motion(source, motion, 2 * people, config.procedural)
    columns = [ALL_JOINTS.index(joint) for joint in skeleton]
    bodies, known = bodies[:, columns].double().view(2, people, -1, 3), known[:people, columns]
    radius = rooms.room.double() * source.uniform((people,)).sqrt()
    angle = between(source, (people,), 0.0, 2 * torch.pi)
    floor = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.zeros_like(radius)], -1)
    aside = between(source, (people,), 300.0, 1500.0) * torch.exp(1j * between(source, (people,), 0.0, 6.2832))
    beside = floor + torch.stack([aside.real, aside.imag, torch.zeros_like(aside.real)], -1)
    xyz, other = bodies[0] + floor[:, None], bodies[1] + beside[:, None]
    cameras = rooms.cameras
    shown = xyz + config.bias_mm * source.uniform((people, 1, 1)) * source.normal(xyz.shape)
    xy, front = cameras.project(shown)
    elsewhere, beyond = cameras.project(other)
    part = _strangers(source, xy.shape[:3], skeleton, config)
    xy, front = torch.where(part[..., None], elsewhere, xy), torch.where(part, beyond, front)
    error, xy = _displace(source, xy, shown, cameras, config)
    swap = _swapped(source, xy.shape[:3], skeleton, config)
    mirror = torch.tensor(Skeleton("", skeleton, ()).mirror)
    xy = torch.where(swap[..., None], xy[:, :, mirror], xy)
    seen, xy = _reported(source, xy, front, cameras, skeleton, config)
    error = error + 40.0 * (part | swap)
    confidence = torch.where(seen, _scores(source, error, config), 0.0).double()
    calibration = miscalibrate(source, cameras, config.calibration)
    xy = torch.where(seen[..., None], xy, 0.0)
    return SeenPeople(Sightings(skeleton, calibration, xy, confidence, seen), xyz, known)


def _log_uniform(source: Noise, shape: tuple[int, ...], bounds: tuple[float, float]) -> Tensor:
    low, high = torch.tensor(bounds).log()
    return between(source, shape, low, high).exp()


def _strangers(
    source: Noise, shape: torch.Size, skeleton: tuple[str, ...], config: SightingConfig
) -> Bool[Tensor, "people views joints"]:
    """Keypoints that are another person's: one view's, all or those of some limbs."""
    people, views, _ = shape
    which = (source.uniform((people, 1)) * views).long() == torch.arange(views)
    there = (source.uniform((people, 1)) < config.stranger) & which & (views > 1)
    whole = source.uniform((people, 1)) < 0.6
    some = limbs_drawn(source, (people, views), skeleton, 0.4)
    return there[..., None] & (whole[..., None] | some)


def limbs_drawn(
    source: Noise, shape: tuple[int, ...], skeleton: tuple[str, ...], share: float
) -> Bool[Tensor, "... joints"]:
    """Arms, legs and heads drawn by their share; the joints of those that are."""
    sides = [(side, endings) for endings in LIMB_ENDINGS[:2] for side in ("l_", "r_")] + [("", LIMB_ENDINGS[2])]
    mask = torch.zeros(len(sides), len(skeleton), dtype=torch.bool)
    for row, (side, endings) in enumerate(sides):
        for column, joint in enumerate(skeleton):
            outer = joint.startswith(side) and any(word in joint for word in endings)
            mask[row, column] = outer and "shoulder" not in joint and "hip" not in joint
    drawn = source.uniform((*shape, len(sides))) < share
    return (drawn[..., None] & mask).any(-2)


def _displace(
    source: Noise, xy: Tensor, xyz_world: Tensor, cameras: Cameras, config: SightingConfig
) -> tuple[Float[Tensor, "people views joints"], Float[Tensor, "people views joints 2"]]:
    """Keypoints with noise and outliers, and how far they were moved, mm at the person."""
    people, views, joints, _ = xy.shape
    depth = cameras.to_camera(xyz_world)[..., 2].mean(-1).clamp(min=300.0)
    px_per_mm = (cameras.matrix[..., 0, 0] / depth)[..., None]
    wide = (cameras.size[..., 0] / 640.0)[..., None]
    one = (people, 1, 1)
    sigma = torch.hypot(
        _log_uniform(source, one, config.noise_px) * wide, _log_uniform(source, one, config.noise_mm) * px_per_mm
    )
    # Single joints are worse than others, in one view or in all.
    sigma = sigma * (0.35 * source.normal((people, 1, joints)) + 0.25 * source.normal((people, views, joints))).exp()
    share = config.outliers * source.uniform(one) * (source.uniform(one) < 0.6)
    elsewhere = source.uniform((people, views, joints)) < share
    far = _log_uniform(source, one, config.outlier_px) * wide
    moved = torch.where(elsewhere, torch.hypot(far, sigma), sigma)[..., None] * source.normal(xy.shape).double()
    return (moved.norm(dim=-1) / px_per_mm).float(), xy + moved


def _swapped(
    source: Noise, shape: torch.Size, skeleton: tuple[str, ...], config: SightingConfig
) -> Bool[Tensor, "people views joints"]:
    """Keypoints whose sides a view exchanges."""
    people, views, _ = shape
    legs = torch.tensor([any(word in joint for word in LIMB_ENDINGS[1]) for joint in skeleton])
    kind = choose(source, (people, views), torch.tensor([1.0, 0.5, 0.5]))[..., None]
    exchanged = source.uniform((people, views, 1)) < config.swapped
    return exchanged & ((kind == 0) | ((kind == 1) & legs) | ((kind == 2) & ~legs))


def _reported(
    source: Noise, xy: Tensor, front: Tensor, cameras: Cameras, skeleton: tuple[str, ...], config: SightingConfig
) -> tuple[Bool[Tensor, "people views joints"], Float[Tensor, "people views joints 2"]]:
    """Which keypoints a detector reports, and where: cut-off ones lie on the border for some detectors."""
    people, views = xy.shape[:2]
    inside = cameras.inside(xy)
    bound = cameras.size[:, :, None] - 1
    clamped = torch.minimum(xy.clamp(min=0.0), bound)
    near = (clamped - xy).norm(dim=-1) < 0.15 * cameras.size[..., :1]
    put = (source.uniform((people, 1, 1)) < config.border) & near & (source.uniform(inside.shape) < 0.5) & ~inside
    loss = config.missing * source.uniform((people, 1, 1)) ** 2
    seen = front & (inside | put) & (source.uniform(inside.shape) >= loss)
    seen = seen & ~limbs_drawn(source, (people, views), skeleton, config.limb_missing)
    legs = torch.tensor([any(word in joint for word in LIMB_ENDINGS[1][1:]) for joint in skeleton])
    table = (source.uniform((people, 1)) < config.legs_hidden) & (source.uniform((people, views)) < 0.8)
    seen = seen & ~(table[..., None] & legs)
    seen = seen & (source.uniform((people, views, 1)) >= config.unseen)
    return seen, torch.where(put[..., None], clamped + source.normal(xy.shape).double(), xy)


def _scores(source: Noise, error_mm: Float[Tensor, "people views joints"], config: SightingConfig) -> Tensor:
    """Scores that fall with the error, for some people steeply, for some hardly, for the others all 1."""
    people = error_mm.shape[0]
    steep = 3 * source.uniform((people, 1, 1)) ** 2
    level = between(source, (people, 1, 1), 0.5, 3.0)
    odds = level - steep * (error_mm / 40.0).clamp(max=4.0) + 0.7 * source.normal(error_mm.shape)
    blind = source.uniform((people, 1, 1)) < config.blind
    return torch.where(blind, torch.ones_like(odds), odds.sigmoid().clamp(min=0.05))
