"""What is wrong with single cameras, and when: found, named, and mended by what `dispose check` writes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import read_calibration
from dispose.geometry.rigid import rodrigues
from dispose.inference.check.contest import Hypothesis, court_of, rig_of
from dispose.inference.check.diagnosis import Diagnosis, diagnose, later, told
from dispose.inference.check.footage import footage_of
from dispose.inference.check.hypotheses import inverted, resized, turned_back_in_place, with_focal
from dispose.inference.check.lags import LagCurve
from dispose.inference.check.one_camera import LAG, TURN, fit_camera, fit_late_camera
from dispose.inference.check.page import draw_curve
from dispose.inference.check.trial import LEAST_GAIN, Fault, RigTrial, best_fault
from dispose.inference.check.world import shortest_turn
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.scene.teaching import exchange_cameras
from dispose.tensors import cat

FRAMES = 30


@pytest.fixture(scope="module")
def footage():
    """Two people who walk and swing their arms, with 1.5 px of noise: frames, for a rig and its own rhythm."""

    def seen(walk, rig: Cameras | None = None) -> list[Detections]:
        generator = torch.Generator().manual_seed(3)
        frames = []
        for number in range(FRAMES):
            exact = walk.detections_at(number)
            noise = 1.5 * torch.randn(exact.xy_image.shape, dtype=torch.float64, generator=generator)
            frames.append(replace(exact, xy_image=exact.xy_image + noise))
        return frames

    return seen


def named(diagnosis: Diagnosis) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.topic, finding.cameras) for finding in diagnosis.findings]


def turned(cameras: Cameras, view: int, degrees: float) -> Cameras:
    turn = rodrigues(torch.deg2rad(torch.tensor([0.4 * degrees, 0.9 * degrees, 0.2 * degrees], dtype=torch.float64)))
    rotation, translation = cameras.rotation.clone(), cameras.translation.clone()
    rotation[view], translation[view] = turn @ rotation[view], turn @ translation[view]
    return replace(cameras, rotation=rotation, translation=translation)


def test_a_rig_that_is_right_has_nothing_wrong_and_lags_of_zero(walk, footage) -> None:
    found = diagnose(footage(walk), walk.rig())
    assert named(found) == [] and found.trial is not None
    assert all(abs(lag.frames) < 0.2 for lag in found.trial.measured if lag.told)


@pytest.mark.parametrize("degrees", [3.0, pytest.param(10.0, marks=pytest.mark.slow)])
def test_a_turned_camera_is_named_and_turned_back(walk, footage, degrees: float) -> None:
    right = walk.rig()
    found = diagnose(footage(walk), turned(right, 2, degrees))
    assert ("turned", (right.names[2],)) in named(found)
    angle = found.repaired.rotation[2] @ right.rotation[2].T
    assert float(torch.arccos(((angle.trace() - 1) / 2).clamp(-1, 1)).rad2deg()) < 0.6


def test_a_small_turn_in_much_noise_is_a_note(walk) -> None:
    """A degree and a half takes under 5 % off the loss of joints that are 35 px off, and is found all the same."""
    right, generator = walk.rig(), torch.Generator().manual_seed(3)
    frames = [walk.detections_at(number % FRAMES) for number in range(2 * FRAMES)]
    frames = [
        replace(f, xy_image=f.xy_image + 35 * torch.randn(f.xy_image.shape, dtype=torch.float64, generator=generator))
        for f in frames
    ]
    found = diagnose(frames, turned(right, 2, 1.5))
    assert found.trial is not None and found.trial.faults[0].gain < LEAST_GAIN
    assert named(found) == [] and [(n.topic, n.cameras) for n in found.notes] == [("turned", (right.names[2],))]
    assert diagnose(frames, right).notes == ()


def test_where_several_cameras_lean_all_that_lean_are_notes(walk) -> None:
    """People alone do not tell which of them is right."""
    rig, court = walk.rig(), court_of(footage_of(range(6), [walk.detections_at(number) for number in range(6)]), 30.0)

    def fault(view: int, degrees: float = 1.2) -> Fault:
        hypothesis = Hypothesis("turned", (view,), rig, (0.0,) * 4, 3, degrees, 0.1)
        return Fault(hypothesis, 0.02, 0.01, 0.5, 20.0)

    def said(faults: tuple[Fault, ...], leaning: tuple[Fault, ...]) -> list[list[tuple[str, ...]]]:
        trial = RigTrial(faults, rig, (0.0,) * 4, (), (), court, leaning)
        return [[one.cameras for one in part] for part in told(trial, "abcd")]

    assert said((fault(2),), (fault(2), fault(0))) == [[("c",)], []]
    assert said((fault(2), fault(3)), (fault(2), fault(0))) == [[], [("c",), ("d",), ("a",)]]
    assert said((fault(2, 3.0), fault(3)), (fault(0),)) == [[("c",)], [("d",)]]


def test_which_of_two_cameras_is_turned_is_not_told_where_either_explains_it(walk) -> None:
    rig = walk.rig()

    def fault(view: int, kind: str = "turned", degrees: float = 1.2) -> Fault:
        return Fault(Hypothesis(kind, (view,), rig, (0.0,) * 4, 3, degrees, 0.1), 0.02, 0.01, 0.5, 20.0)

    alike = best_fault([(1.00, fault(2)), (0.95, fault(0)), (0.5, fault(3))])
    assert alike is not None and alike.rivals == (0,)
    court = court_of(footage_of(range(6), [walk.detections_at(number) for number in range(6)]), 30.0)
    findings, notes = told(RigTrial((alike,), rig, (0.0,) * 4, (), (), court), "abcd")
    assert not findings and [one.cameras for one in notes] == [("a", "c")]
    for others in ([(0.8, fault(0))], [(0.95, fault(0, degrees=5.0))], [(0.95, fault(0, "focal"))]):
        clear = best_fault([(1.00, fault(2)), *others])
        assert clear is not None and not clear.rivals


def test_a_lag_begun_two_frames_beside_ends_where_it_is_though_the_camera_is_turned(walk, footage) -> None:
    """Between two frames people are carried on from the nearer one: there is a best place beside every frame."""
    takes, late = footage(walk), 8
    behind = [f.select(views=[2]) for f in takes[:-late]]
    frames = [
        cat([now.select(views=[0, 1]), then, now.select(views=[3])], "views")
        for now, then in zip(takes[late:], behind, strict=True)
    ]
    court = court_of(footage_of(range(len(frames)), frames), 30.0)
    rig = rig_of(court, turned(walk.rig(), 2, 1.0), (0.0,) * 4)
    start = np.array([0.0, 0.0, 0.0, 0.0, late - 2.0])
    beside = fit_camera(2, rig, (*TURN, *LAG), court.learn_time, court.scale, start)
    found = fit_late_camera(2, rig, court.learn_time, court.scale, start)
    assert abs(found.lag - late) < 0.25 and found.loss <= beside.loss


def test_a_late_camera_is_named_with_its_shift(walk, footage) -> None:
    frames = footage(walk)
    found = diagnose(later(frames, (0.0, 4.0, 0.0, 0.0), FRAMES), walk.rig())
    (finding,) = [finding for finding in found.findings if finding.topic == "time"]
    assert finding.cameras == (walk.rig().names[1],)
    assert finding.shift == pytest.approx(-4.0, abs=0.5)


OTHERS = {
    "exchanged": (lambda c: exchange_cameras(c, 0, 2), "exchanged", (0, 2)),
    "longer lens": (lambda c: with_focal(c, (1,), 1.15), "focal length", (1,)),
    "resized": (lambda c: resized(c, (3,), 2.0), "picture size", (3,)),
}


@pytest.mark.parametrize(
    "fault", [pytest.param(f, marks=() if f == "longer lens" else pytest.mark.slow) for f in OTHERS]
)
def test_exchanged_cameras_a_longer_lens_and_other_images_are_told_apart(walk, footage, fault: str) -> None:
    right = walk.rig()
    spoil, topic, views = OTHERS[fault]
    found = diagnose(footage(walk), spoil(right))
    assert named(found)[0] == (topic, tuple(right.names[view] for view in views)), named(found)
    torch.testing.assert_close(found.repaired.matrix, right.matrix, rtol=0.03, atol=8.0)


def test_cameras_that_see_nobody_or_stand_still_are_left_out(walk, footage) -> None:
    frames = footage(walk)
    blind = [replace(f, valid=f.valid & (torch.arange(4) != 1)[:, None]) for f in frames]
    frozen = later(frames, (0.0,) * 4, FRAMES)
    frozen = [replace(f, xy_image=torch.cat([frames[0].xy_image[:1], f.xy_image[1:]])) for f in frozen]
    for spoilt, view in ((blind, 1), (frozen, 0)):
        found = diagnose(spoilt, walk.rig())
        assert named(found)[0] == ("dead", (walk.rig().names[view],))
        assert found.repaired.names == tuple(n for v, n in enumerate(walk.rig().names) if v != view)


@pytest.mark.parametrize("spoil", [inverted, turned_back_in_place])
def test_what_is_written_is_the_rig_as_it_was(
    walk, capture_folder, tmp_path: Path, capsys, spoil: Callable[[Cameras], Cameras]
) -> None:
    """Extrinsics misread in a wrong unit in a world with y up: what is written, predict and check take as it is."""
    right = walk.rig()
    axes = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    wrong = replace(right, rotation=right.rotation @ axes.T, translation=right.translation * 1e-3)
    write_calibration_toml(capture_folder.calibration, spoil(wrong))
    folder, file = str(capture_folder.path), tmp_path / "mended.toml"
    assert main(["check", folder, "--out", str(tmp_path), "--write-calibration", str(file)]) == 1
    said = capsys.readouterr().out
    assert "type next:" in said and "--write-calibration" in said
    mended = read_calibration(file)
    turn = mended.rotation.mT @ right.rotation
    torch.testing.assert_close(turn, turn[:1].expand_as(turn), rtol=0, atol=1e-3)
    torch.testing.assert_close(torch.cdist(mended.centres, mended.centres), torch.cdist(right.centres, right.centres))
    assert main(["check", folder, "--calibration", str(file), "--out", str(tmp_path)]) == 0
    assert main(["check", folder, "--out", str(tmp_path), "--write-calibration", str(tmp_path / "x.json")]) == 2
    assert "must end in .toml" in capsys.readouterr().err


def test_five_frames_late_is_said_on_the_page_and_mended(shared_data: Path, tmp_path: Path, capsys) -> None:
    case = str(shared_data / "cases" / "unsync_5_frames")
    assert main(["check", case, "--out", str(tmp_path)]) == 1
    assert "warning (time): camera cam2 is 5.0 frames late" in capsys.readouterr().out
    record = json.loads((tmp_path / "check.json").read_text())
    (finding,) = record["findings"]
    assert (finding["topic"], finding["cameras"], finding["shift_frames"]) == ("time", ["cam2"], -5.0)
    assert any(command.endswith("--shift cam2=-5") for command in record["next"])
    page = (tmp_path / "check.html").read_text()
    assert page.count("shift in frames") == 4 and "http" not in page.replace("http://www.w3.org", "")
    assert main(["check", case, "--out", str(tmp_path), "--synchronise"]) == 0
    assert "frames are shifted: cam2 by -5" in capsys.readouterr().out


def test_names_on_the_page_are_text() -> None:
    import numpy as np

    curve = LagCurve(np.array([-1, 0, 1]), np.array([0.2, 0.1, 0.3]))
    assert "<script>" not in draw_curve("<script>alert(1)</script>", curve)


def test_the_shortest_turn_is_a_rotation_and_the_shortest() -> None:
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    for start in ([0.0, 1, 0], [0, -1, 0], [1, 0, 0], [0, 0, -1], [0.6, 0, 0.8]):
        vector = torch.tensor(start, dtype=torch.float64)
        turn = shortest_turn(vector, up)
        torch.testing.assert_close(turn @ vector, up)
        torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64))
        assert float(turn.trace()) == pytest.approx(1 + 2 * float(vector @ up))
