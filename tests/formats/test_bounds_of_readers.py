"""Files that are small and unfold without end: what readers refuse before they have unfolded it."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from dispose.errors import InputError
from dispose.formats.actors_mat import KEY, read_actors
from dispose.formats.calibration.documents import MOST_YAML_BYTES, read_document
from dispose.formats.calibration.read import rig_of
from dispose.formats.hdf5 import hdf5_array, open_hdf5
from tests.formats.test_calibrations import rig, write_opencv


def test_cells_in_cells_without_end_are_refused(tmp_path: Path) -> None:
    inner: object = np.zeros(3)
    for _ in range(60):
        cell = np.empty((1, 1), object)
        cell[0, 0] = inner
        inner = cell
    scipy.io.savemat(tmp_path / "deep.mat", {KEY: inner})
    with pytest.raises(InputError, match="8 deep"):
        read_actors(tmp_path / "deep.mat")


def test_a_compressed_table_that_unfolds_out_of_proportion_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (1 << 28,), "f8", chunks=(1 << 20,), compression="gzip", fillvalue=1.0)
    with pytest.raises(InputError, match=r"bomb\.h5"), open_hdf5(path) as file:
        hdf5_array(path, file, "a", None)


def test_yaml_that_is_nested_too_deeply_is_refused_where_it_is(tmp_path: Path) -> None:
    """As it is composed: a reader that calls itself has not that much room."""
    path = tmp_path / "deep.yml"
    path.write_text("---\na: 1\nb: " + "[" * 900 + "]" * 900)
    with pytest.raises(InputError, match=r"deep\.yml: .*at line 3 \(is nested too deeply"):
        read_document(path)


def test_a_camera_beside_easymocaps_list_of_names_is_told(tmp_path: Path) -> None:
    write_opencv(tmp_path, rig())
    path, name = tmp_path / "intri.yml", rig().names[-1]
    path.write_text(path.read_text().replace(f"   - {name}\n", "", 1))
    found = rig_of(tmp_path / "extri.yml")
    assert found.notes == (f"camera {name} is left out: it is not in the list 'names'.",)
    assert [view.name for view in found.views] == list(rig().names[:-1])


def test_yaml_that_repeats_itself_by_aliases_is_refused_where_it_does(tmp_path: Path) -> None:
    path = tmp_path / "camchain.yaml"
    path.write_text("cam0: &a {intrinsics: [1, 1, 1, 1]}\ncam1: *a\n")
    with pytest.raises(InputError, match=r"camchain\.yaml: .*line 2 \(an alias \(\*\) is not admitted"):
        read_document(path)


def test_yaml_that_would_take_minutes_is_refused_by_its_length(tmp_path: Path) -> None:
    path = tmp_path / "long.yml"
    path.write_text("a: 1\n#" + "x" * MOST_YAML_BYTES)
    with pytest.raises(InputError, match="letters"):
        read_document(path)
