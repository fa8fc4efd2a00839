"""The network that reads joints from rays: its axes, its fit, and what may not change its answer."""

from dataclasses import replace

import pytest
import torch

from dispose.association.packing import gather_groups
from dispose.association.reconstruct import NEAR_MM
from dispose.geometry.rigid import rodrigues
from dispose.geometry.uncertainty import expected_error, probability_within
from dispose.models.rays import estimate
from dispose.models.rays.body_axes import JOINT_NAMES, lay_axes, template_of
from dispose.models.rays.estimate import MOST_MM, MOST_OF_DOUBTFUL_MM, estimate_joints, triangulate_rays
from dispose.models.rays.network import MOST_M, PRIOR_M, RayNetwork, RaysConfig, settle
from dispose.models.rays.sightings import Sightings, body_rays
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association
from dispose.skeletons.catalog import CATALOG, COCO_17
from dispose.zoo.checkpoints import load_rays
from dispose_synthetic.randomness import Noise
from dispose_synthetic.sightings import SightingConfig, sample_sightings
from tests.synthetic.motions import small_motion

SMALL = RaysConfig(chans=32, ray_chans=16, rounds=2, layers=1)


def shaken(config: RaysConfig = SMALL) -> RayNetwork:
    """A network whose every weight says something."""
    torch.manual_seed(1)
    network = RayNetwork(config).eval()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return network


def people(views: int, count: int = 12, joints: tuple[str, ...] = COCO_17.joints) -> Sightings:
    config = SightingConfig(views=(views, views), view_weights=(1.0,), unseen=0.0)
    source = Noise(torch.Generator().manual_seed(views))
    return sample_sightings(source, small_motion(30), count, joints, config).sightings


def moved(sightings: Sightings, turn: torch.Tensor, shift: torch.Tensor) -> Sightings:
    """The same in a world turned and moved."""
    cameras = sightings.cameras
    rotation = cameras.rotation @ turn.T
    translation = cameras.translation - (rotation @ shift[:, None])[..., 0]
    return replace(sightings, cameras=replace(cameras, rotation=rotation, translation=translation))


@pytest.mark.parametrize("views", [1, 2, 4])
def test_the_answer_turns_and_moves_with_the_world(views):
    network, sightings = shaken(), people(views)
    turn = rodrigues(torch.tensor([0.9, -1.7, 0.6], dtype=torch.float64))
    shift = torch.tensor([5000.0, -3000.0, 700.0], dtype=torch.float64)
    here, there = estimate_joints(network, sightings), estimate_joints(network, moved(sightings, turn, shift))
    wanted = here.xyz_world @ turn.T + shift
    usable = sightings.seen.sum((1, 2)) >= 6
    assert int(usable.sum()) >= 8
    assert float((there.xyz_world - wanted)[usable].norm(dim=-1).max()) < 0.2
    rotated = turn @ here.covariance @ turn.T
    assert torch.allclose(there.covariance[usable], rotated[usable], rtol=2e-3, atol=2.0)
    assert torch.allclose(there.score[usable], here.score[usable], atol=1e-3)


def test_the_order_of_the_views_does_not_matter():
    network, sightings = shaken(), people(4)
    other = estimate_joints(network, sightings.select(views=[2, 0, 3, 1]))
    here = estimate_joints(network, sightings)
    assert float((other.xyz_world - here.xyz_world).norm(dim=-1).max()) < 1e-3


def test_a_person_does_not_depend_on_their_batch():
    network, sightings = shaken(), people(3)
    alone = estimate_joints(network, sightings[[5]])
    together = estimate_joints(network, sightings)
    assert torch.allclose(alone.xyz_world[0], together.xyz_world[5], atol=1e-2)


def test_a_view_that_sees_nobody_changes_nothing():
    network, sightings = shaken(), people(3)
    empty = replace(
        sightings,
        seen=sightings.seen & torch.tensor([True, True, False])[:, None],
        xy_image=sightings.xy_image,
    )
    fewer = sightings.select(views=[0, 1])
    one, two = estimate_joints(network, empty), estimate_joints(network, fewer)
    assert torch.allclose(one.xyz_world, two.xyz_world, atol=1e-2)


