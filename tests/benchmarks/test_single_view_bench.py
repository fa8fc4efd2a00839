"""The lines that the bench of single views writes."""

import math

from dispose.evaluation.single_view import HiddenFigures
from dispose.evaluation.views_agree import Agreement
from dispose_benchmarks.single_view import as_written


def test_shares_are_percent_and_the_rest_is_as_measured():
    hidden = HiddenFigures(20, 0.5, 0.25, math.nan, 80.0, 0.9, 1.0, 0.1)
    assert as_written("Shelf", "a lifter", hidden) == {
        "method": "a lifter", "detections": "Shelf", "persons": 20, "found": 50.0, "within_150": 25.0,
        "error_mm": hidden.error_mm, "pose_mm": 80.0, "covered": 90.0, "others": 100.0, "extra": 0.1,
    }  # fmt: skip
    agreed = as_written("  person 1", "a lifter", Agreement(17, 0.9, 0.8, 0.7, 120.0, 60.0, 30.0, 25.0))
    shares = [agreed[name] for name in ("in_room", "from_hips", "seen_in_room")]
    assert agreed["detections"] == "person 1" and shares == [90.0, 80.0, 70.0] and agreed["view_mm"] == 120.0
