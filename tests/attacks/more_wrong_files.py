"""Files that are recognisably wrong in ways found later, by attackers who did not know the first list."""

import io
import json
import re

import numpy as np

from tests.attacks.wrong_files import (
    COLMAP,
    DLC,
    EVIDENCE,
    OPENCV,
    PANOPTIC,
    RIG,
    SHELF,
    TABLE,
    TOML,
    TRC,
    XCP,
    Edit,
    Wrong,
    array,
    at,
    put,
    tree,
    whole,
)


def resaved(name: str) -> Edit:
    """An array changed as NumPy's users do: all are read and saved again, so that the archive is whole."""

    def edit(data: bytes) -> bytes:
        arrays, file = dict(np.load(io.BytesIO(data), allow_pickle=False)), io.BytesIO()
        np.savez(file, allow_pickle=False, **{**arrays, name: arrays[name] + 1})
        return file.getvalue()

    return edit


def lens(focal_y: float = 1080.0, skew: float = 0.0) -> Edit:
    """A change of the first camera's intrinsic matrix in our own JSON."""
    matrix = [[1100.5, skew, 959.5], [0, focal_y, 539.5], [0, 0, 1]]
    return tree(lambda root: root["views"][0].update(K=matrix))


def without_scores(data: bytes) -> bytes:
    """The first person has none."""
    found = json.loads(data)
    people = found["instance_info"] if isinstance(found, dict) else found
    del people[0]["keypoint_scores"]
    return json.dumps(found).encode()


def lost_number(data: bytes) -> bytes:
    """One of the first person's."""
    words = data.split(b" ")
    return b" ".join([*words[:9], *words[10:]])


def renamed(old: str, new: str) -> Edit:
    """An array under another name."""

    def edit(data: bytes) -> bytes:
        arrays, file = dict(np.load(io.BytesIO(data))), io.BytesIO()
        arrays[new] = arrays.pop(old)
        np.savez(file, **arrays)
        return file.getvalue()

    return edit


