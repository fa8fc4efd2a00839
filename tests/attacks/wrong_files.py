"""Files that are recognisably wrong, each made of a valid one by one change: what is changed, and what must be said."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Edit = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Wrong:
    """One wrong file.

    Attributes:
        target: by name, of `tests.attacks.targets`.
        file: pattern of the file that is changed; the first one that it fits.
        edit: the change.
        said: what the refusal says, or the sentences about what was left out.
    """

    target: str
    file: str
    edit: Edit
    said: str


def put(old: str, new: str) -> Edit:
    """One text in another's place, where it first stands."""

    def edit(data: bytes) -> bytes:
        assert old.encode() in data, f"there is no {old!r}"
        return data.replace(old.encode(), new.encode(), 1)

    return edit


def whole(text: str | bytes) -> Edit:
    """Something else altogether."""
    return lambda _: text.encode() if isinstance(text, str) else text


def cut(share: float) -> Edit:
    """Only the beginning."""
    return lambda data: data[: int(share * len(data))]


def twice(start: str) -> Edit:
    """A line that begins so stands there twice."""

    def edit(data: bytes) -> bytes:
        lines = data.split(b"\n")
        place = next(at for at, line in enumerate(lines) if line.startswith(start.encode()))
        return b"\n".join([*lines[: place + 1], *lines[place:]])

    return edit


def tree(change: Callable[[dict], object]) -> Edit:
    """A change in the tree of a JSON file, or of the second of some JSON lines."""

    def edit(data: bytes) -> bytes:
        lines = data.splitlines() if data.startswith(b'{"schema": "dispose.predictions') else [b"", data]
        value = json.loads(lines[1])
        change(value)
        lines[1] = json.dumps(value).encode()
        return b"\n".join(line for line in lines if line)

    return edit


def array(name: str, change: Callable[[np.ndarray], object]) -> Edit:
    """A change in an array of an npz; the change may return another one."""

    def edit(data: bytes) -> bytes:
        arrays = dict(np.load(io.BytesIO(data), allow_pickle=False))
        # What its contents say is looked at, also in a file that does not say which bytes were written.
        arrays.pop("sums", None)
        changed = arrays[name].copy()
        new = change(changed)
        arrays[name] = new if isinstance(new, np.ndarray) else changed
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return file.getvalue()

    return edit


def at(place: Any, value: object) -> Callable[[np.ndarray], None]:
    """An entry of an array."""
    return lambda changed: changed.__setitem__(place, value)


def in_person(key: str, value: object) -> Edit:
    """An entry of the first person in predictions."""
    return tree(lambda root: root["persons"][0].__setitem__(key, value))


def keypoint(at: int, value: object) -> Edit:
    """A value of the first person in a frame of OpenPose's."""
    return tree(lambda root: root["people"][0]["pose_keypoints_2d"].__setitem__(at, value))


