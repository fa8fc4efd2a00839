"""Pictures are read whole or refused, and what the affine says about a point is where the point is drawn."""

import math
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.formats.images.series import IMAGENET_DEVIATION, IMAGENET_MEAN, normalize_pixels, read_image, warp_image
from dispose.geometry.image_affine import apply, letterbox, rotation_about


def blob(width: int, height: int, x: float, y: float, *, sigma: float) -> np.ndarray:
    """A bright spot whose centre of mass is (x, y), pixel centres at integers."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    value = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(value[..., None].round().astype(np.uint8), 3, axis=2)


def centre_of_mass(picture: np.ndarray) -> tuple[float, float]:
    weight = picture[..., 0].astype(np.float64)
    columns, rows = np.meshgrid(np.arange(picture.shape[1]), np.arange(picture.shape[0]))
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


@pytest.mark.parametrize("size", [(640, 360), (101, 97), (3000, 2000), (300, 400)])
@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_a_point_lands_where_the_affine_says(size: tuple[int, int], angle: float) -> None:
    target = (320, 192)
    place = (0.37 * size[0], 0.58 * size[1])
    affine = letterbox(torch.tensor(size, dtype=torch.float64), target)
    affine = rotation_about(
        affine, target, torch.tensor(angle, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    )
    scale = math.sqrt(abs(float(torch.linalg.det(affine[:, :2]))))
    drawn = warp_image(blob(*size, *place, sigma=4 / scale), affine, target)
    assert drawn.shape == (192, 320, 3)
    expected = apply(affine, torch.tensor(place, dtype=torch.float64)).tolist()
    assert centre_of_mass(drawn) == pytest.approx(expected, abs=0.05)


def test_shrinking_averages_and_does_not_alias() -> None:
    # A chessboard of single pixels: a plain warp of a third finds all white, all black, or stripes.
    board = ((np.indices((300, 420)).sum(0) % 2) * 255).astype(np.uint8)[..., None].repeat(3, 2)
    size = (140, 100)
    small = warp_image(board, letterbox(torch.tensor([420.0, 300.0], dtype=torch.float64), size), size)
    inner = small[2:-2, 2:-2].astype(np.float64)
    assert abs(inner.mean() - 127.5) < 2 and inner.std() < 20


def test_margins_are_black_and_the_same_size_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(1, 255, (30, 40, 3), dtype=np.uint8)
    same = warp_image(picture, letterbox(torch.tensor([40.0, 30.0], dtype=torch.float64), (40, 30)), (40, 30))
    assert np.array_equal(same, picture)
    wide = warp_image(picture, letterbox(torch.tensor([40.0, 30.0], dtype=torch.float64), (80, 30)), (80, 30))
    assert (wide[:, :19] == 0).all() and (wide[:, 61:] == 0).all() and (wide[:, 21:59] > 0).all()


def test_normalisation_is_imagenets() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    pixels = normalize_pixels(picture)
    expected = (picture / 255.0 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)
    np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_torn_and_foreign_files_are_refused_by_name(tmp_path: Path, ending: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    whole = tmp_path / f"whole{ending}"
    cv2.imwrite(str(whole), picture[..., ::-1])
    assert read_image(whole).shape == (48, 64, 3)
    torn = tmp_path / f"torn{ending}"
    for share in (0.3, 0.7, 0.99):
        torn.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(InputError, match=rf"torn\{ending}.*breaks off"):
            read_image(torn)
    torn.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_image(torn)
    torn.write_text("no picture at all")
    with warnings.catch_warnings(), pytest.raises(InputError, match="no picture"):
        read_image(torn)
    with pytest.raises(InputError, match="nothing"):
        read_image(tmp_path / f"nothing{ending}")


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), red)
    assert read_image(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((8, 8), 90, np.uint8))
    assert read_image(tmp_path / "grey.png")[0, 0].tolist() == [90, 90, 90]
