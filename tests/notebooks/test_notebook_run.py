"""Laws of headless runs: nothing starts on wrong parameters, results are whole, pages need no network."""

import re
import subprocess
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from dispose.cli.main import main
from dispose.errors import InputError
from dispose_workbench.notebooks import run
from dispose_workbench.notebooks.page import PLOTLY_MIME, page_of, title_of
from dispose_workbench.notebooks.parameters import Parameter, parameters_of, read_values
from dispose_workbench.notebooks.run import (
    NotebookError,
    free_folder,
    keep_killed,
    notebook_path,
    progress,
    replace_folder,
    run_notebook,
)
from dispose_workbench.notebooks.sweep import SweepRun, run_command
from dispose_workbench.results.run_folders import read_record, read_run_folder

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
DECLARED = tuple(Parameter(kind.lower(), kind, "0", "") for kind in ("int", "float", "bool", "str", "Path"))
CELLS = """
import sys
from pathlib import Path
steps: int = 3  # how often
where: Path = Path(".")
""", """
import plotly.graph_objects as go
from IPython.display import display
display(go.Figure(go.Scatter3d(x=[0, 1], y=[0, 1], z=[0, steps]), frames=[go.Frame(name="a")]))
go.Figure(go.Scatter(y=[1, 2], name="</script>"))
""", """
Path("metrics.json").write_text(str(steps))
assert steps < 100, "too many steps"
"""  # fmt: skip


def job(book: Path, out: Path, *given: tuple[str, str]) -> list[str]:
    """The command line of a run, as a sweep starts it."""
    return run_command(book, out.parent, SweepRun(out.name, given, (), ()))


def write_book(path: Path, sources: tuple[str, ...]) -> Path:
    cells: list[Any] = [nbformat.v4.new_markdown_cell("# A <b>title</b>")]
    cells += [nbformat.v4.new_code_cell(source.strip()) for source in sources]
    cells[1].metadata["tags"] = ["parameters"]
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(book, path)
    return path


def test_values_arrive_in_the_types_that_the_notebook_declares(tmp_path) -> None:
    given = [("int", "4"), ("float", "1e-3"), ("bool", "false"), ("str", "1"), ("path", "a/b")]
    values = read_values(DECLARED, given, tmp_path)
    assert dict(values) == {"int": 4, "float": 1e-3, "bool": False, "str": "1", "path": str(tmp_path / "a" / "b")}


@pytest.mark.parametrize(
    "wrong", [("int", "1e3"), ("int", "2.0"), ("float", "nan"), ("float", "x"), ("bool", "1"), ("Path", "")]
)
def test_a_wrong_type_is_one_sentence_with_name_type_and_value(wrong, tmp_path) -> None:
    kind, text = wrong
    with pytest.raises(InputError, match=f"'{kind.lower()}' must be of type {kind}, got '{re.escape(text)}'"):
        read_values(DECLARED, [(kind.lower(), text)], tmp_path)


def test_unknown_and_repeated_names_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no parameter 'n_stepz'.*int: int"):
        read_values(DECLARED, [("n_stepz", "4")], tmp_path)
    with pytest.raises(InputError, match="twice"):
        read_values(DECLARED, [("int", "4"), ("int", "5")], tmp_path)


def test_parameters_are_read_from_the_tagged_cell(tmp_path) -> None:
    book = write_book(tmp_path / "a.ipynb", CELLS)
    steps, where = parameters_of(book)
    assert steps == Parameter("steps", "int", "3", "how often")
    assert (where.name, where.kind) == ("where", "Path")


def test_nothing_runs_on_a_wrong_parameter_or_over_an_older_run(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(run, "execute", lambda *_: pytest.fail("it ran"))
    book = write_book(tmp_path / "a.ipynb", CELLS)
    with pytest.raises(InputError, match="'stepz'"):
        run_notebook(book, [("stepz", "4")], tmp_path / "out")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "kept").write_text("x")
    with pytest.raises(InputError, match="exists"):
        run_notebook(book, [], tmp_path / "old")
    assert {p.name for p in tmp_path.iterdir()} == {"a.ipynb", "old"}
    assert (tmp_path / "old" / "kept").read_text() == "x"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> run.Done:
    folder = tmp_path_factory.mktemp("finished")
    return run_notebook(write_book(folder / "a.ipynb", CELLS), [("steps", "5")], folder / "out")


def test_a_run_leaves_notebook_page_and_what_the_notebook_wrote(finished) -> None:
    assert {p.name for p in finished.folder.iterdir()} == {"a.ipynb", "a.html", "metrics.json", "run.json"}
    assert (finished.folder / "metrics.json").read_text() == "5"
    assert {p.name for p in finished.folder.parent.iterdir()} == {"a.ipynb", "out"}, "no temporary folder is left"


