"""Damaged calibrations: whatever a byte turns into, the answer is a rig or one sentence."""

import json
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import open_calibration
from tests.formats.rigs_of_others import kalibr, rig, vicon, voxelpose
from tests.formats.test_calibration_dialects import opencap, qualisys
from tests.formats.test_calibration_yaml import easymocap
from tests.formats.test_calibrations import write_colmap, write_panoptic

TOKENS = (
    b"999999999999999999999999999999", b"nan", b"inf", b"-1", b"1e400", b"null", b'"x"', b"[", b"{", b"}", b"\x00",
    b"\xff", b"true", b"1_000", b"*a", b"&a ", b"!!python/object:x", b"[[[[[[", b"0", b"=", b":", b"\n", b"<",
    b"1" * 5000,
)  # fmt: skip
MUTATIONS = 60
SEED = 20261129


def write_opencap(folder: Path) -> None:
    folder.mkdir()
    for v in range(3):
        (folder / f"cam0{v}.pickle").write_bytes(pickle.dumps(opencap(rig(), v)))


# What is written where, and which file of it is damaged.
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "rig.toml": (lambda path: write_calibration_toml(path, rig()), ""),
    "rig.json": (lambda path: path.write_text(json.dumps(voxelpose(rig()))), ""),
    "panoptic.json": (lambda path: write_panoptic(path, rig()), ""),
    "camchain.yaml": (lambda path: path.write_text(kalibr(rig(("cam0", "cam1", "cam2")))), ""),
    "rig.qca.txt": (lambda path: path.write_text(qualisys(rig())), ""),
    "rig.xcp": (lambda path: path.write_text(vicon(rig())), ""),
    "easy": (lambda path: easymocap(path, rig()), "extri.yml"),
    "model": (lambda path: write_colmap(path, rig()), "images.txt"),
    "opencap": (write_opencap, "cam01.pickle"),
}


def damaged(data: bytes, source: random.Random) -> bytes:
    """A file with one thing wrong: a token elsewhere, something missing, twice, or cut off."""
    spoilt, at = bytearray(data), source.randrange(len(data))
    kind = source.randrange(5)
    if kind == 0:
        spoilt[at : at + 1] = source.choice(TOKENS)
    elif kind == 1:
        del spoilt[at : at + source.randrange(1, 30)]
    elif kind == 2:
        spoilt[at:at] = spoilt[at : at + 150]
    elif kind == 3:
        del spoilt[at:]
    else:
        start, end = source.choice([number.span() for number in re.finditer(rb"-?\d[\d.e+-]*", data)])
        spoilt[start:end] = source.choice(TOKENS)
    return bytes(spoilt)


@pytest.mark.parametrize("name", FILES)
def test_damage_is_one_sentence(tmp_path: Path, name: str) -> None:
    write, inside = FILES[name]
    write(tmp_path / name)
    path = tmp_path / name / inside if inside else tmp_path / name
    data, source = path.read_bytes(), random.Random(f"{SEED} {name}")
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(damaged(data, source))
        try:
            open_calibration(tmp_path / name, mm_per_unit=1.0)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 2000
    assert refused > MUTATIONS // 3
    path.write_bytes(data)
    assert len(open_calibration(tmp_path / name, mm_per_unit=1.0).cameras) == 3
