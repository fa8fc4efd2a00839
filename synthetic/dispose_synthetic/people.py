"""Procedural people: body sizes, postures, and the joints of a jointed body that stands on the floor.

Body axes: +X forward, +Y to the person's left, +Z up. Angles of a body are radians; flexion moves a limb forward (the
knee: backward), abduction moves it away from the midline. Postures are ranges of joint angles (degrees). An activity
draws a kind for the trunk, the legs and each arm; a kind is one range per angle, in the order of `TRUNK_ANGLES`,
`ARM_ANGLES` and `LEG_ANGLES`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.skeletons.catalog import COCO_17
from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between, choose

TRUNK_ANGLES = (
    "pelvis_pitch", "pelvis_roll", "spine_flexion", "spine_side", "spine_twist",
    "head_pitch", "head_roll", "head_yaw",
)  # fmt: skip
ARM_ANGLES = ("shoulder_flexion", "shoulder_abduction", "shoulder_rotation", "elbow_flexion", "girdle_lift")
LEG_ANGLES = ("hip_flexion", "hip_abduction", "hip_rotation", "knee_flexion")

# Degrees; ranges of healthy adults as physiotherapy tables give them, rounded outwards a little.
TRUNK_LIMITS = ((-35, 95), (-25, 25), (-20, 80), (-30, 30), (-45, 45), (-40, 55), (-30, 30), (-75, 75))
ARM_LIMITS = ((-50, 175), (-20, 170), (-90, 90), (0, 150), (-8, 25))
LEG_LIMITS = ((-25, 125), (-20, 50), (-35, 40), (0, 145))

# Body segments as shares of the stature (Drillis and Contini, by way of Winter), moved from the outside
# of the body to where detectors put their keypoints.
SHARES = (
    ("hip_width", 0.130), ("shoulder_width", 0.202), ("lower_trunk", 0.132), ("upper_trunk", 0.172),
    ("neck", 0.048), ("head", 0.132), ("upper_arm", 0.174), ("forearm", 0.146), ("thigh", 0.247),
    ("shank", 0.242), ("ankle_height", 0.046),
)  # fmt: skip
LENGTH_SPREAD = 0.035
"""Standard deviation of one segment's share around the mean, relative."""
LIMB_SPREAD = 0.025
"""The part of that which all limbs of a person have in common (long-legged people have long arms)."""
STATURES_MM = ((1620.0, 65.0, 0.45), (1750.0, 70.0, 0.47), (1250.0, 150.0, 0.08))
"""Mean, standard deviation and share of women, men and children."""
STATURE_RANGE_MM = (950.0, 2050.0)
FLOOR_MARGIN_MM = 20.0

ACTIVITIES = ("stand", "walk", "work at a table", "reach", "bend down", "sit", "arms up", "crouch")

