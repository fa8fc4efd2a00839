"""What one camera alone sees: who is added and who is not, joints that follow from the rest, nothing unasked."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.association.reconstruct import reconstruct
from dispose.cli.main import main
from dispose.evaluation.single_view import hide_people, score_hidden
from dispose.formats.predictions import read_predictions
from dispose.inference.single_view import SingleViews, condition
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, Picture
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Prediction
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose.zoo import lifters
from dispose.zoo.lifters import NamedLifter
from dispose_synthetic.human36m_rig import human36m_rig

HIPS = COCO_17.indices(("l_hip", "r_hip"))
SPREAD = 0.05
BODY = torch.tensor([
    [60, 0, 650], [80, 30, 680], [80, -30, 680], [40, 70, 660], [40, -70, 660], [0, 180, 480], [0, -180, 480],
    [30, 230, 220], [30, -230, 220], [150, 240, 20], [150, -240, 20], [0, 110, 0], [0, -110, 0], [20, 110, -420],
    [20, -110, -420], [-20, 110, -820], [-20, -110, -820],
], dtype=torch.float64)  # fmt: skip


def people() -> Tensor:
    """Two people who stand in a room, mm."""
    return BODY + torch.tensor([[[300.0, 500.0, 900.0]], [[-700.0, -200.0, 900.0]]])


def scene() -> tuple[Frame, Labels]:
    """Both in the four views of Human3.6M's rig."""
    rig = human36m_rig("S1")
    xy = rig.project(people())[0]
    score = torch.full((4, 2, 17, 1), 0.9, dtype=torch.float64)
    detections = Detections.from_lists(COCO_17, [list(one) for one in torch.cat([xy, score], -1)])
    poses = Poses(COCO_17, people(), torch.ones(2, 17).double(), torch.ones(2, 17).bool(), torch.tensor([4, 5]))
    return Frame(3, rig, detections), Labels.of_detections(torch.tensor([4, 5]).expand(4, 2).clone(), poses)


