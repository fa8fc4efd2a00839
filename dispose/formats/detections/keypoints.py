"""The keypoints of one person in the ways that detectors write them, as one list ``x, y, score, x, …``."""

from collections.abc import Sequence

from dispose.errors import InputError

KEYS = ("pose_keypoints_2d", "keypoints", "joints", "pose_keypoints", "keypoints_2d", "keypoints2d", "kpts", "kps")
"""What tools call the keypoints of a person; ``pose_keypoints`` is of OpenPose's first versions."""

FEWEST_VALUES = 8
"""A longer list under another name may be keypoints as well: it is asked about."""

SCORES_BESIDE = ("visible", "confidence", "score")
"""What Ultralytics calls the scores beside ``{x: […], y: […]}``."""


def person_of_object(person: object, key: str) -> object:
    """A person's keypoints under a key, with their scores beside them if need be; None where there are none.

    What is no person at all is handed on as it is, to be counted as such.
    """
    if person is None:
        return None
    if not isinstance(person, dict):
        return person
    keypoints = next((person[name] for name in (key, *KEYS) if person.get(name) is not None), None)
    return flat_keypoints(keypoints, person.get("keypoint_scores"))


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

    ``{x: […], y: […], visible: […]}`` are pairs in columns. What is none of these is handed on as it is.
    """
    if isinstance(keypoints, dict):
        keypoints, scores = _of_columns(keypoints)
    if not isinstance(keypoints, list) or not any(isinstance(row, list) for row in keypoints):
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
    return [list(pair) for pair in zip(x, y, strict=True)], next(
        (columns[key] for key in SCORES_BESIDE if columns.get(key) is not None), None
    )


def _row(row: object, width: int) -> list[object]:
    """A joint's values; those of a joint that is null are null."""
    return row if isinstance(row, list) else [None] * width
