"""`dispose check`: look at a capture before any model does."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from dispose.cli.captures import CaptureOptions
from dispose.cli.timing import TimeOptions, Timing, read_stretch, slower, time_notes, timing_of
from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.folders import require_file
from dispose.inference.capture import Capture, source_of
from dispose.inference.check.diagnosis import Diagnosis, diagnose
from dispose.inference.check.lines import Recording, next_commands, time_table
from dispose.inference.check.report import Checked, table, write_check
from dispose.inference.readings import Reading, Summary, spans
from dispose.inference.timing import retimed, shifted
from dispose.options import PathOption, PositiveOption, require_folder


@dataclass(frozen=True)
class CheckCommand(CaptureOptions):
    """Look at the cameras of a capture through its detections, before any model does.

    Prints rates, lengths and lags of the cameras, the reprojection error of every camera and pair of cameras, what
    looks wrong (units, axes, extrinsics, cameras that are late, turned, exchanged, dead, of another focal length or
    image size), its likely cause, and what to type next; check.html shows it with pictures.
    Exit status 0: usable; 1: not usable as it stands; 2: cannot be read.
    """

    out: PathOption = None
    """Folder for check.html, check.json and cameras.svg (default: out/NAME of the capture)."""
    write_calibration: PathOption = None
    """Write the cameras with everything mended that was found, as .toml, for `dispose predict --calibration`."""
    rate_hz: PositiveOption = None
    """Frames per second (default: of videos/*, else 30)."""
    synchronise: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Check with the cameras shifted as was found."""
    timing: tyro.conf.OmitArgPrefixes[TimeOptions] = TimeOptions()

    def run(self) -> int:
        """Read some frames, check, print, write."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        capture = self.open_detections(self.timing.shift)
        source = self.capture or capture.source
        name = source.resolve().name
        folder = require_folder(self.out or Path("out") / name)
        file = self.calibration_file()
        times = timing_of(capture, self.timing, self.rate_hz)
        readings, diagnosis = self.looked_at(capture, times)
        if self.synchronise:
            late = [(one.cameras[0], one.shift) for one in diagnosis.findings if one.shift is not None]
            times = Timing(times.videos, shifted(capture.cameras.names, times.clocks, late), times.rate_hz)
            readings, diagnosis = self.looked_at(capture, times) if late else (readings, diagnosis)
        read = read_lines(capture, times, readings)
        print("\n".join(read))
        commands = next_commands(diagnosis, source, folder, self.words())
        late = slower(capture, times) if diagnosis.findings else []
        if late:
            # Whatever else seems wrong may come of frames that are not of one instant.
            told = (word for one in late for word in one.words)
            commands = (f"dispose check {shlex.join([str(source), *self.words(), *told])}", *commands)
        self.say(capture, diagnosis, recordings(capture, times), commands)
        what = Checked(name, capture.cameras, diagnosis, recordings(capture, times), tuple(read), commands)
        for path in write_check(folder, what):
            print(f"wrote {path}")
        if file is not None:
            write_calibration_toml(file, diagnosis.repaired)
            print(f"wrote {file}; use it with: dispose predict {source} --calibration {file}")
        return 0 if diagnosis.usable else 1

    def calibration_file(self) -> Path | None:
        """Where the repaired cameras go; `InputError` for another ending than .toml."""
        if self.write_calibration is not None and self.write_calibration.suffix.lower() != ".toml":
            raise InputError(f"--write-calibration {self.write_calibration}: the name must end in .toml.")
        return None if self.write_calibration is None else require_file(self.write_calibration)

    def looked_at(self, capture: Capture, times: Timing) -> tuple[list[Reading], Diagnosis]:
        """Frames in a row, and what is wrong in them."""
        readings = read_stretch(retimed(source_of(capture), times.clocks), times.rate)
        if not readings:
            raise InputError(f"{capture.source}: no frame can be read.")
        frames, numbers = [one.frame.detections for one in readings], [one.frame.number for one in readings]
        return readings, diagnose(frames, capture.cameras, numbers, times.rate)

    def words(self) -> list[str]:
        """The options that say where the capture lies, as they were typed."""
        given = (("--calibration", self.calibration), ("--detections", self.detections), ("--skeleton", self.skeleton),
                 ("--mm-per-unit", self.mm_per_unit), *(("--shift", one) for one in self.timing.shift),
                 *(("--camera-rate", one) for one in self.timing.camera_rate), ("--rate-hz", self.rate_hz))  # fmt: skip
        words = [word for option, value in given if value is not None for word in (option, str(value))]
        words += [] if self.up is None else [f"--up={self.up}"]
        return [*words, "--cameras", *self.cameras] if self.cameras else words

    def say(
        self, capture: Capture, diagnosis: Diagnosis, recorded: tuple[Recording, ...], commands: tuple[str, ...]
    ) -> None:
        """Print what was found, on one page."""
        print(f"\n{time_table(diagnosis, capture.cameras, recorded)}\n")
        print(f"{table(capture.cameras, diagnosis.consistency)}\n")
        for finding in diagnosis.findings:
            print(f"warning ({finding.topic}): {finding.sentence}")
        for note in diagnosis.notes:
            print(f"note ({note.topic}): {note.sentence}")
        print(diagnosis.verdict)
        if commands:
            print("type next:")
        for command in commands:
            print(f"  {command}")


def read_lines(capture: Capture, times: Timing, readings: list[Reading]) -> list[str]:
    """What was read, left out and guessed, a sentence a line."""
    summary = Summary()
    for reading in readings:
        summary = summary.plus(reading)
    lines = [*capture.notes, *time_notes(capture, times)]
    if times.rate_hz is None:
        lines.append(f"no video tells the frame rate: {times.rate:g} frames per second are assumed.")
    looked = [one.frame.number for one in readings]
    if len(looked) < len(capture.numbers):
        lines.append(f"looked at: frames {spans(looked)} of {len(capture.numbers)}.")
    return [*lines, *summary.sentences()]


def recordings(capture: Capture, times: Timing) -> tuple[Recording, ...]:
    """Rate, length and frames of every camera, in words."""
    found = []
    for name, view, video in zip(capture.cameras.names, capture.views, times.videos, strict=True):
        rate, length = ("-", "-") if video is None else (f"{video.rate_hz:g}", str(video.frames))
        found.append(Recording(name, rate, length, f"{spans(view.numbers)} ({len(view.numbers)})"))
    return tuple(found)
