"""The world by the people in it: its unit by how large they are, its axes by how they stand; and both mended."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.inference.check.consistency import Consistency
from dispose.scene.cameras import Cameras

# Bone lengths of an adult in mm, as far apart as detectors' joints lie; children are down to half of it.
ADULT_MM = (
    ("l_shoulder", "l_elbow", 285.0),
    ("r_shoulder", "r_elbow", 285.0),
    ("l_elbow", "l_wrist", 245.0),
    ("r_elbow", "r_wrist", 245.0),
    ("l_shoulder", "l_hip", 510.0),
    ("r_shoulder", "r_hip", 510.0),
    ("l_hip", "l_knee", 410.0),
    ("r_hip", "r_knee", 410.0),
    ("l_knee", "l_ankle", 400.0),
    ("r_knee", "r_ankle", 400.0),
)

SAME_SCALE = 2.5
UPRIGHT = 0.7

FACING, FEWEST_FACING = 0.8, 10
"""Share of people whose left and right are wrong if they are exchanged, and how many must be seen."""

LIKE_PEOPLE, LIKE_ADULTS = (0.5, 1.8), (0.8, 1.25)
"""Sizes that a mistake must leave, of an adult's: children's too where it is ten-fold, adults' of inches and feet."""

UNIT_MISTAKES = (
    (1e-3, "the translations are in metres where millimetres are expected (a thousand times too small)"),
    (1 / 304.8, "the translations are in feet where millimetres are expected"),
    (1e-2, "the translations are a hundred times too small (m where cm are expected)"),
    (1 / 25.4, "the translations are in inches where millimetres are expected"),
    (0.1, "the translations are ten times too small (cm where mm are expected)"),
    (10.0, "the translations are ten times too large (mm where cm are expected)"),
    (100.0, "the translations are a hundred times too large (cm where m are expected)"),
    (1000 / 304.8, "the translations are in feet where metres are expected"),
    (1000 / 25.4, "the translations are in inches where metres are expected"),
    (1000.0, "the translations are in millimetres where metres are expected (a thousand times too large)"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    The topic is extrinsics, units, axes, sides, time, turned, focal length, picture size, exchanged, dead, camera,
    place or floor; the sentence says what was seen, its likely cause, and what to do. The cameras are those that are
    concerned; none where it is all. `shift` is what mends the time of such a camera, in frames.
    """

    topic: str
    sentence: str
    cameras: tuple[str, ...] = ()
    shift: float | None = None


def body_scale(consistency: Consistency) -> float | None:
    """Median of bone length over an adult's, 1 for adults in mm; None where no bone is known."""
    xyz, skeleton = consistency.xyz_world, consistency.skeleton
    ratios = []
    for a, b, length in ADULT_MM:
        if a in skeleton.joints and b in skeleton.joints:
            ratio = (xyz[:, skeleton.index(a)] - xyz[:, skeleton.index(b)]).norm(dim=-1) / length
            ratios.append(ratio[torch.isfinite(ratio)])
    joined = torch.cat(ratios) if ratios else torch.zeros(0)
    return float(joined.median()) if len(joined) else None


def units_finding(consistency: Consistency) -> Finding | None:
    """A finding where people are far from human size."""
    scale = body_scale(consistency)
    if scale is None or 1 / SAME_SCALE < scale < SAME_SCALE:
        return None
    height = f"people are {1700 * scale:.3g} mm tall"
    mistake = usual_mistake(scale)
    if mistake is not None:
        return Finding("units", f"{height}: probably {mistake[1]}.")
    off = f"{scale:.2g} times too large" if scale > 1 else f"{1 / scale:.2g} times too small"
    return Finding("units", f"{height}: the translations are about {off}.")


def usual_mistake(scale: float) -> tuple[float, str] | None:
    """The factor and the cause of the usual mistake after which people are as large as people; None of none."""
    likely = [
        one
        for one in UNIT_MISTAKES
        for least, most in [LIKE_PEOPLE if np.log10(one[0]).is_integer() else LIKE_ADULTS]
        if least < scale / one[0] < most
    ]
    return min(likely, key=lambda one: abs(np.log(scale / one[0])), default=None)


def up_direction(consistency: Consistency) -> Float[Tensor, " 3"] | None:
    """Mean direction from hips to shoulders and from ankles to hips; shorter than 1 where people disagree."""
    xyz, skeleton = consistency.xyz_world, consistency.skeleton
    found = []
    for low, high in (("hip", "shoulder"), ("ankle", "hip")):
        names = tuple(f"{side}_{joint}" for joint in (low, high) for side in "lr")
        if not set(names) <= set(skeleton.joints):
            continue
        rows = skeleton.indices(names)
        up = xyz[:, rows[2:]].mean(1) - xyz[:, rows[:2]].mean(1)
        length = up.norm(dim=-1, keepdim=True)
        found.append((up / length)[torch.isfinite(length[:, 0]) & (length[:, 0] > 0)])
    joined = torch.cat(found) if found else torch.zeros(0, 3)
    return joined.mean(0) if len(joined) else None


def axes_finding(consistency: Consistency) -> Finding | None:
    """A finding where people stand along another axis than +z."""
    up = up_direction(consistency)
    if up is None or float(up.norm()) < UPRIGHT or float(up[2]) >= UPRIGHT * float(up.norm()):
        return None
    axis = int(up.abs().argmax())
    sign = "+" if float(up[axis]) > 0 else "-"
    if abs(float(up[axis])) < UPRIGHT * float(up.norm()):
        tilt = float(torch.rad2deg(torch.arccos((up[2] / up.norm()).clamp(-1, 1))))
        return Finding("axes", f"people lean {tilt:.0f}° from +z: the world is not level, or its axes are arbitrary.")
    cause = {
        ("-", 2): "the world's z axis points down",
        ("+", 1): "the world is y-up",
        ("-", 1): "the world is y-down",
        ("+", 0): "the world is x-up",
        ("-", 0): "the world's x axis points down",
    }[sign, axis]
    return Finding("axes", f"people stand along {sign}{'xyz'[axis]} instead of +z: probably {cause}.")


def sides_finding(consistency: Consistency) -> Finding | None:
    """A finding where people's noses and toes point backwards: left and right are exchanged, in all cameras alike."""
    xyz, skeleton = consistency.xyz_world, consistency.skeleton

    def middle(*joints: str) -> Float[Tensor, "persons 3"]:
        known = set(joints) <= set(skeleton.joints)
        return xyz[:, skeleton.indices(joints)].mean(1) if known else torch.full_like(xyz[:, 0], torch.nan)

    up = middle("l_shoulder", "r_shoulder") - middle("l_hip", "r_hip")
    left = middle("l_shoulder", "l_hip") - middle("r_shoulder", "r_hip")
    onwards = torch.linalg.cross(left, up)
    forward = [
        middle("nose") - middle("l_ear", "r_ear"),
        *(middle(f"{side}_big_toe") - middle(f"{side}_heel") for side in "lr"),
    ]
    signs = torch.stack([torch.nn.functional.cosine_similarity(onwards, one) for one in forward])
    told = signs.nanmedian(0).values
    told = told[torch.isfinite(told)]
    backwards = float((told < 0).double().mean()) if len(told) >= FEWEST_FACING else 0.0
    if backwards < FACING:
        return None
    return Finding("sides", f"noses and toes of {100 * backwards:.0f} % of the people point backwards: left and right "
                   "are exchanged, by mirrored images or by the names of the joints.")  # fmt: skip


def in_mm(cameras: Cameras, consistency: Consistency) -> Cameras:
    """The rig in millimetres: by the usual mistake that is nearest, where one is, else by the people's size."""
    scale = body_scale(consistency)
    assert scale is not None
    mistake = usual_mistake(scale)
    return replace(cameras, translation=cameras.translation / (scale if mistake is None else mistake[0]))


def levelled(cameras: Cameras, consistency: Consistency) -> Cameras:
    """The rig with people standing along +z: a quarter or half turn where their axis is one of the world's."""
    up = up_direction(consistency)
    assert up is not None
    axis = int(up.abs().argmax())
    target = up / up.norm()
    if float(target.abs()[axis]) >= UPRIGHT:
        target = torch.zeros(3, dtype=torch.float64)
        target[axis] = up[axis].sign()
    turn = shortest_turn(target.double(), torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    return replace(cameras, rotation=cameras.rotation @ turn.T)


def shortest_turn(start: Float[Tensor, " 3"], end: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """The rotation by the smallest angle that brings one unit vector to another; half a turn about x where opposite."""
    cosine = float(start @ end)
    if cosine < -1 + 1e-9:
        return torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    x, y, z = torch.linalg.cross(start, end).tolist()
    skew = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
    return torch.eye(3, dtype=torch.float64) + skew + skew @ skew / (1 + cosine)
