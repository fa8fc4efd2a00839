"""`dispose smooth`: joints of finished results by all of their frames."""

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from dispose.cli.captures import MarkersOption, ResultsArgument
from dispose.cli.drawing import draw
from dispose.errors import InputError
from dispose.formats.arrays import write_npz
from dispose.formats.evidence import EVIDENCE, PEOPLE, PREDICTIONS, copy_evidence
from dispose.formats.evidence_keypoints import RunKeypoints, read_run_keypoints
from dispose.formats.files import digest_of, remove_other_people, replacing
from dispose.formats.folders import lock_folder, publishing, require_room, watch
from dispose.formats.marker_names import MARKER_NAMES
from dispose.formats.person_table import PersonTable, prediction_names, prediction_rows, with_covariances
from dispose.formats.predictions import SavedPredictions, read_predictions, write_predictions
from dispose.formats.trc import write_trcs
from dispose.inference.trajectories.bones import BoneRow, bone_table, csv_of, text_of
from dispose.inference.trajectories.filters import Filter, butterworth, gaussian, loess, median
from dispose.inference.trajectories.interest import person_of_interest
from dispose.inference.trajectories.people import OddKeypoint, Smooth, SmoothedRun, of_person, smooth_run
from dispose.inference.trajectories.ways import adjustment, claims_alone, filtered
from dispose.options import PathOption, Positive, PositiveOption, TextOption, one_of, require_folder

ADJUST, KALMAN = "adjust", "kalman"
WIDTHS = {"gaussian": 0.03, "median": 0.1, "loess": 0.2}
"""Usual widths of filters, seconds."""

FILTERS = (ADJUST, "butterworth", *WIDTHS, KALMAN)
SUFFIX = "-smooth"


