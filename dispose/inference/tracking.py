"""Identities over time: who in this frame is who of the frames before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.scene.frame import Frame
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT, TensorStruct, cat

UNRELATED = 1e6
NEWCOMER = 1.0
"""What a person costs who was not there before: as much as one at the edge of the gate, whom nothing speaks for."""

HALF_NEAR = 0.05
"""Keypoints that moved by this share of a person's size are half as near as those that did not move."""

BLIND_NEAR = 0.1
"""Who cannot be compared in space has to be at least so near in the images."""

MAYBE = 0.9
"""What anybody costs who is within their grown gate and beyond the first one, or little more: nobody else may be there,
but whoever else is there is taken first."""

IN_PLACE = 0.3
"""Who is found beyond the gate is yet the same where they are so near in the images: their keypoints moved by less than
a thirteenth of their size."""

JUMP = 5.0
LEAST_JUMP_MM = 50.0
"""A person jumps who is found this many times as far from where they are expected as people of this capture usually
are, and this far at least. Nobody does: somebody else's detection took part."""

MOST_JUMPS = 3
"""After so many jumps in a row a person is believed to be where they are found."""

REMEMBERED = 0.8
"""What the distances of earlier frames count in the usual one."""


@dataclass(frozen=True)
class TrackingConfig:
    """How far people move, and how long they are remembered; times in seconds, whatever the frame rate.

    Attributes:
        rate_hz: frames per second.
        gate_mm: largest distance between a person's expected and new position one frame later.
        gate_growth_mm_s: what every further second without the person adds to the gate.
        gate_limit_mm: the gate grows no further than this.
        patience_s: a person unseen for longer gets a new number when they return.
        velocity_s: people rarely keep their direction through a long gap: their velocity counts for so long only.
        image_share: what the continuity in the images is worth, as a share of the gate.
    """

    rate_hz: float = 30.0
    gate_mm: float = 500.0
    gate_growth_mm_s: float = 1800.0
    gate_limit_mm: float = 1500.0
    patience_s: float = 1.5
    velocity_s: float = 1 / 6
    image_share: float = 1.5

    @property
    def patience_frames(self) -> int:
        """The patience in whole frames; a frame is never too short a time."""
        return max(round(self.patience_s * self.rate_hz), 1)

    @property
    def velocity_frames(self) -> float:
        """For how many frames a velocity counts."""
        return max(self.velocity_s * self.rate_hz, 1.0)


@dataclass(frozen=True, eq=False)
class Tracks(TensorStruct):
    """People as last seen: who, in which frame, at which pose (mm), with which keypoints in every view.

    The velocity is that of the whole body, mm per frame. Where somebody has just jumped further than people do, for
    the `jumps`-th time in a row, they are believed to be where they were expected (`believed_world`), not where they
    were found (`xyz_world`).
    """

    id: Int[Tensor, " tracks"]
    number: Int[Tensor, " tracks"]
    xyz_world: Float[Tensor, "tracks joints 3"]
    valid: Bool[Tensor, "tracks joints"]
    velocity: Float[Tensor, "tracks 3"]
    xy_image: Float[Tensor, "tracks views keypoints 2"]
    visible: Bool[Tensor, "tracks views keypoints"]
    believed_world: Float[Tensor, "tracks joints 3"]
    jumps: Int[Tensor, " tracks"]


@dataclass(frozen=True, eq=False)
class Memory:
    """Everybody who may come back (None before the first frame), and the next free number.

    `usual_mm` is how far people are usually found from where they are expected, a frame later; None until known.
    `config` says how long people are waited for.
    """

    tracks: Tracks | None = None
    next_id: int = 1
    usual_mm: float | None = None
    config: TrackingConfig = TrackingConfig()


def link(
    memory: Memory, prediction: Prediction, frame: Frame, config: TrackingConfig | None = None
) -> tuple[Memory, Prediction]:
    """The prediction with `poses.id` continued from the memory, and the memory afterwards.

    The assignment of people to tracks minimises the total of 3-D distance to the position expected at constant
    velocity, less a bonus where the people's keypoints moved little in the images, and of `NEWCOMER` for everybody
    without a track; pairs beyond the gate are refused.
    """
    config = config or memory.config
    now = _as_tracks(prediction, frame)
    old = memory.tracks
    # Nobody is followed from one rig into another.
    if old is None or old.visible.shape[1:] != now.visible.shape[1:]:
        old = now[:0]
    # However few frames there are in between: who is gone for minutes may be anywhere, and anybody may be here.
    old = old[prediction.number - old.number - 1 <= config.patience_frames]
    before = _matched(_costs(old, now, config))
    new = before == ABSENT
    ids = torch.where(new, memory.next_id + new.cumsum(0) - 1, old.id[before] if len(old.id) else ABSENT)
    fresh, usual = replace(now, id=ids), memory.usual_mm
    if len(old.id):
        away = _away(old[before], now, ~new, config)
        fresh = _updated(old[before], fresh, ~new & (away > _farthest(usual)), ~new, config)
        usual = _usual(usual, away)
    waiting = prediction.number - old.number <= config.patience_frames
    waiting[before[~new]] = False
    tracks = cat([fresh, old[waiting]], "tracks")
    poses = replace(prediction.poses, id=ids)
    later = replace(memory, tracks=tracks, next_id=memory.next_id + int(new.sum()), usual_mm=usual)
    return later, replace(prediction, poses=poses)


