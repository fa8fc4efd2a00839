"""Everybody of a finished run over all of its frames: parted where they are away for long, smoothed, filled, marked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from dispose.association.reconstruct import NEAR_MM, roots_of
from dispose.formats.predictions import SavedPredictions
from dispose.geometry.uncertainty import expected_error, probability_within
from dispose.inference.trajectories.gaps import bridged, parts_of
from dispose.models.rays.estimate import MOST_MM
from dispose.scene.frame import Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

FILLED = 0.5
"""What the confidence of a place is multiplied by that no frame and no camera knows: it is told by others alone."""

UNCLAIMED_MM = 50.0
"""How far off joints are taken to be, along every axis, whose frames claim nothing."""


@dataclass(frozen=True, eq=False)
class Stay:
    """One person from coming to going, in all frames between, also those without them; mm, seconds.

    Attributes:
        skeleton: of the joints.
        place: of every frame among those of the run.
        seconds: time of every frame.
        row: of the person in that frame; `ABSENT` where they are not in it.
        xyz_world: joints by every frame alone; 0 where not known.
        known: which it says.
        confidence: as it says.
        covariance: what it claims, mm².
        members: their detection in every camera's source list.
    """

    skeleton: Skeleton
    place: list[int]
    seconds: Float[np.ndarray, " frames"]
    row: Int[np.ndarray, " frames"]
    xyz_world: Float[np.ndarray, "frames joints 3"]
    known: Bool[np.ndarray, "frames joints"]
    confidence: Float[np.ndarray, "frames joints"]
    covariance: Float[np.ndarray, "frames joints 3 3"]
    members: Int[np.ndarray, "frames views"]


@dataclass(frozen=True, eq=False)
class Way:
    """A stay after smoothing.

    Attributes:
        xyz_world: mm.
        covariance: mm².
        known: joints that their own frame or a camera in it knows; others are told by the frames round them.
        confidence: of joints; None: as probable as `covariance` says.
        odd: keypoints that contradict: place of the frame, camera, joint, pixels.
        switched: views of frames in which left and right were exchanged.
    """

    xyz_world: Float[np.ndarray, "frames joints 3"]
    covariance: Float[np.ndarray, "frames joints 3 3"]
    known: Bool[np.ndarray, "frames joints"]
    confidence: Float[np.ndarray, "frames joints"] | None = None
    odd: tuple[tuple[int, int, int, float], ...] = ()
    switched: int = 0
    keypoints: int = 0


Smooth = Callable[[Stay], Way]
"""A way to smooth one stay of one person."""


@dataclass(frozen=True)
class OddKeypoint:
    """A keypoint that contradicts everything else known of a person."""

    frame: int
    person: int
    camera: str
    joint: str
    error_px: float


@dataclass(frozen=True, eq=False)
class SmoothedRun:
    """A run by all of its frames.

    Attributes:
        frames: as before, with people in frames of gaps that were filled.
        filled: the joints that were, in every frame.
        odd: keypoints that contradict.
        keypoints: how many there are.
        switched: views of frames in which left and right of somebody were exchanged.
    """

    frames: tuple[Prediction, ...]
    filled: tuple[Bool[torch.Tensor, "_ joints"], ...]
    odd: tuple[OddKeypoint, ...]
    keypoints: int
    switched: int


@dataclass(frozen=True, eq=False)
class _Said:
    """A person in a frame after smoothing; row by row what `Poses` and `Association` hold."""

    row: int
    id: int
    xyz_world: Float[np.ndarray, "joints 3"]
    covariance: Float[np.ndarray, "joints 3 3"]
    confidence: Float[np.ndarray, " joints"]
    valid: Bool[np.ndarray, " joints"]
    filled: Bool[np.ndarray, " joints"]
    nearest: tuple[int, int]


def smooth_run(saved: SavedPredictions, rate_hz: float, fill_seconds: float, smooth: Smooth) -> SmoothedRun:
    """Everybody by all of their frames; gaps of people and of joints are filled up to `fill_seconds`.

    A joint is said where its expected error is at most `MOST_MM`. The confidence of one that is filled is `FILLED`
    times its probability. Who is who stays as it is; a person in a frame without them has no members.
    """
    numbers = np.array([frame.number for frame in saved.frames], dtype=np.int64)
    seconds = numbers / rate_hz
    said: list[list[_Said]] = [[] for _ in saved.frames]
    odd, switched, keypoints = list[OddKeypoint](), 0, 0
    people = _rows_of(saved)
    for person, rows in tqdm(people.items(), desc="smoothing", unit="person", delay=2.0, leave=None):
        for part in parts_of(sorted(rows), seconds, fill_seconds):
            stay = _stay(saved, part, rows, seconds)
            way = smooth(stay)
            for place, one in _said(person, stay, way, fill_seconds):
                said[place].append(one)
            odd += [
                OddKeypoint(int(numbers[place]), person, saved.cameras[view], saved.skeleton.joints[joint], error)
                for place, view, joint, error in way.odd
            ]
            switched, keypoints = switched + way.switched, keypoints + way.keypoints
    done = [_frame(saved, place, some) for place, some in enumerate(said)]
    frames, filled = tuple(one for one, _ in done), tuple(mask for _, mask in done)
    return SmoothedRun(frames, filled, tuple(sorted(odd, key=lambda one: (one.frame, one.person))), keypoints, switched)


def _rows_of(saved: SavedPredictions) -> dict[int, dict[int, int]]:
    """Everybody's row in every frame that has them, by its place."""
    found: dict[int, dict[int, int]] = {}
    for place, frame in enumerate(saved.frames):
        for row, person in enumerate(frame.poses.id.tolist()):
            found.setdefault(person, {})[place] = row
    return found


