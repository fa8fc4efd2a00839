"""The same people of two cameras written in every form that detectors write."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from dispose.skeletons.catalog import COCO_17

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


def mmpose_returned(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        put(place / camera / f"{frame:06d}.json", {"predictions": [[mmpose_person(values) for values in found]]})


def sapiens_video(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for camera in CAMERAS:
        frames = [
            {"frame_index": frame, "instances": [mmpose_person(values) for values in found]}
            for frame, found in by_camera(people, camera)
        ]
        put(place / f"{camera}.json", {"instance_info": frames})


def ultralytics(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        columns = [dict(zip(("x", "y", "visible"), zip(*rows(values), strict=True), strict=True)) for values in found]
        put(
            place / camera / f"{camera}_{frame}.json",
            [{"name": "person", "class": 0, "confidence": 0.9, "keypoints": one} for one in columns],
        )


def openpose_of_old(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        put(
            place / f"{camera}_json" / f"{frame}_keypoints.json",
            {"version": 0.1, "people": [{"pose_keypoints": values} for values in found] or None},
        )


def coco_of_windows(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    put(
        place / "COCO" / "results.json",
        [
            {"image_id": f"C:\\data\\set 1\\{c}\\{f:06d}.jpg", "keypoints": values}
            for (c, f), found in people.items()
            for values in found
        ],
    )


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


def poseflow(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for camera in CAMERAS:
        frames = {
            f"{frame}.jpg": [{"keypoints": values, "scores": 2.6, "idx": at + 1} for at, values in enumerate(found)]
            for frame, found in by_camera(people, camera)
        }
        put(place / camera / "alphapose-results-forvis-tracked.json", frames)


def joints_as_objects(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    """As TensorFlow.js, PoseNet's second person."""
    for (camera, frame), found in people.items():
        listed = []
        for at, values in enumerate(found):
            xy = [{"x": row[0], "y": row[1]} for row in rows(values)]
            joints = [{"position": one} if at else one for one in xy]
            scored = [{**one, "score": row[2]} for one, row in zip(joints, rows(values), strict=True)]
            listed.append({"score": 0.9, "keypoints": scored})
        put(place / camera / f"{frame:05d}.json", listed)


def landmarks(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    """MediaPipe's tasks: a list of landmarks for everybody, in a list of frames."""
    for camera in CAMERAS:
        frames = [
            {
                "frame": frame,
                "pose_landmarks": [
                    [{"x": x, "y": y, "z": -0.1, "visibility": score} for x, y, score in rows(values)]
                    for values in found
                ],
            }
            for frame, found in by_camera(people, camera)
        ]
        put(place / f"{camera}.json", {"fps": 30, "frames": frames})


def arrays_of_a_frame(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    """What RTMLib returns, as lists: keypoints and scores of everybody."""
    for camera in CAMERAS:
        frames = [
            {
                "frame_idx": float(frame),
                "keypoints": [[row[:2] for row in rows(values)] for values in found],
                "scores": [[row[2] for row in rows(values)] for values in found],
            }
            for frame, found in by_camera(people, camera)
        ]
        put(place / f"{camera}.json", frames)


def one_folder(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    for (camera, frame), found in people.items():
        put(
            place / f"{camera}_{frame:012d}_keypoints.json",
            {"people": [{"pose_keypoints_2d": values} for values in found]},
        )


def yolo_of_all_cameras(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    yolo(place, people)
    (place / "labels").mkdir()
    for path in place.glob("cam?/labels/*.txt"):
        path.rename(place / "labels" / path.name)
    for camera in CAMERAS:
        (place / camera / "labels").rmdir()


def cell(value: object) -> str:
    return "" if value is None else text(value)


def sleap(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    """A row per frame and person, ``nose.x``."""
    head = ["track", "frame_idx", "instance.score", *(f"{joint}.{c}" for joint in NAMES for c in ("x", "y", "score"))]
    for camera in CAMERAS:
        lines = [
            ",".join([f"track_{at}", str(frame), "0.9", *map(cell, values)])
            for frame, found in by_camera(people, camera)
            for at, values in enumerate(found)
        ]
        put(place / f"{camera}.analysis.csv", "\n".join([",".join(head), *lines]))


def columns_of_landmarks(place: Path, people: dict[tuple[str, int], list[Values]]) -> None:
    """As MediaPipe's landmarks are often written, here between semicolons and with decimal commas, joints reversed."""
    names = [name.upper().replace(" ", "_") for name in reversed(NAMES)]
    head = [f"{c}_{joint}" for joint in names for c in ("x", "y", "z", "visibility")] + ["frame"]
    for camera in CAMERAS:
        lines = []
        for frame, found in by_camera(people, camera):
            for values in found:
                joints = [[x, y, -0.1, score] for x, y, score in reversed(rows(values))]
                cells = [cell(value).replace(".", ",") for joint in joints for value in joint]
                lines.append(";".join([*cells, f"{frame}.0"]))
        put(place / f"{camera}.csv", "\n".join([";".join(head), *lines]))


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
    "MMPose as returned": mmpose_returned,
    "Sapiens of videos": sapiens_video,
    "Ultralytics": ultralytics,
    "OpenPose of old": openpose_of_old,
    "YOLO": yolo,
    "DeepLabCut": deeplabcut,
    "SLEAP": sleap,
    "columns of landmarks": columns_of_landmarks,
    "PoseFlow": poseflow,
    "TensorFlow.js": joints_as_objects,
    "MediaPipe": landmarks,
    "RTMLib": arrays_of_a_frame,
    "OpenPose in one folder": one_folder,
    "YOLO of all cameras": yolo_of_all_cameras,
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
