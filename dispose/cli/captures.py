"""What commands on captures share: where a capture lies, which of its frames, and what is said of the people in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Annotated

import tyro

from dispose.errors import InputError
from dispose.formats.calibration.rig import UP_AXES
from dispose.formats.detections.people import DetectionView
from dispose.formats.marker_names import MARKER_NAMES
from dispose.inference.capture import Capture, holds_images, read_capture
from dispose.inference.finding import IMAGE_FOLDERS, detections_in, folder_named, holders_of_detections
from dispose.options import CaptureArgument, NamesOption, PathOption, PositiveOption, TextOption, one_of
from dispose.skeletons.catalog import by_name

MarkersOption = Annotated[str, one_of(*MARKER_NAMES)]
"""What markers are called in TRC and C3D files."""

FramesOption = Annotated[str | None, tyro.conf.arg(metavar="A:B", help_behavior_hint="")]
"""Frames from A up to and without B (`parse_frames`)."""

ResultsArgument = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULTS")]

UpOption = Annotated[str | None, one_of(*UP_AXES), tyro.conf.arg(help_behavior_hint="")]


@dataclass(frozen=True)
class CaptureOptions:
    """Where a capture of detections lies."""

    capture: CaptureArgument = None
    """The capture folder; not needed where its parts are named."""
    calibration: PathOption = None
    """A calibration elsewhere: file or folder of any format in docs/calibrations.md (told by its content)."""
    mm_per_unit: PositiveOption = None
    """How many mm one unit of the calibration is, where that is not what its format says: 1 for millimetres, 1000 for
    metres."""
    up: UpOption = None
    """The axis of the calibration's world that points up, where that is not what its format says (`--up=-y`)."""
    cameras: NamesOption = ()
    """Which camera of the calibration recorded what, as in `--cameras cam_0=cam1 cam_1=cam2` (default: by names)."""
    detections: PathOption = None
    """Detections elsewhere, of any detector: a folder with a folder or a file per camera, or one file of all."""
    skeleton: TextOption = None
    """The detector's joints: coco_17, body_25, halpe_26, coco_wholebody_133, … (default: told from the files)."""

    def open_detections(self, shifts: Sequence[str] = ()) -> Capture[DetectionView]:
        """The capture of detections that the options describe, and shifts of its cameras."""
        folder = self.capture
        if folder is None:
            if self.calibration is None or self.detections is None:
                raise InputError("name a capture folder, or both --calibration and --detections.")
            folder = self.detections if self.detections.is_dir() else self.detections.parent
        elif self.detections is None and only_images(folder):
            raise InputError(f"{folder}: has videos or images only; find people in them first: dispose detect {folder}")
        skeleton = None if self.skeleton is None else by_name(self.skeleton)
        return read_capture(
            folder, skeleton, self.calibration, self.detections, self.mm_per_unit, up=self.up, told=self.cameras,
            shifts=shifts,
        )  # fmt: skip


def only_images(folder: Path) -> bool:
    """Whether a capture folder has images or videos and no folder of detections."""
    if not folder.is_dir() or detections_in(folder) is not None or holders_of_detections(folder):
        return False
    return folder_named(folder, IMAGE_FOLDERS) is not None or holds_images(folder)


def parse_frames(text: str | None) -> tuple[int | None, int | None]:
    """The two ends of ``A:B``."""
    if text is None:
        return None, None
    start, colon, stop = text.partition(":")
    if not colon or not all(re.fullmatch(r"(-?[0-9]{1,18})?", part) for part in (start, stop)):
        raise InputError(f"--frames is {text!r}; it must be A:B with whole numbers, as in 100:200.")
    return int(start) if start else None, int(stop) if stop else None


LARGE_ERROR_MM = 50.0
"""Beyond this expected error of half of the people it is worth looking at the capture."""

MANY_WITHOUT = 0.2
"""Share of the people without a single joint from which on files do not belong together; of real captures 0.006."""


def report_people(
    people: Sequence[tuple[int, int]],
    why_nobody: str,
    without_joints: int = 0,
    errors_mm: Mapping[int, float] = MappingProxyType({}),
) -> None:
    """Who was found and how far off their joints are expected to be, in words; where nobody was, why or what to do;
    and how often no joint of them was.
    """
    found = sum(frames for _, frames in people)
    if without_joints > MANY_WITHOUT * found:
        print(f"{without_joints} of the {found} times that somebody was found, no joint is where the cameras have it: "
              "detections and calibration hardly belong together; `dispose check` says more.")  # fmt: skip
    if not people:
        print(f"nobody was found in any frame: {why_nobody}.")
        return
    print(f"{len(people)} people:")
    for person, frames in people[:20]:
        print(f"  id {person}: {frames} frames")
    if len(people) > 20:
        print(f"  and {len(people) - 20} more in at most {people[20][1]} frames each")
    if errors_mm:
        _report_errors(errors_mm)


def _report_errors(errors_mm: Mapping[int, float]) -> None:
    """How far off joints are expected to be: half of the people, and who is worst."""
    middle, worst = median(errors_mm.values()), max(errors_mm, key=lambda person: errors_mm[person])
    most = f"; most of all those of id {worst}, {errors_mm[worst]:.0f} mm" if errors_mm[worst] > 1.5 * middle else ""
    print(f"joints are probably {middle:.0f} mm off at the median{most}.")
    if middle > LARGE_ERROR_MM:
        print("that is much: `dispose check` says whether calibration, time or the detector is to blame.")
