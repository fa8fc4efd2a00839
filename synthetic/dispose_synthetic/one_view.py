"""People as one camera sees them, with a detector's mistakes, and their true poses: what lifters learn from."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.models.lifting.view import ViewPeople, confidence_of, view_people
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.detectors.parameters import sample_detectors
from dispose_synthetic.detectors.points import fitted_points
from dispose_synthetic.human36m_rig import TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.motion import Variety
from dispose_synthetic.people import PeopleConfig
from dispose_synthetic.randomness import Noise, between
from dispose_synthetic.rigs import ARCHETYPES, RigArchetype, sample_rooms
from dispose_synthetic.sightings import ALL_JOINTS, limbs_drawn, sample_bodies_in_motion

RECORDING_MM = 1500.0
"""Half the side of the floor on which people of Human3.6M's room stand."""

HIPS = ("l_hip", "r_hip")
FACE = ("nose", "l_eye", "r_eye", "l_ear", "r_ear")


@dataclass(frozen=True)
class OneViewConfig:
    """What is drawn; shares are of people unless said otherwise.

    Attributes:
        procedural: in procedural postures instead of captured ones.
        postures: of these.
        variety: of the others.
        hips: by which factors sets lay hips closer together or farther apart, drawn log-uniformly for every person.
        shoulders: and shoulders.
        recording: in the cameras of Human3.6M's room instead of drawn ones.
        upside: whose direction of up is told.
        exact: whose keypoints are where the joints are.
        noise: least and most of a detector's noise, as a factor, drawn log-uniformly.
        faceless: whose face is not told.
        missing: largest share of single keypoints that are not told.
        limb_missing: whose arms, legs or heads are missing, each.
        legs_hidden: whose legs are hidden.
        told: deviation of the logarithm of what is told of the noise from the truth.
        rigs: the cameras that are drawn.
        subjects: for whom Human3.6M's were calibrated.
    """

    joints: tuple[str, ...] = COCO_17.joints
    procedural: float = 0.4
    postures: PeopleConfig = PeopleConfig((0.12, 0.12, 0.12, 0.16, 0.1, 0.18, 0.1, 0.1), angle_noise_deg=10.0)
    variety: Variety | None = Variety()
    hips: tuple[float, float] = (0.6, 1.7)
    shoulders: tuple[float, float] = (0.85, 1.15)
    recording: float = 0.25
    upside: float = 0.7
    exact: float = 0.3
    noise: tuple[float, float] = (0.15, 2.0)
    faceless: float = 0.6
    missing: float = 0.2
    whole: float = 0.5
    limb_missing: float = 0.04
    legs_hidden: float = 0.08
    told: float = 0.25
    rigs: tuple[RigArchetype, ...] = ARCHETYPES
    subjects: tuple[str, ...] = TRAINING_SUBJECTS


def sample_cameras(source: Noise, people: int, config: OneViewConfig) -> tuple[Cameras, Float[Tensor, "people 2"]]:
    """Of every person one camera (``people 1 …``), and where on the floor they stand, mm."""
    rooms = sample_rooms(source, people, 1, config.rigs)
    radius = rooms.room.double() * source.uniform((people,)).sqrt()
    angle = between(source, (people,), 0.0, 2 * torch.pi)
    floor = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
    recorded = [human36m_rig(subject) for subject in config.subjects]
    which = (source.uniform((people,)) * 4 * len(recorded)).long()
    subject, view = which // 4, which % 4
    here = source.uniform((people,)) < config.recording

    def take(name: str) -> Tensor:
        known = torch.stack([vars(rig)[name] for rig in recorded])[subject, view][:, None]
        mask = here.reshape(-1, *(1,) * (known.ndim - 1))
        return torch.where(mask, known, vars(rooms.cameras)[name])

    cameras = Cameras(
        ("camera",), *(take(name) for name in ("size", "matrix", "distortion", "rotation", "translation"))
    )
    middle = torch.stack([meeting_point(rig) for rig in recorded])[subject]
    stand = middle + RECORDING_MM * (2 * source.uniform((people, 2)).double() - 1)
    return cameras, torch.where(here[:, None], stand, floor)


def meeting_point(rig: Cameras) -> Float[Tensor, " 2"]:
    """The place on the floor nearest to the optical axes of a rig's cameras, mm."""
    axis = rig.rotation[:, 2]
    across = torch.eye(3, dtype=axis.dtype) - axis[:, :, None] * axis[:, None]
    return torch.linalg.solve(across.sum(0), (across @ rig.centres[..., None]).sum(0))[:2, 0]


