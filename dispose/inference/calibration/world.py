"""Where a rig is in the world, how it stands and how large it is: what sightings of points cannot tell."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.rigid import Similarity, umeyama
from dispose.inference.check.world import ADULT_MM
from dispose.scene.cameras import Cameras
from dispose.skeletons.skeleton import Skeleton

ADULT_HEIGHT_MM = 1700.0
"""Of the person whose bones are `ADULT_MM`."""

ANKLE_MM = 90.0
"""How far the ankle of a planted foot is above the floor."""

FLOOR_NOISE_MM = 40.0
FEWEST_STEPS = 20
"""Sightings of somebody's lower foot by which the floor is laid."""

STEPS_APART_MM = 300.0
"""So far, both ways, feet must spread on the floor."""


def carry_cameras(cameras: Cameras, motion: Similarity) -> Cameras:
    """The rig in a world that was moved, turned and scaled: a camera sees a moved point where it saw the point."""
    rotation = cameras.rotation @ motion.rotation.mT
    shift = (rotation @ motion.translation[:, None])[..., 0]
    return replace(cameras, rotation=rotation, translation=motion.scale * cameras.translation - shift)


def onto_rig(cameras: Cameras, given: Cameras) -> Similarity:
    """The similarity that brings a rig to where another is: the same middle, mean direction and size.

    Size and middle are those of the centres. The turn is the best one of centres and lines of sight together, each as
    far from its camera as the rig is large; so that two cameras, or some in a row, have one too.
    """
    size = _spread(given.centres)
    scale = size / _spread(cameras.centres)
    arms = torch.cat([given.rotation, -given.rotation], 1)
    theirs = torch.cat([cameras.rotation, -cameras.rotation], 1)
    middle, own = given.centres.mean(0), cameras.centres.mean(0)
    target = torch.cat([given.centres - middle, (size * arms).flatten(0, 1)])
    source = torch.cat([scale * (cameras.centres - own), (size * theirs).flatten(0, 1)])
    rotation = umeyama(source, target).rotation
    return Similarity(scale, rotation, middle - scale * rotation @ own)


def _spread(centres: Float[Tensor, "views 3"]) -> Float[Tensor, ""]:
    """Root mean square distance from the middle."""
    return (centres - centres.mean(0)).square().sum(-1).mean().sqrt()


def scaling(factor: float, about: Float[Tensor, " 3"]) -> Similarity:
    """Everything so many times as large, a point staying where it is."""
    return Similarity(about.new_tensor(factor), torch.eye(3, dtype=torch.float64), (1 - factor) * about)


@dataclass(frozen=True)
class CameraDistance:
    """A distance that was measured between the centres of two cameras, mm."""

    camera: str
    other: str
    mm: float


def factor_by_distance(cameras: Cameras, measured: CameraDistance) -> float:
    """How many times larger the rig is in truth; `InputError` for a camera that it does not have."""
    for name in (measured.camera, measured.other):
        if name not in cameras.names:
            raise InputError(f"--distance-mm names the camera {name}; there are {', '.join(cameras.names)}.")
    if measured.camera == measured.other:
        raise InputError(f"--distance-mm names the camera {measured.camera} twice; a distance is of two cameras.")
    a, b = (cameras.centres[cameras.names.index(name)] for name in (measured.camera, measured.other))
    return measured.mm / float((a - b).norm())


def factor_by_height(xyz_world: Float[Tensor, "persons joints 3"], skeleton: Skeleton, height_mm: float) -> float:
    """How many times larger the rig is in truth, if people are so tall on average and built as adults are."""
    ratios = [
        (xyz_world[:, skeleton.index(a)] - xyz_world[:, skeleton.index(b)]).norm(dim=-1) / length
        for a, b, length in ADULT_MM
        if {a, b} <= set(skeleton.joints)
    ]
    known = torch.cat([ratio[torch.isfinite(ratio)] for ratio in ratios]) if ratios else torch.zeros(0)
    if not len(known):
        raise InputError("--height-mm is given, but no arm, leg or trunk is seen by two cameras.")
    return height_mm / (ADULT_HEIGHT_MM * float(known.median()))