@pytest.mark.parametrize("skeleton", CATALOG, ids=lambda one: one.name)
def test_every_skeleton_of_the_catalogue_gets_an_answer(skeleton):
    joints = tuple(name for name in skeleton.joints if name in JOINT_NAMES)
    assert joints == skeleton.joints
    found = estimate_joints(shaken(), people(2, 3, joints))
    assert bool(torch.isfinite(found.xyz_world).all()) and bool((torch.linalg.eigvalsh(found.covariance) > 0).all())


def test_joints_of_unknown_names_and_nobody_at_all_are_answered():
    network, sightings = shaken(), people(3)
    odd = replace(sightings, joints=tuple(f"thing_{k}" for k in range(17)))
    assert bool(torch.isfinite(estimate_joints(network, odd).xyz_world).all())
    nobody = sightings[torch.zeros(0, dtype=torch.long)]
    assert estimate_joints(network, nobody).xyz_world.shape == (0, 17, 3)
    unseen = replace(sightings, seen=torch.zeros_like(sightings.seen))
    assert bool(torch.isfinite(estimate_joints(network, unseen).xyz_world).all())


def test_axes_follow_the_mean_body_wherever_it_is_laid():
    template = template_of(COCO_17.joints)
    turn = rodrigues(torch.tensor([0.4, -0.2, 2.1], dtype=torch.float64))
    shift = torch.tensor([100.0, -2000.0, 900.0], dtype=torch.float64)
    xyz = (template.points @ turn.T + shift)[None]
    # One wild joint must not turn the body.
    xyz[0, COCO_17.index("l_shoulder")] += torch.tensor([0.0, 0.0, 3000.0])
    known = torch.ones(1, 17, dtype=torch.bool)
    up = (turn @ torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))[None, None]
    origin, axes = lay_axes(xyz, known, template, up, torch.ones(1, 1, dtype=torch.bool))
    assert torch.allclose(axes[0], turn.T, atol=0.02) and float((origin[0] - shift).norm()) < 10
    assert float(torch.linalg.det(axes[0])) == pytest.approx(1.0)


def test_before_training_joints_lie_where_their_rays_meet():
    config = SightingConfig(views=(3, 3), view_weights=(1.0,), noise_px=(0.1, 0.1), noise_mm=(0.1, 0.1), outliers=0.0,
                            bias_mm=0.0, swapped=0.0, stranger=0.0)  # fmt: skip
    drawn = sample_sightings(Noise(torch.Generator().manual_seed(0)), None, 20, COCO_17.joints, config)
    rays = body_rays(drawn.sightings)
    last = RayNetwork(SMALL)(rays)[0][-1]
    error = (last.xyz - rays.to_body(drawn.xyz_world)).norm(dim=-1)[rays.robust]
    assert float(error.median().detach()) < 0.03


def by_hand(direction: torch.Tensor, foot: torch.Tensor, trust: torch.Tensor, expected: torch.Tensor):
    """The fit of one joint, with 1 m of person in every view: a trust of 0 is a precision of 1 / (2 cm)^2."""
    rays = body_rays(people(len(trust), 1))
    views = len(trust)
    flat = replace(
        rays.select(joints=[0]),
        direction=direction[None, :, None],
        seen=torch.ones(1, views, 1, dtype=torch.bool),
        size_px=torch.ones(1, views),
        metres_per_px=torch.ones(1, views),
    )
    return settle(torch.zeros(1, 1, 3), foot[None, :, None], flat, trust[None, :, None], expected[None, None])


