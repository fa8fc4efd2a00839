"""The teaching toy learns in seconds, stays in its polytope, and does not care about the order of detections."""

from dataclasses import replace

import pytest
import torch

from dispose.association.polytope import every_tuple
from dispose.errors import InputError
from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.sampling import SamplerConfig, trajectory
from dispose_kernels.sinkhorn import marginal_residual
from dispose_workbench.toy import (
    TOY_DENOISER,
    ToyConfig,
    ToyScene,
    ToyTraining,
    best_assignment,
    by_diffusion,
    by_distance,
    by_error_model,
    chance_divergence,
    draw_toy_scene,
    draw_toy_scenes,
    raw_cost,
    score_toy,
    telling_scene,
    toy_problem,
    train_toy,
    true_mass,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh_network() -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(TOY_DENOISER)


@pytest.fixture(scope="module")
def trained() -> tuple[Denoiser, list[float]]:
    network = fresh_network()
    losses = list(train_toy(network, ToyTraining(steps=80), generator()))
    return network.eval(), losses


@pytest.fixture(scope="module")
def unseen() -> list[ToyScene]:
    return draw_toy_scenes(ToyConfig(), 100, generator(1))


def test_an_untrained_network_guesses_and_training_is_far_better(trained) -> None:
    _, losses = trained
    assert losses[0] == pytest.approx(chance_divergence(ToyConfig()), abs=0.05)
    assert sum(losses[-20:]) / 20 < 0.25 * losses[0]


def test_the_trained_network_beats_distances_and_nears_what_can_be_known(trained, unseen) -> None:
    ours = score_toy(by_diffusion(trained[0]), unseen).people
    distances, known = (score_toy(worth, unseen).people for worth in (by_distance, by_error_model(ToyConfig())))
    assert ours > distances + 0.05, "chance is a quarter, distances find about three quarters"
    assert ours > known - 0.05


@pytest.mark.parametrize("views", [2, 3])
def test_every_state_of_the_sampler_lies_in_the_polytope(trained, views: int) -> None:
    problem = toy_problem(draw_toy_scene(ToyConfig(views=views), generator(2)))
    for step in trajectory(trained[0], problem, SamplerConfig(hypotheses=1), generator(3)):
        for mass in (step.mass, step.clean):
            assert float(mass.min()) >= 0 and float(marginal_residual(mass, problem.graph.marginals)) < 1e-6


@pytest.mark.parametrize("views", [2, 3])
def test_other_numbers_for_the_detections_give_the_same_answer_under_other_numbers(trained, views: int) -> None:
    scene = draw_toy_scene(ToyConfig(people=3, views=views), generator(4))
    order = torch.stack([torch.randperm(3, generator=generator(5 + view)) for view in range(views)])
    shuffled = replace(
        scene,
        xy_mm=scene.xy_mm.gather(1, order[..., None].expand(-1, -1, 2)),
        identity=scene.identity.gather(1, order),
    )
    worth = by_diffusion(trained[0])
    before, after = worth([scene])[0].view((3,) * views), worth([shuffled])[0].view((3,) * views)
    torch.testing.assert_close(after, before[torch.meshgrid(*order, indexing="ij")], atol=1e-4, rtol=0)


def test_many_scenes_at_once_are_each_scene_alone(trained, unseen) -> None:
    worth = by_diffusion(trained[0])
    together = worth(unseen[:3])
    for number in range(3):
        torch.testing.assert_close(together[number], worth(unseen[number : number + 1])[0], atol=1e-4, rtol=0)


def test_the_same_generator_gives_the_same_training_and_one_may_stop_early() -> None:
    runs = [list(train_toy(fresh_network(), ToyTraining(steps=3, batch=2), generator())) for _ in "ab"]
    assert runs[0] == runs[1] and len(runs[0]) == 3
    network = fresh_network()
    weight = next(network.head.parameters())
    before = weight.detach().clone()
    assert next(train_toy(network, ToyTraining(steps=3, batch=2), generator())) > 0
    assert not torch.equal(before, weight)


def test_three_views_by_one_number() -> None:
    config = ToyConfig(views=3, people=3)
    losses = list(train_toy(fresh_network(), ToyTraining(config, steps=2, batch=2), generator()))
    assert losses[0] == pytest.approx(chance_divergence(config), abs=0.1)
    scenes = draw_toy_scenes(replace(config, along_mm=20.0, across_mm=20.0), 10, generator())
    assert score_toy(by_distance, scenes).people == 1.0


def test_a_network_never_sees_who_is_who(unseen) -> None:
    scene = unseen[0]
    stranger = replace(scene, identity=scene.identity.flip(1), person_mm=torch.zeros_like(scene.person_mm))
    one, other = toy_problem(scene).graph, toy_problem(stranger).graph
    for name in ("detections", "tuples", "incidences", "cue"):
        assert torch.equal(one.__dict__[name], other.__dict__[name])


def test_cost_and_truth_of_two_views(unseen) -> None:
    scene = unseen[0]
    distance = torch.cdist(*scene.xy_mm) / 1000
    torch.testing.assert_close(raw_cost(scene), (distance.square() / 2).flatten())
    truth = true_mass(scene)
    assert float(marginal_residual(truth, toy_problem(scene).graph.marginals)) == 0
    members = every_tuple(4, 2)[truth > 0]
    assert torch.equal(scene.identity[0, members[:, 0]], scene.identity[1, members[:, 1]])
    assert torch.equal(best_assignment(truth, scene), truth > 0)


def test_a_telling_scene_is_decoded_rightly_and_distances_fail_on_it(trained, unseen) -> None:
    worth = by_diffusion(trained[0])
    scene = telling_scene(unseen, worth)
    assert score_toy(worth, [scene]).scenes == 1.0 and score_toy(by_distance, [scene]).scenes == 0.0
    with pytest.raises(InputError, match="none of 100 scenes"):
        telling_scene(unseen, by_distance)


def test_a_training_without_steps_is_refused() -> None:
    with pytest.raises(InputError, match="0 steps of 16 scenes"):
        ToyTraining(steps=0)