@dataclass(frozen=True)
class SmoothCommand:
    """Joints over time: each person by all of their frames at once.

    RESULTS is a folder of `dispose predict`. By default everything known of a person is brought to agree: what
    every frame claims, the keypoints of every camera (from evidence.npz), one length for every bone, and motion
    that goes on as it went. Left and right that a detector took for each other are put right, and keypoints that
    contradict are named in outliers.csv. --filter does instead what biomechanists know by name, on the joints of
    the frames alone.

    Who is who stays as it is. Gaps of people and joints up to --fill-seconds are filled; the confidence of what is
    filled is half its probability, and `filled` in predictions.npz says what it is. Written are the files of an
    ordinary results folder, bones.csv with everybody's bone lengths, and a picture of these.
    """

    results: ResultsArgument
    """Folder of finished results."""
    rate_hz: PositiveOption = None
    """Frames per second: how far people move between two frames (default: as the results say). With a wrong one joints
    get worse."""
    out: PathOption = None
    """Folder for the smoothed ones (default: RESULTS with -smooth behind its name)."""
    filter: Annotated[str | None, one_of(*FILTERS), tyro.conf.arg(help_behavior_hint="")] = None
    """How (default: adjust, and kalman where there are no keypoints): cameras, bones and motion at once (adjust); the
    Kalman smoother of what frames claim; a Butterworth filter without lag, a Gaussian, a median, LOESS."""
    cutoff_hz: Positive = 6.0
    """Of butterworth: what moves faster is taken away."""
    order: int = 4
    """Of butterworth, both passes together: 2, 4, 6 or 8."""
    width_seconds: PositiveOption = None
    """Of gaussian the standard deviation, of median and loess the window (default: 0.03, 0.1, 0.2 s)."""
    fill_seconds: float = 0.5
    """Longest gap that is filled; 0 fills none."""
    person: TextOption = None
    """Keep one person, chosen over the whole clip: most-seen (detections in all cameras), longest (frames), middle
    (nearest to where the cameras look, by the median), or a person's number (default: everybody)."""
    markers: MarkersOption = "pose2sim"
    """What markers are called in TRC files: as in Pose2Sim's OpenSim models (RAnkle), or as here (r_ankle)."""

    picture: bool = True
    """Also draw everybody's bone lengths, as bones.png and .svg."""

    def run(self) -> int:
        """Read, smooth, write."""
        # A band of a few hundred frames is too small a task to share out.
        torch.set_num_threads(1)
        if not (self.results / PREDICTIONS).is_file():
            raise InputError(f"{self.results}: holds no {PREDICTIONS}; name a folder of `dispose predict`.")
        require_same = watch(self.results)
        saved, seen = self.read()
        rate = self.rate_hz or saved.rate_hz
        if rate is None:
            raise InputError(
                f"{self.results / PREDICTIONS}: does not say how many frames a second there are; give --rate-hz."
            )
        folder = require_folder(self.out or self.results.with_name(f"{self.results.resolve().name}{SUFFIX}"))
        if folder.resolve() == self.results.resolve():
            raise InputError(f"--out {folder} is RESULTS itself; what each frame says would be lost.")
        require_room(folder)
        name = self.filter or (ADJUST if seen is not None else KALMAN)
        run = smooth_run(saved, rate, self.fill_seconds, self.way(name, saved, seen, rate))
        if self.person is not None:
            chosen = person_of_interest(saved.frames, self.person, None if seen is None else seen.cameras)
            print(f"kept: {chosen.why}.")
            run = of_person(run, chosen.person)
        bones = bone_table(saved.frames, run.frames, saved.skeleton)
        with lock_folder(folder), publishing(folder):
            written = self.write(folder, saved, run, rate, name, bones)
            require_same()  # the evidence was copied last, long after the rest was read
        self.report(saved, run, bones)
        for path in written:
            print(f"wrote {path}")
        return draw_bones(folder / BONES) if self.picture else 0

    def read(self) -> tuple[SavedPredictions, RunKeypoints | None]:
        """The results, and their keypoints where there are any of use; says why there are none."""
        source = self.results
        if not 0 <= self.fill_seconds < float("inf"):
            raise InputError(f"--fill-seconds is {self.fill_seconds:g}; seconds from 0 on are expected.")
        if self.order not in (2, 4, 6, 8):
            raise InputError(f"--order is {self.order}; 2, 4, 6 or 8 are possible, half of it in each direction.")
        saved = read_predictions(source / PREDICTIONS)
        if not any(len(frame.poses.id) for frame in saved.frames):
            raise InputError(f"{source}: there is nobody in these results.")
        if (source / PEOPLE).is_file():
            saved = with_covariances(source / PEOPLE, saved)
        else:
            print(f"there is no {PEOPLE} in {source}: joints are smoothed without the errors that it claims.")
        if self.filter not in (None, ADJUST):
            return saved, self.seen(saved) if self.person == "middle" and (source / EVIDENCE).is_file() else None
        if saved.smoothed:
            raise InputError(
                f"{source}: is smoothed already ({saved.smoothed}); name the results it was made of, or a --filter."
            )
        if not (source / EVIDENCE).is_file():
            why = f"{source}: holds no {EVIDENCE} (`dispose predict` without --no-evidence leaves it)"
        elif (seen := self.seen(saved)) is None:
            why = f"{source / EVIDENCE}: holds no keypoints of these joints"
        else:
            return saved, seen
        if self.filter == ADJUST:
            raise InputError(f"{why}; without keypoints there is nothing to adjust to: use another --filter.")
        print(f"{why}: joints are smoothed by what the frames claim (--filter kalman), without cameras and bones.")
        return saved, None

    def seen(self, saved: SavedPredictions) -> RunKeypoints | None:
        """The keypoints; None where these are of other joints, as of people found in pictures."""
        found = read_run_keypoints(self.results / EVIDENCE, self.results / PREDICTIONS)
        return found if found.skeleton == saved.skeleton and len(found.keypoints) else None

    def way(self, name: str, saved: SavedPredictions, seen: RunKeypoints | None, rate: float) -> Smooth:
        """The way to smooth of that name."""
        if name == ADJUST:
            assert seen is not None, "refused when reading"
            return adjustment(seen)
        if name == KALMAN:
            if any(len(frame.poses.id) and frame.poses.covariance is None for frame in saved.frames):
                raise InputError("joints without claimed errors cannot be weighed; run `dispose predict` again for "
                                 "these results, or use another --filter.")  # fmt: skip
            return claims_alone
        by: Filter = partial(butterworth, cutoff_hz=self.cutoff_hz, order=self.order)
        if name in WIDTHS:
            kind = {"gaussian": gaussian, "median": median, "loess": loess}[name]
            by = partial(kind, seconds=self.width_seconds or WIDTHS[name])
        numbers = np.array([frame.number for frame in saved.frames], dtype=np.int64)
        return filtered(by, numbers, rate, self.fill_seconds)

    def how(self, name: str) -> str:
        """What was done, for the header."""
        if name == "butterworth":
            return f"butterworth, {self.cutoff_hz:g} Hz, order {self.order}, no lag"
        return f"{name}, {self.width_seconds or WIDTHS[name]:g} s" if name in WIDTHS else name

    def write(
        self, folder: Path, saved: SavedPredictions, run: SmoothedRun, rate: float, name: str, bones: Sequence[BoneRow]
    ) -> list[Path]:
        """The files of a results folder, with bones and outliers; what was written."""
        skeleton, cameras, frames = saved.skeleton, saved.cameras, run.frames
        table = dict(prediction_rows(frames, len(cameras), len(skeleton)))
        numbers = np.array([frame.number for frame in frames], dtype=np.int64)
        joints, who, when = (np.asarray(table[name]) for name in ("joints", "id", "frame"))
        told = {
            **({"method": saved.method} if saved.method else {}),
            "rate_hz": rate,
            "smoothed": {
                "by": self.how(name),
                "from": self.results.resolve().name,
                "fill_seconds": self.fill_seconds,
                "confidence": "of joints that are filled it is half the probability",
            },
        }
        for old in (EVIDENCE, PEOPLE, BONES, OUTLIERS):
            (folder / old).unlink(missing_ok=True)
        write_predictions(folder / PREDICTIONS, skeleton, cameras, frames, told=told)
        filled = ("filled", torch.cat(run.filled).numpy() if run.filled else np.zeros((0, len(skeleton)), dtype=bool))
        write_npz(folder / PEOPLE, [*prediction_names(skeleton, cameras), *table.items(), filled,
                                   ("predictions", np.array(digest_of(folder / PREDICTIONS)))])  # fmt: skip
        people = PersonTable(skeleton, numbers, when, who, joints)
        stem = self.results.resolve().name
        written = [folder / PREDICTIONS, folder / PEOPLE]
        written += write_trcs(folder / "trc", stem, people, rate, MARKER_NAMES[self.markers])
        remove_other_people(folder / "trc", stem, ".trc", written)
        if (self.results / EVIDENCE).is_file():
            copy_evidence(self.results / EVIDENCE, folder / EVIDENCE, folder / PREDICTIONS)
            written.append(folder / EVIDENCE)
        texts = [(BONES, csv_of(bones))]
        texts += [(OUTLIERS, outliers_csv(run.odd))] if name == ADJUST else []
        for file, text in texts:
            with replacing(folder / file) as out:
                out.write(text)
            written.append(folder / file)
        return written

    def report(self, saved: SavedPredictions, run: SmoothedRun, bones: Sequence[BoneRow]) -> None:
        """What was found, in a few lines."""
        before, after = (sum(int(one.poses.valid.sum()) for one in some) for some in (saved.frames, run.frames))
        people = {person for frame in run.frames for person in frame.poses.id.tolist()}
        filled = sum(int(mask.sum()) for mask in run.filled)
        print(f"{len(people)} people in {len(run.frames)} frames; joints known: {before} before, {after} now, "
              f"{filled} of them filled.")  # fmt: skip
        if run.switched:
            print(f"left and right exchanged, and put right: {run.switched} times in a view.")
        if run.odd:
            camera, joint = (
                (Counter(vars(one)[what] for one in run.odd)).most_common(1)[0] for what in ("camera", "joint")
            )
            print(f"{len(run.odd)} of {run.keypoints} keypoints contradict the rest, most in camera {camera[0]} "
                  f"({camera[1]}), most often {joint[0]} ({joint[1]}); {OUTLIERS} names them.")  # fmt: skip
        if bones:
            print(text_of(bones))


BONES, OUTLIERS = "bones.csv", "outliers.csv"


def outliers_csv(odd: Sequence[OddKeypoint]) -> str:
    """Keypoints that contradict, a line each."""
    lines = [f"{one.frame},{one.person},{one.camera},{one.joint},{one.error_px:.1f}" for one in odd]
    return "\n".join(["frame,person,camera,joint,error_px", *lines, ""])


def draw_bones(path: Path) -> int:
    """The picture of a table of bones, by a process of its own: `dispose` never draws."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no picture of the bones: matplotlib is not installed (pip install 'dispose[viz]')")
        return 0
    return draw("dispose_viz.charts.bones", path)
