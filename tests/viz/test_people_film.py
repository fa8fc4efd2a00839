"""Films of finished runs: everybody in every picture in their colour, and what does not lie where it was seen."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.formats.saved_run import SavedRun, open_run
from dispose.inference.results_folder import RunFiles, write_results
from dispose_viz.image.paint import blank, fit, paint_words, placed, rgb_of
from dispose_viz.image.series import images_of_capture
from dispose_viz.people_film import Film, film_pages, grid_of
from dispose_viz.style import DARK, person_color
from tests.cli.test_export_files import FIRST, RATE, run_of
from tests.inference.conftest import detections_at, rig


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films") / "walk"
    write_results(folder, run_of(6), RunFiles("walk", "test", RATE))
    return folder


def amount(picture: np.ndarray, color: str) -> int:
    """Pixels of about a colour."""
    return int((np.abs(picture.astype(int) - rgb_of(color)).max(-1) < 40).sum())


def test_the_film_shows_everybody_when_they_are_there(run: Path) -> None:
    assert main(["export", str(run), "--to", "mp4"]) == 0
    film = cv2.VideoCapture(str(run / "export" / "mp4" / "walk.mp4"))
    assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == 6 and film.get(cv2.CAP_PROP_FPS) == RATE
    pages = [cv2.cvtColor(film.read()[1], cv2.COLOR_BGR2RGB) for _ in range(6)]
    # The second person comes in the fifth frame.
    assert all(amount(page, person_color(1)) > 300 for page in pages)
    assert [amount(page, person_color(2)) > 300 for page in pages] == [False] * 4 + [True] * 2


def test_residuals_are_those_of_the_detections(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cameras, words = rig(), []
    monkeypatch.setattr("dispose_viz.people_film.paint_words", lambda canvas, text, *_, **__: words.append(text))
    with open_run(run) as saved:
        shown = iter([detections_at(cameras, frame) for frame in range(6)])
        film = Film(saved, cameras, lambda number: (None,) * 4, shown, RATE)
        page = next(film_pages(film))
        columns, (width, height) = grid_of(cameras)
        assert (columns, page.shape[0]) == (2, 28 + 2 * height) and page.shape[1] == 2 * width + 2 * height
        known = torch.from_numpy(np.isfinite(saved.table.joints[0, :, :3]).all(-1))
        xy = cameras.project(torch.from_numpy(np.nan_to_num(saved.table.joints[0, :, :3])))[0]
        for view in range(4):
            # The first person is the second in this list in the first frame of every second camera.
            found = detections_at(cameras, 0)
            error = (
                (found.xy_image[view, view % 2] - xy[view]).norm(dim=-1)[known & found.visible[view, view % 2]].mean()
            )
            assert (f"P1 {error:.1f} px" in words) == (view != 2)
    assert f"frame {FIRST}   {FIRST / RATE:.2f} s   1 people" in " ".join(words)


def test_pixels_of_a_picture_come_to_their_place() -> None:
    picture = np.zeros((100, 50, 3), np.uint8)
    picture[80:84, 10:14] = 255
    tile, into = fit(picture, 400, 200, DARK)
    bright = np.argwhere(tile.min(-1) > 200).mean(0)[::-1]
    np.testing.assert_allclose(placed(np.array([11.5, 81.5]), into), bright, atol=0.3)


def test_words_stay_inside() -> None:
    for at in ((-50, -50), (500, 500), (20, 20)):
        canvas = blank(120, 60, DARK)
        paint_words(canvas, "P12", at, DARK.ink, DARK)
        assert amount(canvas, DARK.ink) > 15 and amount(canvas[:, :2], DARK.ink) == 0


def test_a_folder_of_pictures_needs_no_calibration_of_its_own(tmp_path: Path) -> None:
    pictures = tmp_path / "images"
    (pictures / "cam04").mkdir(parents=True)
    cv2.imwrite(str(pictures / "cam04" / "cam04_0007.png"), np.full((8, 8, 3), 90, np.uint8))
    for folder in (tmp_path, pictures):
        seen = images_of_capture(folder, rig())
        assert seen(8) == (None,) * 4 and seen(7)[:3] == (None,) * 3
        assert seen(7)[3] is not None and (seen(7)[3] == 90).all()
    with pytest.raises(InputError, match="has pictures of cam04, the results are of left, right"):
        images_of_capture(pictures, rig(("left", "right")))


def test_pictures_that_are_not_there_are_told(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--to", "mp4", "--pictures", str(tmp_path)]) == 2
    assert "neither videos nor folders of images in it" in capfd.readouterr().err
    assert not list(run.glob("export/mp4/.*"))


def test_a_run_without_detections_has_no_residuals(run: Path) -> None:
    with open_run(run) as saved:
        blind = SavedRun(saved.table, None, RATE)
        pages = list(film_pages(Film(blind, rig(), lambda number: (None,) * 4, iter([None] * 6), RATE)))
    assert len(pages) == 6 and amount(pages[5], person_color(2)) > 300
