"""`dispose export`: a finished run as files that other programs open."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from dispose.cli.captures import MarkersOption, ResultsArgument
from dispose.cli.drawing import draw
from dispose.errors import InputError, MissingBackendError
from dispose.formats.calibration.read import read_calibration
from dispose.formats.evidence import EVIDENCE, PEOPLE, PREDICTIONS
from dispose.formats.exports.bvh import write_bvh
from dispose.formats.exports.coco_people import write_coco
from dispose.formats.exports.gltf import Actor, write_gltf
from dispose.formats.exports.people_csv import write_people_csv
from dispose.formats.exports.pose2sim_project import write_pose2sim
from dispose.formats.files import remove_other_people
from dispose.formats.folders import lock_folder, publishing, require_room
from dispose.formats.marker_names import MARKER_NAMES, MarkerNames
from dispose.formats.person_table import PersonTable, prediction_rows
from dispose.formats.saved_run import PersonClip, SavedRun, clips_of, open_run
from dispose.formats.seen import open_seen
from dispose.formats.trc import write_trcs
from dispose.options import PathOption, PositiveOption, require_folder
from dispose.scene.cameras import Cameras
from dispose.scene.motion import motion_of
from dispose.skeletons.skeleton import Skeleton
from dispose.skeletons.tree import BodyTree
from dispose_workbench.results.open import open_people

FILM = "dispose_viz.people_film"
Kind = Literal["trc", "c3d", "bvh", "gltf", "csv", "pose2sim", "coco", "mp4"]


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be written where, and how fast time runs."""

    folder: Path
    stem: str
    source: Path
    run: SavedRun
    rate_hz: float
    names: MarkerNames
    calibration: Path | None
    pictures: Path | None

    @property
    def table(self) -> PersonTable:
        """The people."""
        return self.run.table

    @property
    def tree_names(self) -> Callable[[BodyTree], tuple[str, ...]]:
        """What the joints of a tree are called: as the markers are, and middles likewise."""
        return lambda tree: self.names(Skeleton(self.table.skeleton.name, tree.joints, ()))

    def clips(self, title: str) -> Iterator[PersonClip]:
        """Everybody's clip, with a bar that says how far the work is."""
        clips = clips_of(self.table, self.rate_hz)
        yield from tqdm(clips, title, len(self.table.people), unit="person", disable=None)

    def alone(self, kind: str, paths: Sequence[Path]) -> Sequence[Path]:
        """The files of people that were written, once those of an earlier export are gone."""
        remove_other_people(self.folder / kind, self.stem, f".{kind}", paths)
        return paths

    def cameras(self) -> Cameras:
        """The cameras: told, or those of the run. `InputError` where they are not known."""
        if self.calibration is not None:
            return read_calibration(self.calibration)
        if not (self.source / EVIDENCE).is_file():
            raise InputError(f"{self.source}: has no {EVIDENCE} that holds the cameras; name them with --calibration.")
        with open_seen(self.source / EVIDENCE, self.run.digest) as seen:
            return seen.cameras


@dataclass(frozen=True)
class ExportCommand:
    """Write a finished run as other programs open it.

    trc: OpenSim, Pose2Sim. c3d: Visual3D, Mokka, Vicon. bvh: MotionBuilder, Maya, Blender, with rotations. gltf:
    Blender and browsers, everybody animated in one .glb. csv: one table. pose2sim: a project folder to go on with.
    coco: 2-D keypoints of everybody in every camera. mp4: skeletons, ids and residuals over the pictures, beside 3-D.

    RESULTS is a folder of `dispose predict`; people of other programs (Panoptic's JSON, TRC) become trc, c3d, bvh, gltf
    and csv too.
    """

    results: ResultsArgument
    """Folder of finished results."""
    to: tuple[Kind, ...]
    """What to write, one or several."""
    out: PathOption = None
    """Folder for the files (default: export/ in RESULTS)."""
    rate_hz: PositiveOption = None
    """Frames per second (default: as the results say)."""
    markers: MarkersOption = "pose2sim"
    """What joints are called in trc, c3d, bvh, gltf: as in Pose2Sim's OpenSim models (RAnkle), or as here (r_ankle)."""
    calibration: PathOption = None
    """Cameras for coco and mp4 (default: those of the results)."""
    pictures: PathOption = None
    """A capture folder with images/ or videos/, or one of these, to draw over in mp4 (default: blank canvases)."""

    def run(self) -> int:
        """Open the results, then write one kind after the other."""
        if not self.to:
            raise InputError("--to names nothing to write; say for example --to c3d bvh.")
        source = self.results.resolve()
        folder = require_folder(self.out or (source if source.is_dir() else source.parent) / "export")
        with opened(self.results) as run:
            if not run.table.people:
                raise InputError(f"{self.results}: there is nobody in these results.")
            rate = self.rate_hz or run.rate_hz
            if rate is None:
                raise InputError(f"{self.results}: does not say how many frames a second has; give --rate-hz.")
            stem = source.name if source.is_dir() else source.stem
            order = Order(folder, stem, self.results, run, rate, MARKER_NAMES[self.markers], self.calibration,
                          self.pictures)  # fmt: skip
            require_room(folder)
            with lock_folder(folder), publishing(folder):
                for kind in dict.fromkeys(self.to):
                    for path in WRITERS[kind](order):
                        print(f"wrote {path}")
        return 0


