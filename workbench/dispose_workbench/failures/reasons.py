"""Why a frame went wrong, in a sentence or two made from what the frame shows.

The order of what is said: detections put to the wrong person, people taken for two, detections left alone, people
missed, people too many, and where none of this is known or wrong: the worst joint, and what was not sure.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from dispose.association.decode import pair_posterior
from dispose.scene.frame import Frame
from dispose.tensors import ABSENT
from dispose_workbench.failures.facts import FOUND_MM, FrameFacts, weight_of
from dispose_workbench.failures.measures import Sighting, pairs_of, wrong_pairs_of

SAID = 2
"""So many mistakes are said of a frame; the rest is counted."""

FRAGMENT = 8
"""A detection of fewer visible joints than this is called a fragment."""

NEAR_MM, FAR_MM = 1000.0, 2000.0
"""People nearer than the one stand close, beyond the other their distance is no reason."""

OVERLAP, DOUBLE = 0.2, 0.5
"""Boxes with a greater intersection over union cover each other; beyond the other they are one body twice."""


LEAST_PX = 1.0
"""No detection nearer to its person than this is worth a sentence."""


@dataclass(frozen=True)
class Mistake:
    """A mistake in words, and the predicted people it accounts for (rows of the prediction)."""

    sentence: str
    rows: tuple[int, ...] = ()


def explain(facts: FrameFacts) -> str:
    """Why this frame is among the worst: a few plain sentences from the data, never a guess."""
    mistakes = [*foreign_detections(facts), *split_people(facts), *ungrouped_detections(facts), *missed_people(facts)]
    mistakes += extra_people(facts, {row for mistake in mistakes for row in mistake.rows})
    sentences = [mistake.sentence for mistake in mistakes[:SAID]]
    if len(mistakes) > SAID:
        sentences.append(f"and {number_of(len(mistakes) - SAID, 'more mistake')}")
    sentences += reference_too(facts)
    if not mistakes:
        sentences = [*worst_joint(facts), *unsure(facts), *unknown_people(facts)]
    if not sentences:
        return "Nothing is known to be wrong."
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def reference_too(facts: FrameFacts) -> list[str]:
    """Whether the integer programme is wrong about the same pairs."""
    wrong, reference = facts.wrong_pairs, facts.result.reference
    if reference is None or not wrong:
        return []
    shared = len(set(wrong) & set(wrong_pairs_of(reference, facts.labels.identity)))
    if shared == len(wrong):
        return ["the integer programme makes the same mistake" + ("s" if shared > 1 else "")]
    if not shared:
        return ["the integer programme gets this right"]
    return [f"the integer programme makes {shared} of the {len(wrong)} wrong pairs too"]


def foreign_detections(facts: FrameFacts) -> Iterator[Mistake]:
    """For every group and true person the detections that do not belong into that group."""
    for row, owner in enumerate(facts.owner):
        for person in dict.fromkeys(facts.person(place) for place in facts.groups[row]):
            if person in (owner, ABSENT):
                continue
            places = of_person(facts, row, person)
            sure = float(facts.association.confidence[row])
            whose = f"{'it is' if len(places) == 1 else 'they are'} person {person}'s"
            lead = f"{name_detections(facts.frame, places)} {was(places)} put to person {owner} ({sure:.2f}), {whose}"
            yield Mistake(with_reasons(lead, foreign_reasons(facts, row, places, person)), (row,))


def foreign_reasons(facts: FrameFacts, row: int, places: Sequence[Sighting], person: int) -> Iterator[str]:
    """What made a true person's detections look like somebody else's."""
    owner, theirs = facts.owner[row], facts.sightings[person]
    apart = facts.apart_mm(person, owner)
    if apart is not None and apart > FAR_MM:
        yield f"although the two stand {metres(apart)} apart"
    elif apart is not None:
        yield f"{'both' if apart < NEAR_MM else 'the two'} stand {metres(apart)} apart"
    covered = [p for p in places if any(facts.overlap(p, other) > OVERLAP for other in facts.sightings[owner])]
    if covered:
        yield f"in {camera(facts.frame, covered[0])} they cover each other"
    yield from fragment_reason(facts, places)
    if len(theirs) == 1:
        yield f"no other camera shows person {person}"
    yield from weight_reason(facts, theirs, facts.groups[row], f"person {person}'s own tuple")
    wrong = facts.gap_mm(places, of_person(facts, row, owner))
    if facts.result.hypotheses is None and wrong is not None:  # said where no candidate tells it
        right = facts.gap_mm(places, [place for place in theirs if place not in places])
        beside = "" if right is None else f" and person {person}'s at {distance(right)}"
        yield f"the rays pass person {owner}'s at {distance(wrong)}{beside}"


def split_people(facts: FrameFacts) -> Iterator[Mistake]:
    """For every true person the groups beside the main one that are made of their detections too."""
    for person in sorted(set(facts.owner) - {ABSENT}):
        rows = [row for row, owner in enumerate(facts.owner) if owner == person]
        main, *others = sorted(rows, key=lambda row: -facts.shown(row)[person])
        yield from (Mistake(second_group(facts, person, main, row), (row,)) for row in others)


def second_group(facts: FrameFacts, person: int, main: int, row: int) -> str:
    """One group too many of a person: two parts of a body, or detections that went to somebody without a label."""
    frame, theirs = facts.frame, facts.sightings[person]
    places, others = of_person(facts, row, person), of_person(facts, main, person)
    fellows = [place for place in facts.groups[row] if place not in places]
    right = facts.gap_mm(places, others)
    if not fellows:
        lead = f"person {person} was taken for two, seen by {cameras(frame, others)} and by {cameras(frame, places)}"
        reasons = [] if right is None else [f"the rays of the two parts pass each other at {distance(right)}"]
        reasons += double_reason(facts, places, others)
        reasons += weight_reason(facts, theirs, others, "the whole tuple")
        return with_reasons(lead, [*reasons, *fragment_reason(facts, places)])
    lead = f"{name_detections(frame, places)}, person {person}'s, {was(places)} put to "
    lead += f"id {int(facts.result.prediction.poses.id[row])} with {name_detections(frame, fellows)}, "
    lead += whose(facts, fellows)
    wrong = facts.gap_mm(places, fellows)
    reasons = []
    if wrong is not None and right is not None:
        against = ", which speaks against the label" if 2 * wrong < right else ""
        reasons.append(f"the rays pass those at {distance(wrong)} and person {person}'s at {distance(right)}{against}")
    reasons += double_reason(facts, fellows, theirs)
    return with_reasons(lead, [*reasons, *weight_reason(facts, theirs, facts.groups[row], "the whole tuple")])


def whose(facts: FrameFacts, places: Sequence[Sighting]) -> str:
    """Whose detections these are, as an apposition."""
    people = {facts.person(place) for place in places}
    if people == {ABSENT}:
        return "which nobody labelled" if len(places) == 1 else "none of them labelled"
    owners = " and ".join(f"person {person}'s" for person in sorted(people - {ABSENT}))
    return owners if ABSENT not in people else f"some of them {owners} and the others without label"


def of_person(facts: FrameFacts, row: int, person: int) -> list[Sighting]:
    """The members of a group that are a true person's."""
    return [place for place in facts.groups[row] if facts.person(place) == person]


