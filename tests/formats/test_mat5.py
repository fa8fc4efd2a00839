"""MATLAB files: what SciPy writes is read, and no damage does more than raise one error."""

import random
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from dispose.errors import InputError
from dispose.formats.mat5 import MatArray, read_mat


def as_numpy(value: MatArray) -> object:
    """Cells as lists, numbers as arrays."""
    return [as_numpy(cell) for cell in value.cells] if value.numbers is None else value.numbers


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4", "i2", "u1", "i4"])
def test_numbers_are_what_scipy_wrote(tmp_path: Path, compressed: bool, kind: str) -> None:
    path = tmp_path / "numbers.mat"
    values = (np.random.default_rng(0).normal(0, 50, (14, 3)) + 60).astype(kind)
    scipy.io.savemat(path, {"other": np.zeros(4), "a": values, "none": np.zeros((1, 0))}, do_compression=compressed)
    read = read_mat(path, "a")
    assert read.size == (14, 3) and read.numbers is not None
    np.testing.assert_array_equal(read.numbers, values.astype(np.float64))
    assert read_mat(path, "none").size == (1, 0)
    with pytest.raises(InputError, match=r"no 'b' \(there is other, a, none\)"):
        read_mat(path, "b")


@pytest.mark.parametrize("compressed", [False, True])
def test_cells_are_what_scipy_wrote(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "cells.mat"
    inner = np.empty((2, 3), object)
    for number, index in enumerate(np.ndindex(2, 3)):
        inner[index] = np.full((2, number), number, float)
    outer = np.empty((1, 2), object)
    outer[0, 0], outer[0, 1] = inner, np.arange(3.0)
    scipy.io.savemat(path, {"c": outer}, do_compression=compressed)
    read = read_mat(path, "c")
    assert read.size == (1, 2) and read.cells[0].size == (2, 3)
    # MATLAB counts down the columns.
    columns = [inner[row, column] for column in range(3) for row in range(2)]
    for ours, theirs in zip(read.cells[0].cells, columns, strict=True):
        np.testing.assert_array_equal(ours.numbers, theirs)
    np.testing.assert_array_equal(as_numpy(read.cells[1]), [[0.0, 1.0, 2.0]])


def test_real_files_agree_with_scipy(shared_data: Path) -> None:
    for name in ("shelf3", "campus3"):
        path = shared_data / "raw" / name / "actorsGT.mat"
        theirs = scipy.io.loadmat(path)["actor3D"]
        ours = read_mat(path, "actor3D")
        assert ours.size == theirs.shape
        for person, cell in zip(theirs.flat, ours.cells, strict=True):
            while cell.numbers is None and len(cell.cells) == 1:
                cell = cell.cells[0]
            while person.size == 1 and person.dtype == object:
                person = person.flat[0]
            for joints, mine in zip(person.flat, cell.cells, strict=True):
                np.testing.assert_array_equal(joints, mine.numbers)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_damage_raises_one_error_or_nothing(tmp_path: Path, compressed: bool, seed: int) -> None:
    path = tmp_path / "damaged.mat"
    cells = np.empty((1, 4), object)
    for number in range(4):
        cells[0, number] = np.full((14, 3), number, float)
    scipy.io.savemat(path, {"c": cells}, do_compression=compressed)
    whole, draw = path.read_bytes(), random.Random(seed)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        if draw.random() < 0.3:
            data = data[: draw.randrange(len(data))]
        else:
            for _ in range(draw.randrange(1, 5)):
                data[draw.randrange(100, len(data))] = draw.randrange(256)
        path.write_bytes(bytes(data))
        try:
            read_mat(path, "c")
        except InputError as error:
            refused += 1
            assert "damaged.mat" in str(error)
    assert refused > 50


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.mat"
    for content in (b"", b"MATLAB 5.0", b"MATLAB 7.3 MAT-file" + bytes(200), b"x" * 400):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"other\.mat: is no MATLAB file"):
            read_mat(path, "c")
    scipy.io.savemat(path, {"c": "words"})
    with pytest.raises(InputError, match="class 4"):
        read_mat(path, "c")
    with pytest.raises(InputError, match="cannot be read"):
        read_mat(tmp_path / "nothing.mat", "c")