@contextmanager
def opened(path: Path) -> Iterator[SavedRun]:
    """Finished results: ours as they lie on disk, other programs' in memory."""
    if (path / PREDICTIONS).is_file() and (path / PEOPLE).is_file():
        with open_run(path) as run:
            yield run
        return
    found = open_people(path)
    for note in (*found.notes, *found.saved.notes):
        print(note)
    frames, skeleton = found.saved.frames, found.saved.skeleton
    rows = dict(prediction_rows(frames, len(found.saved.cameras), len(skeleton)))
    numbers = np.array([frame.number for frame in frames], dtype=np.int64)
    yield SavedRun(PersonTable(skeleton, numbers, *(np.asarray(rows[name]) for name in ("frame", "id", "joints"))))


def write_trc_files(order: Order) -> Sequence[Path]:
    """TRC, a file per person."""
    paths = write_trcs(order.folder / "trc", order.stem, order.table, order.rate_hz, order.names)
    return order.alone("trc", paths)


def write_c3d_files(order: Order) -> Sequence[Path]:
    """C3D, a file per person."""
    # Its package is optional.
    from dispose.formats.exports.c3d_files import write_c3d

    names = order.names(order.table.skeleton)
    paths: list[Path] = []
    for clip in order.clips("c3d"):
        path = order.folder / "c3d" / f"{order.stem}_P{clip.person}.c3d"
        paths += write_c3d(path, names, clip.xyz_world, clip.rate_hz, clip.first)
    return order.alone("c3d", paths)


def write_bvh_files(order: Order) -> Sequence[Path]:
    """BVH, a file per person."""
    paths, filled, total = [], 0, 0
    for clip in order.clips("bvh"):
        motion = motion_of(order.table.skeleton, clip.xyz_world)
        if motion is None:
            continue
        filled, total = filled + int((~motion.known).sum()), total + motion.known.size
        paths.append(order.folder / "bvh" / f"{order.stem}_P{clip.person}.bvh")
        write_bvh(paths[-1], motion, order.tree_names(motion.tree), clip.rate_hz)
    say_filled("bvh", filled, total)
    return order.alone("bvh", paths)


def write_gltf_file(order: Order) -> Sequence[Path]:
    """One .glb with everybody."""
    first, counts = int(order.table.numbers.min()), [0, 0]

    def actors() -> Iterator[Actor]:
        for clip in order.clips("gltf"):
            motion = motion_of(order.table.skeleton, clip.xyz_world)
            if motion is not None:
                counts[0], counts[1] = counts[0] + int((~motion.known).sum()), counts[1] + motion.known.size
                start = (clip.first - first) / order.rate_hz
                yield Actor(clip.person, order.tree_names(motion.tree), motion, start)

    path = order.folder / "gltf" / f"{order.stem}.glb"
    apart = next(iter(clips_of(order.table, order.rate_hz))).rate_hz
    write_gltf(path, actors(), apart)
    say_filled("gltf", *counts)
    return (path,)


def say_filled(kind: str, filled: int, total: int) -> None:
    """What an animation cannot leave open."""
    if filled:
        print(
            f"{kind}: {filled} of {total} places of joints are not known and stand between the known ones round them."
        )


def write_csv_file(order: Order) -> Sequence[Path]:
    """One table with everybody."""
    path = order.folder / "csv" / f"{order.stem}.csv"
    with tqdm(total=len(order.table.frame), desc="csv", unit="row", disable=None) as bar:
        write_people_csv(path, order.table, order.rate_hz, bar.update)
    return (path,)


def write_project(order: Order) -> Sequence[Path]:
    """A folder as Pose2Sim has it."""
    if order.run.members is None or not (order.source / EVIDENCE).is_file():
        raise InputError(f"{order.source}: has no {EVIDENCE} with the detections that a Pose2Sim project needs.")
    with (
        open_seen(order.source / EVIDENCE, order.run.digest) as seen,
        tqdm(total=len(seen.numbers), desc="pose2sim", disable=None) as bar,
    ):
        return write_pose2sim(order.folder / "pose2sim", order.stem, order.table, seen, order.run.members,
                              order.rate_hz, names=order.names, step=bar.update)  # fmt: skip


def write_coco_files(order: Order) -> Sequence[Path]:
    """COCO's JSON, a file per camera."""
    cameras, paths = order.cameras(), []
    with tqdm(total=len(order.table.frame) * len(cameras), desc="coco", unit="row", disable=None) as bar:
        for view, name in enumerate(cameras.names):
            paths.append(order.folder / "coco" / f"{name.replace('/', '_')}.json")
            write_coco(paths[-1], order.table, cameras.select(views=[view]), bar.update)
    return paths


def write_film_file(order: Order) -> Sequence[Path]:
    """A film, by the package of pictures in a process of its own: the library itself draws nothing."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingBackendError("mp4 needs the package matplotlib: pip install 'dispose[viz]'")
    order.cameras()
    path = order.folder / "mp4" / f"{order.stem}.mp4"
    options = [("calibration", order.calibration), ("pictures", order.pictures)]
    words = [word for name, given in options if given is not None for word in (f"--{name}", str(given))]
    if draw(FILM, order.source, path, "--rate-hz", order.rate_hz, *words):
        raise InputError(f"{path}: was not written.")
    return (path,)


WRITERS: dict[str, Callable[[Order], Sequence[Path]]] = {
    "trc": write_trc_files,
    "c3d": write_c3d_files,
    "bvh": write_bvh_files,
    "gltf": write_gltf_file,
    "csv": write_csv_file,
    "pose2sim": write_project,
    "coco": write_coco_files,
    "mp4": write_film_file,
}
