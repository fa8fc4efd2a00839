"""Files that are recognisably wrong: each is refused, or what is wrong is left out aloud; never taken as it is."""

import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from dispose.errors import DisposeError
from tests.attacks.more_targets import MORE_TARGETS
from tests.attacks.more_wrong_files import MORE_WRONG
from tests.attacks.targets import TARGETS
from tests.attacks.wrong_files import WRONG, Wrong

NAMED = {target.name: target for target in (*TARGETS, *MORE_TARGETS)}


@cache
def valid(name: str, root: Path) -> Path:
    """The valid files of a target."""
    folder = root / str(len(list(root.iterdir())))
    folder.mkdir()
    NAMED[name].build(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("valid")


def sentences(found: object) -> Iterable[str]:
    """What was said of people and frames that were left out."""
    for one in found if isinstance(found, list) else []:
        yield from map(str, one.odd)
        yield from (loss.reason for loss in getattr(one, "damaged", ()))


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(WRONG) >= 130


@pytest.mark.parametrize("wrong", (*WRONG, *MORE_WRONG), ids=lambda wrong: f"{wrong.target}: {wrong.said[:30]}")
def test_what_is_wrong_is_said(wrong: Wrong, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    shutil.copytree(valid(wrong.target, root), folder)
    path = min(path for path in folder.glob(wrong.file) if path.is_file())
    path.write_bytes(wrong.edit(path.read_bytes()))
    try:
        found = NAMED[wrong.target].read(folder)
    except DisposeError as error:
        said = str(error)
        assert path.name in said or path.stem in said or path.parent.name in said, said
    else:
        said = "\n".join(sentences(found))
    assert said and wrong.said in said, said or "it was read in silence"
