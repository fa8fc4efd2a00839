"""Rows of converted tables as records."""

import numpy as np
import pytest

from dispose.datasets.tables.reading import Table, detections_of
from dispose.errors import InputError
from dispose.skeletons.catalog import COCO_17


def test_a_row_of_a_camera_that_is_not_there_is_said() -> None:
    table = Table(np.array([7, 7]), np.array([0, 2]), np.ones((2, 17, 3)), np.ones(2))
    assert len(detections_of(table, COCO_17, views=3).valid) == 3
    with pytest.raises(InputError, match="frame 7: detections of view 2, and there are 2 cameras"):
        detections_of(table, COCO_17, views=2)
