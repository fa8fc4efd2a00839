"""Measure what real detectors do on real captures, and whether the synthetic ones do the same.

    python tools/fit_detector.py                  # table: real beside synthetic
    python tools/fit_detector.py --write          # also data/detector_statistics.json (the real side's facts)
                                                  # and the table in docs/synthetic.md

The data set folder is `../shared/data` beside the repository; nothing of it is stored but the statistics.
"""

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import torch
from captures_for_fitting import mvor, pose2sim, shelf
from detector_statistics import Statistics, measure

from dispose_synthetic.detectors.parameters import CLEAN_PORTRAIT, OPENPOSE_ROOM, OPENPOSE_SURGERY, RTPOSE_SURGERY
from dispose_synthetic.rigs import OPERATING_ROOM, PORTRAIT, SHELF_LIKE
from dispose_synthetic.scenes import SceneConfig, sample_scenes

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "data" / "detector_statistics.json"
DOCS = ROOT / "docs" / "synthetic.md"
START, END = "<!-- table of tools/fit_detector.py -->\n", "<!-- end -->"


def synthetic(rig, detector, views: int, persons: tuple[int, int], count: int = 320) -> Statistics:
    """Statistics of synthetic frames of one kind of rig and one kind of detector."""
    config = replace(
        SceneConfig(),
        rigs=(rig,),
        detectors=(detector,),
        detector_weights=(1.0,),
        views=(views, views),
        persons=persons,
    )
    return measure(sample_scenes(torch.Generator().manual_seed(0), count, config))


def columns(path: Path) -> list[tuple[str, Statistics]]:
    """Every real capture beside its synthetic counterpart."""
    return [
        ("MVOR OpenPose", measure(mvor(path, "openpose"))),
        ("synthetic", synthetic(OPERATING_ROOM, OPENPOSE_SURGERY, 3, (1, 7))),
        ("MVOR RTPose", measure(mvor(path, "rtpose"))),
        ("synthetic", synthetic(OPERATING_ROOM, RTPOSE_SURGERY, 3, (1, 7))),
        ("Shelf OpenPose", measure(shelf(path))),
        ("synthetic", synthetic(SHELF_LIKE, OPENPOSE_ROOM, 5, (2, 5))),
        ("Pose2Sim", measure(pose2sim(path))),
        ("synthetic", synthetic(PORTRAIT, CLEAN_PORTRAIT, 4, (2, 3))),
    ]


def cell(value: float | tuple[float, ...]) -> str:
    """A statistic as the table shows it."""
    return " ".join(f"{x:.3g}" for x in value) if isinstance(value, tuple) else f"{value:.3g}"


def table(named: list[tuple[str, Statistics]]) -> str:
    """A Markdown table, one row per statistic."""
    rows = ["| | " + " | ".join(name for name, _ in named) + " |", "|---" * (len(named) + 1) + "|"]
    values = [asdict(statistics) for _, statistics in named]
    for key in values[0]:
        rows.append(f"| {key.replace('_', ' ')} | " + " | ".join(cell(v[key]) for v in values) + " |")
    return "\n".join(rows)


def write(path: Path, text: str) -> None:
    """Replace a file by its new text at once."""
    path.with_suffix(".tmp").write_text(text)
    os.replace(path.with_suffix(".tmp"), path)


def main() -> None:
    """Print the table; write the facts where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"no folder {options.data}: the real captures are needed to measure detectors")
    named = columns(options.data)
    print(table(named))
    if options.write:
        facts = {name: asdict(statistics) for name, statistics in named if name != "synthetic"}
        captures = (
            f" {json.dumps(name)}: {{\n"
            + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
            + "\n }"
            for name, values in facts.items()
        )
        write(OUT, "{\n" + ",\n".join(captures) + "\n}\n")
        before, rest = DOCS.read_text().split(START)
        write(DOCS, before + START + table(named) + "\n" + rest[rest.index(END) :])


if __name__ == "__main__":
    main()
