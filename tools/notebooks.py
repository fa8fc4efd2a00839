"""Write notebooks/NAME.ipynb from notebooks/source/NAME.py (jupytext, percent format), without outputs.

Cells tagged `solution` are folded: JupyterLab shows three dots until the reader opens them.

`--check` writes nothing and fails if a notebook differs from its source.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
SOLUTION = "solution"


def hidden(cell_type: str) -> dict[str, bool]:
    """What makes JupyterLab fold a cell until somebody opens it."""
    folded = {"source_hidden": True}
    return {**folded, "outputs_hidden": True} if cell_type == "code" else folded


def notebook_of(source: Path) -> str:
    """The text of the notebook that belongs to a source; the same for the same source, cell ids included."""
    book = jupytext.read(source)
    for number, cell in enumerate(book.cells):
        cell["id"] = hashlib.sha1(f"{source.stem}/{number}".encode()).hexdigest()[:8]
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
        if SOLUTION in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = hidden(cell.cell_type)
    pairing = {"formats": "ipynb,source//py:percent"}
    book.metadata = nbformat.from_dict({"jupytext": pairing, "kernelspec": KERNEL, "language_info": {"name": "python"}})
    book.nbformat, book.nbformat_minor = 4, 5
    nbformat.validate(book)
    return nbformat.writes(book) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    stale = 0
    for source in sorted((FOLDER / "source").glob("*.py")):
        target = FOLDER / f"{source.stem}.ipynb"
        text = notebook_of(source)
        if target.exists() and target.read_text() == text:
            continue
        stale += 1
        if check:
            print(f"{target.name} differs from its source: make pairs", file=sys.stderr)
            continue
        temporary = target.with_suffix(".ipynb.new")
        temporary.write_text(text)
        os.replace(temporary, target)
        print(f"wrote {target.name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
