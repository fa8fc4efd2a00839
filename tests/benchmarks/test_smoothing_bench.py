"""What smoothing is worth: the bench in small, and what its rows have to hold."""

import json

import pytest

from dispose_benchmarks.smoothing import WAYS, SmoothingBench
from dispose_benchmarks.studies.smoothed_results import shelf_rows, time_row


def test_the_adjustment_beats_frames_and_its_own_parts(tmp_path, capsys):
    out = tmp_path / "smoothing.json"
    assert SmoothingBench(sequences=2, frames=50, people=1, data=tmp_path, timed_frames=0, out=out).run() == 0
    rows = {row["method"]: row for row in json.loads(out.read_text())["rows"]}
    assert list(rows) == [name for name, _, _ in WAYS]
    whole, robust, rays = (rows[name] for name in ("smooth, of rays", "robust, every frame alone",
                                                   "rays, every frame alone"))  # fmt: skip
    assert robust["less"] == 0 and whole["less"] > 25 and whole["joint_mm"] < 0.95 * rays["joint_mm"]
    assert whole["joint_mm"] < rows["without bones"]["joint_mm"]
    assert whole["second_differences"] < 0.5 * rows["without motion"]["second_differences"]
    assert whole["known"] == 100 and whole["cover_90"] > 70
    assert "fast wrists" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_are_timed_and_scored(tmp_path, shared_data):
    row = time_row(tmp_path, 9000, 12, 2)
    assert 12 <= row.persons_frames <= 36 and row.processor_seconds > 0 and row.seconds > 0
    # Without one of the three actors there is no mean over them, and two of them are never there at once.
    robust, rays = shelf_rows(shared_data / "shelf", tmp_path, [*range(16), *range(174, 190)])
    assert (robust.triangulator, rays.triangulator) == ("robust", "rays")
    assert 80 < robust.pcp < rays.pcp_smooth <= 100 and robust.pcp < robust.pcp_smooth
