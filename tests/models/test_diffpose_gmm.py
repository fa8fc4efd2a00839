"""Laws of informed diffusion: where it starts, what its networks see, and that its hypotheses differ."""

from dataclasses import replace

import pytest
import torch

from dispose.diffusion.noise import Mixture
from dispose.errors import InputError
from dispose.models.diffpose_gmm.model import (
    LEAST_SIGMA,
    OURS,
    PAPER,
    PUBLISHED,
    RELEASE,
    UNSEEN_SIGMA,
    DiffPoseGmm,
    DiffPoseGmmConfig,
    from_root,
    lift_with,
    mirrored_pose,
)
from dispose.models.lifting.residual import ResidualConfig
from dispose.models.lifting.view import ViewPeople
from dispose.nn.graph import GraphSizes
from dispose.skeletons.catalog import COCO_17, H36M_17
from dispose.training.diffpose_gmm import RefinerTask, error_of
from dispose.training.lifting import LiftExamples
from dispose.zoo.checkpoints import load_weights, save_weights

SMALL = DiffPoseGmmConfig(
    residual=ResidualConfig(width=16, blocks=1), denoiser=GraphSizes(chans=8, layers=1, heads=2, dropout=0.0)
)
HIPS = COCO_17.indices(("l_hip", "r_hip"))


def people_of(count: int = 3, joints: tuple[str, ...] = COCO_17.joints) -> ViewPeople:
    generator = torch.Generator().manual_seed(0)
    shape = (count, len(joints))
    seen = torch.rand(shape, generator=generator) > 0.3
    uv = torch.where(seen[..., None], torch.randn(*shape, 2, generator=generator), 0.0)
    sigma = torch.where(seen, 0.05 * torch.rand(shape, generator=generator) + 0.01, 0.0)
    up = torch.tensor([0.0, -1.0, 0.0]).expand(count, 3)
    return ViewPeople(
        joints, uv, sigma, seen.float(), seen, torch.full((count,), 0.1), up, torch.eye(3).expand(count, 3, 3)
    )


def network_of(config: DiffPoseGmmConfig = SMALL) -> DiffPoseGmm:
    torch.manual_seed(0)
    return DiffPoseGmm(config).eval().requires_grad_(False)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_published_sizes():
    network = DiffPoseGmm(PUBLISHED)
    assert sum(p.numel() for p in network.denoiser.parameters()) == 1_025_674
    # Without the embedding of time that the release stores and never uses, 185,088 numbers.
    assert sum(p.numel() for p in network.lifter.parameters()) == 839_432 - 185_088


def test_the_two_modes_are_what_is_told_of_them():
    assert (PAPER.centred, PAPER.noised, PAPER.hypotheses, PAPER.steps, PAPER.context) == (True, True, 5, 5, True)
    assert (RELEASE.centred, RELEASE.noised, RELEASE.hypotheses, RELEASE.steps) == (False, False, 1, 2)
    assert RELEASE.start is None and not RELEASE.context and RELEASE.exact_2d and not PAPER.exact_2d
    assert (PAPER.answer, RELEASE.answer, OURS) == ("noise", "noise", replace(PAPER, answer="clean"))
    assert RELEASE.betas == (1e-4, 1e-3) and RELEASE.chain == 51 and RELEASE.stochasticity == 0.0


@pytest.mark.parametrize("mode", [PAPER, RELEASE])
def test_noise_of_the_two_modes(mode):
    network, people = network_of(replace(SMALL, mode=mode)), people_of()
    network.error.copy_(torch.rand(17, 3, generator=generator()) + 0.1)
    initial = network.initial(people)
    law = network.law(people, initial)
    assert (law.scale[..., :2][~people.seen] == UNSEEN_SIGMA).all()
    torch.testing.assert_close(law.scale[..., 0][people.seen], people.sigma[people.seen].clamp(min=LEAST_SIGMA))
    if mode is PAPER:
        torch.testing.assert_close(law.centre, torch.cat([people.uv, initial], -1))
        torch.testing.assert_close(law.scale[0, :, 2:], network.error)
    else:
        assert not law.centre.any()
        assert (law.scale[..., 2:] == 1.0).all()


