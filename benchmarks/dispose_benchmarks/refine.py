"""What `dispose calibrate refine` gives back of cameras that were knocked, and whether it leaves good ones in peace."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tqdm import tqdm

from dispose.datasets.tables.reading import read_cameras, read_columns
from dispose.datasets.tables.shelf import read_shelf
from dispose.formats.folders import require_file
from dispose.inference.calibration.people import associate_people, place_people, seen_by
from dispose.inference.calibration.refine import RigErrors, refine_rig, split_frames
from dispose.inference.capture import read_capture, read_frame
from dispose.options import Count
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Associate, Association, AssociationResult
from dispose.scene.teaching import knock_cameras
from dispose.skeletons.skeleton import Skeleton
from dispose.zoo.checkpoints import load_associator
from dispose_benchmarks.report import write_figures
from dispose_synthetic.detectors.parameters import DETECTORS
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence

SCHEMA = "dispose.bench.refine/1"
HELD_OUT = 9_100_000_000
"""Added to seeds: training draws from others."""

KNOCKS = ((0.0, 0.0), (1.0, 30.0))
"""By how much every camera was knocked: degrees, mm."""

ENOUGH_FRAMES = 40
"""A recording of fewer is scored by the frames that judge: nothing would be left to adjust by."""

CORNERS = 12
VIEWS = (3, 4, 5, 6)


@dataclass(frozen=True, eq=False)
class RefineCase:
    """Frames of one recording, with the calibration that counts as undisturbed, and who says who is who in them."""

    name: str
    frames: tuple[Frame, ...]
    associate: Associate


@dataclass(frozen=True)
class RefineRow:
    """One refinement; errors are medians over the sightings of frames that nothing was adjusted by, pixels.

    Attributes:
        case: the recording.
        degrees: by how much every camera was turned.
        mm: and moved.
        seed: of the turns.
        undisturbed_px: error of the calibration before it was disturbed.
        disturbed_px: after that.
        refined_px: of what the refinement leaves: the refined cameras, or the disturbed ones where they are not better.
        share: the refined error over the undisturbed one.
        written: whether the refined calibration would be written.
        worst_camera: over all cameras, the largest error that is left over the one before the refinement.
    """

    case: str
    degrees: float
    mm: float
    seed: int
    undisturbed_px: float
    disturbed_px: float
    refined_px: float
    share: float
    written: bool
    worst_camera: float


def spread(numbers: Sequence[int], count: int) -> list[int]:
    """So many of some numbers, from all over them."""
    step = max(len(numbers) / count, 1.0)
    return [numbers[int(k * step)] for k in range(min(count, len(numbers)))]


def shelf_case(data: Path, frames: int, associate: Associate) -> RefineCase:
    """Shelf: five cameras, four people."""
    table = read_shelf(data / "shelf")
    return RefineCase("shelf", tuple(table.frame(n)[0] for n in spread(table.numbers, frames)), associate)


def pose2sim_case(data: Path, frames: int, associate: Associate) -> RefineCase:
    """Pose2Sim's two people and a bystander before four cameras, whose published calibration is off."""
    capture = read_capture(data / "raw" / "pose2sim_multi")
    chosen = spread(capture.numbers, frames)
    return RefineCase("pose2sim_multi", tuple(read_frame(capture, n).frame for n in chosen), associate)


def board_case(data: Path) -> RefineCase:
    """A real board before four real cameras: its corners are the joints of a person who is always the same."""
    cameras = read_cameras(data / "board" / "cameras.json")
    skeleton = Skeleton("board", tuple(f"corner_{k:02d}" for k in range(CORNERS)), ())
    number, view, kpts = read_columns(data / "board" / "detections.npz", ("frame", "view", "kpts"))
    frames = []
    for instant in sorted(set(number.tolist())):
        lists = [
            [torch.from_numpy(np.asarray(one, dtype=np.float64)) for one in kpts[(number == instant) & (view == v)]]
            for v in range(len(cameras))
        ]
        frames.append(Frame(instant, cameras, Detections.from_lists(skeleton, lists)))
    return RefineCase("board", tuple(frames), the_only_one)


def the_only_one(frames: Sequence[Frame]) -> list[AssociationResult]:
    """Everything that is seen is one thing."""
    return [AssociationResult(Association(one.detections.index[None, :, 0], torch.ones(1).double())) for one in frames]