def test_the_record_says_what_ran_with_what(finished) -> None:
    record = read_record(finished.folder / "run.json")
    assert (record.notebook, record.status, record.given) == ("a", "done", ("steps",))
    assert record.parameters == (("steps", 5), ("where", 'Path(".")'))
    assert record.seconds > 0 and {"python", "torch", "dispose"} <= {name for name, _ in record.versions}


def test_two_runs_into_one_folder_at_the_same_time(tmp_path) -> None:
    """The first one waits in its cell for a file that the test writes when the second has been refused."""
    wait = "import time\nPath('../started').touch()\nwhile not Path('../go').exists(): time.sleep(0.05)\n"
    book = write_book(tmp_path / "a.ipynb", (CELLS[0], wait, CELLS[2]))
    first = subprocess.Popen(job(book, tmp_path / "out", ("steps", "1")), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "started").exists() and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        second = subprocess.run(job(book, tmp_path / "out"), capture_output=True, text=True)
        (tmp_path / "go").touch()
    finally:
        first.communicate(timeout=60)
    assert second.returncode == 2 and "another run is writing into this folder" in second.stderr
    assert first.returncode == 0 and (tmp_path / "out" / "metrics.json").read_text() == "1"
    assert {p.name for p in tmp_path.iterdir()} == {"a.ipynb", "out", "started", "go"}


def test_a_run_that_is_asked_to_end_leaves_no_folder_that_looks_whole(tmp_path) -> None:
    wait = "import time\nPath('../started').touch()\ntime.sleep(60)\n"
    book = write_book(tmp_path / "a.ipynb", (CELLS[0], wait))
    process = subprocess.Popen(job(book, tmp_path / "out"), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and not (tmp_path / "out").exists()
    assert f"what had run is kept in {tmp_path / 'out-failed' / 'a.ipynb'}" in said
    with pytest.raises(InputError, match=r"the run failed \(interrupted\)"):
        read_run_folder(tmp_path / "out-failed")


def test_what_a_killed_run_left_is_kept_under_a_name_that_can_be_seen(tmp_path) -> None:
    for name in (".out.running-abc", ".out-2.running-abc", ".[o]ut.running-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.ipynb").write_text(name)
    keep_killed(tmp_path / "out")
    assert (tmp_path / "out-failed" / "a.ipynb").read_text() == ".out.running-abc"
    assert {p.name for p in tmp_path.iterdir()} == {"out-failed", ".out-2.running-abc", ".[o]ut.running-x"}


def test_the_notebook_writes_into_the_folder_of_its_run_only(tmp_path) -> None:
    declared = (Parameter("out", "Path", 'Path(".")', ""),)
    with pytest.raises(InputError, match="--out"):
        read_values(declared, [("out", "elsewhere")], tmp_path)


def test_the_page_loads_nothing_and_carries_plotly_once(finished, outside_links) -> None:
    page = finished.page.read_text(encoding="utf-8")
    assert outside_links(page) == []
    assert page.count("Plotly.newPlot(") == 2
    assert len(re.findall(r"<script>/\*\*\s*\* plotly.js v", page)) == 1
    assert not re.search(r"cdn\.(?:plot\.ly/plotly|jsdelivr\.net/npm/(?:mathjax|@jupyter))", page)
    assert "<title>A &lt;b&gt;title&lt;/b&gt;</title>" in page
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 3, "text that looks like a closing tag did not end a script"


def test_the_executed_notebook_stays_small_and_keeps_its_figures(finished) -> None:
    assert finished.notebook.stat().st_size < 200_000
    book = nbformat.read(finished.notebook, as_version=4)
    assert "widgets" not in book.metadata
    mimes = [m for c in book.cells for o in c.get("outputs", []) for m in o.get("data", {})]
    assert mimes.count(PLOTLY_MIME) == 2


def test_a_failing_cell_is_named_and_what_had_run_is_kept(tmp_path) -> None:
    book = write_book(tmp_path / "a.ipynb", (CELLS[0], CELLS[2]))
    with pytest.raises(NotebookError, match=r"a: cell 3 of 3 \[3\] failed with AssertionError: too many") as caught:
        run_notebook(book, [("steps", "100")], tmp_path / "out")
    assert "write_text(str(steps))\n    assert steps < 100" in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"a.ipynb", "out-failed"}
    kept = nbformat.read(tmp_path / "out-failed" / "a.ipynb", as_version=4)
    assert any(cell.get("execution_count") for cell in kept.cells)
    assert (tmp_path / "out-failed" / "metrics.json").read_text() == "100"
    record = read_record(tmp_path / "out-failed" / "run.json")
    assert record.status == "failed" and "too many steps" in record.message


