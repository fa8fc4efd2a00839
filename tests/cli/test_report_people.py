"""What is said of people at the end of a run: how many, how far off their joints probably are, who has none at all."""

import numpy as np
import pytest
import torch

from dispose.cli.captures import report_people
from dispose.formats import person_table
from dispose.formats.person_table import PersonTable, typical_errors
from dispose.geometry.uncertainty import expected_error
from dispose.skeletons.catalog import COCO_17


def test_the_count_of_people_without_joints_goes_through_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_table, "SOME_ROWS", 3)
    joints = np.zeros((7, 17, 4))
    joints[[0, 4, 6], :, :3] = np.nan
    joints[5, 1:] = np.nan
    assert PersonTable(COCO_17, np.arange(7), np.arange(7), np.zeros(7, int), joints).without_joints == 3


def test_people_without_joints_are_said_and_alone_are_nobody(capsys) -> None:
    report_people([(0, 10)], "", 3)
    assert "3 of the 10 times that somebody was found" in capsys.readouterr().out
    report_people([(0, 10)], "", 2)
    assert "times" not in capsys.readouterr().out


def test_how_far_off_joints_are_expected_to_be_is_said(capsys) -> None:
    people = [(1, 10), (2, 9), (3, 8)]
    report_people(people, "", 0, {1: 20.0, 2: 24.0, 3: 61.0})
    said = capsys.readouterr().out
    assert "id 3: 8 frames\njoints are probably 24 mm off at the median; most of all those of id 3, 61 mm.\n" in said
    assert "much" not in said
    report_people(people, "", 0, {1: 60.0, 2: 64.0})
    said = capsys.readouterr().out
    assert "off at the median.\nthat is much: `dispose check` says" in said
    report_people(people, "")
    assert "mm off" not in capsys.readouterr().out


def test_expected_errors_are_medians_of_everybodys_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person_table, "SOME_ROWS", 2)
    people = np.array([7, 3, 7, 7, 3, 9])
    root = torch.randn(6, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([10.0, 5.0, 40.0, 100.0, 9.0, torch.nan])[:, None, None, None]
    whole = scale**2 * root @ root.mT
    whole[0, 0] = torch.nan
    error = expected_error(whole).numpy()
    triangle = whole.numpy()[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]].astype(np.float32)
    found = typical_errors(people, triangle)
    # The lower one of two joints, the mean of two frames.
    assert found.keys() == {3, 7}
    assert found[7] == pytest.approx(sorted([error[0, 1:].min(), *np.median(error[[2, 3]], 1)])[1], rel=1e-5)
    assert found[3] == pytest.approx(np.median(error[[1, 4]], 1).mean(), rel=1e-5)
    assert typical_errors(people[:0], triangle[:0]) == {}
