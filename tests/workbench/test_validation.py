"""Laws of what is asked for: what is there passes, what is not is refused with what there is."""

import pytest

from dispose.errors import InputError
from dispose_workbench.validation import require_at_least, require_one_of


def test_what_is_there_passes() -> None:
    require_one_of("frame", 301, (300, 301), "capture")
    require_one_of("joint", "nose", ("nose", "l_eye"), "coco_17")
    require_at_least("steps", 1, 1)


@pytest.mark.parametrize(
    ("value", "there", "words"),
    [
        (25, (300, 301, 302, 310), "there is no frame 25; there are 300-302, 310"),
        (-1, range(3), "there is no frame -1; there are 0-2"),
        (7, (3,), "there is no frame 7; there is 3"),
        (7, (), "there is no frame 7; there is none"),
        ("nose ", ("nose", "neck"), "there is no frame 'nose '; there are nose, neck"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(value, there, words: str) -> None:
    with pytest.raises(InputError, match=f"^here: {words}"):
        require_one_of("frame", value, there, "here")


@pytest.mark.parametrize("value", [0, -3, float("nan")])
def test_too_little_is_refused(value) -> None:
    with pytest.raises(InputError, match="steps must be at least 1, got"):
        require_at_least("steps", value, 1)
