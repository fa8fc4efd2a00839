"""A run's results in a folder: written as it goes, whole at the end, and gone on with where a run was killed.

Until the end everything lies in ``.partial/`` of the folder: ``predictions.jsonl`` as far as it is, and the columns of
the tables. An earlier run's files stay until then. The same command gives the same bytes, killed in between or not.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dispose.errors import InputError, OutputError
from dispose.formats.arrays import GrownColumn, write_npz
from dispose.formats.evidence import EVIDENCE, PEOPLE, PREDICTIONS, evidence_common, evidence_head, evidence_rows
from dispose.formats.files import digest_of, remove_other_people, replacing
from dispose.formats.folders import LEAST_ROOM, GrowingFolder, lock_folder, publishing, require_room
from dispose.formats.marker_names import MarkerNames, pose2sim_names
from dispose.formats.person_table import PersonTable, prediction_names, prediction_rows, typical_errors
from dispose.formats.predictions import by_source, frame_line, header_line, header_with, skeleton_of
from dispose.formats.trc import write_trcs
from dispose.inference.readings import Summary
from dispose.inference.run import Progress
from dispose.inference.tracking import Memory, TrackingConfig, Tracks
from dispose.scene.results import FrameResult
from dispose.zoo.records import from_json

PARTIAL = ".partial"


@dataclass(frozen=True)
class RunFiles:
    """What is written of a run, and what it depends on.

    Attributes:
        name: what the run is about: the beginning of the names of TRC files.
        method: who answers, and which other frames take part in it.
        rate_hz: frames per second in TRC files.
        rate_known: whether that is known of the recording; predictions say it then.
        evidence: whether what was known and weighed is kept.
        tables: whether predictions.npz and TRC files are written beside predictions.jsonl.
        markers: what TRC files call the joints.
        tracking: how far people move and how long they are waited for.
        inputs: what a run must agree in to go on with another: names, and values as text.
        warnings: sentences that predictions carry: what they are not to be used for.
    """

    name: str
    method: str
    rate_hz: float = 30.0
    rate_known: bool = True
    evidence: bool = True
    tables: bool = True
    markers: MarkerNames = pose2sim_names
    tracking: TrackingConfig = TrackingConfig()
    inputs: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


class ResultsFolder:
    """The sink that writes into a folder; see `results_folder`.

    Attributes:
        written: the files, once the run is finished.
        people: every person's number and the number of frames they were found in, once the run is finished.
        without_joints: how often somebody was found of whom no joint is known, likewise.
        errors_mm: how far off every person's joints are expected to be (`typical_errors`), likewise.
    """

    def __init__(self, folder: Path, files: RunFiles) -> None:
        self.folder, self.files = folder, files
        self.written: tuple[Path, ...] = ()
        self.people: tuple[tuple[int, int], ...] = ()
        self.without_joints = 0
        self.errors_mm: dict[int, float] = {}
        self._growing = GrowingFolder(folder / PARTIAL)

    def resume(self) -> Progress:
        """How far the run is that was killed here; `InputError` where that was another."""
        if not self._growing.about:
            return Progress(memory=Memory(config=self.files.tracking))
        about, arrays = json.loads(self._growing.about), self._growing.arrays
        summary = from_json(json.dumps(about["summary"]), Summary, str(self._growing.folder))
        theirs, ours = dict(about["inputs"]), dict(self.files.inputs)
        for name in [*ours, *theirs]:
            if theirs.get(name) != ours.get(name):
                raise InputError(
                    f"{self.folder}: holds an unfinished run ({summary.frames} frames done) whose {name} was "
                    f"{theirs.get(name, 'not given')}, now it is {ours.get(name, 'not given')}; give the same command "
                    f"as then to go on with it, or remove {self._growing.folder} to begin anew."
                )
        tracks = {name.removeprefix("track_"): value for name, value in arrays.items() if name.startswith("track_")}
        people = {name: torch.from_numpy(value.copy()) for name, value in tracks.items()}
        memory = Memory(Tracks(**people) if people else None, about["next_id"], about["usual_mm"], self.files.tracking)
        return Progress(summary, memory)

    def add(self, results: Sequence[FrameResult], progress: Progress) -> None:
        """Write one block. Raises `OutputError` that says how to go on where there is no room; what is done stays."""
        before = progress.summary.frames - len(results)
        try:
            self._append(results, before)
            self._commit(results, progress)
        except OutputError as error:
            self._growing.roll_back()
            raise OutputError(f"{str(error).rstrip('.')}{self._how_to_go_on(before)}.") from error

    def _append(self, results: Sequence[FrameResult], before: int) -> None:
        frames = [result.frame for result in results if result.frame is not None]
        found = [by_source(one.prediction, frame.detections) for one, frame in zip(results, frames, strict=True)]
        skeleton, cameras = found[0].poses.skeleton, frames[0].cameras.names
        head = [] if before else [header_line(skeleton, cameras)]
        lines = [*head, *(frame_line(one, cameras) for one in found)]
        self._growing.append_text(PREDICTIONS, "".join(f"{line}\n" for line in lines))
        tables = [("numbers", np.array([one.number for one in found], dtype=np.int64))]
        tables += [(f"people.{name}", rows) for name, rows in prediction_rows(found, len(cameras), len(skeleton))]
        if self.files.evidence:
            tables += [(f"evidence.{name}", rows) for name, rows in evidence_rows(results, before)]
        self._growing.append_rows(tables)

    def _commit(self, results: Sequence[FrameResult], progress: Progress) -> None:
        """The block counts, with what all frames have in common and what the next frames need to know."""
        skeleton, frame = results[0].prediction.poses.skeleton, results[0].frame
        assert frame is not None
        tracks = progress.memory.tracks
        arrays = [] if tracks is None else [(f"track_{name}", value.numpy()) for name, value in vars(tracks).items()]
        arrays += [(f"people.{name}", array) for name, array in prediction_names(skeleton, frame.cameras.names)]
        if self.files.warnings:
            arrays.append(("people.warnings", np.array(self.files.warnings)))
        if self.files.evidence:
            known = {name.removeprefix("evidence."): array for name, array in self._growing.arrays.items()}
            common = evidence_common(self.folder / EVIDENCE, results, known)
            arrays += [(f"evidence.{name}", array) for name, array in common]
        about = {
            "inputs": self.files.inputs,
            "summary": asdict(progress.summary),
            "next_id": progress.memory.next_id,
            "usual_mm": progress.memory.usual_mm,
        }
        self._growing.commit(json.dumps(about), arrays)

    def finish(self, progress: Progress) -> None:
        """Make the files of what lies in ``.partial/``; files of an earlier run that do not belong go too."""
        if not progress.summary.frames:
            return
        growing, arrays = self._growing, self._growing.arrays
        skeleton = skeleton_of(str(arrays["people.skeleton"]), tuple(arrays["people.joint_names"].tolist()))
        table = PersonTable(skeleton, *(growing.column(name).array() for name in TABLE))
        try:
            with publishing(self.folder):
                written = self._publish(table, progress.summary)
        except OutputError as error:
            how = self._how_to_go_on(progress.summary.frames)
            raise OutputError(f"{str(error).rstrip('.')}{how}.") from error
        self.people, self.written, self.without_joints = table.people, tuple(written), table.without_joints
        self.errors_mm = typical_errors(table.id, growing.column("people.covariance").array())
        growing.remove()

    def _publish(self, table: PersonTable, summary: Summary) -> list[Path]:
        """The files in their places; those of an earlier run go first: none of them is taken for one of ours."""
        folder, files = self.folder, self.files
        (folder / EVIDENCE).unlink(missing_ok=True)
        (folder / PEOPLE).unlink(missing_ok=True)
        self._write_lines(summary)
        written = [folder / PREDICTIONS]
        if files.tables:
            written += [
                folder / PEOPLE,
                *write_trcs(folder / "trc", files.name, table, files.rate_hz, files.markers),
            ]
            digest = ("predictions", np.array(digest_of(folder / PREDICTIONS)))
            method = ("method", np.array(files.method))
            write_npz(written[1], [*self._members("people."), method, digest])
            remove_other_people(folder / "trc", files.name, ".trc", written)
        if files.evidence:
            written.append(folder / EVIDENCE)
            head = evidence_head(folder / PREDICTIONS, files.name, files.method)
            write_npz(written[-1], [*head, *self._members("evidence.")])
        return written

    def _write_lines(self, summary: Summary) -> None:
        """`predictions.jsonl`, whose first line can now say what was odd, and how many frames follow."""
        with (
            replacing(self.folder / PREDICTIONS) as file,
            open(self._growing.folder / PREDICTIONS, encoding="utf-8", newline="\n") as lines,
        ):
            files = self.files
            rate = files.rate_hz if files.rate_known else None
            sentences = (*files.warnings, *summary.sentences())
            file.write(header_with(next(lines), files.method, sentences, summary.frames, rate))
            shutil.copyfileobj(lines, file, 1 << 20)

    def _members(self, prefix: str) -> list[tuple[str, np.ndarray | GrownColumn]]:
        """What belongs into one archive: fixed arrays first, then those that have grown."""
        arrays = [(name, array) for name, array in self._growing.arrays.items() if name.startswith(prefix)]
        columns = [(name, self._growing.column(name)) for name in self._growing.names if name.startswith(prefix)]
        return [(name.removeprefix(prefix), one) for name, one in (*arrays, *columns)]

    def _how_to_go_on(self, frames: int) -> str:
        if not frames:
            return ""
        kept = f"; the {frames} frames that are done are kept in {self._growing.folder}"
        return f"{kept}, and the same command goes on with them"


ROOM_OF_A_FRAME = 2048
"""Bytes that a frame takes at least."""

TABLE = ("numbers", "people.frame", "people.id", "people.joints")


@contextmanager
def results_folder(folder: Path, files: RunFiles, frames: int = 0) -> Iterator[ResultsFolder]:
    """A folder for the results of one run, of so many frames; nobody else may write there meanwhile.

    Raises `InputError` where another run is writing there, `OutputError` where it cannot be written or has no room.
    """
    with lock_folder(folder):
        require_room(folder, LEAST_ROOM + frames * ROOM_OF_A_FRAME)
        yield ResultsFolder(folder, files)


def write_results(
    folder: Path, results: Sequence[FrameResult], files: RunFiles, summary: Summary | None = None
) -> tuple[Path, ...]:
    """Write a run that is in memory into a folder; the paths written.

    The summary is the run's; without one the detections that the results hold are counted.
    """
    known = [result.frame.detections for result in results if result.frame is not None]
    counted = summary or Summary(len(results), sum(int(one.valid.sum()) for one in known))
    with results_folder(folder, files) as sink:
        done, progress = sink.resume().summary.frames, Progress(counted)
        if done < len(results):
            sink.add(results[done:], progress)
        sink.finish(progress)
    return sink.written
