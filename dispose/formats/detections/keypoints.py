"""The keypoints of one person in the ways that detectors write them, as one list ``x, y, score, x, …``."""


def person_of_object(person: object, key: str) -> object:
    """A person's keypoints under a key, with their scores beside them if need be; None where there are none.

    What is no person at all is handed on as it is, to be counted as such.
    """
    if person is None:
        return None
    if not isinstance(person, dict):
        return person
    return flat_keypoints(person.get(key), person.get("keypoint_scores"))


def flat_keypoints(keypoints: object, scores: object = None) -> object:
    """Keypoints as one list: of pairs with scores beside them, of pairs (scored 1), of triples, or a list already.

    What is neither is handed on as it is.
    """
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


def _row(row: object, width: int) -> list[object]:
    """A joint's values; those of a joint that is null are null."""
    return row if isinstance(row, list) else [None] * width
