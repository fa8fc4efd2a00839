"""`dispose detect`: from videos or images to the 2-D detections that `dispose predict` reads."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from dispose.cli.captures import FramesOption, parse_frames
from dispose.cli.drawing import draw
from dispose.cli.timing import video_facts
from dispose.errors import InputError
from dispose.formats.calibration.read import open_calibration
from dispose.formats.detections.manifest import read_manifest
from dispose.formats.images.series import open_image_series
from dispose.inference.capture import find_images
from dispose.inference.finding import DETECTION_FOLDERS, find_calibration, folder_named
from dispose.inference.pairing import match_names
from dispose.inference.sizes import size_of
from dispose.options import Count, CountOption, PathOption, one_of, require_folder
from dispose.preparation.detecting import SEARCH_EVERY, DetectAccount, DetectOrder, detect
from dispose.preparation.detector import Detector
from dispose.preparation.detectors import CPU, DETECTORS, MOVENET, detector_of

NOBODY_FOUND = 1
DETECTIONS = "pose"
"""The folder of a capture that detections go into; Pose2Sim's name for it."""


@dataclass(frozen=True)
class DetectCommand:
    """Find people in the videos or images of a capture and write their keypoints as OpenPose does.

    CAPTURE holds videos/CAMERA.* or images/CAMERA/*.jpg, or these files themselves. Written is
    pose/CAMERA_json/CAMERA_000000.json (of MoveNet COCO's 17 joints), which `dispose predict` and Pose2Sim read.
    `dispose detector install` fetches MoveNet's weights once.

    A run that was stopped goes on where it was by the same command, and frames that are there are not looked at again.

    Exit status 0: somebody was found; 1: nobody in any image; 2: cannot be read.
    """

    capture: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CAPTURE")]
    """The capture folder."""
    out: PathOption = None
    """Folder for the detections (default: pose/ of the capture)."""
    frames: FramesOption = None
    """Frame numbers A:B, from A up to and without B; either may be left out (default: all)."""
    detector: Annotated[str, one_of(*DETECTORS)] = MOVENET
    """Whose networks; others than MoveNet are installed apart (docs/detectors.md)."""
    models: PathOption = None
    """Folder of these networks' files, for work without internet (default: they fetch them themselves)."""
    search_every: Count = SEARCH_EVERY
    """In every so many frames newcomers are looked for in the whole image, in between around those who are there."""
    tiles: Count = 1
    """Newcomers are also looked for in so many parts of the image across and down, for wide scenes: slower."""
    careful: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Look at everybody twice in every frame: somewhat more accurate, half as fast."""
    device: Literal["cpu", "cuda"] = CPU
    """Where the networks run; those of rtmpose and rtmo run on the CPU only."""
    processes: CountOption = None
    """Cameras that are worked on at once (default: as many as there are cores)."""
    overlay: PathOption = None
    """Afterwards also draw the people into some images of every camera, as PNG files in this folder."""

    def run(self) -> int:
        """Look at every image once, and say what was found and what was lost."""
        folder = require_folder(self.out or own_folder(self.capture))
        order = detect_order(self.capture, folder, self.frames, self.search_every, self.processes)
        make = detector_of(self.detector, self.tiles, careful=self.careful, models=self.models, device=self.device)
        require_device(self.device)
        accounts = detect_and_say(self.capture, order, make)
        print(f"wrote {folder}; people in 3-D: dispose predict {self.capture}"
              f"{'' if self.out is None else f' --detections {folder}'}")  # fmt: skip
        if self.overlay is not None:
            # The library itself never imports what draws.
            words = [str(path) for path in (order.images, folder, self.overlay)]
            drawn = draw("dispose_viz.image.detections", *words)
            if drawn:
                return drawn
        return 0 if any(one.people for one in accounts.values()) else NOBODY_FOUND


def own_folder(capture: Path) -> Path:
    """`pose` of a capture; `InputError` where somebody else's detections are in it."""
    there = folder_named(capture, DETECTION_FOLDERS)
    if there is not None and (there.name != DETECTIONS or read_manifest(there) is None):
        raise InputError(f"{there}: there are detections already, which stay as they are; to make others, name a "
                         "folder for them with --out.")  # fmt: skip
    return capture / DETECTIONS


def detect_order(
    capture: Path, folder: Path, frames: str | None, search_every: int = SEARCH_EVERY, processes: int | None = None
) -> DetectOrder:
    """What is to be detected; by default one process for every camera or core, whichever are fewer."""
    images = find_images(capture)
    cameras = len(open_image_series(images))
    start, stop = parse_frames(frames)
    return DetectOrder(images, folder, start, stop, search_every, min(processes or cores(), cameras))


def require_device(device: str) -> None:
    """Raise `InputError` where the device is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, and there is no CUDA device; leave it out or say cpu.")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def detect_and_say(
    capture: Path, order: DetectOrder, make: Callable[[], Detector] | None = None, *, device: str = CPU
) -> dict[str, DetectAccount]:
    """Detect, with sentences about cameras before and about what was found and lost after it.

    By default with MoveNet, on a device.
    """
    cameras = [one.camera for one in open_image_series(order.images)]
    for note in (*footage_notes(order.images, cameras), *calibration_notes(capture, order.images)):
        print(note)
    accounts = detect(order, make or detector_of(device=device))
    for camera, one in accounts.items():
        kept = f", {one.kept} frames were there" if one.kept else ""
        mean = one.people / max(one.frames + one.kept, 1)
        print(f"camera {camera}: {one.frames} frames detected{kept}; {mean:.1f} people per frame.")
        for reason in one.reasons:
            print(f"lost: {reason}")
        if one.lost > len(one.reasons):
            print(f"lost: {one.lost - len(one.reasons)} further frames of camera {camera}.")
    if not any(one.people for one in accounts.values()):
        print("nobody was found in any image.")
    return accounts


def footage_notes(images: Path, cameras: list[str]) -> list[str]:
    """What differs between videos, in words: numbers of frames, frame rates."""
    videos = [one for one in zip(cameras, video_facts(images, cameras), strict=True) if one[1] is not None]
    notes = []
    for what, values in (
        ("numbers of frames", {name: one.frames for name, one in videos if one is not None}),
        ("frame rates", {name: round(one.rate_hz, 2) for name, one in videos if one is not None}),
    ):
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{name} {value:g}" for name, value in values.items())
            notes.append(f"videos have different {what}: {listed}.")
    return notes


def calibration_notes(capture: Path, images: Path) -> list[str]:
    """Cameras that the calibration does not know, or knows with images of another size; nothing where there is none."""
    try:
        rig = open_calibration(find_calibration(capture))
    except InputError:
        return []
    series = open_image_series(images)
    match = match_names(rig.cameras.names, [one.camera for one in series])
    notes = [f"camera {name} is not in the calibration: it is detected all the same." for name in match.only_detected]
    for i, j in match.pairs:
        name, size = series[j].camera, size_of(series[j])
        width, height = (round(side) for side in rig.cameras.size[i].tolist())
        if size is not None and name not in rig.guessed and size != (width, height):
            turned = ", as if one of them were turned" if size == (height, width) else ""
            notes.append(f"camera {name}: its images are {size[0]} x {size[1]}, those of the calibration "
                         f"{width} x {height}{turned}.")  # fmt: skip
    return notes