def nobody_is_followed(numbers: Sequence[int], config: TrackingConfig) -> tuple[str, ...]:
    """A sentence where all frames are further apart than people are waited for."""
    step = min((after - before for before, after in pairwise(numbers)), default=0)
    if step - 1 <= config.patience_frames:
        return ()
    apart = f"{step} numbers apart or more, {step / config.rate_hz:.1f} s at {config.rate_hz:g} frames per second"
    return (
        f"frames are {apart}, but people are waited for {config.patience_s:g} s: everybody is somebody new in every "
        "frame. Where fewer numbers are a second, give --rate-hz; to wait for longer, --patience-s.",
    )


def _matched(cost: Float[Tensor, "persons tracks"]) -> Int[Tensor, " persons"]:
    """Everybody's track, `ABSENT` for newcomers.

    They have a price: without one a single newcomer pushes a chain of people off their own tracks.
    """
    persons, tracks = cost.shape
    new = torch.full((persons, persons), UNRELATED, dtype=cost.dtype).fill_diagonal_(NEWCOMER)
    _, column = linear_sum_assignment(torch.cat([cost, new], 1).numpy())
    column = torch.from_numpy(column)
    return torch.where(column < tracks, column, ABSENT)


def _as_tracks(prediction: Prediction, frame: Frame) -> Tracks:
    """The people of one frame with their keypoints in every view, all of them new and at rest."""
    members, found, poses = prediction.association.members, frame.detections, prediction.poses
    views = torch.arange(members.shape[1]).expand_as(members)
    if found.valid.shape[1] == 0:
        xy = torch.zeros(*members.shape, len(found.skeleton), 2, dtype=torch.float64)
        visible = torch.zeros(xy.shape[:-1], dtype=torch.bool)
    else:
        slot = members.clamp(min=0)
        xy = found.xy_image[views, slot].double()
        visible = found.visible[views, slot] & (members != ABSENT)[..., None]
    xyz = poses.xyz_world.double()
    number = torch.full((len(members),), prediction.number)
    rest = xyz.new_zeros(len(members), 3)
    return Tracks(poses.id, number, xyz, poses.valid, rest, xy, visible, xyz, torch.zeros_like(number))


def _costs(old: Tracks, now: Tracks, config: TrackingConfig) -> Float[Tensor, "persons tracks"]:
    """Distance in units of the gate, less the bonus for continuity in the images; `UNRELATED` beyond the gate.

    Somebody beyond it whose keypoints hardly moved is who they were: it is their triangulation that failed. Whose gate
    has grown because they are long unseen is not nearer for that: the unit is the gate one frame later, up to `MAYBE`.
    """
    if not len(old.id) or not len(now.id):
        return torch.zeros(len(now.id), len(old.id), dtype=torch.float64)
    elapsed = (now.number[0] - old.number).clamp(min=1).double()
    growth = config.gate_growth_mm_s / config.rate_hz
    gate = (config.gate_mm + growth * (elapsed - 1)).clamp(max=config.gate_limit_mm)
    expected = expected_joints(old, int(now.number[0]), config)
    both = now.valid[:, None] & old.valid
    gap = (now.xyz_world[:, None] - expected).norm(dim=-1)
    # The median: a few joints thrown far by a bad triangulation do not make another person.
    distance = torch.where(both, gap, torch.nan).nanmedian(-1).values
    middles = (_middle(now.xyz_world, now.valid)[:, None] - _middle(expected, old.valid)).norm(dim=-1)
    distance = torch.where(both.any(-1), distance, middles)
    near = _continuity(old, now)
    # Without any 3-D joint, or with joints that are far, only the images can tell.
    unplaced = distance.isnan()
    seen = 1 - config.image_share * near
    by_images = torch.where(near < torch.where(unplaced, BLIND_NEAR, IN_PLACE), UNRELATED, seen)
    far = torch.minimum(distance / config.gate_mm, MAYBE + (1 - MAYBE) * distance / gate)
    return torch.where(unplaced | (distance > gate), by_images, far - config.image_share * near)


