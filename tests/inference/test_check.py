"""`dispose check`: a good rig passes, every usual mistake gets its own diagnosis, and the picture is legible."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from dispose.cli.main import main
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.geometry.rigid import rodrigues
from dispose.inference.check.consistency import rig_consistency
from dispose.inference.check.diagnosis import USABLE_SHARE, Diagnosis, diagnose, fit_together
from dispose.inference.check.hypotheses import inverted, opengl_camera, turned_back_in_place
from dispose.inference.check.lines import next_commands
from dispose.inference.check.report import draw_from_above
from dispose.inference.check.world import body_scale, up_direction
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose_viz.scene.rig_svg import grid_step


def noisy(walk, pixels: float, frames: int = 6) -> list[Detections]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for number in range(frames):
        exact = walk.detections_at(number)
        noise = pixels * torch.randn(exact.xy_image.shape, dtype=torch.float64, generator=generator)
        found.append(replace(exact, xy_image=exact.xy_image + noise))
    return found


def topics(diagnosis: Diagnosis) -> list[str]:
    return [finding.topic for finding in diagnosis.findings]


def in_world(rows: list[list[float]]) -> Callable[[Cameras], Cameras]:
    """The same rig described in a world whose axes are these rows of ours."""
    axes = torch.tensor(rows, dtype=torch.float64)
    return lambda cameras: replace(cameras, rotation=cameras.rotation @ axes.T)


def scaled(factor: float) -> Callable[[Cameras], Cameras]:
    return lambda cameras: replace(cameras, translation=cameras.translation * factor)


MISTAKES: dict[str, tuple[Callable[[Cameras], Cameras], str, str]] = {
    "m for mm": (scaled(1e-3), "units", "in metres where millimetres are expected"),
    "mm for m": (scaled(1e3), "units", "in millimetres where metres are expected"),
    "cm for mm": (scaled(0.1), "units", "ten times too small"),
    "mm for cm": (scaled(10.0), "units", "ten times too large"),
    "cm for m": (scaled(100.0), "units", "a hundred times too large"),
    "inches": (scaled(1 / 25.4), "units", "in inches where millimetres"),
    "inches for m": (scaled(1000 / 25.4), "units", "in inches where metres"),
    "feet for m": (scaled(1000 / 304.8), "units", "in feet where metres"),
    "squares of 40 mm": (scaled(25.0), "units", "about 26 times too large"),
    "microns": (scaled(5e5), "units", "times too large"),
    "world from camera": (inverted, "extrinsics", "world_from_camera (camera to world); invert"),
    "centre": (lambda c: replace(c, translation=c.centres), "extrinsics", "t = -R C"),
    "transposed": (lambda c: replace(c, rotation=c.rotation.mT), "extrinsics", "rotations are transposed"),
    "transposed in place": (turned_back_in_place, "extrinsics", "t = -R C was made of them"),
    "opengl": (opengl_camera, "extrinsics", "OpenGL's (y up"),
    "blender": (lambda c: inverted(opengl_camera(c)), "extrinsics", "as Blender writes them"),
    "y up": (in_world([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), "axes", "the world is y-up"),
    "y down": (in_world([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), "axes", "the world is y-down"),
    "x up": (in_world([[0, 0, 1], [0, 1, 0], [-1, 0, 0]]), "axes", "the world is x-up"),
    "z down": (in_world([[1, 0, 0], [0, -1, 0], [0, 0, -1]]), "axes", "z axis points down"),
}


SMOKE = ("world from camera", "transposed in place", "mm for m", "y up")
"""One of each kind is tried every time."""


@pytest.mark.parametrize("mistake", [pytest.param(m, marks=() if m in SMOKE else pytest.mark.slow) for m in MISTAKES])
def test_every_usual_mistake_is_told_by_its_cause(walk, mistake: str) -> None:
    spoil, topic, sentence = MISTAKES[mistake]
    diagnosis = diagnose(noisy(walk, 3.0), spoil(walk.rig()))
    assert topics(diagnosis) == [topic]
    assert sentence in diagnosis.findings[0].sentence
    assert not diagnosis.usable


@pytest.mark.slow
def test_two_mistakes_at_once_are_both_told(walk) -> None:
    diagnosis = diagnose(noisy(walk, 3.0), inverted(scaled(1e-3)(walk.rig())))
    assert topics(diagnosis) == ["extrinsics", "units"]


def test_a_good_rig_has_nothing_to_complain_about(walk) -> None:
    diagnosis = diagnose(noisy(walk, 3.0), walk.rig())
    assert (topics(diagnosis), diagnosis.usable) == ([], True)
    assert diagnosis.verdict.startswith("Good: ")
    scale, up = body_scale(diagnosis.consistency), up_direction(diagnosis.consistency)
    assert scale is not None and 0.85 < scale < 1.15
    assert up is not None and up[2] > 0.95


def test_left_and_right_exchanged_in_all_cameras_is_told(walk) -> None:
    """Nothing disagrees: noses and toes tell."""
    frames = noisy(walk, 3.0)
    mirror = frames[0].skeleton.mirror
    swapped = [
        replace(one, xy_image=one.xy_image[..., mirror, :], visible=one.visible[..., mirror],
                confidence=one.confidence[..., mirror])
        for one in frames
    ]  # fmt: skip
    found = diagnose(swapped, walk.rig())
    (note,) = found.notes
    assert note.topic == "sides" and "left and right are exchanged" in note.sentence
    # That is no reason to change the cameras.
    assert found.usable and not found.findings
    assert next_commands(found, Path("a"), Path("b"), ()) == ("dispose predict a",)
    few = diagnose(swapped[:2], walk.rig())
    assert not few.findings and not few.notes


def test_exact_detections_reproject_exactly_and_noise_shows(walk) -> None:
    exact = rig_consistency(noisy(walk, 0.0), walk.rig())
    assert all(pair.median_px < 1e-6 for pair in exact.pairs)
    assert all(camera.p90_px < 1e-6 for camera in exact.cameras)
    assert [camera.people for camera in exact.cameras] == [12, 12, 12, 12]
    rough = rig_consistency(noisy(walk, 6.0), walk.rig())
    assert all(1.0 < camera.median_px < 12.0 for camera in rough.cameras)


def test_the_check_does_not_depend_on_units_or_world(walk) -> None:
    frames = noisy(walk, 4.0)
    given = rig_consistency(frames, walk.rig())
    for change in (scaled(1e-3), scaled(40.0), in_world([[0, 0, 1], [1, 0, 0], [0, 1, 0]])):
        other = rig_consistency(frames, change(walk.rig()))
        for a, b in zip(given.pairs, other.pairs, strict=True):
            assert (a.matches, a.median_px) == pytest.approx((b.matches, b.median_px), rel=1e-6)


def test_one_wrong_camera_is_named(walk) -> None:
    cameras = walk.rig()
    turn = rodrigues(torch.tensor([0.0, 0.25, 0.1], dtype=torch.float64))
    rotation = cameras.rotation.clone()
    rotation[2] = turn @ rotation[2]
    diagnosis = diagnose(noisy(walk, 2.0), replace(cameras, rotation=rotation))
    assert any("cam_03" in f.sentence for f in diagnosis.findings if f.topic == "camera")
    assert not any("cam_01" in f.sentence for f in diagnosis.findings)


def test_two_cameras_at_one_place_are_named_and_do_no_harm(walk) -> None:
    cameras = walk.rig()
    twice = cameras.select(views=[0, 1, 2, 3, 3])
    names = (*cameras.names, "twin")
    frames = [frame.select(views=[0, 1, 2, 3, 3]) for frame in noisy(walk, 2.0)]
    diagnosis = diagnose(frames, replace(twice, names=names))
    (finding,) = [finding for finding in diagnosis.findings if finding.topic == "place"]
    assert diagnosis.usable and f"{cameras.names[3]} and twin stand at one place (0 mm apart)" in finding.sentence
    assert not [finding for finding in diagnose(noisy(walk, 2.0), cameras).findings if finding.topic == "place"]


@pytest.mark.slow
def test_three_cameras_in_a_circle_are_two_exchanges_and_put_right(walk) -> None:
    diagnosis = diagnose(noisy(walk, 2.0), walk.rig().select(views=[2, 0, 1, 3]))
    assert not diagnosis.usable and topics(diagnosis) == ["exchanged", "exchanged"]
    torch.testing.assert_close(diagnosis.repaired.centres, walk.rig().centres)


def test_nobody_or_only_one_view_is_said(walk) -> None:
    frames = noisy(walk, 0.0)
    alone = [replace(f, valid=f.valid & (torch.arange(4) == 1)[:, None]) for f in frames]
    diagnosis = diagnose(alone, walk.rig())
    assert not diagnosis.usable
    assert "no person is seen by two cameras" in diagnosis.verdict


def test_cameras_below_the_feet_are_named(walk) -> None:
    cameras = walk.rig()
    centres = cameras.centres.clone()
    people = noisy(walk, 1.0)
    low = centres[0].clone()
    low[2] = -1500.0
    translation = cameras.translation.clone()
    translation[0] = -(cameras.rotation[0] @ low)
    moved = replace(cameras, translation=translation)
    xy = [moved.project(walk.people_at(n))[0][0] for n in range(6)]
    frames = []
    for number, found in enumerate(people):
        first = found.xy_image.clone()
        first[0] = xy[number].flip(0) if number % 2 else xy[number]
        frames.append(replace(found, xy_image=first))
    diagnosis = diagnose(frames, moved)
    assert (topics(diagnosis), diagnosis.usable) == (["floor"], True)
    assert "cam_01" in diagnosis.findings[0].sentence


def test_the_picture_names_every_camera_and_stays_inside(walk) -> None:
    people = torch.tensor([[0.0, 0.0], [torch.nan, 1.0], [1e9, 0.0]], dtype=torch.float64)
    for factor in (1e-3, 1.0, 1e3):
        svg = draw_from_above(scaled(factor)(walk.rig()), people, "a <rig> & more")
        root = ElementTree.fromstring(svg)
        texts = [element for element in root.iter() if element.tag.endswith("text")]
        words = " ".join(text.text or "" for text in texts)
        assert all(name in words for name in walk.rig().names)
        assert "x in m" in words and "y in m" in words and "a <rig> & more" in words
        for text in texts:
            assert 0 <= float(text.attrib["x"]) <= 900
            assert 0 <= float(text.attrib["y"]) <= 760
        assert len(svg) < 60_000
    assert grid_step(9000.0) == 1000.0


def test_the_command_reports_and_its_status_says_usable(walk, capture_folder, tmp_path: Path, capsys) -> None:
    assert main(["check", str(capture_folder.path), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "cam_03" in said and "Good: " in said
    report = json.loads((tmp_path / "check.json").read_text())
    assert (report["schema"], report["usable"], report["findings"]) == ("dispose.check/1", True, [])
    assert len(report["pairs"]) == 6
    assert (tmp_path / "cameras.svg").read_text().startswith("<svg")

    write_calibration_toml(capture_folder.calibration, scaled(1000.0)(walk.rig()))
    assert main(["check", str(capture_folder.path), "--out", str(tmp_path)]) == 1
    assert "warning (units): people are" in capsys.readouterr().out
    write_calibration_toml(tmp_path / "inverted.toml", inverted(walk.rig()))
    arguments = ["--calibration", str(tmp_path / "inverted.toml"), "--out", str(tmp_path)]
    assert main(["check", str(capture_folder.path), *arguments]) == 1
    assert "warning (extrinsics)" in capsys.readouterr().out
    assert main(["check", str(tmp_path / "absent")]) == 2
    assert "no such capture folder" in capsys.readouterr().err


@pytest.mark.slow
def test_pose2sims_published_cameras_are_off_and_usable(shared_data: Path, tmp_path: Path) -> None:
    assert main(["check", str(shared_data / "raw" / "pose2sim_multi"), "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    medians = [camera["median_px"] for camera in report["cameras"]]
    assert (report["usable"], report["findings"]) == (True, [])
    assert report["verdict"].startswith("Usable: ")
    assert 4 < min(medians) < max(medians) < 25
    refined = shared_data / "pose2sim" / "cameras_refined.json"
    arguments = ["--calibration", str(refined), "--out", str(tmp_path)]
    assert main(["check", str(shared_data / "raw" / "pose2sim_multi"), *arguments]) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    assert max(camera["median_px"] for camera in report["cameras"]) < 4.5


def test_people_who_are_not_there_say_nothing_of_the_cameras(walk) -> None:
    """Two of six bodies in every image are real: most matches are wrong, the cameras are right."""
    generator = torch.Generator().manual_seed(2)
    frames = []
    for found in noisy(walk, 3.0, 12):
        ghosts = found.xy_image.repeat(1, 2, 1, 1) + 400 * torch.randn(4, 4, 1, 2, generator=generator).double()
        xy = torch.cat([found.xy_image, ghosts], 1)
        people = torch.cat([xy, torch.full_like(xy[..., :1], 0.9)], -1)
        frames.append(Detections.from_lists(found.skeleton, [list(view) for view in people]))
    right = rig_consistency(frames, walk.rig())
    assert right.share > USABLE_SHARE and fit_together(right)
    assert not fit_together(rig_consistency(frames, inverted(walk.rig())))
    rig, turn = walk.rig(), rodrigues(torch.deg2rad(3 * torch.eye(4, 3, dtype=torch.float64)))
    moved = replace(rig, rotation=turn @ rig.rotation, translation=(turn @ rig.translation[..., None])[..., 0])
    assert not fit_together(rig_consistency(frames, moved))
