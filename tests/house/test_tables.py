"""Every table in prose is what data/results says."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("tables", ROOT / "tools" / "tables.py")
assert SPEC is not None and SPEC.loader is not None
tables = importlib.util.module_from_spec(SPEC)
sys.modules["tables"] = tables
SPEC.loader.exec_module(tables)

DOCUMENT = "before 12.3\n<!-- results:toy -->\nold\n<!-- /results:toy -->\nafter\n"


def write_result(folder: Path, **figures: object) -> None:
    """A result file with one row."""
    result = {"command": "dispose evaluate toy", "commit": "0123456789abcdef", "rows": [{"method": "ours", **figures}]}
    (folder / "toy.json").write_text(json.dumps(result))


def test_documents_are_in_step_with_the_results():
    done = subprocess.run([sys.executable, ROOT / "tools" / "tables.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_marker_is_closed():
    for path in tables.documents():
        text = path.read_text()
        assert text.count("<!-- results:") == text.count("<!-- /results:") == len(tables.BLOCK.findall(text)), path


def test_filling_twice_changes_nothing_more(tmp_path: Path):
    write_result(tmp_path, pair_f1=98.76, frames=200)
    once = tables.filled(DOCUMENT, tmp_path)
    assert once != DOCUMENT
    assert tables.filled(once, tmp_path) == once


def test_a_changed_figure_changes_the_table_and_nothing_else(tmp_path: Path):
    write_result(tmp_path, pair_f1=98.76)
    first = tables.filled(DOCUMENT, tmp_path)
    write_result(tmp_path, pair_f1=97.0)
    second = tables.filled(DOCUMENT, tmp_path)
    assert "98.8" in first and "97.0" in second
    assert first.replace("98.8", "97.0") == second
    assert first.startswith("before 12.3\n") and first.endswith("after\n")


def test_what_was_not_measured_is_said(tmp_path: Path):
    assert "Not measured yet" in tables.filled(DOCUMENT, tmp_path)
    write_result(tmp_path, pair_f1=float("nan"))
    assert "–" in tables.filled(DOCUMENT, tmp_path)


def test_a_table_says_how_it_was_made(tmp_path: Path):
    write_result(tmp_path, pair_f1=98.0)
    text = tables.filled(DOCUMENT, tmp_path)
    assert "`dispose evaluate toy`" in text
    assert "012345678" in text
