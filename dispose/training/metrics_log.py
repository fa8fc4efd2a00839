"""``metrics.csv`` of a training that may be killed at any moment and goes on later: Lightning's own begins anew."""

import csv
from collections.abc import Mapping
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.files import MOST_DIGITS, read_text, replacing


class MetricsLog:
    """A row per logged step. Rows of an earlier process stay, but for those of steps that are done once more.

    Raises `InputError` where these are not in order, each once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        last = -1
        for line, row in enumerate(self._written(), 2):
            step = row.get("step") or "nothing"
            if not (step.isdecimal() and len(step) <= MOST_DIGITS and last < int(step)) or None in row:
                raise InputError(
                    f"{path}: line {line}: the step is {step[:40]} after {last}, or a cell is too many; mend that line "
                    "or remove the file, and the training goes on."
                )
            last = int(step)
        self._columns: list[str] | None = None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row; it is in the file when this returns."""
        row = {"step": str(step), **{name: repr(value) for name, value in values.items()}}
        if self._columns is None or not set(row) <= set(self._columns):
            rows = [one for one in self._written() if self._columns is not None or int(one["step"]) < step]
            self._columns = list(dict.fromkeys([*(rows[0] if rows else {}), *row]))
            with replacing(self.path) as file:
                table = csv.DictWriter(file, self._columns, restval="", lineterminator="\n")
                table.writeheader()
                table.writerows([*rows, row])
            return
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self._columns, restval="", lineterminator="\n").writerow(row)

    def _written(self) -> list[dict[str, str]]:
        """The rows that are there, without one that a killed process has left unfinished."""
        if not self.path.is_file():
            return []
        whole = read_text(self.path).rpartition("\n")[0]
        try:
            return list(csv.DictReader(whole.split("\n")))
        except csv.Error as error:
            raise InputError(f"{self.path}: is no table of numbers ({error}).") from error
