"""The normal equations of a person's way: places and speeds of all joints in all frames at once, as a band.

Numbers lie frame by frame, joint by joint, axis by axis, the place before the speed: what belongs together is never
farther apart than a frame. The matrix is then a band of 6 joints + 2 diagonals (SciPy's lower form: entry (i, j) in
row i - j of column j), and a Cholesky factor of it costs no more than a pass over the frames.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_solve_banded, cholesky_banded

FIRST_SPEED = 3000.0
"""Standard deviation of the speed in the first frame, mm/s."""

LOOSE = 1e-10
"""Weight (1/mm²) that holds a joint of which nothing at all is known where it is thought to be."""


@dataclass(frozen=True, eq=False)
class MotionWeights:
    """The weights of a step from frame to frame: of ``(place, speed)`` off its way by white accelerations.

    The inverse of ``q (h³/3, h²/2; h²/2, h)`` is ``(12/h³, -6/h²; -6/h², 4/h) / q``.
    """

    seconds: Float[np.ndarray, "steps 1"]
    place: Float[np.ndarray, "steps joints"]
    mixed: Float[np.ndarray, "steps joints"]
    speed: Float[np.ndarray, "steps joints"]

    @staticmethod
    def of(seconds: Float[np.ndarray, " steps"], density: Float[np.ndarray, "steps joints"]) -> "MotionWeights":
        """Weights for steps of so many seconds and accelerations of so much spectral density, mm²/s³."""
        h = seconds[:, None]
        return MotionWeights(h, 12 / h**3 / density, -6 / h**2 / density, 4 / h / density)


class Band:
    """A matrix and a right side that grow by what is known of places, and are solved; see the module.

    Attributes:
        lower: the matrix, in SciPy's lower form.
        right: the right side.
        firm: how firmly every joint is held by what its frame knows, 1/mm²: the trace of its weights.
    """

    def __init__(self, frames: int, joints: int) -> None:
        self.joints = joints
        self.lower = np.zeros((6 * joints + 2, frames * joints * 6))
        self.right = np.zeros((frames, joints, 3, 2))
        self._at = np.arange(frames * joints * 6).reshape(frames, joints, 3, 2)
        self.lower[0] = LOOSE
        self.firm = np.zeros((frames, joints))

    def add_places(
        self, weight: Float[np.ndarray, "frames joints 3 3"], pull: Float[np.ndarray, "frames joints 3"]
    ) -> None:
        """Something that holds single joints."""
        for row in range(3):
            for column in range(row + 1):
                self.lower[2 * (row - column), self._at[:, :, column, 0]] += weight[:, :, row, column]
        self.right[..., 0] += pull
        self.firm += np.trace(weight, axis1=2, axis2=3)

    def add_bone(
        self,
        ends: tuple[int, int],
        weight: Float[np.ndarray, "frames 3 3"],
        pull: Float[np.ndarray, "frames 3"],
    ) -> None:
        """Something that holds the difference of two joints, first minus second."""
        low, high = min(ends), max(ends)
        for row in range(3):
            for end in ends:
                for column in range(row + 1):
                    self.lower[2 * (row - column), self._at[:, end, column, 0]] += weight[:, row, column]
            for column in range(3):
                self.lower[6 * (high - low) + 2 * (row - column), self._at[:, low, column, 0]] -= weight[:, row, column]
        self.firm[:, ends] += np.trace(weight, axis1=1, axis2=2)[:, None]
        self.right[:, ends[0], :, 0] += pull
        self.right[:, ends[1], :, 0] -= pull

    def add_motion(
        self,
        weights: MotionWeights,
        place: Float[np.ndarray, "frames joints 3"],
        speed: Float[np.ndarray, "frames joints 3"],
    ) -> None:
        """Joints go on as they moved, and the first speed is none that nobody has."""
        h, a, b, c = weights.seconds, weights.place, weights.mixed, weights.speed
        frame, lower = 6 * self.joints, self.lower
        for axis in range(3):
            here, speed_here = self._at[:-1, :, axis, 0], self._at[:-1, :, axis, 1]
            there, speed_there = self._at[1:, :, axis, 0], self._at[1:, :, axis, 1]
            lower[0, here] += a
            lower[1, here] += a * h + b
            lower[0, speed_here] += a * h * h + 2 * b * h + c
            lower[0, there] += a
            lower[1, there] += b
            lower[0, speed_there] += c
            lower[frame, here] -= a
            lower[frame + 1, here] -= b
            lower[frame - 1, speed_here] -= a * h + b
            lower[frame, speed_here] -= b * h + c
        h, a, b, c = (value[..., None] for value in (h, a, b, c))
        off, turn = np.diff(place, axis=0) - h * speed[:-1], np.diff(speed, axis=0)
        on_place, on_speed = a * off + b * turn, b * off + c * turn
        self.right[:-1, ..., 0] += on_place
        self.right[1:, ..., 0] -= on_place
        self.right[:-1, ..., 1] += h * on_place + on_speed
        self.right[1:, ..., 1] -= on_speed
        lower[0, self._at[0, :, :, 1]] += 1 / FIRST_SPEED**2
        self.right[0, ..., 1] -= speed[0] / FIRST_SPEED**2

    def solve(self) -> Float[np.ndarray, "frames joints 3 2"]:
        """The step of all places and speeds; the matrix stays as it is."""
        factor = cholesky_banded(self.lower, lower=True, check_finite=False)
        return cho_solve_banded((factor, True), self.right.ravel(), check_finite=False).reshape(self.right.shape)

    def covariances(self) -> Float[np.ndarray, "frames joints 3 3"]:
        """Of the places: the 3x3 blocks of the inverse, by the recursion of Rauch, Tung and Striebel over frames."""
        size, frames = 6 * self.joints, len(self.right)
        kept = np.empty((frames, size, size))
        back = np.empty((max(frames - 1, 0), size, size))
        block, link = self._block(0), None
        for frame in range(frames):
            if link is not None:
                block = self._block(frame) - link @ back[frame - 1]
            kept[frame] = np.linalg.inv(block)
            if frame + 1 < frames:
                link = self._link(frame)
                back[frame] = kept[frame] @ link.T
        place = np.arange(0, size, 2).reshape(self.joints, 3)
        pick = (place[:, :, None], place[:, None, :])
        inverse, found = kept[-1], [kept[-1][pick]]
        for frame in range(frames - 2, -1, -1):
            inverse = kept[frame] + back[frame] @ inverse @ back[frame].T
            found.append(inverse[pick])
        return np.stack(found[::-1])

    def _block(self, frame: int) -> Float[np.ndarray, "size size"]:
        """The numbers of one frame against each other."""
        size = 6 * self.joints
        part = self.lower[:size, frame * size : (frame + 1) * size]
        block = np.zeros((size, size))
        row, column = _below(size)
        block[row, column] = part[row - column, column]
        return block + np.tril(block, -1).T

    def _link(self, frame: int) -> Float[np.ndarray, "size size"]:
        """The numbers of the next frame (rows) against those of one: only what moves on meets."""
        size = 6 * self.joints
        part = self.lower[:, frame * size : (frame + 1) * size]
        link = np.zeros((size, size))
        for off in (-1, 0, 1):
            column = np.arange(max(0, -off), size - max(0, off))
            link[column + off, column] = part[size + off, column]
        return link


def _below(size: int) -> tuple[Int[np.ndarray, " entries"], Int[np.ndarray, " entries"]]:
    """Rows and columns of the lower triangle."""
    return np.tril_indices(size)
