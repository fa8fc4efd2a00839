"""Why a frame went wrong, in a sentence or two made from what the frame shows.

The order of what is told: detections put to the wrong person, people taken for two, detections left alone, people
missed, people too many, and where none of this is known or wrong: the worst joint, and the doubts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch

from dispose.scene.results import FrameResult
from dispose.tensors import ABSENT
from dispose_workbench.failures.context import (
    LabelledResult,
    Price,
    apart_mm,
    gap_mm,
    group_members,
    look,
    overlap,
    price_of,
    sightings,
    visible_joints,
)
from dispose_workbench.failures.measures import (
    FOUND_MM,
    Failure,
    Sighting,
    WrongPair,
    errors_mm,
    labelled_members,
    labels_detections,
    people_of,
    wrong_pairs_of,
)
from dispose_workbench.failures.sentences import (
    camera,
    camera_list,
    counted,
    listed,
    metres,
    millimetres,
    was,
    with_reasons,
)
from dispose_workbench.failures.uncertainty import doubts, unknown_people, worst_joint

TOLD = 2
"""So many mistakes are told of a frame; the rest is counted."""

FRAGMENT = 8
"""A detection of fewer visible joints than this is called a fragment."""

NEAR_MM, FAR_MM = 1000.0, 2000.0
"""People nearer than the one stand close, beyond the other their distance is no reason."""

OVERLAP, DOUBLE = 0.2, 0.5
"""Boxes with a greater intersection over union cover each other; beyond the other they are one body twice."""


@dataclass(frozen=True)
class Mistake:
    """A mistake in words, and the predicted people it accounts for (rows of the prediction)."""

    sentence: str
    rows: tuple[int, ...] = ()


def explain(case: FrameResult, failure: Failure) -> str:
    """Why this frame is among the worst: a few plain sentences from the data, never a guess."""
    seen = look(case)
    mistakes: list[Mistake] = []
    if seen is not None:
        mistakes += [*wrongly_put(seen), *taken_for_two(seen), *left_alone(seen)]
    told = {row for mistake in mistakes for row in mistake.rows}
    missed = missed_people(case, failure, seen)
    told |= {row for mistake in missed for row in mistake.rows}
    mistakes += [*missed, *extra_people(case, failure, told)]
    sentences = [mistake.sentence for mistake in mistakes[:TOLD]]
    if len(mistakes) > TOLD:
        sentences.append(f"and {counted(len(mistakes) - TOLD, 'more mistake')}")
    if failure.wrong_pairs:
        sentences += wrong_reference(case, failure.wrong_pairs)
    if not mistakes:
        sentences = [*worst_joint(case, failure), *doubts(case, failure), *unknown_people(case, failure)]
    if not sentences:
        return "Nothing is known to be wrong."
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def wrong_reference(case: FrameResult, wrong: Sequence[WrongPair]) -> list[str]:
    """Whether the integer programme is wrong about the same pairs."""
    if case.reference is None or case.labels is None:
        return []
    shared = len(set(wrong) & set(wrong_pairs_of(case.reference, case.labels.identity)))
    if shared == len(wrong):
        return ["the integer programme makes the same mistake" + ("s" if shared > 1 else "")]
    if not shared:
        return ["the integer programme gets this right"]
    return [f"the integer programme makes {shared} of the {len(wrong)} wrong pairs too"]


def wrongly_put(seen: LabelledResult) -> list[Mistake]:
    """For every group and true person the detections that do not belong into that group."""
    found = []
    for row, owner in enumerate(seen.owner):
        strangers: dict[int, list[Sighting]] = {}
        for place in labelled_members(seen.case, row):
            person = int(seen.labels.identity[place.view, place.slot])
            if person != owner:
                strangers.setdefault(person, []).append(place)
        for person, places in strangers.items():
            sure = float(seen.case.prediction.association.confidence[row])
            owned = "it is" if len(places) == 1 else "they are"
            lead = f"{listed(seen.case, places)} {was(places)} put to person {owner} ({sure:.2f})"
            lead += f", {owned} person {person}'s"
            found.append(Mistake(with_reasons(lead, reasons_for_strangers(seen, row, places, person)), (row,)))
    return found


def reasons_for_strangers(seen: LabelledResult, row: int, places: Sequence[Sighting], person: int) -> list[str]:
    """What made a true person's detections look like somebody else's."""
    owner, theirs = seen.owner[row], sightings(seen, person)
    group = group_members(seen.case.prediction.association, row)
    hosts = [place for place in group if int(seen.labels.identity[place.view, place.slot]) == owner]
    own = [place for place in theirs if place not in places]
    return [
        *distance_reason(seen, person, owner),
        *overlap_reason(seen, places, owner),
        *fragment_reason(seen, places),
        *lonely_reason(theirs, person),
        *price_reason(seen, theirs, group, f"person {person}'s own tuple"),
        *ray_reason(seen, places, hosts, own, (owner, person)),
    ]


def taken_for_two(seen: LabelledResult) -> list[Mistake]:
    """For every true person the groups beside the main one that are made of their detections too."""
    found = []
    for person in sorted({owner for owner in seen.owner if owner != ABSENT}):
        groups = [row for row, owner in enumerate(seen.owner) if owner == person]
        groups.sort(key=lambda row: -len(of_person(seen, row, person)))
        for row in groups[1:]:
            found.append(Mistake(second_group(seen, person, groups[0], row), (row,)))
    return found


def second_group(seen: LabelledResult, person: int, main: int, row: int) -> str:
    """One group too many of a person: two parts of a body, or detections that went to somebody without a label."""
    case, number = seen.case, int(seen.case.prediction.poses.id[row])
    places, others = of_person(seen, row, person), of_person(seen, main, person)
    fellows = [place for place in group_members(case.prediction.association, row) if place not in places]
    right = gap_mm(seen.distances, places, others)
    if not fellows:
        lead = (
            f"person {person} was taken for two, seen by {camera_list(case, others)} and by {camera_list(case, places)}"
        )
        reasons = [] if right is None else [f"the rays of the two parts pass each other at {millimetres(right)}"]
        reasons += double_reason(seen, places, others)
        reasons += price_reason(seen, sightings(seen, person), others, "the whole tuple")
        return with_reasons(lead, [*reasons, *fragment_reason(seen, places)])
    lead = f"{listed(case, places)}, person {person}'s, {was(places)} put to id {number} with {listed(case, fellows)}, "
    lead += whose(seen, fellows)
    wrong = gap_mm(seen.distances, places, fellows)
    reasons = []
    if wrong is not None and right is not None:
        against = ", which speaks against the label" if 2 * wrong < right else ""
        reasons.append(
            f"the rays pass those at {millimetres(wrong)} and person {person}'s at {millimetres(right)}{against}"
        )
    reasons += double_reason(seen, fellows, sightings(seen, person))
    reasons += price_reason(seen, sightings(seen, person), (*places, *fellows), "the whole tuple")
    return with_reasons(lead, reasons)


def whose(seen: LabelledResult, places: Sequence[Sighting]) -> str:
    """Whose detections these are, as an apposition."""
    people = [int(seen.labels.identity[place.view, place.slot]) for place in places]
    known = sorted({person for person in people if person != ABSENT})
    if not known:
        return "which nobody labelled" if len(places) == 1 else "none of them labelled"
    owners = " and ".join(f"person {person}'s" for person in known)
    return owners if ABSENT not in people else f"some of them {owners} and the others without label"


def of_person(seen: LabelledResult, row: int, person: int) -> list[Sighting]:
    """The members of a group that are a true person's."""
    members = labelled_members(seen.case, row)
    return [place for place in members if int(seen.labels.identity[place.view, place.slot]) == person]