# pelvis pitch, pelvis roll, spine flexion, spine side, spine twist, head pitch, head roll, head yaw
TRUNK_KINDS = (
    ((-5, 8), (-5, 5), (-5, 12), (-6, 6), (-12, 12), (-8, 25), (-8, 8), (-50, 50)),  # upright
    ((2, 15), (-5, 5), (5, 25), (-8, 8), (-15, 15), (10, 50), (-8, 8), (-30, 30)),  # looking down at work
    ((10, 35), (-6, 6), (15, 45), (-12, 12), (-20, 20), (10, 45), (-10, 10), (-25, 25)),  # leaning over
    ((35, 80), (-6, 6), (20, 60), (-12, 12), (-20, 20), (-10, 40), (-10, 10), (-25, 25)),  # bent down
    ((-15, 10), (-5, 5), (0, 35), (-8, 8), (-15, 15), (-5, 35), (-8, 8), (-45, 45)),  # sitting
    ((-5, 12), (-12, 12), (-5, 15), (-22, 22), (-35, 35), (-20, 20), (-10, 10), (-50, 50)),  # twisted, reaching
)
# shoulder flexion, abduction, rotation (inwards), elbow flexion, girdle lift
ARM_KINDS = (
    ((-15, 15), (3, 15), (-15, 35), (3, 35), (-2, 5)),  # hanging
    ((10, 50), (3, 35), (0, 60), (55, 105), (-2, 10)),  # working in front of the body
    ((50, 110), (-5, 30), (-10, 40), (5, 55), (0, 15)),  # reaching forwards
    ((120, 175), (-5, 30), (-30, 30), (5, 70), (8, 22)),  # up
    ((-5, 25), (60, 115), (-30, 30), (5, 60), (3, 15)),  # to the side
    ((20, 45), (0, 15), (50, 85), (85, 125), (-2, 6)),  # folded before the chest
    ((-35, 5), (20, 45), (30, 80), (70, 110), (0, 8)),  # hand on the hip
    ((50, 100), (10, 50), (10, 60), (115, 148), (2, 15)),  # hand to the head
)
# hip flexion, abduction, rotation (inwards), knee flexion
LEG_KINDS = (
    ((-3, 10), (-1, 12), (-12, 8), (0, 10)),  # standing
    ((-2, 2), (-3, 4), (-8, 8), (0, 5)),  # walking: the gait is added
    ((70, 100), (-2, 22), (-15, 10), (65, 105)),  # sitting
    ((60, 120), (0, 30), (-20, 10), (85, 140)),  # crouching
    ((0, 40), (0, 20), (-15, 10), (5, 60)),  # one foot forward
)
WALK = 1
"""The row of `LEG_KINDS` to which `gait` is added."""