def ungrouped_detections(facts: FrameFacts) -> Iterator[Mistake]:
    """For every true person the detections that are in no group, although others show the person too."""
    for person, theirs in facts.sightings.items():
        places = [place for place in theirs if place not in facts.row_of]
        others = [place for place in theirs if place in facts.row_of]
        if not places or len(theirs) < 2:
            continue
        lead = f"{name_detections(facts.frame, places)}, person {person}'s, {was(places)} put to nobody"
        gap = facts.gap_mm(places, others or places)
        reasons = [*fragment_reason(facts, places), *double_reason(facts, places, theirs)]
        if gap is not None:
            reasons.append(f"the rays pass {'the others' if others else 'each other'} at {distance(gap)}")
        rows = {facts.row_of[place] for place in others}
        chosen = facts.groups[rows.pop()] if len(rows) == 1 else ()
        yield Mistake(with_reasons(lead, [*reasons, *weight_reason(facts, theirs, chosen, "the whole tuple")]))


def missed_people(facts: FrameFacts) -> Iterator[Mistake]:
    """Every true person whom nobody is near."""
    for person in facts.failure.missed or ():
        reasons = views_reason(facts, person)
        errors = facts.error_mm[:, facts.labels.poses.id == person]
        nearest = float(errors.min()) if errors.numel() else torch.inf
        if nearest < torch.inf:
            other = " and somebody else's" if nearest < FOUND_MM else ""
            reasons.append(f"the nearest skeleton is {metres(nearest)} off{other}")
        rows = tuple(row for row in facts.failure.extra or () if [*facts.shown(row)] == [person])
        yield Mistake(with_reasons(f"person {person} is missed", reasons), rows)


