"""What refining gives back of knocked cameras: a synthetic room and a real board keep what is promised."""

import json
from pathlib import Path

import pytest
import torch

from dispose_benchmarks.refine import RefineBench, board_case, measure


def test_a_synthetic_room_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "refine.json"
    assert RefineBench(data=tmp_path / "nothing", frames=30, seeds=1, rooms=1, out=out).run() == 0
    found = json.loads(out.read_text())
    calm, knocked = found["rows"]
    assert (calm["degrees"], knocked["degrees"], knocked["mm"]) == (0, 1, 30)
    assert knocked["disturbed_px"] > 1.5 * knocked["undisturbed_px"]
    assert knocked["written"] and knocked["share"] < 1.1 and found["largest_share_knocked"] == knocked["share"]
    assert found["worst_camera"] <= 1.0


@pytest.mark.parametrize(("degrees", "mm", "seed"), [(0.0, 0.0, 0), (1.0, 30.0, 0), (1.0, 30.0, 3)])
def test_a_real_board_stays_or_comes_back(shared_data: Path, degrees: float, mm: float, seed: int) -> None:
    """By the fourth knock one camera agrees with none of the others on anything as small as a board."""
    torch.set_num_threads(1)
    row = measure(board_case(shared_data), degrees, mm, seed)
    assert row.share < 1.05 and row.worst_camera <= 1.0
    assert row.written == (degrees > 0) and row.undisturbed_px < 1.5
