"""What adapting is compared by."""

import math
from dataclasses import replace

from dispose.evaluation.reports import Figure, Row
from dispose_benchmarks.adapt import figures


def test_parts_are_compared_of_the_actors_who_are_there() -> None:
    actors = Figure("pcp_actors", (100.0, math.nan, 90.0))
    row = Row("ours", "theirs", 9, None, (Figure("pair_f1", 99.0), Figure("pcp", math.nan), actors), 0.1)
    assert figures(row) == {"pair_f1": 99.0, "pcp": 95.0}
    assert figures(replace(row, figures=(Figure("pair_f1", 99.0), Figure("other", 1.0)))) == {"pair_f1": 99.0}
