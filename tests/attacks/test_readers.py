"""Damaged files: refused in one sentence or read, whatever was done to them; never a traceback, abort or hang."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.attacks.bounded import READ, REFUSED, call_bounded
from tests.attacks.more_targets import MORE_TARGETS
from tests.attacks.mutations import mutate
from tests.attacks.targets import TARGETS, Target

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory and time are Linux's")

FEW, MANY = 500, 10_000
FIRST_SEED = int(os.environ.get("DISPOSE_FIRST_SEED", "0"))
"""Others find other things."""

ALL = (*TARGETS, *MORE_TARGETS)


def attack(target: Target, folder: Path, seeds: range) -> Counter[str]:
    """How often every ending occurred; seeds of bad ones are part of its text."""
    valid, work = folder / "valid", folder / "work"
    valid.mkdir()
    target.build(valid)
    assert call_bounded(lambda: target.read(valid)) == READ, "the valid files are not read"
    files = sorted(path for path in valid.glob(target.damaged) if path.is_file() and path.stat().st_size)
    found: Counter[str] = Counter()
    shutil.copytree(valid, work)
    for seed in seeds:
        path = files[seed % len(files)]
        here = work / path.relative_to(valid)
        here.write_bytes(mutate(path.read_bytes(), seed))
        ending = call_bounded(lambda: target.read(work))
        found[ending if ending in (READ, REFUSED) else f"{target.name}, {path.name}, seed {seed}: {ending}"] += 1
        shutil.copyfile(path, here)
    return found


def check(target: Target, folder: Path, seeds: range, capsys: pytest.CaptureFixture[str]) -> None:
    found = attack(target, folder, seeds)
    with capsys.disabled():
        print(f"\n{target.name}: seeds {seeds.start}-{seeds.stop - 1}: {found[READ]} read, {found[REFUSED]} refused")
    assert not set(found) - {READ, REFUSED}, "\n\n".join(sorted(set(found) - {READ, REFUSED})[:5])
    assert found[REFUSED] or target.forgiving, "nothing was refused: the attack does not reach the reader"


@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_damaged_files(target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(target, tmp_path, range(FIRST_SEED, FIRST_SEED + FEW // len(ALL) + 1), capsys)


@pytest.mark.slow
@pytest.mark.parametrize("target", ALL, ids=lambda target: target.name)
def test_many_damaged_files(target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(target, tmp_path, range(FIRST_SEED, FIRST_SEED + MANY // len(ALL) + 1), capsys)
