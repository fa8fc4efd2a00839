"""Every notebook: what its cells promise, and that it runs headlessly on something tiny."""

import json
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch

from dispose.cli.notebook_page import title_of
from dispose.cli.notebook_run import (
    NOTEBOOKS,
    PATHS,
    READERS,
    notebook_names,
    notebook_path,
    parameters_of,
    run_notebook,
)
from dispose.datasets.samples import sample_folder
from dispose.models.associator import Associator, AssociatorConfig
from dispose.models.dispose import DisPose
from dispose.models.placement import PlacementConfig
from dispose.recipes.images import TOY_SMOKE
from dispose.zoo import save_weights

EVERY = [NOTEBOOKS / f"{name}.ipynb" for name in notebook_names()]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_one_parameters_cell_whose_types_a_command_line_can_give(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in book.cells if "parameters" in tags(cell)]
    declared = parameters_of(path)
    assert len(declared) == len(cell.source.splitlines()), "one parameter per line"
    assert {p.kind for p in declared} <= {*READERS, "Path", PATHS}
    assert all(p.help for p in declared), "every parameter says what it is"


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_it_says_what_comes_and_ends_with_what_to_try(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == cells[-1].cell_type == "markdown"
    assert title_of(nbformat.read(path, as_version=4)) and "You will see" in cells[0].source
    assert cells[-1].source.startswith("## Try next")
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert not re.search(r"\$[^$\n]+\$", text), "formulas would need a library from the net"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Path:
    """Weights of a small network that has learned nothing: enough to run through."""
    torch.manual_seed(0)
    config = AssociatorConfig(placement=PlacementConfig(chans=32, blocks=1), chans=32, layers=1)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, Associator(config))
    return path


@pytest.fixture(scope="module")
def short_capture(tmp_path_factory) -> Path:
    """The sample's first three frames."""
    folder, whole = tmp_path_factory.mktemp("capture"), sample_folder("crossing")
    for path in (*whole.glob("calibration/*"), *whole.glob("truth/*"), *whole.glob("pose/*/*.000[0-2].json")):
        copy = folder / path.relative_to(whole)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return folder


def test_start_here_runs(untrained: Path, short_capture: Path, tmp_path: Path) -> None:
    given = [("capture", str(short_capture)), ("frame", "1"), ("weights", str(untrained))]
    done = run_notebook(notebook_path("00_start_here"), given, tmp_path / "run")
    pictures = {path.name for path in done.folder.glob("*.png")}
    assert pictures == {
        "rig.png", "detections.png", "diffusion.png", "who_is_who.png", "reprojection.png", "walks.png"
    }  # fmt: skip
    assert all(path.stat().st_size > 5_000 for path in done.folder.glob("*.png"))
    assert set(json.loads((done.folder / "metrics.json").read_text())) == {"pair_f1", "exact", "found", "mpjpe_mm"}
    page = done.page.read_text(encoding="utf-8")
    assert page.count("Plotly.newPlot(") == 1 and page.count("Plotly.addFrames(") == 1
    figure = re.search(r"const figure = (\{.*?\});\n", page)
    assert figure is not None
    scene = json.loads(figure.group(1).replace("<\\/", "</"))
    assert [frame["name"] for frame in scene["frames"]] == ["0", "1", "2"]
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*[\"'](?!data:)", page)


def test_from_pictures_runs(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = DisPose(replace(TOY_SMOKE.images.model, peaks=3))
    # Peaks everywhere: people, if not those that are there.
    torch.nn.init.constant_(network.backbone.get_parameter("final_layer.bias"), 0.5)
    save_weights(tmp_path / "untrained.safetensors", network)
    given = [("weights", str(tmp_path / "untrained.safetensors")), ("frame", "3")]
    done = run_notebook(notebook_path("from_pictures"), given, tmp_path / "run")
    assert {path.name for path in done.folder.glob("*.png")} == {"pictures.png", "roots.png", "people.png"}
    assert all(path.stat().st_size > 100_000 for path in done.folder.glob("*.png"))
    assert set(json.loads((done.folder / "metrics.json").read_text())) == {"found", "mpjpe_mm"}
    assert done.page.read_text(encoding="utf-8").count("data:image/png") >= 3


def test_evaluate_runs(untrained: Path, tmp_path: Path) -> None:
    given = [("count", "4"), ("weights", str(untrained))]
    done = run_notebook(notebook_path("evaluate"), given, tmp_path / "run")
    figures = json.loads((done.folder / "metrics.json").read_text())
    assert next(iter(figures)) == "ours" and all(0 <= row["pair_f1"] <= 1 for row in figures.values())
    assert {path.name for path in done.folder.glob("*.png")} == {"scores.png", "worst.png"}


@pytest.mark.slow
def test_train_runs_and_goes_on_with_a_finished_run(tmp_path: Path) -> None:
    path, given = notebook_path("train"), [("run", str(tmp_path / "training"))]
    done = run_notebook(path, given, tmp_path / "first")
    assert {p.name for p in done.folder.glob("*.png")} == {"curves.png", "diffusion.png"}
    written = (tmp_path / "training" / "associator.safetensors").stat().st_mtime_ns
    run_notebook(path, given, tmp_path / "second")
    assert (tmp_path / "training" / "associator.safetensors").stat().st_mtime_ns == written
