"""Time the fast operators beside their definitions in one run, and write the figures as JSON."""

import argparse
from pathlib import Path

import torch

from dispose_benchmarks.kernels.suites import candidates_suite, deformable_suite, segment_suite, sinkhorn_suite
from dispose_benchmarks.kernels.timing import Feasibility, Result, Scale, write_report

SUITES = {
    "segment": segment_suite,
    "sinkhorn": sinkhorn_suite,
    "candidates": candidates_suite,
    "deformable": deformable_suite,
}


def main(arguments: list[str] | None = None) -> None:
    """Run the chosen suites, print a line for every figure and write the report."""
    parser = argparse.ArgumentParser(prog="python -m dispose_benchmarks.kernels", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"any of {', '.join(SUITES)} (default: all)")
    parser.add_argument("--out", type=Path, default=Path("out/kernel_bench.json"), help="report (default: %(default)s)")
    parser.add_argument("--captures", type=int, default=1000, help="captures for the marginals (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads torch may use (default: %(default)s)")
    options = parser.parse_args(arguments)
    for name in options.suites:
        if name not in SUITES:
            parser.error(f"there is no suite {name!r}; there are {', '.join(SUITES)}")
    torch.set_num_threads(options.threads)
    results = [result for name in options.suites or SUITES for result in SUITES[name](options.captures)]
    for result in results:
        print(_line(result))
    write_report(options.out, results)
    print(f"written: {options.out}")


def _line(result: Result) -> str:
    if isinstance(result, Feasibility):
        return (
            f"{result.captures} captures, {result.false_people_per_view} false people per view: largest marginal "
            f"residual {result.worst_residual:.2e} in {result.seconds:.1f} s ({result.tuples} tuples)"
        )
    if isinstance(result, Scale):
        return (
            f"{result.operator} ({result.case}): {result.milliseconds:.1f} ms, {result.tuples} tuples, "
            f"{result.peak_mib} MiB at most"
        )
    return (
        f"{result.operator} ({result.case}): {result.fast_ms:.2f} ms, reference {result.reference_ms:.2f} ms, "
        f"{result.ratio:g} times, difference {result.difference:.1e}"
    )


if __name__ == "__main__":
    main()
