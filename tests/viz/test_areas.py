"""Areas drawn with clicks are the areas that `dispose prepare` reads."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.preparation.areas import read_areas
from dispose_benchmarks.association import bench_frame
from dispose_viz.areas import AreaDrawer


def test_clicked_corners_come_back_from_the_file(tmp_path: Path) -> None:
    cameras = bench_frame(2, 1, torch.Generator().manual_seed(0)).cameras
    name = cameras.names[0]
    drawer = AreaDrawer({camera: np.zeros((40, 60, 3), np.uint8) for camera in cameras.names}, tmp_path / "a.json")
    drawer.show()
    assert drawer.image.size == [60, 40]
    drawer.image.corners = [[1, 1], [20, 1]]
    drawer.close()
    assert drawer.polygons[name] == [], "two corners are no area"
    drawer.image.corners = [*drawer.image.corners, [20, 30], [40, 40]]
    drawer.take_back()
    drawer.close()
    assert drawer.image.corners == []
    drawer.save()
    found = read_areas(tmp_path / "a.json", cameras)
    assert found.inside(name, np.array([[15.0, 5.0], [5.0, 25.0]])).tolist() == [True, False]
    with pytest.raises(InputError, match="no image"):
        AreaDrawer({}, tmp_path / "b.json")