def test_the_fit_weighs_rays_and_expectation_by_their_precisions():
    along_x, along_y = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    direction, foot = torch.stack([along_x, along_y]), torch.tensor([[0.0, 0.0, 0.1], [0.0, 0.0, -0.2]])
    trust = torch.tensor([0.0, 0.5])
    expected = torch.tensor([0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    found = by_hand(direction, foot, trust, expected)
    ray = torch.tensor([1.0, float(torch.e)]) / 0.02**2
    own = 1 / PRIOR_M**2
    # x is seen by the second ray, y by the first, z by both; the body expects 0.3 · 0.5 m along x.
    x = 0.3 * 0.5 * own / (ray[1] + own)
    z = (0.1 * ray[0] - 0.2 * ray[1]) / (ray.sum() + own)
    assert found.xyz[0, 0].tolist() == pytest.approx([float(x), 0.0, float(z)], rel=1e-4, abs=1e-7)
    variance = torch.diagonal(found.covariance[0, 0])
    wanted = [1 / (ray[1] + own), 1 / (ray[0] + own), 1 / (ray.sum() + own)]
    assert variance.tolist() == pytest.approx([float(value) for value in wanted], rel=1e-4)


def test_one_ray_leaves_its_own_direction_to_the_body():
    found = by_hand(torch.tensor([[1.0, 0.0, 0.0]]), torch.zeros(1, 3), torch.zeros(1), torch.zeros(6))
    sigma = torch.diagonal(found.covariance[0, 0]).sqrt()
    assert sigma[0] == pytest.approx(PRIOR_M, rel=1e-3) and sigma[1] == pytest.approx(0.02, rel=0.02)
    assert not bool(replace(found, covariance=found.covariance * (2 * MOST_M / PRIOR_M) ** 2).said.any())


def test_the_surest_ray_beside_the_vaguest_body_still_has_a_covariance():
    direction = torch.nn.functional.normalize(torch.tensor([[0.6, -0.3, 0.7], [0.61, -0.3, 0.7]]), dim=-1)
    expected = torch.tensor([0.0, 0.0, 0.0, -9.0, -9.0, -9.0])
    found = by_hand(direction[:1], torch.zeros(1, 3), torch.tensor([9.0]), expected)
    sigma = torch.linalg.eigvalsh(found.covariance[0, 0]).sqrt()
    # Along the ray the body's own e^4 times 15 cm, across it 2 cm by e^3, and nothing lost between them.
    assert float(sigma[2]) == pytest.approx(PRIOR_M * torch.e**4, rel=1e-3)
    assert float(sigma[0]) == pytest.approx(0.02 / torch.e**3, rel=1e-3)
    both = by_hand(direction, torch.zeros(2, 3), torch.tensor([9.0, 9.0]), expected)
    assert bool(torch.isfinite(torch.linalg.cholesky(both.covariance)).all())


def groups_of(count: int, joints: int = 17):
    """People who stand alone before three cameras as groups, and what is drawn of them."""
    sightings = people(3, count)
    frames, associations = [], []
    for row in range(count):
        one = sightings[[row]]
        keypoints = torch.cat([one.xy_image, one.confidence[..., None]], -1)
        keypoints[:, :, joints:] = 0
        detections = Detections.from_lists(COCO_17, [[view] for view in keypoints[0]])
        frames.append(Frame(row, replace(one.cameras[0], names=("a", "b", "c")), detections))
        associations.append(Association(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, dtype=torch.float64)))
    return gather_groups(frames, associations), sightings


def test_groups_become_people_with_covariances_and_scores():
    network = load_rays()
    groups, sightings = groups_of(30)
    poses, found = triangulate_rays(network, groups), estimate_joints(network, sightings)
    assert poses.covariance is not None and poses.score is not None
    error, shown = found.error_mm, sightings.seen.any(1)
    doubtful = ((error <= MOST_MM) & shown).sum(1) < shown.sum(1) / 2
    said = error <= torch.where(doubtful, MOST_OF_DOUBTFUL_MM, MOST_MM)[:, None]
    assert 0 < int(doubtful.sum()) < len(doubtful)
    assert bool((said | ~poses.valid).all()) and float((said & ~poses.valid).double().mean()) < 0.02
    said = poses.valid
    assert 0 < int(said.sum()) < said.numel()
    assert torch.allclose(poses.xyz_world[said], found.xyz_world[said], atol=0.1)
    assert torch.allclose(poses.covariance[said], found.covariance[said], rtol=1e-3, atol=1.0)
    assert bool((poses.xyz_world[~said] == 0).all()) and bool((poses.confidence[~said] == 0).all())
    assert torch.allclose(poses.confidence[said], probability_within(found.covariance, NEAR_MM)[said], atol=1e-3)
    known = said.any(1)
    assert torch.allclose(poses.score[known], found.score[known], atol=1e-3) and bool((poses.score[~known] == 0).all())


def test_people_in_parts_are_the_same_people(monkeypatch):
    network, (groups, _) = load_rays(), groups_of(10)
    whole = triangulate_rays(network, groups)
    monkeypatch.setattr(estimate, "PEOPLE_AT_ONCE", 3)
    assert torch.allclose(triangulate_rays(network, groups).xyz_world, whole.xyz_world, atol=1e-2)
    nobody = triangulate_rays(network, groups.select(persons=[]))
    assert nobody.xyz_world.shape == (0, 17, 3)


def test_of_a_nose_alone_no_body_is_made():
    poses = triangulate_rays(load_rays(), groups_of(20, joints=1)[0])
    assert not bool(poses.valid[:, 1:].any())


def test_people_are_judged_by_what_is_claimed_of_the_joints_that_are_said():
    network, sightings = shaken(), people(3)
    rays = body_rays(sightings)
    plain = network(rays)[1]
    with torch.no_grad():
        network.spread.bias.sub_(torch.log(torch.tensor(2.0)))
        network.claim.fill_(2.0)
    assert torch.allclose(network(rays)[1], plain, atol=1e-4)
    joints = torch.randn(2, 17, SMALL.chans, generator=torch.Generator().manual_seed(0))
    covariance = 1e-3 * torch.eye(3, dtype=torch.float64).expand(2, 17, 3, 3).clone()
    covariance[:, 4] *= 100
    other = joints.clone()
    other[:, 4] += 1.0
    assert torch.equal(network.doubt(other, covariance), network.doubt(joints, covariance))
    other[:, 5] += 1.0
    assert not torch.allclose(network.doubt(other, covariance), network.doubt(joints, covariance))


def lay(xyz: torch.Tensor, known: torch.Tensor, up: torch.Tensor | None = None) -> torch.Tensor:
    """The axes of one person of COCO's joints; the sky is along +Z unless it is said."""
    sky = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) if up is None else up
    return lay_axes(
        xyz[None], known[None], template_of(COCO_17.joints), sky[None, None], torch.ones(1, 1, dtype=torch.bool)
    )[1][0]


