"""The table of data sets in their original layouts, from which recipes and protocols take theirs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dispose.datasets.layouts import actors, mm_or, panoptic
from dispose.datasets.layouts.source import Layout, Split, Traits


@dataclass(frozen=True)
class Original:
    """A data set in its original layout.

    Attributes:
        traits: what is fixed for it.
        open: looks through a folder for the frames of a split, as the cameras named see them.
        training: the frames that are learned from.
        validation: those by which weights are selected.
        test: those that are scored.
        arrangements: sets of cameras by name.
    """

    traits: Traits
    open: Callable[[Path, Split, Sequence[str]], Layout]
    training: Split
    validation: Split
    test: Split
    arrangements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def cameras(self, names: Sequence[str]) -> tuple[str, ...]:
        """The cameras of an arrangement, or those named; without names those that are usually taken."""
        if len(names) == 1 and names[0] in self.arrangements:
            return self.arrangements[names[0]]
        return tuple(names) or self.traits.views


ORIGINALS = {
    "panoptic": Original(
        panoptic.PANOPTIC, panoptic.open_panoptic,
        panoptic.PANOPTIC_TRAIN, panoptic.PANOPTIC_VALIDATION, panoptic.PANOPTIC_TEST, panoptic.ARRANGEMENTS,
    ),
    "shelf": Original(
        actors.SHELF, actors.open_shelf, actors.SHELF_TRAIN, actors.SHELF_VALIDATION, actors.SHELF_TEST
    ),
    "campus": Original(
        actors.CAMPUS, actors.open_campus, actors.CAMPUS_TRAIN, actors.CAMPUS_VALIDATION, actors.CAMPUS_TEST
    ),
    "mm_or": Original(mm_or.MM_OR, mm_or.open_mm_or, mm_or.MM_OR_TRAIN, mm_or.MM_OR_VALIDATION, mm_or.MM_OR_TEST),
}  # fmt: skip
"""By the name on the command line."""
