"""How well people agree across two views: Sampson distances of the best assignment, in shares of their size.

Everything is invariant to the unit and the axes of the world. A joint's distance is its signed distance from the
epipolar line to first order (hartley2004multiple, 11.4.3), both images together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from dispose.inference.check.footage import FEWEST_JOINTS, Footage, motion_of, rays_of
from dispose.scene.cameras import Cameras

CAP = 0.25
"""Beyond this share of a person's size nobody is the same person, and no joint is farther off."""

KEPT = 0.75
"""People seen by one of the two cameras only are assigned to somebody as well: the worst quarter does not count."""

Points = Float[np.ndarray, "*#points 2"]


@dataclass(frozen=True, eq=False)
class Witness:
    """One camera and what it saw, as a hypothesis has it.

    Attributes:
        rotation: of ``xyz_camera = rotation @ xyz_world + translation``.
        translation: see there; any unit.
        sharpness: people's sizes per unit of ``x/z``: focal length over their size, both in pixels.
        rays: normalised points of everybody in every frame.
        seen: which of them there are.
        motion: how far each moves in a frame.
        moving: where that is known.
        lag: the camera shows in its frame `n + lag` what the others show in frame `n`.
    """

    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]
    sharpness: float
    rays: Float[np.ndarray, "frames slots joints 2"]
    seen: Bool[np.ndarray, "frames slots joints"]
    motion: Float[np.ndarray, "frames slots joints 2"]
    moving: Bool[np.ndarray, "frames slots joints"]
    lag: float = 0.0

    @property
    def frames_late(self) -> int:
        """The lag in whole frames."""
        return round(self.lag)

    def at(
        self, rows: Int[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, "rows slots joints 2"], Bool[np.ndarray, "rows slots joints"]]:
        """Points when the others are in these frames, each carried on along its way for the fraction of a frame."""
        late = rows + self.frames_late
        part = self.lag - self.frames_late
        if part == 0:
            return self.rays[late], self.seen[late]
        return self.rays[late] + part * self.motion[late], self.seen[late]


def witness_of(footage: Footage, cameras: Cameras, view: int, lag: float = 0.0) -> Witness:
    """One camera of a rig with what it saw."""
    one, alone = cameras.select(views=[view]), footage.select([view])
    rays = rays_of(alone, one)
    motion, moving = motion_of(alone, rays)
    focal = float(one.matrix[0, 0, 0] + one.matrix[0, 1, 1]) / 2
    return Witness(
        one.rotation[0].numpy(), one.translation[0].numpy(), focal / float(alone.size_px[0]),
        rays[0], alone.seen[0], motion[0], moving[0], lag,
    )  # fmt: skip


def sampson(x_a: Points, x_b: Points, a: Witness, b: Witness) -> Float[np.ndarray, "..."]:
    """Signed distance of two views' points from each other's epipolar lines, in people's sizes.

    Where the two rays meet behind a camera the distance is `CAP`, if that is more.
    """
    turn = b.rotation @ a.rotation.T
    tx, ty, tz = b.translation - turn @ a.translation
    ax, ay, bx, by = x_a[..., 0], x_a[..., 1], x_b[..., 0], x_b[..., 1]
    # u is the ray of a in b's axes, l its epipolar line in b, m that of b's ray in a.
    ux, uy, uz = (turn[row, 0] * ax + turn[row, 1] * ay + turn[row, 2] for row in range(3))
    lx, ly, lz = ty * uz - tz * uy, tz * ux - tx * uz, tx * uy - ty * ux
    essential = np.array([[0, -tz, ty], [tz, 0, -tx], [-ty, tx, 0]]) @ turn
    mx, my = (essential[0, col] * bx + essential[1, col] * by + essential[2, col] for col in range(2))
    slope = (lx * lx + ly * ly) / b.sharpness**2 + (mx * mx + my * my) / a.sharpness**2
    away = (lx * bx + ly * by + lz) / np.sqrt(np.maximum(slope, 1e-300))
    # c = b × u; the signs of both depths follow from it.
    cx, cy, cz = by * uz - uy, ux - bx * uz, bx * uy - by * ux
    depth_a = -((by * tz - ty) * cx + (tx - bx * tz) * cy + (bx * ty - by * tx) * cz)
    depth_b = lx * cx + ly * cy + lz * cz
    behind = (depth_a < 0) | (depth_b < 0)
    return np.where(behind & (np.abs(away) < CAP), np.copysign(CAP, away), away)


