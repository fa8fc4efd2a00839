"""How image models are scored on each data set, twice: `released` for published tables, `clean` for conclusions.

`released` counts as the released code does and, as its authors did, chooses models by the test frames (B9). `clean`
matches people one to one, makes all heads alike, and chooses models by validation frames that are not the test's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dispose.datasets.layouts.campus import CAMPUS, CAMPUS_TEST, CAMPUS_VALIDATION, open_campus
from dispose.datasets.layouts.mm_or import MM_OR, MM_OR_TEST, MM_OR_VALIDATION, open_mm_or
from dispose.datasets.layouts.panoptic import PANOPTIC, PANOPTIC_TEST, PANOPTIC_VALIDATION, open_panoptic
from dispose.datasets.layouts.shelf import SHELF, SHELF_TEST, SHELF_VALIDATION, open_shelf
from dispose.datasets.layouts.source import Source, Split, Traits
from dispose.datasets.multiview import FrameLog, MultiViewDataset, good_samples
from dispose.errors import InputError
from dispose.evaluation.image_measures import (
    ImageMeasure,
    campus_released,
    clean_parts,
    clean_roots,
    clean_skeletons,
    figures_of,
    released_parts,
    released_roots,
    released_skeletons,
    root_pairs,
)
from dispose.evaluation.image_scenes import Answers, ImageScene
from dispose.evaluation.scenes import Row
from dispose.released.heads import shelf_poses_released
from dispose.scene.convert import campus_poses, shelf_poses

Open = Callable[[Path, Split, Sequence[str]], Source]


@dataclass(frozen=True)
class ImageProtocol:
    """How image models are scored on a data set.

    Attributes:
        name: of the data set and the convention.
        convention: ``released`` or ``clean``, for tables.
        traits: of the data set.
        open: looks through a folder for the frames of a split and the cameras named.
        test: the frames that are scored.
        selection: the frames by which one may choose between models.
        measures: what is computed.
        published: the name of the published table that the figures stand beside, in data/published.
    """

    name: str
    convention: str
    traits: Traits
    open: Open
    test: Split
    selection: Split
    measures: tuple[ImageMeasure, ...]
    published: str

    def source(self, folder: Path, *, views: Sequence[str] = ()) -> Source:
        """The test frames, by default of the cameras that are usually taken."""
        return self.open(folder, self.test, views or self.traits.views)

    def score(self, answers: Answers) -> Row:
        """The figures of one method's answers."""
        figures = figures_of(answers.outcomes, self.measures)
        return Row(answers.method, self.name, len(answers.outcomes), None, figures, answers.seconds)


def source_scenes(source: Source, log: FrameLog, *, input_size: tuple[int, int] | None = None) -> Iterator[ImageScene]:
    """The frames that somebody annotated, read one by one; those that cannot be read are counted in `log`."""
    dataset = MultiViewDataset(source, input_size or source.traits.input_size)
    for frame, truth in good_samples(dataset, log):
        if truth.annotated:
            yield ImageScene(frame, truth.poses)


def _panoptic(folder: Path, split: Split, views: Sequence[str]) -> Source:
    return open_panoptic(folder, split, views=views)


def _shelf(folder: Path, split: Split, views: Sequence[str]) -> Source:
    return open_shelf(folder, split, views=views)


def _campus(folder: Path, split: Split, views: Sequence[str]) -> Source:
    return open_campus(folder, split, views=views)


def _mm_or(folder: Path, split: Split, views: Sequence[str]) -> Source:
    return open_mm_or(folder, split, views=views)


RELEASED_PEOPLE = (released_skeletons, released_roots)
CLEAN_PEOPLE = (clean_skeletons, clean_roots, root_pairs)

PANOPTIC_RELEASED = ImageProtocol(
    "panoptic, released", "released", PANOPTIC, _panoptic, PANOPTIC_TEST, PANOPTIC_TEST, RELEASED_PEOPLE, "panoptic"
)
PANOPTIC_CLEAN = ImageProtocol(
    "panoptic, clean", "clean", PANOPTIC, _panoptic, PANOPTIC_TEST, PANOPTIC_VALIDATION, CLEAN_PEOPLE, "panoptic"
)
MM_OR_RELEASED = ImageProtocol(
    "mm_or, released", "released", MM_OR, _mm_or, MM_OR_TEST, MM_OR_TEST, RELEASED_PEOPLE, "mm_or"
)
MM_OR_CLEAN = ImageProtocol("mm_or, clean", "clean", MM_OR, _mm_or, MM_OR_TEST, MM_OR_VALIDATION, CLEAN_PEOPLE, "mm_or")
SHELF_RELEASED = ImageProtocol(
    "shelf, released", "released", SHELF, _shelf, SHELF_TEST, SHELF_TEST,
    (partial(released_parts, prepare=shelf_poses_released),), "shelf",
)  # fmt: skip
SHELF_CLEAN = ImageProtocol(
    "shelf, clean", "clean", SHELF, _shelf, SHELF_TEST, SHELF_VALIDATION,
    (partial(clean_parts, prepare=shelf_poses), root_pairs), "shelf",
)  # fmt: skip
CAMPUS_RELEASED = ImageProtocol(
    "campus, released", "released", CAMPUS, _campus, CAMPUS_TEST, CAMPUS_TEST,
    (partial(released_parts, prepare=campus_released),), "campus",
)  # fmt: skip
CAMPUS_CLEAN = ImageProtocol(
    "campus, clean", "clean", CAMPUS, _campus, CAMPUS_TEST, CAMPUS_VALIDATION,
    (partial(clean_parts, prepare=campus_poses), root_pairs), "campus",
)  # fmt: skip

IMAGE_PROTOCOLS = (
    ("panoptic_images", (PANOPTIC_RELEASED, PANOPTIC_CLEAN)),
    ("shelf_images", (SHELF_RELEASED, SHELF_CLEAN)),
    ("campus_images", (CAMPUS_RELEASED, CAMPUS_CLEAN)),
    ("mm_or_images", (MM_OR_RELEASED, MM_OR_CLEAN)),
)
"""Names on the command line and the protocols that stand side by side."""


def image_protocols_of(name: str) -> tuple[ImageProtocol, ...]:
    """The protocols of a name; `InputError` lists the names where there is none."""
    for known, protocols in IMAGE_PROTOCOLS:
        if known == name:
            return protocols
    raise InputError(f"no image protocol named {name!r}; known: {', '.join(known for known, _ in IMAGE_PROTOCOLS)}")
