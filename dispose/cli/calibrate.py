"""`dispose calibrate`: cameras refined by the people they see, or calibrated by a board."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from tqdm import tqdm

from dispose.cli.captures import CaptureOptions, FramesOption, parse_frames
from dispose.cli.timing import TimeOptions, time_notes, timing_of
from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import open_calibration, read_calibration
from dispose.formats.detections.people import DetectionView
from dispose.formats.folders import require_file
from dispose.formats.images.series import ImageSeries, Video, open_image_series
from dispose.inference.calibration.board import DICTIONARIES, Board, BoardSightings, look_for_board
from dispose.inference.calibration.board_rig import BoardRig, calibrate_rig, place_by_floor, place_level, usable
from dispose.inference.calibration.bundle import CENTRE, EXTRINSICS, FOCAL, LENS
from dispose.inference.calibration.refine import Refinement, refine_rig, split_frames
from dispose.inference.calibration.report import judge, refine_table, write_refinement
from dispose.inference.calibration.world import (
    CameraDistance,
    carry_cameras,
    factor_by_distance,
    factor_by_height,
    level,
    scaling,
)
from dispose.inference.capture import Capture, select_frames, source_of
from dispose.inference.finding import find_calibration
from dispose.inference.pairing import match_names
from dispose.inference.readings import Source, Summary
from dispose.inference.timing import retimed
from dispose.options import Count, PathOption, Positive, PositiveOption, one_of, require_folder
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import cat
from dispose.zoo.checkpoints import load_associator

INTRINSICS = (("none", EXTRINSICS), ("focal", FOCAL), ("centre", CENTRE), ("lens", LENS))
DistanceOption = Annotated[
    tuple[str, str, float] | None, tyro.conf.arg(metavar="CAMERA CAMERA MM", help_behavior_hint="")
]


@dataclass(frozen=True)
class RefineCalibration(CaptureOptions):
    """Refine a calibration by the people whom its cameras see together.

    Where cameras stand and look is adjusted (with --intrinsics lenses too) until the people's joints fit best; a third
    of the frames is held out and judges. FILE is written only if it is better on them, in all and in every camera. The
    rig keeps its middle, its mean direction and its size, unless --level, --height-mm or --distance-mm say otherwise.

    Exit status 0: written; 1: not better, nothing written; 2: cannot be told, with one sentence.
    """

    out: PathOption = None
    """Calibration to write, .toml as Pose2Sim has it (default: refined.toml in the folder of the report)."""
    report: PathOption = None
    """Folder for refine.json and refine.svg (default: out/NAME of the capture)."""
    intrinsics: Annotated[str, one_of(*(name for name, _ in INTRINSICS))] = "none"
    """Also adjust the focal length (focal), the principal point as well (centre), or k1 and k2 as well (lens). Needs
    people all over the pictures."""
    level: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Lay the floor, as people's feet have it, on z = 0."""
    height_mm: PositiveOption = None
    """Size by the people: how tall they are on average, mm (good to about 5 %: proportions differ)."""
    distance_mm: DistanceOption = None
    """Size by a distance that was measured between two cameras, as in --distance-mm cam01 cam03 5230."""
    frames: FramesOption = None
    """Frame numbers A:B, from A up to and without B; either may be left out (default: all)."""
    most_frames: Count = 90
    """Frames looked at, from all over the capture."""
    rate_hz: PositiveOption = None
    """Frames per second, where cameras run at different rates (default: of videos/*, else 30)."""
    timing: tyro.conf.OmitArgPrefixes[TimeOptions] = TimeOptions()

    def run(self) -> int:
        """Read, refine, judge, write."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        if self.height_mm is not None and self.distance_mm is not None:
            raise InputError("--height-mm and --distance-mm both say how large the rig is; give one of them.")
        capture = select_frames(self.open_detections(self.timing.shift), *parse_frames(self.frames))
        times = timing_of(capture, self.timing, self.rate_hz)
        name = capture.source.resolve().name
        folder = require_folder(self.report or Path("out") / name)
        out = require_toml(self.out or folder / "refined.toml")
        for note in (*capture.notes, *time_notes(capture, times)):
            print(note)
        source = retimed(source_of(capture), times.clocks)
        by, judges = split_frames(min(self.most_frames, len(source.numbers)))
        frames, summary = spread_frames(source, len(by) + len(judges))
        for sentence in summary.sentences():
            print(sentence)
        free = dict(INTRINSICS)[self.intrinsics]
        found = refine_rig([frames[k] for k in by], [frames[k] for k in judges], load_associator().associate, free=free)
        whole = self.placed(found, with_unseen(found.found, self.calibrated(capture)), capture.skeleton)
        cameras = whole.select(views=range(len(found.given)))
        verdict = judge(found)
        print(f"\n{refine_table(found, cameras)}\n")
        for sentence in verdict.sentences:
            print(sentence)
        written = write_refinement(folder, found, cameras, verdict)
        if verdict.better:
            write_calibration_toml(out, whole)
            written = (out, *written)
        for path in written:
            print(f"wrote {path}")
        return 0 if verdict.better else 1

    def calibrated(self, capture: Capture[DetectionView]) -> Cameras:
        """All cameras of the calibration, also those that recorded nothing."""
        path = self.calibration or find_calibration(capture.source)
        return open_calibration(path, mm_per_unit=self.mm_per_unit, up=self.up).cameras

    def placed(self, found: Refinement, cameras: Cameras, skeleton: Skeleton) -> Cameras:
        """Cameras in the world of the refined ones, as large and as level as was asked for."""
        xyz, middle = found.people.xyz_world, found.found.centres.mean(0)
        factor = None
        if self.distance_mm is not None:
            factor = factor_by_distance(cameras, CameraDistance(*self.distance_mm))
        if self.height_mm is not None:
            factor = factor_by_height(xyz, skeleton, self.height_mm)
        if factor is not None:
            grown = scaling(factor, middle)
            cameras, xyz = carry_cameras(cameras, grown), grown.apply(xyz)
            print(f"the rig is made {factor:.4f} times as large.")
        if self.level:
            flat = level(xyz, skeleton)
            cameras = carry_cameras(cameras, flat.motion)
            print(f"the floor was tilted by {flat.tilt_deg:.2f}°; now it is z = 0.")
        return cameras


def with_unseen(cameras: Cameras, calibrated: Cameras) -> Cameras:
    """Cameras, and behind them those of their calibration that recorded nothing, as they were."""
    others = calibrated.select(views=[v for v, name in enumerate(calibrated.names) if name not in cameras.names])
    return replace(cat([cameras, others], "views"), names=(*cameras.names, *others.names))


def spread_frames(source: Source, count: int) -> tuple[list[Frame], Summary]:
    """So many frames from all over a capture, and the account of them."""
    step = len(source.numbers) / count
    frames, summary = [], Summary()
    chosen = [source.numbers[int(k * step)] for k in range(count)]
    for number in tqdm(chosen, unit="frame", desc="read", delay=2.0, mininterval=0.5):
        reading = source.read(number)
        assert reading is not None, "a capture's frames do not end before their numbers"
        summary = summary.plus(reading)
        frames.append(reading.frame)
    return frames, summary


@dataclass(frozen=True)
class BoardCalibration:
    """Calibrate cameras, lenses and places, by a ChArUco board or a chessboard that they all saw.

    PICTURES is a folder with a folder of pictures, or a video, per camera; pictures of one number, or frames of videos,
    are of one instant. Without --marker-mm the board is a chessboard.
    """

    pictures: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PICTURES")]
    """Folder with a folder of pictures, or a video, per camera."""
    squares: Annotated[tuple[int, int], tyro.conf.arg(metavar="COLUMNS ROWS")]
    """Squares of the board from left to right and from top to bottom."""
    square_mm: Positive
    """Side of a square, as measured on the print."""
    marker_mm: PositiveOption = None
    """Side of a marker inside a white square: the board is a ChArUco board."""
    dictionary: Annotated[str, tyro.conf.arg(metavar="NAME")] = "DICT_4X4_50"
    """Dictionary of the markers, by OpenCV's name."""
    inverted: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Black and white are exchanged."""
    legacy: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A ChArUco board of OpenCV before 4.6 with an even number of rows: it begins with a white square."""
    lenses: PathOption = None
    """A calibration whose lenses are right already: places alone are found."""
    floor_frame: Annotated[int | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")] = None
    """Number of a frame in which the board lies on the floor: it becomes z = 0 (default: cameras are taken to have no
    roll)."""
    out: PathOption = None
    """Calibration to write, .toml as Pose2Sim has it (default: out/NAME of the folder/board.toml)."""
    most_frames: Count = 150
    """Frames looked at, from all over the pictures."""

    def run(self) -> int:
        """Look for the board, calibrate, write."""
        out = require_toml(self.out or Path("out") / self.pictures.resolve().name / "board.toml")
        if self.dictionary not in DICTIONARIES:
            raise InputError(f"--dictionary {self.dictionary} is none of OpenCV's: {', '.join(DICTIONARIES)}.")
        board = Board(self.squares, self.square_mm, self.marker_mm, self.dictionary, self.inverted, self.legacy)
        board.require()
        series = open_image_series(self.pictures)
        known = None if self.lenses is None else lenses_of(self.lenses, series)
        sightings = look_for_board(series, board, self.most_frames)
        places = [str(one.path) if isinstance(one, Video) else str(self.pictures / one.camera) for one in series]
        rig = calibrate_rig(sightings, board, places, known)
        rig = place_level(rig) if self.floor_frame is None else place_by_floor(rig, self.floor_frame)
        for note in rig.notes:
            print(note)
        print(f"\n{board_table(sightings, board, rig)}\n")
        if self.floor_frame is None:
            print("the world is level if the cameras have no roll; with --floor-frame the board on the floor says it.")
        write_calibration_toml(out, rig.cameras)
        print(f"wrote {out}")
        return 0


def require_toml(path: Path) -> Path:
    """The path for a calibration, before the work: `InputError` where it cannot be one."""
    if path.suffix != ".toml":
        raise InputError(f"{path}: the calibration is written as TOML; name a file that ends in .toml.")
    return require_file(path)


def lenses_of(path: Path, series: Sequence[ImageSeries]) -> Cameras:
    """The cameras of a calibration that are named like those of some images, in their order."""
    known = read_calibration(path)
    match = match_names(tuple(one.camera for one in series), known.names)
    if match.only_calibrated:
        raise InputError(f"{path}: has no camera {match.only_calibrated[0]} (there are {', '.join(known.names)}).")
    chosen = known.select(views=[j for _, j in match.pairs])
    if chosen.fisheye is not None and bool(chosen.fisheye.any()):
        name = chosen.names[int(chosen.fisheye.int().argmax())]
        raise InputError(f"{path}: camera {name} has a fisheye lens; a board is looked at through others.")
    return chosen


def board_table(sightings: BoardSightings, board: Board, rig: BoardRig) -> str:
    """Per camera how often it saw the board, what its lens is, and how well all of it fits."""
    width = max(6, *(len(name) for name in rig.cameras.names))
    lines = [
        f"{'camera':<{width}} {'pictures':>9} {'corners':>8} {'focal px':>9} {'k1':>8} {'median px':>10} {'90 % px':>8}"
    ]
    for k, (name, view) in enumerate(zip(rig.cameras.names, rig.views, strict=True)):
        error = rig.error_px[k][~rig.error_px[k].isnan()].sort().values
        lens = f"{float(rig.cameras.matrix[k, 0, 0]):9.1f} {float(rig.cameras.distortion[k, 0]):8.3f}"
        px = f"{float(error[len(error) // 2]):10.2f} {float(error[len(error) * 9 // 10]):8.2f}"
        pictures = int(usable(sightings, board)[view].sum())
        lines.append(f"{name:<{width}} {pictures:9d} {len(error):8d} {lens} {px}")
    return "\n".join(lines)


@dataclass(frozen=True)
class CalibrateCommand:
    """Better cameras: a calibration refined by the people whom its cameras see, or a new one by a board."""

    command: tyro.conf.OmitSubcommandPrefixes[
        Annotated[RefineCalibration, tyro.conf.subcommand("refine")]
        | Annotated[BoardCalibration, tyro.conf.subcommand("board")]
    ]

    def run(self) -> int:
        """Do what was asked."""
        return self.command.run()
