"""TRC as OpenSim itself reads it; tests are skipped where it has no wheel (macOS)."""

from pathlib import Path

import numpy as np
import pytest


def read_by_opensim(path: Path) -> tuple[list[str], np.ndarray]:
    """Names and ``frames markers 3`` in metres, y up. Whatever OpenSim refuses is an exception of its own."""
    opensim = pytest.importorskip("opensim", reason="OpenSim has no wheel for this system")
    opensim.Logger.setLevelString("Off")
    table = opensim.TimeSeriesTableVec3(str(path))
    matrix, names = table.getMatrix(), list(table.getColumnLabels())
    rows = [[matrix.getElt(row, column).to_numpy() for column in range(len(names))] for row in range(matrix.nrow())]
    assert np.all(np.diff(table.getIndependentColumn()) > 0)
    return names, np.array(rows)
