"""What every notebook promises in its cells, without running it (`test_every_notebook.py` runs them)."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

from dispose_workbench.notebooks.page import title_of
from dispose_workbench.notebooks.parameters import READERS, parameters_of
from dispose_workbench.notebooks.run import NOTEBOOKS, notebook_names

EVERY = [NOTEBOOKS / f"{name}.ipynb" for name in notebook_names()]
TEACHING = [path for path in EVERY if re.match(r"0[1-8]_", path.name)]


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_one_parameters_cell_whose_types_a_command_line_can_give(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in book.cells if "parameters" in tags(cell)]
    declared = parameters_of(path)
    assert len(declared) == len(cell.source.splitlines()), "one parameter per line"
    assert {p.kind for p in declared} <= set(READERS)
    assert all(p.help for p in declared), "every parameter says what it is"
    assert ("out", "Path", 'Path(".")') in [(p.name, p.kind, p.default) for p in declared]


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_it_says_what_comes_and_ends_with_what_to_try(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == cells[-1].cell_type == "markdown"
    assert title_of(nbformat.read(path, as_version=4)) and "You will see" in cells[0].source
    assert cells[-1].source.startswith("## Try next")
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert not re.search(r"\$[^$\n]+\$", text), "formulas would need a library from the net"


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_cells_are_short(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert max(len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code") <= 15


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_no_cell_shows_a_number_that_nobody_asked_for(path: Path) -> None:
    """The last expression of a cell is shown, and `write_text` returns how many letters it wrote."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            body = ast.parse(re.sub(r"(?m)^%.*$", "", cell.source)).body
            last = ast.unparse(body[-1]) if body and isinstance(body[-1], ast.Expr) else ""
            assert not re.search(r"\.write_(text|bytes)\(", last)


@pytest.mark.parametrize("path", TEACHING, ids=lambda path: path.stem)
def test_a_lesson_has_exercises_and_their_solutions_are_folded(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    kinds = "".join("e" if "exercise" in tags(c) else "s" if "solution" in tags(c) else "." for c in cells)
    assert "es" in kinds, "one exercise at least, with a solution behind it"
    assert not re.search(r"(^|[^es])s", kinds), "a solution without an exercise before it"
    assert not re.search(r"e([^es]|$)", kinds), "an exercise without a solution behind it"
    hidden = [cell.metadata.get("jupyter", {}).get("source_hidden", False) for cell in cells]
    assert hidden == ["solution" in tags(cell) for cell in cells]
