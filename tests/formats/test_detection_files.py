"""Detection files: there and back, legal oddities, and refusals that name file, camera, frame, person and value."""

import json
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.coco_results import open_coco_results
from dispose.formats.detections.openpose import open_openpose, open_view, write_openpose
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import frame_number
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import COCO_17


def detections(seed: int = 0) -> Detections:
    generator = torch.Generator().manual_seed(seed)
    people = torch.rand(2, 3, 17, 3, dtype=torch.float64, generator=generator)
    people[..., :2] = people[..., :2] * 2000 - 200
    people[0, 1, 4] = 0
    return Detections.from_lists(COCO_17, [list(people[0]), list(people[1, :2])], index=[[0, 1, 2], [1, 4]])


def read_back(folder: Path, number: int) -> Detections:
    people = [view.read(number, COCO_17) for view in open_openpose(folder)]
    return Detections.from_lists(COCO_17, [p.keypoints for p in people], index=[p.index for p in people])


def assert_same(found: Detections, wanted: Detections) -> None:
    for name in ("xy_image", "confidence", "visible", "valid", "index"):
        assert_close(getattr(found, name), getattr(wanted, name))


def test_openpose_there_and_back(tmp_path: Path) -> None:
    write_openpose(tmp_path, 7, ("cam_a", "cam_b"), detections())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cam_a_json", "cam_b_json"]
    assert_same(read_back(tmp_path, 7), detections())


def test_coco_names_camera_and_frame(tmp_path: Path) -> None:
    records = []
    for number in (11, 3):
        for view, camera in enumerate("ab"):
            found = detections(number)
            people = torch.cat([found.xy_image, found.confidence[..., None]], -1)[view, found.valid[view]]
            records += [{"image_id": f"{camera}/{number:06d}", "keypoints": p.flatten().tolist()} for p in people]
    (tmp_path / "results.json").write_text(json.dumps(records))
    views = open_coco_results(tmp_path / "results.json")
    assert [view.camera for view in views] == ["a", "b"]
    assert all(view.numbers == (3, 11) for view in views)
    people = [view.read(11, COCO_17) for view in views]
    found = Detections.from_lists(COCO_17, [p.keypoints for p in people])
    assert_close(found.xy_image, detections(11).xy_image)
    assert_close(found.confidence, detections(11).confidence)


def test_coco_per_camera_and_image_names(tmp_path: Path) -> None:
    record = {"image_id": 5, "category_id": 1, "keypoints": [1.0, 2.0, 0.5] * 17, "score": 0.9}
    (tmp_path / "left.json").write_text(json.dumps([record]))
    (tmp_path / "right.json").write_text("[]")
    left, right = open_coco_results(tmp_path)
    assert (left.camera, left.numbers, right.camera, right.numbers) == ("left", (5,), "right", ())
    assert len(left.read(5, COCO_17).keypoints) == 1
    combined = tmp_path / "all" / "results.json"
    combined.parent.mkdir()
    combined.write_text(json.dumps([{**record, "image_id": "north_000012.jpg"}, {**record, "image_id": "s/12"}]))
    assert [(v.camera, v.numbers) for v in open_coco_results(combined)] == [("north", (12,)), ("s", (12,))]
    combined.write_text(json.dumps([record]))
    with pytest.raises(InputError, match=r"results\.json: 0: image_id: is 5; .*must name camera and frame"):
        open_coco_results(combined)


def test_frame_numbers_of_file_names() -> None:
    names = {"cam01.0042.json": 42, "video2_000000000007_keypoints.json": 7, "12.json": 12, "none.json": None}
    for name, number in names.items():
        assert frame_number(Path(name)) == number


def one_person(tmp_path: Path, values: list[object]) -> Path:
    folder = tmp_path / "cam01_json"
    folder.mkdir(exist_ok=True)
    people = [{"pose_keypoints_2d": []}, {"pose_keypoints_2d": values}]
    (folder / "cam01.0003.json").write_text(json.dumps({"people": people}))
    return folder


GOOD = [5.0, 6.0, 0.5] * 17
WRONG = {
    "joint l_eye: x is nan": [*GOOD[:3], float("nan"), *GOOD[4:]],
    "joint l_eye: y is -?inf": [*GOOD[:4], float("-inf"), *GOOD[5:]],
    "joint nose: score is 1.7, it must lie in": [5.0, 6.0, 1.7, *GOOD[3:]],
    "joint nose: score is -0.2, it must lie in": [5.0, 6.0, -0.2, *GOOD[3:]],
    "16 joints, but the skeleton coco_17 has 17 joints": GOOD[:-3],
    "50 numbers .*no multiple of three": GOOD[:-1],
    "'x' stands where a number is expected": ["x", *GOOD[1:]],
    "None stands where a number is expected": [None, *GOOD[1:]],
}


@pytest.mark.parametrize("sentence", WRONG)
def test_wrong_values_are_named(tmp_path: Path, sentence: str) -> None:
    view = open_view(one_person(tmp_path, WRONG[sentence]))
    with pytest.raises(InputError, match=rf"cam01\.0003\.json: camera cam01, frame 3, person 1[,:].*{sentence}") as e:
        view.read(3, COCO_17)
    assert not isinstance(e.value, DamagedFrameError)


def test_legal_oddities(tmp_path: Path) -> None:
    values = [-80, 9000, 1.04, 0, 0, 0, *GOOD[6:]]
    people = open_view(one_person(tmp_path, list(values))).read(3, COCO_17)
    assert (people.index, people.empty, people.overshoot) == ((1,), 1, 1)
    assert people.keypoints[0][0].tolist() == [-80.0, 9000.0, 1.0]
    nobody = open_view(one_person(tmp_path, [0.0] * 51)).read(3, COCO_17)
    assert (nobody.keypoints, nobody.empty) == ((), 2)


def test_damage_of_one_frame_is_told_from_a_wrong_file(tmp_path: Path) -> None:
    folder = one_person(tmp_path, list(GOOD))
    path = folder / "cam01.0003.json"
    text = path.read_text()
    for damaged in (text[: len(text) // 2], "", "no json"):
        path.write_text(damaged)
        with pytest.raises(DamagedFrameError, match=r"cam01\.0003\.json: camera cam01, frame 3: "):
            open_view(folder).read(3, COCO_17)
    path.write_text('{"persons": []}')
    with pytest.raises(InputError, match="no 'people'") as caught:
        open_view(folder).read(3, COCO_17)
    assert not isinstance(caught.value, DamagedFrameError)
    (folder / "cam01_3.json").write_text(text)
    with pytest.raises(InputError, match=r"frame 3 has two files"):
        open_view(folder)
    (folder / "notes.json").write_text("{}")
    with pytest.raises(InputError, match=r"notes\.json: the file name holds no frame number"):
        open_view(folder)
    with pytest.raises(InputError, match="no such folder"):
        open_openpose(tmp_path / "absent")
