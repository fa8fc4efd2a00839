"""Published figures are data: every one has a unit and a source, and a few are looked up by hand."""

import json
from pathlib import Path

import pytest

from dispose.errors import InputError
from dispose.evaluation.protocols import SUITES
from dispose.evaluation.published import PublishedTable, read_published, side_by_side
from dispose.evaluation.reports import Figure, Row

FOLDER = Path(__file__).resolve().parents[2] / "data" / "published"
TABLES = sorted(FOLDER.glob("*.json"))


def figure(table: PublishedTable, method: str, name: str, note: str | None = None) -> float | tuple[float, ...]:
    for row in table.rows:
        if row.method == method and note in (None, row.note):
            return next(f.value for f in row.figures if f.name == name)
    raise KeyError(method)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_table_is_complete(path: Path):
    table = read_published(path)
    assert table.name == path.stem and table.arxiv in table.source and table.table in table.source
    ours = table.arxiv == "2606.07419"
    assert table.protocol in (("released", "timing") if ours else ("S9 and S11", "theirs", "TS1 to TS6"))
    assert {f.name for row in table.rows for f in row.figures} == {name for name, _ in table.units}
    systems = ("DisPOSE",) if ours else ("Learnable Triangulation", "DiffPose", "Context-Aware PoseFormer")
    assert any(row.method.startswith(systems) for row in table.rows)
    shares = {name for name, unit in table.units if unit == "percent"}
    for row in table.rows:
        for one in row.figures:
            values = one.value if isinstance(one.value, tuple) else (one.value,)
            assert all(0 <= value <= 100 for value in values) or one.name not in shares


def test_figures_looked_up():
    panoptic = read_published(FOLDER / "panoptic.json")
    assert figure(panoptic, "DisPOSE", "ap_25") == 68.59 and figure(panoptic, "SelfPose3D", "mpjpe_mm") == 24.47
    assert figure(read_published(FOLDER / "mm_or.json"), "DisPOSE", "ap_50") == 47.06
    shelf, campus = read_published(FOLDER / "shelf.json"), read_published(FOLDER / "campus.json")
    assert figure(shelf, "DisPOSE", "pcp_actors") == (99.5, 94.1, 97.8) and figure(campus, "DisPOSE", "pcp") == 95.6
    assert len(shelf.rows) == 12 and len(campus.rows) == 11
    arrangements = read_published(FOLDER / "panoptic_arrangements.json")
    assert figure(arrangements, "DisPOSE", "map", "CMU3") == 75.57
    views = read_published(FOLDER / "panoptic_views.json")
    assert figure(views, "SelfPose3D", "root_mm", "CMU0(3)") == 71.42
    human36m = read_published(FOLDER / "human36m.json")
    assert figure(human36m, "RANSAC", "absolute_mm") == 22.8 and figure(human36m, "Qiu et al.", "relative_mm") == 26.2
    volumetric = "Learnable Triangulation, volumetric"
    assert figure(human36m, volumetric, "relative_mm", "") == 49.9 and figure(human36m, "RANSAC", "views") == 4
    assert figure(read_published(FOLDER / "panoptic_triangulation.json"), volumetric, "relative_mm") == 13.7
    lifters = {name: read_published(FOLDER / f"human36m_{name}.json") for name in ("hypotheses", "gmm", "context")}
    theirs = "DiffPose, Holmquist and Wandt"
    assert figure(lifters["hypotheses"], theirs, "pa_best_mm", "the ambiguous frames, H36MA") == 46.71
    assert figure(lifters["gmm"], "DiffPose, Gong et al.", "relative_mm", "one frame, CPN's joints") == 49.7
    assert figure(lifters["context"], "Context-Aware PoseFormer", "relative_mm") == 41.6


def test_averages_of_actors_agree_with_the_actors():
    for name in ("shelf", "campus"):
        for row in read_published(FOLDER / f"{name}.json").rows:
            average, actors = (f.value for f in row.figures)
            assert isinstance(actors, tuple) and isinstance(average, float)
            # TEMPO's average on Campus was printed like this.
            assert average == pytest.approx(sum(actors) / 3, abs=0.3), row.method


def test_every_protocol_stands_beside_a_published_table():
    named = {protocol.published for _, protocols in SUITES for protocol in protocols} - {""}
    assert named == {"panoptic", "shelf", "campus", "mm_or"}
    assert all((FOLDER / f"{name}.json").exists() for name in named)


def test_ours_and_theirs_side_by_side():
    ours = [Row("ours", "panoptic, clean", 10, None, (Figure("ap_25", 12.34), Figure("root_mm", 5.0)), 0.1)]
    text = side_by_side(ours, read_published(FOLDER / "panoptic.json")).splitlines()
    assert "ours, panoptic, clean" in text[1] and "12.3" in text[1]
    assert any("DisPOSE" in line and "published, released" in line and "68.6" in line for line in text)
    assert "arXiv 2606.07419" in text[-1]


def test_a_figure_without_a_unit_and_another_schema_are_refused(tmp_path: Path):
    content = json.loads((FOLDER / "mm_or.json").read_text())
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(content | {"units": {"ap_50": "percent"}}))
    with pytest.raises(InputError, match="'ap_100' has no unit"):
        read_published(path)
    path.write_text(json.dumps(content | {"schema": "other"}))
    with pytest.raises(InputError, match="is needed"):
        read_published(path)
