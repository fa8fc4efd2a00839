"""A calibration board, ChArUco or chessboard, and where its corners are seen in the images of several cameras."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from tqdm import tqdm

from dispose.errors import InputError
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.images.series import ImageSeries
from dispose.tensors import TensorStruct

DICTIONARIES = tuple(name for name in dir(cv2.aruco) if name.startswith("DICT_"))
"""Names of OpenCV's marker dictionaries."""


@dataclass(frozen=True)
class Board:
    """A flat board of squares.

    Attributes:
        squares: how many from left to right and from top to bottom.
        square_mm: side of a square.
        marker_mm: side of the markers inside the white squares (ChArUco); None for a chessboard.
        dictionary: OpenCV's name of the markers' dictionary.
        inverted: black and white are exchanged.
        legacy: ChArUco boards made by OpenCV before 4.6 begin with a white square where the rows are even in number.
    """

    squares: tuple[int, int]
    square_mm: float
    marker_mm: float | None = None
    dictionary: str = "DICT_4X4_50"
    inverted: bool = False
    legacy: bool = False

    @property
    def corners(self) -> tuple[int, int]:
        """Inner corners from left to right and from top to bottom."""
        return self.squares[0] - 1, self.squares[1] - 1

    @property
    def corners_mm(self) -> Float[Tensor, "points 3"]:
        """Inner corners row by row, in the board's axes: x to the right, y down, z into the board."""
        across, down = self.corners
        column, row = torch.arange(across).repeat(down), torch.arange(down).repeat_interleave(across)
        return self.square_mm * torch.stack([column + 1, row + 1, torch.zeros_like(row)], -1).double()

    @cached_property
    def charuco(self) -> cv2.aruco.CharucoBoard:
        """OpenCV's idea of it."""
        assert self.marker_mm is not None
        markers = cv2.aruco.getPredefinedDictionary(vars(cv2.aruco)[self.dictionary])
        board = cv2.aruco.CharucoBoard(self.squares, self.square_mm, self.marker_mm, markers)
        board.setLegacyPattern(self.legacy)
        return board

    def require(self) -> None:
        """Raise `InputError` for a board that cannot be."""
        across, down = self.squares
        if min(across, down) < 3:
            raise InputError(f"--squares is {across} {down}; a board has at least 3 squares each way.")
        if self.marker_mm is None:
            if (across + down) % 2 == 0:
                raise InputError(
                    f"--squares is {across} {down}: such a chessboard looks the same upside down, so cameras cannot "
                    "agree on its corners; take one with an odd and an even number of squares, or a ChArUco board."
                )
            return
        if self.marker_mm >= self.square_mm:
            raise InputError(
                f"--marker-mm is {self.marker_mm:g}; markers are smaller than squares ({self.square_mm:g})."
            )
        markers = cv2.aruco.getPredefinedDictionary(vars(cv2.aruco)[self.dictionary])
        if len(markers.bytesList) < across * down // 2:
            raise InputError(
                f"--dictionary {self.dictionary} has {len(markers.bytesList)} markers, and a board of {across} × "
                f"{down} squares has {across * down // 2}."
            )


Grey = UInt8[np.ndarray, "height width"]
Corners = tuple[Float[np.ndarray, "points 2"], Bool[np.ndarray, " points"]]
"""Where the corners are, pixels, and which are seen."""


def corner_finder(board: Board) -> Callable[[Grey], Corners]:
    """Who looks for a board's corners in a grey image."""
    if board.marker_mm is None:
        return lambda image: _chessboard(board, image)
    detector = cv2.aruco.CharucoDetector(board.charuco)
    return lambda image: _charuco(board, detector, image)


def _charuco(board: Board, detector: cv2.aruco.CharucoDetector, image: Grey) -> Corners:
    xy, seen = _nothing(board)
    corners, ids, _, _ = detector.detectBoard(image)
    if ids is not None and len(ids):
        rows = np.asarray(ids, dtype=np.int64).ravel()
        xy[rows], seen[rows] = np.asarray(corners).reshape(-1, 2), True
    return xy, seen


