"""Laws of the page: solutions are folded, a widget shows its picture, and nothing waits for a kernel."""

import importlib.util
import json
import re
from typing import Any

import nbformat.v4 as v4
import pytest

from dispose_workbench.notebooks.page import ALIVE, PLOTLY_MIME, WIDGET_MIME, page_of

VIEW = {WIDGET_MIME: {"model_id": "gone", "version_major": 2, "version_minor": 0}, "text/plain": "IntSlider(value=3)"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def cell(source: str, tag: str = "", data: dict[str, Any] | None = None) -> Any:
    outputs = [] if data is None else [v4.new_output("display_data", data=dict(data))]
    return v4.new_code_cell(source, metadata={"tags": [tag]} if tag else {}, outputs=outputs)


def page(*cells: Any) -> str:
    text = page_of(v4.new_notebook(cells=[v4.new_markdown_cell("# T"), *cells]))
    return text[text.index("<body>") :]


def test_solutions_are_folded_and_exercises_marked() -> None:
    hidden = cell("assert 6 * 7 == 42", "solution", {"text/plain": "the answer"})
    hidden.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    question = v4.new_markdown_cell("Six times seven?", metadata={"tags": ["exercise"]})
    because = v4.new_markdown_cell("Because **so**.", metadata={"tags": ["solution"]})
    text = page(question, cell("start = 6", "exercise"), hidden, because, cell("after"))
    (folded,) = re.findall(r'<details class="solution"><summary>Solution</summary>(.*?)</details>', text, re.DOTALL)
    assert "42" in folded and "the answer" in folded and "<strong>so</strong>" in folded
    assert "start" not in folded and "after" not in folded and "Six" not in folded
    assert text.count('<div class="exercise">') == 1 and "dispose-" not in text
    assert text.count("<div") == text.count("</div>")


def test_a_widget_shows_the_picture_it_brings_along() -> None:
    text = page(cell("slider", data={**VIEW, "image/png": PIXEL}))
    assert f"data:image/png;base64,{PIXEL}" in text
    assert "widget-view" not in text and "IntSlider" not in text and ALIVE not in text


def test_a_widget_with_a_scene_shows_the_scene() -> None:
    text = page(cell("picker", data={**VIEW, PLOTLY_MIME: {"data": [], "layout": {}}}))
    assert text.count("Plotly.newPlot(") == 1 and "IntSlider" not in text


def test_a_widget_without_a_picture_says_what_it_is() -> None:
    text = page(cell("slider", data=VIEW))
    assert ALIVE in text and "IntSlider" not in text and "widget-view" not in text


def test_the_notebook_that_was_given_is_not_changed() -> None:
    book = v4.new_notebook(cells=[cell("slider", "solution", {**VIEW, "image/png": PIXEL})])
    before = json.dumps(book)
    page_of(book)
    assert json.dumps(book) == before


@pytest.mark.parametrize("tag", ["solution", ""])
def test_jupyterlab_folds_solutions_and_nothing_else(tag: str, root, tmp_path) -> None:
    spec = importlib.util.spec_from_file_location("tools_notebooks", root / "tools" / "notebooks.py")
    assert spec is not None and spec.loader is not None
    tools = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tools)
    tagged = f' tags=["{tag}"]' if tag else ""
    (tmp_path / "a.py").write_text(f"# %% [markdown]{tagged}\n# text\n\n# %%{tagged}\n1 + 1\n")
    markdown, code = json.loads(tools.notebook_of(tmp_path / "a.py"))["cells"]
    assert markdown["metadata"].get("jupyter") == ({"source_hidden": True} if tag else None)
    assert code["metadata"].get("jupyter") == ({"source_hidden": True, "outputs_hidden": True} if tag else None)
