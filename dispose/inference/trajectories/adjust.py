"""Spatio-temporal adjustment of one person: the places in all frames on which everything known of them agrees.

What is minimised, over places and speeds of all joints in all frames, is the sum of

- how far joints lie from what each frame claims, and from the keypoints of every camera, both by Student's t;
- how far bones are from one length over all frames;
- how far joints are from going on as they moved, by white accelerations of a density that every joint and moment has
  of its own (`dispose.inference.trajectories.restlessness`).

Gauss-Newton steps on the banded normal equations; a long track in windows that overlap, so that memory does not grow.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from dispose.inference.smoothing import LASTING, sway
from dispose.inference.trajectories.normal_equations import Band, MotionWeights
from dispose.inference.trajectories.restlessness import keeping, told_by
from dispose.inference.trajectories.sides import FREEDOM, untangle
from dispose.inference.trajectories.track import Track, TrackKeypoints, image_errors
from dispose.skeletons.skeleton import Skeleton

WINDOW, MARGIN = 500, 60
"""Frames that are solved at once, and more on either side that are solved and not kept."""

STEPS = 8
SETTLED_MM = 0.5
LISTENING = 5
UNTANGLED_AFTER = 2
"""Steps after which left and right are looked at."""

CLAIM_FREEDOM = 6.0
"""Of the Student's t of what a frame claims."""

LEAST_BONE_MM = 6.0
SOFT = 2.0
"""By how much more a distance varies that is called a bone and is none, such as from shoulder to hip."""
FEWEST_FRAMES = 5
"""A bone that fewer frames know has no length."""

