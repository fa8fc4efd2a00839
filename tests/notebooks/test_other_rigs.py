"""Lessons about a capture run on a rig that their words were not written for: two cameras, the fewest there can be."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.formats.predictions import write_predictions
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import sample_sequence, write_capture
from dispose_workbench.notebooks.run import notebook_path, run_notebook

GIVEN = {
    "01_cameras_and_rays": (("frame", "2"), ("knocked", "1")),
    "02_triangulation": (("frame", "2"), ("person", "0"), ("draws", "50")),
    "04_sinkhorn_projection": (("frame", "2"),),
    "your_own_rig": (("start", "0"), ("stop", "3")),
}


@pytest.fixture(scope="module")
def two_cameras(load_tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of two people before two cameras, made like the sample `crossing`."""
    tools = load_tool("make_sample")
    folder = tmp_path_factory.mktemp("rigs") / "zwei Kameras"
    (cameras,) = sample_rigs(torch.Generator().manual_seed(3), 1, 2, (replace(tools.RIG, views=(2, 2)),))
    drawn = sample_sequence(torch.Generator().manual_seed(1), 4, 2, cameras, tools.CONFIG)
    frames = [tools.rounded(frame) for frame, _ in drawn]
    write_capture(folder, frames)
    truth = [tools.truth_of(frame, labels) for frame, (_, labels) in zip(frames, drawn, strict=True)]
    write_predictions(folder / "truth" / "predictions.jsonl", truth[0].poses.skeleton, cameras.names, truth)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", GIVEN)
def test_it_runs_on_two_cameras(name: str, two_cameras: Path, tmp_path: Path) -> None:
    assert run_notebook(
        notebook_path(name), [("capture", str(two_cameras)), *GIVEN[name]], tmp_path / "run"
    ).page.exists()
