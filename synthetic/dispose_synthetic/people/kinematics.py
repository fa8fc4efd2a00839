"""A jointed body: from bone lengths and joint angles to COCO-17 joints.

Body axes: +X forward, +Y to the person's left, +Z up. All angles are radians; flexion moves a limb
forward (the knee: backward), abduction moves it away from the midline.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.skeletons.catalog import COCO_17
from dispose.tensors import TensorStruct

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
