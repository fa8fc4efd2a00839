"""Captures from bug reports of the tools that people come from: their calibrations are read, or refused rightly."""

from pathlib import Path

import pytest
import torch

from dispose.errors import InputError
from dispose.inference.capture import read_capture, read_image_capture
from dispose.inference.sizes import check_sizes


@pytest.fixture
def cases(shared_data: Path) -> Path:
    if not (shared_data / "cases").is_dir():
        pytest.skip("the cases (../shared/data/cases) are not on this machine")
    return shared_data / "cases"


def test_anipose_in_millimetres(cases: Path) -> None:
    capture = read_capture(cases / "anipose_mm", mm_per_unit=1.0, up="-y")
    assert 5000 < float(torch.cdist(capture.cameras.centres, capture.cameras.centres).max()) < 20_000
    # Its world is the first camera's, which looks down by 16 degrees: up is up as far as that.
    up = capture.cameras.rotation[0] @ torch.tensor([0.0, 0, 1], dtype=torch.float64)
    assert up.tolist() == pytest.approx([0, -1, 0])


def test_caliscope(cases: Path) -> None:
    capture = read_capture(cases / "caliscope_nested")
    assert capture.cameras.names == ("1", "2", "3")
    assert "cameras matched: 1 is cam1, 2 is cam2, 3 is cam3." in capture.notes
    capture = read_capture(cases / "caliscope_uncalibrated")
    assert capture.cameras.names == ("cam_1", "cam_2", "cam_3")
    assert capture.notes[0] == "camera cam_4 is left out: it has no rotation."


def test_faster_voxelpose(cases: Path) -> None:
    capture = read_capture(cases / "faster_voxelpose_json")
    assert capture.cameras.names == ("0", "1", "2")
    assert "cameras matched: 0 is cam1, 1 is cam2, 2 is cam3." in capture.notes


def test_kalibr(cases: Path) -> None:
    chain = cases / "kalibr" / "calibration" / "camchain.yaml"
    for calibration in (chain, None):
        with pytest.raises(InputError, match=r"camchain\.yaml: at least two cameras are needed, there is 1 \(cam0\)"):
            read_capture(cases / "kalibr", calibration=calibration)


def test_a_session_two_folders_up(cases: Path) -> None:
    capture = read_capture(cases / "session_two_up" / "S00_P01" / "T01")
    assert capture.notes[0].startswith("calibration of the session: ") and len(capture.cameras) == 3


def test_a_size_that_is_not_told(cases: Path) -> None:
    capture = read_image_capture(cases / "size_guessed")
    assert capture.cameras.size.tolist() == [[320, 240]] * 3
    assert "taken from the pictures, Camera0 (320 x 240)" in capture.notes[0]
    check_sizes(capture.cameras, capture.views)


def test_names_one_apart(cases: Path) -> None:
    folder, typed = cases / "names_off_by_one", "cam_0=cam1 cam_1=cam2 cam_2=cam3 cam_3=cam4"
    with pytest.raises(InputError, match=f"say --cameras {typed} if they are in the same order"):
        read_capture(folder)
    capture = read_capture(folder, told=typed.split())
    assert [view.camera for view in capture.views] == ["cam1", "cam2", "cam3", "cam4"]
