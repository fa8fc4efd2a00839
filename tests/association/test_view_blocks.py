"""Many views decided in blocks: what blocks there are, and what their pairs make of the detections."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components

from dispose.association.decode import pair_posterior
from dispose.association.view_blocks import (
    BLOCK_VIEWS,
    ROUNDS,
    _links,
    _move_single,
    group_pairs,
    join_blocks,
    sum_pairs,
    view_blocks,
)
from dispose.scene.results import Association, AssociationResult, Hypotheses
from dispose.tensors import ABSENT


def rooms(*sizes):
    """Views that share everybody with those of their room and nobody with others."""
    room = np.repeat(np.arange(len(sizes)), sizes)
    return (room[:, None] == room).astype(float)


@pytest.mark.parametrize("views", [6, 7, 9, 10, 12, 20, 31])
def test_every_view_is_in_a_block_of_every_round_and_all_views_are_connected(views):
    blocks = view_blocks(rooms(views))
    assert max(map(len, blocks)) <= BLOCK_VIEWS and min(map(len, blocks)) >= 2
    assert all(sum(view in block for block in blocks) >= ROUNDS for view in range(views))
    met = np.zeros((views, views))
    for block in blocks:
        assert block == sorted(set(block))
        met[np.ix_(block, block)] += 1
    assert connected_components(met, directed=False)[0] == 1
    # Rounds differ: with more than two blocks nearly every round brings new pairs together.
    assert views < 9 or (met[np.triu_indices(views, 1)] == ROUNDS).mean() < 0.1


def test_blocks_are_of_views_that_share_people():
    overlap = rooms(8, 8)
    blocks = view_blocks(overlap)
    assert sum(overlap[block[0], block[-1]] > 0 for block in blocks) >= len(blocks) - 2
    met = np.zeros((16, 16))
    for block in blocks:
        met[np.ix_(block, block)] += 1
    assert connected_components(met * overlap, directed=False)[0] == 2


def gain_within(label, gain):
    return gain[label[:, None] == label].sum() / 2


def planted(generator, views, people, noise):
    """Detections of people and gains that speak for the truth, with noise."""
    view, person = (np.array(column) for column in zip(*itertools.product(range(views), range(people)), strict=True))
    kept = generator.random(len(view)) < 0.9
    view, person = view[kept], person[kept]
    gain = np.where(person[:, None] == person, 0.8, -0.3) + noise * generator.standard_normal((len(view), len(view)))
    gain = (gain + gain.T) / 2
    gain[view[:, None] == view] = 0.0
    return view, person, gain


def test_groups_are_the_planted_people():
    generator = np.random.default_rng(0)
    for _ in range(5):
        view, person, gain = planted(generator, 9, 6, 0.4)
        label = group_pairs(gain, view)
        assert ((label[:, None] == label) == (person[:, None] == person)).all()


def test_groups_hold_one_detection_of_a_view_and_no_single_move_gains():
    generator = np.random.default_rng(1)
    for _ in range(5):
        view, _, gain = planted(generator, 6, 5, 2.0)
        label = group_pairs(gain, view)
        assert len({*zip(view.tolist(), label.tolist(), strict=True)}) == len(view)
        best = gain_within(label, gain)
        assert best > 0
        for one, group in itertools.product(range(len(view)), range(label.max() + 2)):
            moved = label.copy()
            moved[one] = group
            if len({*zip(view.tolist(), moved.tolist(), strict=True)}) == len(view):
                assert gain_within(moved, gain) <= best + 1e-6


def test_a_detection_in_the_wrong_group_moves():
    """Joining takes the strongest pair first; what that got wrong the moves mend."""
    view = np.array([0, 1, 2, 2, 3])
    gain = np.zeros((5, 5))
    for one, other, value in ((0, 2, 1.0), (0, 1, 0.9), (1, 3, 0.8), (1, 2, -0.7), (0, 3, 0.9), (3, 4, 0.5)):
        gain[one, other] = gain[other, one] = value
    label = group_pairs(gain, view)
    assert label[0] == label[1] == label[3] == label[4] != label[2]


def test_nobody_and_somebody_alone_are_legal():
    assert len(group_pairs(np.zeros((0, 0)), np.zeros(0, dtype=int))) == 0
    assert group_pairs(np.full((2, 2), -1.0), np.array([0, 1])).tolist() == [0, 1]


def weighed(rows, mass, marginal=None):
    mass = torch.tensor(mass, dtype=torch.float64)
    members = torch.tensor(rows)
    marginal = mass if marginal is None else torch.tensor(marginal, dtype=torch.float64)
    cost, cue = torch.arange(len(rows)).double(), torch.ones(len(rows))
    time = torch.tensor([1.0, 0.0], dtype=torch.float64)
    nobody = Association(torch.zeros(0, members.shape[1], dtype=torch.long), torch.zeros(0).double())
    return AssociationResult(nobody, Hypotheses(members, cost, cue, marginal, time, torch.stack([0 * mass, mass])))


def test_the_pairs_of_a_block_are_those_of_its_tuples():
    generator = torch.Generator().manual_seed(0)
    members = torch.randint(-1, 3, (40, 4), generator=generator)
    mass = torch.rand(40, generator=generator, dtype=torch.float64)
    number = torch.arange(12).view(4, 3)
    one = weighed(members.tolist(), mass.tolist()).hypotheses
    assert one is not None
    expected = pair_posterior(mass, members)
    expected.fill_diagonal_(0.0)
    size = int((members + 3 * torch.arange(4))[members != ABSENT].max()) + 1
    torch.testing.assert_close(sum_pairs([one], [mass], number)[:size, :size], expected)


def test_blocks_that_overlap_join_their_people():
    """Views 0 and 1 hold two people, views 1 and 2 as well, in other slots: three views long in the end."""
    first = weighed([[0, 0], [1, 1], [0, ABSENT]], [0.9, 0.6, 0.1])
    second = weighed([[0, 1], [1, 0]], [0.8, 0.7], [0.5, 0.3])
    found = join_blocks([[0, 1], [1, 2]], [first, second], torch.ones(3, 2, dtype=torch.bool), 0.1)
    groups = {tuple(row): float(value) for row, value in
              zip(found.association.members.tolist(), found.association.confidence, strict=True)}  # fmt: skip
    assert set(groups) == {(0, 0, 1), (1, 1, 0)}
    assert groups[0, 0, 1] == pytest.approx((0.9 + 0.5) / 2) and groups[1, 1, 0] == pytest.approx((0.6 + 0.3) / 2)
    assert found.hypotheses is not None
    assert found.hypotheses.members.tolist() == [
        [ABSENT, 0, 1], [ABSENT, 1, 0], [0, ABSENT, ABSENT], [0, 0, ABSENT], [1, 1, ABSENT]
    ]  # fmt: skip


def test_a_tuple_of_two_blocks_has_the_mean_of_both():
    first, second = weighed([[0, 0]], [0.9]), weighed([[0, 0]], [0.3])
    found = join_blocks([[0, 1], [0, 1]], [first, second], torch.ones(2, 1, dtype=torch.bool), 0.1)
    assert found.hypotheses is not None and found.hypotheses.mass[-1].tolist() == pytest.approx([0.6])
    assert found.association.confidence.tolist() == pytest.approx([0.6])


def test_a_pair_that_one_block_doubts_and_another_affirms_is_decided_by_both():
    """The threshold counts once for every block that looked: 0.15 in all is less than 2 x 0.1."""
    first, second = weighed([[0, 0]], [0.15]), weighed([[0, ABSENT], [ABSENT, 0]], [1.0, 1.0])
    valid = torch.ones(2, 1, dtype=torch.bool)
    assert len(join_blocks([[0, 1]], [first], valid, 0.1).association) == 1
    assert len(join_blocks([[0, 1], [0, 1]], [first, second], valid, 0.1).association) == 0


def test_who_shares_people_is_linked_where_no_block_brought_them_together():
    """Nine rooms of one view, but for two views far apart that see the same people: they get a block of their own."""
    overlap = np.eye(9)
    met = np.eye(9)
    overlap[0, 7] = overlap[7, 0] = 0.5
    assert _links(met, overlap) == [[0, 7]] and met[0, 7] == 1 and _links(met, overlap) == []


def test_a_pair_is_decided_by_the_mean_of_what_was_thought_before_sampling_and_after():
    """0.25 and nothing, and nothing and 0.25, are above a tenth; 0.15 beside nothing is not."""
    valid = torch.ones(2, 1, dtype=torch.bool)
    for sampled, marginal, groups in ((0.0, 0.25, 1), (0.25, 0.0, 1), (0.0, 0.15, 0), (0.15, 0.0, 0)):
        found = join_blocks([[0, 1]], [weighed([[0, 0]], [sampled], [marginal])], valid, 0.1)
        assert len(found.association) == groups


def test_a_detection_may_leave_its_group_for_none():
    """One of a view of its own that both others of its group speak against is alone in the end."""
    label, view = np.array([0, 0, 0]), np.arange(3)
    gain = np.array([[0.0, 1.0, -0.5], [1.0, 0.0, -0.5], [-0.5, -0.5, 0.0]])
    _move_single(label, gain, view)
    assert label[0] == label[1] != label[2]


def test_what_blocks_left_out_is_counted():
    first, second = weighed([[0, 0]], [0.9]), weighed([[0, 0]], [0.8])
    first, second = (
        replace(one, hypotheses=replace(one.hypotheses, dropped=n)) for one, n in ((first, 3), (second, 4))
    )
    found = join_blocks([[0, 1], [1, 2]], [first, second], torch.ones(3, 1, dtype=torch.bool), 0.1)
    assert found.hypotheses is not None and found.hypotheses.dropped == 7
