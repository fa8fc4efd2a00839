"""Every notebook, run from its first cell to its last as it is shipped, without a browser."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import nbformat
import numpy as np
import pytest
from PIL import Image

from dispose_workbench.notebooks.page import PLOTLY_MIME, WIDGET_MIME
from dispose_workbench.notebooks.run import Done, notebook_names, notebook_path, run_notebook
from dispose_workbench.results.run_folders import read_record, read_run_folder

# Those that take longest start first, so that no worker waits for the last one alone.
LONGEST = (
    "train",
    "adapt_to_your_rig",
    "learnable_triangulation",
    "09_skeletons_in_3d",
    "10_reprojections",
    "05_toy_diffusion",
    "03_polystochastic_tensors",
    "evaluate",
)
SLOW = ("train", "adapt_to_your_rig")
LARGEST_PAGE = 15e6

METRICS = {
    "00_start_here": {"pair_f1", "exact", "found", "mpjpe_mm"},
    "from_pictures": {"found", "mpjpe_mm"},
    "learnable_triangulation": {"no lie · dlt · mm", "a stranger · rays · mm", "2 cameras · rays · mm"},
    "multi_hypothesis": {"along_mm", "across_mm", "legs_wider"},
    "informed_diffusion": {"mean of several · mm", "spread_first_mm", "two_places_wider"},
    "views_agree": {"in_room_%", "from_hips_%", "meeting_mm"},
    "evaluate": {"ours · pair_f1", "integer programme · exact"},
    "compare_runs": {"fast · people_right_%", "slow · people_right_%"},
    "adapt_to_your_rig": {"before", "after"},
    "train": {"seconds", "placement/loss", "denoiser/loss"},
}
"""Some figures that a notebook writes."""

ALIKE = 0.8
"""Structure that a picture of README shares with today's at least: training differs a little between machines."""


def ordered(names: list[str]) -> list[Any]:
    first = [name for name in LONGEST if name in names]
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in [*first, *(name for name in names if name not in first)]
    ]


@pytest.mark.parametrize("name", ordered(notebook_names()))
def test_it_runs_as_it_is_shipped(name: str, tmp_path: Path, outside_links, similarity, gallery) -> None:
    done = run_notebook(notebook_path(name), (), tmp_path / "run")
    assert read_record(done.folder / "run.json").status == "done"
    cells = nbformat.read(done.notebook, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    warned = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert not warned, "a cell warns its reader"
    data = [output.data for output in outputs if "data" in output]
    assert not any(WIDGET_MIME in one for one in data), "a widget without its kernel"
    check_pictures(notebook_path(name), done)
    check_scenes(notebook_path(name), [one[PLOTLY_MIME] for one in data if PLOTLY_MIME in one])
    check_page(done, outside_links)
    check_gallery(name, done, similarity, gallery)
    if (done.folder / "metrics.json").exists():
        figures = {figure for figure, _ in read_run_folder(done.folder).metrics}
        assert figures and figures >= METRICS.get(name, set())
    else:
        assert name not in METRICS
    if name == "train":
        check_going_on(done, tmp_path / "again")


def check_pictures(path: Path, done: Done) -> None:
    """Every picture that a cell saves is there, in both kinds, and is no empty canvas."""
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    for picture in re.findall(r'out / "(\w+)"\)', source) if "save_figure(" in source else []:
        assert (done.folder / f"{picture}.png").stat().st_size > 3_000
        assert ElementTree.parse(done.folder / f"{picture}.svg").getroot().tag.endswith("svg")


def check_scenes(path: Path, figures: list[Any]) -> None:
    """Every plotly figure has a name, under which a headless run exports it, and something in it."""
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    names = [figure.get("layout", {}).get("meta", {}).get("name") for figure in figures]
    assert set(re.findall(r'named\([^"]*"([\w-]+)"\)', source)) <= set(names)
    assert None not in names, "a plotly figure without a name: dispose_viz.export.name_figure"
    assert all(figure["data"] for figure in figures)


def check_page(done: Done, outside_links) -> None:
    """The page opens offline: it loads nothing, and carries plotly's script where it has scenes."""
    page = done.page.read_text(encoding="utf-8")
    assert outside_links(page) == [] and len(page.encode()) < LARGEST_PAGE
    assert "widget-view+json" not in page
    scenes = page.count("Plotly.newPlot(")
    assert len(re.findall(r"<script>/\*\*\s*\* plotly.js v", page)) == (1 if scenes else 0)
    for text in re.findall(r"const figure = (\{.*?\});\n", page):
        json.loads(text.replace("<\\/", "</"))


def check_gallery(name: str, done: Done, similarity, gallery: ModuleType) -> None:
    """The pictures that README shows are those that the notebook draws today; compared at a third of their size."""
    for shown in gallery.GALLERY:
        if shown.notebook == name:
            today, stored = still_image_of(done.folder / shown.file), still_image_of(gallery.FOLDER / shown.name)
            height, width = stored.shape[0] // 3, stored.shape[1] // 3
            ratio = (today.shape[1] / today.shape[0]) / (width / height)
            assert abs(ratio - 1) < 0.02, f"{shown.name} has another shape: make figures"
            small = [cv2.resize(one, (width, height), interpolation=cv2.INTER_AREA) for one in (today, stored)]
            assert similarity(*small) > ALIKE, f"{shown.name} shows another picture: make figures"


def still_image_of(path: Path) -> np.ndarray:
    """A picture, or the last one of a film: what it came to."""
    with Image.open(path) as file:
        file.seek(getattr(file, "n_frames", 1) - 1)
        return cv2.cvtColor(np.array(file.convert("RGB")), cv2.COLOR_RGB2BGR)


def check_going_on(done: Done, folder: Path) -> None:
    """A training that is finished is not repeated."""
    weights = done.folder / "training" / "associator.safetensors"
    written = weights.stat().st_mtime_ns
    run_notebook(notebook_path("train"), [("run", str(weights.parent))], folder)
    assert weights.stat().st_mtime_ns == written
