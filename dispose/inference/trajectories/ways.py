"""The ways to smooth: the adjustment of everything that is known, the Kalman smoother of claims, filters by name."""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int

from dispose.formats.evidence_keypoints import RunKeypoints
from dispose.inference.smoothing import UNKNOWN_MM2, smooth_joints, sway
from dispose.inference.trajectories.adjust import AdjustWeights, adjust_track
from dispose.inference.trajectories.filters import Filter, filter_joints
from dispose.inference.trajectories.gaps import bridged, even_grid
from dispose.inference.trajectories.people import Smooth, Stay, Way
from dispose.inference.trajectories.track import Track, track_keypoints

ODD = 5.0
"""A keypoint so many usual standard deviations from its joint contradicts everything else."""


def adjustment(seen: RunKeypoints, weights: AdjustWeights | None = None) -> Smooth:
    """Cameras, bones and motion at once (`dispose.inference.trajectories.adjust`)."""
    return partial(_adjust, seen=seen, weights=weights or AdjustWeights())


def _adjust(stay: Stay, *, seen: RunKeypoints, weights: AdjustWeights) -> Way:
    xy, shown = seen.of_person(stay.place, stay.members)
    track = Track(stay.seconds, stay.xyz_world, stay.known, stay.covariance, track_keypoints(seen.cameras, xy, shown))
    found = adjust_track(track, stay.skeleton, weights)
    pixels = found.error * found.keypoints.noise * found.keypoints.focal_px[:, None]
    odd = tuple(
        (stay.place[at], int(view), int(joint), float(pixels[at, view, joint]))
        for at, view, joint in np.argwhere(found.error > ODD)
    )
    known = stay.known | found.keypoints.seen.any(1)
    switched = int(found.switched.any(-1).sum())
    return Way(found.xyz_world, found.covariance, known, None, odd, switched, int(found.keypoints.seen.sum()))


def claims_alone(stay: Stay) -> Way:
    """Joint by joint the Kalman smoother of what the frames claim (`dispose.inference.smoothing`)."""
    xyz, covariance, known = (torch.from_numpy(one) for one in (stay.xyz_world, stay.covariance, stay.known))
    found = smooth_joints(xyz, covariance, known, torch.from_numpy(stay.seconds), sway(stay.skeleton.joints))
    return Way(found.xyz_world.numpy(), found.covariance.numpy(), stay.known)


def filtered(by: Filter, numbers: Int[np.ndarray, " _"], rate_hz: float, fill_seconds: float) -> Smooth:
    """A filter by name; frames that are not numbered evenly are brought to an even grid and back.

    A filter knows nothing of uncertainty: covariances and confidences stay those of the frames.
    """
    return partial(_filter, by=by, numbers=numbers, rate_hz=rate_hz, fill_seconds=fill_seconds)


def _filter(stay: Stay, *, by: Filter, numbers: Int[np.ndarray, " _"], rate_hz: float, fill_seconds: float) -> Way:
    mine = numbers[stay.place]
    grid, at = even_grid(mine)
    step = int(grid[1] - grid[0]) if len(grid) > 1 else 1
    joints = stay.known.shape[1]
    xyz, known = np.zeros((len(grid), joints, 3)), np.zeros((len(grid), joints), dtype=bool)
    xyz[at], known[at] = stay.xyz_world, stay.known
    bridge = np.stack([bridged(one, grid / rate_hz, fill_seconds) for one in known.T], 1)
    found = filter_joints(xyz, known, bridge, rate_hz / step, by)
    covariance, confidence = _carried(stay)
    told = np.where(found.said[at][..., None, None], covariance, UNKNOWN_MM2 * np.eye(3))
    return Way(found.xyz_world[at], told, stay.known, confidence)


def _carried(stay: Stay) -> tuple[Float[np.ndarray, "frames joints 3 3"], Float[np.ndarray, "frames joints"]]:
    """Covariances and confidences of the frames, in gaps those of the nearest frame and what accelerations add."""
    covariance, confidence = stay.covariance.copy(), stay.confidence.copy()
    density = sway(stay.skeleton.joints).numpy()
    for joint in range(stay.known.shape[1]):
        where = np.flatnonzero(stay.known[:, joint])
        if not len(where):
            continue
        away = np.abs(stay.seconds[:, None] - stay.seconds[where])
        nearest = where[away.argmin(1)]
        grown = density[joint] * away.min(1) ** 3 / 3
        covariance[:, joint] = stay.covariance[nearest, joint] + grown[:, None, None] * np.eye(3)
        confidence[:, joint] = stay.confidence[nearest, joint]
    return covariance, confidence
