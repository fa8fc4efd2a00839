"""What a lifter is worth in captures: people whom all cameras but one lose, with and without `--single-view`; and how
often what all views say lies in the region of each view by itself.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.datasets.tables.mvor import read_mvor
from dispose.datasets.tables.panoptic import read_panoptic_mini
from dispose.datasets.tables.reading import LabelledFrames
from dispose.datasets.tables.shelf import read_shelf
from dispose.evaluation.single_view import HiddenFigures, answer_hidden, hide_people, score_hidden
from dispose.evaluation.views_agree import Agreement, agreement_of, as_labels, lift_capture
from dispose.formats.folders import require_file
from dispose.inference.capture import read_capture, source_of
from dispose.inference.run import results_of
from dispose.inference.single_view import SingleViews
from dispose.options import Count
from dispose.zoo.checkpoints import load_associator
from dispose.zoo.lifters import load_keypoint_lifter
from dispose.zoo.triangulators import DEFAULT_TRIANGULATOR, load_reconstruction
from dispose_benchmarks.report import write_figures

SCHEMA = "dispose.bench.single_view/1"

HIPS = ("l_hip", "r_hip")
SHARES = ("found", "within_150", "covered", "others", "in_room", "from_hips", "seen_in_room")
"""Figures that are shares: written in percent."""

CAPTURE = Path("raw/pose2sim_multi")

Read = Callable[[Path], LabelledFrames]
SETS: tuple[tuple[str, Read], ...] = (
    ("Panoptic mini", lambda data: read_panoptic_mini(data / "panoptic_mini")),
    ("Shelf", lambda data: read_shelf(data / "shelf")),
    ("MVOR", lambda data: read_mvor(data / "mvor", "rtpose")),
)


@dataclass(frozen=True)
class SingleViewRow:
    """A data set, answered one way."""

    data_set: str
    method: str
    figures: HiddenFigures


@dataclass(frozen=True)
class AgreementRow:
    """How far single views of a data set, or of one person of a capture, agree with the truth."""

    what: str
    method: str
    figures: Agreement


def agree(name: str, data: Path, frames: int) -> list[AgreementRow]:
    """Panoptic mini, whose truth is known, and the capture ``raw/pose2sim_multi``, where all views together are it.

    The capture has a man and a small child, who differ so much that each has a row.
    """
    lifter, generator = load_keypoint_lifter(name), torch.Generator().manual_seed(0)
    hips = lifter.skeleton.indices(HIPS)
    table = read_panoptic_mini(data / "panoptic_mini")
    some = [table.frame(number) for number in table.numbers[:: max(1, len(table.numbers) // frames)]]
    clouds = lift_capture(lifter, some, generator)
    rows = [AgreementRow("Panoptic mini", name, agreement_of(clouds, hips))]
    if not (data / CAPTURE).is_dir():
        return rows
    capture, associator = read_capture(data / CAPTURE), load_associator()
    chosen = replace(capture, numbers=capture.numbers[:: max(1, len(capture.numbers) // frames)])
    results = results_of(source_of(chosen), associator.associate, load_reconstruction(associator=associator))
    labelled = [(one.frame, as_labels(one.frame, one.prediction)) for one in results if one.frame is not None]
    clouds = lift_capture(lifter, labelled, generator)
    rows.append(AgreementRow("pose2sim_multi", name, agreement_of(clouds, hips)))
    for person in sorted(set(clouds.person.tolist())):
        mine = clouds[clouds.person == person]
        if bool(mine.known.any()):
            rows.append(AgreementRow(f"  person {person}", name, agreement_of(mine, hips)))
    return rows


def print_agreement(rows: list[AgreementRow]) -> None:
    """The table of regions."""
    print("\n90 % regions    lifter                joints  in the room  from the hips  view off  pose off  views meet")
    for row in rows:
        of = row.figures
        print(
            f"{row.what:<15} {row.method:<21} {of.joints_told:>6} {100 * of.in_room:>11.0f}% "
            f"{100 * of.from_hips:>13.0f}% {of.view_mm:>6.0f} mm {of.pose_mm:>6.0f} mm {of.meeting_mm:>8.0f} mm"
        )


@dataclass(frozen=True)
class SingleViewBench:
    """Leave one person of every frame to one camera, and see who finds them (`dispose predict --single-view`)."""

    lifters: tuple[str, ...] = ("diffpose-hypotheses",)
    """Lifters by name."""
    triangulator: str = DEFAULT_TRIANGULATOR
    """What places everybody else."""
    frames: Count = 60
    """Frames of every data set."""
    data: Path = Path("../shared/data")
    """Folder of the converted tables."""
    out: Path = Path("data/results/single_view.json")
    """Result file of the people; that of the regions is written beside it (`…_regions.json`)."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        torch.set_num_threads(1)
        associator = load_associator()
        several = load_reconstruction(self.triangulator, associator=associator)
        ways = [("no lifter", several)]
        ways += [(name, SingleViews(several, load_keypoint_lifter(name))) for name in self.lifters]
        rows = []
        for title, read in tqdm(SETS, unit="data set"):
            table = read(self.data)
            numbers = table.numbers[:: max(1, len(table.numbers) // self.frames)]
            cases = hide_people([table.frame(number) for number in numbers])
            for name, way in ways:
                predictions = answer_hidden(cases, associator.associate, way)
                rows.append(SingleViewRow(title, name, score_hidden(cases, predictions)))
        print_rows(rows)
        regions = [row for name in self.lifters for row in agree(name, self.data, self.frames)]
        print_agreement(regions)
        hidden = [as_written(row.data_set, row.method, row.figures) for row in rows]
        agreed = [as_written(row.what, row.method, row.figures) for row in regions]
        for path, some in ((self.out, hidden), (self.out.with_stem(f"{self.out.stem}_regions"), agreed)):
            write_figures(path, SCHEMA, {"triangulator": self.triangulator, "rows": some})
        return 0


def print_rows(rows: list[SingleViewRow]) -> None:
    """The table."""
    print("data set      lifter                hidden  found  150 mm    error     pose  covered  others  extra")
    for row in rows:
        of = row.figures
        print(
            f"{row.data_set:<13} {row.method:<21} {of.persons:>6} {100 * of.found:>5.0f}% {100 * of.within_150:>6.0f}% "
            f"{of.error_mm:>5.0f} mm {of.pose_mm:>5.0f} mm {100 * of.covered:>7.0f}% {100 * of.others:>6.0f}% "
            f"{of.extra:>6.2f}"
        )


def as_written(what: str, method: str, figures: HiddenFigures | Agreement) -> dict[str, object]:
    """A line of a result file."""
    told = {name: 100 * value if name in SHARES else value for name, value in asdict(figures).items()}
    return {"method": method, "detections": what.strip(), **told}
