"""What a frame of a finished run shows: facts that `failure_of` counts and `reasons` puts into words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.pairwise import pair_distances
from dispose.metrics.detection import best_pairs
from dispose.metrics.pose import pairwise_mpjpe
from dispose.scene.convert import convert_poses, shelf_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.results import Association, FrameResult, Hypotheses
from dispose.skeletons.catalog import SHELF_14
from dispose.tensors import ABSENT
from dispose_workbench.failures.measures import (
    Failure,
    Sighting,
    WrongPair,
    disagreement,
    entropy_bits,
    members_of,
    undecided_pairs,
    wrong_pairs_of,
)

FOUND_MM = 500.0
"""A true person is found where somebody's joints are nearer than this on average (as in the protocols)."""

SAME_BODY_MM = 250.0
"""Two skeletons whose joints are nearer than this on average are of one body: nobody stands inside somebody else."""


@dataclass(frozen=True)
class TupleWeight:
    """A candidate tuple as the network weighed it."""

    cost: float
    marginal: float
    mass: float


@dataclass(frozen=True, eq=False)
class FrameFacts:
    """One frame of a finished run with what is asked of it again and again, each worked out once and only if asked."""

    result: FrameResult

    @property
    def association(self) -> Association:
        """Who is who by the answer."""
        return self.result.prediction.association

    @property
    def frame(self) -> Frame:
        """Cameras and detections; to be asked for only where they are known."""
        assert self.result.frame is not None
        return self.result.frame

    @property
    def labels(self) -> Labels:
        """The truth; to be asked for only where it is known."""
        assert self.result.labels is not None
        return self.result.labels

    @property
    def has_truth(self) -> bool:
        """Whether there are true skeletons that predictions can be compared with (possibly of nobody)."""
        return self.result.labels is not None and len(self.labels.poses.skeleton) > 0

    @cached_property
    def identity(self) -> list[list[int]]:
        """The true person of every slot of every view; no view where detections or labels are not known."""
        return [] if self.result.frame is None or self.result.labels is None else self.labels.identity.tolist()

    @cached_property
    def sightings(self) -> dict[int, list[Sighting]]:
        """All detections of every true person that has any, by view; people ascending."""
        found: dict[int, list[Sighting]] = {}
        for view, people in enumerate(self.identity):
            for slot, person in enumerate(people):
                if person != ABSENT:
                    found.setdefault(person, []).append(Sighting(view, slot))
        return dict(sorted(found.items()))

    @property
    def labels_detections(self) -> bool:
        """Whether the truth says of detections whose they are; that of other programs has skeletons alone.

        A frame in which nobody is labelled, and of whom the truth has nobody either, may be of a truth that does.
        """
        return any(self.identity) and (bool(self.sightings) or len(self.labels.poses.id) == 0)

    def person(self, place: Sighting) -> int:
        """The true person that a detection shows, `ABSENT` without label."""
        return self.identity[place.view][place.slot] if self.identity else ABSENT

    @cached_property
    def groups(self) -> list[tuple[Sighting, ...]]:
        """The detections of every predicted person, by view."""
        return [members_of(self.association, row) for row in range(len(self.association))]

    @cached_property
    def row_of(self) -> dict[Sighting, int]:
        """The predicted person that holds a detection."""
        return {place: row for row, group in enumerate(self.groups) for place in group}

    def shown(self, row: int) -> Counter[int]:
        """The true people whose detections a predicted person holds, with how many of each; people ascending."""
        people = sorted(self.person(place) for place in self.groups[row])
        return Counter(person for person in people if person != ABSENT)

    @cached_property
    def owner(self) -> list[int]:
        """The true person that most labelled members of every predicted one are (of equals the lowest), or `ABSENT`."""
        return [next(iter(self.shown(row).most_common(1)), (ABSENT, 0))[0] for row in range(len(self.groups))]

    @cached_property
    def wrong_pairs(self) -> tuple[WrongPair, ...] | None:
        """Labelled cross-view pairs wrongly joined or split; None where no detection is labelled."""
        return wrong_pairs_of(self.association, self.labels.identity) if self.sightings else None

    @cached_property
    def poses(self) -> Poses:
        """The people found, in the truth's joints; Shelf's heads are made as its protocol makes them."""
        poses, skeleton = self.result.prediction.poses, self.labels.poses.skeleton
        if skeleton == SHELF_14 and poses.skeleton != SHELF_14:
            return shelf_poses(poses)
        return convert_poses(poses, skeleton)

    @cached_property
    def error_mm(self) -> Float[Tensor, "predictions truths"]:
        """Mean error of the common joints of every predicted and every true person; infinite without any."""
        return pairwise_mpjpe(self.poses, self.labels.poses)

    @cached_property
    def matches(self) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
        """Predicted and true people one to one: as many as can be found, of least total error."""
        return best_pairs(self.error_mm, limit_mm=FOUND_MM)

    def may_be_unannotated(self, row: int) -> bool:
        """Whether a predicted person who is nobody's match may be somebody whom the truth leaves out."""
        if not self.labels_detections or self.shown(row).keys() & set(self.labels.poses.id.tolist()):
            return False
        return not bool((self.error_mm[row] < SAME_BODY_MM).any())

    @cached_property
    def reprojection_px(self) -> Float[Tensor, "persons views joints"] | None:
        """Pixels between every person's projected joint and the keypoint in every view; NaN where one is not known."""
        members = self.association.members
        if self.result.frame is None or self.frame.detections.valid.shape[1] == 0:
            return None
        if members.shape[1] != len(self.frame.cameras):
            return None
        found = self.frame.detections
        poses = convert_poses(self.result.prediction.poses, found.skeleton)
        xy, front = self.frame.cameras.project(poses.xyz_world.double())
        view, slot = torch.arange(members.shape[1]).expand_as(members), members.clamp(min=0)
        gap = (xy.transpose(0, 1) - found.xy_image[view, slot].double()).norm(dim=-1)
        known = found.visible[view, slot] & (members != ABSENT)[..., None]
        return torch.where(known & poses.valid[:, None] & front.transpose(0, 1), gap, torch.nan)

    @cached_property
    def gaps_mm(self) -> dict[tuple[Sighting, Sighting], float]:
        """Mean distance at which the rays of every two detections pass each other, where they can be compared."""
        distances = pair_distances(self.frame)
        place = [Sighting(v, s) for v, s in zip(distances.view.tolist(), distances.slot.tolist(), strict=True)]
        known, mm = torch.isfinite(distances.mm).nonzero().tolist(), distances.mm.tolist()
        return {(place[a], place[b]): mm[a][b] for a, b in known}

    def gap_mm(self, some: Sequence[Sighting], others: Sequence[Sighting]) -> float | None:
        """Mean distance at which the rays of some detections pass those of others; None where none can be compared."""
        gaps = [self.gaps_mm[pair] for one in some for other in others if (pair := (one, other)) in self.gaps_mm]
        return sum(gaps) / len(gaps) if gaps else None

    def visible_joints(self, place: Sighting) -> int:
        """How many joints a detection shows."""
        return int(self.frame.detections.visible[place.view, place.slot].sum())

    def overlap(self, one: Sighting, other: Sighting) -> float:
        """Intersection over union of the boxes around two detections; 0 of different views."""
        found, corners = self.frame.detections, []
        for place in (one, other):
            xy = found.xy_image[place.view, place.slot][found.visible[place.view, place.slot]]
            if not len(xy) or one.view != other.view:
                return 0.0
            corners.append((xy.amin(0), xy.amax(0)))
        (low, high), (other_low, other_high) = corners
        common = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0).prod()
        total = (high - low).prod() + (other_high - other_low).prod() - common
        return float(common / total) if float(total) > 0 else 0.0

    def apart_mm(self, one: int, other: int) -> float | None:
        """How far two true people stand from each other: the distance of the means of their common joints."""
        poses = self.labels.poses
        rows = [(poses.id == person).nonzero()[:1, 0] for person in (one, other)]
        if not (len(rows[0]) and len(rows[1])):
            return None
        (a, b), both = poses.xyz_world[torch.cat(rows)].double(), poses.valid[torch.cat(rows)].all(0)
        return float((a[both] - b[both]).mean(0).norm()) if bool(both.any()) else None

    @cached_property
    def failure(self) -> Failure:
        """Everything that can be measured."""
        missed = extra = error = None
        unannotated: tuple[int, ...] = ()
        if self.has_truth:
            rows, truths = (side.tolist() for side in self.matches)
            missed = tuple(person for t, person in enumerate(self.labels.poses.id.tolist()) if t not in truths)
            extra = tuple(row for row in range(len(self.association)) if row not in rows)
            unannotated = tuple(row for row in extra if self.may_be_unannotated(row))
            error = float(self.error_mm[self.matches].mean()) if rows else None
        hypotheses, reference, pixels = self.result.hypotheses, self.result.reference, self.reprojection_px
        known = [] if pixels is None else pixels[torch.isfinite(pixels)].tolist()
        return Failure(
            self.result.prediction.number,
            wrong_pairs=self.wrong_pairs,
            missed=missed,
            extra=extra,
            unannotated=unannotated,
            joint_error_mm=error,
            entropy_bits=None if hypotheses is None else entropy_bits(hypotheses),
            undecided_pairs=None if hypotheses is None else undecided_pairs(hypotheses),
            disagreement=None if reference is None else disagreement(self.association, reference),
            reprojection_px=sum(known) / len(known) if known else None,
        )


def failure_of(result: FrameResult) -> Failure:
    """Everything that can be measured in one frame."""
    return FrameFacts(result).failure


def failures_of(results: Sequence[FrameResult]) -> tuple[Failure, ...]:
    """The failures of all frames, in their order."""
    return tuple(failure_of(result) for result in results)


def weight_of(hypotheses: Hypotheses, places: Sequence[Sighting]) -> TupleWeight | None:
    """The candidate of exactly these detections; None where it is not among those kept."""
    wanted = torch.full((hypotheses.members.shape[1],), ABSENT, dtype=torch.long)
    for place in places:
        wanted[place.view] = place.slot
    rows = (hypotheses.members == wanted).all(1).nonzero()[:1, 0].tolist()
    if not rows:
        return None
    parts = (hypotheses.cost, hypotheses.marginal, hypotheses.mass[-1])
    return TupleWeight(*(float(part[rows[0]]) for part in parts))
