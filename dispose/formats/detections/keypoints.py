"""The keypoints of one person in the ways that detectors write them, as one list ``x, y, score, x, …``."""

OLD_KEYS = {"pose_keypoints_2d": "pose_keypoints"}
"""What OpenPose called them in its first versions."""

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
    keypoints = person.get(key, person.get(OLD_KEYS.get(key, key)))
    return flat_keypoints(keypoints, person.get("keypoint_scores"))


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