def double_of(seen: LabelledResult, place: Sighting, others: Sequence[Sighting]) -> bool:
    """Whether a detection covers another of the same view."""
    return any(other.view == place.view and overlap(seen.frame, place, other) > DOUBLE for other in others)


def double_reason(seen: LabelledResult, places: Sequence[Sighting], others: Sequence[Sighting]) -> list[str]:
    """That a detector found one body twice."""
    doubles = [place for place in places if double_of(seen, place, [other for other in others if other != place])]
    return [f"{camera(seen.case, doubles[0])} has two detections of the same body"] if doubles else []


def left_alone(seen: LabelledResult) -> list[Mistake]:
    """For every true person the detections that are in no group, although others show the person too."""
    found = []
    for person in seen.labels.identity[seen.labels.identity != ABSENT].unique().tolist():
        theirs = sightings(seen, person)
        places = [place for place in theirs if int(seen.group[place.view, place.slot]) == ABSENT]
        others = [place for place in theirs if place not in places]
        if not places or len(theirs) < 2:
            continue
        lead = f"{listed(seen.case, places)}, person {person}'s, {was(places)} put to nobody"
        gap = gap_mm(seen.distances, places, others or places)
        reasons = [*fragment_reason(seen, places), *double_reason(seen, places, theirs)]
        if gap is not None:
            reasons.append(f"the rays pass {'the others' if others else 'each other'} at {millimetres(gap)}")
        rows = {int(seen.group[place.view, place.slot]) for place in others}
        chosen = group_members(seen.case.prediction.association, rows.pop()) if len(rows) == 1 else ()
        reasons += price_reason(seen, theirs, chosen, "the whole tuple")
        found.append(Mistake(with_reasons(lead, reasons)))
    return found


