"""Calibrations in YAML: Kalibr, EasyMocap and stereo pairs; damaged files are one sentence."""

from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.calibration.read import open_calibration, read_calibration
from dispose.geometry.rigid import rotation_vector
from dispose.scene.cameras import Cameras
from tests.formats.rigs_of_others import assert_same, from_the_first, kalibr, rig


@pytest.mark.parametrize("lens", ["radtan", "equidistant"])
def test_a_chain_of_kalibr(tmp_path: Path, lens: str) -> None:
    cameras = rig(("cam0", "cam1", "cam2"))
    if lens == "equidistant":
        cameras = replace(cameras, fisheye=torch.ones(3, dtype=torch.bool))
    path = tmp_path / "camchain.yaml"
    path.write_text(kalibr(cameras, lens))
    found = open_calibration(path)
    wanted = from_the_first(cameras)
    assert found.cameras.names == ("cam0", "cam1", "cam2")
    assert (found.cameras.fisheye is not None) == (lens == "equidistant")
    assert_close(found.cameras.centres, wanted.centres, atol=1e-6, rtol=0)
    xyz = torch.tensor([[100.0, 3000, 50], [-500, 4000, 300]], dtype=torch.float64)
    assert_close(found.cameras.project(xyz)[0], wanted.project(xyz)[0], atol=1e-6, rtol=0)
    assert "the first camera's y is taken as down" in found.notes[0]


def test_a_chain_that_breaks(tmp_path: Path) -> None:
    path, text = tmp_path / "camchain.yaml", kalibr(rig(("cam0", "cam1", "cam2")))
    path.write_text(text.replace("  T_cn_cnm1:", "  other:", 1))
    with pytest.raises(
        InputError, match=r"there is 1 \(cam0\)\. Camera cam1 is left out: it has no T_cn_cnm1"
    ) as caught:
        open_calibration(path)
    assert "Camera cam2 is left out: its pose hangs on cam1, which has none." in str(caught.value)
    path.write_text(text.replace("  T_cn_cnm1:", "  T_cn_cnml:", 1))
    with pytest.raises(InputError, match="there is 'T_cn_cnml', but no 'T_cn_cnm1'; is it misspelt"):
        open_calibration(path)
    path.write_text(text.replace("pinhole", "omni", 1))
    with pytest.raises(InputError, match="camera cam0: lens omni-radtan is not supported"):
        open_calibration(path)
    # A file of its own name is no EasyMocap pair, and nobody speaks of one.
    path.write_text("what: [1, 2]\n")
    with pytest.raises(InputError, match=r"camchain\.yaml: is YAML, but no calibration we know") as caught:
        open_calibration(path)
    assert "intri" not in str(caught.value)


def easymocap(folder: Path, cameras: Cameras, sizes: bool = True) -> None:
    """The pair as OpenCV itself writes it."""
    folder.mkdir(exist_ok=True)
    for file in ("intri", "extri"):
        storage = cv2.FileStorage(str(folder / f"{file}.yml"), cv2.FILE_STORAGE_WRITE)
        storage.startWriteStruct("names", cv2.FILE_NODE_SEQ)
        for name in cameras.names:
            storage.write("", name)
        storage.endWriteStruct()
        for v, name in enumerate(cameras.names):
            if file == "intri":
                storage.write(f"K_{name}", cameras.matrix[v].contiguous().numpy())
                storage.write(f"dist_{name}", cameras.distortion[v, None, :5].contiguous().numpy())
                if sizes:
                    storage.write(f"W_{name}", float(cameras.size[v, 0]))
                    storage.write(f"H_{name}", float(cameras.size[v, 1]))
            else:
                storage.write(f"R_{name}", rotation_vector(cameras.rotation[v])[:, None].contiguous().numpy())
                storage.write(f"T_{name}", (cameras.translation[v] / 1000)[:, None].contiguous().numpy())
        storage.release()