def test_a_page_without_scenes_does_not_carry_plotly() -> None:
    cells = [nbformat.v4.new_markdown_cell("text\n## Second"), nbformat.v4.new_code_cell("1")]
    book = nbformat.v4.new_notebook(cells=cells)
    assert len(page_of(book)) < 50_000 and title_of(book) == "Second"
    assert title_of(nbformat.v4.new_notebook()) == ""


def test_folders_are_numbered_and_replaced_whole(tmp_path) -> None:
    assert free_folder(tmp_path / "a") == tmp_path / "a"
    for name in ("a", "a-2", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert free_folder(tmp_path / "a") == tmp_path / "a-3"
    replace_folder(tmp_path / "new", tmp_path / "a")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["new"]
    assert {p.name for p in tmp_path.iterdir()} == {"a", "a-2"}


def test_a_name_that_is_no_notebook_lists_those_that_are() -> None:
    for name in ("nonsense", "../notebooks/00_start_here", ""):
        with pytest.raises(InputError, match="00_start_here"):
            notebook_path(name)
    assert notebook_path("00_start_here.ipynb") == notebook_path("00_start_here")


def test_a_notebook_of_ones_own_is_a_file(tmp_path, monkeypatch) -> None:
    book = write_book(tmp_path / "mine.ipynb", CELLS)
    monkeypatch.chdir(tmp_path)
    assert notebook_path(str(book)) == notebook_path("mine.ipynb") == book
    with pytest.raises(InputError, match=r"no notebook 'other\.ipynb'"):
        notebook_path("other.ipynb")


def test_the_command_line_says_one_sentence(capsys, tmp_path) -> None:
    status = main(["notebook", "run", "00_start_here", "-p", "framee", "1", "--out", str(tmp_path / "x")])
    assert status == 2 and "'framee'" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main(["notebook", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in run.notebook_names()) and "-p frame " in listed


def test_lines_say_every_section_once_and_then_wait(capsys, monkeypatch) -> None:
    now = 0.0
    monkeypatch.setattr("dispose_workbench.notebooks.run.time.monotonic", lambda: now)
    code, one, two = nbformat.v4.new_code_cell("1"), *map(nbformat.v4.new_markdown_cell, ("# One", "## Two"))
    with progress("a", 9) as show:
        for seconds, cell in ((0.0, one), (1.0, code), (2.0, two), (3.0, code), (12.5, code), (13.0, code)):
            now = seconds
            show(cell)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "a: One | 0 of 9 cells, 0 s", "a: Two | 2 of 9 cells, 2 s", "a: Two | 4 of 9 cells, 12 s",
    ]  # fmt: skip


def test_progress_names_the_sections_and_bars_of_cells_stay_out_of_the_page(tmp_path, capfd) -> None:
    bar = "import sys, time\nfrom tqdm import tqdm\nfor _ in tqdm(range(3), mininterval=0): pass"
    done = run_notebook(write_book(tmp_path / "a.ipynb", (CELLS[0], bar)), [], tmp_path / "out")
    said = capfd.readouterr().err
    assert "a: A <b>title</b> | " in said and re.search(r"\d of \d cells", said)
    outputs = [
        output for cell in nbformat.read(done.notebook, as_version=4).cells for output in cell.get("outputs", [])
    ]
    assert outputs == []


def test_what_else_is_made_of_a_run_lies_in_its_folder_or_the_run_failed(tmp_path) -> None:
    def finish(notebook: Path, folder: Path) -> None:
        assert nbformat.read(notebook, as_version=4).cells
        (folder / "extra").touch()

    book = write_book(tmp_path / "a.ipynb", CELLS[:1])
    assert (run_notebook(book, [], tmp_path / "out", finish=finish).folder / "extra").exists()

    def fail(notebook: Path, folder: Path) -> None:
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        run_notebook(book, [], tmp_path / "second", finish=fail)
    assert (
        not (tmp_path / "second").exists() and read_record(tmp_path / "second-failed" / "run.json").message == "no more"
    )


def test_a_kernel_that_dies_is_said_with_its_cell(tmp_path) -> None:
    book = write_book(tmp_path / "a.ipynb", (CELLS[0], "import os\nos._exit(1)"))
    with pytest.raises(
        NotebookError, match=r"a: cell 3 of 3( \[2\])? ended with its kernel; is there enough memory\?\n    import os"
    ):
        run_notebook(book, [], tmp_path / "out")
