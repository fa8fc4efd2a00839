"""How good people are who were detected in videos and images: beside another detector's, and in their own images.

No capture at hand has images and a truth. On Pose2Sim's two people ours are compared with the 3-D from the detections
that come with it: the one actor whom both have (the second person of these files stands still and is on nobody in the
videos). Files of keypoints need not have been made of the frames whose numbers they bear: how many frames they are off
is looked for in every camera by itself (`frames_ahead`). On stills, 3-D people are projected into the images they were
made of.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from dispose.scene.results import FrameResult
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

LIMB_JOINTS = tuple(joint for joint in COCO_17.joints if joint.partition("_")[2] in
                    ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))  # fmt: skip
"""The twelve joints that are compared: faces are seen by few cameras."""

STANDS_STILL_MM = 1.0
"""Of a mannequin, or an image of one, the second differences in time are smaller."""

SEEN = 0.2
"""Keypoints of a higher score are compared with the projections."""

MOST_AHEAD = 5
"""Frames by which other detections may be off."""

Track = Mapping[int, Float[np.ndarray, "joints 3"]]
"""Somebody's joints by frame number; not a number where they are not known."""


@dataclass(frozen=True)
class TrackAgreement:
    """One person of two sets of detections, in mm and shares.

    Attributes:
        person, other: whom in ours, whom in the other one.
        frames: that both have.
        median_mm, mean_mm, p90_mm: distances of their joints.
        missing: share of the joints that ours does not know.
        bone_variation: mean over bones of the standard deviation of their length over its mean.
        jitter_mm: mean second difference of ours.
    """

    person: int
    other: int
    frames: int
    median_mm: float
    mean_mm: float
    p90_mm: float
    missing: float
    bone_variation: float
    jitter_mm: float

    def __str__(self) -> str:
        return (f"{self.frames} frames, median {self.median_mm:.1f}, mean {self.mean_mm:.1f}, p90 {self.p90_mm:.1f} "
                f"mm, {100 * self.missing:.1f} % missing, bones vary by {self.bone_variation:.3f}, "
                f"jitter {self.jitter_mm:.1f} mm")  # fmt: skip


@dataclass(frozen=True)
class PeopleCount:
    """How many people frames have, at least and at most, and how many frames every track has, the longest first."""

    least: int
    most: int
    tracks: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.least} to {self.most} people in a frame, tracks of {', '.join(map(str, self.tracks))} frames"


@dataclass(frozen=True)
class ImageAgreement:
    """Distances of projected joints from the keypoints of their own detections, px, and how many were compared."""

    joints: int
    median_px: float
    p90_px: float

    def __str__(self) -> str:
        return f"{self.joints} joints, reprojection median {self.median_px:.2f}, p90 {self.p90_px:.2f} px"


def tracks_of(results: Sequence[FrameResult]) -> dict[int, dict[int, Float[np.ndarray, "joints 3"]]]:
    """Everybody's limbs by track and frame."""
    tracks: dict[int, dict[int, Float[np.ndarray, "joints 3"]]] = {}
    for one in results:
        poses = one.prediction.poses
        rows = poses.skeleton.indices(LIMB_JOINTS)
        xyz = torch.where(poses.valid[..., None], poses.xyz_world, torch.nan)[:, rows].numpy()
        for person, joints in zip(poses.id.tolist(), xyz, strict=True):
            tracks.setdefault(person, {})[one.prediction.number] = joints
    return tracks


def count_people(results: Sequence[FrameResult]) -> PeopleCount:
    """How many people there are, and how long they are followed."""
    counts = [len(one.prediction.poses.id) for one in results]
    lengths = sorted((len(track) for track in tracks_of(results).values()), reverse=True)
    return PeopleCount(min(counts, default=0), max(counts, default=0), tuple(lengths))


def stacked(track: Track, frames: Sequence[int]) -> Float[np.ndarray, "frames joints 3"]:
    """A track as one array."""
    return np.stack([track[number] for number in frames])


def jitter_mm(track: Track) -> float:
    """The mean second difference in time."""
    return float(np.nanmean(np.linalg.norm(np.diff(stacked(track, sorted(track)), 2, axis=0), axis=-1)))


