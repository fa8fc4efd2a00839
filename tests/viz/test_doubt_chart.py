"""Samples' claims as a chart."""

import json

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from dispose_viz.charts.doubt import Claim, draw_claims, main, read_claims, wilson_interval
from dispose_viz.style import new_figure


def test_wilsons_interval():
    """4 of 10 (Newcombe 1998 and many a table: 0.168 to 0.687); 0 of 10 starts at 0."""
    assert wilson_interval(0.4, 10) == pytest.approx((0.168, 0.687), abs=1e-3)
    low, high = wilson_interval(0.0, 10)
    assert low == pytest.approx(0.0, abs=1e-12) and high == pytest.approx(0.2775, abs=1e-3)


def test_claims_are_drawn_over_what_is_right(tmp_path):
    rows = [
        {"detections": "huddles", "frames": 10, "claimed": 40.0, "whole_truth": 30.0},
        {"detections": "huddles", "frames": 0, "claimed": None, "whole_truth": None},
        {"detections": "huddles", "frames": 9, "pair_f1": 90.0},
        {"detections": "crowds", "frames": 5, "claimed": 90.0, "whole_truth": 100.0},
    ]
    path = tmp_path / "doubt.json"
    path.write_text(json.dumps({"rows": rows}))
    claims = read_claims(path)
    assert claims == [Claim("huddles", 40.0, 30.0, 10), Claim("crowds", 90.0, 100.0, 5)]
    axes = draw_claims(new_figure(7, 5).subplots(), claims)
    drawn = [one.lines[0] for one in axes.containers if isinstance(one, ErrorbarContainer)]
    assert [np.asarray(line.get_ydata()).tolist() for line in drawn] == [[30.0], [100.0]]
    assert np.asarray(drawn[0].get_xdata()).tolist() == [40.0]
    legend = axes.get_legend()
    assert legend is not None and [text.get_text() for text in legend.get_texts()] == ["huddles", "crowds"]
    assert main([str(path)]) == 0 and path.with_suffix(".png").stat().st_size > 5000