def views_reason(facts: FrameFacts, person: int) -> list[str]:
    """How many cameras have a detection of somebody who was missed."""
    if not facts.labels_detections:
        return []
    theirs = facts.sightings.get(person, [])
    if not theirs:
        return ["no camera has a detection labelled as theirs"]
    views = {place.view: place for place in theirs}
    if len(views) == 1:
        shows = "shows" if len(theirs) == 1 else "show"
        return [f"only {name_detections(facts.frame, theirs)} {shows} them, and one view places nobody"]
    return [f"{number_of(len(views), 'camera')} see them ({cameras(facts.frame, [*views.values()])})"]


def extra_people(facts: FrameFacts, said: Collection[int]) -> Iterator[Mistake]:
    """Every predicted person who is one too many, unless the truth may not know them or they are spoken of already."""
    for row in facts.failure.extra or ():
        if row in facts.failure.unannotated or row in said:
            continue
        number, places = int(facts.result.prediction.poses.id[row]), facts.groups[row]
        views = ""
        if places and facts.result.frame is not None:
            views = f", seen by {number_of(len(places), 'camera')} ({cameras(facts.frame, places)}),"
        yield Mistake(with_reasons(f"id {number}{views} is one too many", [extra_reason(facts, row)]), (row,))


def extra_reason(facts: FrameFacts, row: int) -> str:
    """What a predicted person who is one too many is made of, or where they stand."""
    words = " and ".join(f"person {person}'s" for person in facts.shown(row))
    if words:
        return f"it is made of {words} detections, and nobody is missed there"
    errors, people = facts.error_mm[row], facts.labels.poses.id.tolist()
    if not bool(torch.isfinite(errors).any()):
        return "the truth has nobody to compare with"
    nearest = int(errors.argmin())
    mm = float(errors[nearest])
    if mm < FOUND_MM:
        return f"it lies {distance(mm)} from person {people[nearest]}, whom somebody nearer has found"
    return f"the nearest person of the truth, {people[nearest]}, is {metres(mm)} off"


def double_reason(facts: FrameFacts, places: Sequence[Sighting], others: Sequence[Sighting]) -> list[str]:
    """That a detector found one body twice."""
    for place in places:
        if any(facts.overlap(place, other) > DOUBLE for other in others if other != place):
            return [f"{camera(facts.frame, place)} has two detections of the same body"]
    return []


def fragment_reason(facts: FrameFacts, places: Sequence[Sighting]) -> list[str]:
    """That a detection shows few joints."""
    place = min(places, key=facts.visible_joints)
    least = facts.visible_joints(place)
    which = "it" if len(places) == 1 else name_detections(facts.frame, [place])
    return [f"{which} is a fragment of {number_of(least, 'joint')}"] if least < FRAGMENT else []


def weight_reason(facts: FrameFacts, right: Sequence[Sighting], chosen: Sequence[Sighting], name: str) -> list[str]:
    """What the right tuple and the chosen one cost, and how much mass they ended with."""
    hypotheses = facts.result.hypotheses
    # A tuple holds one detection of a view: of somebody who is seen twice in one there is no whole tuple.
    if hypotheses is None or len({place.view for place in right}) < max(2, len(right)):
        return []
    ours, other = weight_of(hypotheses, right), weight_of(hypotheses, chosen)
    if ours is None:
        # A file does not hold the tuples that never had mass and were not cheap; nobody can say of one whether it was.
        return [f"{name} is not among the candidates{' that were kept' if hypotheses.dropped else ''}"]
    if other is None:
        return [f"{name} costs {ours.cost:.0f} and ended with mass {ours.mass:.2f}"]
    against = f"{other.cost:.0f}"
    if len(right) != len(chosen):
        # A tuple of more members costs more by itself.
        name, against = f"{name} of {len(right)} views", f"{against} of the one of {len(chosen)}"
    before = f"mass {ours.marginal:.2f} against {other.marginal:.2f} before sampling"
    return [
        f"{name} costs {ours.cost:.0f} against {against} ({before}, {ours.mass:.2f} against {other.mass:.2f} after)"
    ]


def seen_by(facts: FrameFacts, row: int) -> str:
    """How many cameras a predicted person is seen by, as an apposition."""
    return f", seen by {number_of(len(facts.groups[row]), 'camera')}" if facts.groups[row] else ""


def unknown_people(facts: FrameFacts) -> list[str]:
    """The predicted people of whom the truth has nothing."""
    ids, rows = facts.result.prediction.poses.id.tolist(), facts.failure.unannotated
    people = "; ".join(f"id {ids[row]}{seen_by(facts, row)}" for row in rows)
    return (
        [f"the truth has no skeleton for {number_of(len(rows), 'person', 'people')} found ({people})"] if rows else []
    )


