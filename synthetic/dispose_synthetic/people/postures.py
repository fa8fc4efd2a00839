"""What people do, as ranges of joint angles (degrees).

An activity draws a kind for the trunk, the legs and each arm; a kind is one range per angle. The order of
the angles is that of `kinematics.TRUNK_ANGLES`, `ARM_ANGLES` and `LEG_ANGLES`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

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


def degrees(table: tuple[tuple[tuple[int, int], ...], ...]) -> Float[Tensor, "kinds angles 2"]:
    """A table of ranges as radians."""
    return torch.deg2rad(torch.tensor(table, dtype=torch.float32))


def weights(table: tuple[tuple[int, ...], ...]) -> Float[Tensor, "activities kinds"]:
    """A table of weights as a tensor."""
    return torch.tensor(table, dtype=torch.float32)


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
