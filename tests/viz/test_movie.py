"""Films hold the pictures they were given, in order, and a broken film never replaces a good one."""

import cv2
import numpy as np
import pytest
from PIL import Image

from dispose.errors import InputError
from dispose_viz.movie import write_film


def bars(count: int, height: int = 61, width: int = 99) -> list[np.ndarray]:
    """A white bar that walks over a blue wall."""
    pictures = []
    for step in range(count):
        picture = np.full((height, width, 3), (0, 60, 160), np.uint8)
        picture[:, 10 * step : 10 * step + 10] = 255
        pictures.append(picture)
    return pictures


def read_mp4(path) -> list[np.ndarray]:
    reader, pictures = cv2.VideoCapture(str(path)), []
    while True:
        there, picture = reader.read()
        if not there:
            return pictures
        pictures.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def test_an_mp4_holds_every_picture_in_order_and_in_its_colours(tmp_path) -> None:
    given = bars(8)
    found = read_mp4(write_film(tmp_path / "bars.mp4", iter(given), 12.0))
    assert len(found) == 8 and found[0].shape == (62, 100, 3), "odd sizes grow by one"
    for step, picture in enumerate(found):
        off = np.abs(picture[:61, :99].astype(int) - given[step].astype(int)).mean()
        assert off < 12, f"picture {step} is off by {off}"


def test_a_gif_holds_every_picture_and_runs_for_ever(tmp_path) -> None:
    given = bars(5)
    with Image.open(write_film(tmp_path / "bars.gif", given, 10.0)) as film:
        assert film.info["loop"] == 0 and film.info["duration"] == 100
        for step in range(5):
            film.seek(step)
            assert np.abs(np.asarray(film.convert("RGB")).astype(int) - given[step]).max() < 10
        with pytest.raises(EOFError):
            film.seek(5)


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_film_that_fails_leaves_the_old_one(tmp_path, name) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    mixed = [*bars(2), np.zeros((61, 97, 3), np.uint8)]
    with pytest.raises(InputError, match="picture 2 of the film has 97x61 pixels, the first 99x61"):
        write_film(path, mixed, 10.0)
    with pytest.raises(InputError, match="at least one picture"):
        write_film(path, [], 10.0)
    with pytest.raises(InputError, match="positive number"):
        write_film(path, bars(2), 0.0)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_gif_keeps_colours_that_only_its_last_pictures_have(tmp_path) -> None:
    grey = [np.full((40, 60, 3), 100 + step, np.uint8) for step in range(9)]
    late = np.zeros((40, 60, 3), np.uint8)
    hues = [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)]
    for place, hue in enumerate(hues):
        late[:, 15 * place : 15 * place + 15] = hue
    write_film(tmp_path / "late.gif", [*grey, late], 10.0)
    with Image.open(tmp_path / "late.gif") as gif:
        gif.seek(getattr(gif, "n_frames", 1) - 1)
        last = np.array(gif.convert("RGB")).astype(int)
    assert np.abs(last - late).max() <= 8
