"""Clouds of single views: right shares inside regions, meeting where Gaussians do, and placed where the people are."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from dispose.evaluation.views_agree import agreement_of, as_labels, inside_region, lift_capture, meet
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, Picture
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.human36m_rig import human36m_rig

HIPS = COCO_17.indices(("l_hip", "r_hip"))
LONG = torch.diag(torch.tensor([300.0, 30.0, 30.0], dtype=torch.float64))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_region_holds_its_share_of_further_draws(share: float, generator: torch.Generator) -> None:
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    points = torch.randn(5000, 201, 3, generator=generator, dtype=torch.float64) @ LONG @ turn
    held = float(inside_region(points[:, 1:], points[:, 0], share).double().mean())
    assert held == pytest.approx(share, abs=0.02)
    # Along the thin axes a third of the long one is far outside.
    aside = points[:, 1:].mean(1) + 100 * turn[1]
    assert float(inside_region(points[:, 1:], aside, 0.9).double().mean()) < 0.05


def test_two_rays_meet_where_they_cross(generator: torch.Generator) -> None:
    """The product of Gaussians: precisions add, and means are weighed by them."""
    noise = torch.randn(2, 4000, 1, 3, generator=generator, dtype=torch.float64)
    shapes = torch.stack([LONG, LONG[[1, 0, 2]][:, [1, 0, 2]]])
    place = torch.tensor([100.0, -50.0, 1000.0], dtype=torch.float64)
    clouds = (noise - noise.mean(1, keepdim=True)) @ shapes[:, None] + place
    clouds[0, ..., 0] += 300
    met = meet(clouds)
    off = met.xyz_world[0] - place
    # The second is sure of x to 30 mm where the first is to 300: the first moves it by a hundredth of its error.
    assert_close(off, torch.tensor([300.0 / 101, 0, 0], dtype=torch.float64), atol=1.5, rtol=0)
    wide = torch.diagonal(met.covariance[0]).sqrt()
    both = 30 / torch.tensor([1.01, 1.01, 2.0], dtype=torch.float64).sqrt()
    assert_close(wide, both, rtol=0.05, atol=0)
    apart = clouds.clone()
    apart[0, ..., 2] += 300
    assert float(meet(apart).surprise.sum()) > 5 > float(met.surprise.sum())


def people() -> Tensor:
    """Two people in the room, mm."""
    generator = torch.Generator().manual_seed(2)
    xyz = 250 * torch.randn(2, 17, 3, generator=generator, dtype=torch.float64)
    return xyz + torch.tensor([[[500.0, 500.0, 1000.0]], [[-600.0, 200.0, 1000.0]]])


def seen_by_the_rig() -> tuple[Frame, Labels]:
    """Both people in the four views of Human3.6M's rig; the detectors list the second one first."""
    rig, order = human36m_rig("S1"), [1, 0]
    xy = rig.project(people())[0]
    keypoints = [
        [torch.cat([xy[view, who], torch.full((17, 1), 0.9, dtype=torch.float64)], -1) for who in order]
        for view in range(len(rig))
    ]
    detections = Detections.from_lists(COCO_17, keypoints)
    poses = Poses(COCO_17, people(), torch.ones(2, 17).double(), torch.ones(2, 17).bool(), torch.tensor([7, 8]))
    identity = torch.tensor([8, 7]).expand(len(rig), 2)
    return Frame(3, rig, detections), Labels.of_detections(identity, poses)


def truth_with_noise(spread: float, scale: float = 1.0) -> PeopleLifter:
    """Knows the two people; tells them apart by how they look."""

    def lift(view: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        world = people() - people()[:, HIPS].mean(1, keepdim=True)
        candidates = world[None] @ view.cameras.rotation[:, 0, None].mT
        turned = torch.stack([view.people.from_camera(candidates[:, who]) for who in (0, 1)], 1) / 1000
        fits = []
        for who in (0, 1):
            xy = view.cameras.project(people()[who][None].expand(len(view), -1, -1))[0][:, 0]
            fits.append((xy - view.xy_image).norm(dim=-1).mean(1))
        true = torch.where((fits[0] < fits[1])[:, None, None], turned[:, 0], turned[:, 1])
        noise = torch.randn(len(view), 300, 17, 3, generator=generator, dtype=torch.float64)
        return (scale * true[:, None] + spread * noise).float()

    return PeopleLifter(COCO_17, lift)


def test_views_that_know_the_pose_put_it_where_the_people_are(generator: torch.Generator) -> None:
    clouds = lift_capture(truth_with_noise(0.002), [seen_by_the_rig()], generator)
    assert sorted(zip(clouds.view.tolist(), clouds.person.tolist(), strict=True)) == [
        (view, who) for view in range(4) for who in (7, 8)
    ]
    found = agreement_of(clouds, HIPS)
    assert found.joints_told == 2 * 4 * 17
    assert found.view_mm < 10 and found.pose_mm < 1 and found.meeting_mm < 3
    assert found.in_room > 0.95


def test_shares_tell_those_who_are_too_sure(generator: torch.Generator) -> None:
    honest = agreement_of(lift_capture(truth_with_noise(0.03), [seen_by_the_rig()], generator), HIPS)
    sure = agreement_of(lift_capture(truth_with_noise(0.003, scale=1.2), [seen_by_the_rig()], generator), HIPS)
    assert honest.in_room > 0.95 and honest.from_hips > 0.95
    # People who are a fifth larger stand a fifth farther away.
    assert sure.in_room < 0.1 and sure.from_hips < 0.3
    assert sure.view_mm > 800 and 60 < sure.pose_mm < 120


def test_what_all_views_say_stands_for_the_truth() -> None:
    frame, labels = seen_by_the_rig()
    members = torch.tensor([[1, 1, 1, -1], [0, 0, 0, 0]])
    covariance = 100 * torch.eye(3, dtype=torch.float64).repeat(2, 17, 1, 1)
    covariance[0, 5] *= 100
    poses = replace(labels.poses, covariance=covariance)
    prediction = Prediction(3, Association(members, torch.ones(2).double()), poses, people()[:, 0])
    told = as_labels(frame, prediction)
    assert told.identity.tolist() == [[8, 7], [8, 7], [8, 7], [8, -1]]
    assert not told.poses.valid[0, 5] and int((~told.poses.valid).sum()) == 1