@dataclass(frozen=True, eq=False)
class Levelled:
    """The motion that lays the floor on z = 0, and by how many degrees it tilts."""

    motion: Similarity
    tilt_deg: float


def level(xyz_world: Float[Tensor, "persons joints 3"], skeleton: Skeleton) -> Levelled:
    """Lay the floor, as people's lower feet have it, on z = 0; nothing else turns.

    The floor's plane is fitted robustly (soft L1, scipy), above all to feet that are planted: those in the air pull
    little, since they lie on one side only by `FLOOR_NOISE_MM` and more.

    Raises:
        InputError: too few feet, or all in a line or in one place.
    """
    feet, up = _feet_and_up(xyz_world, skeleton)
    turn = _turn_onto_z(up)
    upright = feet @ turn.mT
    lower = torch.take_along_dim(upright, upright[..., 2].argmin(1)[:, None, None], 1)[:, 0]
    wide = 2 * float(torch.linalg.svdvals(lower[:, :2] - lower[:, :2].mean(0))[1]) / math.sqrt(len(lower))
    if wide < STEPS_APART_MM:
        raise InputError(
            f"--level needs feet all over the floor, and these lie in a strip {wide:.0f} mm wide "
            f"({STEPS_APART_MM:g} are needed)."
        )
    away = (lower - lower.median(0).values).numpy()

    def height(plane: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " feet"]:
        return (away[:, 2] - away[:, :2] @ plane[:2] - plane[2]) / FLOOR_NOISE_MM

    slope = torch.from_numpy(least_squares(height, [0.0, 0.0, 0.0], loss="soft_l1").x)
    normal = torch.stack([-slope[0], -slope[1], torch.ones_like(slope[0])])
    turn = _turn_onto_z(normal / normal.norm()) @ turn
    middle = feet.flatten(0, 1).median(0).values
    lower = torch.take_along_dim(feet @ turn.mT, upright[..., 2].argmin(1)[:, None, None], 1)[:, 0]
    shift = middle - turn @ middle
    shift[2] = ANKLE_MM - lower[:, 2].median()
    tilt = math.degrees(math.acos(min(1.0, float(turn[2, 2]))))
    return Levelled(Similarity(torch.tensor(1.0, dtype=torch.float64), turn, shift), tilt)


def _feet_and_up(
    xyz_world: Float[Tensor, "persons joints 3"], skeleton: Skeleton
) -> tuple[Float[Tensor, "known feet=2 3"], Float[Tensor, " 3"]]:
    """Both ankles of everybody who has them, and the unit direction from feet to shoulders."""
    if not {"l_ankle", "r_ankle", "l_shoulder", "r_shoulder"} <= set(skeleton.joints):
        raise InputError(f"--level needs ankles and shoulders, and the skeleton {skeleton.name} has none.")
    feet = xyz_world[:, skeleton.indices(("l_ankle", "r_ankle"))]
    chest = xyz_world[:, skeleton.indices(("l_shoulder", "r_shoulder"))].mean(1)
    known = torch.isfinite(feet).all(-1).all(-1) & torch.isfinite(chest).all(-1)
    if int(known.sum()) < FEWEST_STEPS:
        raise InputError(
            f"--level needs {FEWEST_STEPS} people with both feet and shoulders in space, there are {int(known.sum())}."
        )
    up = (chest - feet.mean(1))[known].median(0).values
    return feet[known], up / up.norm()


def _turn_onto_z(direction: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """The smallest turn that brings a unit direction to +z."""
    z = direction.new_tensor([0.0, 0.0, 1.0])
    axis, cosine = torch.linalg.cross(direction, z), float(direction[2])
    if cosine < -1 + 1e-12:
        return torch.diag(direction.new_tensor([1.0, -1.0, -1.0]))
    x, y, _ = axis.tolist()
    skew = direction.new_tensor([[0.0, 0.0, y], [0.0, 0.0, -x], [-y, x, 0.0]])
    return torch.eye(3, dtype=direction.dtype) + skew + skew @ skew / (1 + cosine)
