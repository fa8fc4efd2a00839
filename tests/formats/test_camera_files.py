"""Rigs with a file per camera, and layouts of their own: known cameras written as others do, and wrong files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.calibration.read import open_calibration, read_calibration
from dispose.inference.finding import find_calibration
from tests.formats.rigs_of_others import assert_same, from_the_first
from tests.formats.written_calibrations import (
    EACH,
    LAYOUTS,
    bent,
    biocv,
    of_the_first,
    write_biocv,
    write_opencv_each,
    write_openpose_each,
)


@pytest.mark.parametrize("kind", EACH)
def test_a_file_per_camera(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "calibration"
    EACH[kind](folder, bent())
    (folder / "README").write_text("Recorded on a Tuesday.\n")
    found = open_calibration(folder)
    assert_same(found.cameras, replace(bent(), size=found.cameras.size))
    assert found.cameras.names == bent().names and found.named
    assert bool(found.guessed) == (kind == "OpenPose")
    assert (found.cameras.size == (bent().size if kind != "OpenPose" else torch.tensor([1920.0, 1080.0]))).all()
    assert_same(read_calibration(next(path for path in folder.iterdir() if path.name != "README")), found.cameras)
    assert read_calibration(find_calibration(tmp_path)).names == bent().names


def test_units_and_axes_of_camera_files(tmp_path: Path) -> None:
    # The cameras stand 7 m apart: as BioCV writes mm, so does a small rig that could be centimetres.
    small = replace(bent(), translation=bent().translation / 10)
    write_biocv(tmp_path / "biocv", small)
    assert torch.allclose(read_calibration(tmp_path / "biocv").centres, small.centres)
    write_opencv_each(tmp_path / "opencv", small, ".yml", vector=False)
    with pytest.raises(InputError, match="its scale is unknown"):
        read_calibration(tmp_path / "opencv")
    # OpenPose's first camera has the axes of the world.
    write_openpose_each(tmp_path / "openpose", of_the_first(bent()))
    found = open_calibration(tmp_path / "openpose")
    assert torch.allclose(found.cameras.centres, from_the_first(bent()).centres)
    assert "a camera's y down" in found.notes[-1]


def test_files_of_cameras_that_are_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "calibration"
    write_opencv_each(folder, bent(), ".yml", vector=False)
    text = (folder / "cam2.yml").read_text()
    (folder / "cam2.yml").write_text(text.replace("\nR:", "\nRR:"))
    found = open_calibration(folder)
    assert found.cameras.names == ("cam1", "cam3") and found.notes[0] == "camera cam2 is left out: it has no R."
    (folder / "cam2.yml").write_text(text.replace("distortion_coefficients", "distortion_coefs"))
    with pytest.raises(InputError, match=r"camera cam2: there is 'distortion_coefs', but no 'dist'; is it misspelt"):
        open_calibration(folder)
    (folder / "cam2.yml").write_text(text.replace("cols: 3", "cols: 4", 1))
    with pytest.raises(InputError, match=r"cam2\.yml: is no YAML that we read at line \d+ \(a matrix of 3 x 4 has 9"):
        open_calibration(folder)
    for path in folder.iterdir():
        path.write_text(text.replace("\nR:", "\nRR:"))
    with pytest.raises(InputError, match=r"there is 0 \(none\)\. Camera cam1 is left out: it has no R"):
        open_calibration(find_calibration(tmp_path))


def test_a_damaged_file_of_biocv_is_not_overlooked(tmp_path: Path) -> None:
    for ending in (".calib", ""):
        folder = tmp_path / f"calibration{ending}"
        write_biocv(folder, bent(), ending)
        (folder / f"cam2{ending}").write_text("1920\n1080\n1500 0 960\n")
        with pytest.raises(InputError, match=rf"cam2{ending}: is no JSON, YAML or XML, nor TOML"):
            open_calibration(folder)
        (folder / f"cam2{ending}").write_text(biocv(bent(), 1).replace("1920", "19_20", 1))
        with pytest.raises(InputError, match=rf"cam2{ending}: is no calibration of BioCV \('19_20' is no number\)"):
            open_calibration(folder)


XML = """<?xml version="1.0"?>\n<opencv_storage>{}</opencv_storage>\n"""


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("<K type_id='opencv-matrix'><rows>3</rows><cols>3</cols><data>1 2</data></K>", "K: a matrix of 3 x 3 has 2"),
        ("<K type_id='opencv-matrix'><rows>9999999999</rows><cols>0</cols><data/></K>", "a matrix of 9999999999 x 0"),
        ("<a>1</a><a>2</a>", "'a' is there twice"),
        ("<a>" * 100_000 + "</a>" * 100_000, "nested too deeply"),
        ("<K>" + "9" * 100_000 + "</K>", "K: numbers are expected"),
    ],
)
def test_damaged_xml_of_opencv(tmp_path: Path, inside: str, said: str) -> None:
    path = tmp_path / "cam1.xml"
    path.write_text(XML.format(inside))
    with pytest.raises(InputError, match=said):
        open_calibration(path)
    path.write_text("<!DOCTYPE a [<!ENTITY b 'c'>]>" + XML.format(inside).partition("\n")[2])
    with pytest.raises(InputError, match="declares entities"):
        open_calibration(path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_cameras_in_one_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LAYOUTS[name](bent()))
    found = open_calibration(tmp_path / name)
    of_a_camera = name in ("multical.json", "calibrated_cameras_data.yml")
    cameras = from_the_first(bent()) if of_a_camera else bent()
    for field in ("rotation", "translation", "matrix", "distortion", "size"):
        assert_close(getattr(found.cameras, field), getattr(cameras, field), atol=1e-7, rtol=0)
    assert ("a camera's y down" if of_a_camera else "z up") in found.notes[-1]
    assert not found.guessed and found.named == (name != "annots.json")


def test_what_such_files_may_not_say(tmp_path: Path) -> None:
    path = tmp_path / "calib.yml"

    def refused(text: str, said: str) -> None:
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            open_calibration(path)

    text = LAYOUTS["multical.json"](bent())
    refused("--- " + text.replace("cam2_to_cam1", "cam2_to_cam3"), r"told from several cameras \(cam1, cam3\)")
    refused("--- " + text.replace('"standard"', '"double_sphere"', 1), "lens model 'double_sphere' is not supported")
    text = LAYOUTS["calibrated_cameras_data.yml"](bent())
    refused(text.replace("0.0, 0.0, 0.0, 1.0]", "0.0, 0.0, 0.0, 2.0]"), r"ends in \[0\.0, .* 2\.0\], not in 0 0 0 1")
    path.write_text(text.replace("camera_group: 0", "camera_group: 1").replace("camera_group: 1", "camera_group: 0", 2))
    assert "camera camera_2 is left out: its camera_group is another" in open_calibration(path).notes[0]
    refused(text.replace("distortion_type: 0", "distortion_type: 1", 1), "a fisheye has four coefficients")
    text = LAYOUTS["annots.json"](bent())
    refused("--- " + text.replace('"D": [', '"D": [[[0]], '), "D: is of 4 cameras; there are 3")
    text = LAYOUTS["human36m.json"](bent())
    refused("--- " + text.replace('"orientation": [', '"orientation": [1, '), "4 numbers are expected, there are 5")


@pytest.mark.parametrize("null", [None, [None, None], "null"])
def test_a_lens_that_is_not_known_is_not_taken_for_none(tmp_path: Path, null: object) -> None:
    path = tmp_path / "calib.json"
    table = {name: {"K": bent().matrix[v].tolist(), "R": bent().rotation[v].tolist(), "dist": [],
                    "t": bent().translation[v].tolist()} for v, name in enumerate(bent().names)}  # fmt: skip
    path.write_text(json.dumps(table))
    assert not open_calibration(path).cameras.distortion.any()
    path.write_text(json.dumps(table | {"cam2": table["cam2"] | {"dist": null}}))
    found = open_calibration(path)
    assert found.cameras.names == ("cam1", "cam3") and "camera cam2 is left out: its dist is" in found.notes[0]
    path.write_text(json.dumps(table | {"cam2": table["cam2"] | {"distance": [1, 2, 3, 4]}}))
    assert len(open_calibration(path).cameras) == 3  # it has a lens: what else there is does not matter
