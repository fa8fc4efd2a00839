"""Rigs with a file per camera, and layouts of their own: known cameras written as others do, and wrong files."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError
from dispose.formats.calibration.read import open_calibration, read_calibration
from dispose.inference.finding import find_calibration
from dispose.scene.cameras import Cameras
from tests.formats.rigs_of_others import assert_same, from_the_first, rig, vicon
from tests.formats.test_calibration_damage import write_opencap
from tests.formats.written_calibrations import (
    EACH,
    LAYOUTS,
    UNITS,
    bent,
    biocv,
    of_the_first,
    write_biocv,
    write_colmap_binary,
    write_easymocap_xml,
    write_opencv_each,
    write_openpose_each,
)


@pytest.mark.parametrize("kind", EACH)
def test_a_file_per_camera(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "calibration"
    EACH[kind](folder, bent())
    (folder / "README").write_text("Recorded on a Tuesday.\n")
    unit = UNITS.get(kind)
    found = open_calibration(folder, mm_per_unit=unit)
    assert_same(found.cameras, replace(bent(), size=found.cameras.size))
    assert found.cameras.names == bent().names and found.named
    assert bool(found.guessed) == (kind == "OpenPose")
    assert (found.cameras.size == (bent().size if kind != "OpenPose" else torch.tensor([1920.0, 1080.0]))).all()
    assert_same(read_calibration(min(path for path in folder.iterdir() if path.stem != "README"), mm_per_unit=unit),
                found.cameras)  # fmt: skip
    assert read_calibration(find_calibration(tmp_path), mm_per_unit=unit).names == bent().names


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
    path, written = tmp_path / "calibration" / name, bent()
    path.parent.mkdir()
    if name.startswith("camchain"):  # Kalibr has four coefficients, and counts cameras
        written = replace(rig(), names=("cam0", "cam1", "cam2"))
    path.write_text(LAYOUTS[name](written))
    assert find_calibration(tmp_path) == path
    found = open_calibration(path, mm_per_unit=UNITS.get(name))
    of_a_camera = name in ("multical.json", "calibrated_cameras_data.yml", "camchain-imucam.yaml")
    if name in ("theia.txt", "transforms.json", "camchain-imucam.yaml"):  # which say their axes, or ask
        assert "does not say its unit" not in "".join(found.notes)
    else:
        assert ("a camera's y down" if of_a_camera else "z up") in found.notes[-1]
    cameras = from_the_first(written) if of_a_camera else written
    for field in ("rotation", "translation", "matrix", "distortion", "size"):
        assert_close(getattr(found.cameras, field), getattr(cameras, field), atol=1e-7, rtol=0)
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


def images(folder: Path, names: list[str], rows: list[int]) -> Cameras:
    """What is read of COLMAP's images of those names, posed as those cameras of a rig."""
    folder.mkdir()
    chosen = bent().select(views=rows)
    write_colmap_binary(folder, replace(chosen, names=tuple(names)), "{}")
    return read_calibration(folder, mm_per_unit=250.0)


def test_images_are_told_by_their_cameras(tmp_path: Path) -> None:
    for row, (names, cameras) in enumerate(
        (
            (["cam1_0001.png", "cam2_0001.png", "cam3_0001.png"], ("cam1", "cam2", "cam3")),
            (["x/cam1/0001.png", "x/cam2/0001.png", "x/cam3/0009.png"], ("cam1", "cam2", "cam3")),
            (["images/a.jpg", "images/b.jpg", "images/c.jpg"], ("a", "b", "c")),
            (["cam_1.png", "cam_2.png", "cam_3.png"], ("cam_1", "cam_2", "cam_3")),
            (["left_1.png", "left_2.png", "right_1.png"], ("left_1", "left_2", "right_1")),
        )
    ):
        found = images(tmp_path / str(row), names, [0, 1, 2])
        assert found.names == cameras
        assert_close(found.centres, bent().centres, atol=1e-6, rtol=0)
    # Several images of a camera that stands still are one; of one that moves they are none.
    found = images(tmp_path / "still", ["c1/0001.png", "c2/0001.png", "c1/0002.png"], [0, 1, 0])
    assert found.names == ("c1", "c2")
    for row, names in enumerate(
        (["c1/0001.png", "c2/0001.png", "c1/0002.png"], ["c1_001.png", "c2_001.png", "c1_002.png"])
    ):
        with pytest.raises(InputError, match=r"camera c1 has another pose in c1.00*2\.png than in c1.00*1\.png"):
            images(tmp_path / f"moves{row}", names, [0, 1, 2])


