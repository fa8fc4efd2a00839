"""The page on synthetic captures shows the statistics that are stored."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_real_columns_of_the_table_are_the_stored_statistics() -> None:
    facts = json.loads((ROOT / "data" / "detector_statistics.json").read_text())
    rows = [line.strip("| \n").split(" | ") for line in (ROOT / "docs" / "synthetic.md").read_text().splitlines()]
    table = {row[0]: row[1:] for row in rows if len(row) == 2 * len(facts) + 1}
    header = next(row for row in rows if row[:1] == list(facts)[:1] or next(iter(facts)) in row)
    names = [name for name in header if name]
    assert [name for name in names if name != "synthetic"] == list(facts)
    for column, name in enumerate(names):
        if name == "synthetic":
            continue
        for key, value in facts[name].items():
            values = value if isinstance(value, list) else [value]
            assert table[key.replace("_", " ")][column] == " ".join(f"{x:.3g}" for x in values)
