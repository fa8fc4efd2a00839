"""A rig recovered from pictures of a board that are drawn through known cameras; and what is said of too few."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dispose.cli.main import main
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.calibration.read import read_calibration
from dispose.geometry.rigid import look_at, rodrigues
from dispose.geometry.triangulation import triangulate_dlt
from dispose.inference.calibration.board import Board
from dispose.inference.calibration.board_rig import BoardPose, middle_motion
from dispose.scene.cameras import Cameras

CHARUCO = Board((5, 7), 60.0, 45.0)
CHESS = Board((6, 7), 60.0)
PX_PER_MM = 4
FRAMES = 16


def rig() -> Cameras:
    """Three cameras before a wall-sized board, without roll; pictures of 640 x 480."""
    centre = torch.tensor([[-700.0, -1300, 900], [50, -1500, 1300], [800, -1250, 1000]], dtype=torch.float64)
    target = torch.tensor([[0.0, 0, 800]], dtype=torch.float64).expand(3, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    matrix = torch.tensor([[620.0, 0, 322], [0, 620, 236], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    size = torch.tensor([640.0, 480], dtype=torch.float64).repeat(3, 1)
    return Cameras(("left", "middle", "right"), size, matrix, torch.zeros(3, 8).double(), rotation, translation)


def picture_of(board: Board) -> np.ndarray:
    """The board from the front, `PX_PER_MM` pixels a millimetre."""
    across, down = (int(PX_PER_MM * board.square_mm * count) for count in board.squares)
    if board.marker_mm is not None:
        return board.charuco.generateImage((across, down), marginSize=0, borderBits=1)
    side = int(PX_PER_MM * board.square_mm)
    rows, columns = np.arange(down)[:, None] // side, np.arange(across) // side
    return np.where((rows + columns) % 2 == 0, 0, 255).astype(np.uint8)


def board_places(generator: torch.Generator) -> list[BoardPose]:
    """World from board: facing the cameras, turned every way; in the last frame it lies on the floor."""
    facing = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    places = []
    for _ in range(FRAMES):
        turn = rodrigues(0.5 * torch.randn(3, generator=generator, dtype=torch.float64)) @ facing
        middle = 200 * torch.randn(3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0, 850])
        places.append(BoardPose(turn, middle - turn @ torch.tensor([150.0, 210, 0], dtype=torch.float64)))
    return places


def film(folder: Path, board: Board, cameras: Cameras, places: list[BoardPose]) -> None:
    """A folder of pictures per camera, by homographies of the board's picture."""
    flat = picture_of(board)
    scale = np.diag([1 / PX_PER_MM, 1 / PX_PER_MM, 1.0])
    # The middle of the picture's first pixel is half a pixel from the board's edge.
    scale[:2, 2] = 0.5 / PX_PER_MM
    for view, name in enumerate(cameras.names):
        (folder / name).mkdir(parents=True)
        for number, place in enumerate(places):
            seen = BoardPose(cameras.rotation[view], cameras.translation[view]).after(place)
            columns = torch.stack([seen.rotation[:, 0], seen.rotation[:, 1], seen.translation], 1)
            homography = cameras.matrix[view].numpy() @ columns.numpy() @ scale
            image = cv2.warpPerspective(flat, homography, (640, 480), flags=cv2.INTER_AREA, borderValue=170)
            cv2.imwrite(str(folder / name / f"{name}_{number:04d}.png"), cv2.GaussianBlur(image, (3, 3), 0.7))


def arguments(board: Board, folder: Path, out: Path) -> list[str]:
    words = ["calibrate", "board", str(folder), "--squares", *map(str, board.squares), "--out", str(out)]
    words += ["--square-mm", f"{board.square_mm}"]
    return words + (["--marker-mm", f"{board.marker_mm}"] if board.marker_mm else [])


