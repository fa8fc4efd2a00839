"""Identities over time: who in this frame is who of the frames before."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.scene.frame import Frame
from dispose.scene.prediction import Prediction
from dispose.tensors import ABSENT, TensorStruct

UNRELATED = 1e6


@dataclass(frozen=True)
class TrackingConfig:
    """How far people move between frames, and how long they are remembered.

    Attributes:
        gate_mm: largest distance between a person's expected and new position one frame later.
        gate_growth_mm: what every further frame without the person adds to the gate.
        gate_limit_mm: the gate grows no further than this.
        patience_frames: a person unseen for longer gets a new number when they return.
        image_share: weight of the continuity in the pictures, as a share of the gate.
    """

    gate_mm: float = 500.0
    gate_growth_mm: float = 60.0
    gate_limit_mm: float = 1500.0
    patience_frames: int = 45
    image_share: float = 0.5


@dataclass(frozen=True, eq=False)
class Track(TensorStruct):
    """A person as last seen.

    Attributes:
        id: the person's number.
        number: the frame they were last seen in.
        xyz_world: last pose, mm.
        valid: which of its joints are known.
        velocity: mm per frame, of the whole body.
        xy_image: last keypoints in every view.
        visible: which of these there are.
    """

    id: int
    number: int
    xyz_world: Float[Tensor, "joints 3"]
    valid: Bool[Tensor, " joints"]
    velocity: Float[Tensor, " 3"]
    xy_image: Float[Tensor, "views joints 2"]
    visible: Bool[Tensor, "views joints"]


@dataclass(frozen=True, eq=False)
class Memory:
    """Everybody who may come back, and the next free number."""

    tracks: tuple[Track, ...] = ()
    next_id: int = 1


def link(
    memory: Memory, prediction: Prediction, frame: Frame, config: TrackingConfig | None = None
) -> tuple[Memory, Prediction]:
    """The prediction with `poses.id` continued from the memory, and the memory afterwards.

    The assignment of people to tracks minimises the total of 3-D distance to the position expected at constant
    velocity, less a bonus where the people's keypoints moved little in the pictures; pairs beyond the gate are
    refused and become new people.
    """
    config = config or TrackingConfig()
    xy, visible = _pictures(prediction, frame)
    cost = np.full((len(prediction.association), len(memory.tracks)), UNRELATED)
    for column, track in enumerate(memory.tracks):
        for row in range(cost.shape[0]):
            cost[row, column] = _cost(track, prediction, row, xy[row], visible[row], config)
    rows, columns = linear_sum_assignment(cost)
    taken = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if cost[r, c] < UNRELATED}
    next_id, ids, fresh = memory.next_id, [], []
    for row in range(cost.shape[0]):
        old = memory.tracks[taken[row]] if row in taken else None
        number = next_id if old is None else old.id
        next_id += old is None
        ids.append(number)
        fresh.append(_updated(old, number, prediction, row, xy[row], visible[row]))
    forgotten = set(taken.values())
    waiting = [
        track
        for column, track in enumerate(memory.tracks)
        if column not in forgotten and prediction.number - track.number <= config.patience_frames
    ]
    poses = replace(prediction.poses, id=torch.tensor(ids, dtype=torch.long))
    return Memory((*fresh, *waiting), next_id), replace(prediction, poses=poses)


def link_all(
    predictions: Iterable[tuple[Frame, Prediction]], config: TrackingConfig | None = None
) -> Iterator[Prediction]:
    """Predictions in order of time with stable ids."""
    memory = Memory()
    for frame, prediction in predictions:
        memory, linked = link(memory, prediction, frame, config)
        yield linked


def _pictures(
    prediction: Prediction, frame: Frame
) -> tuple[Float[Tensor, "persons views joints 2"], Bool[Tensor, "persons views joints"]]:
    """Every person's keypoints in every view."""
    members, found = prediction.association.members, frame.detections
    views = torch.arange(members.shape[1]).expand_as(members)
    if found.valid.shape[1] == 0:
        shape = (*members.shape, len(found.skeleton))
        return torch.zeros(*shape, 2, dtype=torch.float64), torch.zeros(shape, dtype=torch.bool)
    slot = members.clamp(min=0)
    return found.xy_image[views, slot].double(), found.visible[views, slot] & (members != ABSENT)[..., None]


def _cost(
    track: Track,
    prediction: Prediction,
    row: int,
    xy: Float[Tensor, "views joints 2"],
    visible: Bool[Tensor, "views joints"],
    config: TrackingConfig,
) -> float:
    """Distance in units of the gate, less the bonus for continuity in the pictures; `UNRELATED` beyond the gate."""
    elapsed = max(prediction.number - track.number, 1)
    gate = min(config.gate_mm + config.gate_growth_mm * (elapsed - 1), config.gate_limit_mm)
    # People rarely keep their direction through a long gap: the velocity counts for a few frames only.
    expected = track.xyz_world + track.velocity * min(elapsed, 5)
    both = track.valid & prediction.poses.valid[row]
    xyz = prediction.poses.xyz_world[row].double()
    near = _image_continuity(track, xy, visible)
    if bool(both.any()):
        # The median: a few joints thrown far by a bad triangulation do not make another person.
        distance = float((xyz[both] - expected[both]).norm(dim=-1).median())
    elif bool(track.valid.any()) and bool(prediction.poses.valid[row].any()):
        distance = float((xyz[prediction.poses.valid[row]].mean(0) - expected[track.valid].mean(0)).norm())
    else:
        # Without any 3-D joint only the pictures can tell.
        return UNRELATED if near < 0.5 else gate / config.gate_mm
    if distance > gate:
        return UNRELATED
    return distance / gate - config.image_share * near


def _image_continuity(
    track: Track, xy: Float[Tensor, "views joints 2"], visible: Bool[Tensor, "views joints"]
) -> float:
    """Share of the common views in which the keypoints moved by less than a fifth of the person's size."""
    both = track.visible & visible
    views = both.any(-1)
    if not bool(views.any()):
        return 0.0
    shown = track.visible[..., None]
    low = torch.where(shown, track.xy_image, torch.inf).amin(1)
    high = torch.where(shown, track.xy_image, -torch.inf).amax(1)
    size = torch.where(track.visible.any(-1), (high - low).norm(dim=-1), 1.0)
    moved = torch.where(both, (xy - track.xy_image).norm(dim=-1), torch.nan).nanmedian(-1).values
    return float((moved[views] < 0.2 * size[views]).double().mean())


def _updated(
    old: Track | None,
    number: int,
    prediction: Prediction,
    row: int,
    xy: Float[Tensor, "views joints 2"],
    visible: Bool[Tensor, "views joints"],
) -> Track:
    """The person as seen now; joints not seen now move along with the body."""
    xyz, valid = prediction.poses.xyz_world[row].double(), prediction.poses.valid[row]
    if old is None:
        return Track(number, prediction.number, xyz, valid, torch.zeros(3, dtype=torch.float64), xy, visible)
    both = valid & old.valid
    elapsed = max(prediction.number - old.number, 1)
    velocity = old.velocity
    shift = torch.zeros(3, dtype=torch.float64)
    if bool(both.any()):
        shift = (xyz[both] - old.xyz_world[both]).median(0).values
        velocity = 0.5 * old.velocity + 0.5 * shift / elapsed
    kept = torch.where(valid[:, None], xyz, old.xyz_world + shift)
    return Track(number, prediction.number, kept, valid | old.valid, velocity, xy, visible)
