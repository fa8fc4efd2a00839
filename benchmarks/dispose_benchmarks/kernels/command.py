"""`dispose bench kernels`: the fast operators beside their definitions, in one run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from dispose.options import Count, require_file
from dispose_benchmarks.kernels.suites import SUITES, line_of, row_of
from dispose_benchmarks.report import write_figures

SCHEMA = "dispose.kernel-bench/1"
Suite = Literal["segment", "sinkhorn", "candidates", "deformable"]


@dataclass(frozen=True)
class KernelsBench:
    """Time the fast operators beside their definitions, on the same operands, and compare what they return."""

    suites: Annotated[tuple[Suite, ...], tyro.conf.Positional] = ("segment", "sinkhorn", "candidates", "deformable")
    """Which operators."""
    captures: Count = 1000
    """Random captures whose marginals are projected."""
    threads: Count = 1
    """Threads torch may use."""
    out: Path = Path("data/results/bench_kernels.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_file(self.out)
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            results = tuple(result for name in self.suites for result in SUITES[name](self.captures))
        finally:
            torch.set_num_threads(before)
        for result in results:
            print(line_of(result))
        about = {"torch": str(torch.__version__), "threads": self.threads}
        write_figures(self.out, SCHEMA, {**about, "results": [row_of(result) for result in results]})
        return 0