@pytest.mark.parametrize("board", [CHARUCO, CHESS], ids=["charuco", "chessboard"])
def test_a_rig_is_recovered(board: Board, tmp_path: Path, generator: torch.Generator, capsys) -> None:
    true = rig()
    film(tmp_path / "board", board, true, board_places(generator))
    out = tmp_path / "rig.toml"
    assert main(arguments(board, tmp_path / "board", out)) == 0
    found = read_calibration(out)
    assert found.names == true.names and torch.equal(found.size, true.size)
    focal = found.matrix[:, 0, 0] / true.matrix[:, 0, 0]
    assert float((focal - 1).abs().max()) < 0.02
    apart, theirs = torch.cdist(found.centres, found.centres), torch.cdist(true.centres, true.centres)
    assert float((apart - theirs).abs().max()) < 25  # of 1,700 mm
    # What the true cameras see fits together before the found ones, and is as large as it is.
    points = 250 * torch.randn(40, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0, 850])
    xy = true.project(points)[0].movedim(0, 1)
    lens = found.matrix, found.lens, found.rotation, found.translation
    again = triangulate_dlt(xy, torch.ones_like(xy[..., 0]), *lens)
    assert float(again.error_px.median()) < 0.3 and float(again.error_px.quantile(0.8)) < 1.5
    sizes, told = torch.pdist(points), torch.pdist(again.xyz_world)
    assert float((told / sizes - 1).abs().median()) < 0.01
    # Cameras have no roll, so the world is level: the cameras are as high above one another as they are.
    heights = found.centres[:, 2] - found.centres[:, 2].mean()
    torch.testing.assert_close(heights, true.centres[:, 2] - true.centres[:, 2].mean(), rtol=0, atol=30)
    assert "level if the cameras have no roll" in capsys.readouterr().out


def test_known_lenses_stay_and_the_floor_is_where_the_board_lies(
    tmp_path: Path, generator: torch.Generator, capsys
) -> None:
    true = rig()
    down = torch.diag(torch.tensor([1.0, -1, -1], dtype=torch.float64))
    lying = BoardPose(down, torch.tensor([-150.0, 100, 300], dtype=torch.float64))
    film(tmp_path / "board", CHARUCO, true, [*board_places(generator)[:3], lying])
    write_calibration_toml(tmp_path / "lenses.toml", replace(true, translation=true.translation * 2))
    out = tmp_path / "rig.toml"
    more = ["--lenses", str(tmp_path / "lenses.toml"), "--floor-frame", "3"]
    assert main([*arguments(CHARUCO, tmp_path / "board", out), *more]) == 0
    found = read_calibration(out)
    torch.testing.assert_close(found.matrix, true.matrix)
    # The board lies 300 mm above the true origin: x to the right, z up, its first inner corner the origin.
    origin = torch.tensor([-150.0 + 60, 100 - 60, 300], dtype=torch.float64)
    torch.testing.assert_close(found.centres, true.centres - origin, rtol=0, atol=15)
    capsys.readouterr()
    assert main([*arguments(CHARUCO, tmp_path / "board", out), *more[:3], "77"]) == 2
    assert "--floor-frame is 77" in capsys.readouterr().err


def test_too_few_pictures_are_one_sentence(tmp_path: Path, generator: torch.Generator, capsys) -> None:
    film(tmp_path / "board", CHARUCO, rig(), board_places(generator)[:3])
    assert main(arguments(CHARUCO, tmp_path / "board", tmp_path / "rig.toml")) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'board' / 'left'}: camera left sees 6 corners of the board or more in 3 of 3 pictures" in said
    assert not (tmp_path / "rig.toml").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--squares", "5", "7", "--square-mm", "60"], "looks the same upside down"),
        (["--squares", "2", "7", "--square-mm", "60"], "at least 3 squares"),
        (["--squares", "5", "7", "--square-mm", "60", "--marker-mm", "60"], "markers are smaller than squares"),
        (["--squares", "5", "7", "--square-mm", "60", "--marker-mm", "40", "--dictionary", "D"], "is none of OpenCV's"),
        (["--squares", "15", "17", "--square-mm", "60", "--marker-mm", "40"], "has 50 markers, and a board of"),
    ],
)
def test_boards_that_cannot_be_are_one_sentence(more: list[str], sentence: str, tmp_path: Path, capsys) -> None:
    assert main(["calibrate", "board", str(tmp_path), "--out", str(tmp_path / "x.toml"), *more]) == 2
    assert sentence in capsys.readouterr().err


def test_the_middle_motion_is_one_that_others_are_near(generator: torch.Generator) -> None:
    draws = 0.01 * torch.randn(7, 6, generator=generator, dtype=torch.float64)
    near = [BoardPose(rodrigues(row[:3]), 1000 + 500 * row[3:]) for row in draws]
    far = [BoardPose(rodrigues(torch.tensor([0.0, 1.5, 0]).double()), torch.full((3,), -900.0).double())] * 3
    assert any(middle_motion([*far, *near]) is one for one in near)
