"""`dispose predict`: a capture folder in, consistent 3-D people out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.svt import svt
from dispose.errors import InputError
from dispose.inference.capture import DETECTION_FOLDERS, Capture, read_capture, select_frames
from dispose.inference.image_capture import (
    IMAGE_FOLDERS,
    ImageCapture,
    check_sizes,
    read_image_capture,
    select_image_frames,
)
from dispose.inference.predict import (
    Associate,
    CapturePrediction,
    Reconstruct,
    Weigh,
    predict_capture,
    unweighed,
    video_rate_hz,
    write_capture_evidence,
    write_capture_prediction,
)
from dispose.inference.predict_pictures import predict_picture_capture
from dispose.options import CaptureArgument, PathOption, PositiveOption, TextOption, require_folder
from dispose.skeletons.catalog import by_name

FALLBACK_RATE_HZ = 30.0
ADVICE_ON_DETECTIONS = "`dispose check` says whether units, axes and extrinsics of the calibration fit"
ADVICE_ON_IMAGES = (
    "the package's weights have seen synthetic people only, of a quarter to three quarters of a picture's height"
)

AssociatorName = Literal["learned", "hungarian", "greedy", "svt", "ilp"]


def learned(weights: Path | None) -> tuple[Weigh, Reconstruct]:
    """Our associator, with the weights that come with the package or with others; it also places joints seen once."""
    from dispose.zoo.checkpoints import load_associator

    associator = load_associator(weights)
    return associator.weigh, associator.reconstruct_frame


CLASSIC: dict[AssociatorName, Associate] = {
    "hungarian": incremental_hungarian,
    "greedy": greedy_agglomerative,
    "svt": svt,
    "ilp": integer_programme,
}


SECOND_OPINION = partial(integer_programme, budget=100)
"""A quarter of the usual budget: a fifth of the time where ten cameras see many people, and the same groups."""

METHODS: dict[AssociatorName, str] = {
    "learned": "ours",
    "hungarian": "incremental Hungarian",
    "greedy": "greedy agglomerative",
    "svt": "SVT multi-way matching",
    "ilp": "integer programme",
}
"""How tables and pages call them."""


@dataclass(frozen=True)
class PredictCommand:
    """Find out who is who and where every joint is, and write it as predictions.jsonl, .npz and TRC.

    CAPTURE is a folder as Pose2Sim users have it: one calibration in calib*/ (.toml in metres, or .json, .yml)
    and pose/CAMERA_json/*.json in OpenPose's form. Run `dispose check CAPTURE` first on a new one.

    With --from-pictures, or where there are no detections, people are looked for in images/CAMERA/*.jpg or
    videos/CAMERA.* instead; the weights that come with the package have seen synthetic pictures only.
    """

    capture: CaptureArgument = None
    """The capture folder; not needed where --calibration and --detections (or --pictures) are both given."""
    out: PathOption = None
    """Folder for the results (default: out/NAME of the capture)."""
    from_pictures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Find people in the pictures, whatever detections there are."""
    skeleton: TextOption = None
    """The detector's joints: coco_17, body_25, body_25b, halpe_26, … (default: told from the files)."""
    calibration: PathOption = None
    """A calibration elsewhere: TOML, JSON (own, Panoptic, Shelf/Campus), OpenCV YAML, COLMAP folder."""
    detections: PathOption = None
    """Detections elsewhere: folder of OpenPose folders, COCO result file, folder with one such file per camera."""
    pictures: PathOption = None
    """Pictures elsewhere, to find people in: folder with a folder of pictures, or a video, per camera."""
    frames: Annotated[str | None, tyro.conf.arg(metavar="A:B", help_behavior_hint="")] = None
    """Frame numbers A:B, from A up to and without B; either may be left out (default: all)."""
    associator: AssociatorName = "learned"
    """Who decides which detections are one person: ours (learned) or a classic one."""
    weights: PathOption = None
    """Weights as `dispose train` or `dispose zoo import` writes them (default: those of the package)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where pictures are looked at."""
    evidence: bool = True
    """Also write evidence.npz (detections, candidates, the integer programme's answer) for `dispose inspect`."""
    rate_hz: PositiveOption = None
    """Frames per second, for the times in TRC files (default: of videos/*, else 30)."""
    mm_per_unit: PositiveOption = None
    """How many mm one unit of a COLMAP calibration is."""

    def run(self) -> int:
        """Read, predict, write, and say what was found and what was lost."""
        if self.weights is not None and self.associator in CLASSIC:
            raise InputError(f"--weights are given, but the associator {self.associator} has none.")
        return self.of_pictures() if self.takes_pictures() else self.of_detections()

    def takes_pictures(self) -> bool:
        """Whether people are to be found in pictures; without detections they are, and that is said."""
        if self.from_pictures or self.pictures is not None:
            self.refuse_with_pictures("people are to be found in pictures")
            return True
        if self.capture is None or self.detections is not None or not only_pictures(self.capture):
            if self.device != "cpu":
                raise InputError(f"--device is {self.device}, but only pictures are looked at there, not detections.")
            return False
        self.refuse_with_pictures(f"{self.capture} has pictures only")
        print(f"{self.capture}: no detections ({', '.join(DETECTION_FOLDERS)}): people are found in its pictures.")
        return True

    def refuse_with_pictures(self, why: str) -> None:
        """Raise `InputError` for options that speak of detections."""
        given = (
            ("--detections", self.detections is not None),
            ("--skeleton", self.skeleton is not None),
            ("--associator", self.associator != "learned"),
        )
        for option, there in given:
            if there:
                raise InputError(f"{option} speaks of detections, but {why}.")

    def of_detections(self) -> int:
        """People from the 2-D skeletons that a detector found."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        capture = open_capture(self.capture, self.skeleton, self.calibration, self.detections, self.mm_per_unit)
        capture = select_frames(capture, *parse_frames(self.frames))
        name = capture.source.resolve().name
        folder = require_folder(self.out or Path("out") / name)
        rate = self.rate_of(capture.source, capture.notes)
        method, reference = self.associator, SECOND_OPINION if self.wants_rival() else None
        weigh, rebuild = (unweighed(CLASSIC[method]), reconstruct_frame) if method in CLASSIC else learned(self.weights)
        result = predict_capture(capture, weigh, rebuild, reference=reference)
        report(result, ADVICE_ON_DETECTIONS)
        written = write_capture_prediction(folder, name, result, rate)
        if self.evidence:
            written += write_capture_evidence(folder, name, METHODS[method], result)
        return tell_written(written)

    def wants_rival(self) -> bool:
        """Whether the integer programme is asked for a second opinion."""
        return self.evidence and self.associator != "ilp"

    def of_pictures(self) -> int:
        """People from what the cameras saw."""
        from dispose.zoo.checkpoints import load_image_model

        capture = open_image_capture(self.capture, self.calibration, self.pictures, self.mm_per_unit)
        capture = select_image_frames(capture, *parse_frames(self.frames))
        source = self.capture or capture.source
        name = source.resolve().name
        folder = require_folder(self.out or Path("out") / name)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device is cuda, and there is no CUDA device; leave it out or say cpu.")
        model = load_image_model(self.weights).to(self.device)
        check_sizes(capture)
        rate = self.rate_of(source, capture.notes)
        result = predict_picture_capture(capture, model, model.config.input_size, skeleton=model.skeleton)
        report(result, ADVICE_ON_IMAGES)
        return tell_written(write_capture_prediction(folder, name, result, rate))

    def rate_of(self, source: Path, notes: Sequence[str]) -> float:
        """Say what was noticed on opening; frames per second as asked for, or the videos', or the usual."""
        for note in notes:
            print(note)
        rate = self.rate_hz if self.rate_hz is not None else video_rate_hz(source)
        if rate is None:
            print(f"no video tells the frame rate: TRC times count {FALLBACK_RATE_HZ:g} frames per second.")
        return rate or FALLBACK_RATE_HZ


def tell_written(paths: Sequence[Path]) -> int:
    """Say which files there are now; the exit status."""
    for path in paths:
        print(f"wrote {path}")
    return 0


def only_pictures(folder: Path) -> bool:
    """Whether a capture folder has pictures or videos and no folder of detections."""
    return any((folder / name).is_dir() for name in IMAGE_FOLDERS) and not any(
        (folder / name).is_dir() for name in DETECTION_FOLDERS
    )


def open_image_capture(
    folder: Path | None, calibration: Path | None, pictures: Path | None, mm_per_unit: float | None
) -> ImageCapture:
    """The capture of pictures that a command line describes."""
    if folder is None:
        if calibration is None or pictures is None:
            raise InputError("name a capture folder, or both --calibration and --pictures.")
        folder = pictures
    return read_image_capture(folder, calibration=calibration, pictures=pictures, mm_per_unit=mm_per_unit)


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


def report(result: CapturePrediction, advice: str) -> None:
    """Who was found, and what was lost, in words; `advice` for those who find nobody."""
    for sentence in result.summary.sentences():
        print(sentence)
    people = result.people()
    if not people:
        print(f"nobody was found; {advice}.")
        return
    print(f"{len(people)} people:")
    for person, frames in people[:20]:
        print(f"  id {person}: {frames} frames")
    if len(people) > 20:
        print(f"  and {len(people) - 20} more in at most {people[20][1]} frames each")
