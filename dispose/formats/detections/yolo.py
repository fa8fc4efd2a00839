"""YOLO's text of one image: a line per person, ``class x y width height``, then ``x y visibility`` of every joint.

All as shares of the image's size. Behind the joints may stand the person's score, their number, or both.
"""

from dispose.errors import InputError
from dispose.formats.entry import short

BOX = 5
FEWEST_VALUES = BOX + 3


def people_of_text(text: str, place: str) -> list[object]:
    """The people of a text, in the order of its lines: no number is None, a line that is none stays text.

    Raises:
        InputError: no line speaks of a person with joints.
    """
    lines = [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip()]
    people = [_person(line) for _, line in lines]
    if lines and all(isinstance(person, str) for person in people):
        at, line = lines[0]
        what = "a box without joints" if len(line.split()) in (BOX, BOX + 1) else short(line)
        raise InputError(
            f"{place}: line {at} is {what}; YOLO's text of people (class, box, then x y visibility of every joint) is "
            "expected."
        )
    return people


def _person(line: str) -> object:
    values = [_number(word) for word in line.split()]
    return line if len(values) < FEWEST_VALUES or values[0] is None else _joints(values[BOX:])


def _joints(values: list[float | None]) -> list[object]:
    """The values of the joints, without the person's score and number behind them; visibility 2 is 1."""
    joints: list[object] = [*values[: len(values) // 3 * 3]]
    joints[2::3] = [1.0 if value == 2 else value for value in joints[2::3]]
    return joints


def _number(word: str) -> float | None:
    try:
        return None if "_" in word else float(word)
    except ValueError:
        return None
