"""People of real sets are ranked by their score at least as well as by what their keypoints add up to."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.association.reconstruct import robust
from dispose.evaluation.measures import person_scores
from dispose.evaluation.triangulators import compare, trials
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import COCO_17
from dispose.zoo.checkpoints import load_associator


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shelf", "mvor_rtpose", "mvor_openpose_distinct"])
def test_the_score_ranks_as_well_as_the_evidence(shared_data: Path, name: str) -> None:
    trial = next(one for one in trials(load_associator().associate) if one.name == name)
    (row,) = compare(trial, shared_data, [("robust", robust)]).rows
    assert row.value("ranked") >= row.value("ranked_evidence")
    assert row.value("long_bones") == 0
    if name != "shelf":
        assert row.value("ap_150") >= row.value("ap_150_evidence")


def test_people_are_ranked_by_their_score_where_there_is_one() -> None:
    valid = torch.ones(2, 17, dtype=torch.bool)
    confidence = torch.tensor([[0.2], [0.8]], dtype=torch.float64).expand(2, 17)
    poses = Poses(COCO_17, torch.zeros(2, 17, 3, dtype=torch.float64), confidence, valid, torch.arange(2))
    torch.testing.assert_close(person_scores(poses), torch.tensor([0.2, 0.8], dtype=torch.float64))
    scored = replace(poses, score=torch.tensor([0.9, 0.1], dtype=torch.float64))
    assert person_scores(scored).tolist() == [0.9, 0.1]
