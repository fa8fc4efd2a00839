"""`dispose bench faults`: every kind of fault is injected, and what is found and mended is counted as it is."""

from pathlib import Path

import pytest
import torch

from dispose_benchmarks.faults import dead, faults_of, late, pair_f1, spread, try_fault
from dispose_benchmarks.studies.fault_captures import crossing

TOPICS = {"units", "extrinsics", "axes", "picture size", "time", "turned", "focal length", "exchanged", "dead"}


def test_every_kind_of_fault_is_injected_and_does_what_it_says() -> None:
    capture = crossing(Path())
    faults = list(faults_of(capture, 1, 0))
    assert {fault.topic for fault in faults} == TOPICS
    assert sorted(fault.late for fault in faults if fault.late) == [1, 5, 12]
    takes, _ = late(capture.takes, capture.cameras, view=1, frames=5)
    for view, before in ((0, 7), (1, 2)):
        torch.testing.assert_close(
            takes[2].detections.counts[view], capture.takes[before].detections.counts[view]
        )  # fmt: skip
    blind, _ = dead(capture.takes, capture.cameras, view=2)
    assert all(int(take.detections.counts[2]) == 0 for take in blind)


def test_a_wrong_unit_is_named_and_mended_to_the_same_pairs() -> None:
    capture = crossing(Path())
    fault = next(fault for fault in faults_of(capture, 1, 0) if fault.name == "unit x 10")
    row = try_fault(capture, fault, 10)
    assert row.named and row.topics == ("units",)
    assert row.f1_spoilt < 60 < row.f1 - 20
    assert row.f1_mended == row.f1 == pair_f1(capture.takes, capture.cameras, spread(capture.takes, 10))


@pytest.mark.parametrize("name", ["focal length x 1.1", pytest.param("late by 5", marks=pytest.mark.slow)])
def test_what_is_mended_is_scored_on_the_instants_that_it_shows(name: str) -> None:
    """Ends without a partner do not count; and a lens too long is found where no turn looks like it."""
    capture = crossing(Path())
    row = try_fault(capture, next(fault for fault in faults_of(capture, 1, 0) if fault.name == name), 60)
    assert row.named and row.f1_mended == pytest.approx(row.f1, abs=0.2)
    takes, _ = late(capture.takes, capture.cameras, view=0, frames=5)
    assert [take.instant for take in takes] == list(range(5, len(capture.takes)))
