"""Examples come back from disk as they were made; the schedule is a function of seed and step."""

import pytest
import torch

from dispose.association.polytope import collate
from dispose.models.dispose.associator import Associator
from dispose.recipes.synthetic import SMOKE
from dispose.skeletons.catalog import COCO_17
from dispose.training.config import Optimisation
from dispose.training.examples import (
    graph_example,
    mirror,
    no_graph,
    no_placements,
    placement_examples,
    scenes_of_chunk,
)
from dispose.training.shards import Shards, save_shard
from dispose.training.task import TrainingSteps, uniform


@pytest.fixture(scope="module")
def scenes():
    return scenes_of_chunk(SMOKE, 0, 12)


def test_chunks_are_a_function_of_seed_and_number(scenes):
    again = scenes_of_chunk(SMOKE, 0, 12)
    other = scenes_of_chunk(SMOKE, 1, 12)
    torch.testing.assert_close(again[3][0].detections.xy_image, scenes[3][0].detections.xy_image, rtol=0, atol=0)
    assert other[3][0].cameras.matrix.shape != scenes[3][0].cameras.matrix.shape or not torch.equal(
        other[3][0].cameras.matrix, scenes[3][0].cameras.matrix
    )


def test_graphs_come_back_whole(scenes, tmp_path):
    torch.manual_seed(0)
    associator = Associator(SMOKE.model).eval()
    examples = [e for e in (graph_example(associator, *scene) for scene in scenes) if e is not None]
    save_shard(tmp_path / "graphs.safetensors", examples)
    again = Shards([tmp_path / "graphs.safetensors"], no_graph())
    assert len(again) == len(examples) > 3
    problems = (problem for problem in (associator.problem(frame) for frame, _ in scenes) if problem is not None)
    for row, (example, problem) in enumerate(zip(examples, problems, strict=True)):
        torch.testing.assert_close(again[row].truth, example.truth, rtol=0, atol=0)
        graph = again[row].graph()
        for name in ("members", "detections", "tuples", "incidences", "cue", "tuple_of", "detection_of", "sample"):
            torch.testing.assert_close(vars(graph)[name], vars(problem.graph)[name], rtol=0, atol=0)
        torch.testing.assert_close(graph.marginals.bins, problem.graph.marginals.bins)
        torch.testing.assert_close(graph.marginals.target, problem.graph.marginals.target)


def test_shards_without_a_record_and_several_shards_are_read(tmp_path, scenes):
    made = [placement_examples(*scene) for scene in scenes[:3]]
    for name, records in (("a", made[:1]), ("b", []), ("c", made[1:])):
        save_shard(tmp_path / f"{name}.safetensors", records)
    again = Shards([tmp_path / f"{name}.safetensors" for name in "abc"], no_placements())
    assert len(again) == 3 and again.shape(2, "seen.xy") == tuple(made[2].seen.xy.shape)
    for row, (one, third) in enumerate(zip(made, again.read_all(), strict=True)):
        torch.testing.assert_close(one.seen.axes, again[row].seen.axes, rtol=0, atol=0)
        torch.testing.assert_close(one.known, third.known, rtol=0, atol=0)


def test_the_truth_lies_on_the_polytope(scenes):
    torch.manual_seed(0)
    associator = Associator(SMOKE.model).eval()
    examples = [e for e in (graph_example(associator, *scene) for scene in scenes) if e is not None]
    graph = collate([e.graph() for e in examples])
    truth = torch.cat([e.truth for e in examples]).double()
    for bins in graph.marginals.bins.unbind(1):
        carried = torch.zeros_like(graph.marginals.target).index_add(0, bins, truth)
        touched = bins.unique()
        torch.testing.assert_close(carried[touched], graph.marginals.target[touched])


def test_placements_come_back_and_a_mirror_is_its_own_inverse(scenes, tmp_path):
    examples = placement_examples(*max(scenes, key=lambda scene: int(scene[0].detections.valid.sum())))
    save_shard(tmp_path / "d.safetensors", [examples])
    (again,) = Shards([tmp_path / "d.safetensors"], no_placements()).read_all()
    torch.testing.assert_close(again.xyz, examples.xyz, rtol=0, atol=0)
    which = torch.arange(len(examples.xyz)) % 2 == 0
    once = mirror(examples, which)
    assert not torch.allclose(once.xyz[which], examples.xyz[which])
    torch.testing.assert_close(once.xyz[~which], examples.xyz[~which])
    twice = mirror(once, which)
    torch.testing.assert_close(twice.xyz, examples.xyz)
    torch.testing.assert_close(twice.seen.xy, examples.seen.xy)
    left, right = COCO_17.index("l_wrist"), COCO_17.index("r_wrist")
    torch.testing.assert_close(once.xyz[which, left, 2], examples.xyz[which, right, 2])


def test_true_joints_lie_on_their_rays(scenes):
    """Seen from its viewpoint, a true joint is near the keypoint that was detected."""
    gaps = []
    for scene in scenes:
        examples = placement_examples(*scene)
        seen = examples.seen
        true_xy = examples.xyz[..., :2] / examples.xyz[..., 2:] / seen.size[:, None, None]
        gaps.append((true_xy - seen.xy).norm(dim=-1)[seen.visible & examples.known])
    assert float(torch.cat(gaps).median()) < 0.15


class Numbers:
    """Examples that are their number and seed; the first digit is the group."""

    groups = (3, 4, 5, 4, 3, 4)

    def batch(self, rows, seeds):
        return list(zip(rows, seeds, strict=True))


def test_a_step_depends_on_its_number_alone_and_has_one_group():
    steps = TrainingSteps(Numbers(), 4, seed=7)
    assert steps[4] == steps[4] != steps[5]
    for number in range(20):
        step = steps[number]
        assert step.number == number and len(step.batch) == 4
        assert len({Numbers.groups[row] for row, _ in step.batch}) == 1
    assert len({row for number in range(20) for row in steps.rows(number)}) == len(Numbers.groups)


def test_two_processes_share_every_batch():
    whole, *halves = (
        TrainingSteps(Numbers(), 4, seed=7, rank=rank, world=world) for rank, world in ((0, 1), (0, 2), (1, 2))
    )
    for number in range(10):
        assert sorted(whole[number].batch) == sorted(halves[0][number].batch + halves[1][number].batch)


def test_the_draw_is_fair_and_belongs_to_the_example():
    seeds = torch.arange(20_000) + 17 * 65_537
    drawn = uniform(seeds)
    assert (
        abs(float((drawn < 0.5).float().mean()) - 0.5) < 0.02 and abs(float((drawn < 0.1).float().mean()) - 0.1) < 0.02
    )
    torch.testing.assert_close(uniform(seeds[5:9]), drawn[5:9])
    assert not torch.equal(uniform(seeds + 65_537) < 0.5, drawn < 0.5)


def test_the_learning_rate_rises_and_falls():
    plan = Optimisation(steps=100, batch=1, rate=2.0, last_rate=0.0, warmup=10)
    rates = [plan.rate_at(step) for step in range(101)]
    assert max(rates) == pytest.approx(2.0) and rates.index(max(rates)) in (9, 10)
    assert rates[100] == pytest.approx(0.0, abs=1e-9)