@dataclass(frozen=True, eq=False)
class Pairing:
    """Who is who between two views: frame of the others, and the slots in the two."""

    frame: Int[np.ndarray, " people"]
    slot_a: Int[np.ndarray, " people"]
    slot_b: Int[np.ndarray, " people"]

    def __len__(self) -> int:
        return len(self.frame)


def common_rows(a: Witness, b: Witness, frames: Int[np.ndarray, " frames"]) -> Int[np.ndarray, " rows"]:
    """Those of some frames that both cameras have, each with its lag."""
    low, high = min(a.frames_late, b.frames_late), max(a.frames_late, b.frames_late)
    return frames[(frames + low >= 0) & (frames + high < len(a.rays))]


def pair_up(a: Witness, b: Witness, frames: Int[np.ndarray, " frames"]) -> Pairing:
    """The best assignment of people in every frame by the mean of their joints' capped distances."""
    rows = common_rows(a, b, frames)
    (x_a, seen_a), (x_b, seen_b) = a.at(rows), b.at(rows)
    common = seen_a[:, :, None] & seen_b[:, None]
    count = common.sum(-1)
    known = count >= FEWEST_JOINTS
    away = np.minimum(np.abs(sampson(x_a[:, :, None], x_b[:, None], a, b)), CAP)
    cost = np.where(known, (away * common).sum(-1) / np.maximum(count, 1), 2 * CAP)
    people = np.minimum(known.any(2).sum(1), known.any(1).sum(1))
    found: list[tuple[int, int, int]] = []
    for n in np.flatnonzero(people):
        if people[n] == 1:
            row, column = divmod(int(cost[n].argmin()), cost.shape[2])
            found.append((int(n), row, column))
            continue
        r, c = linear_sum_assignment(cost[n])
        order = np.argsort(cost[n, r, c], kind="stable")[: int(np.ceil(KEPT * people[n]))]
        found += [(int(n), int(r[k]), int(c[k])) for k in order if known[n, r[k], c[k]]]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Pairing(rows[table[:, 0]], table[:, 1], table[:, 2])


@dataclass(frozen=True, eq=False)
class Distances:
    """Joints of people paired between two views: signed distance, at most `CAP`, and the frame it was seen in."""

    away: Float[np.ndarray, " joints"]
    frame: Int[np.ndarray, " joints"]


def distances(a: Witness, b: Witness, pairing: Pairing, *, moving: bool = False) -> Distances:
    """Distances of all joints that both see; `moving`: only of those whose motion is known in both views."""
    row_a, row_b = pairing.frame + a.frames_late, pairing.frame + b.frames_late
    seen = a.seen[row_a, pairing.slot_a] & b.seen[row_b, pairing.slot_b]
    if moving:
        seen &= a.moving[row_a, pairing.slot_a] & b.moving[row_b, pairing.slot_b]
    x_a = a.rays[row_a, pairing.slot_a] + (a.lag - a.frames_late) * a.motion[row_a, pairing.slot_a]
    x_b = b.rays[row_b, pairing.slot_b] + (b.lag - b.frames_late) * b.motion[row_b, pairing.slot_b]
    away = np.clip(sampson(x_a[seen], x_b[seen], a, b), -CAP, CAP)
    return Distances(away, np.repeat(pairing.frame, seen.sum(-1)))


def agreement(a: Witness, b: Witness, frames: Int[np.ndarray, " frames"]) -> Distances:
    """Distances of the best assignment."""
    return distances(a, b, pair_up(a, b, frames))


def pairs_of(views: int, of: Sequence[int] | None = None) -> tuple[tuple[int, int], ...]:
    """All pairs of views, or those in which one of some views takes part."""
    return tuple(p for p in combinations(range(views), 2) if of is None or p[0] in of or p[1] in of)


def late(witness: Witness, lag: float) -> Witness:
    """The same camera with another lag."""
    return replace(witness, lag=lag)
