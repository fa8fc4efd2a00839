"""`actorsGT.mat`: what SciPy writes is read, and no damage does more than raise one error."""

import random
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from dispose.errors import InputError
from dispose.formats.actors_mat import KEY, Actors, read_actors


def recording(seed: int = 0) -> Actors:
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(4, 6, 14, generator=generator) < 0.8
    known[1, 2:5] = False
    xyz = 3000 * torch.randn(4, 6, 14, 3, generator=generator, dtype=torch.float64)
    return Actors(torch.where(known[..., None], xyz.round(), 0.0), known)


def write_actors(path: Path, actors: Actors, *, kind: str = "f8", compressed: bool = False) -> None:
    """A recording as this format has it; a person of whom no joint is known is an empty cell."""
    table = np.empty((1, actors.annotated.shape[0]), dtype=object)
    for person in range(table.shape[1]):
        frames = np.empty((actors.annotated.shape[1], 1), dtype=object)
        for frame in range(len(frames)):
            known = actors.annotated[person, frame]
            joints = torch.where(known[:, None], actors.xyz_world[person, frame] / 1000, torch.nan)
            frames[frame, 0] = joints.numpy().astype(kind) if bool(known.any()) else np.zeros((1, 0))
        table[0, person] = frames
    scipy.io.savemat(path, {"other": "words", KEY: table, "after": np.ones(3)}, do_compression=compressed)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_actors_come_back(tmp_path: Path, compressed: bool, kind: str) -> None:
    actors = recording()
    write_actors(tmp_path / "actorsGT.mat", actors, kind=kind, compressed=compressed)
    again = read_actors(tmp_path / "actorsGT.mat")
    torch.testing.assert_close(again.xyz_world, actors.xyz_world, atol=1e-6 if kind == "f8" else 1e-2, rtol=0)
    assert torch.equal(again.annotated, actors.annotated) and again.at(3).id.tolist() == [0, 2, 3]


@pytest.mark.parametrize("kind", ["i2", "u1", "i4"])
def test_numbers_of_any_kind_are_read(tmp_path: Path, kind: str) -> None:
    joints = np.arange(42).reshape(14, 3).astype(kind)
    cells = np.empty((1, 2), object)
    for person in range(2):
        cells[0, person] = np.empty((2, 1), object)
        cells[0, person][0, 0], cells[0, person][1, 0] = joints, np.zeros((0, 0))
    scipy.io.savemat(tmp_path / "a.mat", {KEY: cells})
    found = read_actors(tmp_path / "a.mat")
    np.testing.assert_array_equal(found.xyz_world[1, 0].numpy(), 1000.0 * joints)
    assert found.annotated.any(-1).tolist() == [[True, False]] * 2


def test_real_files_agree_with_scipy(shared_data: Path) -> None:
    for name in ("shelf3", "campus3"):
        path = shared_data / "raw" / name / "actorsGT.mat"
        ours = read_actors(path)
        for person, theirs in zip(range(len(ours.annotated)), scipy.io.loadmat(path)[KEY].flat, strict=True):
            while theirs.size == 1 and theirs.dtype == object:
                theirs = theirs.flat[0]
            for frame, cell in enumerate(theirs.flat):
                assert bool(ours.annotated[person, frame].any()) == (cell.size > 0)
                if cell.size:
                    np.testing.assert_array_equal(ours.xyz_world[person, frame].numpy(), 1000 * cell)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_damage_raises_one_error_or_nothing(tmp_path: Path, compressed: bool, seed: int) -> None:
    # SciPy's own reader ends the process on about one in a hundred of these files.
    path = tmp_path / "damaged.mat"
    write_actors(
        path, Actors(*(t[:2, :3] for t in (recording().xyz_world, recording().annotated))), compressed=compressed
    )
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
            read_actors(path)
        except InputError as error:
            refused += 1
            assert "damaged.mat" in str(error) and "\n" not in str(error)
    assert refused > 50


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.mat"
    for content in (b"", b"MATLAB 5.0", b"MATLAB 7.3 MAT-file" + bytes(200), b"x" * 400):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"other\.mat: is no MATLAB file"):
            read_actors(path)
    for value, message in (
        ("words", "class 4"),
        (np.ones((2, 2)), "cells are expected, not numbers of size"),
        (np.array([[np.ones((3, 3)), np.ones(2)]], object), "actor 0: cells are expected"),
    ):
        scipy.io.savemat(path, {KEY: value})
        with pytest.raises(InputError, match=message):
            read_actors(path)
    scipy.io.savemat(path, {"b": np.ones(3), "c": "words"})
    with pytest.raises(InputError, match=r"no 'actor3D' \(there is b, c\)"):
        read_actors(path)
    with pytest.raises(InputError, match="there is no such file"):
        read_actors(tmp_path / "nothing.mat")


def test_a_cell_of_another_size_is_named(tmp_path: Path) -> None:
    cells = np.empty((1, 2), object)
    for person in range(2):
        cells[0, person] = np.empty((2, 1), object)
        cells[0, person][0, 0], cells[0, person][1, 0] = np.ones((14, 3)), np.ones((13 + person, 3))
    scipy.io.savemat(tmp_path / "a.mat", {KEY: cells})
    with pytest.raises(InputError, match=r"actor 0, frame 1: 14 x 3 numbers are expected, not \(13, 3\)"):
        read_actors(tmp_path / "a.mat")