def knows_the_body(path: Path, count: int) -> PeopleLifter:
    """Knows how both stand, in Human3.6M's rig; all poses are of other sizes, and joints are spread by 50 mm."""

    def lift(view: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        camera = (BODY - BODY[HIPS].mean(0)) @ view.cameras.rotation[:, 0].mT
        noise = torch.randn(len(view), count, 17, 3, generator=generator, dtype=torch.float64)
        size = 1 + 0.08 * torch.randn(len(view), count, 1, 1, generator=generator, dtype=torch.float64)
        return (size * view.people.from_camera(camera / 1000)[:, None] + SPREAD * noise).float()

    return PeopleLifter(COCO_17, lift)


def answer(frame: Frame, labels: Labels, *, lifted: bool) -> Prediction:
    groups = [association_of_identities(torch.where(frame.detections.valid, labels.identity, ABSENT))]
    groups = [one[(one.members != ABSENT).sum(1) > 1] for one in groups]
    way = SingleViews(reconstruct, knows_the_body(Path(), 300)) if lifted else reconstruct
    return way([frame], groups)[0]


def test_somebody_whom_one_camera_sees_is_found_with_an_honest_covariance() -> None:
    frame, labels = scene()
    (case,) = hide_people([(frame, labels)])
    before, after = (answer(case.frame, labels, lifted=lifted) for lifted in (False, True))
    assert len(before.poses.id) == 1 and len(after.poses.id) == 2
    assert_close(after.poses.xyz_world[0], before.poses.xyz_world[0])
    assert after.association.members[1].tolist().count(ABSENT) == 3
    view = int((after.association.members[1] != ABSENT).nonzero()[0, 0])
    true = people()[[4, 5].index(case.person)]
    off, ray = after.poses.xyz_world[1] - true, true.mean(0) - frame.cameras.centres[view]
    assert float(off.norm(dim=-1).mean()) < 100
    covariance = after.poses.covariance
    assert covariance is not None
    along = (ray / ray.norm()) @ covariance[1].mean(0) @ (ray / ray.norm())
    # 8 % of the distance, and hardly anything across the ray but the joints' own 50 mm.
    assert float(along.sqrt()) == pytest.approx(0.08 * float(ray.norm()), rel=0.25)
    across = (torch.trace(covariance[1].mean(0)) - along) / 2
    assert float(across.sqrt()) < 80
    found = score_hidden([case], [after])
    assert (found.persons, found.found, found.others, found.extra) == (1, 1.0, 1.0, 0.0)
    assert found.covered > 0.8
    assert score_hidden([case], [before]).found == 0


def test_repeats_and_shreds_are_nobody() -> None:
    """A second detection of somebody who was found, one of few joints, and one of low scores add nobody."""
    frame, labels = scene()
    table = torch.cat([frame.detections.xy_image, frame.detections.confidence[..., None]], -1)
    lists = [list(view) for view in table]
    few, doubtful = lists[0][0].clone() + torch.tensor([200.0, 0, 0]), lists[0][0].clone() + torch.tensor([200.0, 0, 0])
    few[7:] = 0
    doubtful[:, 2] = 0.2
    lists[0] += [lists[0][0] + torch.tensor([3.0, 2.0, 0]), few, doubtful]
    crowded = replace(frame, detections=Detections.from_lists(COCO_17, lists))
    identity = torch.full((4, 5), ABSENT)
    identity[:, :2] = torch.tensor([4, 5])
    assert len(answer(crowded, Labels.of_detections(identity, labels.poses), lifted=True).poses.id) == 2


def test_a_joint_that_one_view_sees_follows_from_the_rest() -> None:
    frame, labels = scene()
    detections, wrist = frame.detections, COCO_17.index("l_wrist")
    visible = detections.visible.clone()
    visible[1:, 0, wrist] = False
    partly = replace(frame, detections=replace(detections, visible=visible))
    before, after = (answer(partly, labels, lifted=lifted).poses for lifted in (False, True))
    assert not before.valid[0, wrist] and after.valid[0, wrist]
    off = float((after.xyz_world[0, wrist] - people()[0, wrist]).norm())
    # Alone a wrist is known to 50 mm and the person's distance to 400 mm; beside sixteen known joints that is gone.
    assert off < 60
    assert after.covariance is not None
    assert 20 < float(torch.trace(after.covariance[0, wrist]).sqrt()) < 150
    others = [joint for joint in range(17) if joint != wrist]
    assert_close(after.xyz_world[:, others], before.xyz_world[:, others])


def test_conditioning_is_exact_for_gaussians(generator: torch.Generator) -> None:
    mix = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    draws = (100 * torch.randn(20000, 6, generator=generator, dtype=torch.float64) @ mix).view(-1, 2, 3)
    doubt = 400 * torch.eye(3, dtype=torch.float64)
    place = torch.tensor([[50.0, -80.0, 120.0]], dtype=torch.float64)
    given = condition(draws, torch.tensor([True, False]), place, doubt[None], generator)
    cov = torch.cov(draws.flatten(1).mT)
    gain = cov[3:, :3] @ torch.linalg.inv(cov[:3, :3] + doubt)
    mean = draws.flatten(1).mean(0)
    assert_close(given[:, 1].mean(0), mean[3:] + gain @ (place[0] - mean[:3]), atol=3.0, rtol=0.02)
    left = cov[3:, 3:] - gain @ cov[:3, 3:]
    assert_close(torch.cov(given[:, 1].mT), left, atol=0.03 * float(left.abs().max()), rtol=0)


def test_the_option_adds_people_and_is_off_by_default(
    capture_folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    several = NamedLifter("body", "body", knows_the_body, "rays.safetensors")
    looking = NamedLifter("looking", "looking", knows_the_body, "rays.safetensors", looks=True)
    single = NamedLifter("single", "single", knows_the_body, "rays.safetensors", several=False)
    monkeypatch.setattr(lifters, "LIFTERS", (several, looking, single))
    for name in capture_folder.frame_file("cam01", 0).parent.parent.iterdir():
        if not name.name.startswith("cam01"):
            for file in name.glob("*.json"):
                text = file.read_text()
                file.write_text(text.replace(text[text.index('"people"') :], '"people": [{"pose_keypoints_2d": []}]}'))
    words = ["predict", str(capture_folder.path), "--associator", "greedy", "--frames", "0:1"]
    assert main([*words, "--out", str(tmp_path / "off")]) == 1
    assert len(read_predictions(tmp_path / "off" / "predictions.jsonl").frames[0].poses.id) == 0
    assert main([*words, "--out", str(tmp_path / "on"), "--single-view", "body"]) == 0
    frame = read_predictions(tmp_path / "on" / "predictions.jsonl").frames[0]
    assert len(frame.poses.id) == 2 and ((frame.association.members != ABSENT).sum(1) == 1).all()
    capsys.readouterr()
    assert main([*words, "--single-view", "looking"]) == 2
    assert main([*words, "--single-view", "single"]) == 2
    assert main([*words, "--single-view", "nobody"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "looking looks at images" in lines[0] and "single gives one pose" in lines[1]
    assert "no lifter named 'nobody'" in lines[2]
