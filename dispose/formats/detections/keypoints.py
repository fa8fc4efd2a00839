"""The keypoints of one person in the ways that detectors write them, as one list ``x, y, score, x, …``."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from dispose.errors import InputError
from dispose.formats.detections.people import MisspeltKey
from dispose.formats.entry import almost, goes_on, short

KEYS = (
    "pose_keypoints_2d", "keypoints", "joints", "pose_keypoints", "keypoints_2d", "keypoints2d", "kpts", "kps",
    "pose_landmarks", "landmarks",
)  # fmt: skip
"""What tools call the keypoints of a person; ``pose_keypoints`` is of OpenPose's first versions."""

FEWEST_VALUES = 8
"""A longer list under another name may be keypoints as well: it is asked about."""

SCORES = ("keypoint_scores", "keypoints_scores", "scores")
"""What tools call the scores beside the keypoints of a person; ``scores`` may be of something else as well."""

SCORES_OF_JOINT = ("score", "visibility", "confidence", "likelihood", "visible", "presence")
"""What tools call the score of a joint ``{x: …, y: …}``, and the list beside ``{x: […], y: […]}``."""


LEAST_LETTERS = 3
"""``vis`` is short for ``visibility``; names of one letter begin many others."""


@lru_cache(256)
def misspelt(names: tuple[object, ...], known: tuple[str, ...]) -> str:
    """What is to be said where none of the known names is there, but one that is all but one of them; or nothing."""
    for name in (name.lower()[:40] for name in names if isinstance(name, str) and len(name) >= LEAST_LETTERS):
        close = next((one for one in known if one.startswith(name)), "") or goes_on(name, known) or almost(name, known)
        if close:
            return f"there is {short(name)}, but no {close!r}; is it misspelt?"
    return ""


def is_person(value: object) -> bool:
    """Whether a list is the keypoints of one person: numbers, or a row or an object for every joint."""
    if not isinstance(value, list) or len(value) < FEWEST_VALUES or all(isinstance(one, str) for one in value):
        return False
    rows = [one for one in value if isinstance(one, list | dict)]
    return all(len(row) <= JOINT_WIDTH if isinstance(row, list) else {"x", "position"} & set(row) for row in rows)


JOINT_WIDTH = 4
"""A joint has at most x, y, z and a score."""


def holds_people(value: object) -> bool:
    """Whether an object holds the keypoints of one person or of several, by a name that is known."""
    found = _under_keys(value, KEYS[0]) if isinstance(value, dict) else None
    return is_person(found) or (isinstance(found, list) and bool(found) and all(is_person(one) for one in found))


def people_of_object(person: object, key: str) -> list[object]:
    """As `person_of_object`, of an object that may also hold the keypoints of several people, a list each."""
    if isinstance(person, dict):
        found = _under_keys(person, key)
        if isinstance(found, list) and found and all(is_person(one) for one in found):
            scores = _beside(person, len(found))
            if scores is None and (wrong := _misspelt_scores(person, found[0])):
                return [wrong]
            beside = scores if isinstance(scores, list) and len(scores) == len(found) else [None] * len(found)
            return [flat_keypoints(one, theirs) for one, theirs in zip(found, beside, strict=True)]
        return [_flat_of(person, found)]
    return [person]


def person_of_object(person: object, key: str) -> object:
    """A person's keypoints under a key, with their scores beside them if need be; None where there are none.

    What is no person at all is handed on as it is, to be counted as such.
    """
    return _flat_of(person, _under_keys(person, key)) if isinstance(person, dict) else person


def _flat_of(person: dict[str, object], keypoints: object) -> object:
    scores = _beside(person, len(keypoints)) if isinstance(keypoints, list) else person.get(SCORES[0])
    wrong = _misspelt_scores(person, keypoints) if scores is None else None
    return wrong or flat_keypoints(keypoints, scores)


def _under_keys(person: dict[str, object], key: str) -> object:
    found = person.get(key)
    if found is None:
        found = next((person[name] for name in KEYS if person.get(name) is not None), None)
    return found


def _beside(person: dict[str, object], count: int) -> object:
    """Scores beside so many keypoints; under the last name only if there are as many."""
    for name in SCORES:
        scores = person.get(name)
        if scores is not None and (name != SCORES[-1] or (isinstance(scores, list) and len(scores) == count)):
            return scores
    return None


def _misspelt_scores(person: dict[str, object], keypoints: object) -> MisspeltKey | None:
    """Where nothing that is known stands beside pairs without scores, but a list under almost such a name."""
    if not isinstance(keypoints, list) or not _is_pairs(keypoints):
        return None
    joints: list[Any] = keypoints
    while isinstance(joints[0][0], list):
        joints = joints[0]
    lists = tuple(
        key
        for key, value in person.items()
        if isinstance(value, list) and key not in KEYS + SCORES and len(_innermost(value)) == len(joints)
    )
    return MisspeltKey(said) if (said := misspelt(lists, SCORES)) else None


