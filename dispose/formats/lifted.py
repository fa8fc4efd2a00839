"""People lifted from one camera as files: JSON with every hypothesis, and the same numbers as arrays.

``lifted.json`` of an image holds a header and its ``people``; ``lifted.jsonl`` of a video the header as its first line,
with the number of ``frames`` that follow, then a line per frame. ``lifted.npz`` has a row per person and frame. In mm,
along the camera's axes: x right, y down, z away from it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import FARTHEST, CameraParameters, check_view
from dispose.formats.entry import Entry
from dispose.formats.files import parse_json_line, read_text
from dispose.formats.folders import Columns
from dispose.formats.predictions import skeleton_of
from dispose.scene.lifted import Lifted, Placed, spread_of
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct

SCHEMA = "dispose.lifted/1"
IMAGE_FILE, VIDEO_FILE, ARRAYS = "lifted.json", "lifted.jsonl", "lifted.npz"
AXES = "of the camera: x right, y down, z away; joints from the middle of the hips, which is at `place`"


@dataclass(frozen=True)
class LiftedCamera:
    """The lens that people were seen through: its name, size (px), numbers (as `Cameras.lens`), and who told them."""

    name: str
    size: tuple[int, int]
    matrix: tuple[tuple[float, ...], ...]
    distortion: tuple[float, ...]
    told_by: str


@dataclass(frozen=True)
class LiftedHeader:
    """What results come from.

    Attributes:
        model: the lifter by name.
        weights: its file and the beginning of its digest.
        source: the image or video.
        keypoints: the detector's file or folder.
        camera: the lens.
        skeleton: of the people.
        hypotheses: of everybody.
        seed: of all that is drawn.
        made_by: version and commit of this project.
    """

    model: str
    weights: str
    source: str
    keypoints: str
    camera: LiftedCamera
    skeleton: Skeleton
    hypotheses: int
    seed: int
    made_by: str


@dataclass(frozen=True, eq=False)
class LiftedFrame(TensorStruct):
    """The lifted people of one image.

    Attributes:
        number: of the frame; 0 for an image without a number.
        person: their positions in the detector's file.
        xy_image: keypoints that they were lifted from, pixels; 0 where not seen.
        score: of these.
        seen: which there are.
        placed: their poses.
    """

    number: int
    person: Int[Tensor, " persons"]
    xy_image: Float[Tensor, "persons joints 2"]
    score: Float[Tensor, "persons joints"]
    seen: Bool[Tensor, "persons joints"]
    placed: Placed

    def __len__(self) -> int:
        return len(self.person)


def header_of(header: LiftedHeader) -> dict[str, object]:
    """The header as an object for JSON."""
    camera = header.camera
    return {
        "schema": SCHEMA,
        "model": header.model,
        "weights": header.weights,
        "source": header.source,
        "keypoints": header.keypoints,
        "camera": {
            "name": camera.name,
            "size": list(camera.size),
            "matrix": [list(row) for row in camera.matrix],
            "distortion": list(camera.distortion),
            "told_by": camera.told_by,
        },
        "skeleton": header.skeleton.name,
        "joints": list(header.skeleton.joints),
        "units": "mm",
        "axes": AXES,
        "hypotheses": header.hypotheses,
        "seed": header.seed,
        "made_by": header.made_by,
    }


def people_of_frame(frame: LiftedFrame) -> list[dict[str, object]]:
    """The people of a frame as objects for JSON."""
    lifted, place = frame.placed.lifted, frame.placed.place
    mean, covariance = lifted.mean, lifted.covariance
    return [
        {
            "person": int(frame.person[row]),
            "keypoints": [
                [*_numbers(xy, 2), round(float(score), 4)] if seen else None
                for xy, score, seen in zip(frame.xy_image[row], frame.score[row], frame.seen[row].tolist(), strict=True)
            ],
            "place": _numbers(place[row].mean(0), 1),
            "place_covariance": _numbers(spread_of(place[row]), 1),
            "mean": _numbers(mean[row], 1),
            "covariance": _numbers(covariance[row], 1),
            "hypotheses": _numbers(lifted.xyz_camera[row], 1),
            "places": _numbers(place[row], 1),
        }
        for row in range(len(frame))
    ]


def _numbers(value: Tensor, digits: int) -> list[object]:
    return np.round(value.double().numpy(), digits).tolist()


def image_text(header: LiftedHeader, frame: LiftedFrame) -> str:
    """The content of ``lifted.json``."""
    return json.dumps({**header_of(header), "frame": frame.number, "people": people_of_frame(frame)}) + "\n"


def header_text(header: LiftedHeader, frames: int) -> str:
    """The first line of ``lifted.jsonl``, with the number of frames that follow, so that a lost tail is seen."""
    return json.dumps({**header_of(header), "frames": frames}) + "\n"


def frame_text(frame: LiftedFrame) -> str:
    """A further line of ``lifted.jsonl``."""
    return json.dumps({"frame": frame.number, "people": people_of_frame(frame)}) + "\n"


def lifted_rows(frame: LiftedFrame) -> Columns:
    """Rows of ``lifted.npz``."""
    lifted = frame.placed.lifted
    columns: list[tuple[str, Tensor]] = [
        ("frame", torch.full((len(frame),), frame.number)),
        ("person", frame.person),
        ("hypotheses", lifted.xyz_camera.float()),
        ("places", frame.placed.place.float()),
        ("mean", lifted.mean.float()),
        ("covariance", lifted.covariance.float()),
        ("keypoints", torch.cat([frame.xy_image, frame.score[..., None]], -1).float()),
        ("seen", frame.seen),
    ]
    return [(name, value.numpy()) for name, value in columns]


def lifted_names(header: LiftedHeader) -> Columns:
    """What all rows of ``lifted.npz`` have in common."""
    names = [("header", np.array(json.dumps(header_of(header)))), ("joint_names", np.array(header.skeleton.joints))]
    return [*names, ("skeleton", np.array(header.skeleton.name))]


def read_lifted(path: Path) -> tuple[LiftedHeader, Iterator[LiftedFrame]]:
    """Read ``lifted.json`` or ``lifted.jsonl``, frame by frame.

    Raises:
        InputError: the file is something else, or a number in it or a line is missing.
    """
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path}: is empty.")
    entries = [Entry(place, parse_json_line(line, place)) for number, line in lines for place in (f"{path}: {number}",)]
    header = _header(entries[0])
    frames = entries if entries[0].has("people") else entries[1:]
    if entries[0].has("frames") and (count := entries[0].at("frames").whole(least=0)) != len(frames):
        raise InputError(
            f"{path}: line 1 announces {count} frames, and {len(frames)} follow: lines are lost, "
            "run `dispose predict` again."
        )
    return header, (_frame(entry, header) for entry in frames)


def _header(entry: Entry) -> LiftedHeader:
    if entry.at("schema").text() != SCHEMA:
        raise InputError(f"{entry.place}: schema is {entry.at('schema').text()!r}, this version reads {SCHEMA!r}.")
    camera = entry.at("camera")
    width, height = (one.whole(least=1) for one in camera.at("size").items())
    matrix, lens = camera.at("matrix").matrix(), camera.at("distortion").numbers(8, 9)
    size, turn, here = (
        torch.tensor([width, height], dtype=torch.float64),
        torch.eye(3).double(),
        torch.zeros(3).double(),
    )
    # A fisheye's coefficients have bounds of every lens.
    check_view(
        entry.place, CameraParameters(camera.at("name").text(), size, matrix, lens[:8], turn, here, fisheye=True)
    )
    return LiftedHeader(
        entry.at("model").text(),
        entry.at("weights").text(),
        entry.at("source").text(),
        entry.at("keypoints").text(),
        LiftedCamera(
            camera.at("name").text(),
            (width, height),
            tuple(tuple(row) for row in matrix.tolist()),
            tuple(lens.tolist()),
            camera.at("told_by").text(),
        ),
        skeleton_of(entry.at("skeleton").text(), tuple(one.text() for one in entry.at("joints").items())),
        _hypotheses(entry.at("hypotheses")),
        entry.at("seed").whole(),
        entry.at("made_by").text(),
    )


def _hypotheses(entry: Entry) -> int:
    """How many a person has; `InputError` for more than anybody draws."""
    count = entry.whole(least=1)
    if count > MOST_HYPOTHESES:
        raise InputError(f"{entry.place}: is {count}; up to {MOST_HYPOTHESES:,} are read.")
    return count


MOST_HYPOTHESES = 100_000
FARTHEST_PX = 1e6


def _frame(entry: Entry, header: LiftedHeader) -> LiftedFrame:
    people, joints, count = list(entry.at("people").items()), len(header.skeleton), header.hypotheses
    keypoints = torch.zeros(len(people), joints, 3, dtype=torch.float64)
    xyz = torch.zeros(len(people), count, joints, 3, dtype=torch.float64)
    place = torch.zeros(len(people), count, 3, dtype=torch.float64)
    for row, person in enumerate(people):
        seen = list(person.at("keypoints").items())
        if len(seen) != joints:
            raise InputError(f"{person.place}: has {len(seen)} keypoints, not one of each of the {joints} joints.")
        for joint, one in enumerate(seen):
            if one.value is not None:
                keypoints[row, joint] = one.numbers(3)
        xyz[row] = person.at("hypotheses").numbers(count * joints * 3).reshape(count, joints, 3)
        place[row] = person.at("places").numbers(count * 3).reshape(count, 3)
    who = torch.tensor([person.at("person").whole(least=0) for person in people], dtype=torch.long)
    placed = Placed(Lifted(header.skeleton, xyz), place)
    score = keypoints[..., 2]
    for found, most in ((keypoints[..., :2], FARTHEST_PX), (xyz, FARTHEST), (place, FARTHEST)):
        if len(people) and not float(found.abs().max()) <= most:
            raise InputError(f"{entry.place}: a place of {float(found.abs().max()):g}, farther than anybody is.")
    if len(people) and not bool(((score >= 0) & (score <= 1)).all()):
        raise InputError(f"{entry.place}: a keypoint's score is outside [0, 1].")
    return LiftedFrame(entry.at("frame").whole(least=0), who, keypoints[..., :2], score, score > 0, placed)
