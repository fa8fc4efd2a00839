"""What all frames of a person together are worth: joints frame by frame, and after every way of smoothing them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from jaxtyping import Bool, Float
from tqdm import tqdm

from dispose.association.packing import gather_groups
from dispose.formats.folders import require_file
from dispose.inference.smoothing import smooth_joints, sway
from dispose.inference.trajectories.adjust import AdjustWeights, adjust_track
from dispose.inference.trajectories.filters import Filter, butterworth, filter_joints, gaussian, loess, median
from dispose.inference.trajectories.track import Track, track_keypoints
from dispose.options import Count
from dispose.scene.labels import association_of_identities
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose.zoo.triangulators import load_triangulator
from dispose_benchmarks.report import write_figures
from dispose_benchmarks.studies.smoothed_results import ShelfRow, TimeRow, shelf_rows, time_row
from dispose_synthetic.detectors.parameters import FITTED
from dispose_synthetic.rigs import CORNERS, RING, sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

SCHEMA = "dispose.bench.smoothing/1"
FIRST_SEED = 9000
"""Of the sequences. The settings of `dispose smooth` were chosen on those of 4000 to 4007."""

RATE_HZ, CAMERAS = 25.0, 3
ROBUST, RAYS = "robust", "rays"
TIMED_PEOPLE = 4
FAST = 0.95
"""The fastest moments of the wrists: from this quantile of their speed on."""

Places = Float[np.ndarray, "frames joints 3"]
Mask = Bool[np.ndarray, "frames joints"]


@dataclass(frozen=True, eq=False)
class Recorded:
    """One person of one sequence: where they were, and their track by each triangulator."""

    truth: Places
    tracks: dict[str, Track]


@dataclass(frozen=True)
class SmoothingRow:
    """One way, over all people; mm and percent.

    Attributes:
        method: the way.
        joint_mm: mean error of the joints that frame-wise robust triangulation knows.
        less: by how much smaller it is than that one's.
        second_differences: mean length of second differences over the truth's.
        fast_mm: mean error of the wrists in their fastest twentieth.
        known: joints that are said.
        cover_50: how many of the claimed intervals of 50 % hold the truth.
        cover_90: the same of 90 %.
        milliseconds: processor time for a person in a frame.
    """

    method: str
    joint_mm: float
    less: float
    second_differences: float
    fast_mm: float
    known: float
    cover_50: float
    cover_90: float
    milliseconds: float


def draw_people(sequences: int, frames: int, people: int) -> list[Recorded]:
    """People who walk before three cameras, with detectors that were fitted to real ones, one after the other."""
    by, found = {name: load_triangulator(name) for name in (ROBUST, RAYS)}, []
    for number in range(sequences):
        generator = torch.Generator().manual_seed(FIRST_SEED + number)
        (rig,) = sample_rigs(generator, 1, CAMERAS, (RING, CORNERS))
        config = SequenceConfig(rate_hz=RATE_HZ, detector=FITTED[number % len(FITTED)])
        scenes = sample_sequence(generator, frames, people, rig, config)
        groups = [association_of_identities(labels.identity) for _, labels in scenes]
        evidence = gather_groups([frame for frame, _ in scenes], groups)
        poses = {name: triangulate(evidence) for name, triangulate in by.items()}
        who = [
            int(labels.identity[view, slot])
            for group, (_, labels) in zip(groups, scenes, strict=True)
            for view, slot in (next((v, s) for v, s in enumerate(row) if s != ABSENT) for row in group.members.tolist())
        ]
        for person in range(people):
            mine = torch.tensor([one == person for one in who])
            at = evidence.frame[mine].numpy()
            truth = np.stack([labels.poses.xyz_world[person].numpy() for _, labels in scenes])

            def spread(values: torch.Tensor, mine: torch.Tensor = mine, at: np.ndarray = at) -> np.ndarray:
                whole = np.zeros((frames, *values.shape[1:]), dtype=values.numpy().dtype)
                whole[at] = values[mine].numpy()
                return whole

            keypoints = track_keypoints(rig.to(torch.float64), spread(evidence.xy_image), spread(evidence.seen))
            tracks = {}
            for name, one in poses.items():
                assert one.covariance is not None, "triangulators claim something"
                claims = spread(one.covariance.double())
                seconds = np.arange(frames) / RATE_HZ
                tracks[name] = Track(seconds, spread(one.xyz_world.double()), spread(one.valid), claims, keypoints)
            found.append(Recorded(truth, tracks))
    return found


@dataclass(frozen=True, eq=False)
class Smoothed:
    """What a way says of one person."""

    xyz_world: Places
    known: Mask
    covariance: Float[np.ndarray, "frames joints 3 3"]


Way = Callable[[Track], Smoothed]


def as_they_are(track: Track) -> Smoothed:
    """Every frame by itself."""
    return Smoothed(track.xyz_world, track.known, track.covariance)


def adjusted(track: Track, weights: AdjustWeights) -> Smoothed:
    """The adjustment."""
    found = adjust_track(track, COCO_17, weights)
    return Smoothed(found.xyz_world, np.ones_like(track.known), found.covariance)


def claimed(track: Track) -> Smoothed:
    """The Kalman smoother of what frames claim."""
    xyz, covariance, known, seconds = map(
        torch.from_numpy, (track.xyz_world, track.covariance, track.known, track.seconds)
    )
    found = smooth_joints(xyz, covariance, known, seconds, sway(COCO_17.joints))
    return Smoothed(found.xyz_world.numpy(), np.ones_like(track.known), found.covariance.numpy())


def filtered_by(track: Track, by: Filter) -> Smoothed:
    """A filter by name; gaps of any length are bridged."""
    found = filter_joints(track.xyz_world, track.known, np.ones_like(track.known), RATE_HZ, by)
    return Smoothed(found.xyz_world, track.known, track.covariance)


EVERYTHING = AdjustWeights()
WAYS: tuple[tuple[str, str, Way], ...] = (
    ("robust, every frame alone", ROBUST, as_they_are),
    ("rays, every frame alone", RAYS, as_they_are),
    ("smooth, of rays", RAYS, partial(adjusted, weights=EVERYTHING)),
    ("smooth, of robust joints", ROBUST, partial(adjusted, weights=EVERYTHING)),
    ("without bones", RAYS, partial(adjusted, weights=AdjustWeights(bone=np.inf))),
    ("without motion", RAYS, partial(adjusted, weights=AdjustWeights(restless=1e9))),
    ("without keypoints", RAYS, partial(adjusted, weights=AdjustWeights(keypoints=1e-9, alone=1e-9))),
    ("kalman alone", RAYS, claimed),
    ("butterworth 6 Hz alone", RAYS, partial(filtered_by, by=partial(butterworth, cutoff_hz=6.0, order=4))),
    ("gaussian 0.03 s alone", RAYS, partial(filtered_by, by=partial(gaussian, seconds=0.03))),
    ("median 0.12 s alone", RAYS, partial(filtered_by, by=partial(median, seconds=0.12))),
    ("loess 0.2 s alone", RAYS, partial(filtered_by, by=partial(loess, seconds=0.2))),
)


def measure(name: str, source: str, way: Way, people: Sequence[Recorded]) -> SmoothingRow:
    """One row."""
    error, base, second, fast, ratio, known = [], [], [], [], [], []
    start, frames = time.process_time(), sum(len(one.truth) for one in people)
    answers = [way(one.tracks[source]) for one in people]
    seconds = time.process_time() - start
    for one, said in zip(people, answers, strict=True):
        track, truth = one.tracks[ROBUST], one.truth
        off, both = np.linalg.norm(said.xyz_world - truth, axis=-1), said.known & track.known
        error.append(off[both])
        base.append(np.linalg.norm(track.xyz_world - truth, axis=-1)[both])
        three = said.known[2:] & said.known[1:-1] & said.known[:-2]
        bend = [np.linalg.norm(np.diff(xyz, 2, axis=0), axis=-1)[three] for xyz in (said.xyz_world, truth)]
        second.append(np.stack(bend))
        wrists = [COCO_17.index(joint) for joint in ("l_wrist", "r_wrist")]
        speed = np.linalg.norm(truth[2:, wrists] - truth[:-2, wrists], axis=-1)
        there = both[1:-1, wrists]
        fast.append(np.stack([speed[there], off[1:-1, wrists][there]]))
        sigma = np.sqrt(np.diagonal(said.covariance, axis1=-2, axis2=-1))[said.known]
        ratio.append((np.abs(said.xyz_world - truth)[said.known] / sigma).ravel())
        known.append(said.known.mean())
    moments, bends, ratios = np.concatenate(fast, 1), np.concatenate(second, 1).mean(1), np.concatenate(ratio)
    mean, alone = float(np.concatenate(error).mean()), float(np.concatenate(base).mean())
    quick = moments[1][moments[0] >= np.quantile(moments[0], FAST)]
    half, most = (100 * float((ratios < edge).mean()) for edge in (0.67449, 1.64485))
    return SmoothingRow(
        name, mean, 100 * (1 - mean / alone), float(bends[0] / bends[1]), float(quick.mean()),
        100 * float(np.mean(known)), half, most, 1000 * seconds / frames,
    )  # fmt: skip


@dataclass(frozen=True)
class SmoothingBench:
    """Measure `dispose smooth` before three cameras on synthetic people, beside single frames and parts of itself.

    Then the commands themselves: correct parts on Shelf from three of its cameras where its table is at hand, and how
    long a recording takes.
    """

    sequences: Count = 8
    """Sequences, one of every kind of fitted detector in turn."""
    frames: Count = 150
    """Frames of a sequence, at 25 a second."""
    people: Count = 3
    """People of a sequence."""
    data: Path = Path("../shared/data")
    """Folder of the converted tables; without it Shelf is left out."""
    timed_frames: int = 1000
    """Frames of the recording of four people that is timed; 0: none."""
    out: Path = Path("data/results/smoothing.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        torch.set_num_threads(1)
        drawn = draw_people(self.sequences, self.frames, self.people)
        rows = [measure(name, source, way, drawn) for name, source, way in tqdm(WAYS, unit="way", delay=2.0)]
        print("way                            mm   less   2nd diff.  fast wrists  known   50 %   90 %   ms")
        for row in rows:
            print(
                f"{row.method:<28} {row.joint_mm:>6.1f} {row.less:>5.1f}% {row.second_differences:>9.2f} "
                f"{row.fast_mm:>12.1f} {row.known:>6.1f}% {row.cover_50:>5.1f}% {row.cover_90:>5.1f}% "
                f"{row.milliseconds:>5.1f}"
            )
        shelf, timed = self.by_commands()
        figures = {"rows": rows, "shelf": shelf, "time": timed}
        write_figures(self.out, SCHEMA, {name: [asdict(row) for row in part] for name, part in figures.items()})
        return 0

    def by_commands(self) -> tuple[list[ShelfRow], list[TimeRow]]:
        """What `dispose predict` and `dispose smooth` say and take, printed."""
        with TemporaryDirectory() as work:
            found = shelf_rows(self.data / "shelf", Path(work)) if (self.data / "shelf").is_dir() else []
            for row in found:
                print(
                    f"Shelf, three views, {row.triangulator}: PCP {row.pcp:.2f}, smoothed {row.pcp_smooth:.2f} "
                    f"({row.pcp_smooth - row.pcp:+.2f})"
                )
            timed = [time_row(Path(work), FIRST_SEED, self.timed_frames, TIMED_PEOPLE)] if self.timed_frames else []
            for row in timed:
                print(
                    f"dispose smooth, {row.frames} frames of {row.people} people ({row.persons_frames} found): "
                    f"{row.seconds:.1f} s, {row.processor_seconds:.1f} s of processors"
                )
        return found, timed
