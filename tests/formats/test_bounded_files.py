"""Files that would take more memory or time than they have bytes for are refused before they do."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dispose.errors import InputError
from dispose.formats import arrays as arrays_of_files
from dispose.formats.arrays import open_arrays
from dispose.formats.plain_pickle import load_plain_arrays, load_plain_pickle

REMEMBER_FAR = b"\x80\x03]r\xff\xff\xff\x7f."
"""An empty list that is to be remembered in place 2,147,483,647: sixteen gigabytes of room are made for it."""


def stored(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_pickle_remembers_no_place_that_it_has_not_come_to(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="remembers a value in place 2147483647, which no pickle of its size has"):
        load_plain_pickle(stored(tmp_path / "far.pkl", REMEMBER_FAR))
    # The same with the first place is a list.
    assert load_plain_pickle(stored(tmp_path / "near.pkl", b"\x80\x03]r\x00\x00\x00\x00.")) == []


def test_what_a_pickle_repeats_is_walked_through_once(tmp_path: Path) -> None:
    shared: list[object] = [np.arange(3.0), "text"]
    twice = load_plain_pickle(stored(tmp_path / "twice.pkl", pickle.dumps([shared, shared], protocol=4)))
    assert isinstance(twice, list) and twice[0] is twice[1] and twice[0][0].tolist() == [0, 1, 2]
    for _ in range(40):
        shared = [shared, shared]
    with pytest.raises(InputError, match="repeats its values until they are more than"):
        load_plain_pickle(stored(tmp_path / "many.pkl", pickle.dumps(shared, protocol=4)))
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InputError, match="contains itself"):
        load_plain_pickle(stored(tmp_path / "round.pkl", pickle.dumps(endless, protocol=4)))


def test_whole_numbers_of_a_pickle_are_bounded(tmp_path: Path) -> None:
    assert load_plain_pickle(stored(tmp_path / "good.pkl", pickle.dumps(2**1000))) == 2**1000
    with pytest.raises(InputError, match="a whole number of 1329 bits"):
        load_plain_pickle(stored(tmp_path / "wide.pkl", pickle.dumps(10**400)))


def bomb(path: Path) -> Path:
    """A megabyte of zeros that takes a thousand bytes in its file."""
    np.savez_compressed(path, zeros=np.zeros(2**17), small=np.arange(3))
    return path


def test_an_array_out_of_all_proportion_is_not_unfolded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bomb(tmp_path / "bomb.npz")
    assert len(open_arrays(path).columns["zeros"]) == 2**17
    monkeypatch.setattr(arrays_of_files, "LARGEST", 2**16)
    found = open_arrays(path)
    assert found.columns["small"].tolist() == [0, 1, 2], "nobody asked for the other one"
    with pytest.raises(InputError, match=r"array 'zeros' unfolds from \d+ bytes to 1048704; it is not read"):
        found.get("zeros", "f", None)
    with pytest.raises(InputError, match="unfolds from"):
        load_plain_arrays(path)


def test_an_array_is_as_large_as_it_says(tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", x=np.arange(6.0))
    with zipfile.ZipFile(tmp_path / "good.npz") as archive:
        data = archive.read("x.npy")
    for name, changed in (("more", data.replace(b"(6,)", b"(9,)")), ("less", data.replace(b"(6,)", b"(5,)"))):
        with zipfile.ZipFile(tmp_path / f"{name}.npz", "w") as archive:
            archive.writestr("x.npy", changed)
        with pytest.raises(InputError, match=r"array 'x' is said to be [95] float64, which are not the bytes in it"):
            open_arrays(tmp_path / f"{name}.npz").get("x", "f", None)


def test_two_arrays_of_one_name_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "once.npz", x=np.arange(6.0))
    with zipfile.ZipFile(tmp_path / "once.npz") as archive:
        data = archive.read("x.npy")
    with zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x.npy", data)
        archive.writestr("x.npy", data)
    with pytest.raises(InputError, match="holds the array 'x' twice"):
        open_arrays(tmp_path / "twice.npz")
