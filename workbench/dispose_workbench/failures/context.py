"""What a frame shows around a mistake: facts that `dispose_workbench.failures.reasons` puts into words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.association.pairwise import PairDistances, pair_distances
from dispose.scene.frame import Frame, Labels
from dispose.scene.prediction import Association
from dispose.scene.results import FrameResult, Hypotheses
from dispose.tensors import ABSENT
from dispose_workbench.failures.measures import Sighting, groups_of


@dataclass(frozen=True, eq=False)
class LabelledResult:
    """A labelled frame with what is asked again and again.

    Attributes:
        case: the frame.
        frame: its cameras and detections.
        labels: its truth.
        group: the predicted person of every slot, `ABSENT` = nobody.
        owner: for every predicted person the true one that most of its labelled members are, `ABSENT` for none.
    """

    case: FrameResult
    frame: Frame
    labels: Labels
    group: Int[Tensor, "views slots"]
    owner: tuple[int, ...]

    @cached_property
    def distances(self) -> PairDistances:
        """Distances of the rays of every two detections; most frames are never asked for them."""
        return pair_distances(self.frame)


@dataclass(frozen=True)
class Price:
    """A candidate tuple as the network weighed it."""

    cost: float
    cue: float
    marginal: float
    mass: float


def look(case: FrameResult) -> LabelledResult | None:
    """A case to ask about; None where labels or detections are not known."""
    if case.frame is None or case.labels is None:
        return None
    association = case.prediction.association
    group = groups_of(association, case.frame.detections.valid.shape[1])
    owner = tuple(owner_of(group == row, case.labels.identity) for row in range(len(association)))
    return LabelledResult(case, case.frame, case.labels, group, owner)


def owner_of(mine: Tensor, identity: Int[Tensor, "views slots"]) -> int:
    """The identity that most of some slots have; of equals the lowest, `ABSENT` without any."""
    count = Counter(number for number in identity[mine].tolist() if number != ABSENT)
    return min(count, key=lambda number: (-count[number], number)) if count else ABSENT


def sightings(seen: LabelledResult, person: int) -> tuple[Sighting, ...]:
    """All detections of a true person, by view."""
    return tuple(Sighting(view, slot) for view, slot in (seen.labels.identity == person).nonzero().tolist())


def group_members(association: Association, row: int) -> tuple[Sighting, ...]:
    """The detections of a group, by view."""
    return tuple(Sighting(v, s) for v, s in enumerate(association.members[row].tolist()) if s != ABSENT)


def visible_joints(frame: Frame, sighting: Sighting) -> int:
    """How many joints a detection shows."""
    return int(frame.detections.visible[sighting.view, sighting.slot].sum())


def apart_mm(labels: Labels, one: int, other: int) -> float | None:
    """How far two true people stand from each other: the distance of the means of their common joints."""
    poses = labels.poses
    rows = [(poses.id == person).nonzero()[:1, 0].tolist() for person in (one, other)]
    if not rows[0] or not rows[1]:
        return None
    a, b = rows[0][0], rows[1][0]
    both = poses.valid[a] & poses.valid[b]
    if not bool(both.any()):
        return None
    return float((poses.xyz_world[a][both] - poses.xyz_world[b][both]).double().mean(0).norm())


def overlap(frame: Frame, one: Sighting, other: Sighting) -> float:
    """Intersection over union of the boxes around two detections of a view."""
    found = frame.detections
    corners = []
    for place in (one, other):
        xy = found.xy_image[place.view, place.slot][found.visible[place.view, place.slot]]
        if not len(xy):
            return 0.0
        corners.append((xy.amin(0), xy.amax(0)))
    (low, high), (other_low, other_high) = corners
    common = (torch.minimum(high, other_high) - torch.maximum(low, other_low)).clamp(min=0).prod()
    total = (high - low).prod() + (other_high - other_low).prod() - common
    return float(common / total) if float(total) > 0 else 0.0


def gap_mm(distances: PairDistances, one: Sequence[Sighting], others: Sequence[Sighting]) -> float | None:
    """Mean distance at which the rays of some detections pass those of others; None where none can be compared."""
    rows, columns = rows_of(distances, one), rows_of(distances, others)
    gaps = distances.mm[rows][:, columns]
    known = gaps[torch.isfinite(gaps)]
    return float(known.mean()) if len(known) else None


def rows_of(distances: PairDistances, places: Sequence[Sighting]) -> list[int]:
    """Positions of detections in the list of a frame's detections."""
    listed = list(zip(distances.view.tolist(), distances.slot.tolist(), strict=True))
    return [listed.index((place.view, place.slot)) for place in places if (place.view, place.slot) in listed]


def price_of(hypotheses: Hypotheses | None, places: Sequence[Sighting]) -> Price | None:
    """The candidate of exactly these detections; None where it is not among those kept, or nothing was weighed."""
    if hypotheses is None:
        return None
    wanted = torch.full((hypotheses.members.shape[1],), ABSENT, dtype=torch.long)
    for place in places:
        wanted[place.view] = place.slot
    rows = (hypotheses.members == wanted).all(1).nonzero()[:1, 0].tolist()
    if not rows:
        return None
    row = rows[0]
    parts: tuple[Float[Tensor, " tuples"], ...] = (
        hypotheses.cost, hypotheses.cue, hypotheses.marginal, hypotheses.mass[-1],
    )  # fmt: skip
    return Price(*(float(part[row]) for part in parts))
