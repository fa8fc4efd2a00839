"""Areas drawn with clicks are the areas that `dispose prepare` reads."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.preparation.areas import areas_in, read_areas
from dispose_benchmarks.association import bench_frame
from dispose_viz.areas import AreaDrawer, pictures_of


def test_clicked_corners_come_back_from_the_file(tmp_path: Path) -> None:
    cameras = bench_frame(2, 1, torch.Generator().manual_seed(0)).cameras
    name = cameras.names[0]
    drawer = AreaDrawer({camera: np.zeros((40, 60, 3), np.uint8) for camera in cameras.names}, tmp_path / "a.json")
    drawer.show()
    assert drawer.image.size == [60, 40]
    drawer.image.corners = [[1, 1], [20, 1]]
    drawer.close()
    assert drawer.polygons[name] == [] and "at least three" in drawer.said, "two corners are no area"
    drawer.image.corners = [*drawer.image.corners, [20, 30], [40, 40]]
    drawer.take_back()
    drawer.close()
    assert drawer.image.corners == []
    drawer.save()
    found = read_areas(tmp_path / "a.json", cameras)
    assert found.inside(name, np.array([[15.0, 5.0], [5.0, 25.0]])).tolist() == [True, False]
    with pytest.raises(InputError, match="no image"):
        AreaDrawer({}, tmp_path / "b.json")


def drawer_of(path: Path, *, names: tuple[str, ...] = ("left", "right")) -> AreaDrawer:
    return AreaDrawer({name: np.zeros((40, 60, 3), np.uint8) for name in names}, path)


def test_areas_of_the_file_are_gone_on_with(tmp_path: Path) -> None:
    path, triangle = tmp_path / "a.json", [[1.0, 1.0], [20.0, 1.0], [20.0, 30.0]]
    for count in (1, 2):
        drawer = drawer_of(path)
        drawer.image.corners = triangle
        drawer.close()
        drawer.save()
        assert drawer.said == f"wrote {path}; areas: left {count}"
        assert areas_in(path, {"left": (60.0, 40.0)}).cameras["left"][count - 1].tolist() == triangle
    drawer = drawer_of(path)
    assert drawer.image.polygons == [triangle, triangle]
    drawer.take_back()
    drawer.save()
    assert len(areas_in(path, {"left": (60.0, 40.0)}).cameras["left"]) == 1
    with pytest.raises(InputError, match="no camera 'left'"):
        drawer_of(path, names=("middle",))


def test_nothing_clicked_is_lost_in_silence(tmp_path: Path) -> None:
    drawer = drawer_of(tmp_path / "a.json")
    drawer.image.corners = [[1, 1], [20, 1]]
    camera = drawer.show().children[0].children[0]
    camera.value = "right"
    assert drawer.image.corners == []
    drawer.save()
    assert "corners of left are no area yet" in drawer.said and not (tmp_path / "a.json").exists()
    camera.value = "left"
    assert drawer.image.corners == [[1, 1], [20, 1]]
    drawer.image.corners = [[1, 1], [20, 30], [20, 1], [1, 30]]
    drawer.close()
    assert "enclose nothing" in drawer.said and len(drawer.image.corners) == 4
    for _ in range(4):
        drawer.take_back()
    (tmp_path / "a.json").mkdir()
    drawer.save()
    assert drawer.said.startswith("not saved: ")


def test_a_picture_of_every_camera_of_a_capture(tmp_path: Path) -> None:
    for camera, numbers in (("a", (3, 4)), ("b", (4,))):
        for number in numbers:
            file = tmp_path / "images" / camera / f"{camera}_{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), np.full((4, 6, 3), 10 * number, np.uint8))
    for folder in (tmp_path, tmp_path / "images"):
        assert {name: int(one.max()) for name, one in pictures_of(folder).items()} == {"a": 30, "b": 40}
    assert {name: int(one.max()) for name, one in pictures_of(tmp_path, 3).items()} == {"a": 30}
    (tmp_path / "images" / "a" / "a_3.png").write_bytes(b"")
    assert list(pictures_of(tmp_path)) == ["b"]
    with pytest.raises(InputError, match="no camera has a picture of frame 7"):
        pictures_of(tmp_path, 7)
