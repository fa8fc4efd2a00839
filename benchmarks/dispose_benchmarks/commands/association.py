"""`dispose bench association`: how time and memory of a whole frame grow."""

import importlib.util
import json
import math
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from dispose.errors import InputError
from dispose.evaluation.reports import commit, versions
from dispose.formats.files import replacing
from dispose.options import Count, require_file
from dispose_benchmarks.association import Cell, measure_apart

SCHEMA = "dispose.bench/1"


@dataclass(frozen=True)
class AssociationBench:
    """Time whole frames (candidates, diffusion, rounding, triangulation) on one core, and plain enumeration beside.

    Every size runs in a process of its own, so that its peak memory is its own. People are missed in one view of
    ten, and every view has one false person. Times are of this machine in this minute: compare their ratios.
    """

    views: tuple[int, ...] = (3, 5, 7, 10, 15)
    """Numbers of cameras."""
    persons: tuple[int, ...] = (4, 8, 10, 15)
    """Numbers of people."""
    repeats: Count = 3
    """Runs of every size; the median counts."""
    seed: int = 0
    """Of the scenes."""
    out: Path = Path("data/results/bench_association.json")
    """Result file; a picture of the growth with the same name and .png stands beside it."""

    def run(self) -> int:
        """Measure, print, write."""
        for name, values, fewest in (("views", self.views, 2), ("persons", self.persons, 1)):
            if not values or min(values) < fewest:
                told = " ".join(map(str, values)) or "empty"
                raise InputError(f"--{name} is {told}; numbers from {fewest} on are expected.")
        require_file(self.out)
        sizes = [(v, p) for v in self.views for p in self.persons]
        cells = [measure_apart(v, p, repeats=self.repeats, seed=self.seed) for v, p in tqdm(sizes, unit="size")]
        print(table(cells))
        content = {
            "schema": SCHEMA,
            "rows": [{k: finite(value) for k, value in asdict(cell).items()} for cell in cells],
            "commit": commit(),
            "command": shlex.join(("dispose", *sys.argv[1:])),
            "versions": {name: number for name, number in versions()},
        }
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.out) as file:
            json.dump(content, file, indent=1, allow_nan=False)
            file.write("\n")
        print(f"wrote {self.out}")
        return self.draw()

    def draw(self) -> int:
        """The picture is made by the viz package in a process of its own: `dispose` never draws."""
        if importlib.util.find_spec("matplotlib") is None:
            print("no picture: matplotlib is not installed (pip install 'dispose[viz]')")
            return 0
        picture = self.out.with_suffix(".png")
        done = subprocess.run(
            [sys.executable, "-m", "dispose_viz.charts.growth", str(self.out), str(picture)], check=False
        )
        if done.returncode == 0:
            print(f"wrote {picture}")
        return done.returncode


def finite(value: float) -> float | None:
    """JSON knows no NaN: not run is null."""
    return value if math.isfinite(value) else None


def table(cells: list[Cell]) -> str:
    """Cells as lines of text."""
    lines = ["views people  tuples     frame    memory  combinations  plain / ours"]
    for cell in cells:
        ratio = cell.plain_seconds / cell.seconds
        told = f"{ratio:.1f} x" if math.isfinite(ratio) else "not run"
        lines.append(
            f"{cell.views:>5} {cell.persons:>6} {cell.tuples:>7} {cell.seconds * 1000:>6.0f} ms "
            f"{cell.memory_mib:>5.0f} MiB {cell.combinations:>13.2g} {told:>13}"
        )
    return "\n".join(lines)
