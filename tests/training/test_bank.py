"""Examples come back from disk as they were made; the schedule is a function of seed and step."""

import pytest
import torch

from dispose.association.graph import collate
from dispose.models.dispose.associator import Associator
from dispose.recipes.synthetic import SMOKE
from dispose.training.examples import graph_example, placement_examples, scenes_of_chunk
from dispose.training.modules import Schedule, coin, one_cycle
from dispose.training.shards import load_graphs, load_placements, save_graphs, save_placements


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
    save_graphs(tmp_path / "graphs.safetensors", examples)
    again = load_graphs(tmp_path / "graphs.safetensors")
    assert len(again) == len(examples) > 3
    for one, other in zip(examples, again, strict=True):
        torch.testing.assert_close(one.truth, other.truth, rtol=0, atol=0)
        for name in ("members", "detections", "tuples", "incidences", "cue", "tuple_of", "detection_of", "sample"):
            torch.testing.assert_close(vars(one.graph)[name], vars(other.graph)[name], rtol=0, atol=0)
        torch.testing.assert_close(one.graph.marginals.bins, other.graph.marginals.bins)
        torch.testing.assert_close(one.graph.marginals.target, other.graph.marginals.target)


def test_the_truth_lies_on_the_polytope(scenes):
    torch.manual_seed(0)
    associator = Associator(SMOKE.model).eval()
    examples = [e for e in (graph_example(associator, *scene) for scene in scenes) if e is not None]
    graph = collate([e.graph for e in examples])
    truth = torch.cat([e.truth for e in examples]).double()
    for bins in graph.marginals.bins.unbind(1):
        carried = torch.zeros_like(graph.marginals.target).index_add(0, bins, truth)
        touched = bins.unique()
        torch.testing.assert_close(carried[touched], graph.marginals.target[touched])


def test_placements_come_back_and_a_mirror_is_its_own_inverse(scenes, tmp_path):
    from dispose.skeletons.catalog import COCO_17

    examples = placement_examples(*max(scenes, key=lambda scene: int(scene[0].detections.valid.sum())))
    save_placements(tmp_path / "d.safetensors", examples)
    again = load_placements([tmp_path / "d.safetensors"])
    torch.testing.assert_close(again.xyz, examples.xyz, rtol=0, atol=0)
    which = torch.arange(len(examples.xyz)) % 2 == 0
    once = examples.mirrored(which, COCO_17.mirror)
    assert not torch.allclose(once.xyz[which], examples.xyz[which])
    torch.testing.assert_close(once.xyz[~which], examples.xyz[~which])
    twice = once.mirrored(which, COCO_17.mirror)
    torch.testing.assert_close(twice.xyz, examples.xyz)
    torch.testing.assert_close(twice.seen.xy, examples.seen.xy)


def test_true_joints_lie_on_their_rays(scenes):
    """Seen from its viewpoint, a true joint is near the keypoint that was detected."""
    gaps = []
    for scene in scenes:
        examples = placement_examples(*scene)
        seen = examples.seen
        true_xy = examples.xyz[..., :2] / examples.xyz[..., 2:] / seen.size[:, None, None]
        gaps.append((true_xy - seen.xy).norm(dim=-1)[seen.visible & examples.known])
    assert float(torch.cat(gaps).median()) < 0.15


def test_a_schedule_started_later_is_the_rest_of_the_whole():
    whole = list(Schedule(7, 100, 6, 0, 10, 0, 1))
    assert list(Schedule(7, 100, 6, 4, 10, 0, 1)) == whole[4:]


def test_two_processes_share_every_global_batch():
    whole = list(Schedule(7, 100, 6, 0, 5, 0, 1))
    first, second = (list(Schedule(7, 100, 6, 0, 5, rank, 2)) for rank in (0, 1))
    for all_rows, mine, yours in zip(whole, first, second, strict=True):
        assert all_rows[0] == mine[0] == yours[0]
        assert sorted(all_rows[1:]) == sorted(mine[1:] + yours[1:])


def test_the_coin_is_fair_and_belongs_to_the_example():
    rows = torch.arange(20_000)
    heads = coin(rows, 17)
    assert abs(float(heads.float().mean()) - 0.5) < 0.02
    torch.testing.assert_close(coin(rows[5:9], 17), heads[5:9])
    assert not torch.equal(coin(rows, 18), heads)


def test_the_learning_rate_rises_and_falls_to_zero():
    rates = [one_cycle(step, 100, 10) for step in range(101)]
    assert max(rates) == pytest.approx(1.0) and rates.index(max(rates)) in (9, 10)
    assert rates[100] == pytest.approx(0.0, abs=1e-9)