def test_easymocap_with_and_without_sizes(tmp_path: Path) -> None:
    cameras = rig(("01", "02", "3"))
    easymocap(tmp_path, cameras)
    for path in (tmp_path, tmp_path / "intri.yml", tmp_path / "extri.yml"):
        found = open_calibration(path)
        assert found.cameras.names == ("01", "02", "3") and found.guessed == ()
        assert_same(found.cameras, cameras)
    whole = (tmp_path / "intri.yml").read_text() + "\n".join((tmp_path / "extri.yml").read_text().splitlines()[6:])
    (tmp_path / "one.yml").write_text(whole)
    assert_same(read_calibration(tmp_path / "one.yml"), cameras)
    easymocap(tmp_path, cameras, sizes=False)
    assert open_calibration(tmp_path).guessed == cameras.names
    (tmp_path / "intri.yml").rename(tmp_path / "Intri.YML")
    assert_same(read_calibration(tmp_path / "extri.yml"), cameras)
    (tmp_path / "Intri.YML").unlink()
    with pytest.raises(InputError, match=r"extri\.yml: holds extrinsics only, and there is no intri\.yml beside it"):
        open_calibration(tmp_path / "extri.yml")


def test_a_stereo_pair(tmp_path: Path) -> None:
    path, cameras = tmp_path / "stereo.yml", rig().select(views=[0, 1])
    turn = cameras.rotation[1] @ cameras.rotation[0].T
    shift = cameras.translation[1] - turn @ cameras.translation[0]
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for number in (1, 2):
        storage.write(f"K{number}", cameras.matrix[number - 1].contiguous().numpy())
        storage.write(f"D{number}", cameras.distortion[number - 1, None, :5].contiguous().numpy())
    storage.write("R", turn.contiguous().numpy())
    storage.write("T", shift[:, None].contiguous().numpy())
    storage.release()
    found = open_calibration(path, mm_per_unit=1.0)
    assert found.cameras.names == ("1", "2") == found.guessed and not found.named
    assert_close(found.cameras.centres, from_the_first(cameras).centres, atol=1e-6, rtol=0)
    assert "taken as metres" in found.notes[0]
    metres = open_calibration(path).cameras.centres
    assert_close(metres, 1000 * found.cameras.centres, atol=1e-3, rtol=0)


DAMAGED_YAML = {
    "alias": "a: &x [1]\nb: *x\n",
    "twice": "K_1: 1\nK_1: 2\n",
    "deep": "[" * 5000,
    "nested": "a: " + "[" * 40 + "]" * 40,
    "huge count": "K_1: !!opencv-matrix\n  rows: 1\n  cols: 999999999999999999999999999999\n  data: [ 1. ]\n",
    "wrong count": "K_1: !!opencv-matrix\n  rows: 3\n  cols: 3\n  dt: d\n  data: [ 1., 2. ]\n",
    "no matrix": "K_1: !!opencv-matrix 3\n",
    "object": "a: !!python/object/apply:os.system [true]\n",
    "date": "a: !!timestamp x\n",
    "bool": "a: !!bool x\n",
    "binary": "a: \x00\n",
    "open": "a: [1, 2\n",
    "key": "? [a]\n: b\n",
    "long": "a: [" + "1, " * 100_000 + "]",
}


@pytest.mark.parametrize("kind", DAMAGED_YAML)
def test_damaged_yaml_is_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "rig.yml"
    path.write_text("%YAML:1.0\n---\n" + DAMAGED_YAML[kind])
    with pytest.raises(InputError, match=r"rig\.yml: ") as caught:
        open_calibration(path)
    assert "\n" not in str(caught.value)


def test_the_token_that_aborted_opencv(tmp_path: Path) -> None:
    easymocap(tmp_path, rig())
    path = tmp_path / "extri.yml"
    path.write_text(path.read_text().replace("cols: 1", "cols: 999999999999999999999999999999", 1))
    with pytest.raises(InputError, match=r"extri\.yml: is no YAML that we read at line \d+ \(a matrix of 3 x 9999"):
        open_calibration(tmp_path)