def scored_alike(people: Sequence[object]) -> Sequence[object]:
    """People of one image, or of some frames, but for pairs without scores where others have some beside theirs."""
    scored = [isinstance(one, dict) and any(one.get(name) is not None for name in SCORES) for one in people]
    if all(scored) or not any(scored):
        return people
    return [one if has else _unscored(one) for one, has in zip(people, scored, strict=True)]


def _unscored(person: object) -> object:
    keypoints = _under_keys(person, KEYS[0]) if isinstance(person, dict) else None
    if not isinstance(person, dict) or not _is_pairs(keypoints):
        return person
    return _misspelt_scores(person, keypoints) or MisspeltKey(f"no {SCORES[0]!r}, which others have")


def _is_pairs(keypoints: object) -> bool:
    return isinstance(keypoints, list) and len(_innermost(keypoints)) == 2


def _innermost(values: list[Any]) -> list[Any]:
    """The first person's first joint of some keypoints, or the first person's scores: colours have three numbers."""
    while values and isinstance(values[0], list):
        values = values[0]
    return values


def require_known_keys(place: str, people: Sequence[object]) -> None:
    """Raise `InputError` where nobody has keypoints under a name that we know, but somebody has such lists."""
    named = [person for person in people if isinstance(person, dict)]
    if any(key in person for person in named for key in KEYS):
        return
    for person in named:
        if any(isinstance(value, list) and len(value) >= FEWEST_VALUES for value in person.values()):
            there = ", ".join(repr(key)[:40] for key in list(person)[:8])
            raise InputError(f"{place}: people have no keypoints by a name that is known ({', '.join(KEYS[:4])} …); "
                             f"there is {there}.")  # fmt: skip


def flat_keypoints(keypoints: object, scores: object = None) -> object:
    """Keypoints as one list: of pairs with scores beside them, of pairs (scored 1), of triples, or a list already.

    ``{x: […], y: […], visible: […]}`` are pairs in columns, ``{x: …, y: …, score: …}`` is a joint. What is none of
    these is handed on as it is.
    """
    if isinstance(keypoints, dict):
        keypoints, scores = _of_columns(keypoints)
    if not isinstance(keypoints, list):
        return keypoints
    # Most are numbers in a row: what kinds of values there are is faster to find than to look at each.
    kinds = set(map(type, keypoints))
    if dict in kinds:
        unsaid = None if any(map(_has_score, keypoints)) else 1.0
        keypoints = [_of_joint(one, unsaid) if isinstance(one, dict) else one for one in keypoints]
    elif list not in kinds:
        return keypoints
    widths = {len(row) for row in keypoints if isinstance(row, list)}
    if widths == {2}:
        beside = scores if isinstance(scores, list) and len(scores) == len(keypoints) else None
        if beside is None and scores is not None:
            return keypoints
        rows = [[*_row(row, 2), 1.0 if beside is None else beside[at]] for at, row in enumerate(keypoints)]
    elif widths == {3}:
        rows = [_row(row, 3) for row in keypoints]
    else:
        return keypoints
    return [value for row in rows for value in row]


def _of_columns(columns: dict[str, object]) -> tuple[object, object]:
    """Pairs and the scores beside them, of lists by their names; as it is where these are no lists of one length."""
    x, y = columns.get("x"), columns.get("y")
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        return columns, None
    scores = next((columns[key] for key in SCORES_OF_JOINT if columns.get(key) is not None), None)
    others = tuple(key for key in columns if key not in SCORES_OF_JOINT)
    if scores is None and (said := misspelt(others, SCORES_OF_JOINT)):
        return MisspeltKey(said), None
    return [list(pair) for pair in zip(x, y, strict=True)], scores


def _has_score(joint: object) -> bool:
    return isinstance(joint, dict) and any(key in joint for key in SCORES_OF_JOINT)


def _of_joint(joint: dict[str, object], unsaid: float | None) -> list[object]:
    """The values of a joint, scored `unsaid` where it has no score; None where that stands under a misspelt name.

    PoseNet puts x and y into a ``position``.
    """
    place = joint.get("position")
    at = place if isinstance(place, dict) else joint
    score = next((joint[key] for key in SCORES_OF_JOINT if key in joint), None)
    if score is None and not _has_score(joint):
        score = None if misspelt(tuple(joint), SCORES_OF_JOINT) else unsaid
    return [at.get("x"), at.get("y"), score]


def _row(row: object, width: int) -> list[object]:
    """A joint's values; those of a joint that is null are null."""
    return row if isinstance(row, list) else [None] * width