def test_a_joint_out_of_place_hardly_turns_the_body():
    xyz, known = template_of(COCO_17.joints).points.clone(), torch.ones(17, dtype=torch.bool)
    xyz[COCO_17.index("l_hip")] += torch.tensor([450.0, 0.0, 0.0])
    assert float((lay(xyz, known) - torch.eye(3)).abs().max()) < 0.05


def test_where_joints_leave_the_turn_open_the_cameras_say_what_is_up():
    known = torch.zeros(17, dtype=torch.bool)
    known[COCO_17.indices(("l_shoulder", "r_shoulder"))] = True
    points = template_of(COCO_17.joints).points
    for vector in ([0.0, 0.0, 1.0], [0.0, 1.5, 0.0], [0.8, -1.0, 2.0]):
        turn = rodrigues(torch.tensor(vector, dtype=torch.float64))
        axes = lay(points @ turn.T, known, turn[:, 2])
        assert torch.allclose(axes[2], turn[:, 2], atol=0.02) and torch.allclose(axes[1], turn[:, 1], atol=0.02)


def test_rays_say_who_agrees_and_how_sure_the_detector_was():
    sightings = people(3, 20)
    wrist = COCO_17.index("l_wrist")
    all_three = sightings.seen[:, :, wrist].all(1)
    xy = sightings.xy_image.clone()
    xy[:, 0, wrist] += 400.0
    rays = body_rays(replace(sightings, xy_image=xy))
    agreed = rays.robust[:, wrist] & all_three
    assert int(agreed.sum()) > 5
    assert (
        float(rays.inlier[agreed, 0, wrist].double().mean())
        < 0.2
        < float(rays.inlier[agreed, 1, wrist].double().mean())
    )
    assert torch.allclose(rays.confidence, sightings.confidence.float())
    # Two rays that pass each other by are no triangulated joint.
    pair = body_rays(replace(sightings.select(views=[0, 1]), xy_image=xy[:, :2]))
    assert float(pair.robust[all_three, wrist].double().mean()) < 0.5