def missed_people(case: FrameResult, failure: Failure, seen: LabelledResult | None) -> list[Mistake]:
    """Every true person whom nobody is near."""
    found = []
    for person in failure.missed or ():
        reasons = [] if seen is None else views_reason(seen, person)
        nearest = nearest_mm(case, person)
        if nearest is not None:
            other = " and somebody else's" if nearest < FOUND_MM else ""
            reasons.append(f"the nearest skeleton is {metres(nearest)} off{other}")
        rows = tuple(row for row in failure.extra or () if people_of(case, row) == [person])
        found.append(Mistake(with_reasons(f"person {person} is missed", reasons), rows))
    return found


def views_reason(seen: LabelledResult, person: int) -> list[str]:
    """How many cameras have a detection of somebody who was missed."""
    theirs = sightings(seen, person)
    if not labels_detections(seen.case):
        return []
    if not theirs:
        return ["no camera has a detection labelled as theirs"]
    views = {place.view: place for place in theirs}
    if len(views) == 1:
        shows = "shows" if len(theirs) == 1 else "show"
        return [f"only {listed(seen.case, theirs)} {shows} them, and one view places nobody"]
    return [f"{counted(len(views), 'camera')} see them ({camera_list(seen.case, [*views.values()])})"]


def extra_people(case: FrameResult, failure: Failure, told: Collection[int]) -> list[Mistake]:
    """Every predicted person who is one too many, unless the truth may not know them or they are told of already."""
    found = []
    for row in failure.extra or ():
        if row in failure.unannotated or row in told:
            continue
        number, places = int(case.prediction.poses.id[row]), group_members(case.prediction.association, row)
        known = bool(places) and case.frame is not None
        seen_by = f", seen by {counted(len(places), 'camera')} ({camera_list(case, places)})," if known else ""
        found.append(Mistake(with_reasons(f"id {number}{seen_by} is one too many", [why_extra(case, row)]), (row,)))
    return found


def why_extra(case: FrameResult, row: int) -> str:
    """What a predicted person who is one too many is made of, or where they stand."""
    assert case.labels is not None
    words = " and ".join(f"person {person}'s" for person in people_of(case, row))
    if words:
        return f"it is made of {words} detections, and nobody is missed there"
    errors, people = errors_mm(case)[row], case.labels.poses.id.tolist()
    if not bool(torch.isfinite(errors).any()):
        return "the truth has nobody to compare with"
    nearest = int(errors.argmin())
    mm = float(errors[nearest])
    if mm < FOUND_MM:
        return f"it lies {millimetres(mm)} from person {people[nearest]}, whom somebody nearer has found"
    return f"the nearest person of the truth, {people[nearest]}, is {metres(mm)} off"