def huge_png(_: bytes) -> bytes:
    """A head of 20,000 x 20,000 pixels, and hardly anything behind it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(60_001) * 20)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def destroyed(data: bytes) -> bytes:
    """A block in its middle is lost."""
    middle = len(data) // 2
    return data[:middle] + bytes(200) + data[middle + 200 :]


def jpeg_head(width: int, height: int) -> Edit:
    """A JPEG that says it has another size."""

    def edit(data: bytes) -> bytes:
        place = data.index(b"\xff\xc0")
        return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]

    return edit


def many_passes(data: bytes) -> bytes:
    """So many passes over an image that drawing it takes minutes."""
    return data[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 500_000 + data[-2:]


def weights(change: Callable[[dict], object]) -> Edit:
    """A change in the head of a safetensors file."""

    def edit(data: bytes) -> bytes:
        (size,) = struct.unpack_from("<Q", data)
        head = json.loads(data[8 : 8 + size])
        change(head)
        new = json.dumps(head).encode()
        new = new.ljust(-(-len(new) // 8) * 8)
        return struct.pack("<Q", len(new)) + new + data[8 + size :]

    return edit


def config(key: str, value: object) -> Edit:
    """A setting of a network."""

    def change(head: dict) -> None:
        settings = json.loads(head["__metadata__"]["config"])
        assert key in settings, settings
        head["__metadata__"]["config"] = json.dumps(settings | {key: value})

    return weights(change)


def last_bit(data: bytes) -> bytes:
    """One bit of the last number."""
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


def of_five_disks(data: bytes) -> bytes:
    """An archive whose end says that it is one of five."""
    place = data.rindex(b"PK\x06\x07")
    return data[: place + 16] + struct.pack("<I", 5) + data[place + 20 :]


TOML, RIG, SHELF, PANOPTIC = (f"calibration {name}" for name in ("rig.toml", "rig.json", "shelf.json",
                                                                 "calibration_x.json"))  # fmt: skip
COLMAP, OPENCV, KALIBR = (f"calibration {name}" for name in ("colmap", "opencv", "camchain.yaml"))
XCP, QCA = "calibration take.xcp", "calibration session.qca.txt"

CALIBRATIONS = (
    Wrong(TOML, "*", put("fisheye = false", 'fisheye = "true"'), "true or false is expected"),
    Wrong(TOML, "*", put("distortions", "distortion"), "'distortion', but no 'distortions'; is it misspelt"),
    Wrong(TOML, "*", put("matrix", "matrx"), "misspelt"),
    Wrong(TOML, "*", put("rotation", "rotaton"), "misspelt"),
    Wrong(TOML, "*", put("translation", "translaton"), "misspelt"),
    Wrong(TOML, "*", put("1100.5", "0.0"), "focal length in x is 0"),
    Wrong(TOML, "*", put("1100.5", "-1100.5"), "it must be positive"),
    Wrong(TOML, "*", put("1100.5", "11.0"), "which no lens has"),
    Wrong(TOML, "*", put("1080.25", "1e9"), "which no lens has"),
    Wrong(TOML, "*", put("959.5", "99999.0"), "principal point in x"),
    Wrong(TOML, "*", put("539.5", "-9999.0"), "principal point in y"),
    Wrong(TOML, "*", put("-0.2", "1e9"), "distortion is"),
    Wrong(TOML, "*", put("-0.2", "nan"), "nan"),
    Wrong(TOML, "*", put("1.40", "inf #"), ""),
    Wrong(TOML, "*", put("1920.0", "0.0"), "0 x 1080 pixels"),
    Wrong(TOML, "*", put("1920.0", "1e7"), "pixels"),
    Wrong(TOML, "*", put("1.4040948558651185", "80.4"), "are these degrees?"),
    Wrong(TOML, "*", put("0.8677848535234114", "1e9"), "no place on Earth"),
    Wrong(TOML, "*", put("[cam_2]", "[cam_1]"), "is no TOML"),
    Wrong(TOML, "*", put('"cam_2"', '"cam_1"'), "the name occurs 2 times"),
    Wrong(TOML, "*", put("[-0.2, 0.05, ", "["), "4, 5, 8, 12 or 14"),
    Wrong(TOML, "*", put("[0.0, 0.0, 1.0]]", "[0.0, 0.0]]"), ""),
    Wrong(TOML, "*", put("1100.5", '"1100.5"'), "numbers are expected"),
    Wrong(TOML, "*", put('name = "cam_1"', 'name = ""'), "no printable text"),
    Wrong(TOML, "*", put('name = "cam_1"', 'name = "a\\u001b[2J"'), "no printable text"),
    Wrong(TOML, "*", put("[cam_1]", "[cam_1" + " .a" * 90_000 + "]"), "nested too deeply"),
    Wrong(TOML, "*", put("fisheye = false", "b = {c" + '."d"' * 90_000 + " = 1}"), "nested too deeply"),
    Wrong(TOML, "*", cut(0.25), ""),
    Wrong(TOML, "*", whole(b"\xff\xfe\x00"), "no UTF-8"),
    Wrong(RIG, "*", put("dispose.cameras/1", "dispose.cameras/7"), "schema is"),
    Wrong(RIG, "*", put('"mm"', '"m"'), "units are 'm'"),
    Wrong(RIG, "*", put('"units": "mm"', '"units": "mm", "units": "mm"'), "'units' twice"),
    Wrong(RIG, "*", put("1100.5", "1" * 5000), "too long"),
    Wrong(RIG, "*", put("1100.5", "[" * 90_000 + "]" * 90_000), "nested too deeply"),
    Wrong(RIG, "*", put('"width": 1920.0', f'"width": {"9" * 400}'), "no float holds"),
    Wrong(RIG, "*", whole(""), "is empty"),
    Wrong(RIG, "*", cut(0.6), "breaks off"),
    Wrong(RIG, "*", put("[0.0, 1080.25, 539.5]", "[5.0, 1080.25, 539.5]"), "not upper triangular"),
    Wrong(RIG, "*", put('"width": 1920.0', '"width": "1920"'), "a number is expected"),
    Wrong(RIG, "*", put('"name"', '"fisheye": 0, "name"'), "true or false"),
    Wrong(RIG, "*", put('"name": "cam_1", ', ""), "no 'name'"),
    Wrong(RIG, "*", tree(lambda root: root["views"][0].update(R=[[1, 0, 0], [0, 1, 0], [0, 0, -1]])), "a reflection"),
    Wrong(RIG, "*", tree(lambda root: root["views"][0].update(R=[[2, 0, 0], [0, 2, 0], [0, 0, 2]])), "orthonormal"),
    Wrong(RIG, "*", tree(lambda root: root["views"][0].update(R=[[1, 0, 0], [0, 1, 0], [1, 1, 0]])), "singular"),
    Wrong(RIG, "*", tree(lambda root: root["views"][1].update(root["views"][0] | {"name": "b"})), "stand at one place"),
    Wrong(RIG, "*", tree(lambda root: root.update(views=root["views"][:1])), "at least two cameras"),
    Wrong(COLMAP, "**/cameras.txt", put("FULL_OPENCV", "FOV"), "lens model 'FOV'"),
    Wrong(COLMAP, "**/cameras.txt", twice("2 "), "is there twice"),
    Wrong(COLMAP, "**/images.txt", twice("2 "), "is there twice"),
    Wrong(COLMAP, "**/images.txt", put("1 cam_1", "7 cam_1"), "camera 7 is not in cameras.txt"),
    Wrong(COLMAP, "**/images.txt", put("0.4286150711824532", "0.9"), "quaternion has length"),
    Wrong(COLMAP, "**/cameras.txt", put(" -0.2", ""), "12 parameters are expected"),
    Wrong(COLMAP, "**/cameras.txt", put("1100.5", "1_100.5"), "numbers are expected"),
    Wrong(COLMAP, "**/images.txt", put(" 1 cam_1.png", ""), "ten words"),
    Wrong(OPENCV, "**/intri.yml", put("rows: 3", "rows: 999999999999999999999999999999"), "a matrix of"),
    Wrong(OPENCV, "**/intri.yml", put("cols: 3", "cols: 2"), "a matrix of 3 x 2 has 9 numbers"),
    Wrong(OPENCV, "**/intri.yml", put("dist_cam_1", "dst_cam_1"), "no matrix 'dist_cam_1'"),
    Wrong(OPENCV, "**/intri.yml", put("K_cam_2", "K_cam_1"), "is there twice"),
    Wrong(OPENCV, "**/intri.yml", put("dt: d", "dt: *d"), "alias"),
    Wrong(OPENCV, "**/intri.yml", put("1920.", "[" * 300 + "]" * 300), "nested too deeply"),
    Wrong(KALIBR, "*", put("radtan", "omni"), "is not supported"),
    Wrong(KALIBR, "*", put("[1100.5, 1080.25", "[1100.5"), "4 numbers are expected"),
    Wrong(KALIBR, "*", put("distortion_coeffs", "distortion_coefs"), "misspelt"),
    Wrong(XCP, "*", put("<Cameras>", "<!DOCTYPE a [<!ENTITY b 'c'>]><Cameras>"), "declares entities"),
    Wrong(XCP, "*", put('FOCAL_LENGTH="1100.5"', 'FOCAL_LENGTH="1_100.5"'), "no number"),
    Wrong(XCP, "*", put('FOCAL_LENGTH="1100.5"', 'FOCAL_LENGTH="-1100.5"'), "it must be positive"),
    Wrong(QCA, "*", put('r11="-0.3', 'r11="-0.9'), "orthonormal"),
    Wrong(QCA, "*", put('focalLengthU="', 'focalLengthU="zero'), "no number"),
    Wrong(SHELF, "*", put('"k"', '"kk"'), "no 'k'"),
    Wrong(SHELF, "*", put('"fx": 1100.5', '"fx": "wide"'), "a number is expected"),
    Wrong(PANOPTIC, "*", put("distCoef", "distCoeff"), "misspelt"),
    Wrong(PANOPTIC, "*", put("1920", "-1920"), "pixels"),
)

FRAME = "pose/cam_01_json/*.0000.json"
DLC = "detections DeepLabCut"
DETECTIONS = (
    Wrong("capture", FRAME, keypoint(0, float("nan")), "no number"),
    Wrong("capture", FRAME, keypoint(1, None), "no number"),
    Wrong("capture", FRAME, keypoint(1, "12"), "no number"),
    Wrong("capture", FRAME, keypoint(0, -500), "negative coordinates"),
    Wrong("capture", FRAME, keypoint(1, 1e7), "far outside"),
    Wrong("capture", FRAME, keypoint(2, 5), "outside [0, 1]"),
    Wrong("capture", FRAME, keypoint(2, -1), "outside [0, 1]"),
    Wrong("capture", FRAME, keypoint(0, 10**400), "no number"),
    Wrong("capture", FRAME, tree(lambda root: root["people"][0].update(pose_keypoints_2d=[1, 2, 3])), "joints"),
    Wrong("capture", FRAME, tree(lambda root: root["people"].append(7)), "instead of a list"),
    Wrong("capture", FRAME, tree(lambda root: root["people"].append({})), "no keypoints"),
    Wrong("capture", FRAME, put('"people"', '"peple"'), "no 'people'"),
    Wrong("capture", FRAME, put('"version": 1.3', '"people": []'), "'people' twice"),
    Wrong("capture", FRAME, cut(0.5), "breaks off"),
    Wrong("capture", FRAME, whole(""), "is empty"),
    Wrong("capture", FRAME, whole("{'people': []}"), "is no JSON"),
    Wrong("capture", FRAME, whole('{"people": ["é"]}'.encode("latin-1")), "no UTF-8"),
    Wrong("capture", FRAME, whole("[" * 100_000), "nested too deeply"),
    Wrong("capture", FRAME, whole('{"people": 7}'), "a list is expected"),
    Wrong("COCO", "detections/*01.json", put('"image_id": 0', '"image_id": null'), "does not say the frame"),
    Wrong("COCO", "detections/*01.json", put('"image_id": 0', f'"image_id": {10**30}'), "does not say the frame"),
    Wrong("COCO", "detections/*01.json", whole('[{"image_id": 0, "bbox": [1, 2, 3, 4]}]'), ""),
    Wrong("COCO", "detections/*01.json", whole('[{"bbox": [1, 2, 3, 4]}]'), "boxes, but no keypoints"),
    Wrong("COCO", "detections/*01.json", whole("7"), "no file of detections"),
    Wrong("detections YOLO", "cam1/labels/*4.txt", whole("0 0.5 0.5 0.2 0.4\n"), "a box without joints"),
    Wrong(DLC, "cam1*", put("scorer", "model"), "is no table of DeepLabCut's"),
    Wrong(DLC, "cam1*", lambda data: data.replace(b",x,", b",width,"), "not x, y and likelihood"),
)

TRC = "TRC"
RUN, EVIDENCE, TABLE = "run/predictions.jsonl", "run/evidence.npz", "run/predictions.npz"
RESULTS = (
    Wrong(TRC, "*", put("30\t30\t3\t17", "30\t30\t9\t17"), "NumFrames is 9"),
    Wrong(TRC, "*", put("30\t30\t3\t17", "30\t30\t3\t18"), "NumMarkers is '18'"),
    Wrong(TRC, "*", put("30\t30\t3\t17\tm", "30\t30\t3\t17\tft"), "units are 'ft'"),
    Wrong(TRC, "*", put("30\t30\t3", "0\t30\t3"), "DataRate is '0'"),
    Wrong(TRC, "*", put("l_eye", "nose"), "some twice"),
    Wrong(TRC, "*", put("PathFileType", "Path"), "is no TRC file"),
    Wrong(TRC, "*", lambda data: data[: data.rindex(b"\t", 0, -60)], "breaks off"),
    Wrong(TRC, "*", put("\n1\t", "\n0\t"), "frame 0 is there already"),
    Wrong(TRC, "*", put("\n1\t", "\none\t"), "a frame's number is expected"),
    Wrong(TRC, "*", put("\n1\t0.033333\t", "\n1\t0.033333\t1_000"), "a number is expected"),
    Wrong(TRC, "*", put("\n1\t0.033333\t", "\n1\t0.033333\t1,"), "with a point and no comma"),
    Wrong(TRC, "*", put("\n1\t0.033333\t", "\n1\t"), "lost"),
    Wrong("body3D", "*0.json", put('"id": 1', '"id": 0'), "id is 0, as that of body 0"),
    Wrong("body3D", "*0.json", put("joints19", "joints"), "no joints"),
    Wrong("body3D", "*0.json", put("[1.0, 2.0,", "[2.0,"), ""),
    Wrong("results", RUN, in_person("score", 2), "a number from 0 to 1"),
    Wrong("results", RUN, in_person("association", -0.5), "a number from 0 to 1"),
    Wrong("results", RUN, in_person("id", 2), "is 2, as that of person"),
    Wrong("results", RUN, in_person("id", -3), "from 0 on"),
    Wrong("results", RUN, in_person("members", {"cam_09": 0}), "'cam_09' is not in the header"),
    Wrong("results", RUN, in_person("members", {"cam_01": 10**25}), "at most 18 digits"),
    Wrong("results", RUN, tree(lambda root: root["persons"][0]["joints"].__setitem__(0, [1e12, 0, 0, 1])), "x, y, z"),
    Wrong("results", RUN, tree(lambda root: root["persons"][0]["joints"].__setitem__(0, [0, 0, 0, 7])), "confidence"),
    Wrong("results", RUN, tree(lambda root: root["persons"][0]["error_mm"].__setitem__(0, -1)), "error_mm"),
    Wrong("results", RUN, tree(lambda root: root.update(frame=1)), "frame 1 is there already"),
    Wrong("results", RUN, lambda data: b"\n".join(data.split(b"\n")[:-2]), "lines are lost"),
    Wrong("results", RUN, put("dispose.predictions/1", "dispose.predictions/2"), "schema is"),
    Wrong("results", RUN, put('"units": "mm"', '"units": "m"'), "units are 'm'"),
    Wrong("results", RUN, put('"score": 0.9999', '"score": 0.8888'), "belongs to other predictions"),
    Wrong("results", TABLE, array("predictions", lambda a: np.array("0" * 64)), "belongs to other predictions"),
    Wrong("results", TABLE, array("id", lambda a: a[::-1].copy()), "holds other people"),
    Wrong("results", EVIDENCE, array("predictions", lambda a: np.array("0" * 64)), "belongs to other predictions"),
    Wrong("results", EVIDENCE, array("detection_score", at(0, 17)), "has 17 in row 0"),
    Wrong("results", EVIDENCE, array("tuple_mass", at((3, 1), -1)), "has -1 in row 3"),
    Wrong("results", EVIDENCE, array("tuple_cue", at(0, 9)), "has 9 in row 0"),
    Wrong("results", EVIDENCE, array("rival_confidence", at(0, np.nan)), "not finite"),
    Wrong("results", EVIDENCE, array("camera_rotation", at((0, 0, 0), 5)), "camera cam_01: rotation"),
    Wrong("results", EVIDENCE, array("camera_matrix", at((1, 0, 0), -5)), "camera cam_02: focal length"),
    Wrong("results", EVIDENCE, array("camera_distortion", at((1, 0), 1e12)), "camera cam_02: distortion"),
    Wrong("results", EVIDENCE, array("detection_keypoints", at((0, 0, 0), 1e9)), "no x, y and score"),
    Wrong("results", EVIDENCE, array("detection_slot", at(0, 99)), "view or slot that is not there"),
    Wrong("results", EVIDENCE, array("detection_frame", at(0, 2)), "not in order"),
    Wrong("results", EVIDENCE, array("tuple_members", at((0, 0), 55)), "a slot that is not there"),
    Wrong("results", EVIDENCE, array("frame", at(0, 7)), "holds 3 frames, which are not the predictions'"),
    Wrong("results", EVIDENCE, cut(0.9), "cut short"),
    Wrong("pseudo-labels", "*", array("sighting_score", at(0, 100)), "has 100 in row 0"),
    Wrong("pseudo-labels", "*", array("person_joints", at((0, 0, 3), -7)), "has -7 in row 0"),
    Wrong("pseudo-labels", "*", array("person_joints", at((0, 0, 0), 1e20)), "in row 0"),
    Wrong("pseudo-labels", "*", array("sighting_person", at(0, 3)), "a person of another frame"),
    Wrong("pseudo-labels", "*", array("sighting_view", at(0, 9)), "points to row 9 of 3"),
    Wrong("pseudo-labels", "*", array("frame_number", at(0, 4)), "occurs twice"),
)

PLAYLIST = "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"
BYTES = (
    Wrong("images", "*.png", huge_png, "20000x20000 pixels large"),
    Wrong("images", "*.png", destroyed, "damaged picture"),
    Wrong("images", "*.png", cut(0.5), "breaks off"),
    Wrong("images", "*.jpg", destroyed, "damaged picture"),
    Wrong("images", "*.jpg", cut(0.5), "breaks off"),
    Wrong("images", "*.jpg", jpeg_head(65_000, 65_000), "65000x65000 pixels large"),
    Wrong("images", "*.jpg", jpeg_head(80, 600), "damaged picture"),
    Wrong(
        "images", "*.jpg", lambda data: data[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * 500_000 + data[-2:], "passes"
    ),
    Wrong("images", "*.bmp", lambda data: data[:18] + struct.pack("<ii", 1 << 30, -(1 << 30)) + data[26:], "large"),
    Wrong("images", "*.webp", cut(0.3), "damaged picture"),
    Wrong("images", "*.tif", lambda data: data[:4] + b"\xff\xff\xff\xff" + data[8:], "that says its size"),
    Wrong("images", "*.bmp", whole("no picture"), "is no picture"),
    Wrong("images", "*.jpg", whole(""), "is empty"),
    Wrong("video", "*", whole(PLAYLIST), "is a text, no video"),
    Wrong("video", "*", whole(b"\x00\x01RIFF"), "is no video that OpenCV reads"),
    Wrong("video", "*", whole(""), "is no video"),
    Wrong("weights", "*", last_bit, "digest"),
    Wrong("weights", "*", config("chans", 1 << 40), "more than anything in the file has"),
    Wrong("weights", "*", config("chans", 4000), ""),
    Wrong("weights", "*", config("chans", "wide"), "int is expected"),
    Wrong("weights", "*", weights(lambda head: head["__metadata__"].pop("config")), "metadata lack config"),
    Wrong("weights", "*", weights(lambda head: head["__metadata__"].update(config="[" * 90_000)), "is not JSON"),
    Wrong("weights", "*", weights(lambda head: head["__metadata__"].update(network="Other")), "holds weights of Other"),
    Wrong("weights", "*", cut(0.5), "not a complete safetensors file"),
    Wrong("torch", "*", of_five_disks, "multiple disks"),
    Wrong("pickle", "4.pkl", whole(b"cos\nsystem\n(S'true'\ntR."), "nothing in the file was executed"),
    Wrong("pickle", "4.pkl", whole(b"\x80\x04r\xff\xff\xff\x7f."), ""),
    Wrong("pickle", "4.pkl", cut(0.5), "breaks off"),
    Wrong("MATLAB", "*", whole(b"MATLAB 7.3"), "is no MATLAB file"),
    Wrong("arrays", "plain.npz", lambda data: data[:-30], "cut short"),
    Wrong("arrays", "small.npz", whole(b"\x93NUMPY\x01\x00"), "single array"),
    Wrong("captured motion", "07.asf", put("direction 0 -1 0", "direction 0 -1"), "3 numbers are expected"),
    Wrong("captured motion", "07.asf", put("length 0.45", "length 0"), "the unit of length"),
    Wrong("captured motion", "07.asf", put("dof rx ry rz", "dof rx ry rq"), "not by rx, ry, rz"),
    Wrong("captured motion", "07_01.amc", put("ltibia 40", "ltibia 40 50"), "2 angles of ltibia"),
    Wrong("captured motion", "07_01.amc", put("ltibia 40", "tail 40"), "no bone tail"),
)

KEPT = (
    Wrong("unfinished run", "out/.partial/predictions.jsonl", cut(0.5), "bytes that an unfinished run wrote there"),
    Wrong("areas", "areas.json", put("dispose.areas/1", "dispose.areas/2"), "schema is 'dispose.areas/2'"),
    Wrong("marks", "*.json", put('"greedy"', '"svt"'), "holds marks of take by svt"),
    Wrong("lifted", "lifted.json", put("dispose.lifted/1", "dispose.lifted/9"), "schema is 'dispose.lifted/9'"),
)
"""What we keep ourselves between two commands."""

WRONG = (*CALIBRATIONS, *DETECTIONS, *RESULTS, *BYTES, *KEPT)
"""All of them."""
