"""The forms that detectors write: each gives the same people, and an odd value costs the same in each."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.keypoints import person_of_object
from dispose.formats.detections.one_camera import keypoints_of_image, keypoints_of_video
from dispose.formats.detections.people import CLAMPED, EMPTY, MISSHAPEN, NO_NUMBER, OUTSIDE, FoundPeople, MisspeltKey
from dispose.formats.detections.read import open_detections
from dispose.skeletons.catalog import (
    COCO_17,
    COCO_23,
    COCO_WHOLEBODY_133,
    HALPE_26,
    HALPE_136,
    MEDIAPIPE_21,
    MEDIAPIPE_33,
    body_of,
)
from tests.formats.written_detections import (
    CAMERAS,
    DIALECTS,
    FRAMES,
    SIZE,
    Values,
    coco_of_windows,
    mmpose_list,
    mmpose_video,
    openpose,
    put,
    some_people,
)

TABLES = ("DeepLabCut", "SLEAP", "columns of landmarks")


def place_of(folder: Path, dialect: str) -> Path:
    """One file of all cameras is named itself."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return files[0] if dialect.startswith("COCO") else folder


def read(folder: Path, dialect: str, camera: str, frame: int) -> FoundPeople:
    views = {view.camera: view for view in open_detections(place_of(folder, dialect))}
    assert sorted(views) == sorted(CAMERAS)
    view = views[camera]
    assert view.numbers == FRAMES
    if view.skeleton is not None:
        assert view.skeleton == COCO_17
    return replace(view, skeleton=COCO_17).read(frame, SIZE)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_form_gives_the_same_people(tmp_path: Path, dialect: str) -> None:
    people = some_people()
    DIALECTS[dialect](tmp_path, people)
    for (camera, frame), wanted in people.items():
        found = read(tmp_path, dialect, camera, frame)
        assert found.index == (0, 1) and found.odd == ()
        assert_close(torch.stack(found.keypoints), torch.tensor(wanted).double().reshape(2, 17, 3))


ODD = {
    "nan": (NO_NUMBER, 3, float("nan")),
    "null": (NO_NUMBER, 4, None),
    "infinite": (NO_NUMBER, 3, float("inf")),
    "negative": (OUTSIDE, 4, -25.0),
    "absurd": (OUTSIDE, 3, 1e9),
    "score": (CLAMPED, 5, 1.25),
    "negative score": (CLAMPED, 5, -1.0),
}


@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_odd_value_costs_its_joint_in_every_form(tmp_path: Path, dialect: str, case: str) -> None:
    kind, at, value = ODD[case]
    people = some_people()
    people["cam2", 5][1][at] = value
    DIALECTS[dialect](tmp_path, people)
    found = read(tmp_path, dialect, "cam2", 5)
    assert found.index == (0, 1) and [(odd.kind, odd.count) for odd in found.odd] == [(kind, 1)]
    assert ": camera cam2, frame 5, person 1, joint l_eye: " in found.odd[0].first
    seen = torch.stack(found.keypoints)[..., 2]
    assert int((seen == 0).sum()) == (0 if case == "score" else 1)
    assert float(seen.max()) == 1.0 and read(tmp_path, dialect, "cam1", 5).odd == ()


@pytest.mark.parametrize("values", [[float("nan")] * 51, [0.0] * 51], ids=["nan", "zero"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_nobody_keeps_the_places_of_the_others_in_every_form(tmp_path: Path, dialect: str, values: Values) -> None:
    people = some_people()
    people["cam1", 6][0] = values
    DIALECTS[dialect](tmp_path, people)
    found = read(tmp_path, dialect, "cam1", 6)
    assert found.index == (1,) and [(odd.kind, odd.count) for odd in found.odd] == [(EMPTY, 1)]
    assert "camera cam1, frame 6, person 0: no joint of use" in found.odd[0].first


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name not in TABLES])
def test_another_width_is_left_out_in_every_form_that_can_have_one(tmp_path: Path, dialect: str) -> None:
    people = some_people()
    people["cam1", 4][0] = people["cam1", 4][0][:-3]
    DIALECTS[dialect](tmp_path, people)
    found = read(tmp_path, dialect, "cam1", 4)
    assert found.index == (1,) and [(odd.kind, odd.count) for odd in found.odd] == [(MISSHAPEN, 1)]
    assert found.odd[0].first.endswith("person 0: 16 joints, coco_17 has 17 joints")


