"""What is recognisably wrong in calibrations and detections: refused, or said; never read as something else in silence.

In every layout every number in turn becomes what is none, and every name is misspelt; a few of these in the suite.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dispose.errors import DisposeError
from dispose.formats.calibration.read import open_calibration
from dispose.formats.detections.read import open_detections
from dispose.skeletons.catalog import COCO_17
from tests.attacks import targets
from tests.attacks.targets import TARGETS, Target
from tests.formats.written_detections import DIALECTS, SIZE, some_people

NO_NUMBERS = (b"nan", b"1.0.0", b"{}", b"x", b"1e", b"1e40", b"[[]]")
NUMBER = re.compile(rb"(?<![\w./-])-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.])")
NAME = re.compile(rb"(?<![A-Za-z_0-9])[A-Za-z_]\w{3,}")
FEW, MANY = 12, 150


@dataclass(frozen=True)
class Heard:
    """What a reader made of some files: their meaning, and what it said besides."""

    meaning: object
    said: tuple[str, ...]


def rig_heard(target: Target) -> Callable[[Path], Heard]:
    def hear(folder: Path) -> Heard:
        rig = target.read(folder)
        names = ("size", "matrix", "distortion", "rotation", "translation")
        meaning = [(name, *(vars(rig.cameras)[one][at].tolist() for one in names))  # type: ignore[attr-defined]
                   for at, name in enumerate(rig.cameras.names)]  # type: ignore[attr-defined]  # fmt: skip
        return Heard(meaning, (*rig.guessed, *rig.notes))  # type: ignore[attr-defined]

    return hear


def people_heard(dialect: str) -> Callable[[Path], Heard]:
    def hear(folder: Path) -> Heard:
        files = [path for path in folder.iterdir() if path.is_file()]
        views = open_detections(files[0] if dialect.startswith("COCO") else folder)
        meaning, said = [], [str(one) for view in views for one in (*view.notes, *view.odd)]
        for view in (replace(view, skeleton=COCO_17) for view in views):
            for number in view.numbers[:4]:
                try:
                    found = view.read(number, SIZE)
                except DisposeError as error:
                    said.append(str(error))
                    continue
                said += map(str, found.odd)
                meaning.append((view.camera, number, [one.tolist() for one in found.keypoints]))
        return Heard(meaning, tuple(said))

    return hear


def write_people(dialect: str) -> Callable[[Path], None]:
    """Everybody has doubtful scores, so that one that is left out changes something."""

    def write(folder: Path) -> None:
        people = {key: [[0.37 if at % 3 == 2 else value for at, value in enumerate(one)] for one in found]
                  for key, found in some_people().items()}  # fmt: skip
        DIALECTS[dialect](folder, people)

    return write


RIGS = {one.name: one for one in TARGETS if one.name.startswith("calibration") and one.name not in (
    "calibration COLMAP binary", "calibration OpenCap")}  # fmt: skip


def edits(data: bytes, named: bytes) -> Iterator[tuple[str, bytes]]:
    """A file's bytes with one thing wrong, and what that is; names that only name cameras or joints stay."""
    for found in NUMBER.finditer(data):
        for new in NO_NUMBERS:
            yield f"{found[0]!r} as {new!r}", data[: found.start()] + new + data[found.end() :]
    for name, _ in Counter(NAME.findall(data)).most_common():
        if not re.fullmatch(named, name):
            wrong = name[:-1] + b"q" + name[-1:]
            yield f"{name!r} everywhere misspelt", re.sub(rb"(?<!\w)" + name + rb"(?!\w)", wrong, data)


@pytest.fixture
def notes_of_rigs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "read_calibration", open_calibration)


def check(hear: Callable[[Path], Heard], folder: Path, named: bytes, count: int) -> None:
    """Some of all edits of the first file: each is refused, said, or changes nothing."""
    path = min(path for path in folder.rglob("*") if path.is_file())
    data, valid = path.read_bytes(), hear(folder)
    all_of_them = list(edits(data, named))
    silent, noticed = [], 0
    for what, new in random.Random(0).sample(all_of_them, min(count, len(all_of_them))):
        path.write_bytes(new)
        try:
            heard = hear(folder)
        except DisposeError:
            noticed += 1
            continue
        noticed += heard.said != valid.said
        if heard.meaning != valid.meaning and heard.said == valid.said:
            silent.append(what)
    assert not silent, f"{path.name}: {silent}"
    assert noticed > min(count, len(all_of_them)) / 3


COUNTS = (FEW, pytest.param(MANY, marks=pytest.mark.slow))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", RIGS)
def test_wrong_calibrations_are_not_read_as_others(name: str, count: int, notes_of_rigs: None, tmp_path: Path) -> None:
    RIGS[name].build(tmp_path)
    check(rig_heard(RIGS[name]), tmp_path, rb"cam\w*|Kamera|drei|camera_?\d+", count)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_wrong_detections_are_not_read_as_others(dialect: str, count: int, tmp_path: Path) -> None:
    write_people(dialect)(tmp_path)
    check(people_heard(dialect), tmp_path, rb"cam\w*", count)