TRUNK_OF_ACTIVITY = (
    (6, 1, 0, 0, 0, 1), (8, 1, 0, 0, 0, 1), (2, 6, 4, 0, 0, 0), (2, 1, 3, 0, 0, 4),
    (0, 0, 2, 8, 0, 0), (0, 0, 0, 0, 1, 0), (4, 0, 0, 0, 0, 3), (2, 1, 3, 2, 0, 0),
)  # fmt: skip
ARMS_OF_ACTIVITY = (
    (10, 3, 1, 0, 1, 2, 2, 1), (12, 2, 0, 0, 0, 0, 0, 1), (1, 10, 5, 0, 0, 0, 0, 0), (3, 2, 8, 2, 3, 0, 0, 1),
    (3, 2, 6, 0, 0, 0, 0, 0), (3, 8, 2, 0, 0, 1, 0, 1), (1, 0, 1, 8, 2, 0, 0, 2), (2, 4, 4, 0, 1, 0, 0, 0),
)  # fmt: skip
LEGS_OF_ACTIVITY = (
    (8, 0, 0, 0, 2), (0, 1, 0, 0, 0), (8, 0, 0, 0, 2), (5, 1, 0, 0, 4),
    (6, 0, 0, 0, 3), (0, 0, 1, 0, 0), (8, 1, 0, 0, 2), (0, 0, 0, 1, 0),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class BoneLengths(TensorStruct):
    """Bone lengths of people, mm (the same on both sides)."""

    stature: Float[Tensor, "*people"]
    hip_width: Float[Tensor, "*people"]
    shoulder_width: Float[Tensor, "*people"]
    lower_trunk: Float[Tensor, "*people"]
    upper_trunk: Float[Tensor, "*people"]
    neck: Float[Tensor, "*people"]
    head: Float[Tensor, "*people"]
    upper_arm: Float[Tensor, "*people"]
    forearm: Float[Tensor, "*people"]
    thigh: Float[Tensor, "*people"]
    shank: Float[Tensor, "*people"]
    ankle_height: Float[Tensor, "*people"]


@dataclass(frozen=True, eq=False)
class Angles(TensorStruct):
    """Joint angles of people in radians, in the order of the tuples above; sides are left, right."""

    trunk: Float[Tensor, "*people 8"]
    arms: Float[Tensor, "*people 2 5"]
    legs: Float[Tensor, "*people 2 4"]

    def limit(self) -> "Angles":
        """The same angles clamped to what joints allow."""
        return Angles(_clamp(self.trunk, TRUNK_LIMITS), _clamp(self.arms, ARM_LIMITS), _clamp(self.legs, LEG_LIMITS))


def _clamp(angles: Tensor, limits: tuple[tuple[int, int], ...]) -> Tensor:
    low, high = torch.deg2rad(torch.tensor(limits, dtype=angles.dtype)).unbind(-1)
    return torch.minimum(torch.maximum(angles, low), high)


def rotation_about(axis: int, angle: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrix about one coordinate axis (0, 1, 2), right-handed."""
    cos, sin, one, zero = angle.cos(), angle.sin(), torch.ones_like(angle), torch.zeros_like(angle)
    rows = {
        0: (one, zero, zero, zero, cos, -sin, zero, sin, cos),
        1: (cos, zero, sin, zero, one, zero, -sin, zero, cos),
        2: (cos, -sin, zero, sin, cos, zero, zero, zero, one),
    }[axis]
    return torch.stack(rows, dim=-1).reshape(*angle.shape, 3, 3)


def _vector(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(x, y, z), dim=-1)


def _turn(rotation: Tensor, vector: Tensor) -> Tensor:
    return (rotation @ vector[..., None])[..., 0]


def _head(bodies: BoneLengths, rotation: Tensor, base: Tensor) -> list[Tensor]:
    """Nose, eyes and ears around the head's pivot: facial landmarks in shares of the head's size."""
    size, zero = bodies.head, torch.zeros_like(bodies.head)
    offsets = (
        (0.46, 0.00, 0.42), (0.40, 0.15, 0.57), (0.40, -0.15, 0.57), (0.02, 0.33, 0.47), (0.02, -0.33, 0.47),
    )  # fmt: skip
    return [base + _turn(rotation, _vector(x * size, y * size + zero, z * size)) for x, y, z in offsets]


def _arm(
    bodies: BoneLengths, chest: Tensor, neck: Tensor, angles: Tensor, side: float
) -> tuple[Tensor, Tensor, Tensor]:
    flexion, abduction, twist, elbow, lift = angles.unbind(-1)
    half, zero = bodies.shoulder_width / 2, torch.zeros_like(bodies.stature)
    shoulder = neck + _turn(chest, _vector(zero, side * half * lift.cos(), half * lift.sin() - 0.12 * half))
    upper = chest @ rotation_about(1, -flexion) @ rotation_about(0, side * abduction)
    upper = upper @ rotation_about(2, -side * twist)
    at_elbow = shoulder + _turn(upper, _vector(zero, zero, -bodies.upper_arm))
    fore = upper @ rotation_about(1, -elbow)
    return shoulder, at_elbow, at_elbow + _turn(fore, _vector(zero, zero, -bodies.forearm))


def _leg(bodies: BoneLengths, pelvis: Tensor, angles: Tensor, side: float) -> tuple[Tensor, Tensor, Tensor]:
    flexion, abduction, twist, knee = angles.unbind(-1)
    zero = torch.zeros_like(bodies.stature)
    hip = _turn(pelvis, _vector(zero, side * bodies.hip_width / 2, zero))
    # Legs hang from an upright frame: tilting the pelvis forward does not swing the feet backward.
    thigh = rotation_about(1, -flexion) @ rotation_about(0, side * abduction) @ rotation_about(2, side * twist)
    at_knee = hip + _turn(thigh, _vector(zero, zero, -bodies.thigh))
    shank = thigh @ rotation_about(1, knee)
    return hip, at_knee, at_knee + _turn(shank, _vector(zero, zero, -bodies.shank))


def forward_kinematics(bodies: BoneLengths, angles: Angles) -> Float[Tensor, "*people 17 3"]:
    """COCO-17 joints in body axes (mm), mid-hip at the origin."""
    pitch, roll, flexion, sideways, twist, nod, tilt, turn = angles.trunk.unbind(-1)
    zero = torch.zeros_like(bodies.stature)
    pelvis = rotation_about(1, pitch) @ rotation_about(0, roll)
    half = rotation_about(1, flexion / 2) @ rotation_about(0, sideways / 2) @ rotation_about(2, twist / 2)
    waist = pelvis @ half
    chest = waist @ half
    middle = _turn(waist, _vector(zero, zero, bodies.lower_trunk))
    neck = middle + _turn(chest, _vector(zero, zero, bodies.upper_trunk))
    head = chest @ rotation_about(2, turn) @ rotation_about(1, nod) @ rotation_about(0, tilt)
    # The neck leans forward: ears lie a little in front of the shoulders.
    pivot = neck + _turn(chest, _vector(0.25 * bodies.neck, zero, bodies.neck))
    face = _head(bodies, head, pivot)
    left, right = (_arm(bodies, chest, neck, angles.arms[..., s, :], 1.0 - 2 * s) for s in (0, 1))
    hips_left, hips_right = (_leg(bodies, pelvis, angles.legs[..., s, :], 1.0 - 2 * s) for s in (0, 1))
    pairs = [joint for both in zip(left, right, strict=True) for joint in both]
    pairs += [joint for both in zip(hips_left, hips_right, strict=True) for joint in both]
    out = torch.stack(face + pairs, dim=-2)
    assert out.shape[-2] == len(COCO_17)
    return out


@dataclass(frozen=True)
class PeopleConfig:
    """How often each of `ACTIVITIES` occurs, and how far joint angles deviate from the range of their posture."""

    activity_weights: tuple[float, ...] = (0.27, 0.25, 0.2, 0.11, 0.03, 0.07, 0.04, 0.03)
    angle_noise_deg: float = 5.0

    def __post_init__(self) -> None:
        if len(self.activity_weights) != len(ACTIVITIES):
            raise ValueError(f"{len(self.activity_weights)} activity weights for {len(ACTIVITIES)} activities")


@dataclass(frozen=True, eq=False)
class People(TensorStruct):
    """People who stand on the floor at the origin, facing +X, before they are placed in a room.

    `xyz_body` are COCO-17 joints, mm, the floor at z = 0 and mid-hip above the origin.
    """

    bodies: BoneLengths
    angles: Angles
    xyz_body: Float[Tensor, "*people 17 3"]


def sample_bodies(source: Noise, frames: int, persons: int) -> BoneLengths:
    """Bone lengths of people of all sizes; segments of one person vary together."""
    shape = (frames, persons)
    mean, spread, share = torch.tensor(STATURES_MM).unbind(-1)
    group = choose(source, shape, share)
    stature = (mean[group] + spread[group] * source.normal(shape)).clamp(*STATURE_RANGE_MM)
    limbs = 1 + LIMB_SPREAD * source.normal(shape)
    lengths: list[Tensor] = []
    for name, part in SHARES:
        own = (1 + LENGTH_SPREAD * source.normal(shape)).clamp(0.88, 1.12)
        common = limbs.clamp(0.93, 1.07) if name in ("upper_arm", "forearm", "thigh", "shank") else 1.0
        lengths.append(part * stature * own * common)
    # A child's head is large for its body.
    names = [name for name, _ in SHARES]
    lengths[names.index("head")] = 0.6 * lengths[names.index("head")] + 0.4 * 0.13 * 1690.0
    return BoneLengths(stature, *lengths)


def gait(phase: Float[Tensor, "*people"], stride: Float[Tensor, "*people"]) -> Float[Tensor, "*people 2 4"]:
    """Leg angles (radians) added at a phase of the walking cycle; the legs are half a cycle apart.

    The hip swings as a sine; the knee bends while its hip moves forward, and slightly under load.
    """
    both = torch.stack([phase, phase + torch.pi], dim=-1)
    size = stride[..., None]
    hip = torch.deg2rad(7 + 24 * both.sin() * size)
    knee = torch.deg2rad(6 + 50 * size * (both + 0.3).cos().clamp(min=0) ** 2 + 8 * size * (both.sin().clamp(min=0)))
    zero = torch.zeros_like(hip)
    return torch.stack([hip, zero, zero, knee], dim=-1)


def _from_table(source: Noise, kind: Tensor, table: tuple[tuple[tuple[int, int], ...], ...]) -> Float[Tensor, "..."]:
    """Angles (radians) drawn inside the ranges of a posture, more often near their middle."""
    low, high = torch.deg2rad(torch.tensor(table, dtype=torch.float32))[kind].unbind(-1)
    share = (source.uniform(low.shape) + source.uniform(low.shape)) / 2
    return low + (high - low) * share


def sample_angles(source: Noise, frames: int, persons: int, config: PeopleConfig) -> Angles:
    """Joint angles of people who stand, walk, work at a table, reach, bend, sit, raise their arms or crouch."""
    shape = (frames, persons)
    activity = choose(source, shape, torch.tensor(config.activity_weights))
    trunks, arm_kinds, leg_kinds = (
        torch.tensor(table, dtype=torch.float32) for table in (TRUNK_OF_ACTIVITY, ARMS_OF_ACTIVITY, LEGS_OF_ACTIVITY)
    )
    trunk = _from_table(source, choose(source, shape, trunks[activity]), TRUNK_KINDS)
    arm = choose(source, shape, arm_kinds[activity])
    other = choose(source, shape, arm_kinds[activity])
    other = torch.where(source.uniform(shape) < 0.55, arm, other)
    arms = _from_table(source, torch.stack([arm, other], dim=-1), ARM_KINDS)
    leg = choose(source, shape, leg_kinds[activity])
    legs = _from_table(source, torch.stack([leg, leg], dim=-1), LEG_KINDS)
    phase, stride = between(source, shape, 0.0, 2 * torch.pi), between(source, shape, 0.5, 1.25)
    legs = torch.where((leg == WALK)[..., None, None], legs + gait(phase, stride), legs)
    swing = torch.stack([-phase.sin(), phase.sin()], dim=-1) * stride[..., None] * 0.35
    hanging = (torch.stack([arm, other], dim=-1) == 0) & (leg == WALK)[..., None]
    arms[..., 0] += torch.where(hanging, swing, 0.0)
    noise = torch.deg2rad(torch.tensor(config.angle_noise_deg))
    return Angles(*(part + noise * source.normal(part.shape) for part in (trunk, arms, legs))).limit()


def stand_on_floor(bodies: BoneLengths, xyz: Float[Tensor, "*people 17 3"]) -> Float[Tensor, "*people 17 3"]:
    """Lift or lower people so that their lower foot stands on the floor and nothing lies below it."""
    feet = xyz[..., 15:17, 2].amin(-1) - bodies.ankle_height
    lowest = xyz[..., 2].amin(-1) - FLOOR_MARGIN_MM
    lift = -torch.minimum(feet, lowest)
    return xyz + torch.stack([torch.zeros_like(lift), torch.zeros_like(lift), lift], dim=-1)[..., None, :]


def pose_people(bodies: BoneLengths, angles: Angles) -> People:
    """People in given postures, on the floor at the origin, facing +X."""
    return People(bodies, angles, stand_on_floor(bodies, forward_kinematics(bodies, angles)))


def sample_people(source: Noise, frames: int, persons: int, config: PeopleConfig) -> People:
    """Independent people for every frame; place them with `place_people`."""
    return pose_people(sample_bodies(source, frames, persons), sample_angles(source, frames, persons, config))


def place_people(
    xyz_body: Float[Tensor, "*people 17 3"], floor: Float[Tensor, "*people 2"], facing: Float[Tensor, "*people"]
) -> Float[Tensor, "*people 17 3"]:
    """Turn people about their vertical axis by `facing` (radians) and move them to a floor point (mm)."""
    turned = xyz_body @ rotation_about(2, facing).mT
    return turned + torch.cat([floor, torch.zeros_like(floor[..., :1])], dim=-1)[..., None, :]


def present_mask(counts: Tensor, persons: int) -> Bool[Tensor, "frames persons"]:
    """The first `counts` of `persons` slots."""
    return torch.arange(persons) < counts[:, None]
