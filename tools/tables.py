"""Write the tables between `<!-- results:NAME -->` markers in README.md and docs/*.md from data/results/NAME.json.

A result that names a published table has its lines below its own; `results:published-NAME` is data/published/NAME.json
alone, and `results:NAME-by-method` NAME.json with a line for every kind of frames and a column for every method;
`results:NAME-on-FRAMES` has the lines of NAME.json on one set of frames (`shelf-views-0-2-4`: Shelf, views 0 2 4),
`results:triangulators-summary` the chosen figures of all sets, a line for every triangulator,
`results:association-summary` those of shelf.json and mvor.json, a line for every associator, and
`results:learnable-lies` errors by how many of four views are wrong, a column for every method.

`--check` writes nothing and fails if a table differs from its results. No number in these tables is written by hand.
"""

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?P<open><!-- results:(?P<name>[\w-]+) -->\n)(?P<body>.*?)(?P<close><!-- /results:(?P=name) -->)", re.S
)
BY_METHOD = "-by-method"
"""End of a table's name that puts the methods beside each other."""

ON = "-on-"
"""In a table's name, before the set of frames whose lines it has."""

LIES = "-lies"
"""End of a table's name that puts wrong views against methods."""

SUMMARY = "-summary"
"""End of a table's name that has a line for every triangulator."""


@dataclass(frozen=True)
class Column:
    """How one figure is shown."""

    key: str
    title: str
    digits: int = 1


# Columns that a table may have, in the order of the table; a table shows those that its rows have.
COLUMNS = (
    Column("kind", "held-out frames"),
    Column("line", "line"),
    Column("steps", "steps", 0),
    Column("method", "method"),
    Column("detections", "detections"),
    Column("gate_mm", "gate, mm", 0),
    Column("frames", "frames", 0),
    Column("groups", "groups", 0),
    Column("confidence", "mean confidence, %"),
    Column("pair_precision", "pair precision"),
    Column("pair_recall", "pair recall"),
    Column("pair_f1", "pair F1"),
    Column("lowest_f1", "pair F1 of the worst seed"),
    Column("lowest_subset_f1", "pair F1 of the worst subset"),
    Column("exact", "exact groups"),
    Column("switches", "number switches per person-minute", 2),
    Column("mended", "exchanges mended in 3 frames"),
    Column("exchanges", "exchanges made", 0),
    Column("pair_ece", "calibration error of pairs"),
    Column("swap_kept", "mass that the swap keeps"),
    Column("claimed", "claimed"),
    Column("whole_truth", "whole truth"),
    Column("alike", "frames in which all samples agree"),
    Column("as_shipped", "frames that their mean decides as shipped"),
    Column("views", "views", 0),
    Column("map", "mAP"),
    Column("pcp", "PCP"),
    Column("pcp_actors", "PCP by actor"),
    Column("ap_25", "AP25"),
    Column("ap_50", "AP50"),
    Column("ap_100", "AP100"),
    Column("ap_150", "AP150"),
    Column("recall_500", "R@500"),
    Column("mm", "error, mm"),
    Column("mpjpe_mm", "MPJPE, mm"),
    Column("value", "measured", 3),
    Column("asked", "asked"),
    Column("holds", "holds"),
    Column("pa_mpjpe_mm", "PA-MPJPE, mm"),
    Column("pa_best_mm", "PA-MPJPE of the best hypothesis, mm"),
    Column("scaled_mm", "MPJPE of the best scale, mm"),
    Column("pa_mm", "PA-MPJPE, mm"),
    Column("pa_outer_mm", "PA-MPJPE of elbows to ankles, mm"),
    Column("best_mm", "best hypothesis, mm"),
    Column("mean_mm", "mean of all, mm"),
    Column("of_mean_mm", "mean pose, mm"),
    Column("energy_mm", "energy score, mm"),
    Column("symmetry_mm", "asymmetry, mm"),
    Column("velocity_mm", "error of velocity, mm per frame"),
    Column("rank_all", "rank correlation of spread and error, all joints", 2),
    Column("rank_people", "people by people", 2),
    Column("rank", "joint by joint", 2),
    Column("in_50", "50 % intervals hold, % (x y z)"),
    Column("in_90", "90 % intervals hold, % (x y z)"),
    Column("ece", "calibration error", 3),
    Column("relative_mm", "MPJPE about the pelvis, mm"),
    Column("absolute_mm", "MPJPE where they are, mm"),
    Column("joint_mm", "mean joint, mm"),
    Column("median_mm", "median joint, mm"),
    Column("p95_mm", "95th percentile, mm"),
    Column("joints", "joints, %"),
    Column("all_mm", "mean of all joints, mm"),
    Column("all_p95_mm", "95th percentile of all, mm"),
    Column("cover_50", "50 % intervals hold, %"),
    Column("cover_50_axes", "along x y z"),
    Column("cover_90", "90 % intervals hold, %"),
    Column("cover_90_axes", "along x y z"),
    Column("ap_150_evidence", "AP150 by 2-D scores"),
    Column("ranked", "right ones first, by the score"),
    Column("ranked_evidence", "by 2-D scores"),
    Column("long_bones", "people with a bone over 0.6 m, %"),
    Column("root_map", "root mAP"),
    Column("root_recall_500", "root R@500"),
    Column("root_mm", "root, mm"),
    Column("batch_ms", "ms per batch", 0),
    Column("person_ms", "ms per person", 2),
    Column("memory_gib", "memory, GiB"),
    Column("share", "share of the time, %"),
    Column("persons", "people", 0),
    Column("found", "found, %", 0),
    Column("within_150", "within 150 mm, %", 0),
    Column("error_mm", "those found are off, mm", 0),
    Column("covered", "their joints in 90 % ellipsoids, %", 0),
    Column("others", "others found, %", 0),
    Column("extra", "nobody's people per frame", 2),
    Column("joints_told", "joints", 0),
    Column("in_room", "in a view's 90 % region, in the room, %", 0),
    Column("from_hips", "from the hips, %", 0),
    Column("seen_in_room", "joints that the view sees, in the room, %", 0),
    Column("view_mm", "a view is off, mm", 0),
    Column("pose_mm", "its pose about its own middle, mm", 0),
    Column("meeting_mm", "where the views meet is off, mm", 0),
    Column("median_meeting_mm", "median, mm", 0),
    Column("tuples", "candidate tuples", 0),
    Column("pictures", "pictures", 0),
    Column("milliseconds", "ms", 0),
    Column("split", "where the time goes"),
    Column("seconds", "s per frame", 3),
    Column("memory_mib", "memory, MiB", 0),
    Column("plain_seconds", "brute force, s", 3),
    Column("note", "remark"),
)