def believed_joints(tracks: Tracks, number: int, config: TrackingConfig) -> Float[Tensor, "tracks joints 3"]:
    """Where people are believed to be in a frame, mm: as `expected_joints`, unless they have just jumped."""
    return _along(tracks, tracks.believed_world, (number - tracks.number).double(), config)


def expected_joints(tracks: Tracks, number: int, config: TrackingConfig) -> Float[Tensor, "tracks joints 3"]:
    """Where people are expected in a frame, mm: further along their way."""
    return _along(tracks, tracks.xyz_world, (number - tracks.number).double(), config)


def _along(
    tracks: Tracks,
    xyz: Float[Tensor, "tracks joints 3"],
    elapsed: Float[Tensor, " tracks"],
    config: TrackingConfig,
) -> Float[Tensor, "tracks joints 3"]:
    """Joints so many frames later; through a long gap the velocity counts for its beginning only."""
    return xyz + (tracks.velocity * elapsed.clamp(min=1, max=config.velocity_frames)[:, None])[:, None]


def _middle(xyz: Float[Tensor, "people joints 3"], valid: Bool[Tensor, "people joints"]) -> Float[Tensor, "people 3"]:
    """The mean of the known joints; NaN where there is none."""
    return torch.where(valid[..., None], xyz, torch.nan).nanmean(1)


def _continuity(old: Tracks, now: Tracks) -> Float[Tensor, "persons tracks"]:
    """``1 / (1 + (m / HALF_NEAR)²)``, the mean over the common views; m is how far keypoints moved over the size."""
    both = now.visible[:, None] & old.visible
    shown = old.visible[..., None]
    low = torch.where(shown, old.xy_image, torch.inf).amin(2)
    high = torch.where(shown, old.xy_image, -torch.inf).amax(2)
    size = torch.where(old.visible.any(-1), (high - low).norm(dim=-1), 1.0)
    gap = (now.xy_image[:, None] - old.xy_image).norm(dim=-1)
    moved = torch.where(both, gap, torch.nan).nanmedian(-1).values
    near = 1 / (1 + (moved / (HALF_NEAR * size.clamp(min=1.0))) ** 2)
    return near.nan_to_num(0.0).sum(-1) / both.any(-1).sum(-1).clamp(min=1)


def _away(old: Tracks, now: Tracks, known: Bool[Tensor, " tracks"], config: TrackingConfig) -> Float[Tensor, " tracks"]:
    """How far people were found from where they were expected, mm for every frame since; NaN where nothing tells."""
    elapsed = (now.number - old.number).clamp(min=1).double()
    gap = (now.xyz_world - _along(old, old.xyz_world, elapsed, config)).norm(dim=-1)
    both = now.valid & old.valid & known[:, None]
    return torch.where(both, gap, torch.nan).nanmedian(1).values / elapsed


def _farthest(usual_mm: float | None) -> float:
    """How far from where they are expected somebody may be found who has not jumped, mm."""
    return math.inf if usual_mm is None else max(JUMP * usual_mm, LEAST_JUMP_MM)


def _usual(usual_mm: float | None, away: Float[Tensor, " tracks"]) -> float | None:
    """How far people are usually found from where they are expected, after one frame more."""
    middle = float(away.nanmedian())
    if math.isnan(middle):
        return usual_mm
    return middle if usual_mm is None else REMEMBERED * usual_mm + (1 - REMEMBERED) * middle


def _updated(
    old: Tracks,
    now: Tracks,
    jumped: Bool[Tensor, " tracks"],
    known: Bool[Tensor, " tracks"],
    config: TrackingConfig,
) -> Tracks:
    """People as seen now, row by row the same; joints not seen now move along with the body. Others stay as they are.

    Rows of `old` mean nothing where a person is not `known`. Who jumped keeps their velocity.
    """
    both = now.valid & old.valid & known[:, None]
    elapsed = (now.number - old.number).clamp(min=1).double()
    gap = torch.where(both[..., None], now.xyz_world - old.xyz_world, torch.nan)
    shift = gap.nanmedian(1).values.nan_to_num()
    jumped = jumped & (old.jumps < MOST_JUMPS)
    moved = both.any(-1) & ~jumped
    velocity = torch.where(moved[:, None], 0.5 * old.velocity + 0.5 * shift / elapsed[:, None], old.velocity)
    kept = torch.where(now.valid[..., None], now.xyz_world, old.xyz_world + shift[:, None])
    xyz = torch.where(known[:, None, None], kept, now.xyz_world)
    stay = jumped[:, None] & old.valid
    return replace(
        now,
        xyz_world=xyz,
        valid=torch.where(known[:, None], now.valid | old.valid, now.valid),
        velocity=torch.where(known[:, None], velocity, now.velocity),
        believed_world=torch.where(stay[..., None], _along(old, old.believed_world, elapsed, config), xyz),
        jumps=torch.where(jumped, old.jumps + 1, 0),
    )
