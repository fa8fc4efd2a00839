"""The inspector, driven as a reader drives it: choose, mark, export; and files that try to be HTML."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
import torch

from dispose.errors import InputError
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import Association, FrameResult, Hypotheses, Prediction, Results
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_viz.inspector.interactive import Inspector, open_marks
from dispose_viz.style import DARK

PNG = b"\x89PNG"


@pytest.fixture
def results(toy) -> Results:
    """Three frames; in the second, people 0 and 1 have exchanged their detections in the first view."""
    right = toy.prediction.association.members
    wrong = right.clone()
    wrong[0, 0], wrong[1, 0] = 1, 0
    tuples = torch.unique(torch.cat([right, wrong]), dim=0)
    mass = torch.full((3, len(tuples)), 0.5).double()
    time = torch.tensor([1.0, 0.5, 0.0])
    weighed = Hypotheses(tuples, torch.arange(float(len(tuples))), mass[0].float(), mass[0], time, mass)
    identity = torch.arange(3).expand(4, 3).clone()
    identity[1, 2] = ABSENT
    labels = Labels.of_detections(identity, toy.prediction.poses)
    cases = []
    for number, members in ((4, right), (7, wrong), (9, right)):
        found = replace(toy.prediction, number=number, association=Association(members, torch.ones(3).double()))
        cases.append(
            FrameResult(found, replace(toy.frame, number=number), weighed, Association(right, torch.ones(3)), labels)
        )
    return Results("somewhere", "ours", COCO_17, tuple(cases))


def numbers(inspector: Inspector) -> list[int]:
    """The listed frames, from the top."""
    return [inspector.results.cases[place].prediction.number for _, place in inspector.frames.options]


def png(image: ipywidgets.Image) -> bytes:
    """What an image shows (a widget gives its bytes as a view of them)."""
    return bytes(image.value)


def figure_of(inspector: Inspector) -> Any:
    """The 3-D scene as a page is told to draw it."""
    return json.loads(inspector.view.scene.figure)


def choose(inspector: Inspector, number: int) -> None:
    """Click on a frame."""
    inspector.frames.value = next(
        place for _, place in inspector.frames.options if inspector.results.cases[place].prediction.number == number
    )


def test_the_worst_frame_is_open_and_a_click_opens_another_in_every_panel(results: Results, tmp_path: Path) -> None:
    shown = Inspector(results, tmp_path)
    assert numbers(shown)[0] == 7 and "frame 7" in shown.headline.value
    assert png(shown.view.views).startswith(PNG)
    assert shown.view.person.options[0][0] == "P0 (1 wrong)"
    before = (png(shown.view.views), shown.view.table.value, shown.view.curves.children)
    choose(shown, 9)
    after = (png(shown.view.views), shown.view.table.value, shown.view.curves.children)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert "frame 9" in shown.headline.value and shown.view.person.options[0][0] == "P0"
    choose(shown, 7)
    assert png(shown.view.views) == before[0], "kept from before"


def test_the_scene_changes_with_the_frame_and_the_readers_viewpoint_stays(results: Results, tmp_path: Path) -> None:
    moved = results.cases[2].prediction
    poses = replace(moved.poses, xyz_world=moved.poses.xyz_world + 50.0)
    results = replace(
        results, cases=(*results.cases[:2], replace(results.cases[2], prediction=replace(moved, poses=poses)))
    )
    shown = Inspector(results, tmp_path)
    before, after = figure_of(shown), (choose(shown, 9), figure_of(shown))[1]
    bodies = [[t["x"] for t in figure["data"] if t.get("name", "").startswith("body of")] for figure in (before, after)]
    assert [len(people) for people in bodies] == [3, 3] and bodies[0] != bodies[1]
    # The same revision tells plotly to leave the reader's viewpoint alone.
    assert before["layout"]["uirevision"] == after["layout"]["uirevision"] == "kept"


def test_another_person_of_the_frame_has_other_competitors(results: Results, tmp_path: Path) -> None:
    shown = Inspector(results, tmp_path)
    before = shown.view.table.value
    shown.view.person.value = shown.view.person.options[-1][1]
    assert shown.view.table.value != before
    slider = shown.view.curves.children[0].children[0].children[1]
    image = shown.view.curves.children[0].children[1]
    decided = png(image)
    assert slider.value == 2 and decided.startswith(PNG)
    slider.value = 0
    assert png(image) != decided


def test_the_list_follows_what_it_is_ranked_by(results: Results, tmp_path: Path) -> None:
    shown = Inspector(results, tmp_path, rank_by="disagreement")
    assert shown.measure.key == "disagreement" and numbers(shown) == [7, 4, 9]
    choose(shown, 9)
    shown.rank.value = next(m for title, m in shown.rank.options if title == "joint error")
    assert numbers(shown) == [4, 7, 9], "all the same: in order of time"
    assert "frame 4" in shown.headline.value


def test_measures_that_cannot_be_known_are_left_out_and_it_says_so(results: Results, tmp_path: Path) -> None:
    unlabelled = replace(results, cases=tuple(replace(case, labels=None) for case in results.cases))
    shown = Inspector(unlabelled, tmp_path, rank_by="wrong_pairs")
    titles = [title for title, _ in shown.rank.options]
    assert "wrong pairs" not in titles and "posterior entropy" in titles
    assert "cannot be ranked by wrong pairs" in shown.hints.value
    assert "wrong pairs, missed people, extra people, joint error" in shown.hints.value


@pytest.mark.parametrize(
    "missing", [("hypotheses",), ("labels", "reference"), ("frame", "hypotheses", "reference", "labels")]
)
def test_it_opens_whatever_is_missing(results: Results, tmp_path: Path, missing: tuple[str, ...]) -> None:
    cases = tuple(replace(case, **dict.fromkeys(missing)) for case in results.cases)
    shown = Inspector(replace(results, cases=cases), tmp_path, theme=DARK)
    choose(shown, 9)
    assert png(shown.view.views).startswith(PNG)
    if "hypotheses" in missing:
        assert "no diffusion" in shown.view.curves.children[0].value
    if "frame" in missing:
        assert "no tuples" in shown.view.table.value and shown.view.person.disabled


def test_results_without_frames_say_so(results: Results, tmp_path: Path) -> None:
    shown = Inspector(replace(results, cases=()), tmp_path)
    assert "no frame" in shown.headline.value and shown.mark.disabled
    assert "image/png" not in shown._repr_mimebundle_()


def test_a_marked_frame_is_exported_and_found_again(results: Results, tmp_path: Path) -> None:
    shown = Inspector(results, tmp_path / "marks")
    choose(shown, 9)
    shown.note.value = 'left hand, "twice"\nlook again; = 1'
    shown.mark.click()
    assert (shown.frames.label or "").startswith("⚑ 9") and not (tmp_path / "marks").exists()
    shown.export.click()
    written = sorted(path.name for path in (tmp_path / "marks").iterdir())
    assert written == ["marks-somewhere-ours.csv", "marks-somewhere-ours.json"]
    with (tmp_path / "marks" / written[0]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["frame"] == "9" and rows[0]["note"] == shown.note.value and rows[0]["why"]
    again = Inspector(results, tmp_path / "marks")
    choose(again, 9)
    assert again.note.value == shown.note.value and (again.frames.label or "").startswith("⚑ 9")
    choose(again, 7)
    again.mark.click()
    again.export.click()
    kept = json.loads((tmp_path / "marks" / written[1]).read_text())["marks"]
    assert [mark["frame"] for mark in kept] == [7, 9]


def test_marks_that_somebody_else_wrote_meanwhile_stay(results: Results, tmp_path: Path) -> None:
    one, other = Inspector(results, tmp_path), Inspector(results, tmp_path)
    one.note.value = "mine"
    one.mark.click()
    one.export.click()
    other.note.value = "the other's"
    other.mark.click()
    other.export.click()
    assert "marks-somewhere-ours-2.json" in other.status.value
    texts = {path.name: path.read_text() for path in tmp_path.glob("*.json")}
    assert "mine" in texts["marks-somewhere-ours.json"] and "the other's" in texts["marks-somewhere-ours-2.json"]


def test_broken_marks_and_those_of_other_results_are_refused_and_left_as_they_are(
    results: Results, tmp_path: Path
) -> None:  # fmt: skip
    path = tmp_path / "marks-somewhere-ours.json"
    path.write_text('{"schema": "dispose.marks/1", "results": "somewh')
    with pytest.raises(InputError, match=r"marks-somewhere-ours\.json: breaks off"):
        Inspector(results, tmp_path)
    path.write_text('{"schema": "dispose.marks/1", "results": "elsewhere", "method": "ours", "marks": []}')
    with pytest.raises(InputError, match="of elsewhere by ours"):
        open_marks(tmp_path, results)
    assert "elsewhere" in path.read_text()


def test_a_folder_that_cannot_be_written_is_said_in_the_page(results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shown = Inspector(results, tmp_path / "file" / "marks")
    shown.mark.click()
    shown.export.click()
    assert "cannot be written" in shown.status.value


def test_names_from_files_are_text_and_never_html(results: Results, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    cameras = replace(results.cases[0].frame.cameras, names=(evil, "$a_b$", "b&b", "c"))  # type: ignore[union-attr]

    def renamed(case: FrameResult) -> FrameResult:
        assert case.frame is not None
        return replace(case, frame=Frame(case.frame.number, cameras, case.frame.detections))

    cases = tuple(renamed(case) for case in results.cases)
    shown = Inspector(replace(results, name=evil, method=evil, cases=cases, notes=(evil,)), tmp_path)
    shown.mark.click()
    shown.export.click()
    for part in (shown.headline, shown.hints, shown.status, shown.view.table):
        assert "<img" not in part.value
    assert "&lt;img" in shown.view.table.value and "&lt;img" in shown.headline.value
    assert shown.png.startswith(PNG), "and matplotlib takes no name for a formula"


def test_a_notebook_without_a_kernel_keeps_the_page_of_the_worst_frame(results: Results, tmp_path: Path) -> None:
    bundle = Inspector(results, tmp_path)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["image/png"].startswith("iVBOR"), "base64, as a notebook's file holds it"
    assert bundle["text/plain"].startswith("frame 7:")


def test_people_with_the_same_or_no_number_are_all_listed(results: Results, tmp_path: Path) -> None:
    first = results.cases[0]
    poses = replace(first.prediction.poses, id=torch.tensor([-1, 5, 5]))
    odd = Prediction(4, first.prediction.association, poses, first.prediction.root)
    shown = Inspector(replace(results, cases=(replace(first, prediction=odd),)), tmp_path)
    assert len(shown.view.person.options) >= 3 and shown.png.startswith(PNG)


def test_a_frame_without_people_says_that_nobody_was_predicted(results: Results, tmp_path: Path) -> None:
    first = results.cases[0]
    poses = first.prediction.poses
    nobody = Prediction(
        4,
        Association(first.prediction.association.members[:0], torch.zeros(0).double()),
        replace(poses, xyz_world=poses.xyz_world[:0], confidence=poses.confidence[:0], valid=poses.valid[:0],
                id=poses.id[:0]),
        first.prediction.root[:0],
    )  # fmt: skip
    shown = Inspector(replace(results, cases=(replace(first, prediction=nobody, labels=None),)), tmp_path)
    assert shown.view.person.disabled
    for said in (shown.view.table.value, shown.view.curves.children[0].value):
        assert "nobody was predicted" in said and "truth" not in said
    assert shown.png.startswith(PNG)