def test_paths_of_windows_name_cameras_and_frames(tmp_path: Path) -> None:
    """In a folder's only file, whose cameras lie in one folder: also where the file is not named."""
    people = some_people()
    coco_of_windows(tmp_path, people)
    views = open_detections(tmp_path / "COCO")
    assert [view.camera for view in views] == list(CAMERAS) and views[0].numbers == FRAMES
    assert views[1].listed(5) == people["cam2", 5]


def test_visibilities_are_no_scores(tmp_path: Path) -> None:
    people = some_people()
    for found in people.values():
        for values in found:
            values[2::3] = [2, 1, 0, *[2] * 14]
    for dialect in ("COCO instances", "YOLO"):
        DIALECTS[dialect](tmp_path / dialect[:4], people)
        one = read(tmp_path / dialect[:4], dialect, "cam1", 4)
        assert one.keypoints[0][:3, 2].tolist() == [1.0, 1.0, 0.0] and one.odd == ()


def test_images_without_anybody_are_frames_too(tmp_path: Path) -> None:
    people = some_people()
    people["cam1", 5] = []
    for dialect in ("COCO instances", "MMPose of videos", "MMPose of images", "OpenPose", "YOLO", "DeepLabCut"):
        DIALECTS[dialect](tmp_path / dialect, people)
        assert read(tmp_path / dialect, dialect, "cam1", 5).index == (), dialect


