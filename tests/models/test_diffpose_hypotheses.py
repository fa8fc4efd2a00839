"""Many poses of one person: what the condition hears, how poses are drawn, and that runs repeat bit for bit."""

import itertools
from dataclasses import replace

import pytest
import torch

from dispose.diffusion.samplers import ddim_step
from dispose.errors import InputError
from dispose.metrics.lifting import symmetry_error
from dispose.models.diffpose_hypotheses.network import (
    LEAST_SPREAD,
    SPREADS,
    Guessed,
    HypothesesConfig,
    HypothesesNetwork,
    along_rays,
)
from dispose.models.diffpose_hypotheses.sampling import (
    FULL,
    MEAN,
    QUICK,
    Chain,
    draw_poses,
    lifter,
    only,
    see_heatmaps,
    see_keypoints,
    told_sigma,
)
from dispose.models.lifting.residual import ResidualConfig, ResidualLifter
from dispose.models.lifting.sides import even_sides
from dispose.models.lifting.view import ViewPeople
from dispose.nn.beliefs import Samples
from dispose.skeletons.catalog import COCO_17

TINY = HypothesesConfig(
    samples=5, channels=8, reach=2.0, layers=1, feed_forward=16, dropout=0.0, condition=24, width=24, blocks=1, steps=6
)
GUESSING = replace(TINY, guess=1, leans=3, sight=True, answer="velocity", layers=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_of(config: HypothesesConfig) -> HypothesesNetwork:
    torch.manual_seed(5)
    return HypothesesNetwork(config).eval()


def people_of(count: int = 3, joints: tuple[str, ...] = COCO_17.joints) -> ViewPeople:
    draw = generator(3)
    seen = torch.rand(count, len(joints), generator=draw) < 0.8
    uv = torch.where(seen[..., None], torch.randn(count, len(joints), 2, generator=draw), 0.0)
    sigma, confidence = torch.where(seen, 0.05, 0.0), torch.where(seen, 0.9, 0.0)
    up, turn = torch.tensor([0.0, -1.0, 0.0]).expand(count, 3), torch.eye(3).double().expand(count, 3, 3)
    return ViewPeople(joints, uv, sigma, confidence, seen, torch.full((count,), 0.1), up, turn)


@pytest.mark.parametrize("config", [TINY, GUESSING])
def test_hypotheses_differ_and_repeat_under_one_generator(config: HypothesesConfig):
    lift, people = lifter(network_of(config), Chain(6, step=FULL.step)), people_of()
    found = lift(people, generator())
    assert found.shape == (3, 6, 17, 3)
    assert torch.equal(found, lift(people, generator()))
    assert float(found.std(1).mean()) > 0.005
    hips = found[..., [11, 12], :].mean(-2)
    assert float(hips.abs().max()) < 1e-5


def test_few_steps_without_noise_still_give_hypotheses_that_differ():
    found = lifter(network_of(GUESSING), Chain(4, steps=3, step=ddim_step))(people_of(), generator())
    assert float(found.std(1).mean()) > 0.005
    assert QUICK.step is ddim_step and QUICK.hypotheses == FULL.hypotheses == 200 and FULL.steps == 0


def test_the_mean_trajectory_is_one_pose_that_its_generator_fixes():
    lift = lifter(network_of(TINY), MEAN)
    one, again, other = (lift(people_of(), generator(seed)) for seed in (0, 0, 1))
    assert one.shape[1] == 1 and torch.equal(one, again) and not torch.equal(one, other)


def test_every_second_hypothesis_is_of_the_mirror_image():
    """In a mirror the hypotheses, without spread, are mirror images of each other's: first and second change places."""
    network = network_of(replace(GUESSING, samples=1))
    network.claim.zero_()
    lift, people, swap = lifter(network, Chain(2, steps=1)), people_of(), COCO_17.mirror
    reflected = lift(people.mirror(swap), generator())[..., swap, :] * torch.tensor([-1.0, 1.0, 1.0])
    found = lift(people, generator())
    torch.testing.assert_close(found.flip(1), reflected, atol=1e-5, rtol=1e-4)
    assert float((found[:, 0] - found[:, 1]).abs().max()) > 1e-3


def test_the_claim_widens_along_its_axis_alone():
    network, people = network_of(GUESSING), people_of()
    evidence = see_keypoints(GUESSING, people, 8, generator())
    with torch.no_grad():
        one = draw_poses(network, evidence, FULL, generator(1))
        network.claim[:, 2] = 3.0
        wide = draw_poses(network, evidence, FULL, generator(1))
    middle = network.poses(network.guessed(evidence.samples, evidence.sight).pose).detach()
    torch.testing.assert_close(wide[..., :2], one[..., :2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close((wide - middle)[..., 2], 3 * (one - middle)[..., 2], atol=1e-4, rtol=1e-3)


def test_a_guess_turns_latents_into_states_of_its_covariance_and_back():
    network = network_of(GUESSING)
    evidence = see_keypoints(GUESSING, people_of(2), 1, generator())
    guessed = network.guessed(evidence.samples, evidence.sight)
    latent = torch.randn(2, 1, 51, generator=generator())
    torch.testing.assert_close(guessed.latent(guessed.state(latent)), latent, atol=1e-3, rtol=1e-3)
    assert network.guess is not None
    lean = network.guess.lean(guessed.features).unflatten(-1, (-1, 3))
    spread = network.guess.spread(guessed.features).clamp(*SPREADS).exp()
    expected = torch.diag_embed(spread**2 + LEAST_SPREAD**2) + lean @ lean.mT
    torch.testing.assert_close(guessed.factor @ guessed.factor.mT, expected, atol=1e-5, rtol=1e-4)


def test_without_a_guess_a_latent_is_the_state():
    evidence = see_keypoints(TINY, people_of(2), 1, generator())
    guessed: Guessed = network_of(TINY).guessed(evidence.samples, evidence.sight)
    latent = torch.randn(2, 1, 51, generator=generator(1))
    assert torch.equal(guessed.state(latent), latent)


def test_a_state_is_a_pose_about_its_own_middle():
    network = network_of(replace(TINY, axes=(1.0, -1.0, -1.0)))
    xyz = torch.randn(4, 17, 3, generator=generator())
    state = network.centred(xyz)
    assert float(state.unflatten(-1, (3, 17)).mean(-1).abs().max()) < 1e-5
    by_hand = 10 * (xyz[2, 5, 1] - xyz[2, :, 1].mean()) * -1
    assert float(state[2, 17 + 5]) == pytest.approx(float(by_hand), rel=1e-4)
    hips = xyz[:, [11, 12]].mean(1, keepdim=True)
    torch.testing.assert_close(network.poses(state), xyz - hips)


def test_the_condition_hears_likelihood_only_where_it_should():
    evidence = see_keypoints(TINY, people_of(), 1, generator())
    louder = Samples(evidence.samples.xy, evidence.samples.likelihood * 1.7)
    for config, differs in ((TINY, True), (replace(TINY, likelihood=False), False)):
        hear = network_of(config).condition
        with torch.no_grad():
            change = hear(louder, evidence.sight) - hear(evidence.samples, evidence.sight)
        assert (float(change.abs().max()) > 1e-4) is differs


def test_an_unseen_keypoint_is_not_heard():
    people = people_of()
    moved = replace(people, uv=people.uv + 5.0 * ~people.seen[..., None])
    for config in (TINY, replace(TINY, likelihood=False)):
        hear = network_of(config).condition
        one, other = (see_keypoints(config, some, 1, generator()) for some in (people, moved))
        assert torch.equal(hear(one.samples, one.sight), hear(other.samples, other.sight))


@pytest.mark.parametrize(
    ("changed", "parameters"),
    [
        ({"project": False}, "condition.project"),
        ({"layers": 0}, "condition.transformer"),
        ({"concatenate": True}, "condition."),
    ],
)
def test_parts_that_are_switched_off_are_not_there(changed: dict, parameters: str):
    names = [name for name, _ in network_of(replace(TINY, **changed)).named_parameters()]
    assert not [name for name in names if name.startswith(parameters)]
    assert [name for name, _ in network_of(TINY).named_parameters() if name.startswith(parameters)]
    assert lifter(network_of(replace(TINY, **changed)), Chain(2))(people_of(), generator()).isfinite().all()


def test_without_the_peak_every_sample_is_drawn_and_the_peak_alone_is_no_draw():
    people = people_of()
    for config, still in ((replace(TINY, samples=1), True), (replace(TINY, samples=1, peak=False), False)):
        one, other = (see_keypoints(config, people, 1, generator(seed)).samples.xy for seed in (0, 1))
        assert torch.equal(one, other) is still


def test_concatenated_samples_come_likeliest_first():
    samples = Samples(torch.arange(12.0).view(1, 2, 3, 2), torch.tensor([[[0.1, 0.9, 0.2], [0.5, 0.1, 0.7]]]))
    config = replace(TINY, seen=("l_hip", "r_hip"), samples=3, concatenate=True)
    heard = network_of(config).condition(samples, torch.zeros(1, 0))
    assert heard.tolist() == [[2, 3, 10, 11, 4, 5, 6, 7, 0, 1, 8, 9]]


def test_heat_maps_give_every_hypothesis_samples_of_its_own():
    config = replace(TINY, seen=("l_hip", "r_hip", "nose"))
    maps = torch.rand(2, 3, 12, 9, generator=generator())
    evidence = see_heatmaps(config, maps, 4, generator())
    assert evidence.samples.xy.shape == (2, 4, 3, 5, 2)
    with torch.no_grad():
        assert draw_poses(network_of(config), evidence, Chain(4), generator()).shape == (2, 4, 17, 3)
    with pytest.raises(InputError, match="3 heat maps, but the network reads 17 keypoints"):
        see_heatmaps(TINY, maps, 1, generator())
    with pytest.raises(InputError, match="this one is told keypoints"):
        see_heatmaps(replace(GUESSING, seen=config.seen), maps, 1, generator())


def test_other_skeletons_are_read_by_name_and_strangers_refused():
    people = people_of(2, ("pelvis", "l_knee", "r_hip"))
    found = only(people, ("r_hip", "nose", "l_knee"))
    assert torch.equal(found.uv[:, 0], people.uv[:, 2]) and torch.equal(found.uv[:, 2], people.uv[:, 1])
    assert not bool(found.seen[:, 1].any()) and float(found.sigma[:, 1].max()) == 0
    with pytest.raises(InputError, match=r"none of the keypoints \(tail\) is one that the network knows"):
        only(people_of(2, ("tail",)), COCO_17.joints)


def test_no_hypotheses_are_refused_and_unknown_answers():
    with pytest.raises(InputError, match="0 hypotheses are asked for"):
        Chain(0)
    with pytest.raises(InputError, match="'score', which is none of noise, velocity, clean"):
        HypothesesNetwork(replace(TINY, answer="score"))


def seen_exactly(hidden: tuple[int, ...] = ()) -> tuple[ViewPeople, torch.Tensor, torch.Tensor]:
    """People whose hips are equally far away, their poses, metres from the hips, and how far away these are."""
    draw = generator(9)
    xyz = 0.5 * torch.randn(4, 17, 3, generator=draw)
    xyz[:, 12] = -xyz[:, 11]
    xyz[:, 11:13, 2] = 0.0
    hips = torch.stack([torch.randn(4, generator=draw), torch.randn(4, generator=draw), 4 + torch.rand(4)], -1)
    place = xyz + hips[:, None]
    plane = place[..., :2] / place[..., 2:]
    size = plane.square().sum(-1).mean(1).sqrt()
    seen = torch.ones(4, 17, dtype=torch.bool)
    seen[:, list(hidden)] = False
    uv = torch.where(seen[..., None], plane / size[:, None, None], 0.0)
    people = replace(people_of(4), uv=uv, seen=seen, sigma=0.004 * seen, confidence=1.0 * seen, size=size)
    return people, xyz, hips[:, 2]


def test_depths_and_the_width_of_the_picture_make_the_pose_of_exact_keypoints():
    people, xyz, away = seen_exactly()
    parts = torch.cat([10 * xyz[..., 2], 10 * (people.size * away)[:, None], torch.zeros(4, 34)], 1)
    made = (along_rays(people) @ parts[..., None])[..., 0]
    torch.testing.assert_close(made, network_of(TINY).centred(xyz), atol=1e-4, rtol=1e-4)


def test_joints_without_a_keypoint_are_only_beside():
    people, xyz, away = seen_exactly(hidden=(7, 16))
    parts = torch.cat([10 * xyz[..., 2], 10 * (people.size * away)[:, None], torch.zeros(4, 34)], 1)
    parts[:, 18 + 7], parts[:, 18 + 17 + 7] = 10 * xyz[:, 7, 0], 10 * xyz[:, 7, 1]
    parts[:, 18 + 16], parts[:, 18 + 17 + 16] = 10 * xyz[:, 16, 0], 10 * xyz[:, 16, 1]
    states = along_rays(people)
    torch.testing.assert_close((states @ parts[..., None])[..., 0], network_of(TINY).centred(xyz), atol=1e-4, rtol=1e-4)
    assert float(states.unflatten(1, (3, 17)).mean(2).abs().max()) < 1e-6


def test_a_guess_along_rays_has_the_covariance_of_its_parts():
    config = replace(GUESSING, rays=True)
    network, people = network_of(config), people_of(2)
    evidence = see_keypoints(config, people, 3, generator())
    guessed = network.guessed(evidence.samples, evidence.sight, evidence.states)
    assert network.guess is not None and network.guess.pose is not None and evidence.states is not None
    lean = network.guess.lean(guessed.features).unflatten(-1, (-1, 3))
    parts = torch.diag_embed(network.guess.spread(guessed.features).clamp(*SPREADS).exp().square()) + lean @ lean.mT
    expected = evidence.states @ parts @ evidence.states.mT + LEAST_SPREAD**2 * torch.eye(51)
    torch.testing.assert_close(guessed.factor @ guessed.factor.mT, expected, atol=1e-4, rtol=1e-3)
    pose = (evidence.states @ network.guess.pose(guessed.features)[..., None])[..., 0]
    torch.testing.assert_close(guessed.pose, pose)
    assert lifter(network, Chain(4, steps=3))(people, generator()).isfinite().all()


def test_where_a_lifter_says_the_pose_hypotheses_lie_about_it():
    lifter_config = ResidualConfig(width=16, blocks=1)
    config = replace(GUESSING, rays=True, lifter=lifter_config)
    network, people = network_of(config), people_of(2)
    assert network.lifter is not None
    evidence = see_keypoints(config, people, 3, generator())
    said = network.lifter(people)
    guessed = network.guessed(evidence.samples, evidence.sight, evidence.states)
    torch.testing.assert_close(guessed.pose, network.centred(said)[:, None].expand(-1, 3, -1))
    torch.manual_seed(5)
    alone = ResidualLifter(lifter_config)
    assert all(torch.equal(value, alone.state_dict()[name]) for name, value in network.lifter.state_dict().items())
    with torch.no_grad():
        next(network.lifter.leave[1].parameters()).mul_(2.0)
    assert not torch.equal(
        network.guessed(evidence.samples, evidence.sight, evidence.states).features, guessed.features
    )
    with pytest.raises(InputError, match="takes a guess, sight"):
        HypothesesNetwork(replace(config, sight=False))


def test_both_sides_of_a_body_become_equally_long():
    xyz = torch.randn(6, 17, 3, generator=generator())
    known = torch.ones(6, 17, dtype=torch.bool)
    before = symmetry_error(xyz, known, COCO_17.joints)
    for share in (0.0, 0.5, 1.0):
        after = even_sides(xyz, COCO_17.joints, share)
        torch.testing.assert_close(
            symmetry_error(after, known, COCO_17.joints), (1 - share) * before, atol=1e-5, rtol=1e-3
        )
    ends = [COCO_17.index(f"l_{joint}") for joint in ("hip", "knee", "ankle")]
    for inner, outer in itertools.pairwise(ends):
        bone, other = (one[:, outer] - one[:, inner] for one in (xyz, after))
        torch.testing.assert_close(torch.cosine_similarity(bone, other), torch.ones(6))
    length = [(one[:, ends[1]] - one[:, ends[0]]).norm(dim=-1) for one in (xyz, after)]
    right = (xyz[:, COCO_17.index("r_knee")] - xyz[:, COCO_17.index("r_hip")]).norm(dim=-1)
    torch.testing.assert_close(length[1], (length[0] + right) / 2)
    even = network_of(replace(TINY, even=1.0)).poses(torch.randn(6, 51, generator=generator()))
    assert float(symmetry_error(even, known, COCO_17.joints).max()) < 1e-5


def test_a_spread_grows_by_what_is_known_of_keypoints_as_uncertain():
    network = network_of(GUESSING)
    network.claim[:] = torch.arange(12.0).view(4, 3)
    told = torch.tensor([0.0, 0.001, 0.002, 0.016, 1.0])
    expected = [network.claim[0], network.claim[0], network.claim[:2].mean(0), network.claim[2], network.claim[3]]
    torch.testing.assert_close(network.claimed(told), torch.stack(expected))
    people = people_of(2)
    uncertain = told_sigma(replace(people, sigma=torch.where(people.seen, 0.032, 0.0)))
    torch.testing.assert_close(uncertain, torch.full((2,), 0.032))
    evidence = see_keypoints(GUESSING, people, 4, generator())
    poses = [
        draw_poses(network, replace(evidence, sigma=torch.full((2,), sigma)), FULL, generator(1)).detach().std(1).mean()
        for sigma in (0.001, 0.064)
    ]
    assert float(poses[1]) > 3 * float(poses[0])