def test_models_of_colmap_and_cameras_of_opencap_are_found(tmp_path: Path) -> None:
    for place in ("calibration/sparse/0", "sparse/0", "calibration"):
        capture = tmp_path / place.replace("/", "-")
        write_colmap_binary(capture / place, bent())
        assert find_calibration(capture) == capture / place
    write_colmap_binary(tmp_path / "sparse-0" / "sparse" / "1", bent())
    with pytest.raises(InputError, match=r"several calibrations \(sparse/0, sparse/1\)"):
        find_calibration(tmp_path / "sparse-0")
    session = tmp_path / "session"
    write_opencap(tmp_path / "pickles")
    for v in range(3):
        place = session / "Videos" / f"Cam{v}"
        place.mkdir(parents=True)
        (tmp_path / "pickles" / f"cam0{v}.pickle").rename(place / "cameraIntrinsicsExtrinsics.pickle")
    assert find_calibration(session) == session / "Videos"
    assert read_calibration(session / "Videos").names == ("Cam0", "Cam1", "Cam2")


def test_binary_models_that_are_wrong(tmp_path: Path) -> None:
    write_colmap_binary(tmp_path, bent())
    cameras, pictures = ((tmp_path / f"{name}.bin").read_bytes() for name in ("cameras", "images"))

    def refused(name: str, data: bytes, said: str) -> None:
        (tmp_path / f"{name}.bin").write_bytes(data)
        with pytest.raises(InputError, match=said):
            open_calibration(tmp_path, mm_per_unit=250.0)

    refused("cameras", cameras[:-1], r"cameras\.bin: breaks off at byte")
    refused("cameras", struct.pack("<Q", 2**60) + cameras[8:], r"cameras\.bin: breaks off at byte")
    refused("cameras", cameras[:12] + struct.pack("<i", 7) + cameras[16:], "lens model 'FOV' is not supported")
    (tmp_path / "cameras.bin").write_bytes(cameras)
    refused("images", pictures[:-1], r"images\.bin: breaks off at byte")
    refused("images", pictures[:80], r"images\.bin: breaks off in a name at byte 80")
    at = pictures.index(b"\0", 8 + 64) + 1
    refused("images", pictures[:at] + struct.pack("<Q", 2**63) + pictures[at + 8 :], "breaks off at byte")


def test_theias_sides_and_cameras(tmp_path: Path) -> None:
    path, text = tmp_path / "cal.txt", LAYOUTS["theia.txt"](bent())
    path.write_text(text.replace('active="1"', 'active="0"', 1))
    found = open_calibration(path)
    assert found.cameras.names == ("cam2", "cam3") and "camera cam1 is left out: its file says active" in found.notes[0]
    path.write_text(re.sub('sensorMaxV="[^"]*"', 'sensorDimV="1078" sensorDimU="1921"', text))
    assert open_calibration(path).cameras.size.tolist() == 3 * [[1921.0, 1078.0]]
    path.write_text(text.replace("radialDistortion3", "radialDistortoin3", 1))
    assert "camera cam1 is left out: it has no radialDistortion3" in open_calibration(path).notes[0]


def test_misspelt_words_of_vicon_and_easymocap(tmp_path: Path) -> None:
    path, text = tmp_path / "take.xcp", vicon(rig())
    for right, wrong in (("VICON_RADIAL2", "VICON_RADAIL2"), ("PIXEL_ASPECT_RATIO", "PIXEL_ASPECT"), ("TYPE", "TPYE")):
        path.write_text(text.replace(f"{right}=", f"{wrong}=", 1))
        with pytest.raises(InputError, match=f"camera cam1: there is '{wrong}', but no '{right}'; is it misspelt"):
            open_calibration(path)
    write_easymocap_xml(tmp_path, bent())
    outer = tmp_path / "extri.xml"
    outer.write_text(outer.read_text().replace("Rot_cam2", "Rott_cam2"))
    with pytest.raises(InputError, match="there is 'Rott_cam2', but no 'Rot_cam2'; is it misspelt"):
        open_calibration(tmp_path)


def test_motives_own_files_are_called_so(tmp_path: Path) -> None:
    path = tmp_path / "calibration" / "Calibration.mcal"
    path.parent.mkdir()
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="of OptiTrack's Motive in its own binary form"):
        open_calibration(find_calibration(tmp_path))


def test_a_lens_of_another_count_of_numbers_than_the_others_is_noted(tmp_path: Path) -> None:
    """A lost number leaves four of five, which mean something else; a lost entry leaves none."""
    EACH["BioCV"](tmp_path, rig())
    assert not [note for note in open_calibration(tmp_path).notes if "distortion" in note]
    path = min(tmp_path.iterdir())
    path.write_text(path.read_text().rstrip().rpartition(" ")[0])
    (note,) = [note for note in open_calibration(tmp_path).notes if "distortion" in note]
    assert note.startswith("camera cam1: its distortion is 4 numbers, that of most others 5")