def _chessboard(board: Board, image: Grey) -> Corners:
    xy, seen = _nothing(board)
    there, corners = cv2.findChessboardCornersSB(image, board.corners, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if there:
        grid = np.asarray(corners, dtype=np.float64).reshape(*board.corners[::-1], 2)
        # Turned by 180° black squares are white ones: the first inner square is black, as in OpenCV's pictures.
        xy[:], seen[:] = (grid if _begins_black(grid, image) else grid[::-1, ::-1]).reshape(-1, 2), True
    return xy, seen


def _begins_black(grid: Float[np.ndarray, "down across 2"], image: Grey) -> bool:
    """Whether the square behind the first inner corner is black."""
    middles = (grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:] + grid[1:, 1:]) / 4
    x, y = middles.astype(np.float32).transpose(2, 0, 1)
    light = cv2.remap(image, x, y, cv2.INTER_LINEAR)
    even = np.add.outer(np.arange(light.shape[0]), np.arange(light.shape[1])) % 2 == 0
    return bool(light[even].mean() < light[~even].mean())


def _nothing(board: Board) -> tuple[Float[np.ndarray, "points 2"], Bool[np.ndarray, " points"]]:
    points = board.corners[0] * board.corners[1]
    return np.zeros((points, 2)), np.zeros(points, dtype=bool)


@dataclass(frozen=True, eq=False)
class BoardSightings(TensorStruct):
    """A board's corners as cameras see them at some instants.

    Attributes:
        cameras: their names.
        size: width and height of their images; 0 where no image could be read.
        xy_image: pixels; means nothing where not seen.
        seen: which corners.
        numbers: of the frames.
        damaged: images that could not be read, by camera.
    """

    cameras: tuple[str, ...]
    size: Float[Tensor, "views 2"]
    xy_image: Float[Tensor, "views frames points 2"]
    seen: Bool[Tensor, "views frames points"]
    numbers: tuple[int, ...]
    damaged: tuple[int, ...]


def look_for_board(series: Sequence[ImageSeries], board: Board, most_frames: int) -> BoardSightings:
    """The board's corners in the images of all cameras, at frames from all over them; with a progress bar.

    Raises:
        InputError: the images of one camera differ in size.
    """
    find = corner_finder(board)
    numbers = sorted({number for one in series for number in one.numbers})
    step = max(len(numbers) / most_frames, 1.0)
    numbers = [numbers[int(k * step)] for k in range(min(most_frames, len(numbers)))]
    points = len(board.corners_mm)
    xy = torch.zeros(len(series), len(numbers), points, 2, dtype=torch.float64)
    seen = torch.zeros(len(series), len(numbers), points, dtype=torch.bool)
    size = torch.zeros(len(series), 2, dtype=torch.float64)
    damaged = [0] * len(series)
    pictures = [(v, k) for v, one in enumerate(series) for k, number in enumerate(numbers) if number in one.numbers]
    for view, k in tqdm(pictures, unit="picture", desc="board", delay=2.0, mininterval=0.5):
        try:
            image = series[view].read(numbers[k])
        except DamagedFrameError:
            damaged[view] += 1
            continue
        height, width = image.shape[:2]
        mine = torch.tensor([width, height], dtype=torch.float64)
        if bool((size[view] > 0).any()) and not torch.equal(size[view], mine):
            before = " x ".join(f"{value:g}" for value in size[view].tolist())
            where = series[view].where(numbers[k])
            raise InputError(f"{where}: the picture is {width} x {height}, those before {before}.")
        size[view] = mine
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        corners, there = find(np.asarray(255 - grey if board.inverted else grey, dtype=np.uint8))
        xy[view, k], seen[view, k] = torch.from_numpy(corners), torch.from_numpy(there)
    return BoardSightings(tuple(one.camera for one in series), size, xy, seen, tuple(numbers), tuple(damaged))
