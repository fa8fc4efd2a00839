"""What the shipped weights promise: better than the classics on the sample, equal under any order of the cameras."""

import itertools

import pytest
import torch

from dispose.baselines.integer_programme import integer_programme
from dispose.datasets.samples import sample_folder
from dispose.datasets.tables.shelf import read_shelf
from dispose.inference.capture import read_capture, read_frame
from dispose.tensors import ABSENT
from dispose.zoo import load_associator


@pytest.fixture(scope="module")
def associator():
    return load_associator()


@pytest.fixture(scope="module")
def frames():
    capture = read_capture(sample_folder("crossing"))
    return [read_frame(capture, number).frame for number in capture.numbers[::10]]


def groups(association, order):
    """Groups as sets of (camera of the rig, slot)."""
    return {
        frozenset((order[view], slot) for view, slot in enumerate(row) if slot != ABSENT)
        for row in association.members.tolist()
    }


def test_the_order_of_the_cameras_changes_only_names(associator, frames):
    views = range(len(frames[0].cameras))
    for frame, order in zip(frames, itertools.permutations(views), strict=False):
        assert groups(associator(frame.select(views=order)), order) == groups(associator(frame), views)


def test_two_cameras_are_enough(associator, frames):
    for frame in frames:
        assert len(associator(frame.select(views=[0, 2]))) >= 1


def test_confidence_is_a_probability(associator, frames):
    for frame in frames:
        confidence = associator(frame).confidence
        assert ((confidence >= 0) & (confidence <= 1)).all()


def test_the_order_of_real_cameras_changes_only_names(associator, shared_data):
    scenes = list(read_shelf(shared_data / "shelf"))[::25]
    for frame, _ in scenes:
        for views in ((0, 1, 2, 3, 4), (0, 2, 4), (4, 1, 3, 2)):
            straight = sorted(views)
            turned = list(reversed(views))
            assert groups(associator(frame.select(views=turned)), turned) == groups(
                associator(frame.select(views=straight)), straight
            )


def test_fewer_pair_errors_than_the_integer_programme_on_real_frames(associator, shared_data):
    from dispose.metrics.association import PairCounts, count_pairs

    ours, theirs = PairCounts(), PairCounts()
    for frame, labels in list(read_shelf(shared_data / "shelf"))[::10]:
        ours += count_pairs(associator(frame), labels.identity)
        theirs += count_pairs(integer_programme(frame), labels.identity)
    assert ours.f1 > theirs.f1
    assert ours.f1 >= 0.985


def test_deterministic(associator, frames):
    one, two = associator(frames[0]), associator(frames[0])
    torch.testing.assert_close(one.confidence, two.confidence, rtol=0, atol=0)
    assert torch.equal(one.members, two.members)
