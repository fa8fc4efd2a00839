"""The forms that detectors write: each gives the same people, and an odd value costs the same in each."""

import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.detections.deeplabcut import camera_of
from dispose.formats.detections.joint_names import joints_called, named_joints, skeleton_of_names
from dispose.formats.detections.one_camera import keypoints_of_image, keypoints_of_video
from dispose.formats.detections.people import FoundPeople
from dispose.formats.detections.read import open_detections
from dispose.formats.odd import CLAMPED, EMPTY, MISSHAPEN, NO_FRAME, NO_NUMBER, OUTSIDE
from dispose.skeletons.catalog import (
    COCO_17,
    COCO_23,
    COCO_WHOLEBODY_133,
    HALPE_26,
    HALPE_136,
    MEDIAPIPE_21,
    MEDIAPIPE_33,
    PANOPTIC_15,
    SHELF_14,
    body_of,
)

SIZE = (640.0, 480.0)
CAMERAS, FRAMES = ("cam1", "cam2"), (4, 5, 6)

Values = list[object]
Writer = Callable[[Path, dict[tuple[str, int], list[Values]]], None]


def rows(values: Values) -> list[Values]:
    return [values[at : at + 3] for at in range(0, len(values), 3)]


def put(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def openpose(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        put(
            place / f"{camera}_json" / f"{camera}_{frame:012d}_keypoints.json",
            {"people": [{"pose_keypoints_2d": values} for values in found]},
        )


def alphapose_frames(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        put(
            place / camera / "sep-json" / f"{frame}.json",
            {"version": "AlphaPose v0.3", "bodies": [{"joints": values} for values in found]},
        )


def by_camera(people: dict[tuple[str, int], list[Values]], camera: str) -> list[tuple[int, list[Values]]]:
    return [(frame, found) for (name, frame), found in people.items() if name == camera]


def alphapose_results(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for camera in CAMERAS:
        put(
            place / camera / "alphapose-results.json",
            [
                {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": values, "score": 2.9, "idx": at}
                for frame, found in by_camera(people, camera)
                for at, values in enumerate(found)
            ],
        )


def alphapose_openpose(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for camera in CAMERAS:
        put(
            place / f"{camera}.json",
            {f"{frame}.jpg": {"bodies": [{"joints": v} for v in found]} for frame, found in by_camera(people, camera)},
        )


def coco_results(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    put(
        place / "results.json",
        [{"image_id": f"{c}/{f:06d}", "keypoints": values} for (c, f), found in people.items() for values in found],
    )


def coco_instances(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    names = {key: at for at, key in enumerate(people)}
    put(
        place / "instances.json",
        {
            "images": [{"id": at, "file_name": f"{c}/{f:06d}.jpg"} for (c, f), at in names.items()],
            "annotations": [
                {"image_id": names[key], "category_id": 1, "keypoints": v}
                for key, found in people.items()
                for v in found
            ],
            "categories": [{"name": "person", "keypoints": NAMES}],
        },
    )


def mmpose_person(values: Values) -> dict[str, object]:
    return {"keypoints": [row[:2] for row in rows(values)], "keypoint_scores": [row[2] for row in rows(values)]}


def mmpose_video(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for camera in CAMERAS:
        frames = [
            {"frame_id": frame, "instances": [mmpose_person(values) for values in found]}
            for frame, found in by_camera(people, camera)
        ]
        put(place / f"results_{camera}.json", {"meta_info": {}, "instance_info": frames})


def mmpose_list(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for camera in CAMERAS:
        frames = [
            {"frame_id": frame, "instances": [mmpose_person(values) for values in found]}
            for frame, found in by_camera(people, camera)
        ]
        put(place / f"{camera}.json", frames)


def mmpose_images(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        put(place / camera / "predictions" / f"{frame:06d}.json", [mmpose_person(values) for values in found])


def text(value: object) -> str:
    return "null" if value is None else repr(value) if isinstance(value, float) else str(value)


def yolo(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    width, height = SIZE

    def share(value: object, side: float) -> object:
        return value / side if isinstance(value, int | float) else value

    for (camera, frame), found in people.items():
        lines = []
        for values in found:
            shares = [v for x, y, s in rows(values) for v in (share(x, width), share(y, height), s)]
            lines.append(" ".join(text(v) for v in (0, 0.5, 0.5, 0.2, 0.4, *shares, 0.87)))
        put(place / camera / "labels" / f"{camera}_{frame}.txt", "\n".join(lines) + "\n")


def words(joint: str) -> str:
    return {"l_": "left ", "r_": "right "}.get(joint[:2], joint[:2]) + joint[2:].replace("_", " ")


NAMES = [words(joint) for joint in COCO_17.joints]


def deeplabcut(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    columns = [(who, name, c) for who in ("a", "b") for name in NAMES for c in ("x", "y", "likelihood")]
    for camera in CAMERAS:
        levels = zip(("individuals", "bodyparts", "coords"), zip(*columns, strict=True), strict=True)
        lines = [",".join(["scorer", *["DLC_net"] * len(columns)]), *(",".join([k, *names]) for k, names in levels)]
        for frame, found in by_camera(people, camera):
            cells = ["" if v is None else text(v) for values in found for v in values]
            lines.append(",".join([str(frame), *cells, *[""] * (len(columns) - len(cells))]))
        put(place / f"{camera}DLC_resnet50_walkOct3shuffle1_50000.csv", "\n".join(lines))


DIALECTS: dict[str, Writer] = {
    "OpenPose": openpose,
    "AlphaPose, a file per frame": alphapose_frames,
    "AlphaPose results": alphapose_results,
    "AlphaPose in OpenPose's form": alphapose_openpose,
    "COCO results": coco_results,
    "COCO instances": coco_instances,
    "MMPose of videos": mmpose_video,
    "MMPose of videos, the list alone": mmpose_list,
    "MMPose of images": mmpose_images,
    "YOLO": yolo,
    "DeepLabCut": deeplabcut,
}


def some_people(seed: int = 0) -> dict[tuple[str, int], list[Values]]:
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(len(CAMERAS), len(FRAMES), 2, 17, 3, dtype=torch.float64, generator=generator)
    table[..., :2] *= torch.tensor(SIZE)
    table[..., 2] = 1.0
    return {
        (camera, frame): [person.flatten().tolist() for person in table[c, f]]
        for c, camera in enumerate(CAMERAS)
        for f, frame in enumerate(FRAMES)
    }


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


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "DeepLabCut"])
def test_another_width_is_left_out_in_every_form_that_can_have_one(tmp_path: Path, dialect: str) -> None:
    people = some_people()
    people["cam1", 4][0] = people["cam1", 4][0][:-3]
    DIALECTS[dialect](tmp_path, people)
    found = read(tmp_path, dialect, "cam1", 4)
    assert found.index == (1,) and [(odd.kind, odd.count) for odd in found.odd] == [(MISSHAPEN, 1)]
    assert found.odd[0].first.endswith("person 0: 16 joints, coco_17 has 17 joints")


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
    refused("c.csv", head.replace(",y", ",z") + "0,1,2\n", "columns are x, z, not x, y and likelihood")
    refused("d.csv", head + "0,1,2\n", r"body parts \(nose\) are not those of people")
    refused("e.csv", f"{'x' * 200_000},s\n", "is no table of texts")
    refused("f/cam/1.txt", "0 0.5 0.5 0.2 0.3 0.9\n", "line 1 is a box without joints")
    refused("g/cam/1.txt", "timestamp 12\n", "line 1 is 'timestamp 12'; YOLO's text of people")
    refused("h.txt", "0 1 2 3 4 5 6 7", "one text file; of YOLO's a folder per camera")
    refused("i/1.json", '{"people": []}', r"1\.json: speaks of one image; of several, a folder per camera")


def test_folders_that_do_not_say_cameras_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no files of detections in it, nor folders .* DeepLabCut csv or h5"):
        open_detections(tmp_path)
    people = some_people()
    mmpose_list(tmp_path, people)
    mmpose_video(tmp_path, people)
    with pytest.raises(InputError, match=r"two files of camera cam1 \(cam1\.json, cam2\.json, results_cam1\.json"):
        open_detections(tmp_path)


def test_joints_are_known_by_many_names() -> None:
    for name in ("left_wrist", "LWrist", "wrist_l", "Left Wrist", "wristL", "leftWrist", "wrist2"):
        assert joints_called(name) == ("l_wrist",), name
    assert joints_called("rbigtoe") == ("r_big_toe",) and joints_called("tail") == ()
    assert skeleton_of_names([words(joint) for joint in HALPE_26.joints]) == HALPE_26
    assert skeleton_of_names(COCO_17.joints[::-1]) is None
    whole = [*COCO_23.joints, *(f"face-{k}" for k in range(68)), *(f"hand{k}" for k in range(42))]
    assert skeleton_of_names(whole) == COCO_WHOLEBODY_133
    human = [
        "ankle1",
        "knee1",
        "hip1",
        "hip2",
        "knee2",
        "ankle2",
        "wrist1",
        "elbow1",
        "shoulder1",
        "shoulder2",
        "elbow2",
    ]
    found = named_joints([*human, "wrist2", "chin", "forehead"])
    assert found is not None and found.skeleton == SHELF_14 and found.columns == tuple(range(14))
    partly = named_joints(["tail", "r_knee", "l_knee", "nose", "mid_hip", "neck", "r_ankle"])
    assert partly is not None and partly.skeleton == PANOPTIC_15 and partly.strange == ("tail",)
    assert partly.columns[PANOPTIC_15.index("l_knee")] == 2 and partly.columns[PANOPTIC_15.index("l_wrist")] is None
    assert named_joints(["snout", "tail", "nose", "neck"]) is None


def write_h5(path: Path, columns: Sequence[tuple[str, ...]], values: np.ndarray, frames: Sequence[int]) -> None:
    """As pandas writes a table with PyTables: records of an index and a block, columns as a pickle of protocol 0."""
    h5py = pytest.importorskip("h5py")
    kind = np.dtype([("index", "<i8"), ("values_block_0", "<f8", (len(columns),))])
    table = np.zeros(len(frames), kind)
    table["index"], table["values_block_0"] = frames, values
    with h5py.File(path, "w") as file:
        data = file.create_group("df_with_missing").create_dataset("table", data=table)
        data.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(list(columns), protocol=0))


def write_fixed_h5(path: Path, columns: Sequence[tuple[str, ...]], values: np.ndarray, frames: Sequence[int]) -> None:
    """As pandas writes in its other way: names of every level of the columns, and which of them each column has."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        group = file.create_group("df_with_missing")
        group["block0_values"], group["axis1"] = values, np.array(frames)
        for level, names in enumerate(zip(*columns, strict=True)):
            known = list(dict.fromkeys(names))
            group[f"block0_items_level{level}"] = np.array(known, dtype="S")
            group[f"block0_items_label{level}"] = np.array([known.index(name) for name in names], np.int8)


@pytest.mark.parametrize("write", [write_h5, write_fixed_h5])
def test_deeplabcuts_h5_says_what_its_csv_says(tmp_path: Path, write: Callable) -> None:
    people = some_people()
    deeplabcut(tmp_path / "csv", people)
    columns = [("DLC_net", who, name, c) for who in ("a", "b") for name in NAMES for c in ("x", "y", "likelihood")]
    for camera in CAMERAS:
        values = np.array([np.array(found).ravel() for _, found in by_camera(people, camera)])
        (tmp_path / "h5").mkdir(exist_ok=True)
        write(tmp_path / "h5" / f"{camera}DLC_net.h5", columns, values, FRAMES)
    for camera in CAMERAS:
        one, two = (read(tmp_path / kind, "DeepLabCut", camera, 5) for kind in ("csv", "h5"))
        assert_close(torch.stack(one.keypoints), torch.stack(two.keypoints))
    # Beside a csv of the same name the h5 is not needed.
    (tmp_path / "csv" / "cam1DLC_resnet50_walkOct3shuffle1_50000.h5").write_bytes(b"not looked at")
    assert read(tmp_path / "csv", "DeepLabCut", "cam1", 5).index == (0, 1)


def test_a_pickle_in_an_h5_is_not_executed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "camDLC.h5"
    write_h5(path, [("s", "nose", "x"), ("s", "nose", "y")], np.zeros((1, 2)), [0])
    evil = b"cos\nsystem\n(S'touch " + str(tmp_path / "executed").encode() + b"'\ntR."
    with h5py.File(path, "a") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(evil)
    with pytest.raises(InputError, match="nothing in the file was executed"):
        open_detections(path)
    assert not (tmp_path / "executed").exists()
    path.write_bytes(b"\x89HDF\r\n\x1a\n broken")
    with pytest.raises(InputError, match="no whole HDF5 file"):
        open_detections(path)


def test_rows_without_a_frame_are_counted_and_labelled_images_name_theirs(tmp_path: Path) -> None:
    joints = ("nose", "l_hip", "r_hip", "l_knee", "r_knee")
    head = [["scorer", "", "", *["s"] * 10], ["bodyparts", "", "", *[j for j in joints for _ in "xy"]],
            ["coords", "", "", *["x", "y"] * 5]]  # fmt: skip
    body = [["labeled-data", "cam7", name, *["5.5"] * 8, "", ""] for name in ("img003.png", "img004.png", "last.png")]
    put(tmp_path / "cam7.csv", "\n".join(",".join(row) for row in (*head, *body)))
    (view,) = open_detections(tmp_path / "cam7.csv")
    assert view.numbers == (3, 4) and [(odd.kind, odd.count) for odd in view.odd] == [(NO_FRAME, 1)]
    assert "row 3 is of image 'last.png'" in view.odd[0].first
    found = view.read(4, SIZE)
    assert view.skeleton is not None and int((found.keypoints[0][:, 2] == 1).sum()) == 4
    assert camera_of(Path("left_camDLC_resnet.csv")) == "left_cam"


@pytest.mark.parametrize("whole", [COCO_WHOLEBODY_133, HALPE_136, MEDIAPIPE_33], ids=lambda one: one.name)
def test_of_whole_bodies_the_body_is_read(tmp_path: Path, whole) -> None:
    body = body_of(whole)
    assert body in (COCO_23, HALPE_26, MEDIAPIPE_21) and set(body.joints) <= set(whole.joints)
    values = [v for at in range(len(whole)) for v in (float(at), 2.0 * at, 0.5)]
    strange = whole.index(next(joint for joint in whole.joints if joint not in body.joints))
    values[3 * strange] = float("nan")
    openpose(tmp_path, {("cam1", 0): [list(values)]})
    (view,) = open_detections(tmp_path)
    found = replace(view, skeleton=whole).read(0, SIZE)
    assert found.odd == () and found.keypoints[0][:, 0].tolist() == [float(whole.index(j)) for j in body.joints]


def test_one_camera_reads_every_form(tmp_path: Path) -> None:
    people = some_people()
    for dialect, write in DIALECTS.items():
        write(tmp_path / dialect, people)
        place = tmp_path / dialect
        if dialect.startswith("COCO"):
            continue  # one file of all cameras, which one camera has not
        view = next(
            keypoints_of_video(path, "cam1")
            for path in (place / "cam1", place / "results_cam1.json", place / "cam1.json", place / "cam1_json",
                         place / "cam1DLC_resnet50_walkOct3shuffle1_50000.csv")
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
