"""Cameras refined by people: back to where they were, judged by frames that were held out, left alone where unknown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import read_calibration
from dispose.formats.detections.openpose import write_openpose
from dispose.inference.calibration.people import place_people, seen_by
from dispose.inference.calibration.refine import Refinement, RigErrors, moved_by, refine_rig, split_frames
from dispose.inference.calibration.report import judge, residuals
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.results import Association, AssociationResult
from dispose.scene.teaching import knock_cameras
from dispose.tensors import ABSENT
from dispose.zoo.checkpoints import load_associator
from dispose_viz.scene.residual_svg import ResidualPanel, magnification
from tests.calibration.walkers import filmed, ring

FRAMES = 24


def as_given(frames: Sequence[Frame], cameras: Cameras) -> list[Frame]:
    return [replace(frame, cameras=cameras) for frame in frames]


def by_order(frames: Sequence[Frame]) -> list[AssociationResult]:
    """Who is who by the order in which `filmed` lists them; nobody who is not seen."""
    found = []
    for frame in frames:
        views, slots = frame.detections.valid.shape
        person, view = torch.arange(3)[:, None], torch.arange(views)
        members = (person + view + frame.number) % 3
        there = frame.detections.valid[view, members.clamp(max=max(slots - 1, 0))] if slots else members < 0
        found.append(AssociationResult(Association(torch.where(there, members, ABSENT), torch.ones(3).double())))
    return found


def refined(frames: Sequence[Frame], cameras: Cameras, associate=by_order) -> Refinement:
    by, judges = split_frames(len(frames))
    given = as_given(frames, cameras)
    return refine_rig([given[k] for k in by], [given[k] for k in judges], associate)


@pytest.fixture(scope="module")
def knocked() -> tuple[Cameras, Refinement]:
    generator = torch.Generator().manual_seed(4)
    true = ring()
    frames = filmed(true, FRAMES, generator)
    return true, refined(frames, knock_cameras(true, 1.0, 30.0, generator), load_associator().associate)


def test_knocked_cameras_come_back(knocked: tuple[Cameras, Refinement]) -> None:
    true, found = knocked
    undisturbed = RigErrors.of(place_people(seen_by(found.judged_after.groups, true)), found.views)
    assert float(found.before.whole_px) > 2 * float(undisturbed.whole_px)
    assert float(found.after.whole_px) < 1.05 * float(undisturbed.whole_px)
    assert (found.after.median_px < 1.1 * undisturbed.median_px).all()
    assert found.worse == () and judge(found).better


def test_the_rig_keeps_its_middle_and_its_size(knocked: tuple[Cameras, Refinement]) -> None:
    _, found = knocked
    given, centres = found.given.centres, found.found.centres
    torch.testing.assert_close(centres.mean(0), given.mean(0))
    spread = [(one - one.mean(0)).square().sum() for one in (given, centres)]
    torch.testing.assert_close(spread[1], spread[0])
    assert float(moved_by(found.given, found.found)[0].min()) > 5


def test_what_is_worse_on_held_out_frames_is_not_better(knocked: tuple[Cameras, Refinement]) -> None:
    _, found = knocked
    backwards = judge(replace(found, before=found.after, after=found.before))
    assert not backwards.better and all(name in backwards.sentences[-1] for name in found.given.names)
    worse = found.after.median_px.clone()
    worse[2] = found.before.median_px[2] + 0.01
    one = judge(replace(found, after=replace(found.after, median_px=worse)))
    assert not one.better and "camera cam_03" in one.sentences[-1] and "cam_02" not in one.sentences[-1]
    fewer = judge(replace(found, after=replace(found.after, agreeing=0.9 * found.before.agreeing)))
    assert not fewer.better and "sightings agree" in fewer.sentences[-1]


def test_it_never_says_better_of_what_is_not(generator: torch.Generator) -> None:
    # The calibration is right already: whatever is found, what is called better is better, and by little.
    true = ring()
    found = refined(filmed(true, FRAMES, generator), true)
    before, after = found.before.median_px, found.after.median_px
    assert judge(found).better == bool((after <= before).all() and found.after.whole_px < found.before.whole_px)
    assert float(found.after.whole_px) == pytest.approx(float(found.before.whole_px), rel=0.05)


def test_a_camera_that_nobody_connects_is_left_and_named(generator: torch.Generator) -> None:
    true = ring()
    frames = filmed(true, FRAMES, generator)
    blind = []
    for frame in frames:
        visible = frame.detections.visible.clone()
        visible[3] = False
        valid = frame.detections.valid.clone()
        valid[3] = False
        blind.append(replace(frame, detections=replace(frame.detections, visible=visible, valid=valid)))
    cameras = knock_cameras(true, 1.0, 30.0, generator)
    found = refined(blind, cameras)
    assert found.views == (0, 1, 2, 4) and [left.view for left in found.left] == [3]
    assert torch.equal(found.found.rotation[3], cameras.rotation[3])
    assert torch.equal(found.found.translation[3], cameras.translation[3])
    said = judge(found)
    assert said.better and "camera cam_04 is left as it was" in said.sentences[0]


def test_cameras_that_are_left_count_when_the_result_is_judged(generator: torch.Generator) -> None:
    """The fourth sees people in held-out frames alone: nothing is adjusted by it, and what becomes of it counts."""
    true, (by, _) = ring(), split_frames(FRAMES)
    frames = filmed(true, FRAMES, generator)
    for number in by:
        valid = frames[number].detections.valid.clone()
        valid[3] = False
        frames[number] = replace(frames[number], detections=replace(frames[number].detections, valid=valid))
    found = refined(frames, knock_cameras(true, 1.0, 30.0, generator))
    assert [left.view for left in found.left] == [3] and found.after.median_px[3].isfinite()
    assert float(found.after.whole_px) == float(RigErrors.of(found.judged_after, range(5)).whole_px)
    assert float(found.after.whole_px) != float(RigErrors.of(found.judged_after, found.views).whole_px)


def test_people_who_stand_still_are_one_sentence(generator: torch.Generator) -> None:
    true = ring()
    with pytest.raises(
        InputError, match=r"people stand still, or all in one place: in 16 frames .* are in \d\d places"
    ):
        refined(filmed(true, FRAMES, generator, still=True), true)


def test_nobody_in_common_is_one_sentence(generator: torch.Generator) -> None:
    true = ring()
    alone = []
    for frame in filmed(true, FRAMES, generator):
        valid = frame.detections.valid.clone()
        valid[1:] = False
        alone.append(replace(frame, detections=replace(frame.detections, valid=valid)))
    with pytest.raises(InputError, match="nobody is seen by two cameras at once in the 16 frames"):
        refined(alone, true)


def test_held_out_frames_are_stretches_of_their_own() -> None:
    for count in (12, 37, 90):
        by, judges = split_frames(count)
        assert sorted(by + judges) == list(range(count)) and count / 4 < len(judges) < count / 2
        assert sum(b - a > 1 for a, b in pairwise(judges)) == 3
    with pytest.raises(InputError, match="11 frames are too few"):
        split_frames(11)


def test_residuals_point_from_the_sighting_to_the_projection(knocked: tuple[Cameras, Refinement]) -> None:
    _, found = knocked
    people = found.judged_before
    xy, off = residuals(people, 1)
    known = torch.isfinite(people.error_px[..., 1])
    assert len(xy) == int(known.sum())
    xyz = people.xyz_world[known]
    torch.testing.assert_close(found.given.project(xyz)[0][1], xy + off)


def test_arrows_have_one_handy_scale() -> None:
    short = ResidualPanel("a", (1000.0, 500.0), tuple((0.0, 0.0, 2.0, 0.0) for _ in range(20)), ())
    assert magnification([short], 8) == 50  # 0.9 of 125 px fits 56 times into 2 px
    assert magnification([ResidualPanel("a", (1000.0, 500.0), (), ())], 8) == 1


def write_walk(folder: Path, cameras: Cameras, frames: Sequence[Frame]) -> None:
    write_calibration_toml(folder / "calib" / "Calib.toml", cameras)
    for frame in frames:
        write_openpose(folder / "pose", frame.number, frame.cameras.names, frame.detections)


def test_the_command_writes_what_predict_reads(tmp_path: Path, generator: torch.Generator, capsys) -> None:
    # The fourth camera is calibrated and recorded nothing.
    true = ring(3)
    write_walk(tmp_path / "walk", knock_cameras(ring(4), 1.0, 30.0, generator), filmed(true, 24, generator))
    out, report = tmp_path / "better.toml", tmp_path / "report"
    arguments = ["calibrate", "refine", str(tmp_path / "walk"), "--out", str(out), "--report", str(report), "--level"]
    assert main([*arguments, "--distance-mm", "cam_01", "cam_03", "6000"]) == 0
    said = capsys.readouterr().out
    assert "better on held-out frames, in every camera" in said and f"wrote {out}" in said
    found = read_calibration(out)
    assert found.names == ring(4).names
    assert float((found.centres[0] - found.centres[2]).norm()) == pytest.approx(6000, abs=1e-6)
    record = json.loads((report / "refine.json").read_text())
    assert record["better"] and record["whole_px"]["after"] < record["whole_px"]["before"] / 2
    assert [one["name"] for one in record["cameras"]] == list(true.names)
    drawing = ElementTree.parse(report / "refine.svg").getroot()
    assert sum("cam_0" in (text.text or "") for text in drawing.iter("{http://www.w3.org/2000/svg}text")) == 3
    # The refined one against itself: nothing is written that is worse.
    out.rename(tmp_path / "walk" / "calib" / "Calib.toml")
    status = main(arguments)
    assert out.exists() == (status == 0) and status in (0, 1)


def test_wrong_options_are_one_sentence(tmp_path: Path, generator: torch.Generator, capsys) -> None:
    true = ring(3)
    write_walk(tmp_path / "walk", true, filmed(true, 6, generator))
    for more, sentence in (
        ([], "6 frames are too few to refine cameras"),
        (["--out", "x.json"], "name a file that ends in .toml"),
        (["--height-mm", "1700", "--distance-mm", "a", "b", "3"], "give one of them"),
    ):
        assert main(["calibrate", "refine", str(tmp_path / "walk"), "--report", str(tmp_path / "r"), *more]) == 2
        assert sentence in capsys.readouterr().err
