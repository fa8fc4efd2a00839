"""What the past is worth: how it is counted."""

import json

import pytest
import torch

from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association
from dispose.tensors import ABSENT
from dispose_benchmarks.past import PastBench, draw_sequence, exchange, is_mixed, numbers_of


def test_two_people_are_exchanged_in_one_view_and_found_out():
    frame, labels = draw_sequence(2, 0, 3)[0]
    truth = association_of_identities(labels.identity)
    wrong = exchange(truth, labels.identity, 1)
    assert wrong is not None
    association, people = wrong
    one, other = (int((labels.identity[0, truth.members[:, 0]] == who).nonzero()[0, 0]) for who in people)
    assert is_mixed(association, labels, people) and not is_mixed(truth, labels, people)
    assert (
        association.members[one, 1] == truth.members[other, 1]
        and (association.members[:, 0] == truth.members[:, 0]).all()
    )
    assert exchange(Association(torch.tensor([[0, 0], [1, ABSENT]]), torch.ones(2)), labels.identity, 0) is None
    assert len(frame.cameras.names) == 2


def test_a_person_has_the_number_of_most_of_their_detections():
    _, labels = draw_sequence(3, 1, 2)[1]
    truth = association_of_identities(labels.identity)
    ids = 100 + torch.arange(len(truth))
    found = numbers_of(truth, ids, labels)
    for row, number in zip(truth.members, ids.tolist(), strict=True):
        view = int((row != ABSENT).nonzero()[0])
        assert found[int(labels.identity[view, row[view]])] == number


def test_the_bench_writes_three_rows_for_every_number_of_views(tmp_path, capsys):
    out = tmp_path / "past.json"
    assert PastBench(views=(2,), sequences=1, frames=7, out=out).run() == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["method"] for row in rows] == ["every frame alone", "the past as a view", "the frames around"]
    assert all(row["pair_f1"] > 50 and row["switches"] >= 0 for row in rows)
    assert "the past as a view" in capsys.readouterr().out
    with pytest.raises(Exception, match="views"):
        PastBench(views=(1,), out=out).run()