FIRM = (
    ("nose", "eye"), ("eye", "ear"), ("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "hip"), ("mid_hip", "hip"),
    ("hip", "knee"), ("knee", "ankle"), ("ankle", "big_toe"), ("big_toe", "small_toe"), ("ankle", "heel"),
    ("upper_neck", "head_top"), ("nose", "head_top"), ("bottom_head", "top_head"),
)  # fmt: skip

LOCAL_SECONDS = 0.2
"""Over how long the restlessness of a moment is told (standard deviation)."""

CALMEST = 1e-3
"""A joint is at least so restless, as a share of what captured motion is in the mean."""
WILDEST = 40.0

LOOSELY = 1e-5
"""A joint that is held by less than this (1/mm²) is not held at all: it may be half a metre off."""


@dataclass(frozen=True)
class AdjustWeights:
    """What counts how much.

    Attributes:
        claims: what a frame claims of a joint.
        keypoints: a keypoint, where the frame claims something that is made of it.
        alone: a keypoint of a joint that the frame does not know, or whose sides were switched.
        bone: standard deviation of a bone's length, as a share of it; infinite: bones may be of any length.
        restless: factor of the density of accelerations; infinite: every frame by itself.
    """

    claims: float = 0.8
    keypoints: float = 0.2
    alone: float = 1.0
    bone: float = 0.025
    restless: float = 1.7


@dataclass(frozen=True, eq=False)
class AdjustedTrack:
    """A track after its adjustment; mm.

    Attributes:
        xyz_world: all joints in all frames, also those that nobody saw.
        covariance: mm²; large where nothing holds a joint.
        lengths: of the skeleton's bones; NaN where not known.
        keypoints: with sides as they are.
        switched: keypoints whose side was switched.
        error: of every keypoint, in standard deviations; 0 where not seen.
    """

    xyz_world: Float[np.ndarray, "frames joints 3"]
    covariance: Float[np.ndarray, "frames joints 3 3"]
    lengths: Float[np.ndarray, " bones"]
    keypoints: TrackKeypoints
    switched: Bool[np.ndarray, "frames views joints"]
    error: Float[np.ndarray, "frames views joints"]


@dataclass(frozen=True, eq=False)
class _Iterate:
    """Where the iteration is; `density` of accelerations (mm²/s³), `claimed`: which claims count."""

    place: Float[np.ndarray, "frames joints 3"]
    speed: Float[np.ndarray, "frames joints 3"]
    density: Float[np.ndarray, "frames joints"]
    claimed: Bool[np.ndarray, "frames joints"]
    keypoints: TrackKeypoints
    switched: Bool[np.ndarray, "frames views joints"]


def adjust_track(track: Track, skeleton: Skeleton, weights: AdjustWeights | None = None) -> AdjustedTrack:
    """The way of one person; see the module."""
    weights = weights or AdjustWeights()
    captured = sway(skeleton.joints).numpy()
    state = _start(track, captured)
    precision = _precision(track)
    for step in range(STEPS):
        lengths = bone_lengths(state.place, _informed(state), skeleton)
        held, pull = _held(state, track, precision, weights, gaussian=step == 0)
        move, turn, firm = np.empty_like(state.place), np.empty_like(state.speed), np.empty(track.known.shape)
        for core, window in windows(len(track.seconds)):
            band = _band(state, track, held, pull, lengths, skeleton, weights, window)
            inner = slice(core.start - window.start, core.stop - window.start)
            found = band.solve()[inner]
            move[core], turn[core], firm[core] = found[..., 0], found[..., 1], band.firm[inner]
        state = replace(state, place=state.place + move, speed=state.speed + turn)
        if step == UNTANGLED_AFTER:
            state = _untangled(state, skeleton)
        if 1 <= step <= LISTENING:
            state = replace(state, density=weights.restless * _density(state, track, firm, captured))
        if step > UNTANGLED_AFTER + 2 and np.abs(move).max() < SETTLED_MM:
            break
    return _adjusted(state, track, precision, skeleton, weights)


def windows(frames: int) -> list[tuple[slice, slice]]:
    """The parts of a track that are kept, and what is solved for each."""
    starts = range(0, frames, WINDOW)
    cores = [slice(start, min(start + WINDOW, frames)) for start in starts]
    return [(core, slice(max(core.start - MARGIN, 0), min(core.stop + MARGIN, frames))) for core in cores]


def _start(track: Track, captured: Float[np.ndarray, " joints"]) -> _Iterate:
    """Joints as the frames know them, in a straight line between; one that none knows in the middle of the others."""
    frames, joints = track.known.shape
    place = track.xyz_world.copy()
    shown = np.where(track.known[..., None], track.xyz_world, np.nan)
    everywhere = np.nanmean(shown.reshape(-1, 3), 0) if track.known.any() else np.zeros(3)
    for joint in range(joints):
        rows = np.flatnonzero(track.known[:, joint])
        for axis in range(3):
            told = track.xyz_world[rows, joint, axis]
            way = np.interp(track.seconds, track.seconds[rows], told) if len(rows) else everywhere[axis]
            place[:, joint, axis] = way
    speed = np.gradient(place, track.seconds, axis=0) if frames > 1 else np.zeros_like(place)
    density = np.broadcast_to(captured, (frames, joints)).copy()
    return _Iterate(place, speed, density, track.known, track.keypoints, np.zeros_like(track.keypoints.seen))


def _precision(track: Track) -> Float[np.ndarray, "frames joints 3 3"]:
    """Inverse covariances of what the frames claim; 0 where they claim nothing."""
    found = np.zeros_like(track.covariance)
    found[track.known] = np.linalg.inv(track.covariance[track.known] + 1e-3 * np.eye(3))
    return found


def _informed(state: _Iterate) -> Bool[np.ndarray, "frames joints"]:
    """Of which joints a frame knows something."""
    return state.claimed | (state.keypoints.seen.sum(1) >= 2)


def bone_lengths(
    xyz_world: Float[np.ndarray, "frames joints 3"], known: Bool[np.ndarray, "frames joints"], skeleton: Skeleton
) -> Float[np.ndarray, " bones"]:
    """Median length of every bone over the frames that know both ends, mm; NaN where too few do."""
    found = []
    for one, other in skeleton.bone_indices:
        both = known[:, one] & known[:, other]
        length = np.linalg.norm(xyz_world[both, one] - xyz_world[both, other], axis=-1)
        found.append(float(np.median(length)) if len(length) >= FEWEST_FRAMES else np.nan)
    return np.array(found)


def _held(
    state: _Iterate,
    track: Track,
    precision: Float[np.ndarray, "frames joints 3 3"],
    weights: AdjustWeights,
    *,
    gaussian: bool = False,
) -> tuple[Float[np.ndarray, "frames joints 3 3"], Float[np.ndarray, "frames joints 3"]]:
    """How claims and keypoints hold joints, and whither they pull them; `gaussian`: claims are believed as they are."""
    off = track.xyz_world - state.place
    distance = np.einsum("fji,fjik,fjk->fj", off, precision, off)
    doubt = 1.0 if gaussian else np.minimum((CLAIM_FREEDOM + 3) / (CLAIM_FREEDOM + distance), 1.0)
    held = precision * (weights.claims * doubt * state.claimed)[..., None, None]
    pull = np.einsum("fjik,fjk->fji", held, off)
    error, moves = image_errors(state.keypoints, state.place)
    variance = state.keypoints.noise**2
    trust = (FREEDOM + 2) / (FREEDOM + (error**2).sum(-1) / variance) / variance
    much = np.where(state.claimed, weights.keypoints, weights.alone)[:, None]
    trust = np.where(state.keypoints.seen, much * trust, 0.0)
    held = held + np.einsum("fvj,fvjki,fvjkl->fjil", trust, moves, moves, optimize=True)
    return held, pull + np.einsum("fvj,fvjki,fvjk->fji", trust, moves, error, optimize=True)


def _band(
    state: _Iterate,
    track: Track,
    held: Float[np.ndarray, "frames joints 3 3"],
    pull: Float[np.ndarray, "frames joints 3"],
    lengths: Float[np.ndarray, " bones"],
    skeleton: Skeleton,
    weights: AdjustWeights,
    window: slice,
) -> Band:
    """The normal equations of some frames."""
    place = state.place[window]
    band = Band(*place.shape[:2])
    band.add_places(held[window], pull[window])
    for ends, length, give in zip(skeleton.bone_indices, lengths, _give(skeleton), strict=True):
        if not np.isfinite(length):
            continue
        way = place[:, ends[0]] - place[:, ends[1]]
        long = np.linalg.norm(way, axis=-1)
        along = way / np.maximum(long, 1.0)[:, None]
        sigma = give * max(weights.bone * length, LEAST_BONE_MM if np.isfinite(weights.bone) else np.inf)
        short = length - long
        trust = (FREEDOM + 1) / (FREEDOM + (short / sigma) ** 2) / sigma**2
        band.add_bone(ends, trust[:, None, None] * along[:, :, None] * along[:, None], (trust * short)[:, None] * along)
    density = state.density[window]
    steps = MotionWeights.of(np.diff(track.seconds[window]), (density[1:] + density[:-1]) / 2)
    band.add_motion(steps, place, state.speed[window])
    return band


def _give(skeleton: Skeleton) -> list[float]:
    """By how much every bone varies more than one that is stiff."""
    ends = ([name.removeprefix("l_").removeprefix("r_") for name in bone] for bone in skeleton.bones)
    return [1.0 if tuple(pair) in FIRM or tuple(pair[::-1]) in FIRM else SOFT for pair in ends]


def _untangled(state: _Iterate, skeleton: Skeleton) -> _Iterate:
    """Sides as they are; what a frame made of switched ones does not count."""
    found = untangle(state.keypoints, state.place, skeleton)
    claimed = state.claimed & ~found.switched.any(1)
    return replace(state, keypoints=found.keypoints, switched=found.switched, claimed=claimed)


def _density(
    state: _Iterate,
    track: Track,
    firm: Float[np.ndarray, "frames joints"],
    captured: Float[np.ndarray, " joints"],
) -> Float[np.ndarray, "frames joints"]:
    """How strong accelerations are at every moment, mm²/s³, told by the way found so far."""
    frames = len(track.seconds)
    if frames < FEWEST_FRAMES:
        return state.density
    step = float(np.median(np.diff(track.seconds)))
    usual = np.array([np.median(one[one > LOOSELY]) if (one > LOOSELY).any() else LOOSELY for one in firm.T])
    variance = 3 / usual
    energy = np.zeros(firm.shape)
    energy[1:-1] = (np.diff(state.place, 2, axis=0) ** 2).mean(-1)
    energy[0], energy[-1] = energy[1], energy[-2]
    energy = gaussian_filter1d(energy, LOCAL_SECONDS / step, axis=0, mode="nearest")
    unit = step**3 / variance
    true = told_by(energy / variance, state.density * unit, np.broadcast_to(CALMEST * captured * unit, energy.shape))
    return keeping(np.minimum(true, WILDEST * captured * unit)) / unit


def _adjusted(
    state: _Iterate,
    track: Track,
    precision: Float[np.ndarray, "frames joints 3 3"],
    skeleton: Skeleton,
    weights: AdjustWeights,
) -> AdjustedTrack:
    """The result, with what it claims."""
    lengths = bone_lengths(state.place, _informed(state), skeleton)
    held, pull = _held(state, track, precision, weights)
    covariance = np.empty_like(precision)
    for core, window in windows(len(track.seconds)):
        band = _band(state, track, held, pull, lengths, skeleton, weights, window)
        covariance[core] = band.covariances()[core.start - window.start : core.stop - window.start]
    error, _ = image_errors(state.keypoints, state.place)
    error = np.where(state.keypoints.seen, np.linalg.norm(error, axis=-1) / state.keypoints.noise, 0.0)
    claimed = covariance + lasting(track)[None]
    return AdjustedTrack(state.place, claimed, lengths, state.keypoints, state.switched, error)


def lasting(track: Track) -> Float[np.ndarray, "joints 3 3"]:
    """What the claims of all frames have in common and no number of frames makes smaller, mm²: their median share."""
    trace = np.where(track.known, np.trace(track.covariance, axis1=2, axis2=3), np.nan)
    usual = np.array([np.nanmedian(one) if np.isfinite(one).any() else 0.0 for one in trace.T])
    return LASTING / 3 * usual[:, None, None] * np.eye(3)
