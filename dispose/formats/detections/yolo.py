"""YOLO's text of one image: a line per person, ``class x y width height``, then ``x y visibility`` of every joint.

All as shares of the image's size. Behind the joints may stand the person's score, their number, or both. COCO's 17
joints may have no visibility.
"""

from collections import Counter
from collections.abc import Iterable

from dispose.errors import InputError
from dispose.formats.detections.classes import YOLO, PeopleClass, class_of_people
from dispose.formats.entry import number_of, short

BOX = 5
FEWEST_VALUES = BOX + 3
PAIRS = 2 * 17


def class_in_texts(texts: Iterable[str], place: str) -> PeopleClass:
    """The class of people in some texts; `InputError` where there are several and none is people's."""
    words = (line.split() for text in texts for line in text.splitlines() if line.strip())
    return class_of_people(place, "class", [_number(line[0]) for line in words if len(line) >= FEWEST_VALUES], YOLO)


def people_of_text(text: str, place: str, whose: PeopleClass) -> list[object]:
    """The people of a text, in the order of its lines: no number is None, a line that is none stays text.

    Raises:
        InputError: no line speaks of a person with joints.
    """
    lines = [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    people = _of_one_length([_person(line, whose) for _, line in lines], [len(line.split()) for _, line in lines])
    if lines and all(isinstance(person, str) for person in people):
        at, line = lines[0]
        what = "a box without joints" if len(line.split()) in (BOX, BOX + 1) else short(people[0])
        raise InputError(
            f"{place}: line {at} is {what}; YOLO's text of people (class, box, then x y visibility of every joint) is "
            "expected."
        )
    return people


def _of_one_length(people: list[object], counts: list[int]) -> list[object]:
    """Without people of whose line a number is missing or there twice, so that those behind it are of other joints.

    Lines of as many joints end alike, with a score and a number of the person or without: those that end in another
    way than most are wrong, and all where none is most.
    """
    lengths = Counter(n for person, n in zip(people, counts, strict=True) if isinstance(person, list))
    joints = Counter((n - BOX) // 3 for n in lengths.elements())
    return [
        f"{n} numbers, not as other lines" if isinstance(person, list) and 2 * lengths[n] <= joints[(n - BOX) // 3]
        else person
        for person, n in zip(people, counts, strict=True)
    ]  # fmt: skip


def _person(line: str, whose: PeopleClass) -> object:
    values = [_number(word) for word in line.split()]
    if len(values) < FEWEST_VALUES or values[0] is None:
        return line
    return whose.only_people(values[0], _joints(values[BOX:]))


def _joints(values: list[float | None]) -> list[object]:
    """The values of the joints, without the person's score and number behind them; visibility 2 is 1."""
    if PAIRS <= len(values) <= PAIRS + 2:
        # Twelve joints with visibilities would be of no skeleton.
        return [value for at in range(0, PAIRS, 2) for value in (*values[at : at + 2], 1.0)]
    joints: list[object] = [*values[: len(values) // 3 * 3]]
    joints[2::3] = [1.0 if value == 2 else value for value in joints[2::3]]
    return joints


def _number(word: str) -> float | None:
    try:
        return number_of(word)
    except ValueError:
        return None