MORE_WRONG = (
    Wrong(RIG, "*", put('"dist"', '"distortion"'), "'distortion', but no 'dist'; is it misspelt"),
    Wrong(RIG, "*", lens(skew=4000), "a skew of 4000 pixels"),
    Wrong(RIG, "*", lens(focal_y=100_000), "focal lengths are 1100.5 and 100000"),
    Wrong(RIG, "*", put('"name": "cam_1"', '"name": "../../x"'), "a path that leads elsewhere"),
    Wrong(RIG, "*", put('"name": "cam_1"', '"name": "/x"'), "a path that leads elsewhere"),
    Wrong(TOML, "*", put("-0.2, 0.05", "-0.2, 5000.0"), "which no lens has"),
    Wrong(TOML, "*", put("size = [1920.0, 1080.0]", "size = [1080.0, 1920.0]"), "width and height exchanged"),
    Wrong(TOML, "*", put("-0.0, 0.8677848535234114, 4.387134537257247", "-0.0, 867.78485, 4387.13453"), "another unit"),
    Wrong(
        OPENCV, "**/extri.yml", put("1.4040948558651185, 1.404", "-1.4040948558651185, 1.404"), "two different turns"
    ),
    Wrong(PANOPTIC, "*", put("-0.2", "-0.2e3"), "which no lens has"),
    Wrong(SHELF, "*", put('"fy": 1080.25', '"fy": true'), "a number is expected"),
    Wrong("calibration OpenCV XML", "**/cam2.xml", put("<distortion_coefficients", "<distortion_coefs"), ""),
    Wrong("calibration OpenCV XML", "**/cam2.xml", put("<rows>3</rows>", "<rows>2</rows>"), "a matrix of 2 x 3 has 9"),
    Wrong("calibration OpenPose", "**/cam2.xml", put("<?xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><?xml"), "entities"),
    Wrong("calibration BioCV", "**/cam2*", put("1100.5", "1_100.5"), "'1_100.5' is no number"),
    Wrong("calibration BioCV", "**/cam2*", put("1100.5", ""), "not in 0 0 0 1"),
    Wrong("calibration multical.json", "*", put("cam2_to_cam1", "cam2_to_cam3"), "told from several cameras"),
    Wrong("calibration calibrated_cameras_data.yml", "*", put("0.0, 0.0, 1.0]", "0.0, 0.0, 2.0]"), "last row 0 0 1"),
    Wrong("calibration annots.json", "*", put('"D": [', '"D": [[0], '), "D: is of 4 cameras; there are 3"),
    Wrong("calibration human36m.json", "*", put('"orientation": [', '"orientation": [2, '), "4 numbers are expected"),
    Wrong("calibration COLMAP binary", "**/images.bin", lambda data: data[:-1], "images.bin: breaks off at byte"),
    Wrong("calibration transforms.json", "*", put('"OPENCV"', '"FOV"'), "lens model 'FOV' is not supported"),
    Wrong("calibration transforms.json", "*", put("[0.0, 0.0, 0.0, 1.0]", "[0.0, 0.0, 0.0, 0.01]"), "not in 0 0 0 1"),
    Wrong("calibration theia.txt", "*", put('r11="-0', 'r11="-0.7 0'), "has 2 numbers"),
    Wrong("calibration camchain-imucam.yaml", "*", put("pinhole", "omni"), "is not supported"),
    Wrong("calibration take.xcp", "*", put("PIXEL_ASPECT_RATIO", "PIXEL_ASPECT_RATOI"), "misspelt"),
    Wrong(COLMAP, "**/cameras.txt", put("960.0", "9600.0"), "principal point in x"),
    Wrong(TRC, "*", put("30\t30\t3", "1e300\t30\t3"), "DataRate is '1e300'"),
    Wrong(TRC, "*", put("\n1\t0.033333", "\n1\t-0.03"), "after 0 s"),
    Wrong(TRC, "*", put("\n0\t0.000000\t", "\n0\t0.000000\t9e30\t1\t1\t"), ""),
    Wrong("export", TABLE, array("joints", at((0, 0, 0), float("nan"))), "frame 0: person"),
    Wrong("export", TABLE, array("joints", at((0, 0, 1), 1e12)), "no x, y, z in mm"),
    Wrong("export", TABLE, array("joints", at((0, 0, 3), 7)), "confidence from 0 to 1"),
    Wrong("export", TABLE, array("units", lambda a: a.astype("<U1")), "units are 'm'"),
    Wrong("export", TABLE, array("id", lambda a: a * 0), "twice in frame"),
    Wrong("results", EVIDENCE, array("camera_rotation", lambda a: -a), "a reflection"),
    Wrong("lifted", "lifted.json", put("1100.0", "-1100.0"), "it must be positive"),
    Wrong("pseudo-labels", "*", array("person_id", lambda a: a * 0), "twice in one frame"),
    Wrong("body3D", "*0.json", put("[1.0, 2.0", "[1e30, 2.0"), "cm away"),
    Wrong("captured motion", "07_01.amc", put("ltibia 40", "ltibia 1e9"), "turns by 1e+09 degrees"),
    Wrong("captured motion", "07_01.amc", put(":DEGREES", ":RADIANS"), "in radians"),
    Wrong("captured motion", "07_01.amc", put("\n2\n", "\n1\n"), "stands behind frame 1"),
    Wrong("captured motion", "07_01.amc", put("\n2\n", "\n" + "9" * 5000 + "\n"), "a frame's number of 5000 digits"),
    Wrong("pickle", "4.pkl", lambda data: data + data, "goes on behind its end"),
    Wrong("array", "numbers.npy", lambda data: data + b"xx", ""),
    Wrong("results", TABLE, resaved("joints"), "array 'joints' was changed after the run"),
    Wrong("results", EVIDENCE, resaved("tuple_cost"), "array 'tuple_cost' was changed after the run"),
    Wrong("export", TABLE, resaved("joints"), "array 'joints' was changed after the run"),
    Wrong("export", EVIDENCE, resaved("detection_index"), "array 'detection_index' was changed after the run"),
    Wrong("lifted", "lifted.jsonl", lambda data: b"".join(data.splitlines(True)[:-1]), "announces 2 frames, and 1"),
    Wrong("unfinished run", "out/.partial/predictions.jsonl", put("0.9", "0.8"), "has other bytes than an unfinished"),
    Wrong("unfinished run", "out/.partial/people.joints", lambda data: bytes(len(data)), "has other bytes"),
    Wrong("unfinished run", "out/.partial/state.npz", resaved("track_id"), "array 'track_id' was changed"),
    Wrong("training", "run/recipe.json", put("0.001", "1e999"), "rate is inf, a finite number"),
    Wrong("training", "run/recipe.json", put("0.001", "NaN"), "rate is nan, a finite number"),
    Wrong("training", "run/csv/metrics.csv", put("19,", "9,"), "loss is there twice for step 9"),
    Wrong(TRC, "*", put("\n1\t0.033333", "\n1\tnan"), "frame 1: the time is 'nan'"),
    Wrong(TRC, "*", put("\n2\t0.066667", "\n2\tinf"), "frame 2: the time is 'inf'"),
    Wrong("captured motion", "07.asf", put("angle deg", "angle rad"), "angle is rad; only deg is read"),
    Wrong("captured motion", "07.asf", put("    dof rx\n", "    dofs rx\n"), "no 'dofs' (known are"),
    Wrong("captured motion", "07.asf", put("length 0.45", "lenght 0.45"), "no 'lenght' (known are"),
    Wrong("captured motion", "07.asf", put("axis XYZ", "order TX TY TZ RZ RY RX"), "only TX TY TZ RX RY RZ is read"),
    Wrong("captured motion", "07.asf", put("axis XYZ", "orientation 0 90 0"), "only 0 0 0 is read"),
    Wrong("captured motion", "07_01.amc", put("ltibia 40", "ltibia 4_0"), "4_0 where numbers should be"),
    Wrong(COLMAP, "**/cameras.txt", put("960.0", "9_60.0"), "9_60.0"),
    Wrong("training", "run/csv/metrics.csv", put("\n19,", "\n1_9,"), "the step is 1_9"),
    Wrong("results", TABLE, array("covariance", at((0, 0, 0), -1.0)), "variances below 0"),
    Wrong("results", EVIDENCE, array("tuple_marginal", at(0, 1.5)), "'tuple_marginal' has 1.5 in row 0"),
    Wrong("results", EVIDENCE, array("tuple_mass", at((0, 0), -0.5)), "'tuple_mass' has -0.5 in row 0"),
    Wrong("pseudo-labels", "*", array("person_id", lambda a: a - 9), "array 'person_id' has -9"),
    Wrong(XCP, "*", put("ViconRadial2 960", "ViconRadial2"), "two or three numbers are expected"),
    Wrong(XCP, "*", put("-0.2 0.05 0.01", "-0.2 0.05 0.01 0.01"), "two or three numbers are expected"),
    Wrong(XCP, "*", put("ViconRadial2", "ViconRadial3"), "two or three numbers are expected"),
    Wrong(XCP, "*", put('PIXEL_ASPECT_RATIO="1.', 'PIXEL_ASPECT_RATIO="" x="1.'), "has 0 numbers"),
    Wrong("calibration human36m.json", "*", put('"radial_distortion"', '"radial_distrotion"'), "only one is there"),
    Wrong("calibration annots.json", "*", put('"image_size"', '"image_sise"'), "no 'image_size'"),
    Wrong("calibration transforms.json", "*", put('"fl_y"', '"fl_yy"'), "no 'fl_y'"),
    Wrong("calibration transforms.json", "*", put('"camera_model"', '"camera_modle"'), "no 'camera_model'"),
    Wrong("calibration MM-OR", "*1.json", put('"width"', '"widht"'), "no 'width'"),
    Wrong("calibration OpenCV YAML", "**/cam1*", put("image_width", "image_widht"), "only one is there"),
    Wrong("calibration calibrated_cameras_data.yml", "*", put("distortion_type", "distortion_typo"), "is it misspelt"),
    Wrong("calibration BioCV without endings", "**/cam1*", put("1920", "x"), ""),
    Wrong("detections MMPose of videos", "*1.json", put("keypoint_scores", "keypoint_score"), "no 'keypoint_scores'"),
    Wrong("detections MMPose of videos", "*1.json", put('"instances"', '"instanes"'), "no people by a name"),
    Wrong("detections Ultralytics", "cam1/*4.json", put('"visible"', '"visble"'), "no 'visible'"),
    Wrong("detections MediaPipe", "cam1.json", put('"visibility"', '"visiblity"'), "score is None"),
    Wrong("detections MediaPipe", "cam1.json", put('"pose_landmarks"', '"pose_landmrks"'), "no people by a name"),
    Wrong("detections RTMLib", "cam1.json", put('"scores"', '"scoers"'), "no 'scores'"),
    Wrong("detections TensorFlow.js", "cam1/*4.json", put('"score": 1.0', '"scor": 1.0'), "score is None"),
    Wrong("detections SLEAP", "cam1*", put("nose.x", "nsoe.x"), "not both x and y of 'nose'"),
    Wrong("detections SLEAP", "cam1*", put("nose.score", "nose.scroe"), "no 'score'"),
    Wrong("detections MMPose of images", "**/*4.json", without_scores, "which others have"),
    Wrong("detections RTMLib", "cam1.json", put(', "scores"', ', "other"'), "which others have"),
    Wrong("detections MediaPipe", "cam1.json", put(', "visibility": 1.0}', "}"), "score is None"),
    Wrong("detections columns of landmarks", "cam1*", put("visibility_LEFT_WRIST", "z2_LEFT_WRIST"), "score is nan"),
    Wrong(DLC, "cam1*", put(",a,a,a,b", ",a,~,a,b"), ""),
    Wrong("detections YOLO", "cam1/labels/*4.txt", lost_number, "56 numbers, not as other lines"),
    Wrong("detections YOLO", "cam1/labels/*4.txt", put(" 1.0 ", " \u0661 "), "score is None"),
    Wrong("detections in arrays", "cam2.npz", renamed("scores", "score"), "'score' of 3 x 2 x 17 beside 'keypoints'"),
    Wrong(
        "detections in arrays",
        "cam2.npz",
        array("scores", lambda a: a[:2]),
        "'scores' of 2 x 2 x 17 beside 'keypoints'",
    ),
    Wrong(TOML, "*", put("1080.25", "2900.0"), "focal lengths are 1100.5 and 2900"),
    Wrong(
        "calibration calibrated_cameras_data.yml", "*", put("distortion_type: 0", "distortion_type: 7"), "is 7; known"
    ),
    Wrong("calibration calibrated_cameras_data.yml", "*", put("nb_camera: 3", "nb_camera: 5"), "nb_camera is 5, and 3"),
    Wrong("calibration annots.json", "*", tree(lambda root: root.update(units="furlong")), "units are 'furlong';"),
    Wrong("calibration transforms.json", "*", tree(lambda root: root.update(is_fisheye=True)), "is_fisheye is true"),
    Wrong(TRC, "*", put("30\t30\t3\t17\tm", "30\t30\t3\t17\tmm"), "is the unit another"),
    Wrong(TRC, "*", lambda data: re.sub(rb"\n(\d+)\t[\d.]+\t", rb"\n\1\t0.5\t", data), "the time of all 3"),
    Wrong("pseudo-labels", "*", array("frame_number", lambda a: a - 9), "frame_number"),
    Wrong("pseudo-labels", "*", array("person_joints", lambda a: a / 1000), "is the unit another"),
    Wrong("pseudo-labels", "*", array("sighting_joints", lambda a: a * 1e6), "sighting_joints"),
    Wrong("areas", "areas.json", put("700.0", "10.0"), "the corners enclose nothing"),
    Wrong("notebook", "*", whole('{"cells": 7}'), "does not say its nbformat"),
    Wrong("notebook", "*", put('"cell_type": "code"', '"cell_type": "cod"'), "no notebook as Jupyter writes it"),
    Wrong("notebook", "*", put('"cells": [', '"cells": 7, "old": ['), "no notebook as Jupyter writes it"),
    Wrong("notebook", "*", put('"nbformat": 4', '"nbformat": 2147483648'), "no notebook as Jupyter writes it"),
    Wrong(
        "notebook", "*", put('"nbformat_minor": ', '"nbformat_minor": "5", "old": '), "no notebook as Jupyter writes it"
    ),
    Wrong("notebook", "*", put('"language": "python"', '"language": "pytion"'), "its parameters cannot be read"),
    Wrong("captured motion", "07.asf", put("direction 0 -1 0", "direction 0 -7 0"), "directions are 1 long"),
    Wrong("captured motion", "07.asf", put("length 2", "length 2e9"), "are those of no bone"),
    Wrong("captured motion", "07_01.amc", put("root 1 2 3", "root 1 2e9 3"), "which is nowhere"),
    Wrong("captured motion", "07_01.amc", put("\nltibia 40", ""), "not the bones of the first (ltibia)"),
    Wrong("marks", "*.json", put('"frame": 3', '"frame": -3'), "from 0 on"),
    Wrong("marks", "*.json", put('"frame": 3', '"frame": 1e40'), ""),
    Wrong("lifted", "lifted.json", put('"places": [[3000.0', '"places": [[3e40'), "farther than anybody is"),
    Wrong("lifted", "lifted.json", put(", 1.0], [", ", 1.5], ["), "score is outside [0, 1]"),
)
