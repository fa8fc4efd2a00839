"""Detections that are left out: why, and which stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.preparation.areas import Areas, points_inside, read_areas, write_areas
from dispose.preparation.filters import FilterConfig, screen, still_people
from dispose.scene.frame import Detections, Frame
from dispose.skeletons.catalog import COCO_17
from dispose_benchmarks.association import bench_frame

SQUARE = np.array([[10.0, 10.0], [50.0, 10.0], [50.0, 50.0], [10.0, 50.0]])


@pytest.fixture(scope="module")
def frame() -> Frame:
    return bench_frame(3, 2, torch.Generator().manual_seed(3))


def of_people(frame: Frame, people: list[list[torch.Tensor]]) -> Frame:
    return replace(frame, detections=Detections.from_lists(COCO_17, people))


def somebody(x: float, y: float, size: float = 100.0, joints: int = 17, score: float = 0.9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    xy = torch.rand(17, 2, generator=generator, dtype=torch.float64) * size + torch.tensor([x, y])
    sure = torch.where(torch.arange(17) < joints, score, 0.0).double()
    return torch.cat([xy, sure[:, None]], -1)


def reasons(frame: Frame, people: list[torch.Tensor], config: FilterConfig) -> dict[int, str]:
    kept, removed = screen(of_people(frame, [people, [], []]), config)
    assert int(kept.detections.valid.sum()) + len(removed) == len(people)
    assert all(one.camera == frame.cameras.names[0] and one.frame == frame.number for one in removed)
    return {one.index: one.reason for one in removed}


def test_a_repeat_goes_the_larger_one_stays_and_a_person_behind_another_is_no_repeat(frame: Frame) -> None:
    whole, part = somebody(100, 100), somebody(101, 100, joints=8)
    assert reasons(frame, [part, whole], FilterConfig()) == {0: "repeats another"}
    assert reasons(frame, [whole, whole], FilterConfig()) == {1: "repeats another"}
    small = somebody(130, 130, size=30.0)
    assert reasons(frame, [whole, small], FilterConfig()) == {}


def test_little_evidence_goes(frame: Frame) -> None:
    people = [somebody(0, 0, joints=2), somebody(200, 0, score=0.08), somebody(400, 0)]
    assert reasons(frame, people, FilterConfig()) == {0: "little evidence", 1: "little evidence"}


def test_who_stands_in_an_area_goes_and_who_reaches_out_of_it_stays(frame: Frame) -> None:
    areas = Areas({frame.cameras.names[0]: (np.array([[90.0, 90.0], [205.0, 90.0], [205.0, 205.0], [90.0, 205.0]]),)})
    people = [somebody(100, 100), somebody(160, 100)]
    assert reasons(frame, people, FilterConfig(areas=areas)) == {0: "in an area"}


def test_points_are_inside_a_polygon_as_opencv_has_it() -> None:
    import cv2

    generator = np.random.default_rng(0)
    polygon = generator.uniform(0, 100, (7, 2))
    xy = generator.uniform(0, 100, (300, 2))
    theirs = [cv2.pointPolygonTest(polygon.astype(np.float32), point.tolist(), False) > 0 for point in xy]
    assert (points_inside(polygon, xy) == np.array(theirs)).all()


def test_areas_are_read_as_they_were_written(tmp_path: Path, frame: Frame) -> None:
    name = frame.cameras.names[1]
    write_areas(tmp_path / "areas.json", {name: [SQUARE]})
    found = read_areas(tmp_path / "areas.json", frame.cameras)
    assert found.inside(name, np.array([[30.0, 30.0], [60.0, 30.0]])).tolist() == [True, False]
    assert not found.inside(frame.cameras.names[0], np.array([[30.0, 30.0]])).any()


def test_cameras_of_areas_may_be_written_otherwise(tmp_path: Path, frame: Frame) -> None:
    """As images are called: Cam_01 is cam1, and cam11 is not; of two that it may be, it is neither."""
    cameras = replace(frame.cameras, names=("cam1", "cam11", "door"))
    write_areas(tmp_path / "areas.json", {"Cam_01": [SQUARE]})
    assert set(read_areas(tmp_path / "areas.json", cameras).cameras) == {"cam1"}
    write_areas(tmp_path / "areas.json", {"cam_1": [SQUARE], "cam1": [SQUARE]})
    with pytest.raises(InputError, match="mean the same camera, cam1"):
        read_areas(tmp_path / "areas.json", cameras)
    write_areas(tmp_path / "areas.json", {"DOOR": [SQUARE]})
    with pytest.raises(InputError, match="no camera 'DOOR'"):
        read_areas(tmp_path / "areas.json", replace(cameras, names=("cam1", "Door", "door")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"schema": "dispose.areas/1", "cameras": {"NAME": [[[0, 0], [9, 0], [9, 9000]]]}}', "outside of the image"),
        ('{"schema": "dispose.areas/1", "cameras": {"NAME": [[[0, 0], [9, 0]]]}}', "at least three corners"),
        ('{"schema": "dispose.areas/1", "cameras": {"who": []}}', "no camera 'who'"),
        ('{"schema": "dispose.areas/1", "cam', "breaks off"),
        ('{"schema": "dispose.areas/1", "cameras": {"NAME": [[[0, 0], [9, "x"], [9, 9]]]}}', "a number is expected"),
        ('{"schema": "other/1", "cameras": {}}', "schema is 'other/1'"),
    ],
)
def test_damaged_areas_are_refused_in_one_sentence(tmp_path: Path, frame: Frame, text: str, said: str) -> None:
    path = tmp_path / "areas.json"
    path.write_text(text.replace("NAME", frame.cameras.names[0]))
    with pytest.raises(InputError, match=said) as error:
        read_areas(path, frame.cameras)
    assert "areas.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_poster_is_found_and_people_who_move_or_agree_are_not(frame: Frame) -> None:
    frames = []
    for number in range(40):
        moving = somebody(300 + 10 * number, 100)
        poster, agreeing = somebody(50, 50), somebody(50, 300)
        frames.append(replace(of_people(frame, [[moving, poster, agreeing], [], []]), number=number))
    mask = np.zeros((3, 3), dtype=bool)
    mask[0, 2] = True
    found = still_people(frames, [mask] * 40, 2.0, FilterConfig())
    assert found == [(row, 0, 1) for row in range(40)]
    assert still_people(frames[:15], [mask] * 15, 1.0, FilterConfig()) == []
