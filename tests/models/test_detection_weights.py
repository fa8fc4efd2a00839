"""Laws of the weights of 2-D detections: what they may depend on, what weights do, what covariances say."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dispose.association.packing import GroupKeypoints, gather_groups
from dispose.association.reconstruct import dlt, ransac
from dispose.geometry.rigid import cross_matrix
from dispose.geometry.uncertainty import point_covariance, projection_jacobian
from dispose.models.triangulation.detections import (
    WIDEST_MM,
    DetectionWeights,
    DetectionWeightsConfig,
    algebraic,
    hybrid,
    information_of,
    poses_of,
    weighted_joints,
)
from dispose.models.triangulation.statistics import (
    NAMES,
    STATISTICS,
    UNNAMED,
    KeypointStatistics,
    keypoint_statistics,
    names_of,
)
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association
from dispose.skeletons.catalog import BODY_25, COCO_17, PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose_synthetic.rigs import STUDIO, sample_rigs

BODY = torch.tensor([
    (0, 90, 1650), (-30, 110, 1680), (30, 110, 1680), (-70, 60, 1660), (70, 60, 1660), (-180, 0, 1450), (180, 0, 1450),
    (-260, 20, 1170), (260, 20, 1170), (-290, 150, 950), (290, 150, 950), (-110, 0, 950), (110, 0, 950),
    (-120, 40, 500), (120, 40, 500), (-120, 0, 90), (120, 0, 90),
], dtype=torch.float64)  # fmt: skip
VIEWS = 4


def rig_of(views: int = VIEWS) -> Cameras:
    return sample_rigs(torch.Generator().manual_seed(8), 1, views, [replace(STUDIO, views=(views, views))])[0]


def keypoints_of(cameras: Cameras, noise_px: float, seed: int, xyz: Tensor = BODY) -> Tensor:
    """Every joint in every view, with noise and the score 0.9."""
    xy, _ = cameras.project(xyz)
    noise = torch.randn(xy.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([xy + noise_px * noise, torch.full_like(xy[..., :1], 0.9)], dim=-1)


def groups_of(cameras: Cameras, people: list[Tensor], skeleton: Skeleton = COCO_17) -> GroupKeypoints:
    """Groups of people whose keypoints are given view by view."""
    found = Detections.from_lists(skeleton, [[person[view] for person in people] for view in range(len(cameras))])
    members = torch.arange(len(people))[:, None].expand(len(people), len(cameras))
    return gather_groups([Frame(0, cameras, found)], [Association(members, torch.ones(len(people)).double())])


def network_of(seed: int = 0) -> DetectionWeights:
    """A network whose weights are random, and large enough to matter."""
    torch.manual_seed(seed)
    network = DetectionWeights(DetectionWeightsConfig(chans=16, name_chans=4, rounds=2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0)
        # Joints that are claimed to be known.
        for parameter in network.joint[-1].parameters():
            parameter.zero_()
    return network.eval()


def joints_of(network: DetectionWeights, groups: GroupKeypoints) -> Tensor:
    """Joints as the network says them, known or not."""
    with torch.no_grad():
        return network(keypoint_statistics(groups))[-1].xyz_world


def column(statistics: KeypointStatistics, name: str) -> Tensor:
    place = min(row for row, title in enumerate(STATISTICS) if title.startswith(name))
    return statistics.values[..., place]


def turned(cameras: Cameras) -> tuple[Cameras, Callable[[Tensor], Tensor]]:
    """The rig in another world, and what brings places there."""
    turn = torch.linalg.matrix_exp(cross_matrix(torch.tensor([0.3, -0.7, 1.9], dtype=torch.float64)))
    shift = torch.tensor([4000.0, -900.0, 333.0], dtype=torch.float64)
    rotation = cameras.rotation @ turn.T
    translation = cameras.translation - (rotation @ shift[:, None])[..., 0]
    return replace(cameras, rotation=rotation, translation=translation), lambda xyz: xyz @ turn.T + shift


def test_the_order_of_views_does_not_matter():
    cameras, order = rig_of(), [2, 0, 3, 1]
    keypoints = keypoints_of(cameras, 6.0, 1)
    keypoints[1, 9, :2] += 60.0
    network = network_of()
    for way in (algebraic(network), hybrid(network)):
        here = way(groups_of(cameras, [keypoints]))
        there = way(groups_of(cameras.select(views=order), [keypoints[order]]))
        assert here.valid.sum() > 5 and torch.equal(here.valid, there.valid)
        torch.testing.assert_close(there.xyz_world, here.xyz_world, atol=1e-3, rtol=0)
        torch.testing.assert_close(there.covariance, here.covariance, atol=0.1, rtol=1e-4)
        torch.testing.assert_close(there.score, here.score, atol=1e-5, rtol=0)


def test_the_world_may_lie_anywhere_and_pictures_have_any_size():
    cameras, keypoints = rig_of(), keypoints_of(rig_of(), 8.0, 2)
    plain = keypoint_statistics(groups_of(cameras, [keypoints]))
    moved, move = turned(cameras)
    elsewhere = keypoint_statistics(groups_of(moved, [keypoints]))
    torch.testing.assert_close(elsewhere.values, plain.values, atol=1e-4, rtol=0)
    torch.testing.assert_close(elsewhere.start, move(plain.start), atol=1e-4, rtol=0)
    # Pixel centres are at integers: twice the picture moves them by half a pixel.
    twice = cameras.matrix.clone()
    twice[:, :2] *= 2
    twice[:, :2, 2] += 0.5
    large = replace(cameras, size=2 * cameras.size, matrix=twice)
    double = torch.cat([2 * keypoints[..., :2] + 0.5, keypoints[..., 2:]], dim=-1)
    enlarged = keypoint_statistics(groups_of(large, [double]))
    torch.testing.assert_close(enlarged.values, plain.values, atol=1e-4, rtol=0)
    network = network_of()
    here, there = (joints_of(network, groups_of(rig, [keypoints])) for rig in (cameras, moved))
    torch.testing.assert_close(there, move(here), atol=1e-2, rtol=0)


def test_a_person_is_told_without_the_others_and_joints_go_by_their_names():
    cameras = rig_of()
    one, other = keypoints_of(cameras, 5.0, 3), keypoints_of(cameras, 9.0, 4, BODY + 500)
    network = network_of()
    both, alone = (joints_of(network, groups_of(cameras, people)) for people in ([one, other], [one]))
    torch.testing.assert_close(both[:1], alone, atol=1e-3, rtol=0)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1))
    mixed = replace(COCO_17, name="mixed", joints=tuple(COCO_17.joints[row] for row in order))
    shuffled = joints_of(network, groups_of(cameras, [one[:, order]], mixed))
    torch.testing.assert_close(shuffled, alone[:, order], atol=1e-3, rtol=0)
    renamed = replace(mixed, joints=mixed.joints[::-1], bones=(), root_of=())
    assert (joints_of(network, groups_of(cameras, [one[:, order]], renamed)) - shuffled).abs().max() > 0.1


def test_names_of_other_skeletons():
    assert names_of(COCO_17).tolist() == [NAMES.index(joint) for joint in COCO_17.joints]
    assert names_of(BODY_25)[-6:].tolist() == [UNNAMED] * 6 and len(NAMES) == UNNAMED
    assert UNNAMED not in names_of(PANOPTIC_15)


def test_what_the_statistics_say():
    cameras = rig_of()
    keypoints = keypoints_of(cameras, 1.0, 5)
    wrist, knees = COCO_17.index("l_wrist"), COCO_17.indices(("l_knee", "r_knee"))
    keypoints[2, wrist, :2] += torch.tensor([70.0, 40.0])
    # The last view exchanges the knees; another one does not report the nose and doubts an ear.
    keypoints[3, knees, :2] = keypoints[3, knees[::-1], :2].clone()
    keypoints[0, 0, 2], keypoints[0, 3, 2] = 0.0, 0.3
    statistics = keypoint_statistics(groups_of(cameras, [keypoints]))
    assert statistics.values.shape == (1, VIEWS, 17, len(STATISTICS)) and (statistics.values[0, 0, 0] == 0).all()
    assert column(statistics, "score")[0, 0, 3] == pytest.approx(0.3) and not statistics.seen[0, 0, 0]
    assert column(statistics, "mean score")[0, 0, 5] == pytest.approx((15 * 0.9 + 0.3) / 16)
    assert column(statistics, "score of the joint")[0, 0, 3] == pytest.approx(0.9)
    assert column(statistics, "views that see")[0, 1, 0] == pytest.approx(3 / 5)
    assert column(statistics, "only two")[0].sum() == 0
    assert column(statistics, "joints that the view sees")[0, 0, 5] == pytest.approx(16 / 17)
    for name in ("residual of the robust", "residual when", "difference of residual"):
        assert int(column(statistics, name)[0, :, wrist].argmax()) == 2
    # Without the view that lies the others agree; without another they do not.
    others = column(statistics, "residuals of the others")[0, :, wrist]
    assert int(others.argmin()) == 2
    crossed = column(statistics, "distance from the mirror")[0, :, knees[0]]
    assert int(crossed.argmin()) == 3 and crossed[3] < crossed[:3].min() - 1.0
    # Nobody has a mirror on the midline: the nose is its own, at its own residual.
    own = column(statistics, "residual of the robust")[0, 1:, 0]
    torch.testing.assert_close(column(statistics, "distance from the mirror")[0, 1:, 0], own)
    thigh = (BODY[knees[0]] - BODY[COCO_17.index("l_hip")]).norm() / 1000
    assert column(statistics, "longest bone")[0, 1, knees[0]] == pytest.approx(float(thigh), abs=0.05)


def test_border_and_size_are_in_pictures_and_people():
    cameras, keypoints = rig_of(), keypoints_of(rig_of(), 0.0, 6)
    statistics = keypoint_statistics(groups_of(cameras, [keypoints]))
    xy, size = keypoints[1, :, :2], cameras.size[1]
    extent = (xy.amax(0) - xy.amin(0)).norm()
    border = torch.minimum(xy + 0.5, size - 0.5 - xy).amin(-1) / extent
    torch.testing.assert_close(column(statistics, "distance from the image")[0, 1].double(), border.clamp(-1, 1))
    torch.testing.assert_close(
        column(statistics, "size of the person")[0, 1].double(), ((extent / size.max()).log() / 2).expand(17)
    )


def test_two_views_are_said_to_be_two_and_their_angle():
    cameras = rig_of(2)
    statistics = keypoint_statistics(groups_of(cameras, [keypoints_of(cameras, 0.0, 7)]))
    assert column(statistics, "only two").min() == 1
    rays = cameras.centres[:, None] - BODY
    cosine = (rays[0] * rays[1]).sum(-1) / rays.norm(dim=-1).prod(0)
    torch.testing.assert_close(column(statistics, "angle")[0, 0].double(), 1 - cosine, atol=1e-5, rtol=0)


def exact(cameras: Cameras) -> KeypointStatistics:
    return keypoint_statistics(groups_of(cameras, [keypoints_of(cameras, 0.0, 0)]))


def test_exact_rays_give_the_joints_whatever_they_weigh():
    statistics = exact(rig_of())
    log_sigma = torch.randn(1, VIEWS, 17, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(weighted_joints(statistics, log_sigma, statistics.start)[0], BODY, atol=1e-4, rtol=0)


def test_a_view_of_no_weight_is_none_and_a_heavy_one_pulls():
    cameras = rig_of()
    keypoints = keypoints_of(cameras, 4.0, 8)
    whole = keypoint_statistics(groups_of(cameras, [keypoints]))
    rest = keypoint_statistics(groups_of(cameras.select(views=[0, 1, 3]), [keypoints[[0, 1, 3]]]))
    level = torch.zeros(1, VIEWS, 17, dtype=torch.float64)
    silent, pulling = level.clone(), level.clone()
    silent[:, 2], pulling[:, 2] = torch.inf, -3.0
    without = weighted_joints(
        rest, level[:, :3] - (rest.bound_px / whole.bound_px[:, [0, 1, 3]]).log()[..., None], whole.start
    )
    torch.testing.assert_close(weighted_joints(whole, silent, whole.start), without, atol=1e-6, rtol=0)
    near = whole.residual(weighted_joints(whole, pulling, whole.start))[0][:, 2].norm(dim=-1)
    even = whole.residual(weighted_joints(whole, level, whole.start))[0][:, 2].norm(dim=-1)
    assert float(near.mean()) < 0.3 * float(even.mean())


def test_weighted_joints_are_the_most_probable_ones():
    cameras = rig_of()
    cameras = replace(cameras, matrix=cameras.matrix * torch.tensor([1.0, 2.0, 0.7, 1.3])[:, None, None])
    cameras = replace(cameras, matrix=torch.cat([cameras.matrix[:, :2], rig_of().matrix[:, 2:]], dim=1))
    # One camera looks from twice as far.
    cameras = replace(cameras, translation=cameras.translation + torch.tensor([[0, 0, 5000.0]] + 3 * [[0, 0, 0]]))
    statistics = keypoint_statistics(groups_of(cameras, [keypoints_of(cameras, 6.0, 14)]))
    statistics = replace(statistics, bound_px=torch.tensor([[20.0, 60.0, 35.0, 8.0]], dtype=torch.float64))
    log_sigma = torch.randn(1, VIEWS, 17, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    xyz = weighted_joints(statistics, log_sigma, statistics.start).requires_grad_(True)
    miss, _ = statistics.residual(xyz)
    cost = (miss.square().sum(-1) * (-2 * log_sigma).exp()).sum()
    (gradient,) = torch.autograd.grad(cost / 2, xyz)
    step = torch.linalg.solve(information_of(statistics, log_sigma, xyz.detach()), gradient[..., None])[..., 0]
    error = (xyz.detach()[0] - BODY).norm(dim=-1)
    assert float(step.norm(dim=-1).mean()) < 0.05 * float(error.mean())


def test_information_is_that_of_the_projections():
    cameras = replace(rig_of(), distortion=torch.zeros(VIEWS, 8, dtype=torch.float64))
    cameras = replace(cameras, matrix=cameras.matrix * torch.tensor([1, 0, 1.0])[:, None] + torch.diag_embed(
        torch.stack([torch.zeros(VIEWS), cameras.matrix[:, 0, 0], torch.zeros(VIEWS)], -1).double()
    ))  # fmt: skip
    statistics = exact(cameras)
    log_sigma = torch.randn(1, VIEWS, 17, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    jacobian = projection_jacobian(BODY, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    sigma_px = (log_sigma.exp() * statistics.bound_px[..., None])[0].T
    bound = point_covariance(jacobian, sigma_px)
    torch.testing.assert_close(torch.linalg.inv(information_of(statistics, log_sigma, BODY[None])[0]), bound)


def test_covariances_come_from_the_weights_and_stretch():
    cameras = rig_of()
    statistics = keypoint_statistics(groups_of(cameras, [keypoints_of(cameras, 3.0, 9)]))
    network = network_of()
    with torch.no_grad():
        once = network(statistics)[-1]
        network.stretch.fill_(1.5)
        stretched = network(statistics)[-1]
    torch.testing.assert_close(stretched.covariance, 2.25 * once.covariance)
    assert torch.equal(stretched.xyz_world, once.xyz_world)
    assert (torch.linalg.eigvalsh(once.covariance) > 0).all()


def test_only_the_last_round_listens_to_who_is_trusted():
    cameras = rig_of()
    keypoints = keypoints_of(cameras, 3.0, 10)
    keypoints[1, 10, :2] += 90.0
    statistics = keypoint_statistics(groups_of(cameras, [keypoints]))
    network, trusted = network_of(), torch.ones_like(statistics.seen)
    trusted[:, 1] = False
    with torch.no_grad():
        free, bound = network(statistics), network(statistics, trusted)
    assert torch.equal(free[0].xyz_world, bound[0].xyz_world)
    assert (bound[-1].log_sigma[:, 1] == torch.inf).all() and torch.isfinite(bound[-1].log_sigma[:, 0]).all()
    assert not torch.equal(free[-1].xyz_world, bound[-1].xyz_world)


def test_hybrid_leaves_out_whom_ransac_leaves_out():
    cameras = rig_of()
    keypoints = keypoints_of(cameras, 1.0, 11)
    keypoints[1, 10, :2] += 300.0
    network = network_of()
    with torch.no_grad():
        for parameter in network.sigma[-1].parameters():
            parameter.zero_()
    groups = groups_of(cameras, [keypoints])
    # All weights alike: with the lying view the wrist is far off, without it where it belongs.
    error = (hybrid(network)(groups).xyz_world[0] - BODY).norm(dim=-1)
    assert float(error.max()) < 25 and float((algebraic(network)(groups).xyz_world[0] - BODY).norm(dim=-1)[10]) > 60


def test_what_is_not_known_is_not_said():
    cameras = rig_of()
    keypoints = keypoints_of(cameras, 2.0, 12)
    keypoints[:3, 4, 2] = 0.0
    groups = groups_of(cameras, [keypoints])
    statistics, network = keypoint_statistics(groups), network_of()
    with torch.no_grad():
        found = network(statistics)[-1]
    eye = torch.eye(3, dtype=torch.float64)
    covariance = (20.0**2 * eye).expand(1, 17, 3, 3).clone()
    covariance[:, 7] = (WIDEST_MM + 1) ** 2 * eye
    covariance[:, 8] = (WIDEST_MM - 1) ** 2 * eye
    poses = poses_of(groups, statistics, replace(found, covariance=covariance))
    assert poses.covariance is not None and poses.score is not None
    assert (~poses.valid).nonzero().tolist() == [[0, 4], [0, 7]]
    assert (poses.xyz_world[0, [4, 7]] == 0).all() and (poses.covariance[0, [4, 7]] == 0).all()
    assert poses.confidence[0, 4] == 0 and poses.confidence[0, 8] < 0.02 < 0.8 < poses.confidence[0, 5]
    assert 0 < poses.score[0] < 1
    beyond = replace(found, covariance=covariance, xyz_world=found.xyz_world.clone())
    beyond.xyz_world[0, 9] += 2000.0
    assert not poses_of(groups, statistics, beyond).valid[0, 9]
    nothing = poses_of(groups, statistics, replace(found, covariance=torch.full_like(covariance, torch.nan)))
    assert not nothing.valid.any() and nothing.score is not None and nothing.score.tolist() == [0.0]


def test_nobody_is_answered_by_nothing():
    cameras = rig_of()
    for way in (algebraic(network_of()), hybrid(network_of())):
        poses = way(groups_of(cameras, []))
        assert poses.xyz_world.shape == (0, 17, 3) and poses.score is not None and len(poses.score) == 0


def test_gradients_are_finite_where_cameras_coincide_and_points_lie_anywhere():
    cameras = rig_of()
    same = cameras.select(views=[0, 0, 1, 1])
    keypoints = keypoints_of(cameras, 3.0, 13)[[0, 0, 1, 1]]
    keypoints[2, :4, :2] = 5000.0
    keypoints[:2, 5, 2] = 0.0
    statistics = keypoint_statistics(groups_of(same, [keypoints]))
    network = network_of().train().requires_grad_(True)
    found = network(statistics)[-1]
    size = torch.diagonal(found.covariance, dim1=-2, dim2=-1).log()
    loss = found.xyz_world.square().mean() + size.square().mean()
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert math.isfinite(loss.item())


@pytest.fixture(scope="module")
def lying_views() -> tuple[GroupKeypoints, Tensor]:
    """Two hundred people before four cameras; in one view of some joints a keypoint lies elsewhere."""
    generator = torch.Generator().manual_seed(77)
    cameras, people, truth = rig_of(), [], []
    for number in range(200):
        xyz = BODY * (0.9 + 0.2 * torch.rand((), generator=generator)) + 300 * torch.randn(1, 3, generator=generator)
        keypoints = keypoints_of(cameras, 3.0, 1000 + number, xyz)
        wrong = torch.rand(17, generator=generator) < 0.3
        view = torch.randint(VIEWS, (17,), generator=generator)
        shift = 60 * torch.randn(17, 2, generator=generator, dtype=torch.float64)
        keypoints[view[wrong], wrong.nonzero()[:, 0], :2] += shift[wrong]
        people.append(keypoints)
        truth.append(xyz)
    return groups_of(cameras, people), torch.stack(truth)


def test_shipped_weights_find_the_lying_view(lying_views: tuple[GroupKeypoints, Tensor], root):
    from dispose.zoo.triangulators import load_triangulator

    groups, truth = lying_views
    assert (root / "dispose" / "zoo" / "weights" / "algebraic_detections.safetensors").stat().st_size < 1e6

    def error(way: Callable[[GroupKeypoints], object]) -> float:
        poses = way(groups)
        return float((poses.xyz_world - truth).norm(dim=-1)[poses.valid].mean())  # type: ignore[attr-defined]

    learned, joined = (load_triangulator(name) for name in ("algebraic", "hybrid"))
    assert error(learned) < 0.5 * error(dlt) and error(learned) < 0.9 * error(ransac)
    assert error(joined) < 1.05 * error(learned)
    poses = learned(groups)
    assert poses.covariance is not None and poses.score is not None and poses.valid.all()
    deviation = torch.diagonal(poses.covariance, dim1=-2, dim2=-1).sqrt()
    ratio = (poses.xyz_world - truth).abs() / deviation
    assert 0.35 < float((ratio < 0.6745).double().mean()) < 0.65 and float((ratio < 1.645).double().mean()) > 0.8
    assert float(poses.score.mean()) > 0.9