@dataclass(frozen=True)
class SummaryColumn:
    """Figures of the lines on one set of frames, as one column of a summary."""

    title: str
    frames: str
    keys: tuple[str, ...]


SUMMARY_COLUMNS = (
    SummaryColumn("HumanEva, 3 views: mean / 95th percentile, mm", "humaneva-3-views", ("joint_mm", "p95_mm")),
    SummaryColumn("2 views", "humaneva-2-views", ("joint_mm", "p95_mm")),
    SummaryColumn("50 / 90 % intervals hold (3 views)", "humaneva-3-views", ("cover_50", "cover_90")),
    SummaryColumn("Shelf: PCP", "shelf-5-views", ("pcp",)),
    SummaryColumn("views 0 2 4", "shelf-views-0-2-4", ("pcp",)),
    SummaryColumn("MVOR, RTPose: AP150", "mvor-rtpose", ("ap_150",)),
    SummaryColumn("OpenPose, distinct", "mvor-openpose-distinct", ("ap_150",)),
)
SUMMARY_VIEWS = 5
"""Views of the groups whose time a summary tells."""


ASSOCIATION = "association-summary"
"""Name of the table that puts associators beside each other, on all real sets."""

GATE = re.compile(r", [\d.]+ mm$")
"""End of a classic associator's name that says at which gate it was best."""


@dataclass(frozen=True)
class AssociationColumn:
    """Figures of one set of detections in one result file."""

    title: str
    result: str
    detections: str
    keys: tuple[str, ...] = ("pair_f1", "exact")


ASSOCIATION_COLUMNS = (
    AssociationColumn("Shelf", "shelf", "OpenPose"),
    AssociationColumn("Shelf: PCP", "shelf", "OpenPose", ("pcp",)),
    AssociationColumn("MVOR, RTPose", "mvor", "RTPose"),
    AssociationColumn("OpenPose, distinct", "mvor", "OpenPose, distinct"),
    AssociationColumn("OpenPose multi-scale", "mvor", "OpenPose multi-scale"),
    AssociationColumn("OpenPose as it is", "mvor", "OpenPose"),
)


