"""Samples that agree: over all detections, and over those of labelled people alone."""

from dataclasses import replace

import pytest
import torch

from dispose.evaluation.agreement import SCOPES, evaluate_agreement, pairs_of, within
from dispose.tensors import ABSENT
from dispose.zoo import load_associator
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import sample_sequence


def test_the_pairs_of_the_chosen_tuples():
    members = torch.tensor([[0, 1, 2], [3, ABSENT, 4], [ABSENT, 5, ABSENT], [9, 9, 9]])
    found = pairs_of(members, torch.tensor([True, True, True, False]))
    assert found == {((0, 0), (1, 1)), ((0, 0), (2, 2)), ((1, 1), (2, 2)), ((0, 3), (2, 4))}


def test_scopes_ask_about_labelled_detections():
    pairs = frozenset({((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 2), (1, 2))})
    labelled = torch.tensor([[True, True, False], [True, False, False]])
    counts = [len(within(pairs, scope, labelled)) for scope in SCOPES]
    assert counts == [3, 2, 1] and within(pairs, SCOPES[2], labelled) == {((0, 0), (1, 0))}


def test_clear_frames_agree_and_frames_without_two_views_do_not_count():
    generator = torch.Generator().manual_seed(3)
    (rig,) = sample_rigs(generator, 1, 3)
    (frame, labels), *_ = sample_sequence(generator, 1, 2, replace(rig, names=("a", "b", "c")))
    nobody = torch.zeros_like(frame.detections.valid)
    empty = replace(frame, detections=replace(frame.detections, valid=nobody))
    rows = list(evaluate_agreement(load_associator(), [(frame, labels), (empty, labels)], "clear"))
    assert [row.frames for row in rows] == [1, 1, 1]
    assert [row.value("as_shipped") for row in rows] == [100.0] * 3
    assert all(row.value("alike") in (0.0, 100.0) for row in rows)
    assert rows[2].value("alike") == pytest.approx(100.0)
