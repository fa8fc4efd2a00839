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


def test_methods_stand_beside_each_other(tmp_path: Path):
    figures = [("a", "ours", 98.04, 90.0), ("a", "other", 97.96, 91.0), ("b", "other", 51.0, None)]
    rows = [dict(zip(("kind", "method", "pair_f1", "exact"), one, strict=True)) for one in figures]
    (tmp_path / "toy.json").write_text(json.dumps({"command": "some", "commit": "0", "rows": rows}))
    text = tables.filled(DOCUMENT.replace("results:toy", "results:toy-by-method"), tmp_path)
    assert "| held-out frames | ours | other |\n|---|--:|--:|\n" in text
    # Equal as shown is equally good.
    assert "| a | **98.0 / 90.0** | **98.0 / 91.0** |\n| b | – | **51.0 / –** |\n" in text
    assert "Not measured yet" in tables.filled(text, tmp_path / "elsewhere")


EVA, SHELF = ({"detections": frames, "gate_mm": None} for frames in ("HumanEva, 3 views", "Shelf, views 0 2 4"))
TRIANGULATORS = [
    {**EVA, "method": "dlt", "joint_mm": 47.44, "p95_mm": 176.8, "cover_50": None},
    {**EVA, "method": "rays", "joint_mm": 28.0, "p95_mm": 90.0, "cover_50": 51.0},
    {**SHELF, "method": "dlt", "pcp": 91.6},
]


def test_a_table_of_one_set_of_frames_has_its_lines_and_figures_alone(tmp_path: Path):
    result = {"command": "c", "commit": "0123456789", "rows": TRIANGULATORS}
    (tmp_path / "triangulators.json").write_text(json.dumps(result))
    head, _, *lines = tables.table_of(tmp_path / "triangulators-on-shelf-views-0-2-4.json").splitlines()
    assert (head, lines[0], lines[1]) == ("| method | PCP |", "| dlt | 91.6 |", "")


def test_a_summary_has_a_line_for_every_triangulator_and_a_dash_for_what_is_not_known(tmp_path: Path):
    result = {"command": "c", "commit": "0123456789", "rows": TRIANGULATORS}
    (tmp_path / "triangulators.json").write_text(json.dumps(result))
    costs = [{"method": "rays", "views": 5, "person_ms": 1.234}, {"method": "rays", "views": 2, "person_ms": 0.5}]
    (tmp_path / "bench_triangulators.json").write_text(json.dumps({"rows": costs}))
    _, _, dlt, rays, *_ = tables.table_of(tmp_path / "triangulators-summary.json").splitlines()
    assert dlt == "| dlt | 47.4 / 176.8 | – / – | – / – | – | 91.6 | – | – | – |"
    assert rays == "| rays | 28.0 / 90.0 | – / – | 51.0 / – | – | – | – | – | 1.23 |"


def test_a_table_of_lies_has_a_column_for_every_method_and_counts_what_holds(tmp_path: Path):
    rows = [
        {"kind": "4 views, 1 wrong", "method": "DLT, b", "mpjpe_mm": 157.83},
        {"kind": "4 views, 1 wrong", "method": "DLT, c", "mpjpe_mm": 999.0},
        {"kind": "3 views, 1 wrong", "method": "volumetric", "mpjpe_mm": 999.0},
        {"kind": "4 views, 1 wrong", "method": "volumetric", "mpjpe_mm": 41.16},
    ]
    result = {"command": "c", "commit": "0123456789", "rows": rows}
    (tmp_path / "learnable.json").write_text(json.dumps(result))
    lines = [{"line": "one", "holds": "yes"}, {"line": "other", "holds": "no"}]
    (tmp_path / "learnable_lines.json").write_text(json.dumps({"rows": lines}))
    head, _, none, one, two, _, held, *_ = tables.table_of(tmp_path / "learnable-lies.json").splitlines()
    assert head == "| mean error, mm | DLT | RANSAC | robust | learned | learned and robust | volumetric |"
    assert none.count("–") == two.count("–") == 6
    assert one == "| 4 views, 1 wrong | 157.8 | – | – | – | – | 41.2 |"
    assert held == "1 of the 2 lines that were asked hold."