def cell(value: object, digits: int) -> str:
    """One entry of a table."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, list):
        return " ".join(cell(one, digits) for one in value)
    if isinstance(value, float | int):
        return f"{value:,.{digits}f}"
    return str(value)


def table_of(path: Path) -> str:
    """The Markdown table of one result file, and how it was made."""
    published = path.parents[1] / "published"
    if path.stem.startswith("published-"):
        table = json.loads((published / f"{path.stem.removeprefix('published-')}.json").read_text())
        return "\n".join([*markdown(published_rows(table)), "", printed(table)]) + "\n"
    if path.stem == ASSOCIATION:
        return association(path.parent)
    table = markdown
    if path.stem.endswith(BY_METHOD):
        path, table = path.with_stem(path.stem.removesuffix(BY_METHOD)), by_method
    elif path.stem.endswith(LIES):
        path = path.with_stem(path.stem.removesuffix(LIES))
        table = partial(lies, asked=path.with_stem(f"{path.stem}_lines"))
    elif path.stem.endswith(SUMMARY):
        path = path.with_stem(path.stem.removesuffix(SUMMARY))
        table = partial(summary, costs=path.with_stem(f"bench_{path.stem}"))
    elif ON in path.stem:
        name, _, frames = path.stem.partition(ON)
        path, table = path.with_stem(name), partial(on_frames, frames=frames)
    if not path.exists():
        return "*Not measured yet.*\n"
    result = json.loads(path.read_text())
    rows: list[dict[str, object]] = result["rows"]
    beside = [json.loads((published / f"{name}.json").read_text()) for name in result.get("published", [])]
    lines = table(rows + [row for table in beside for row in published_rows(table)])
    lines += ["", made_by(result)]
    lines += [printed(table) for table in beside]
    return "\n".join(lines) + "\n"


def made_by(result: dict) -> str:
    """The command and the commit; a plus: files differed from that commit when the figures were made."""
    commit = result["commit"]
    return f"Made by `{result['command']}` at commit {commit[:9]}{'+' if commit.endswith('+') else ''}."


def association(results: Path) -> str:
    """A line for every associator with the figures of `ASSOCIATION_COLUMNS`, whichever gate suited it there."""
    made = {name: json.loads((results / f"{name}.json").read_text()) for name in ("shelf", "mvor")}
    lines = ["| associator | " + " | ".join(column.title for column in ASSOCIATION_COLUMNS) + " |"]
    lines += ["|---|" + "--:|" * len(ASSOCIATION_COLUMNS)]
    told: dict[str, list[str]] = {}
    for place, column in enumerate(ASSOCIATION_COLUMNS):
        for row in made[column.result]["rows"]:
            if row["detections"] == column.detections:
                cells = told.setdefault(GATE.sub("", row["method"]), ["–"] * len(ASSOCIATION_COLUMNS))
                cells[place] = " / ".join(cell(row.get(key), 1) for key in column.keys)
    lines += [f"| {method} | " + " | ".join(cells) + " |" for method, cells in told.items()]
    return "\n".join([*lines, "", *(made_by(result) for result in made.values())]) + "\n"


def markdown(rows: list[dict[str, object]]) -> list[str]:
    """Rows as the lines of a table, with the columns that any of them has."""
    shown = [column for column in COLUMNS if any(row.get(column.key) not in (None, "") for row in rows)]
    # A figure that is null everywhere still has its column.
    shown = [c for c in COLUMNS if c in shown or (c.key != "note" and any(c.key in row for row in rows))]
    texts = ("kind", "line", "method", "detections", "split", "asked", "holds", "note")
    lines = ["| " + " | ".join(column.title for column in shown) + " |"]
    lines += ["|" + "|".join("---" if column.key in texts else "--:" for column in shown) + "|"]
    for row in rows:
        lines += ["| " + " | ".join(cell(row.get(column.key), column.digits) for column in shown) + " |"]
    return lines


def by_method(rows: list[dict[str, object]]) -> list[str]:
    """Pair F1 / exact groups of every method, a line for every kind of frames; the best F1 in bold."""
    methods, kinds = (list(dict.fromkeys(str(row[key]) for row in rows)) for key in ("method", "kind"))
    lines = ["| held-out frames | " + " | ".join(methods) + " |", "|---|" + "--:|" * len(methods)]
    for kind in kinds:
        own = {str(row["method"]): row for row in rows if row["kind"] == kind}
        f1 = {name: cell(row["pair_f1"], 1) for name, row in own.items()}
        best = max((text for text in f1.values() if text != "–"), key=float, default="")
        shown = {name: f"{f1[name]} / {cell(row['exact'], 1)}" for name, row in own.items()}
        cells = [f"**{shown[name]}**" if f1.get(name) == best else shown.get(name, "–") for name in methods]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return lines


LIARS = ("4 views, 0 wrong", "4 views, 1 wrong", "4 views, 2 wrong")
LIED_TO = (
    ("DLT", "DLT, b"), ("RANSAC", "RANSAC, b"), ("robust", "robust, b"), ("learned", "learned"),
    ("learned and robust", "learned and robust"), ("volumetric", "volumetric"),
)  # fmt: skip


def lies(rows: list[dict[str, object]], *, asked: Path) -> list[str]:
    """Mean errors (mm) by how many views are wrong, and how many of the lines that were asked hold."""
    titles = [title for title, _ in LIED_TO]
    lines = ["| mean error, mm | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(titles)]
    for kind in LIARS:
        own = {row["method"]: row.get("mpjpe_mm") for row in rows if row["kind"] == kind}
        lines.append(f"| {kind} | " + " | ".join(cell(own.get(method), 1) for _, method in LIED_TO) + " |")
    held = [row["holds"] for row in json.loads(asked.read_text())["rows"]] if asked.exists() else []
    return [*lines, "", f"{held.count('yes')} of the {len(held)} lines that were asked hold."]


def slug(words: object) -> str:
    """Words as a part of a table's name."""
    return re.sub(r"\W+", "-", str(words).lower()).strip("-")


