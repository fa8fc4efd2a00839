"""What the page of a failed frame shows, and that it shows something whatever is missing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dispose.association.reconstruct import reconstruct_frame
from dispose.errors import InputError
from dispose.scene.frame import Labels
from dispose.scene.results import Association, FrameResult, Hypotheses, Results
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose_viz.inspector.camera_views import columns_for
from dispose_viz.inspector.competitors import competitors_of, match_identities, people_to_inspect
from dispose_viz.inspector.page import page_of, write_pages
from dispose_viz.inspector.ranking import draw_ranking, ranking_of, ranking_table
from dispose_viz.inspector.tuple_table import rows_of, short_names
from dispose_viz.style import DARK, new_figure, person_color


def drawn(figure: Figure) -> str:
    """All text of a figure, after everything that only fails when it is painted has been painted."""
    figure.canvas.draw()
    found: list[Any] = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return "\n".join(text.get_text() for text in found) + "".join(axes.get_title() for axes in figure.axes)


@pytest.fixture
def case(toy) -> FrameResult:
    """People 0 and 1 have exchanged their detections in the first view; person 2 is right."""
    members = toy.prediction.association.members.clone()
    members[0, 0], members[1, 0] = 1, 0
    right = torch.stack([torch.full((4,), person) for person in (0, 1)])
    tuples = torch.cat([members, right])
    mass = torch.stack([torch.full((5,), 0.5), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])]).double()
    hypotheses = Hypotheses(tuples, torch.arange(5.0), torch.full((5,), 0.3), mass[0], torch.tensor([1.0, 0.0]), mass)
    identity = 10 + torch.arange(3).expand(4, 3).clone()
    identity[1, 2] = ABSENT
    found = replace(toy.prediction, association=Association(members, torch.ones(3).double()))
    reference = Association(torch.cat([right, members[2:]]), torch.ones(3).double())
    truth = replace(toy.prediction.poses, id=10 + toy.prediction.poses.id)
    return FrameResult(found, toy.frame, hypotheses, reference, Labels.of_detections(identity, truth))


def results_of(*cases: FrameResult) -> Results:
    return Results("somewhere", "ours", COCO_17, cases)


def frames_round_detections(figure: Figure) -> int:
    return sum(isinstance(patch, Rectangle) and not patch.get_fill() for axes in figure.axes for patch in axes.patches)


def test_detections_at_the_wrong_person_are_framed_and_named_by_whose_they_are(case: FrameResult) -> None:
    figure = page_of(results_of(case), 0, headline="wrong pairs 12", reason="They crossed.")
    text = drawn(figure)
    assert "frame 7" in text and "wrong pairs 12" in text and "They crossed." in text
    assert "P0 ≠ T11" in text and "P1 ≠ T10" in text and "P2 ≠" not in text
    assert frames_round_detections(figure) == 2
    assert "P0 = T10, P1 = T11, P2 = T12" in text


def test_a_right_frame_has_no_alarm(case: FrameResult, toy) -> None:
    right = replace(case, prediction=toy.prediction, hypotheses=None)
    figure = page_of(results_of(right), 0)
    assert frames_round_detections(figure) == 0 and "≠" not in drawn(figure)


def test_somebody_nobody_found_is_missed_and_the_first_to_look_at(case: FrameResult, toy) -> None:
    two = replace(
        toy.prediction,
        association=Association(toy.prediction.association.members[:2], torch.ones(2).double()),
        poses=replace(toy.prediction.poses, **{
            name: getattr(toy.prediction.poses, name)[:2] for name in ("xyz_world", "confidence", "valid", "id")
        }),
        root=toy.prediction.root[:2],
    )  # fmt: skip
    case = replace(case, prediction=two, hypotheses=None)
    match = match_identities(case)
    assert match.missed == (12,)
    assert match.lost.sum() == 3, "person 2 is seen by three cameras"
    assert people_to_inspect(case, match)[0] == ("T12 (missed)", (2, ABSENT, 2, 2))
    assert match.true_color(12) not in (0, 1), "a colour of its own"
    assert "T12 (missed)" in drawn(page_of(results_of(case), 0))


def test_the_worst_person_comes_first_and_the_right_tuple_stands_beside_the_chosen_one(case: FrameResult) -> None:
    match = match_identities(case)
    people = people_to_inspect(case, match)
    assert [name for name, _ in people] == ["P0 (1 wrong)", "P1 (1 wrong)", "P2"]
    competitors = competitors_of(case, match, people[0][1], "ours")
    said = {one.members: one.sources for one in competitors}
    assert said[(1, 0, 0, 0)] == ("ours",)
    assert said[(0, 0, 0, 0)] == ("truth T10", "integer programme")
    chosen, right = (next(one for one in competitors if one.members == m) for m in ((1, 0, 0, 0), (0, 0, 0, 0)))
    assert (chosen.person, chosen.after, right.after) == (0, 1.0, 0.0) and right.is_true and not chosen.is_true
    assert chosen.error_px > 5 * right.error_px, "the exchanged detection does not fit the others"


def test_boxes_have_the_colour_of_whom_a_detection_truly_shows(case: FrameResult) -> None:
    def colors(result: FrameResult) -> dict[tuple[int, int], str]:
        assert result.frame is not None
        match = match_identities(result)
        competitors = competitors_of(result, match, (1, 0, 0, 0), "ours")
        rows = rows_of(competitors, match, result.frame)
        drawn = [(one.members, row.boxes) for one, row in zip(competitors, rows, strict=True)]
        pairs = [pair for members, boxes in drawn for pair in zip(enumerate(members), boxes, strict=True)]
        return {place: box.color for place, box in pairs if box is not None}

    known = colors(case)
    assert known[0, 1] == person_color(1) != known[0, 0]
    assert colors(replace(case, labels=None))[0, 1] == person_color(0), "without a truth: of who was given it"


@pytest.mark.parametrize("missing", ["labels", "hypotheses", "reference", "frame", "everything"])
def test_a_page_is_drawn_of_whatever_there_is_and_says_what_is_missing(case: FrameResult, missing: str) -> None:
    gone = ("labels", "hypotheses", "reference", "frame") if missing == "everything" else (missing,)
    text = drawn(page_of(results_of(replace(case, **dict.fromkeys(gone))), 0, theme=DARK))
    assert ("the truth is not known" in text) == ("labels" in gone)
    assert ("no views" in text) == ("frame" in gone) == ("no tuples:" in text)
    assert ("no diffusion" in text) == ("hypotheses" in gone)


def test_one_view_no_people_and_joints_that_are_no_numbers(case: FrameResult, toy) -> None:
    nobody = Association(torch.zeros(0, 4, dtype=torch.long), torch.zeros(0).double())
    empty = reconstruct_frame(toy.frame, nobody)
    assert "P0" not in drawn(page_of(results_of(replace(case, prediction=empty)), 0)).replace("P0 =", "")
    alone = toy.frame.select(views=[2])
    single = reconstruct_frame(alone, Association(torch.arange(3)[:, None], torch.ones(3).double()))
    drawn(page_of(results_of(FrameResult(single, alone)), 0))
    broken = replace(case.prediction.poses, xyz_world=case.prediction.poses.xyz_world.clone())
    broken.xyz_world[0] = torch.nan
    broken.xyz_world[1, :5] = torch.inf
    drawn(page_of(results_of(replace(case, prediction=replace(case.prediction, poses=broken))), 0))


def test_members_that_speak_of_other_detections_are_not_drawn_as_if_they_were_these(case: FrameResult) -> None:
    other = replace(case.prediction.association, members=case.prediction.association.members + 40)
    match = match_identities(replace(case, prediction=replace(case.prediction, association=other)))
    assert (match.owner == ABSENT).all() and sorted(match.truth_of.tolist()) == [10, 11, 12], "told by their places"


def test_pages_are_written_worst_first_and_a_ranking_says_why(case: FrameResult, toy, tmp_path) -> None:
    results = results_of(replace(case, prediction=replace(toy.prediction, number=3)), case)
    ranking = ranking_of(results)
    assert ranking.order == (1, 0)
    (path,) = write_pages(results, ranking, tmp_path / "pages", 1)
    assert path.name == "01-frame-7.png" and path.stat().st_size > 50_000
    assert list(path.parent.iterdir()) == [path]
    assert ranking_table(ranking, 5).splitlines()[1].split()[0] == "7"
    axes = draw_ranking(new_figure(12.0, 4.0).add_subplot(), ranking, marked=1)
    assert [label.get_text() for label in axes.texts] == ["7"]


def test_views_fill_their_space_and_numbers_of_cameras_are_never_cut() -> None:
    assert columns_for(5, 4 / 3, 9.6, 5.0) == 3 and columns_for(1, 1.0, 9.6, 5.0) == 1
    assert columns_for(4, 16 / 9, 20.0, 2.0) == 4
    assert short_names(["Camera0", "Camera1", "Camera2", "Camera3"]) == ("Camera", ["0", "1", "2", "3"])
    assert short_names(["cam10", "cam11", "cam12", "cam13"]) == ("cam", ["10", "11", "12", "13"])
    assert short_names(["a", "ab", "abc", "abcd"]) == ("", ["a", "ab", "abc", "abcd"])


def many_views(case: FrameResult, times: int) -> FrameResult:
    """The same frame seen by so many times as many cameras."""
    assert case.frame is not None
    frame = case.frame
    views = [*range(len(frame.cameras))] * times
    cameras = replace(frame.cameras.select(views=views), names=tuple(f"00_{view:02d}" for view in range(len(views))))
    seen = replace(frame, cameras=cameras, detections=frame.detections.select(views=views))
    association = case.prediction.association
    members = association.members.repeat(1, times)
    prediction = replace(case.prediction, association=Association(members, association.confidence))
    return FrameResult(prediction, seen)


@pytest.mark.parametrize("times", [2, 3, 8])
def test_many_cameras_have_a_legible_page(case: FrameResult, times: int) -> None:
    figure = page_of(results_of(many_views(case, times)), 0)
    figure.canvas.draw()
    titles = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title().startswith("00_")]
    assert len(titles) == 4 * times and not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])
    table = next(axes for axes in figure.axes if any(text.get_text() == "cue" for text in axes.texts))
    boxes = [text.get_window_extent() for text in table.texts if text.get_text().strip(" ·")]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_people_made_of_no_detection_have_no_contest(case: FrameResult) -> None:
    found = case.prediction.association
    nobody = Association(torch.full_like(found.members, ABSENT), found.confidence)
    other = replace(case, prediction=replace(case.prediction, association=nobody), hypotheses=None, reference=None)
    assert people_to_inspect(other, match_identities(other)) == ()
    assert "do not say which detections" in drawn(page_of(results_of(other), 0))
    members = found.members.clone()
    members[2] = ABSENT
    one = replace(case, prediction=replace(case.prediction, association=Association(members, found.confidence)))
    assert "P2" not in [name for name, _ in people_to_inspect(one, match_identities(one))]


def test_pages_of_two_rankings_do_not_mix(case: FrameResult, tmp_path: Path) -> None:
    results = results_of(case)
    ranking = ranking_of(results)
    (path,) = write_pages(results, ranking, tmp_path / "pages", 1)
    before = path.read_bytes()
    with pytest.raises(InputError, match="holds pages already"):
        write_pages(results, ranking, tmp_path / "pages", 1)
    assert path.read_bytes() == before