def bone_variation(track: Track) -> float:
    """Mean over the bones between limbs' joints of the standard deviation of their length over its mean."""
    xyz = stacked(track, sorted(track))
    bones = [(LIMB_JOINTS.index(a), LIMB_JOINTS.index(b)) for a, b in COCO_17.bones if {a, b} <= set(LIMB_JOINTS)]
    lengths = np.stack([np.linalg.norm(xyz[:, a] - xyz[:, b], axis=-1) for a, b in bones])
    return float(np.mean(np.nanstd(lengths, axis=1) / np.nanmean(lengths, axis=1)))


def agreement_of_actor(ours: Mapping[int, Track], theirs: Mapping[int, Track]) -> TrackAgreement | None:
    """The person who moves in both and is nearest to themselves; None where no two tracks share half of the frames."""
    found: list[TrackAgreement] = []
    for other, their in theirs.items():
        if len(their) < 3 or jitter_mm(their) < STANDS_STILL_MM:
            continue
        for person, our in ours.items():
            frames = sorted(set(our) & set(their))
            if len(frames) < max(3, len(their) / 2):
                continue
            mm = np.linalg.norm(stacked(our, frames) - stacked(their, frames), axis=-1)
            median, p90 = np.nanquantile(mm, (0.5, 0.9)).tolist()
            missing = float(np.isnan(stacked(our, frames)).any(-1).mean())
            apart = len(frames), median, float(np.nanmean(mm)), p90
            found.append(TrackAgreement(person, other, *apart, missing, bone_variation(our), jitter_mm(our)))
    return min(found, key=lambda one: one.median_mm, default=None)


def frames_ahead(ours: Track, theirs: Track) -> int:
    """By how many frames theirs is ahead of ours: where the median distance is least, of equal ones the least.

    1 where their frame 7 shows what our frame 8 does.
    """

    def apart(ahead: int) -> float:
        frames = [number for number in theirs if number + ahead in ours]
        if not frames:
            return np.inf
        mm = np.linalg.norm(stacked(later(ours, ahead), frames) - stacked(theirs, frames), axis=-1)
        return np.inf if np.isnan(mm).all() else float(np.nanmedian(mm))

    return min(sorted(range(-MOST_AHEAD, MOST_AHEAD + 1), key=abs), key=apart)


def later(track: Track, frames: int) -> dict[int, Float[np.ndarray, "joints _"]]:
    """A track by the numbers of other frames: at 7 what it has at 7 + `frames`."""
    return {number - frames: joints for number, joints in track.items()}


def tracks_in_images(results: Sequence[FrameResult], person: int) -> list[dict[int, Float[np.ndarray, "joints 2"]]]:
    """Somebody's keypoints of the limbs in every camera, px; not a number where they were not detected."""
    tracks: list[dict[int, Float[np.ndarray, "joints 2"]]] = [{} for _ in results[0].prediction.association.members[0]]
    for one in results:
        people = one.prediction.poses.id.tolist()
        if one.frame is None or person not in people:
            continue
        found = one.frame.detections
        columns = found.skeleton.indices(LIMB_JOINTS)
        members = one.prediction.association.members[people.index(person)].tolist()
        for track, view, slot in zip(tracks, range(len(tracks)), members, strict=True):
            if slot != ABSENT:
                shown = found.visible[view, slot, columns, None]
                track[one.prediction.number] = torch.where(
                    shown, found.xy_image[view, slot, columns], torch.nan
                ).numpy()
    return tracks


def agreement_in_images(results: Sequence[FrameResult]) -> ImageAgreement:
    """How far people in 3-D are from the keypoints that they were made of."""
    errors = [torch.zeros(0, dtype=torch.float64)]
    for one in results:
        frame, poses = one.frame, one.prediction.poses
        assert frame is not None, "there are no keypoints to compare with"
        columns = frame.detections.skeleton.indices(poses.skeleton.joints)
        projected = frame.cameras.project(poses.xyz_world)[0]
        for row, members in enumerate(one.prediction.association.members.tolist()):
            for view, slot in enumerate(members):
                if slot == ABSENT:
                    continue
                found = frame.detections.xy_image[view, slot, columns]
                sure = frame.detections.confidence[view, slot, columns] > SEEN
                errors.append((projected[view, row] - found).norm(dim=-1)[sure & poses.valid[row]])
    distances = torch.cat(errors)
    if not len(distances):
        return ImageAgreement(0, float("nan"), float("nan"))
    median, p90 = torch.quantile(distances, torch.tensor([0.5, 0.9], dtype=torch.float64)).tolist()
    return ImageAgreement(len(distances), median, p90)
