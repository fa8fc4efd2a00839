"""Laws of exported plotly figures: every one under a name of its own, nothing over what is there."""

import asyncio
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import nbformat.v4 as v4
import plotly.graph_objects as go
import pytest

from dispose.errors import InputError
from dispose_viz import export
from dispose_viz.export import MIME, NotebookFigure, drop_controls, figures_of, name_figure
from dispose_workbench.notebooks.page import NO_BROWSER, export_figures


def output(figure: go.Figure) -> Any:
    return v4.new_output("display_data", data={MIME: figure.to_plotly_json()})


def notebook(path: Path, *figures: go.Figure) -> Path:
    cell = v4.new_code_cell("", outputs=[v4.new_output("stream", text="words"), *map(output, figures)])
    path.write_text(json.dumps(v4.new_notebook(cells=[v4.new_markdown_cell("# T"), cell])))
    return path


def line() -> go.Figure:
    return go.Figure(go.Scatter3d(x=[0, 1], y=[0, 1], z=[0, 1]))


def test_figures_are_found_under_different_names(tmp_path: Path) -> None:
    book = notebook(tmp_path / "a.ipynb", name_figure(line(), "people"), line(), name_figure(line(), "people"), line())
    assert [one.name for one in figures_of(book)] == ["people", "figure_1", "people_1", "figure_2"]


@pytest.mark.parametrize("name", ["", "a/b", "a b", "..", "a.png"])
def test_a_name_that_is_none_of_a_file_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot name a file"):
        name_figure(line(), name)


def test_a_still_picture_has_no_buttons() -> None:
    figure = line().update_layout(updatemenus=[{}], sliders=[{}], width=320)
    assert drop_controls(figure.to_plotly_json())["layout"]["width"] == 320
    assert not {"updatemenus", "sliders", "frames"} & set(drop_controls(figure.to_plotly_json())["layout"])


def test_both_kinds_are_written_and_nothing_is_overwritten(tmp_path: Path) -> None:
    if not browser_there():
        pytest.skip("no browser on this machine: apt-get install chromium")
    (tmp_path / "b.svg").write_text("mine")
    figure = line().update_layout(width=300, height=200).to_plotly_json()
    written = asyncio.run(export.export([NotebookFigure("a", figure), NotebookFigure("b", figure)], tmp_path))
    assert [path.name for path in written] == ["a.png", "a.svg", "b.png"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG") and (tmp_path / "b.svg").read_text() == "mine"
    assert ElementTree.parse(tmp_path / "a.svg").getroot().get("width") == "300"


def browser_there() -> bool:
    from choreographer.browsers.chromium import Chromium

    return Chromium.find_browser(skip_local=False) is not None


def test_without_a_browser_the_run_is_good_and_a_sentence_says_what_to_install(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    book = notebook(tmp_path / "a.ipynb", line())
    command = [sys.executable, "-m", "dispose_viz.export", str(book), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, env=dict(os.environ)).returncode == NO_BROWSER
    export_figures(book, tmp_path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "chromium" in said
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


def test_a_notebook_without_scenes_needs_no_browser(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    assert asyncio.run(export.export((), tmp_path)) == ()
    assert export.main([str(notebook(tmp_path / "a.ipynb")), str(tmp_path)]) == 0
