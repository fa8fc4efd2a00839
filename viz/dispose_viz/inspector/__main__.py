"""``python -m dispose_viz.inspector RESULTS FOLDER``: the worst frames of a finished run as one page each.

`dispose inspect --pages` calls it: the library itself draws nothing.
"""

import argparse
import sys
from pathlib import Path

from dispose.errors import DisposeError
from dispose_viz.inspector.page import write_pages
from dispose_viz.inspector.ranking import ranking_of
from dispose_workbench.failures.measures import MEASURES
from dispose_workbench.results.open import read_results


def main() -> int:
    """Read, rank, draw, and say for every page its frame and why it is among the worst."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worst", type=int, default=10)
    parser.add_argument("--rank-by", default=MEASURES[0].key)
    for beside in ("--capture", "--calibration", "--truth"):
        parser.add_argument(beside, type=Path)
    given = parser.parse_args()
    try:
        results = read_results(given.results, capture=given.capture, calibration=given.calibration, truth=given.truth)
        ranking = ranking_of(results, given.rank_by)
        paths = write_pages(results, ranking, given.folder, given.worst)
    except DisposeError as error:
        print(f"dispose: {error}", file=sys.stderr)
        return 2
    for path, place in zip(paths, ranking.order, strict=False):
        number, why = results.cases[place].prediction.number, ranking.reasons[place]
        print(f"{path}\n  frame {number}, {ranking.headline(place)}. {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