def distance_reason(seen: LabelledResult, one: int, other: int) -> list[str]:
    """How near two people stand, where that is near."""
    apart = apart_mm(seen.labels, one, other)
    if apart is None:
        return []
    if apart > FAR_MM:
        return [f"although the two stand {metres(apart)} apart"]
    return [f"{'both' if apart < NEAR_MM else 'the two'} stand {metres(apart)} apart"]


def overlap_reason(seen: LabelledResult, places: Sequence[Sighting], owner: int) -> list[str]:
    """In which view the detections of both cover each other."""
    for place in places:
        for other in sightings(seen, owner):
            if other.view == place.view and overlap(seen.frame, place, other) > OVERLAP:
                return [f"in {camera(seen.case, place)} they cover each other"]
    return []


def fragment_reason(seen: LabelledResult, places: Sequence[Sighting]) -> list[str]:
    """That a detection shows few joints."""
    counts = [(visible_joints(seen.frame, place), place) for place in places]
    least, place = min(counts, key=lambda item: item[0])
    if least >= FRAGMENT:
        return []
    which = "it" if len(places) == 1 else listed(seen.case, [place])
    return [f"{which} is a fragment of {counted(least, 'joint')}"]


def lonely_reason(theirs: Sequence[Sighting], person: int) -> list[str]:
    """That nobody else shows the person."""
    return [f"no other camera shows person {person}"] if len(theirs) == 1 else []


def price_reason(seen: LabelledResult, right: Sequence[Sighting], chosen: Sequence[Sighting], name: str) -> list[str]:
    """What the right tuple and the chosen one cost, and how much mass they ended with."""
    # A tuple holds one detection of a view: of somebody who is seen twice in one there is no whole tuple.
    if seen.case.hypotheses is None or len({place.view for place in right}) < max(2, len(right)):
        return []
    price, other = price_of(seen.case.hypotheses, right), price_of(seen.case.hypotheses, chosen)
    if price is None:
        # A file does not hold the tuples that never had mass and were not cheap; nobody can say of one whether it was.
        kept = " that were kept" if seen.case.hypotheses.dropped else ""
        return [f"{name} is not among the candidates{kept}"]
    if other is None:
        return [f"{name} costs {price.cost:.0f} and ended with mass {price.mass:.2f}"]
    against = f"{other.cost:.0f}"
    if len(right) != len(chosen):
        # A tuple of more members costs more by itself.
        name, against = f"{name} of {len(right)} views", f"{against} of the one of {len(chosen)}"
    return [f"{name} costs {price.cost:.0f} against {against} ({masses(price, other)})"]


def masses(price: Price, other: Price) -> str:
    """Mass of two tuples before and after sampling."""
    before = f"{price.marginal:.2f} against {other.marginal:.2f}"
    return f"mass {before} before sampling, {price.mass:.2f} against {other.mass:.2f} after"


def ray_reason(
    seen: LabelledResult,
    places: Sequence[Sighting],
    hosts: Sequence[Sighting],
    own: Sequence[Sighting],
    people: tuple[int, int],
) -> list[str]:
    """How far the rays pass those of the wrong and the right person; told where no candidate tells it."""
    if seen.case.hypotheses is not None:
        return []
    wrong, right = gap_mm(seen.distances, places, hosts), gap_mm(seen.distances, places, own)
    if wrong is None:
        return []
    if right is None:
        return [f"the rays pass person {people[0]}'s at {millimetres(wrong)}"]
    return [
        f"the rays pass person {people[0]}'s at {millimetres(wrong)} and person {people[1]}'s at {millimetres(right)}"
    ]


def nearest_mm(case: FrameResult, person: int) -> float | None:
    """Mean joint distance of the nearest predicted skeleton; None where there is none to compare with."""
    assert case.labels is not None
    errors = errors_mm(case)[:, case.labels.poses.id == person]
    known = errors[torch.isfinite(errors)]
    return float(known.min()) if len(known) else None
