"""Detectors of several kinds of things say a class of each: which one people have, and who is left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dispose.errors import InputError
from dispose.formats.detections.people import OfOtherClass

COCO, YOLO = (1, 0), (0,)
"""The class of people in COCO's lists (some tools count from 0), and in YOLO's texts."""


@dataclass(frozen=True)
class PeopleClass:
    """What people are called in a file.

    Attributes:
        word: what the file calls it: its ``category_id``, or class.
        values: those of people; none where the file says none, so that all are people.
        notes: a sentence where that is unusual.
    """

    word: str
    values: frozenset[object] = frozenset()
    notes: tuple[str, ...] = ()

    def only_people(self, said: object, person: object) -> object:
        """A person; or, where its class says something else, that."""
        other = bool(self.values) and is_class(said) and said not in self.values
        return OfOtherClass(f"{self.word} {_shown(said)}") if other else person


def is_class(value: object) -> bool:
    """Whether a value can be a class."""
    return isinstance(value, int | float | str)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)[:20]


def class_of_people(place: str, word: str, said: Iterable[object], usual: Sequence[object]) -> PeopleClass:
    """The class of people among those that a file says: the first usual one, or the only one, which is noted.

    Raises:
        InputError: there are several, and none is people's.
    """
    classes = {one for one in said if is_class(one)}
    found = next((one for one in usual if one in classes), None)
    if found is not None or not classes:
        return PeopleClass(word, frozenset(() if found is None else {found}))
    shown = ", ".join(sorted(map(_shown, classes))[:8])
    if len(classes) > 1:
        raise InputError(f"{place}: there are {word} {shown}, and none is {usual[0]}, which people have; keep only "
                         "people's lines, or number them so.")  # fmt: skip
    note = f"{place}: everybody has {word} {shown}, where people have {usual[0]}; all are taken as people."
    return PeopleClass(word, frozenset(classes), (note,))