WRONG: dict[str, tuple[object, str]] = {
    "boxes": ([{"labels": [0], "scores": [0.9], "bboxes": [[1, 2, 3, 4]]}], "holds boxes, but no keypoints"),
    "boxes of a list": ([{"image": "a", "bbox": [1, 2, 3, 4]}], "holds boxes, but no keypoints"),
    "a calibration": ({"cameras": [{"name": "cam1"}]}, r"holds no detections of people \('cameras'\)"),
    "a number": (7, r"is no file of detections \(7\)"),
    "nested": ("[" * 5000 + "]" * 5000, "nested too deeply|no file of detections"),
    "long numbers": ("[" + "7" * 6000 + "]", "a number that is too long"),
    "nothing": ("", "is empty"),
    "no JSON": ("x, y, score", "is no JSON"),
    "one image of MMPose": ([{"keypoints": [[1, 2]], "keypoint_scores": [1]}], "speaks of one image"),
    "one image of OpenPose": ({"people": []}, "speaks of one image"),
    "images before the first": ([{"image_id": -3, "keypoints": []}], "does not say which image it is of"),
    "classes": (
        [{"image_id": f"c/{k}", "category_id": k, "keypoints": []} for k in (3, 7)],
        "category_id 3, 7, and none is 1",
    ),
    "frames of nobody's camera": ([{"image_id": 5, "keypoints": []}], "image 5: in a file of several cameras it must"),
    "images without a number": ([{"image_id": "cam", "keypoints": []}], "image 'cam' holds no frame number"),
    "numbers that no array holds": ([{"image_id": "c/" + "9" * 30, "keypoints": []}], "holds no frame number"),
    "images without a camera": ([{"image_id": "000123.jpg", "keypoints": []}], "image '000123.jpg' names no camera"),
    "entries without an image": ([{"image_id": [], "keypoints": []}], "does not say which image it is of"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_from_elsewhere_is_one_sentence(tmp_path: Path, case: str) -> None:
    content, sentence = WRONG[case]
    path = tmp_path / "detections.json"
    put(path, content)
    with pytest.raises(InputError, match=sentence) as caught:
        open_detections(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_tables_and_texts_from_elsewhere_are_one_sentence(tmp_path: Path) -> None:
    def refused(name: str, content: str, sentence: str) -> None:
        put(tmp_path / name, content)
        with pytest.raises(InputError, match=sentence):
            open_detections(tmp_path / name.split("/")[0])

    head = "scorer,s,s\nbodyparts,nose,nose\ncoords,x,y\n"
    refused("a.csv", "frame,x,y\n1,2,3\n", r"a\.csv: is no table of DeepLabCut's, .* \(frame, x, y\)")
    refused("b.csv", "", r"b\.csv: is no table of DeepLabCut's, .* \(nothing\)")
    many = "frame," + ",".join(f"{joint}.{c}" for joint in COCO_17.joints for c in "xy")
    rows = [*(f"{number}," for number in range(400)), *["7,1,2"] * 400]
    refused("k.csv", "\n".join([many, *rows]), r"k\.csv: 401 rows are of frame 7; a row per person is expected")
    refused("c.csv", head.replace(",y", ",z") + "0,1,2\n", "columns are x, z, not x, y and likelihood")
    refused("d.csv", head + "0,1,2\n", r"body parts \(nose\) are not those of people")
    refused("e.csv", f"{'x' * 200_000},s\n", "is no table of texts")
    refused("f/cam/1.txt", "0 0.5 0.5 0.2 0.3 0.9\n", "line 1 is a box without joints")
    refused("g/cam/1.txt", "timestamp 12\n", "line 1 is 'timestamp 12'; YOLO's text of people")
    refused("h.txt", "0 1 2 3 4 5 6 7", "one text file; of YOLO's a folder per camera")
    refused("i/1.json", '{"people": []}', r"1\.json: speaks of one image; of several, a folder per camera")


def test_folders_that_do_not_say_cameras_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no files of detections in it, nor folders .* DeepLabCut or SLEAP csv or h5, NumPy's arrays"
    ):
        open_detections(tmp_path)
    people = some_people()
    mmpose_list(tmp_path, people)
    mmpose_video(tmp_path, people)
    with pytest.raises(InputError, match=r"two files of camera cam1 \(cam1\.json, cam2\.json, results_cam1\.json"):
        open_detections(tmp_path)


@pytest.mark.parametrize("whole", [COCO_WHOLEBODY_133, HALPE_136, MEDIAPIPE_33], ids=lambda one: one.name)
def test_of_whole_bodies_the_body_is_read(tmp_path: Path, whole) -> None:
    body = body_of(whole)
    assert body in (COCO_23, HALPE_26, MEDIAPIPE_21) and set(body.joints) <= set(whole.joints)
    values = [v for at in range(len(whole)) for v in (at + 1.0, 2.0 * at, 0.5)]
    strange = whole.index(next(joint for joint in whole.joints if joint not in body.joints))
    values[3 * strange] = float("nan")
    openpose(tmp_path, {("cam1", 0): [list(values)]})
    (view,) = open_detections(tmp_path)
    found = replace(view, skeleton=whole).read(0, SIZE)
    assert found.odd == () and found.keypoints[0][:, 0].tolist() == [whole.index(j) + 1.0 for j in body.joints]


def test_one_camera_reads_every_form(tmp_path: Path) -> None:
    people = some_people()
    for dialect, write in DIALECTS.items():
        write(tmp_path / dialect, people)
        place = tmp_path / dialect
        if dialect.startswith("COCO"):
            continue  # one file of all cameras, which one camera has not
        if dialect in ("OpenPose in one folder", "YOLO of all cameras"):
            continue  # no folder and no file of one camera
        view = next(
            keypoints_of_video(path, "cam1")
            for path in (place / "cam1", place / "results_cam1.json", place / "cam1.json", place / "cam1_json",
                         place / "cam1DLC_resnet50_walkOct3shuffle1_50000.csv", place / "cam1.analysis.csv",
                         place / "cam1.csv")
            if path.exists()
        )  # fmt: skip
        assert (view.camera, view.numbers) == ("cam1", FRAMES), dialect
        assert len(replace(view, skeleton=COCO_17).read(5, SIZE).keypoints) == 2, dialect
    image = Path("cam1_000005.jpg")
    for path in (
        tmp_path / "MMPose of images" / "cam1" / "predictions" / "000005.json",
        tmp_path / "MMPose of videos" / "results_cam1.json",
        tmp_path / "AlphaPose results" / "cam1" / "alphapose-results.json",
        tmp_path / "YOLO" / "cam1" / "labels" / "cam1_5.txt",
        tmp_path / "DeepLabCut" / "cam1DLC_resnet50_walkOct3shuffle1_50000.csv",
    ):
        view = keypoints_of_image(path, image)
        found = replace(view, skeleton=COCO_17).read(5, SIZE)
        assert_close(torch.stack(found.keypoints).flatten(1), torch.tensor(people["cam1", 5]).double())


def test_a_list_that_is_called_almost_like_scores_is_none() -> None:
    person = {"keypoints": [[5.0, 6.0]] * 17, "keypoint_colors": [[255, 0, 0]] * 17}
    assert person_of_object(person, "keypoints") == [5.0, 6.0, 1.0] * 17
    wrong = person_of_object(person | {"keypoint_score": [0.5] * 17}, "keypoints")
    assert isinstance(wrong, MisspeltKey) and "'keypoint_score'" in wrong.said
