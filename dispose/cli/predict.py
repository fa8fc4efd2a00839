"""`dispose predict`: a capture folder in, consistent 3-D people out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import cv2
import torch
import tyro

from dispose.association.reconstruct import reconstruct
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.svt import svt
from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.formats.evidence import digest_of
from dispose.formats.images.series import ImageSeries
from dispose.inference.capture import (
    DETECTION_FOLDERS,
    IMAGE_FOLDERS,
    Capture,
    check_sizes,
    image_source_of,
    read_capture,
    read_image_capture,
    select_frames,
    source_of,
)
from dispose.inference.readings import Source, spans
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import ended_early, run
from dispose.models.dispose.model import DisPose, FrameByFrame, TwoStages
from dispose.models.dispose.sampling import SamplerConfig
from dispose.options import CaptureArgument, CountOption, PathOption, PositiveOption, TextOption, require_folder
from dispose.scene.frame import Frame
from dispose.scene.results import Associate, Association, Reconstruct, associate_each
from dispose.skeletons.catalog import by_name
from dispose.zoo.checkpoints import (
    PicturesModel,
    load_associator,
    load_image_model,
    shipped_associator_weights,
    shipped_image_weights,
)

FALLBACK_RATE_HZ = 30.0
BATCH, IMAGE_BATCH = 16, 4
"""Frames that are worked on together: enough for the overhead of one not to count, few enough for any memory."""
ADVICE_ON_DETECTIONS = "`dispose check` says whether units, axes and extrinsics of the calibration fit"
ADVICE_ON_IMAGES = (
    "the package's weights have seen synthetic people only, of a quarter to three quarters of a picture's height"
)

AssociatorName = Literal["learned", "hungarian", "greedy", "svt", "ilp"]

CLASSIC: dict[AssociatorName, tuple[str, Callable[[Frame], Association]]] = {
    "hungarian": ("incremental Hungarian", incremental_hungarian),
    "greedy": ("greedy agglomerative", greedy_agglomerative),
    "svt": ("SVT multi-way matching", svt),
    "ilp": ("integer programme", integer_programme),
}
"""How tables and pages call them, and what they are."""

SECOND_OPINION = partial(integer_programme, budget=100)
"""A quarter of the usual budget: a fifth of the time where ten cameras see many people, and the same groups."""


@dataclass(frozen=True, eq=False)
class Job:
    """Somebody who answers, and the frames they answer about.

    Attributes:
        source: the frames.
        associate: who is who.
        reconstruct: where every joint is.
        reference: a second opinion to keep beside the answer.
        batch: frames worked on together.
        files: what is written.
        advice: for those who find nobody.
    """

    source: Source
    associate: Associate
    reconstruct: Reconstruct
    reference: Callable[[Frame], Association] | None
    batch: int
    files: RunFiles
    advice: str


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
    steps: CountOption = None
    """Steps of the reverse diffusion (default: as the weights were chosen for)."""
    weights: PathOption = None
    """Weights as `dispose train` or `dispose zoo import` writes them (default: those of the package)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where pictures are looked at."""
    evidence: bool = True
    """Also write evidence.npz (detections, candidates, the integer programme's answer) for `dispose inspect`."""
    batch: CountOption = None
    """Frames worked on together (default: 16, of pictures 4)."""
    rate_hz: PositiveOption = None
    """Frames per second, for the times in TRC files (default: of videos/*, else 30)."""
    mm_per_unit: PositiveOption = None
    """How many mm one unit of a COLMAP calibration is."""

    def run(self) -> int:
        """Read, predict, write, and say what was found and what was lost."""
        for option, there in (("--weights", self.weights), ("--steps", self.steps)):
            if there is not None and self.associator in CLASSIC:
                what = "are given, but" if option == "--weights" else "is given, but"
                raise InputError(f"{option} {what} the associator {self.associator} has none.")
        take = self.of_pictures if self.takes_pictures() else self.of_detections
        folder, job = take()
        with results_folder(folder, job.files) as sink:
            progress = run(job.source, job.associate, job.reconstruct, sink, reference=job.reference, batch=job.batch)
        for sentence in (*progress.summary.sentences(), *ended_early(job.source, progress)):
            print(sentence)
        report_people(sink.people, job.advice)
        for path in sink.written:
            print(f"wrote {path}")
        return 0

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

    def of_detections(self) -> tuple[Path, Job]:
        """People from the 2-D skeletons that a detector found."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        capture = open_capture(self.capture, self.skeleton, self.calibration, self.detections, self.mm_per_unit)
        capture = select_frames(capture, *parse_frames(self.frames))
        folder, rate = self.folder_of(capture.source), self.rate_of(capture.source, capture.notes)
        if self.associator in CLASSIC:
            method, classic = CLASSIC[self.associator]
            associate, rebuild, weights = associate_each(classic), reconstruct, None
        else:
            associator, weights = load_associator(self.weights), self.weights or shipped_associator_weights()
            method, rebuild = "ours", associator.reconstruct
            associate = partial(associator.associate, sampler=self.sampler())
        second = SECOND_OPINION if self.evidence and self.associator != "ilp" else None
        batch = self.batch or BATCH
        inputs = self.inputs(capture, weights, batch)
        files = RunFiles(capture.source.resolve().name, method, rate, evidence=self.evidence, inputs=inputs)
        return folder, Job(source_of(capture), associate, rebuild, second, batch, files, ADVICE_ON_DETECTIONS)

    def of_pictures(self) -> tuple[Path, Job]:
        """People from what the cameras saw."""
        capture = open_image_capture(self.capture, self.calibration, self.pictures, self.mm_per_unit)
        capture = select_frames(capture, *parse_frames(self.frames))
        source = self.capture or capture.source
        folder = self.folder_of(source)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device is cuda, and there is no CUDA device; leave it out or say cpu.")
        model = load_image_model(self.weights).to(self.device)
        check_sizes(capture)
        rate, batch = self.rate_of(source, capture.notes), self.batch or IMAGE_BATCH
        inputs = self.inputs(capture, self.weights or shipped_image_weights(), batch)
        files = RunFiles(source.resolve().name, "DisPOSE", rate, evidence=self.evidence, inputs=inputs)
        stages = stages_of(model, self.sampler())
        if isinstance(stages, FrameByFrame):
            # It does not say which peaks it looked at: there are no detections to keep.
            files = replace(files, method="DisPOSE as released", evidence=False)
        frames = image_source_of(capture, model.config.input_size)
        return folder, Job(frames, stages.associate, stages.reconstruct, None, batch, files, ADVICE_ON_IMAGES)

    def sampler(self) -> SamplerConfig | None:
        """The sampler asked for; None for the usual one."""
        return None if self.steps is None else SamplerConfig(steps=self.steps)

    def inputs(self, capture: Capture, weights: Path | None, batch: int) -> tuple[tuple[str, str], ...]:
        """What a killed run must have been given to be gone on with."""
        cameras = capture.cameras
        tensors = (cameras.size, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
        rig = hashlib.sha256(b"".join(value.numpy().tobytes() for value in tensors)).hexdigest()
        numbers = capture.numbers
        return (
            ("capture", str(capture.source.resolve())),
            ("frames", f"{spans(numbers)} ({len(numbers)})"),
            ("cameras", f"{', '.join(cameras.names)} (calibration {rig[:12]})"),
            ("skeleton", capture.skeleton.name),
            ("associator", self.associator),
            ("weights", "none" if weights is None else f"{weights.name} ({digest_of(weights)[:12]})"),
            ("steps", "the usual" if self.steps is None else str(self.steps)),
            ("device", self.device),
            ("evidence", "kept" if self.evidence else "not kept"),
            ("batch", str(batch)),
            ("rate", f"{self.rate_hz or 'of the videos'}"),
        )

    def folder_of(self, source: Path) -> Path:
        """Where the results go."""
        return require_folder(self.out or Path("out") / source.resolve().name)

    def rate_of(self, source: Path, notes: Sequence[str]) -> float:
        """Say what was noticed on opening; frames per second as asked for, or the videos', or the usual."""
        for note in notes:
            print(note)
        rate = self.rate_hz if self.rate_hz is not None else video_rate_hz(source)
        if rate is None:
            print(f"no video tells the frame rate: TRC times count {FALLBACK_RATE_HZ:g} frames per second.")
        return rate or FALLBACK_RATE_HZ


def stages_of(model: PicturesModel, sampler: SamplerConfig | None = None) -> TwoStages | FrameByFrame:
    """A network for images as the two steps of a run; a released one has its own sampler."""
    if isinstance(model, DisPose):
        return TwoStages(model, sampler)
    if sampler is not None:
        raise InputError("--steps is given, but released weights have steps of their own.")
    return FrameByFrame(model, model.skeleton)


def video_rate_hz(folder: Path) -> float | None:
    """Frames per second of the capture's first readable video; None where there is none."""
    for path in sorted((folder / "videos").glob("*")):
        video = cv2.VideoCapture(str(path))
        rate = float(video.get(cv2.CAP_PROP_FPS)) if video.isOpened() else 0.0
        video.release()
        if rate > 0:
            return rate
    return None


def only_pictures(folder: Path) -> bool:
    """Whether a capture folder has pictures or videos and no folder of detections."""
    return any((folder / name).is_dir() for name in IMAGE_FOLDERS) and not any(
        (folder / name).is_dir() for name in DETECTION_FOLDERS
    )


def open_image_capture(
    folder: Path | None, calibration: Path | None, pictures: Path | None, mm_per_unit: float | None
) -> Capture[ImageSeries]:
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
) -> Capture[DetectionView]:
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


def report_people(people: Sequence[tuple[int, int]], advice: str) -> None:
    """Who was found, in words; `advice` for those who find nobody."""
    if not people:
        print(f"nobody was found; {advice}.")
        return
    print(f"{len(people)} people:")
    for person, frames in people[:20]:
        print(f"  id {person}: {frames} frames")
    if len(people) > 20:
        print(f"  and {len(people) - 20} more in at most {people[20][1]} frames each")
