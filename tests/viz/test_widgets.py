"""Moving a control shows exactly the picture of its state, and the still picture follows."""

from base64 import b64decode
from typing import Any

import pytest

from dispose.errors import InputError
from dispose_viz.style import new_figure
from dispose_viz.widgets import picker, scrubber, still_images_of, threshold

PNG = b"\x89PNG\r\n\x1a\n"
LIVE = "application/vnd.jupyter.widget-view+json"


def figure_saying(words: object):
    figure = new_figure(1.0, 0.5)
    figure.text(0.1, 0.3, str(words))
    return figure


@pytest.fixture
def pictures() -> tuple[bytes, ...]:
    return still_images_of(figure_saying(str(number)) for number in range(4))


def test_figures_become_pngs_in_their_order(pictures) -> None:
    assert all(png.startswith(PNG) for png in pictures)
    assert len(set(pictures)) == 4
    assert still_images_of([figure_saying("2")]) == pictures[2:3]


def test_the_slider_shows_exactly_the_picture_it_stands_on(pictures) -> None:
    labels = [f"time {number} s" for number in range(4)]
    shown = scrubber(pictures, labels, description="time (s)")
    control: Any = shown.control
    assert control.description == "time (s)"
    for step in (0, 3, 1, 2, 0):
        shown.control.value = step
        assert (shown.png, shown.caption.value) == (pictures[step], labels[step])
    shown.control.value = 99
    assert shown.png == pictures[3]


def test_the_play_button_moves_the_same_slider(pictures) -> None:
    shown = scrubber(pictures, "abcd")
    play, slider = shown.widget.children[0].children
    assert slider is shown.control
    assert (play.min, play.max) == (slider.min, slider.max) == (0, 3)
    assert not play.disabled


def test_one_picture_is_shown_and_cannot_be_moved(pictures) -> None:
    shown = scrubber(pictures[:1], ["only"])
    play, slider = shown.widget.children[0].children
    assert play.disabled and slider.disabled and shown.png == pictures[0]


def test_a_cell_keeps_the_live_view_and_a_still_picture_that_follows_the_state(pictures) -> None:
    shown = scrubber(pictures, "abcd")
    for step in (0, 2):
        shown.control.value = step
        bundle = shown._repr_mimebundle_()
        assert bundle[LIVE]["model_id"] == shown.widget.model_id
        assert b64decode(bundle["image/png"]) == pictures[step] and bundle["text/plain"] == "abcd"[step]


def test_the_notebook_gets_both_and_the_picture_is_base64(pictures) -> None:
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    bundle, _ = formatter.format(scrubber(pictures, "abcd"))
    assert {LIVE, "image/png", "text/plain"} <= set(bundle)


def test_a_picker_draws_what_is_asked_for_and_only_once() -> None:
    asked: list[int] = []

    def draw(place: int):
        asked.append(place)
        return figure_saying(str(place))

    shown = picker(draw, ["cam01", "cam02", "cam03"], description="view")
    assert asked == [0] and shown.caption.value == "view: cam01"
    for place in (2, 0, 2, 0):
        shown.control.value = place
        assert shown.png == still_images_of([figure_saying(str(place))])[0]
        assert b64decode(shown._repr_mimebundle_()["image/png"]) == shown.png
    assert asked == [0, 2]


def test_a_threshold_starts_where_it_is_told_and_recomputes_where_it_goes() -> None:
    asked: list[float] = []

    def draw(value: float):
        asked.append(value)
        return figure_saying(f"{value:g}")

    shown = threshold(draw, [0.1, 0.5, 0.9], 0.5, description="mass above")
    first = shown.png
    shown.control.value = 0.9
    assert asked == [0.5, 0.9] and shown.png != first
    assert shown.caption.value == "mass above: 0.9"


def test_a_draw_that_fails_keeps_the_last_picture_and_says_why() -> None:
    def draw(value: float):
        if value > 1:
            raise InputError("nobody is left above 2 px")
        return figure_saying("fine")

    shown = threshold(draw, [1.0, 2.0], 1.0, description="error (px)")
    before = shown.png
    shown.control.value = 2.0
    assert shown.png == before and shown.caption.value == "nobody is left above 2 px"
    shown.control.value = 1.0
    assert shown.caption.value == "error (px): 1"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: scrubber([], []), "at least one picture"),
        (lambda: scrubber([PNG], ["a", "b"]), "2 labels, 1 pictures"),
        (lambda: picker(figure_saying, [], description="view"), "no view to pick"),
        (lambda: threshold(figure_saying, [], 1.0, description="error (px)"), "error .px. has no values"),
        (lambda: threshold(figure_saying, [1.0, 2.0], 3.0, description="error (px)"), "3: it is not among its 2 val"),
    ],
)
def test_wrong_input_is_one_sentence(wrong, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as error:
        wrong()
    assert "\n" not in str(error.value)