def test_the_start_matches_how_wrong_the_lifter_is():
    network = network_of(replace(SMALL, mode=RELEASE))
    for step in (6, 24, 40):
        network.error.fill_((1 - network.table.alpha_bar[step]) ** 0.5)
        assert network.start == step
    assert network_of(replace(SMALL, mode=replace(RELEASE, start=12))).start == 12


@pytest.mark.parametrize("mode", [PAPER, RELEASE, OURS, replace(PAPER, answer="velocity")])
def test_an_oracle_leads_to_the_truth(mode, monkeypatch):
    """A denoiser that knows the truth takes every start to it, whatever it is asked for."""
    network, people = network_of(replace(SMALL, mode=mode)).double(), people_of().to(torch.float64)
    truth = from_root(torch.randn(3, 17, 3, generator=generator(1), dtype=torch.float64), "coco_17")

    def knows(latent, step, law, told):
        level = latent.new_tensor(network.table.alpha_bar)[step.long(), None, None]
        clean = torch.cat([people.uv, truth], -1).repeat_interleave(len(latent) // 3, 0) - law.centre
        noise = (latent - level.sqrt() * clean) / (1 - level).sqrt()
        return {"noise": noise, "clean": clean, "velocity": level.sqrt() * noise - (1 - level).sqrt() * clean}[
            mode.answer
        ]

    monkeypatch.setattr(network, "denoise", knows)
    found = network.hypotheses(people, 4 if mode.noised else 1, generator())
    torch.testing.assert_close(found, truth[:, None].expand_as(found), atol=1e-5, rtol=0)


def test_nobody_is_asked_for_what_there_is_not():
    with pytest.raises(InputError, match="'sense', which is none of noise, velocity, clean"):
        DiffPoseGmm(replace(SMALL, mode=replace(PAPER, answer="sense")))


def test_without_noise_two_runs_are_the_same_bits():
    network, people = network_of(replace(SMALL, mode=RELEASE)), people_of()
    first = network.hypotheses(people, 1)
    torch.manual_seed(99)
    assert torch.equal(first, network.hypotheses(people, 1, generator(7)))
    with pytest.raises(InputError, match="would be the same"):
        network.hypotheses(people, 5)
    with pytest.raises(InputError, match="none are asked for"):
        network.hypotheses(people, 0)


def test_with_noise_hypotheses_differ_and_repeat_under_one_generator():
    network, people = network_of(), people_of()
    found = network.hypotheses(people, 4, generator(1))
    assert found.shape == (3, 4, 17, 3)
    apart = (found[:, :, None] - found[:, None]).norm(dim=-1).mean(-1)
    assert (apart + torch.eye(4) > 0.005).all()
    assert torch.equal(found, network.hypotheses(people, 4, generator(1)))
    assert not torch.equal(found, network.hypotheses(people, 4, generator(2)))
    assert torch.equal(found, lift_with(network, 4)(people, generator(1)))
    assert lift_with(network)(people, generator(1)).shape[1] == PAPER.hypotheses
    torch.testing.assert_close(found[:, :, HIPS].mean(2), torch.zeros(3, 4, 3), atol=1e-4, rtol=0)


def test_the_start_is_drawn_as_wide_as_its_step_says(monkeypatch):
    """With a denoiser that finds no noise, what is drawn at the start is what comes out, over the signal's share."""
    mode = replace(PAPER, start=20, steps=1)
    network, people = network_of(replace(SMALL, mode=mode)), people_of(1)
    network.error.copy_(torch.rand(17, 3, generator=generator()) + 0.05)
    monkeypatch.setattr(network, "denoise", lambda latent, step, law, told: torch.zeros_like(latent))
    monkeypatch.setattr("dispose.models.diffpose_gmm.model.from_root", lambda xyz, skeleton: xyz)
    level = network.table.alpha_bar[20]
    found = network.hypotheses(people, 4000, generator(3))[0]
    expected = ((1 - level) / level) ** 0.5 * network.error
    assert ((found.std(0) / expected - 1).abs() < 0.06).all()
    middle = (found.mean(0) - network.initial(people)[0]).abs()
    assert (middle < 0.08 * expected).all()


def test_starts_come_in_opposite_pairs(monkeypatch):
    """Where nothing but the start differs, the mean of an even number is the initial pose."""
    network, people = network_of(), people_of()
    monkeypatch.setattr(network, "denoise", lambda latent, step, law, told: 0.5 * latent)
    found = network.hypotheses(people, 6, generator(3))
    torch.testing.assert_close(found.mean(1), network.initial(people), atol=1e-4, rtol=0)
    assert (found[:, 0] - found[:, 1]).abs().max() > 0.01
    assert network.hypotheses(people, 5, generator(3)).shape[1] == 5
    monkeypatch.setattr("dispose.models.diffpose_gmm.model.PEOPLE_AT_ONCE", 4)
    torch.testing.assert_close(network.hypotheses(people, 6, generator(3)), found)


def test_every_hypothesis_takes_a_kernel_of_every_joint():
    """In the released mode, which draws nothing itself, hypotheses differ by the kernels alone."""
    network, people = network_of(replace(SMALL, mode=RELEASE)), people_of(1)
    mean = torch.stack([people.uv, people.uv + 0.5], 2)
    mixture = Mixture(torch.full((1, 17, 2), 0.5), mean, torch.full((1, 17, 2, 2), 0.02))
    found = network.hypotheses(people, 8, generator(4), mixture=mixture)
    assert float(found.std(1).mean()) > 1e-3
    sure = Mixture(torch.tensor([0.0, 1.0]).expand(1, 17, 2), mean, mixture.scale)
    same = network.hypotheses(people, 3, generator(4), mixture=sure)
    sigma = torch.full((1, 17), 0.02)
    alone = network.refine(replace(people, uv=mean[:, :, 1], sigma=sigma))
    torch.testing.assert_close(same, alone[:, None].expand(1, 3, 17, 3), atol=1e-5, rtol=1e-4)


def test_what_the_denoiser_is_told(monkeypatch):
    """In the paper's mode from the initial pose in units of its error; in the released one as it is."""
    people = people_of(2)
    for mode in (PAPER, RELEASE):
        network = network_of(replace(SMALL, mode=mode))
        network.error.fill_(0.25)
        initial = network.initial(people)
        law, told = network.law(people, initial), network.told(people, initial)
        seen: list[torch.Tensor] = []

        def forward(state, step, heard=seen):
            heard.append(state)
            return state[..., :5]

        monkeypatch.setattr(network.denoiser, "forward", forward)
        latent = torch.randn(2, 17, 5, generator=generator())
        answer = network.denoise(latent, torch.zeros(2), law, told)
        torch.testing.assert_close(answer, latent)
        unit = law.scale if mode is PAPER else torch.ones_like(latent)
        torch.testing.assert_close(seen[0][..., :5], latent / unit)
        if mode is PAPER:
            torch.testing.assert_close(seen[0][..., -5:], torch.cat([people.uv, initial], -1))
        assert seen[0].shape[-1] == 5 + 7 + 5 * (mode is PAPER)


def test_the_loss_is_zero_for_who_knows_the_noise_and_leaves_out_unknown_joints(monkeypatch):
    network, people = network_of(), people_of(4)
    xyz = from_root(torch.randn(4, 17, 3, generator=generator(1)), "coco_17")
    known = torch.rand(4, 17, generator=generator(2)) > 0.2
    batch = LiftExamples(people, xyz, known)
    task = RefinerTask(network)
    wild = LiftExamples(people, torch.where(known[..., None], xyz, 1e6), known)
    torch.manual_seed(0)
    (term,) = task(batch)
    torch.manual_seed(0)
    (other,) = task(wild)
    assert float(term.value) == pytest.approx(float(other.value), rel=1e-6)

    drawn = []

    def draw(law, like, generator=None):
        drawn.append(law.scale * torch.randn_like(like))
        return drawn[-1]

    monkeypatch.setattr("dispose.training.diffpose_gmm.draw_noise", draw)
    monkeypatch.setattr(network, "denoise", lambda latent, step, law, told: drawn[-1])
    assert float(task(batch)[0].value) == 0.0
    monkeypatch.setattr(network, "denoise", lambda latent, step, law, told: torch.zeros_like(latent))
    # Of unit variance: five numbers of every known joint.
    assert float(task(batch)[0].value) == pytest.approx(5 * float(known.sum(1).float().mean()), rel=0.1)


@pytest.mark.parametrize("answer", ["clean", "velocity"])
def test_the_refiner_learns_what_it_is_asked_for(answer, monkeypatch):
    """The clean state is told from the initial pose, in units of its error; a velocity is by hand."""
    network, people = network_of(replace(SMALL, mode=replace(PAPER, answer=answer))), people_of(4)
    xyz = from_root(torch.randn(4, 17, 3, generator=generator(1)), "coco_17")
    task, drawn, rows = RefinerTask(network), [], 8

    def draw(law, like, generator=None):
        drawn.append((law, law.scale * torch.randn_like(like), like))
        return drawn[-1][1]

    def right(latent, step, law, told):
        _, noise, clean = drawn[-1]
        level = torch.tensor(network.table.alpha_bar, dtype=latent.dtype)[step.long(), None, None]
        clean = clean - law.centre
        by_hand = clean if answer == "clean" else level.sqrt() * noise - (1 - level).sqrt() * clean
        return by_hand + 0.5 * law.scale

    monkeypatch.setattr("dispose.training.diffpose_gmm.draw_noise", draw)
    monkeypatch.setattr(network, "denoise", right)
    (term,) = task(LiftExamples(people, xyz, torch.ones(4, 17, dtype=torch.bool)))
    # Half a unit off in each of five numbers of 17 joints.
    assert float(term.value) == pytest.approx(0.25 * 5 * 17, rel=1e-4) and len(drawn[-1][1]) == rows


def test_the_refiner_learns_and_the_lifter_does_not():
    task = RefinerTask(network_of())
    task.network.denoiser.requires_grad_(True)
    batch = LiftExamples(people_of(4), torch.randn(4, 17, 3), torch.ones(4, 17, dtype=torch.bool))
    task(batch)[0].value.backward()
    assert all(p.grad is None for p in task.network.lifter.parameters())
    assert all(p.grad is not None for p in task.network.denoiser.parameters())


def test_the_error_of_the_lifter():
    network, people = network_of(), people_of(6)
    off = torch.randn(6, 17, 3, generator=generator(3))
    known = torch.ones(6, 17, dtype=torch.bool)
    known[0] = False
    examples = LiftExamples(people, network.initial(people) + off, known)
    torch.testing.assert_close(error_of(network, examples), off[1:].square().mean(0).sqrt(), atol=1e-5, rtol=1e-4)


def test_the_initial_pose_of_a_mirror_image_is_the_mirror_image_of_the_pose():
    network, people, swap = network_of(), people_of(), COCO_17.mirror
    seen = network.initial(people.mirror(swap))
    torch.testing.assert_close(seen, mirrored_pose(network.initial(people), swap), atol=1e-6, rtol=1e-5)
    alone = network_of(replace(SMALL, mirrored=False))
    assert torch.equal(alone.initial(people), network.lifter(people))
    assert not torch.allclose(alone.initial(people), network.initial(people))


def test_weights_are_kept_with_the_error(tmp_path):
    network = network_of()
    network.error.fill_(0.07)
    save_weights(tmp_path / "w.safetensors", network)
    found = load_weights(tmp_path / "w.safetensors", DiffPoseGmm)
    people = people_of()
    assert torch.equal(found.hypotheses(people, 2, generator()), network.hypotheses(people, 2, generator()))


def test_a_lifter_is_of_one_kind_and_a_graph_knows_its_skeleton():
    for config in (replace(SMALL, graph=GraphSizes()), replace(SMALL, residual=None)):
        with pytest.raises(InputError, match="either a residual or a graph network"):
            DiffPoseGmm(config)
    sizes = GraphSizes(chans=8, layers=1, heads=2)
    published = replace(PUBLISHED, graph=sizes, denoiser=sizes)
    found = network_of(published).hypotheses(people_of(2, H36M_17.joints), 1)
    torch.testing.assert_close(found[:, 0, 0], torch.zeros(2, 3))
    other = replace(published, evidence=True)
    people = people_of(2, H36M_17.joints)
    surer = replace(people, sigma=people.sigma / 10)
    lifter = network_of(other).lifter
    assert not torch.allclose(lifter(people), lifter(surer))
    lifter = network_of(published).lifter
    assert torch.equal(lifter(people), lifter(surer))
