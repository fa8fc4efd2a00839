"""Identities over time: who in this frame is who of the frames before."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.scene.frame import Frame
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT, TensorStruct, cat

UNRELATED = 1e6


@dataclass(frozen=True)
class TrackingConfig:
    """How far people move between frames, and how long they are remembered.

    Attributes:
        gate_mm: largest distance between a person's expected and new position one frame later.
        gate_growth_mm: what every further frame without the person adds to the gate.
        gate_limit_mm: the gate grows no further than this.
        patience_frames: a person unseen for longer gets a new number when they return.
        image_share: weight of the continuity in the images, as a share of the gate.
    """

    gate_mm: float = 500.0
    gate_growth_mm: float = 60.0
    gate_limit_mm: float = 1500.0
    patience_frames: int = 45
    image_share: float = 0.5


@dataclass(frozen=True, eq=False)
class Tracks(TensorStruct):
    """People as last seen: who, in which frame, at which pose (mm), with which keypoints in every view.

    The velocity is that of the whole body, mm per frame.
    """

    id: Int[Tensor, " tracks"]
    number: Int[Tensor, " tracks"]
    xyz_world: Float[Tensor, "tracks joints 3"]
    valid: Bool[Tensor, "tracks joints"]
    velocity: Float[Tensor, "tracks 3"]
    xy_image: Float[Tensor, "tracks views keypoints 2"]
    visible: Bool[Tensor, "tracks views keypoints"]


@dataclass(frozen=True, eq=False)
class Memory:
    """Everybody who may come back (None before the first frame), and the next free number."""

    tracks: Tracks | None = None
    next_id: int = 1


def link(
    memory: Memory, prediction: Prediction, frame: Frame, config: TrackingConfig | None = None
) -> tuple[Memory, Prediction]:
    """The prediction with `poses.id` continued from the memory, and the memory afterwards.

    The assignment of people to tracks minimises the total of 3-D distance to the position expected at constant
    velocity, less a bonus where the people's keypoints moved little in the images; pairs beyond the gate are
    refused and become new people.
    """
    config = config or TrackingConfig()
    now = _as_tracks(prediction, frame)
    old = memory.tracks
    # Nobody is followed from one rig into another.
    if old is None or old.visible.shape[1:] != now.visible.shape[1:]:
        old = now[:0]
    cost = _costs(old, now, config)
    before = torch.full((len(now.id),), ABSENT)
    for row, column in zip(*linear_sum_assignment(cost.numpy()), strict=True):
        if cost[row, column] < UNRELATED:
            before[row] = column
    new = before == ABSENT
    ids = torch.where(new, memory.next_id + new.cumsum(0) - 1, old.id[before] if len(old.id) else ABSENT)
    fresh = replace(now, id=ids)
    if len(old.id):
        fresh = _updated(old[before], fresh, ~new)
    waiting = prediction.number - old.number <= config.patience_frames
    waiting[before[~new]] = False
    tracks = cat([fresh, old[waiting]], "tracks")
    poses = replace(prediction.poses, id=ids)
    return Memory(tracks, memory.next_id + int(new.sum())), replace(prediction, poses=poses)


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
    return Tracks(poses.id, number, xyz, poses.valid, xyz.new_zeros(len(members), 3), xy, visible)


def _costs(old: Tracks, now: Tracks, config: TrackingConfig) -> Float[Tensor, "persons tracks"]:
    """Distance in units of the gate, less the bonus for continuity in the images; `UNRELATED` beyond the gate."""
    if not len(old.id) or not len(now.id):
        return torch.zeros(len(now.id), len(old.id), dtype=torch.float64)
    elapsed = (now.number[0] - old.number).clamp(min=1).double()
    gate = (config.gate_mm + config.gate_growth_mm * (elapsed - 1)).clamp(max=config.gate_limit_mm)
    expected = expected_joints(old, int(now.number[0]))
    both = now.valid[:, None] & old.valid
    gap = (now.xyz_world[:, None] - expected).norm(dim=-1)
    # The median: a few joints thrown far by a bad triangulation do not make another person.
    distance = torch.where(both, gap, torch.nan).nanmedian(-1).values
    middles = (_middle(now.xyz_world, now.valid)[:, None] - _middle(expected, old.valid)).norm(dim=-1)
    distance = torch.where(both.any(-1), distance, middles)
    near = _continuity(old, now)
    # Without any 3-D joint only the images can tell.
    blind = torch.where(near < 0.5, UNRELATED, gate / config.gate_mm)
    cost = torch.where(distance > gate, UNRELATED, distance / gate - config.image_share * near)
    return torch.where(distance.isnan(), blind, cost)


def expected_joints(tracks: Tracks, number: int) -> Float[Tensor, "tracks joints 3"]:
    """Where people are expected in a frame, mm: further along their way.

    People rarely keep their direction through a long gap: the velocity counts for a few frames only.
    """
    elapsed = (number - tracks.number).clamp(min=1, max=5).double()
    return tracks.xyz_world + (tracks.velocity * elapsed[:, None])[:, None]


def _middle(xyz: Float[Tensor, "people joints 3"], valid: Bool[Tensor, "people joints"]) -> Float[Tensor, "people 3"]:
    """The mean of the known joints; NaN where there is none."""
    return torch.where(valid[..., None], xyz, torch.nan).nanmean(1)


def _continuity(old: Tracks, now: Tracks) -> Float[Tensor, "persons tracks"]:
    """Share of the common views in which the keypoints moved by less than a fifth of the person's size."""
    both = now.visible[:, None] & old.visible
    shown = old.visible[..., None]
    low = torch.where(shown, old.xy_image, torch.inf).amin(2)
    high = torch.where(shown, old.xy_image, -torch.inf).amax(2)
    size = torch.where(old.visible.any(-1), (high - low).norm(dim=-1), 1.0)
    gap = (now.xy_image[:, None] - old.xy_image).norm(dim=-1)
    moved = torch.where(both, gap, torch.nan).nanmedian(-1).values
    return (moved < 0.2 * size).double().sum(-1) / both.any(-1).sum(-1).clamp(min=1)


def _updated(old: Tracks, now: Tracks, known: Bool[Tensor, " tracks"]) -> Tracks:
    """People as seen now, row by row the same; joints not seen now move along with the body. Others stay as they are.

    Rows of `old` mean nothing where a person is not `known`.
    """
    both = now.valid & old.valid & known[:, None]
    elapsed = (now.number - old.number).clamp(min=1).double()
    gap = torch.where(both[..., None], now.xyz_world - old.xyz_world, torch.nan)
    shift = gap.nanmedian(1).values.nan_to_num()
    velocity = torch.where(both.any(-1)[:, None], 0.5 * old.velocity + 0.5 * shift / elapsed[:, None], old.velocity)
    kept = torch.where(now.valid[..., None], now.xyz_world, old.xyz_world + shift[:, None])
    return replace(
        now,
        xyz_world=torch.where(known[:, None, None], kept, now.xyz_world),
        valid=torch.where(known[:, None], now.valid | old.valid, now.valid),
        velocity=torch.where(known[:, None], velocity, now.velocity),
    )