def worst_joint(facts: FrameFacts) -> list[str]:
    """The joint that is farthest off, where who is who is right."""
    if facts.failure.joint_error_mm is None:
        return []
    truth, (rows, truths) = facts.labels.poses, facts.matches
    both = facts.poses.valid[rows] & truth.valid[truths]
    gap = (facts.poses.xyz_world[rows].double() - truth.xyz_world[truths].double()).norm(dim=-1)
    gap = torch.where(both, gap, -1.0)
    pair, joint = divmod(int(gap.argmax()), gap.shape[1])
    right = "everybody is who they are" if facts.wrong_pairs is not None else "everybody is found"
    person = f"person {int(truth.id[truths[pair]])}{seen_by(facts, int(rows[pair]))} ({float(gap.max()):.0f} mm)"
    return [
        f"{right}, the joints are {facts.failure.joint_error_mm:.0f} mm off on average, the worst is "
        f"{truth.skeleton.joints[joint]} of {person}"
    ]


def unsure(facts: FrameFacts) -> Iterator[str]:
    """What cannot be called wrong and yet is not sure."""
    failure = facts.failure
    if facts.result.reference is not None and failure.disagreement and facts.wrong_pairs is None:
        mine, theirs = pairs_of(facts.association), pairs_of(facts.result.reference)
        example = min(mine ^ theirs)
        yield (
            f"the integer programme differs in {number_of(failure.disagreement, 'pair')}: "
            f"{name_detections(facts.frame, example)} are one person "
            f"{'here and not there' if example in mine else 'there and not here'}"
        )
    if (failure.undecided_pairs or 0.0) > 1 and facts.result.frame is not None:
        pairs = f"the network expected to get {failure.undecided_pairs:.1f} pairs wrong before sampling"
        yield f"{pairs}, above all {least_certain(facts)}"
    if facts.wrong_pairs is None:
        yield from worst_view(facts)


def least_certain(facts: FrameFacts) -> str:
    """The pair of detections whose probability of being one person is nearest to a half."""
    hypotheses = facts.result.hypotheses
    assert hypotheses is not None
    slots = int(hypotheses.members.max()) + 1
    p = pair_posterior(hypotheses.marginal, hypotheses.members).clamp(0, 1)
    undecided = torch.minimum(p, 1 - p).triu(1)
    one, other = divmod(int(undecided.argmax()), undecided.shape[1])
    pair = [Sighting(*divmod(number, slots)) for number in (one, other)]
    return f"{name_detections(facts.frame, pair)}, one person with probability {float(p[one, other]):.2f}"


def worst_view(facts: FrameFacts) -> list[str]:
    """The detection that lies farthest from the person it was put to, unless all lie on theirs."""
    if facts.failure.reprojection_px is None or facts.reprojection_px is None:
        return []
    mean = facts.reprojection_px.nanmean(-1)
    row, view = divmod(int(torch.nan_to_num(mean, nan=-1.0).argmax()), mean.shape[1])
    place, pixels = Sighting(view, int(facts.association.members[row, view])), float(mean[row, view])
    number = int(facts.result.prediction.poses.id[row])
    text = f"{name_detections(facts.frame, [place])} lies {pixels:.0f} px from id {number}, whom it was put to"
    return [text] if pixels >= LEAST_PX else []


def with_reasons(lead: str, reasons: Iterable[str]) -> str:
    """A sentence and its reasons."""
    text = ", ".join(reasons)
    return f"{lead}: {text}" if text else lead


def name_detections(frame: Frame, places: Sequence[Sighting]) -> str:
    """Detections by camera and number in the camera's file: "cam 2's detection #1"."""
    index = frame.detections.index
    words = [f"{camera(frame, place)}'s detection #{int(index[place.view, place.slot])}" for place in places]
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


def camera(frame: Frame, place: Sighting) -> str:
    """The name of the camera of a detection."""
    return frame.cameras.names[place.view]


def cameras(frame: Frame, places: Sequence[Sighting]) -> str:
    """The cameras of some detections."""
    return ", ".join(camera(frame, place) for place in places)


def number_of(count: int, noun: str, plural: str = "") -> str:
    """A number and its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {plural or noun + 's'}"


def was(places: Sequence[Sighting]) -> str:
    """The verb for one or several detections."""
    return "was" if len(places) == 1 else "were"


def distance(mm: float) -> str:
    """A distance between people or rays: whole millimetres below a metre."""
    return f"{mm:.0f} mm" if mm < 1000 else metres(mm)


def metres(mm: float) -> str:
    """A distance between people."""
    return f"{mm / 1000:.1f} m" if math.isfinite(mm) else "unknown"
