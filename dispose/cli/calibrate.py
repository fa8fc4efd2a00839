"""`dispose calibrate`: cameras refined by the people they see, or calibrated by a board."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from tqdm import tqdm

from dispose.cli.captures import CaptureOptions, parse_frames
from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.detections.people import DetectionView
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
from dispose.inference.capture import Capture, read_frame, select_frames
from dispose.inference.readings import Summary
from dispose.options import Count, PathOption, PositiveOption, one_of, require_file, require_folder
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.skeletons.skeleton import Skeleton
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
    frames: Annotated[str | None, tyro.conf.arg(metavar="A:B", help_behavior_hint="")] = None
    """Frame numbers A:B, from A up to and without B; either may be left out (default: all)."""
    most_frames: Count = 90
    """Frames looked at, from all over the capture."""

    def run(self) -> int:
        """Read, refine, judge, write."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        if self.height_mm is not None and self.distance_mm is not None:
            raise InputError("--height-mm and --distance-mm both say how large the rig is; give one of them.")
        capture = select_frames(self.open_detections(), *parse_frames(self.frames))
        name = capture.source.resolve().name
        folder = require_folder(self.report or Path("out") / name)
        out = require_file(self.out or folder / "refined.toml")
        if out.suffix != ".toml":
            raise InputError(f"{out}: the calibration is written as TOML; name a file that ends in .toml.")
        for note in capture.notes:
            print(note)
        by, judges = split_frames(min(self.most_frames, len(capture.numbers)))
        frames, summary = spread_frames(capture, len(by) + len(judges))
        for sentence in summary.sentences():
            print(sentence)
        free = dict(INTRINSICS)[self.intrinsics]
        found = refine_rig([frames[k] for k in by], [frames[k] for k in judges], load_associator().associate, free=free)
        cameras = self.placed(found, capture.skeleton)
        verdict = judge(found)
        print(f"\n{refine_table(found, cameras)}\n")
        for sentence in verdict.sentences:
            print(sentence)
        written = write_refinement(folder, found, cameras, verdict)
        if verdict.better:
            write_calibration_toml(out, cameras)
            written = (out, *written)
        for path in written:
            print(f"wrote {path}")
        return 0 if verdict.better else 1

    def placed(self, found: Refinement, skeleton: Skeleton) -> Cameras:
        """The refined rig, as large and as level as was asked for."""
        cameras, xyz = found.found, found.people.xyz_world
        middle = cameras.centres.mean(0)
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


def spread_frames(capture: Capture[DetectionView], count: int) -> tuple[list[Frame], Summary]:
    """So many frames from all over a capture, and the account of them."""
    step = len(capture.numbers) / count
    frames, summary = [], Summary()
    chosen = [capture.numbers[int(k * step)] for k in range(count)]
    for number in tqdm(chosen, unit="frame", desc="read", delay=2.0, mininterval=0.5):
        reading = read_frame(capture, number)
        summary = summary.plus(reading)
        frames.append(reading.frame)
    return frames, summary


@dataclass(frozen=True)
class CalibrateCommand:
    """Better cameras: a calibration refined by the people whom the cameras see."""

    command: tyro.conf.OmitSubcommandPrefixes[Annotated[RefineCalibration, tyro.conf.subcommand("refine")]]

    def run(self) -> int:
        """Do what was asked."""
        return self.command.run()
