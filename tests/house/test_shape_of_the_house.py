"""Rules about files that no linter knows: sizes, notebooks without outputs, names of the tree, one README."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = [ROOT / name for name in ("benchmarks", "dispose", "kernels", "synthetic", "viz", "workbench")]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEXT = {".py", ".md", ".toml", ".yml", ".txt", ".json", ".ipynb", ".cff"}


def files_in_git() -> list[Path]:
    """Every file that git holds and that is there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from its first statement after the docstring to its end."""
    body = function.body
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    statements = body[1:] if documented else body
    return 0 if not statements else (function.end_lineno or 0) - statements[0].lineno + 1


@pytest.mark.parametrize("rule", ["modules", "functions"])
def test_nothing_is_too_long(rule: str):
    found = []
    for path in [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").glob("*.py"))]:
        text = path.read_text()
        name = path.relative_to(ROOT)
        if rule == "modules" and text.count("\n") > 400:
            found.append(f"{name}: {text.count(chr(10))} lines, at most 400")
        if rule == "functions":
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > 60:
                    found.append(f"{name}:{node.lineno} {node.name}: {body_lines(node)} lines, at most 60")
    assert not found, "\n".join(found)


def test_library_modules_say_what_they_are():
    texts = {str(path.relative_to(ROOT)): path.read_text() for path in MODULES}
    assert not [name for name, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))]


def test_nothing_is_left_for_later_and_nothing_is_unpickled():
    forbidden = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|\bimport pickle\b|\bweights_only=False\b")
    found = []
    for path in MODULES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_folders_called_kernels_and_viz_are_no_packages():
    # A top-level import named `kernels` would shadow a package that transformers imports.
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "viz" / "__init__.py").exists()


def test_test_files_have_names_of_their_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_paired_and_empty(path: Path):
    assert (path.parent / "source" / f"{path.stem}.py").exists(), f"{path.name} has no source in notebooks/source"
    book = json.loads(path.read_text())
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code), "outputs do not belong into git"
    long = [cell["source"] for cell in code if len("".join(cell["source"]).splitlines()) > 15]
    assert not long, f"cells of more than 15 lines: {long}"


def test_notebooks_are_what_their_sources_say():
    import jupytext

    for source in sorted((ROOT / "notebooks" / "source").glob("*.py")):
        path = source.parents[1] / f"{source.stem}.ipynb"
        assert path.exists(), f"{source.name} has no notebook: run `make pairs`"
        ours = [(cell["cell_type"], cell["source"]) for cell in jupytext.read(source)["cells"]]
        theirs = [(cell["cell_type"], cell["source"]) for cell in jupytext.read(path)["cells"]]
        assert ours == theirs, f"{path.name} differs from {source.name}: run `make pairs`"


def test_git_holds_no_large_files():
    sizes = {path: path.stat().st_size for path in files_in_git()}
    weights = [size for path, size in sizes.items() if path.suffix == ".safetensors"]
    assert sum(weights) <= 40e6
    assert not {str(path): size for path, size in sizes.items() if size > 4e6 and path.suffix != ".safetensors"}


def test_no_trace_of_one_machine():
    texts = {path: path.read_text() for path in files_in_git() if path.suffix in TEXT}
    assert not [str(path) for path, text in texts.items() if re.search(r"/(work|root|home)/\w", text)]


def class_names(folder: Path) -> list[str]:
    """Names of all classes under a folder."""
    trees = (ast.parse(path.read_text()) for path in folder.rglob("*.py"))
    return [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_no_class_name_has_two_meanings():
    names = [name for package in PACKAGES for name in class_names(package)]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_no_pair_of_files_differs_by_image_in_the_name_alone():
    stems = {path.with_suffix("") for path in MODULES}
    plain = {path: re.sub(r"_?images?_?", "", path.stem) for path in stems if "image" in path.stem}
    assert not [str(path) for path, name in plain.items() if name and path.with_name(name) in stems]
