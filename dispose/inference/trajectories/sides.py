"""Left and right taken one for the other in single views: told from where the person is by all frames, and undone."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from dispose.inference.trajectories.track import TrackKeypoints, image_errors
from dispose.skeletons.skeleton import Skeleton

ARMS, LEGS = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "heel", "big_toe", "small_toe")

SWITCHED = 4.6
"""How much likelier (natural logarithm) the switched joints have to be: detectors switch one person of a hundred."""

FREEDOM = 4.0
"""Of the Student's t of keypoints."""


@dataclass(frozen=True, eq=False)
class Untangled:
    """Keypoints with sides as they are, and which were switched."""

    keypoints: TrackKeypoints
    switched: Bool[np.ndarray, "frames views joints"]


def surprise(error: Float[np.ndarray, "*batch 2"], noise: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """Minus the logarithm of how likely an error is by Student's t, from 0 on."""
    return (FREEDOM + 2) / 2 * np.log1p((error**2).sum(-1) / noise**2 / FREEDOM)


def sided_groups(skeleton: Skeleton) -> list[list[int]]:
    """Joints that detectors switch together: everything with a side, the arms, the legs."""
    plain = [name.removeprefix("l_").removeprefix("r_") for name in skeleton.joints]
    sided = [joint for joint, other in enumerate(skeleton.mirror) if other != joint]
    parts = ([joint for joint in sided if plain[joint] in words] for words in (ARMS, ARMS[1:], LEGS))
    return [group for group in (sided, *parts) if group]


def untangle(
    keypoints: TrackKeypoints, xyz_world: Float[np.ndarray, "frames joints 3"], skeleton: Skeleton
) -> Untangled:
    """Exchange left and right of the whole body, the arms or the legs of a view where that is far likelier."""
    mirror = np.array(skeleton.mirror)
    straight, _ = image_errors(keypoints, xyz_world)
    crossed, _ = image_errors(keypoints, xyz_world[:, mirror])
    gain = surprise(straight, keypoints.noise) - surprise(crossed, keypoints.noise)
    gain = np.where(keypoints.seen, gain, 0.0)
    best = np.full(gain.shape[:2], SWITCHED)
    switched = np.zeros_like(keypoints.seen)
    for group in sided_groups(skeleton):
        total = gain[..., group].sum(-1)
        better = total > best
        best = np.where(better, total, best)
        mine = np.isin(np.arange(len(mirror)), group)
        switched = np.where(better[..., None], mine, switched)
    order = np.where(switched, mirror, np.arange(len(mirror)))
    place = np.take_along_axis(keypoints.place, order[..., None], 2)
    seen, noise = (np.take_along_axis(value, order, 2) for value in (keypoints.seen, keypoints.noise))
    touched = switched & (keypoints.seen | seen)
    return Untangled(replace(keypoints, place=place, seen=seen, noise=noise), touched)
