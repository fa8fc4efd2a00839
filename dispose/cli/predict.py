"""`dispose predict`: a capture folder in, consistent 3-D people out."""

import hashlib
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from dispose.baselines.integer_programme import integer_programme
from dispose.cli.captures import CaptureOptions, FramesOption, MarkersOption, only_images, parse_frames, report_people
from dispose.cli.detect import detect_and_say, detect_order, require_device
from dispose.cli.jobs import ADVICE_ON_DETECTIONS, ADVICE_ON_IMAGES, DRAWN, Job, stages_of
from dispose.cli.lifting import LiftOptions, LiftOrder, RigWords, lift
from dispose.cli.smooth import SmoothCommand
from dispose.cli.timing import TimeOptions, Timing, say_times, synchronised, timing_of
from dispose.errors import InputError
from dispose.evaluation.classic import CLASSIC, classic
from dispose.formats.detections.people import DetectionView
from dispose.formats.files import digest_of
from dispose.formats.images.series import ImageSeries
from dispose.formats.marker_names import MARKER_NAMES
from dispose.inference.capture import Capture, image_source_of, read_image_capture, select_frames, source_of
from dispose.inference.finding import DETECTION_FOLDERS
from dispose.inference.pictures import InPictures, pictures_beside
from dispose.inference.readings import spans
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import after_the_last, each_alone, ended_early, in_windows, run
from dispose.inference.single_view import SingleViews
from dispose.inference.sizes import check_sizes
from dispose.inference.timing import retimed
from dispose.inference.tracking import TrackingConfig, nobody_is_followed
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.model import TwoStages
from dispose.models.dispose.sampling import SamplerConfig
from dispose.options import (
    CountOption,
    PathOption,
    Positive,
    PositiveOption,
    TextOption,
    one_of,
    require_folder,
)
from dispose.scene.results import Reconstruct, associate_each
from dispose.skeletons.catalog import by_name
from dispose.zoo.checkpoints import (
    load_associator,
    load_image_model,
    shipped_associator_weights,
    shipped_image_weights,
)
from dispose.zoo.lifters import lifter_weights, load_keypoint_lifter
from dispose.zoo.triangulators import (
    DEFAULT_TRIANGULATOR,
    EVERY_NAME,
    LOOK_AT_PICTURES,
    load_picture_triangulator,
    load_reconstruction,
    looks_at_pictures,
    weights_of,
)

NOBODY_FOUND = 1
"""The exit status where nobody is found in any frame."""
CLASSICS = tuple(one.option for one in reversed(CLASSIC))

WITH_MODEL = ("capture", "calibration", "mm_per_unit", "up", "skeleton", "weights", "out", "frames", "one_camera")
"""Options that mean something for one camera too."""

SECOND_OPINION = partial(integer_programme, budget=100)
"""A quarter of the usual budget: a fifth of the time where ten cameras see many people, and the same groups."""


MOST_STEPS = 10_000


