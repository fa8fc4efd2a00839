"""The viewer's recording, where the optional package rerun is installed: written whole, and it can be read back."""

import subprocess
import sys

import pytest

rr = pytest.importorskip("rerun", reason="the optional package rerun is not installed")


def test_a_recording_is_written_and_read_back(results, tmp_path) -> None:
    from rerun.chunk import RrdReader

    from dispose_viz.scene.rerun_view import save

    path = tmp_path / "toy.rrd"
    save(results, path)
    assert [p.name for p in tmp_path.iterdir()] == ["toy.rrd"]
    assert subprocess.run([sys.executable, "-m", "rerun", "rrd", "verify", str(path)]).returncode == 0
    paths = {str(chunk.entity_path) for chunk in RrdReader(str(path)).stream()}
    space = ("/world/people", "/world/cameras/cam01", "/world/cameras/cam04/detections", "/world/names", "/world/truth")
    for wanted in (*space, *(f"/diffusion/{name}" for name in ("mass/P0", "entropy", "bars", "tuples")), "/notes"):
        assert wanted in paths


def test_what_cannot_be_read_is_one_sentence(tmp_path, capsys) -> None:
    from dispose_viz.scene.rerun_view import main

    assert main([str(tmp_path / "nothing"), "--save", str(tmp_path / "x.rrd")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err and not list(tmp_path.iterdir())
