"""Which frames of Human3.6M (ionescu2014h36m) are learned from and scored, and the names that its files share."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.files import read_text
from dispose.scene.cameras import Cameras

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
TRAINING_SUBJECTS, TEST_SUBJECTS = SUBJECTS[:5], SUBJECTS[5:]

ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether",
)  # fmt: skip
"""In the order of the data set's numbers, of which the first is 2."""

RAW_ROWS = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""The joints of `H36M_17` among the 32 of the motion capture; 13, 16 and 24 are three names of one place."""

RENAMED = (("TakingPhoto", "Photo"), ("WalkingDog", "WalkDog"))
HARD_LINE = re.compile(r"/(S\d+)/([A-Za-z]+(?: \d)?)\.(\d{8})/(\d+)\.jpg")

Rigs = Callable[[str], Cameras]
"""The four cameras of a subject, in the order of `CAMERAS`."""

Shown = tuple[str, str, str, int]
"""Subject, recording, camera and frame from 0."""


@dataclass(frozen=True)
class FrameChoice:
    """Some frames by name.

    Attributes:
        name: on the command line.
        subjects: whose frames.
        every: one frame in so many (at 50 Hz).
        hard: of these only the ambiguous ones, which `among` lists (files that mark them need no list).
        among: the ambiguous frames, once they are read.
    """

    name: str
    subjects: tuple[str, ...]
    every: int = 1
    hard: bool = False
    among: frozenset[Shown] | None = None

    def frames(self, subject: str, recording: str, camera: str, count: int) -> list[int]:
        """Numbers of a recording's frames, from 0; `InputError` where the list of ambiguous ones is needed."""
        if not self.hard:
            return list(range(0, count, self.every))
        if self.among is None:
            raise InputError(f"the choice {self.name!r} needs the file framelist_h36m_hard_subset.")
        return [n for n in range(count) if (subject, recording, camera, n) in self.among]

    def with_list(self, path: Path) -> "FrameChoice":
        """The choice with the ambiguous frames of a list, where it needs one."""
        return replace(self, among=read_hard_subset(path)) if self.hard else self


CHOICES = (
    FrameChoice("train", TRAINING_SUBJECTS, every=4),
    FrameChoice("test", TEST_SUBJECTS, every=64),
    FrameChoice("test_all", TEST_SUBJECTS),
    FrameChoice("hard", TEST_SUBJECTS, hard=True),
)
"""`test` and `hard` are those of Holmquist and Wandt (the latter is called H36MA); the others score `test_all`."""


def choice_of(name: str) -> FrameChoice:
    """The choice of a name; `InputError` lists the names where there is none."""
    for choice in CHOICES:
        if choice.name == name:
            return choice
    raise InputError(f"no choice of frames named {name!r}; known: {', '.join(choice.name for choice in CHOICES)}")


def read_hard_subset(path: Path) -> frozenset[Shown]:
    """The ambiguous frames: lines such as ``/S9/Directions 1.54138969/64.jpg``, which count from 1.

    Raises:
        InputError: a line is none of these; it is named.
    """
    found = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        match = HARD_LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(f"{path}: line {number} is no /SUBJECT/ACTION.CAMERA/FRAME.jpg.")
        found.add((match[1], renamed(match[2]), match[3], int(match[4]) - 1))
    return frozenset(found)


def renamed(recording: str) -> str:
    """A recording's name as VideoPose3D has it."""
    for old, new in RENAMED:
        recording = recording.replace(old, new)
    return recording


def action_number(where: str, recording: str) -> int:
    """Which of `ACTIONS` a recording is; `InputError` for another."""
    action = renamed(recording).split(" ")[0]
    if action not in ACTIONS:
        raise InputError(f"{where}: {action!r} is no action of Human3.6M ({', '.join(ACTIONS)}).")
    return ACTIONS.index(action)