def _stay(saved: SavedPredictions, part: list[int], rows: dict[int, int], seconds: Float[np.ndarray, " _"]) -> Stay:
    """What is known of somebody from one frame to another."""
    places = list(range(part[0], part[-1] + 1))
    count, joints = len(places), len(saved.skeleton)
    xyz, covariance = np.zeros((count, joints, 3)), np.zeros((count, joints, 3, 3))
    known, confidence = np.zeros((count, joints), dtype=bool), np.zeros((count, joints))
    members, row = np.full((count, len(saved.cameras)), ABSENT), np.full(count, ABSENT)
    for at, place in enumerate(places):
        if place not in rows:
            continue
        mine, frame = rows[place], saved.frames[place]
        poses, row[at] = frame.poses, mine
        known[at], confidence[at] = poses.valid[mine].numpy(), poses.confidence[mine].numpy()
        xyz[at] = np.where(known[at][:, None], poses.xyz_world[mine].double().numpy(), 0.0)
        members[at] = frame.association.members[mine].numpy()
        claimed = UNCLAIMED_MM**2 * np.eye(3) if poses.covariance is None else poses.covariance[mine].double().numpy()
        covariance[at] = np.where(known[at][:, None, None], claimed, 0.0)
    return Stay(saved.skeleton, places, seconds[places], row, xyz, known, confidence, covariance, members)


def _said(person: int, stay: Stay, way: Way, fill_seconds: float) -> Iterator[tuple[int, _Said]]:
    """The frames of a stay, with what is said of the person there."""
    bridge = np.stack([bridged(one, stay.seconds, fill_seconds) for one in way.known.T], 1)
    covariance = torch.from_numpy(way.covariance)
    error = expected_error(covariance).numpy()
    valid = (way.known | bridge) & (error <= MOST_MM)
    filled = valid & ~way.known
    sure = probability_within(covariance, NEAR_MM).numpy() if way.confidence is None else way.confidence
    sure = np.where(valid, np.where(filled, FILLED * sure, sure), 0.0)
    there = np.flatnonzero(stay.row != ABSENT)
    for at, place in enumerate(stay.place):
        if not valid[at].any() and stay.row[at] == ABSENT:
            continue
        nearest = int(there[np.abs(there - at).argmin()])
        yield (
            place,
            _Said(
                int(stay.row[at]),
                person,
                np.where(valid[at][:, None], way.xyz_world[at], 0.0),
                np.where(valid[at][:, None, None], way.covariance[at], 0.0),
                sure[at],
                valid[at],
                filled[at],
                (stay.place[nearest], int(stay.row[nearest])),
            ),
        )


def _frame(
    saved: SavedPredictions, place: int, said: Sequence[_Said]
) -> tuple[Prediction, Bool[torch.Tensor, "persons joints"]]:
    """A frame with what is said of everybody: those it had in their order, then those who were filled in."""
    before = saved.frames[place]
    rows = sorted(said, key=lambda one: (one.row == ABSENT, one.row, one.id))
    if not rows:
        return before, torch.zeros(0, len(saved.skeleton), dtype=torch.bool)

    def column(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([vars(one)[name] for one in rows]))

    nearest = [saved.frames[at].poses.score for at, _ in (one.nearest for one in rows)]
    gone = torch.tensor([one.row == ABSENT for one in rows])
    members = torch.full((len(rows), len(saved.cameras)), ABSENT, dtype=torch.long)
    together = torch.zeros(len(rows), dtype=torch.float64)
    for at, one in enumerate(rows):
        if one.row != ABSENT:
            members[at] = before.association.members[one.row]
            together[at] = before.association.confidence[one.row]
    score = None
    if all(one is not None for one in nearest):
        own = [float(one[row.nearest[1]]) for one, row in zip(nearest, rows, strict=True) if one is not None]
        score = torch.tensor(own, dtype=torch.float64) * torch.where(gone, FILLED, 1.0)
    xyz, valid = column("xyz_world"), column("valid")
    claims = all(frame.poses.covariance is not None for frame in saved.frames if len(frame.poses.id))
    ids = torch.tensor([one.id for one in rows])
    covariance = column("covariance") if claims else None
    poses = Poses(saved.skeleton, xyz, column("confidence"), valid, ids, covariance, score)
    prediction = Prediction(before.number, Association(members, together), poses, roots_of(saved.skeleton, xyz, valid))
    return prediction, column("filled")


def of_person(run: SmoothedRun, person: int) -> SmoothedRun:
    """One person alone."""
    keep = [frame.poses.id == person for frame in run.frames]
    frames = tuple(_rows(frame, mask) for frame, mask in zip(run.frames, keep, strict=True))
    filled = tuple(one[mask] for one, mask in zip(run.filled, keep, strict=True))
    return replace(run, frames=frames, filled=filled, odd=tuple(one for one in run.odd if one.person == person))


def _rows(frame: Prediction, keep: Bool[torch.Tensor, " persons"]) -> Prediction:
    members, confidence = frame.association.members[keep], frame.association.confidence[keep]
    return replace(frame, association=Association(members, confidence), poses=frame.poses[keep], root=frame.root[keep])