def test_what_is_claimed_is_the_distribution_times_the_claim():
    network, sightings = shaken(), people(3)
    before = estimate_joints(network, sightings).covariance
    network.claim.fill_(2.0)
    assert torch.allclose(estimate_joints(network, sightings).covariance, 4 * before)


def test_claims_follow_the_number_of_cameras_and_what_is_said_does_not():
    network, sightings = shaken(), people(3)
    seen = sightings.seen.clone()
    seen[0, 1:] = False
    sightings = replace(sightings, seen=seen)
    cameras = seen.any(2).sum(1)
    assert int(cameras[0]) == 1 and len(set(cameras.tolist())) > 1
    before = estimate_joints(network, sightings)
    with torch.no_grad():
        network.by_views.copy_(1.0 + torch.arange(8))
    after = estimate_joints(network, sightings)
    assert torch.allclose(after.covariance, before.covariance * cameras[:, None, None, None].double() ** 2)
    assert torch.equal(after.error_mm, before.error_mm) and torch.equal(after.score, before.score)
    assert torch.allclose(after.error_mm, expected_error(before.covariance))
    # Those whom nobody sees have no number of cameras; more than eight count as eight.
    many = torch.ones(2, 9, 1, dtype=torch.bool)
    many[0] = False
    assert estimate.seeing(many).tolist() == [0, 7]


def test_what_is_said_is_decided_by_the_error_of_all_people_alike(monkeypatch):
    groups, _ = groups_of(30)
    network = load_rays()
    plain = triangulate_rays(network, groups)
    with torch.no_grad():
        network.by_views.mul_(3.0)
    wide = triangulate_rays(network, groups)
    assert torch.equal(plain.valid, wide.valid) and bool(plain.valid.any())
    assert bool((wide.confidence[wide.valid] < plain.confidence[plain.valid]).all())


def certain(xyz_world: torch.Tensor, sigma_mm: float = 5.0) -> estimate.JointEstimates:
    """Joints of which the network says that it knows them exactly."""
    persons, joints, _ = xyz_world.shape
    covariance = sigma_mm**2 * torch.eye(3, dtype=torch.float64).expand(persons, joints, 3, 3)
    score, weight = torch.ones(persons).double(), torch.ones(persons, 3, joints)
    return estimate.JointEstimates(xyz_world, covariance, score, weight, expected_error(covariance))


def test_two_keypoints_make_a_joint_but_no_body():
    nose = torch.zeros(17, 3)
    nose[0] = torch.tensor([300.0, 200.0, 1.0])
    eye = torch.zeros(17, 3)
    eye[1] = torch.tensor([300.0, 200.0, 1.0])
    sightings = people(3, 2)
    frames = []
    for row, second in enumerate((nose, eye)):
        detections = Detections.from_lists(COCO_17, [[nose], [second], [torch.zeros(17, 3)]])
        frames.append(Frame(row, replace(sightings.cameras[row], names=("a", "b", "c")), detections))
    one = Association(torch.zeros(1, 3, dtype=torch.long), torch.ones(1, dtype=torch.float64))
    groups = gather_groups(frames, [one, one])
    known = estimate.is_known(certain(torch.zeros(2, 17, 3, dtype=torch.float64)), groups)
    assert known[0].tolist() == [True] + [False] * 16 and not bool(known[1].any())


def test_joints_that_no_body_could_have_are_not_said(monkeypatch):
    groups, _ = groups_of(3)
    points = template_of(COCO_17.joints).points.expand(3, 17, 3).clone()
    wrist = COCO_17.index("l_wrist")
    points[:, wrist] += 2000.0
    monkeypatch.setattr(estimate, "estimate_joints", lambda network, of: certain(points)[: len(of.seen)])
    poses = triangulate_rays(load_rays(), groups)
    assert not bool(poses.valid[:, wrist].any()) and int(poses.valid.sum()) == 3 * 16
