"""`dispose predict`: a capture folder in, consistent 3-D people out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from dispose.association.reconstruct import reconstruct
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.svt import svt
from dispose.cli.options import CaptureArgument, PathOption, PositiveOption, TextOption, require_folder
from dispose.errors import InputError
from dispose.inference.capture import Capture, between, read_capture
from dispose.inference.predict import (
    Associate,
    CapturePrediction,
    Reconstruct,
    predict_capture,
    video_rate_hz,
    write_capture_prediction,
)
from dispose.skeletons.catalog import by_name

FALLBACK_RATE_HZ = 30.0

AssociatorName = Literal["learned", "hungarian", "greedy", "svt", "ilp"]


def learned(weights: Path | None) -> tuple[Associate, Reconstruct]:
    """Our associator, with the weights that come with the package or with others; it also places joints seen once."""
    from dispose.zoo.checkpoints import load_associator

    associator = load_associator(weights)
    return associator, associator.reconstruct


CLASSIC: dict[AssociatorName, Associate] = {
    "hungarian": incremental_hungarian,
    "greedy": greedy_agglomerative,
    "svt": svt,
    "ilp": integer_programme,
}


@dataclass(frozen=True)
class Predict:
    """Find out who is who and where every joint is, and write it as predictions.jsonl, .npz and TRC.

    CAPTURE is a folder as Pose2Sim users have it: one calibration in calib*/ (.toml in metres, or .json, .yml)
    and pose/CAMERA_json/*.json in OpenPose's form. Run `dispose check CAPTURE` first on a new one.
    """

    capture: CaptureArgument = None
    """The capture folder; not needed where --calibration and --detections are both given."""
    out: PathOption = None
    """Folder for the results (default: out/NAME of the capture)."""
    skeleton: TextOption = None
    """The detector's joints: coco_17, body_25, body_25b, halpe_26, … (default: told from the files)."""
    calibration: PathOption = None
    """A calibration elsewhere: TOML, JSON (own, Panoptic, Shelf/Campus), OpenCV YAML, COLMAP folder."""
    detections: PathOption = None
    """Detections elsewhere: folder of OpenPose folders, COCO result file, folder with one such file per camera."""
    frames: Annotated[str | None, tyro.conf.arg(metavar="A:B", help_behavior_hint="")] = None
    """Frame numbers A:B, from A up to and without B; either may be left out (default: all)."""
    associator: AssociatorName = "learned"
    """Who decides which detections are one person: ours (learned) or a classic one."""
    weights: PathOption = None
    """Weights of the learned associator, as `dispose train` writes them (default: those of the package)."""
    rate_hz: PositiveOption = None
    """Frames per second, for the times in TRC files (default: of videos/*, else 30)."""
    mm_per_unit: PositiveOption = None
    """How many mm one unit of a COLMAP calibration is."""

    def run(self) -> int:
        """Read, predict, write, and say what was found and what was lost."""
        if self.weights is not None and self.associator in CLASSIC:
            raise InputError(f"--weights are given, but the associator {self.associator} has none.")
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        capture = open_capture(self.capture, self.skeleton, self.calibration, self.detections, self.mm_per_unit)
        start, stop = parse_frames(self.frames)
        capture = between(capture, start, stop)
        name = capture.source.resolve().name
        folder = require_folder(self.out or Path("out") / name)
        for note in capture.notes:
            print(note)
        rate = self.rate_hz if self.rate_hz is not None else video_rate_hz(capture.source)
        if rate is None:
            print(f"no video tells the frame rate: TRC times count {FALLBACK_RATE_HZ:g} frames per second.")
        name_of = self.associator
        associate, rebuild = (CLASSIC[name_of], reconstruct) if name_of in CLASSIC else learned(self.weights)
        result = predict_capture(capture, associate, rebuild)
        report(result)
        for path in write_capture_prediction(folder, name, result, rate or FALLBACK_RATE_HZ):
            print(f"wrote {path}")
        return 0


def open_capture(
    folder: Path | None,
    skeleton: str | None,
    calibration: Path | None,
    detections: Path | None,
    mm_per_unit: float | None,
) -> Capture:
    """The capture that a command line describes."""
    if folder is None:
        if calibration is None or detections is None:
            raise InputError("name a capture folder, or both --calibration and --detections.")
        folder = detections if detections.is_dir() else detections.parent
    return read_capture(
        folder,
        skeleton=None if skeleton is None else by_name(skeleton),
        calibration=calibration,
        detections=detections,
        mm_per_unit=mm_per_unit,
    )


def parse_frames(text: str | None) -> tuple[int | None, int | None]:
    """The two ends of ``A:B``."""
    if text is None:
        return None, None
    start, colon, stop = text.partition(":")
    if not colon or not all(part == "" or part.lstrip("-").isdigit() for part in (start, stop)):
        raise InputError(f"--frames is {text!r}; it must be A:B with whole numbers, as in 100:200.")
    return int(start) if start else None, int(stop) if stop else None


def report(result: CapturePrediction) -> None:
    """Who was found, and what was lost, in words."""
    for sentence in result.summary.sentences():
        print(sentence)
    people = result.people()
    if not people:
        print("nobody was found; `dispose check` says whether units, axes and extrinsics of the calibration fit.")
        return
    print(f"{len(people)} people:")
    for person, frames in people[:20]:
        print(f"  id {person}: {frames} frames")
    if len(people) > 20:
        print(f"  and {len(people) - 20} more in at most {people[20][1]} frames each")