@dataclass(frozen=True)
class PredictCommand(CaptureOptions):
    """Find out who is who and where every joint is, and write it as predictions.jsonl, .npz and TRC.

    CAPTURE is a folder as Pose2Sim users have it: one calibration in calib*/ (.toml in metres, or .json, .yml)
    and pose/CAMERA_json/*.json in OpenPose's form. Run `dispose check CAPTURE` first on a new one.

    Where there are videos/CAMERA.* or images/CAMERA/*.jpg and no detections, people are detected first, as `dispose
    detect` does, into detections/ of the results. --from-pictures runs the image network instead: on real images only
    with --weights of your own, the package's have seen drawn people.

    With --model, CAPTURE is one image or video of one camera: everybody in it gets many poses that fit, as
    lifted.json (or .jsonl), .npz and a figure, from --keypoints of any detector.

    Exit status 0: somebody was found; 1: nobody in any frame, and why; 2: cannot be read.
    """

    out: PathOption = None
    """Folder for the results (default: out/NAME of the capture)."""
    from_pictures: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Find people by the image network, without a detector, whatever detections there are."""
    pictures: PathOption = None
    """Images elsewhere, to find people in: folder with a folder of images, or a video, per camera."""
    frames: FramesOption = None
    """Frame numbers A:B, from A up to and without B; either may be left out (default: all)."""
    associator: Annotated[str, one_of("learned", *CLASSICS)] = "learned"
    """Who decides which detections are one person: ours (learned) or a classic one."""
    steps: CountOption = None
    """Steps of the reverse diffusion (default: as the weights were chosen for)."""
    triangulator: Annotated[str, one_of(*EVERY_NAME)] = DEFAULT_TRIANGULATOR
    """What turns the keypoints of a group into joints: all views alike (dlt), those left out that contradict the others
    (robust), the place on which most views agree (ransac), learned weights (algebraic, hybrid), rays and what bodies
    are like (rays); or a network that looks at the pictures around people (volumetric, and algebraic with weights
    that do)."""
    triangulator_weights: PathOption = None
    """Weights of a triangulator that learns (default: those of the package; for pictures there are none)."""
    past: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Let the people of the last frames take part in deciding who is who: better where few cameras see a crowd, two to
    five times slower."""
    window: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Let the people of the frames before and after take part in deciding who is who: in crowds fewer wrong groups, and
    numbers change less; up to five times slower than every frame by itself."""
    weights: PathOption = None
    """Weights as `dispose train` or `dispose zoo import` writes them (default: those of the package)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where pictures are looked at, by the detector too."""
    evidence: bool = True
    """Also write evidence.npz (detections, candidates, the integer programme's answer) for `dispose inspect`."""
    batch: CountOption = None
    """Frames worked on together (default: 16, of pictures 4)."""
    rate_hz: PositiveOption = None
    """Frames per second, for times in files and for how long somebody may be gone (default: of videos/*, else 30)."""
    patience_s: Positive = TrackingConfig().patience_s
    """For so many seconds somebody may be unseen and keeps their number."""
    synchronise: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Shift the cameras as `dispose check` finds that they are late."""
    timing: tyro.conf.OmitArgPrefixes[TimeOptions] = TimeOptions()
    markers: MarkersOption = "pose2sim"
    """What markers are called in TRC files: as in Pose2Sim's OpenSim models (RAnkle), or as here (r_ankle)."""
    smooth: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Afterwards also bring all frames of a person to agree, as `dispose smooth` does, into a folder of its own
    (that of the results with -smooth behind it)."""
    single_view: TextOption = None
    """Also say where people and joints are that one camera alone sees, by a lifter of this name (default: nothing is
    said of whom no second camera confirms)."""
    one_camera: tyro.conf.OmitArgPrefixes[LiftOptions] = LiftOptions()

    def run(self) -> int:
        """Read, predict, write, and say what was found and what was lost."""
        if self.one_camera.model is not None:
            return lift(self.of_one_camera())
        for option in fields(LiftOptions):
            if vars(self.one_camera)[option.name] != option.default:
                raise InputError(f"--{option.name.replace('_', '-')} speaks of one camera; say --model NAME with it.")
        for given, there in (("--weights are", self.weights), ("--steps is", self.steps)):
            if there is not None and self.associator in CLASSICS:
                raise InputError(f"{given} given, but the associator {self.associator} has none.")
        if self.past and self.associator in CLASSICS:
            raise InputError(f"--past is given, but the associator {self.associator} decides every frame by itself.")
        if self.past and self.window:
            raise InputError("--past and --window are given; the window has the frames of the past in it: leave --past "
                             "out.")  # fmt: skip
        images = self.from_pictures
        if self.needs_detector():
            return self.detected().run()
        self.refuse_options()
        if self.over_time and images:
            raise InputError(f"{self.over_time} is given, but people in images are found in every frame by itself.")
        if self.over_time and self.looks():
            raise InputError(f"{self.over_time} is given, but the triangulator {self.triangulator} may say other "
                             "joints than are detected.")  # fmt: skip
        capture: Capture[Any] = self.open_images() if images else self.open_detections(self.timing.shift)
        capture = select_frames(capture, *parse_frames(self.frames))
        source = self.capture or capture.source
        folder = require_folder(self.out or Path("out") / source.resolve().name)
        for note in capture.notes:
            print(note)
        times = self.times(capture, images=images)
        if times.rate_hz is None and self.smooth:
            raise InputError("--smooth needs the frame rate, and no video tells it; give --rate-hz.")
        say_times(capture, times)
        job = self.of_images(capture) if images else self.of_detections(capture)
        job = replace(job, source=retimed(job.source, times.clocks))
        evidence, batch = self.evidence and job.evidence, self.batch or job.batch
        files = RunFiles(source.resolve().name, self.method_of(job), times.rate, times.rate_hz is not None,
                         evidence=evidence, markers=MARKER_NAMES[self.markers],
                         inputs=self.inputs(capture, job.weights, batch, times), warnings=job.warnings,
                         tracking=TrackingConfig(times.rate, patience_s=self.patience_s))  # fmt: skip
        with results_folder(folder, files, len(job.source.numbers)) as sink:
            progress = run(
                job.source,
                job.associate,
                job.reconstruct,
                sink,
                reference=job.reference,
                batch=batch,
                decide=after_the_last if self.past else in_windows if self.window else each_alone,
            )
        said = (*progress.summary.sentences(), *job.lost(), *ended_early(job.source, progress))
        for sentence in (*said, *nobody_is_followed(job.source.numbers, files.tracking), *job.warnings):
            print(sentence)
        report_people(sink.people, progress.summary.why_nobody(job.advice), sink.without_joints, sink.errors_mm)
        for path in sink.written:
            print(f"wrote {path}")
        if self.smooth and sink.people:
            return SmoothCommand(folder, markers=self.markers).run()
        placed = sum(frames for _, frames in sink.people) > sink.without_joints
        return 0 if placed else NOBODY_FOUND

    @property
    def over_time(self) -> str:
        """The option by which other frames take part; empty without one."""
        return "--past" if self.past else "--window" if self.window else ""

    def method_of(self, job: Job) -> str:
        """Who answers, and which other frames take part: what files say of a run."""
        return job.method + (", frames before" if self.past else ", frames around" if self.window else "")

    def times(self, capture: Capture[Any], *, images: bool) -> Timing:
        """The clocks of the cameras; `InputError` where pictures would be looked at that are not shifted."""
        times = timing_of(capture, self.timing, self.rate_hz)
        if self.synchronise:
            times, found = synchronised(capture, times)
            print(found)
        if self.looks() and times.retimes and not images:
            raise InputError(f"the triangulator {self.triangulator} looks at pictures by their number, but cameras are "
                             "shifted or of different rates; choose another --triangulator.")  # fmt: skip
        return times

    def of_one_camera(self) -> LiftOrder:
        """What is to be lifted; `InputError` for options that speak of several cameras."""
        for option in fields(self):
            if option.name not in WITH_MODEL and vars(self)[option.name] != option.default:
                name = option.name.replace("_", "-")
                raise InputError(f"--{name} speaks of captures of several cameras, but --model lifts one.")
        return LiftOrder(
            self.one_camera,
            self.capture,
            self.calibration,
            RigWords(self.mm_per_unit, self.up),
            None if self.skeleton is None else by_name(self.skeleton),
            self.weights,
            self.out,
            parse_frames(self.frames),
        )

    def needs_detector(self) -> bool:
        """Whether there are images and no detections yet."""
        only = self.pictures is not None or (self.capture is not None and only_images(self.capture))
        return only and self.detections is None and not self.from_pictures

    def detected(self) -> "PredictCommand":
        """The same command on the detections that are now there; people are detected where they were not yet."""
        place = self.capture or self.pictures
        if place is None or (self.capture is None and self.calibration is None):
            raise InputError("name a capture folder, or both --calibration and --pictures.")
        require_device(self.device)
        if self.associator not in CLASSICS:
            load_associator(self.weights)  # what cannot be used is refused before the long work
        out = require_folder(self.out or Path("out") / place.resolve().name)
        print(f"{place}: no detections ({', '.join(DETECTION_FOLDERS)}): people are detected first.")
        order = detect_order(self.pictures or place, out / "detections", self.frames)
        detect_and_say(place, order, device=self.device)
        device = self.device if self.looks() else "cpu"
        return replace(self, out=out, detections=out / "detections", pictures=None, device=device)

    def refuse_options(self) -> None:
        """Raise `InputError` for options that do not belong to what is looked at."""
        if not self.from_pictures:
            if self.device != "cpu" and not self.looks():
                raise InputError(f"--device is {self.device}, but only pictures are looked at there, not detections.")
            return
        associator = None if self.associator == "learned" else self.associator
        looks = self.triangulator in LOOK_AT_PICTURES
        triangulator = None if looks or self.triangulator == DEFAULT_TRIANGULATOR else self.triangulator
        given = (
            ("--detections", self.detections),
            ("--skeleton", self.skeleton),
            ("--associator", associator),
            ("--triangulator", triangulator),
            ("--triangulator-weights", None if looks else self.triangulator_weights),
            ("--single-view", self.single_view),
            ("--synchronise", self.synchronise or None),
        )
        for option, there in given:
            if there is not None:
                raise InputError(f"{option} speaks of detections, but people are to be found in pictures.")

    def open_images(self) -> Capture[ImageSeries]:
        """The capture of images that the options describe."""
        folder = self.capture or self.pictures
        if folder is None or (self.capture is None and self.calibration is None):
            raise InputError("name a capture folder, or both --calibration and --pictures.")
        return read_image_capture(
            folder, self.calibration, self.pictures, self.mm_per_unit, up=self.up, told=self.cameras
        )

    def of_detections(self, capture: Capture[DetectionView]) -> Job:
        """People from the 2-D skeletons that a detector found."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        second = SECOND_OPINION if self.evidence and self.associator != "ilp" else None
        learned, who, weights = None, self.associator, None
        if self.associator in CLASSICS:
            one = classic(self.associator)
            who, associate = one.name, associate_each(one.associate)
        else:
            learned, weights = load_associator(self.weights), self.weights or shipped_associator_weights()
            who, associate = "ours", partial(learned.associate, sampler=self.sampler())
        job = Job(source_of(capture), who, associate, self.start(learned), weights, 16, ADVICE_ON_DETECTIONS, second)
        if not self.looks():
            return job
        pictures = pictures_beside(
            capture, self.capture, self.calibration, self.mm_per_unit, up=self.up, told=self.cameras,
            needed_by=self.triangulator,
        )  # fmt: skip
        place = self.in_pictures(pictures, job.reconstruct)
        return replace(job, reconstruct=place, lost=place.sentences)

    def start(self, associator: Associator | None) -> Reconstruct:
        """Joints from the keypoints of groups: the answer, or where the network that looks at pictures begins."""
        if self.looks():
            return load_reconstruction(associator=associator)
        several = load_reconstruction(self.triangulator, self.triangulator_weights, associator=associator)
        return several if self.single_view is None else SingleViews(several, load_keypoint_lifter(self.single_view))

    def looks(self) -> bool:
        """Whether the triangulator looks at pictures."""
        return looks_at_pictures(self.triangulator, self.triangulator_weights)

    def in_pictures(self, pictures: Capture[ImageSeries], start: Reconstruct) -> InPictures:
        """Joints by the pictures around those whom somebody has placed."""
        require_device(self.device)
        place = load_picture_triangulator(self.triangulator, self.triangulator_weights, self.device)
        return InPictures(pictures, start, place)

    def of_images(self, capture: Capture[ImageSeries]) -> Job:
        """People from what the cameras saw."""
        require_device(self.device)
        model = load_image_model(self.weights).to(self.device)
        check_sizes(capture.cameras, capture.views)
        stages, weights = stages_of(model, self.sampler()), self.weights or shipped_image_weights()
        warnings = () if self.weights else (DRAWN,)
        print("\n".join(warnings), end="\n" * len(warnings))
        frames = image_source_of(capture, model.config.input_size)
        # A released model does not say which peaks it looked at: there are no detections to keep.
        ours = isinstance(stages, TwoStages)
        method = "DisPOSE" if ours else "DisPOSE as released"
        job = Job(frames, method, stages.associate, stages.reconstruct, weights, 4, ADVICE_ON_IMAGES, evidence=ours,
                  warnings=warnings)  # fmt: skip
        if self.triangulator not in LOOK_AT_PICTURES:
            return job
        # Opened a second time: the frames are read ahead by another thread.
        place = self.in_pictures(self.open_images(), job.reconstruct)
        return replace(job, reconstruct=place, lost=place.unplaced)

    def lonely_by(self, name: str) -> str:
        """Who speaks of what one view alone sees."""
        return f"{name}, {described(lifter_weights(name))}"

    def sampler(self) -> SamplerConfig | None:
        """The sampler asked for; None for the usual one. `InputError` for more steps than anybody waits for."""
        if (self.steps or 0) > MOST_STEPS:
            raise InputError(f"--steps is {self.steps}; the reverse diffusion takes at most {MOST_STEPS:,}.")
        return None if self.steps is None else SamplerConfig(steps=self.steps)

    def inputs(self, capture: Capture, weights: Path | None, batch: int, times: Timing) -> tuple[tuple[str, str], ...]:
        """What a killed run must have been given to be gone on with."""
        cameras = capture.cameras
        tensors = (cameras.size, cameras.matrix, cameras.lens, cameras.rotation, cameras.translation)
        rig = hashlib.sha256(b"".join(value.numpy().tobytes() for value in tensors)).hexdigest()
        numbers = capture.numbers
        learned = weights_of(self.triangulator, self.triangulator_weights)
        return (
            ("capture", str(capture.source.resolve())),
            ("frames", f"{spans(numbers)} ({len(numbers)})"),
            ("cameras", f"{', '.join(cameras.names)} (calibration {rig[:12]})"),
            ("skeleton", capture.skeleton.name),
            ("associator", self.associator),
            ("weights", "none" if weights is None else described(weights)),
            ("triangulator", self.triangulator if learned is None else f"{self.triangulator}, {described(learned)}"),
            ("single views", "say nothing" if self.single_view is None else self.lonely_by(self.single_view)),
            ("steps", "the usual" if self.steps is None else str(self.steps)),
            ("past", "takes part" if self.past else "takes no part"),
            ("frames around", "take part" if self.window else "take no part"),
            ("device", self.device),
            ("evidence", "kept" if self.evidence else "not kept"),
            ("batch", str(batch)),
            ("rate", f"{self.rate_hz or 'of the videos'}"),
            ("patience", f"{self.patience_s:g} s"),
            ("times", ", ".join(f"{clock.shift:+g} x {clock.ratio:g}" for clock in times.clocks)),
        )


def described(weights: Path) -> str:
    """A file of weights by its name and content."""
    return f"{weights.name} ({digest_of(weights)[:12]})"
