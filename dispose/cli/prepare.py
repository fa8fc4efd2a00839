"""`dispose prepare`: detections in, pseudo-labels for training out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

import dispose
from dispose.cli.captures import CaptureOptions, FramesOption, only_images, parse_frames
from dispose.cli.timing import TimeOptions, say_times, timing_of
from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import digest_of
from dispose.formats.folders import require_file
from dispose.formats.provenance import commit
from dispose.inference.capture import select_frames, source_of
from dispose.inference.timing import retimed
from dispose.options import Count, PathOption, PositiveOption, one_of
from dispose.preparation.anatomy import bones_of_json
from dispose.preparation.areas import NO_AREAS, read_areas
from dispose.preparation.associators import ASSOCIATORS, WINDOWS, grouping_of
from dispose.preparation.labels import LabelSettings
from dispose.preparation.recordings import UnlabelledRecording, prepare, renamed_cameras
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, TRIANGULATOR_NAMES, load_triangulator


@dataclass(frozen=True)
class PrepareCommand(CaptureOptions):
    """Make pseudo-labels of a capture's detections: what `dispose train … --labels` learns from, without any truth.

    Detections that are no evidence, lie in areas where nobody counts (--areas), repeat another or show a poster are
    left out; an integer programme over short windows of frames says who is who; joints are triangulated, views that
    contradict taken out, sides put right, and joints dropped that no bone of these people allows. A camera that does
    not fit the others (`dispose check`) is named, and its people are known in 2-D only. NAME.report.json beside the
    labels says what was removed, repaired, dropped and kept. A killed run goes on where it stopped.
    """

    out: Path = Path("labels.npz")
    """The .npz to write; the account goes beside it as NAME.report.json."""
    also: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="CAPTURE", help_behavior_hint="")] = ()
    """Further captures with the same cameras, each a sequence of its own in the same file."""
    names: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME", help_behavior_hint="")] = ()
    """Names of the sequences, in order (default: those of the folders)."""
    rename: Annotated[tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]], tyro.conf.arg(metavar="FROM TO")] = ()
    """A name of your own for a camera; repeat the option for several."""
    frames: FramesOption = None
    """Frames with A <= number < B (default: all)."""
    every: Count = 1
    """One frame of so many."""
    areas: PathOption = None
    """Areas of the images in which nobody counts, as JSON (docs/pseudo_labels.md; drawn with `dispose_viz.areas`)."""
    bones: PathOption = None
    """Lengths of bones, as a report of labels has them (default: what most frames of the recording say)."""
    associator: Annotated[str, one_of(*ASSOCIATORS)] = WINDOWS
    """Who says who is who: the programme over windows of frames or for every frame by itself, the classic programme, or
    the learned Stage I, alone or (learned-windows) with the people of the frames around."""
    triangulator: Annotated[str, one_of(*TRIANGULATOR_NAMES)] = DEFAULT_TRIANGULATOR
    """How the joints of a person are triangulated."""
    rate_hz: PositiveOption = None
    """Frames per second (default: of videos/*, else 30)."""
    trust_cameras: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Leave no camera out, whatever its people say of it."""
    timing: tyro.conf.OmitArgPrefixes[TimeOptions] = TimeOptions()

    def run(self) -> int:
        """Read, make, say, write."""
        # Frames are thousands of small operations: more threads only wait for each other.
        torch.set_num_threads(1)
        out = require_file(self.out)
        if out.suffix != ".npz":
            raise InputError(f"--out {out}: the name must end in .npz.")
        folders = (self.capture, *self.also)
        if self.names and len(self.names) != len(folders):
            raise InputError(f"--names: {len(self.names)} names for {len(folders)} captures.")
        recordings, settings = list[UnlabelledRecording](), self.settings()
        for row, folder in enumerate(folders):
            recordings.append(self.recording(folder, self.names[row] if self.names else "", settings))
        done = prepare(out, recordings, self.provenance())
        print(done.text)
        print(f"wrote {done.labels} and {done.report}")
        return 0

    def settings(self) -> LabelSettings:
        """How labels are made, but for what only a capture tells."""
        return LabelSettings(
            triangulate=load_triangulator(self.triangulator),
            bones=None if self.bones is None else bones_of_json(Entry.of_json(self.bones)),
            every=self.every,
            inspect=not self.trust_cameras,
        )

    def recording(self, folder: Path | None, name: str, settings: LabelSettings) -> UnlabelledRecording:
        """One capture as a recording, with its frame rate and areas."""
        if folder is not None and self.detections is None and only_images(folder):
            raise InputError(f"{folder}: has no detections yet; make them with `dispose detect {folder}`.")
        capture = select_frames(
            replace(self, capture=folder).open_detections(self.timing.shift), *parse_frames(self.frames)
        )
        for note in capture.notes:
            print(note)
        times = timing_of(capture, self.timing, self.rate_hz)
        say_times(capture, times)
        areas = NO_AREAS if self.areas is None else read_areas(self.areas, capture.cameras)
        grouping = grouping_of(self.associator, rate_hz=times.rate)
        settings = replace(
            settings,
            group=grouping.group,
            group_name=grouping.title,
            margin=grouping.margin,
            rate_hz=times.rate,
            filters=replace(settings.filters, areas=areas),
        )
        source = retimed(source_of(capture), times.clocks)
        name = name or (folder or capture.source).resolve().name
        cameras = renamed_cameras(str(capture.source), capture.cameras.names, self.rename)
        return UnlabelledRecording(name, cameras, source, settings)

    def provenance(self) -> tuple[tuple[str, str], ...]:
        """What the labels depend on beside the detections."""
        files = [(key, digest_of(path)) for key, path in (("areas", self.areas), ("bones", self.bones)) if path]
        shifts = (("shift", " ".join((*self.timing.shift, *self.timing.camera_rate))),)
        return (
            ("command", "dispose prepare"),
            ("version", dispose.__version__),
            ("commit", commit()),
            ("associator", self.associator),
            ("triangulator", self.triangulator),
            ("every", str(self.every)),
            ("rate_hz", str(self.rate_hz)),
            ("trust_cameras", str(self.trust_cameras)),
            *files,
            *(shifts if shifts[0][1] else ()),
        )
