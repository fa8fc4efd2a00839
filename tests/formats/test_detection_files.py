"""Detection files: there and back, and odd values counted with file, camera, frame, person, joint and value."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.frames import open_frames, people_of_image
from dispose.formats.detections.openpose import write_openpose
from dispose.formats.detections.people import (
    CLAMPED,
    EMPTY,
    MISSHAPEN,
    NO_FRAME,
    NO_NUMBER,
    OUTSIDE,
    DamagedFrameError,
    DetectionView,
    FoundPeople,
    Odd,
)
from dispose.formats.detections.read import open_detections, open_folder
from dispose.formats.entry import Entry
from dispose.formats.files import frame_number
from dispose.scene.frame import Detections
from dispose.skeletons.catalog import COCO_17

SIZE = (2000.0, 2000.0)


def read(view: DetectionView, number: int) -> FoundPeople:
    return replace(view, skeleton=COCO_17).read(number, SIZE)


def detections(seed: int = 0) -> Detections:
    generator = torch.Generator().manual_seed(seed)
    people = torch.rand(2, 3, 17, 3, dtype=torch.float64, generator=generator)
    people[..., :2] = people[..., :2] * 2200
    people[0, 1, 4] = 0
    return Detections.from_lists(COCO_17, [list(people[0]), list(people[1, :2])], index=[[0, 1, 2], [1, 4]])


def read_back(folder: Path, number: int) -> Detections:
    people = [read(view, number) for view in open_detections(folder)]
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
    views = open_detections(tmp_path / "results.json")
    assert [view.camera for view in views] == ["a", "b"]
    assert all(view.numbers == (3, 11) for view in views)
    people = [read(view, 11) for view in views]
    found = Detections.from_lists(COCO_17, [p.keypoints for p in people])
    assert_close(found.xy_image, detections(11).xy_image)
    assert_close(found.confidence, detections(11).confidence)


def test_coco_per_camera_and_image_names(tmp_path: Path) -> None:
    record = {"image_id": 5, "category_id": 1, "keypoints": [1.0, 2.0, 0.5] * 17, "score": 0.9}
    (tmp_path / "left.json").write_text(json.dumps([record]))
    (tmp_path / "right.json").write_text("[]")
    left, right = open_detections(tmp_path)
    assert (left.camera, left.numbers, right.camera, right.numbers) == ("left", (5,), "right", ())
    assert len(read(left, 5).keypoints) == 1
    combined = tmp_path / "all" / "results.json"
    combined.parent.mkdir()
    combined.write_text(json.dumps([{**record, "image_id": "north_000012.jpg"}, {**record, "image_id": "s/12"}]))
    assert [(v.camera, v.numbers) for v in open_detections(combined)] == [("north", (12,)), ("s", (12,))]
    combined.write_text(json.dumps([record]))
    with pytest.raises(
        InputError, match=r"results\.json: image 5: in a file of several cameras it must name camera and frame"
    ):
        open_detections(combined)


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
ODD_JOINTS = {
    "joint l_eye: x is nan": (NO_NUMBER, [*GOOD[:3], float("nan"), *GOOD[4:]]),
    "joint l_eye: y is -inf": (NO_NUMBER, [*GOOD[:4], float("-inf"), *GOOD[5:]]),
    "joint nose: x is 'x'": (NO_NUMBER, ["x", *GOOD[1:]]),
    "joint nose: x is None": (NO_NUMBER, [None, *GOOD[1:]]),
    "joint nose: x is True": (NO_NUMBER, [True, *GOOD[1:]]),
    "joint nose: score is nan": (NO_NUMBER, [5.0, 6.0, float("nan"), *GOOD[3:]]),
    "joint nose: y is 1000000000": (NO_NUMBER, [5.0, 10**400, 0.5, *GOOD[3:]]),
    "joint nose: x is -7.5": (OUTSIDE, [-7.5, *GOOD[1:]]),
    "joint l_eye: y is -0.6": (OUTSIDE, [*GOOD[:4], -0.6, *GOOD[5:]]),
    "joint nose: y is 4001.0": (OUTSIDE, [5.0, 4001.0, *GOOD[2:]]),
    "joint nose: x is 1e+300": (OUTSIDE, [1e300, *GOOD[1:]]),
    "joint nose: score is -0.2": (CLAMPED, [5.0, 6.0, -0.2, *GOOD[3:]]),
}


@pytest.mark.parametrize("sentence", ODD_JOINTS)
def test_an_odd_value_costs_its_joint_and_is_counted_with_its_place(tmp_path: Path, sentence: str) -> None:
    kind, values = ODD_JOINTS[sentence]
    found = read(open_folder(one_person(tmp_path, values)), 3)
    assert found.index == (1,) and int((found.keypoints[0][:, 2] > 0).sum()) == 16
    assert found.keypoints[0][found.keypoints[0][:, 2] == 0].abs().sum() == 0
    empty, odd = found.odd
    assert (empty.kind, empty.count, odd.kind, odd.count) == (EMPTY, 1, kind, 1)
    path = tmp_path / "cam01_json" / "cam01.0003.json"
    assert odd.first.startswith(f"{path}: camera cam01, frame 3, person 1, {sentence}")
    assert str(odd).startswith(f"{kind}: 1 (the first: {path}") and str(odd).endswith(").")


def test_scores_above_one_are_one(tmp_path: Path) -> None:
    found = read(open_folder(one_person(tmp_path, [5.0, 6.0, 1.3, 5.0, 6.0, 1.0000001, *GOOD[6:]])), 3)
    assert found.keypoints[0][:3, 2].tolist() == [1.0, 1.0, 0.5]
    assert [(odd.kind, odd.count) for odd in found.odd] == [(EMPTY, 1), (CLAMPED, 2)]
    assert found.odd[1].first.endswith("joint nose: score is 1.3")


NOBODY = {
    "no keypoints": [],
    "no joint of use, the first is 0.0, 0.0, 0.0": [0.0] * 51,
    "no joint of use, the first is nan, nan, nan": [float("nan")] * 51,
    "no joint of use, the first is None, None, None": [None] * 51,
    "no joint of use, the first is nan, nan, 0": [float("nan"), float("nan"), 0] * 17,
}


@pytest.mark.parametrize("words", NOBODY)
def test_a_person_without_a_joint_is_nobody_and_the_others_keep_their_places(tmp_path: Path, words: str) -> None:
    folder = one_person(tmp_path, list(GOOD))
    people = [{}, {"pose_keypoints_2d": NOBODY[words]}, None, {"pose_keypoints_2d": GOOD}]
    (folder / "cam01.0003.json").write_text(json.dumps({"people": people}))
    found = read(open_folder(folder), 3)
    assert found.index == (3,) and len(found.keypoints) == 1
    assert [(odd.kind, odd.count) for odd in found.odd] == [(EMPTY, 3)]
    assert found.odd[0].first.endswith("frame 3, person 0: no keypoints")
    (folder / "cam01.0003.json").write_text(json.dumps({"people": people[1:]}))
    assert read(open_folder(folder), 3).odd[0].first.endswith(f"frame 3, person 0: {words}")


MISSHAPEN_PEOPLE = {
    "16 joints, coco_17 has 17 joints": {"pose_keypoints_2d": GOOD[:-3]},
    "50 numbers, coco_17 has 17 joints": {"pose_keypoints_2d": GOOD[:-1]},
    "'5, 6, 0.5' instead of a list of keypoints": {"pose_keypoints_2d": "5, 6, 0.5"},
    "{'x': 5} instead of a list of keypoints": {"pose_keypoints_2d": {"x": 5}},
    "'person' instead of a list of keypoints": "person",
    "7 instead of a list of keypoints": 7,
}


@pytest.mark.parametrize("words", MISSHAPEN_PEOPLE)
def test_a_person_of_another_shape_is_left_out(tmp_path: Path, words: str) -> None:
    folder = one_person(tmp_path, list(GOOD))
    people = [MISSHAPEN_PEOPLE[words], {"pose_keypoints_2d": GOOD}]
    (folder / "cam01.0003.json").write_text(json.dumps({"people": people}))
    found = read(open_folder(folder), 3)
    assert (found.index, found.odd[0].kind, found.odd[0].count) == ((1,), MISSHAPEN, 1)
    assert found.odd[0].first.endswith(f"frame 3, person 0: {words}")


def test_legal_oddities(tmp_path: Path) -> None:
    values = [-0.4, 3900, 1.0, 0, 0, 0, *GOOD[6:]]
    people = read(open_folder(one_person(tmp_path, list(values))), 3)
    assert people.index == (1,) and [odd.kind for odd in people.odd] == [EMPTY]
    assert people.keypoints[0][0].tolist() == [-0.4, 3900.0, 1.0]


def test_damage_of_one_frame_is_told_from_a_wrong_file(tmp_path: Path) -> None:
    folder = one_person(tmp_path, list(GOOD))
    path = folder / "cam01.0003.json"
    text = path.read_text()
    for damaged in (text[: len(text) // 2], "", "no json", "[" * 100_000, '{"people": [' + "7" * 6000 + "]}"):
        path.write_text(damaged)
        with pytest.raises(DamagedFrameError, match=r"cam01\.0003\.json: camera cam01, frame 3: "):
            read(open_frames(folder), 3)
    # One such file is a damaged frame; where all are of another form, so is the capture.
    path.write_text('{"crowd": []}')
    with pytest.raises(InputError, match=r"no 'people' in it .*neither OpenPose's form") as caught:
        open_frames(folder)
    assert not isinstance(caught.value, DamagedFrameError)
    (folder / "cam01.0004.json").write_text(text)
    view = open_folder(folder)
    assert len(read(view, 4).keypoints) == 1
    with pytest.raises(DamagedFrameError, match=r"cam01\.0003\.json: camera cam01, frame 3: no 'people' in it"):
        read(view, 3)
    (folder / "cam01_4.json").write_text(text)
    with pytest.raises(InputError, match=r"frame 4 has two files"):
        open_folder(folder)
    (folder / "cam01_4.json").unlink()
    (folder / "notes.json").write_text("{}")
    view = open_folder(folder)
    assert view.numbers == (3, 4)
    assert view.notes == (f"{folder}: without a frame number in their names, left out: notes.json.",)
    for number in (3, 4):
        (folder / f"cam01.000{number}.json").rename(folder / f"cam{'x' * number}.json")
    with pytest.raises(
        InputError, match=r"several files without a frame number in their names \(camxxx\.json, camxxxx"
    ):
        open_folder(folder)
    with pytest.raises(InputError, match="no such detections"):
        open_detections(tmp_path / "absent")


def test_entries_without_an_image_are_left_out_and_counted(tmp_path: Path) -> None:
    good = {"image_id": "cam/7", "keypoints": GOOD}
    records = [{"keypoints": GOOD}, good, {**good, "image_id": None}, {**good, "image_id": 10**30}, "x", good]
    path = tmp_path / "results.json"
    path.write_text(json.dumps(records))
    (view,) = open_detections(path)
    assert view.numbers == (7,) and len(read(view, 7).keypoints) == 2
    (odd,) = view.odd
    assert isinstance(odd, Odd) and (odd.kind, odd.count) == (NO_FRAME, 4) and odd.first.startswith(f"{path}: 0: ")
    path.write_text(json.dumps([{"keypoints": GOOD, "image_id": None}]))
    with pytest.raises(InputError, match=r"results\.json: 0: .* does not say which image it is of"):
        open_detections(path)


FLAT = [float(value) for value in range(1, 52)]
TRIPLES = [FLAT[at : at + 3] for at in range(0, 51, 3)]


@pytest.mark.parametrize(
    "people",
    [
        {"people": {"0": {"pose_keypoints_2d": FLAT}, "1": {"pose_keypoints_2d": FLAT}}},
        {"people": [{"keypoints": TRIPLES}, {"kpts": FLAT}]},
        {"annots": [{"personID": 3, "bbox": [1, 2, 3, 4, 0.9], "keypoints": TRIPLES}, {"keypoints": TRIPLES}]},
        [{"pose_keypoints_2d": FLAT}, {"joints": TRIPLES}],
        [FLAT, FLAT],
        [TRIPLES, TRIPLES],
    ],
)
def test_people_as_an_object_or_a_bare_list_under_any_usual_name(people: object) -> None:
    assert people_of_image(Entry("frame", people)) == [FLAT, FLAT]


@pytest.mark.parametrize("people", [{"people": [{"id": 1, "points": FLAT}]}, [{"id": 1, "points": FLAT}]])
def test_keypoints_under_another_name_are_asked_about(people: object) -> None:
    with pytest.raises(InputError, match=r"frame.*no keypoints by a name that is known .*there is 'id', 'points'"):
        people_of_image(Entry("frame", people))
    # Somebody without keypoints is nobody, not another form.
    assert people_of_image(Entry("frame", {"people": [{"person_id": [-1]}, {}]})) == [None, None]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_windows_marks_how_a_text_is_written(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "frame.json"
    path.write_text('{"people": []}', encoding=encoding)
    if encoding != "utf-16-le":
        assert people_of_image(Entry.of_json(path)) == []
        return
    with pytest.raises(InputError, match=r"frame\.json"):
        Entry.of_json(path)