def sample_views(
    source: Noise, motion: Motion | None, people: int, config: OneViewConfig
) -> tuple[ViewPeople, Float[Tensor, "people joints 3"], Bool[Tensor, "people joints"]]:
    """People as their camera sees them; their joints in `ViewPeople`'s axes, metres; and which of these are known."""
    joints = config.joints
    bodies, known = sample_bodies_in_motion(
        source, motion, people, config.procedural, postures=config.postures, variety=config.variety
    )
    columns = [ALL_JOINTS.index(joint) for joint in joints]
    hips = bodies[:, [ALL_JOINTS.index(joint) for joint in HIPS]].mean(1).double()
    xyz, known = bodies[:, columns].double(), known[:, columns]
    xyz = apart(source, apart(source, xyz, joints, "hip", config.hips), joints, "shoulder", config.shoulders)
    cameras, floor = sample_cameras(source, people, config)
    away = torch.cat([floor, floor.new_zeros(people, 1)], 1)
    views, _, known = see_people(source, cameras, xyz + away[:, None], hips + away, known, config)
    turned = cameras.rotation[:, 0] @ (xyz - hips[:, None]).mT / 1000
    return views, views.from_camera(turned.mT).float(), known


def see_people(
    source: Noise,
    cameras: Cameras,
    xyz_world: Float[Tensor, "people joints 3"],
    hips: Float[Tensor, "people 3"],
    known: Bool[Tensor, "people joints"],
    config: OneViewConfig,
) -> tuple[ViewPeople, Float[Tensor, "people joints 2"], Bool[Tensor, "people joints"]]:
    """What a detector says of people, where it puts their joints in the images (pixels), and which can be learned.

    Args:
        source: of everything random.
        cameras: of every person one view (``people 1 …``).
        xyz_world: joints, mm.
        hips: the middle of the hips, mm.
        known: which joints there are.
        config: of the detector and of what is told.
    """
    people, joints = len(hips), config.joints
    xy, front = cameras.project(xyz_world)
    depth = cameras.to_camera(hips[:, None])[:, 0, 0, 2]
    px_per_mm = cameras.matrix[:, 0, 0, 0] / depth.clamp(min=300.0)
    found, sigma = fitted_points(
        source, xy[:, 0], px_per_mm, cameras.size[:, 0, 0], joints, sample_detectors(source, people)
    )
    low, high = torch.tensor(config.noise).log()
    much = between(source, (people, 1), low, high).exp()
    much = torch.where(source.uniform((people, 1)) < config.exact, 0.02, much)
    found = xy[:, 0] + much[..., None] * (found - xy[:, 0])
    told = much * sigma * (config.told * source.normal((people, 1))).exp()
    seen = told_joints(source, known & front[:, 0] & cameras.inside(xy)[:, 0], config)
    known = known & (depth > 500.0)[:, None] & (seen.sum(1) >= 4)[:, None]
    upright = source.uniform((people, 1)) < config.upside
    confidence = torch.where(seen, confidence_of(told, cameras.size[:, 0, :1]), 0.0)
    views = view_people(joints, cameras, found, confidence, seen, told)
    return replace(views, up=views.up * upright), found, known


def apart(
    source: Noise,
    xyz: Float[Tensor, "people joints 3"],
    joints: tuple[str, ...],
    pair: str,
    factors: tuple[float, float],
) -> Float[Tensor, "people joints 3"]:
    """Left and right joint of a name moved along their line, for every person by a factor of their own."""
    left, right = joints.index(f"l_{pair}"), joints.index(f"r_{pair}")
    low, high = torch.tensor(factors).log()
    half = (xyz[:, left] - xyz[:, right]) / 2 * (between(source, (len(xyz), 1), low, high).exp() - 1)
    moved = xyz.clone()
    moved[:, left] += half
    moved[:, right] -= half
    return moved


def told_joints(
    source: Noise, there: Bool[Tensor, "people joints"], config: OneViewConfig
) -> Bool[Tensor, "people joints"]:
    """Which of the joints that could be seen are told."""
    people, joints = there.shape[0], config.joints
    loss = config.missing * source.uniform((people, 1)) ** 2
    kept = source.uniform(there.shape) >= loss
    kept &= ~limbs_drawn(source, (people,), joints, config.limb_missing)
    legs = torch.tensor([any(word in joint for word in ("knee", "ankle", "toe", "heel")) for joint in joints])
    kept &= ~((source.uniform((people, 1)) < config.legs_hidden) & legs)
    kept |= source.uniform((people, 1)) < config.whole
    face = torch.tensor([joint in FACE for joint in joints])
    return there & kept & ~((source.uniform((people, 1)) < config.faceless) & face)
