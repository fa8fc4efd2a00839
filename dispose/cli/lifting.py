"""What `dispose predict --model` takes and does: one image, or one video, of one camera."""

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

import dispose
from dispose.cli.drawing import draw
from dispose.errors import InputError, MissingBackendError
from dispose.formats.calibration.read import open_calibration
from dispose.formats.files import digest_of
from dispose.formats.images.series import ImageSeries
from dispose.formats.lifted import ARRAYS, IMAGE_FILE, VIDEO_FILE, LiftedCamera, LiftedHeader
from dispose.formats.provenance import commit
from dispose.inference.lifting import Lifting, lift_image, lift_video
from dispose.inference.one_camera import (
    Lens,
    focal_of_field,
    lens_of_calibration,
    lens_of_focal,
    open_one_camera,
    open_pictures,
    size_of,
)
from dispose.options import CountOption, PathOption, PositiveOption, TextOption, require_folder
from dispose.skeletons.skeleton import Skeleton
from dispose.zoo.lifters import HYPOTHESES, find_lifter, lifter_weights, load_lifter

MOST_NOTES = 5
WholeOption = Annotated[int | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")]


@dataclass(frozen=True)
class RigWords:
    """What is said of a calibration beside the file: its unit, mm, and its world's axis that points up."""

    mm_per_unit: float | None = None
    up: str | None = None


@dataclass(frozen=True)
class LiftOptions:
    """People of one camera: poses from a single image."""

    model: TextOption = None
    """Lift one image, or a video frame by frame, by this network: CAPTURE is the image or the video."""
    keypoints: PathOption = None
    """The detector's file of that image (OpenPose's JSON, COCO results), or its folder of images or of a video."""
    camera: TextOption = None
    """Which camera of the calibration took it (default: the only one, or the one it is named after)."""
    focal_px: PositiveOption = None
    """Without a calibration: focal length in pixels."""
    fov_deg: PositiveOption = None
    """Without either: what the lens sees from left to right, degrees."""
    person: WholeOption = None
    """Lift this person of the detector's file alone, counted from 0 (default: everybody)."""
    hypotheses: CountOption = None
    """Poses of everybody (default: 200, and 1 of a network that gives one)."""
    seed: int = 0
    """Of all that is drawn: the same poses for the same number."""
    figure: bool = True
    """Draw lifted.png, or lifted.gif of a video."""

    def lens(self, pictures: ImageSeries, path: Path, calibration: Path | None, words: RigWords) -> Lens:
        """The camera as it is told. Raises `InputError` where it is not told, or twice."""
        told = [
            ("--calibration", calibration is not None),
            ("--focal-px", self.focal_px is not None),
            ("--fov-deg", self.fov_deg is not None),
        ]
        given = [name for name, there in told if there]
        if not given:
            raise InputError(
                f"{path}: nothing says what lens took it; give --calibration FILE (with --camera NAME where it has "
                "several), --focal-px PIXELS or --fov-deg DEGREES."
            )
        if len(given) > 1:
            raise InputError(f"{' and '.join(given)} are given; one of them says what lens took {path}.")
        if calibration is not None:
            rig = open_calibration(calibration, mm_per_unit=words.mm_per_unit, up=words.up)
            lens = lens_of_calibration(rig.cameras, calibration, path, self.camera)
            if lens.cameras.names[0] not in rig.guessed:
                return lens
            size = torch.tensor([size_of(pictures)], dtype=torch.float64)
            return replace(lens, cameras=replace(lens.cameras, size=size))
        if self.camera is not None:
            raise InputError(f"--camera is {self.camera!r}, but there is no --calibration that knows cameras by name.")
        size = size_of(pictures)
        if self.focal_px is not None:
            return lens_of_focal(size, self.focal_px, f"--focal-px {self.focal_px:g}")
        assert self.fov_deg is not None
        return lens_of_focal(size, focal_of_field(size[0], self.fov_deg), f"--fov-deg {self.fov_deg:g}")


@dataclass(frozen=True)
class LiftOrder:
    """What is lifted: `LiftOptions` and those options of captures that mean something here."""

    options: LiftOptions
    path: Path | None
    calibration: Path | None
    rig: RigWords
    skeleton: Skeleton | None
    weights: Path | None
    out: Path | None
    frames: tuple[int | None, int | None]


def lift(order: LiftOrder) -> int:
    """Read, lift, write, draw, and say what was found; the exit status."""
    options, path = order.options, order.path
    assert options.model is not None
    row = find_lifter(options.model)
    if path is None or options.keypoints is None:
        raise InputError("--model lifts people from one camera: name an image or a video, and --keypoints FILE.")
    if options.figure and importlib.util.find_spec("matplotlib") is None:
        raise MissingBackendError("pictures need the package matplotlib: pip install 'dispose[viz]', or --no-figure.")
    weights = lifter_weights(options.model, order.weights)
    lifter = load_lifter(options.model, order.weights, options.hypotheses)
    pictures = open_pictures(path)
    lens = options.lens(pictures, path, order.calibration, order.rig)
    camera = open_one_camera(pictures, options.keypoints, lens, order.skeleton)
    folder = require_folder(order.out or Path("out") / path.stem)
    for note in (f"lens: {lens.told_by}.", *camera.notes):
        print(note)
    header = LiftedHeader(
        model=row.name,
        weights=f"{weights.name} ({digest_of(weights)[:12]})",
        source=str(path.resolve()),
        keypoints=str(options.keypoints.resolve()),
        camera=camera_of(lens),
        skeleton=lifter.skeleton,
        hypotheses=options.hypotheses or (HYPOTHESES if row.several else 1),
        seed=options.seed,
        made_by=f"dispose {dispose.__version__}, commit {commit()}",
    )
    lifting = Lifting(camera, lifter, row.looks, options.seed, options.person)
    notes = lift_them(lifting, header, folder, order.frames)
    for note in notes[:MOST_NOTES]:
        print(note)
    if len(notes) > MOST_NOTES:
        print(f"and {len(notes) - MOST_NOTES} more sentences of this kind.")
    for name in (VIDEO_FILE if camera.video else IMAGE_FILE, ARRAYS):
        print(f"wrote {folder / name}")
    return draw_people(folder) if options.figure else 0


def lift_them(
    lifting: Lifting, header: LiftedHeader, folder: Path, ends: tuple[int | None, int | None]
) -> tuple[str, ...]:
    """Lift the image or the frames of the video, and say whom; sentences about what was left out."""
    if not lifting.camera.video:
        if ends != (None, None):
            raise InputError("--frames is given, but there is one image.")
        frame, notes = lift_image(lifting, header, folder)
        print(f"{len(frame)} people, {header.hypotheses} poses each:")
        for person, metres in zip(frame.person.tolist(), frame.placed.place[..., 2] / 1000, strict=True):
            spread = f", give or take {float(metres.std()):.2f} m" if header.hypotheses > 1 else ""
            print(f"  person {person}: {float(metres.mean()):.1f} m away{spread}")
        return notes
    start, stop = ends
    numbers = [n for n in lifting.camera.numbers if (start is None or n >= start) and (stop is None or n < stop)]
    if not numbers:
        raise InputError(f"{header.keypoints}: no frame with keypoints in --frames.")
    people, notes = lift_video(lifting, header, folder, numbers)
    print(f"{len(numbers)} frames, {people} people in all of them together, {header.hypotheses} poses each.")
    return notes


def camera_of(lens: Lens) -> LiftedCamera:
    """A lens as results tell it."""
    cameras = lens.cameras
    width, height = (int(x) for x in cameras.size[0])
    matrix = tuple(tuple(row) for row in cameras.matrix[0].tolist())
    return LiftedCamera(cameras.names[0], (width, height), matrix, tuple(cameras.lens[0].tolist()), lens.told_by)


def draw_people(folder: Path) -> int:
    """Let the package of pictures draw them, in a process of its own."""
    return draw("dispose_viz.lifting", folder)