def synthetic_case(seed: int, frames: int, associate: Associate) -> RefineCase:
    """Three to five people who walk about before a rig of its own, by a detector of its own."""
    generator = torch.Generator().manual_seed(HELD_OUT + seed)
    (rig,) = sample_rigs(generator, 1, VIEWS[seed % len(VIEWS)])
    config = SequenceConfig(rate_hz=5.0, detector=DETECTORS[seed % len(DETECTORS)])
    scenes = sample_sequence(generator, frames, 3 + seed % 3, rig, config)
    return RefineCase(f"synthetic {seed}", tuple(frame for frame, _ in scenes), associate)


def measure(case: RefineCase, degrees: float, mm: float, seed: int) -> RefineRow:
    """Knock the cameras, refine them by two thirds of the frames, and score them by the others."""
    seen, judges = split_frames(len(case.frames))
    true = case.frames[0].cameras
    knocked = knock_cameras(true, degrees, mm, torch.Generator().manual_seed(seed)) if degrees or mm else true
    given = [replace(case.frames[k], cameras=knocked) for k in seen]
    if len(case.frames) >= ENOUGH_FRAMES:
        by, held = ([given[k] for k in some] for some in split_frames(len(given)))
    else:
        by, held = given, [replace(case.frames[k], cameras=knocked) for k in judges]
    found = refine_rig(by, held, case.associate)
    groups = associate_people([case.frames[k] for k in judges], true, case.associate, case.name)

    def errors(cameras: Cameras) -> RigErrors:
        return RigErrors.of(place_people(seen_by(groups, cameras)), range(len(cameras)))

    undisturbed, disturbed = errors(true), errors(knocked)
    left = disturbed if found.worse else errors(found.found)
    ratio = (left.median_px / disturbed.median_px).nan_to_num(0.0)
    return RefineRow(
        case.name, degrees, mm, seed, float(undisturbed.whole_px), float(disturbed.whole_px), float(left.whole_px),
        float(left.whole_px / undisturbed.whole_px), not found.worse, float(ratio.max()),
    )  # fmt: skip


@dataclass(frozen=True)
class RefineBench:
    """Knock every camera by 1° and 30 mm and refine the calibration by people (`dispose calibrate refine`), or leave it
    as it is and see whether it is left in peace; errors on frames that nothing was adjusted by.

    Shelf, Pose2Sim's two people, a real board, and synthetic rooms; what is not in the folder of the data is left out.
    """

    data: Path = Path("../shared/data")
    """Folder of the converted tables (data/README.md)."""
    frames: Count = 135
    """Frames of a recording: a third scores, a third of the rest judges."""
    seeds: Count = 2
    """Ways to knock the cameras of a recording."""
    rooms: Count = 6
    """Synthetic rooms."""
    out: Path = Path("data/results/refine.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        torch.set_num_threads(1)
        associate = load_associator().associate
        cases: list[Callable[[], RefineCase]] = []
        if (self.data / "shelf").is_dir():
            cases.append(lambda: shelf_case(self.data, self.frames, associate))
        if (self.data / "raw" / "pose2sim_multi").is_dir():
            cases.append(lambda: pose2sim_case(self.data, self.frames, associate))
        if (self.data / "board").is_dir():
            cases.append(lambda: board_case(self.data))
        cases += [lambda room=room: synthetic_case(room, self.frames, associate) for room in range(self.rooms)]
        rows = []
        print(f"{'case':<16} {'knocked by':>14} {'undisturbed':>12} {'disturbed':>10} {'refined':>8}  share  written")
        for make in tqdm(cases, unit="recording"):
            case = make()
            for degrees, mm in KNOCKS:
                for seed in range(self.seeds if degrees or mm else 1):
                    rows.append(measure(case, degrees, mm, seed))
                    print(line_of(rows[-1]), flush=True)
        knocked = [row for row in rows if row.degrees]
        sums = {
            "largest_share_knocked": max(row.share for row in knocked),
            "median_share_knocked": median(row.share for row in knocked),
            "worst_camera": max(row.worst_camera for row in rows),
        }
        write_figures(self.out, SCHEMA, {"rows": [asdict(row) for row in rows], **sums})
        return 0


def line_of(row: RefineRow) -> str:
    """A row in words."""
    by = f"{row.degrees:g}°, {row.mm:g} mm"
    return (
        f"{row.case:<16} {by:>14} {row.undisturbed_px:12.2f} {row.disturbed_px:10.2f} {row.refined_px:8.2f} "
        f"{row.share:6.3f}  {'yes' if row.written else 'no'}, worst camera × {row.worst_camera:.3f}"
    )