def on_frames(rows: list[dict[str, object]], *, frames: str) -> list[str]:
    """The lines of one set of frames without what all of them share."""
    shared, own = ("detections", "gate_mm", "seconds"), [row for row in rows if slug(row["detections"]) == frames]
    return markdown([{key: value for key, value in row.items() if key not in shared} for row in own])


def summary(rows: list[dict[str, object]], *, costs: Path) -> list[str]:
    """A line for every method, with the figures of `SUMMARY_COLUMNS` and what a person costs."""
    timed = json.loads(costs.read_text())["rows"] if costs.exists() else []
    time = {row["method"]: row["person_ms"] for row in timed if row["views"] == SUMMARY_VIEWS}
    lines = ["| triangulator | " + " | ".join(column.title for column in SUMMARY_COLUMNS) + " | ms per person |"]
    lines += ["|---|" + "--:|" * (len(SUMMARY_COLUMNS) + 1)]
    for method in dict.fromkeys(row["method"] for row in rows):
        own = {slug(row["detections"]): row for row in rows if row["method"] == method}
        told = [(own.get(column.frames, {}), column.keys) for column in SUMMARY_COLUMNS]
        cells = (" / ".join(cell(row.get(key), 1) for key in keys) for row, keys in told)
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {cell(time.get(method), 2)} |")
    return lines


def published_rows(table: dict) -> list[dict[str, object]]:
    """The lines of a published table; where ours say what the detections are these say how they were counted."""
    return [{"detections": f"published, {table['protocol']}", **row} for row in table["rows"]]


def printed(table: dict) -> str:
    """Where a published table was printed."""
    return f"Published: {table['source']}. {table['note']}".strip()


def filled(text: str, results: Path) -> str:
    """A document with every marked table replaced by the one of its result file."""
    return BLOCK.sub(lambda m: m["open"] + table_of(results / f"{m['name']}.json") + m["close"], text)


def documents() -> Iterator[Path]:
    """Every document that may hold marked tables."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted((ROOT / "dispose" / "zoo").rglob("*.md"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args().check
    stale = 0
    for path in documents():
        text = path.read_text()
        new = filled(text, ROOT / "data" / "results")
        if new == text:
            continue
        stale += 1
        if check:
            print(f"{path.relative_to(ROOT)} differs from data/results: make figures", file=sys.stderr)
            continue
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(new)
        os.replace(temporary, path)
        print(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
