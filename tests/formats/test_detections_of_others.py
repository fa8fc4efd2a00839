"""What other tools write beside people: other classes, joints by other names, places of what was not seen."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.frames import open_frames, people_of_image
from dispose.formats.detections.one_camera import keypoints_of_image
from dispose.formats.detections.people import AT_ORIGIN, EMPTY, OTHER_CLASS, checked_people
from dispose.formats.detections.read import open_detections
from dispose.formats.entry import Entry
from dispose.skeletons.catalog import BODY_25B, COCO_17, COCO_23, SAPIENS_308, body_of
from tests.formats.written_detections import SIZE, coco_instances, openpose, put, some_people, words, yolo

PEOPLE = some_people()
FIRST = PEOPLE["cam1", 4][0]


def test_what_lies_at_the_origin_was_not_seen() -> None:
    """Ultralytics and others put joints of low scores there, and keep the scores."""
    values = [*FIRST[:15], 0.0, 0.0, 0.3, *FIRST[18:]]
    found = checked_people("x", [values, [0.0, 0.0, 0.4] * 17], COCO_17, SIZE)
    assert found.index == (0,) and int((found.keypoints[0][:, 2] > 0).sum()) == 16
    assert [(odd.kind, odd.count) for odd in found.odd] == [(EMPTY, 1), (AT_ORIGIN, 1)]
    assert found.odd[1].first == "x, person 0, joint l_shoulder: score is 0.3"
    assert checked_people("x", [[0.0, 5.0, 0.3, *FIRST[3:]]], COCO_17, SIZE).odd == ()


def with_class(folder: Path, wanted: str) -> None:
    """The second line of every text of the first camera is of another class."""
    yolo(folder, PEOPLE)
    for path in folder.glob("cam1/labels/*.txt"):
        first, second = path.read_text().splitlines()
        path.write_text(f"{first}\n{wanted}{second[1:]}\n")


def test_yolo_lines_of_another_class_are_no_people(tmp_path: Path) -> None:
    with_class(tmp_path, "16")
    view, other = open_detections(tmp_path)
    found = replace(view, skeleton=COCO_17).read(4, SIZE)
    assert found.index == (0,) and [(odd.kind, odd.count) for odd in found.odd] == [(OTHER_CLASS, 1)]
    assert found.odd[0].first.endswith("camera cam1, frame 4, person 1: class 16")
    assert replace(other, skeleton=COCO_17).read(4, SIZE).index == (0, 1)
    one = keypoints_of_image(tmp_path / "cam1" / "labels" / "cam1_4.txt", Path("cam1_4.jpg"))
    assert replace(one, skeleton=COCO_17).read(4, SIZE).index == (0,)


def test_yolo_people_of_one_other_class_are_people_and_of_several_a_question(tmp_path: Path) -> None:
    yolo(tmp_path / "a", PEOPLE)
    for path in tmp_path.glob("a/*/labels/*.txt"):
        path.write_text("".join(f"5{line[1:]}\n" for line in path.read_text().splitlines()))
    view, _ = open_detections(tmp_path / "a")
    assert replace(view, skeleton=COCO_17).read(4, SIZE).index == (0, 1)
    place = tmp_path / "a" / "cam1" / "labels"
    assert view.notes == (f"{place}: everybody has class 5, where people have 0; all are taken as people.",)
    path = place / "cam1_6.txt"
    path.write_text(path.read_text().replace("5 ", "3 ", 1))
    with pytest.raises(InputError, match=r"labels: there are class 3, 5, and none is 0, which people have"):
        open_detections(tmp_path / "a")


def test_yolo_joints_without_visibility(tmp_path: Path) -> None:
    pairs = [value for at in range(0, 51, 3) for value in FIRST[at : at + 2]]
    shares = (torch.tensor(pairs).double().reshape(17, 2) / torch.tensor(SIZE)).flatten().tolist()
    for behind in ((), (0.9,), (0.9, 3)):
        put(tmp_path / "cam1" / "1.txt", " ".join(map(str, (0, 0.5, 0.5, 0.2, 0.4, *shares, *behind))))
        (view,) = open_detections(tmp_path)
        (person,) = replace(view, skeleton=COCO_17).read(1, SIZE).keypoints
        assert_close(person, torch.tensor(FIRST).double().reshape(17, 3))


def test_coco_entries_of_another_category_are_no_people(tmp_path: Path) -> None:
    entry = {"image_id": "c/1", "keypoints": FIRST}
    path = tmp_path / "results.json"
    put(path, [{**entry, "category_id": 1}, {**entry, "category_id": 18}, entry, {**entry, "category_id": None}])
    (view,) = open_detections(path)
    found = replace(view, skeleton=COCO_17).read(1, SIZE)
    assert found.index == (0, 2, 3) and [(odd.kind, odd.count) for odd in found.odd] == [(OTHER_CLASS, 1)]
    assert found.odd[0].first.endswith("person 1: category_id 18") and view.notes == ()
    put(path, [{**entry, "category_id": 7}])
    (view,) = open_detections(path)
    assert view.notes == (f"{path}: everybody has category_id 7, where people have 1; all are taken as people.",)
    assert replace(view, skeleton=COCO_17).read(1, SIZE).index == (0,)
    coco_instances(tmp_path, PEOPLE)
    path = tmp_path / "instances.json"
    whole = json.loads(path.read_text())
    whole["categories"] = [{"id": 3, "name": "car"}, {"id": 7, "name": "Person"}]
    for at, one in enumerate(whole["annotations"]):
        one["category_id"] = (7, 3)[at % 2]
    put(path, whole)
    view = open_detections(path)[0]
    found = replace(view, skeleton=COCO_17).read(4, SIZE)
    assert found.index == (0,) and found.odd[0].first.endswith("person 1: category_id 3") and view.notes == ()


POSETRACK = ("nose", "head_bottom", "head_top", "left_ear", "right_ear", *map(words, COCO_17.joints[5:]))


def test_joints_are_put_in_order_by_the_names_of_a_category(tmp_path: Path) -> None:
    coco_instances(tmp_path, PEOPLE)
    path = tmp_path / "instances.json"
    whole = json.loads(path.read_text())
    whole["categories"][0]["keypoints"] = POSETRACK
    put(path, whole)
    view = open_detections(path)[0]
    assert view.skeleton == BODY_25B and f"{path}: skeleton body_25b, told from the names" in view.notes[0]
    person = replace(view).read(4, SIZE).keypoints[0]
    given = torch.tensor(FIRST).double().reshape(17, 3)
    for joint, at in {"nose": 0, "upper_neck": 1, "head_top": 2, "l_ear": 3, "l_hip": 11, "r_ankle": 16}.items():
        assert_close(person[BODY_25B.index(joint)], given[at])
    for joint in ("l_eye", "r_eye", "l_big_toe"):
        assert person[BODY_25B.index(joint)].tolist() == [0.0, 0.0, 0.0]
    whole["categories"][0]["keypoints"] = [*POSETRACK, "tail"]
    put(path, whole)
    assert open_detections(path)[0].notes[1] == f"{path}: joints that it has no joint for, left out: tail."
    whole["categories"][0]["keypoints"] = [f"kp{at}" for at in range(17)]
    put(path, whole)
    assert open_detections(path)[0].skeleton is None


def test_sapiens_wrists_stand_behind_the_hands(tmp_path: Path) -> None:
    assert (SAPIENS_308.index("r_wrist"), SAPIENS_308.index("l_wrist"), SAPIENS_308.index("neck")) == (41, 62, 69)
    assert SAPIENS_308.index("r_heel") == 20 and body_of(SAPIENS_308) == COCO_23 and len(SAPIENS_308) == 308
    openpose(tmp_path, {("cam1", 0): [[v for at in range(308) for v in (at + 1.0, 5.0, 0.5)]]})
    (view,) = open_detections(tmp_path)
    (person,) = replace(view, skeleton=SAPIENS_308).read(0, SIZE).keypoints
    assert person[COCO_23.indices(("l_wrist", "r_wrist", "l_hip")), 0].tolist() == [63.0, 42.0, 10.0]


TRIPLES = [FIRST[at : at + 3] for at in range(0, 51, 3)]


@pytest.mark.parametrize(
    "image",
    [
        [TRIPLES],
        [[TRIPLES]],
        [[{"keypoints": TRIPLES}]],
        [[[{"keypoints": TRIPLES}]]],
        {"keypoints": TRIPLES, "scores": [1.0]},
        {"predictions": {"keypoints": [TRIPLES]}},
        {"keypoints": [[row[:2] for row in TRIPLES]], "scores": [[row[2] for row in TRIPLES]]},
    ],
)
def test_one_person_is_one_however_it_is_wrapped(image: object) -> None:
    assert people_of_image(Entry("frame", image)) == [FIRST]


def test_a_crowd_is_not_one_person() -> None:
    assert people_of_image(Entry("frame", [[FIRST] * 9])) == [FIRST] * 9


def test_lists_of_frames_without_numbers_are_counted(tmp_path: Path) -> None:
    put(tmp_path / "a.json", [[TRIPLES], [], [{"keypoints": TRIPLES}, TRIPLES]])
    put(tmp_path / "b.json", [[], [TRIPLES]])
    view, other = open_detections(tmp_path)
    assert view.numbers == (0, 1, 2) and other.numbers == (0, 1)
    assert [list(view.listed(at)) for at in (0, 1, 2)] == [[FIRST], [], [FIRST, FIRST]]
    assert view.notes == (f"{tmp_path / 'a.json'}: a list of 3 frames without numbers, counted from 0.",)


def test_a_file_that_breaks_off_is_named_and_not_its_neighbour(tmp_path: Path) -> None:
    """Files of whole cameras are not taken for frames of one, because one of them cannot be read."""
    for number in (1, 2):
        put(tmp_path / f"cam{number}.json", [{"image_id": 5, "keypoints": FIRST}])
    path = tmp_path / "cam2.json"
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r"cam2\.json: breaks off"):
        open_detections(tmp_path)


def test_frames_of_all_cameras_in_one_folder_need_names(tmp_path: Path) -> None:
    for name in ("000001", "000002"):
        put(tmp_path / f"{name}.json", {"people": []})
    with pytest.raises(InputError, match=r"000001\.json: speaks of one image"):
        open_detections(tmp_path)
    with pytest.raises(InputError, match="the file name holds no frame number"):
        open_frames(tmp_path, paths=[tmp_path / "x.json"])
