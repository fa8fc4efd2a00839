"""Cameras from the board that they saw: each lens by OpenCV, places along a tree, then everything at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras
from dispose.geometry.rigid import rodrigues
from dispose.inference.calibration.board import Board, BoardSightings
from dispose.inference.calibration.bundle import EXTRINSICS, LENS, RigObservations, adjust, move_rigidly
from dispose.scene.cameras import Cameras, perspective_only

FEWEST_CORNERS = 6
"""Corners of a board by which its place before a camera is known."""

FEWEST_PICTURES = 8
"""Pictures of the board by which a lens is known."""

MOST_PICTURES = 60
UNSURE_FOCAL = 0.05
"""Share by which a focal length may be uncertain (standard deviation)."""

CORNER_NOISE_PX = 0.5
FIRMNESS = 0.01
"""How firmly cameras are held where OpenCV and the tree have put them: hardly, since corners are exact."""

UNLIKE_OTHERS = 4.0
"""A picture whose error is so many times the median's is left out of its lens."""

LEVEL_SPREAD = 0.1
"""How differently cameras must look for their pictures' edges to tell the vertical."""


@dataclass(frozen=True, eq=False)
class BoardPose:
    """Where a board is before a camera, or one thing before another: ``x' = rotation x + translation``, mm."""

    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, " 3"]

    def after(self, other: "BoardPose") -> "BoardPose":
        """This motion after another."""
        return BoardPose(self.rotation @ other.rotation, self.rotation @ other.translation + self.translation)

    def inverse(self) -> "BoardPose":
        """The way back."""
        return BoardPose(self.rotation.T, -(self.rotation.T @ self.translation))


@dataclass(frozen=True, eq=False)
class BoardRig:
    """What a board says of cameras.

    Attributes:
        cameras: those that could be calibrated.
        views: which they are among those that looked.
        xyz_world: corners in every frame that was used, mm.
        error_px: distance of every sighting from its corner's projection, pixels; NaN where there is none.
        frames: which frames were used.
        notes: what was left out, and what was guessed.
    """

    cameras: Cameras
    views: tuple[int, ...]
    xyz_world: Float[Tensor, "frames points 3"]
    error_px: Float[Tensor, "views frames points"]
    frames: tuple[int, ...]
    notes: tuple[str, ...]


def usable(sightings: BoardSightings, board: Board) -> Bool[Tensor, "views frames"]:
    """In which frames a camera sees enough of the board: so many corners, and not all in a row or a column."""
    across, down = board.corners
    grid = sightings.seen.unflatten(-1, (down, across))
    wide, tall = (grid.any(axis).sum(-1) >= 2 for axis in (-2, -1))
    return (sightings.seen.sum(-1) >= FEWEST_CORNERS) & wide & tall


def calibrate_lens(
    sightings: BoardSightings, board: Board, view: int, where: str
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, " 8"]]:
    """Matrix and distortion (k1 k2 p1 p2) of one camera by `cv2.calibrateCamera`; pictures unlike the others left out.

    Raises:
        InputError: too few pictures of the board, or all of them alike.
    """
    frames = usable(sightings, board)[view].nonzero()[:, 0].tolist()
    if len(frames) < FEWEST_PICTURES:
        raise InputError(
            f"{where}: camera {sightings.cameras[view]} sees {FEWEST_CORNERS} corners of the board or more in "
            f"{len(frames)} of {len(sightings.numbers)} pictures, {FEWEST_PICTURES} are needed for its lens."
        )
    frames = frames[:: -(-len(frames) // MOST_PICTURES)]
    corners, size = board.corners_mm, tuple(int(side) for side in sightings.size[view].tolist())
    while True:
        objects = [corners[sightings.seen[view, k]].numpy().astype(np.float32) for k in frames]
        images = [sightings.xy_image[view, k][sightings.seen[view, k]].numpy().astype(np.float32) for k in frames]
        start = np.array([[size[0], 0, (size[0] - 1) / 2], [0, size[0], (size[1] - 1) / 2], [0, 0, 1]])
        flags = cv2.CALIB_FIX_K3 | cv2.CALIB_USE_INTRINSIC_GUESS
        found = cv2.calibrateCameraExtended(objects, images, size, start, np.zeros(5), flags=flags)
        _, matrix, lens, _, _, sigma, _, errors = found
        fine = errors[:, 0] <= UNLIKE_OTHERS * np.median(errors)
        if fine.all() or fine.sum() < FEWEST_PICTURES:
            break
        frames = [k for k, keep in zip(frames, fine, strict=True) if keep]
    unsure = float(sigma[0, 0] / matrix[0, 0])
    if not unsure < UNSURE_FOCAL:
        raise InputError(
            f"{where}: camera {sightings.cameras[view]}: the board's {len(frames)} pictures leave its focal length "
            f"open ({matrix[0, 0]:.0f} px ± {100 * unsure:.0f} %): show the board tilted, near and far."
        )
    distortion = torch.zeros(8, dtype=torch.float64)
    distortion[:4] = torch.from_numpy(lens.reshape(-1)[:4])
    return torch.from_numpy(matrix), distortion


def board_pose(
    sightings: BoardSightings, board: Board, view: int, frame: int, lens: tuple[Tensor, Tensor]
) -> BoardPose | None:
    """Where the board is before a camera that sees enough of it; None where OpenCV finds no place for it."""
    seen = sightings.seen[view, frame]
    objects, images = board.corners_mm[seen].numpy(), sightings.xy_image[view, frame][seen].numpy()
    matrix, distortion = (value.numpy() for value in lens)
    found, turn, shift = cv2.solvePnP(objects, images, matrix, distortion, flags=cv2.SOLVEPNP_IPPE)
    if not found:
        return None
    turn, shift = cv2.solvePnPRefineLM(objects, images, matrix, distortion, turn, shift)
    return BoardPose(rodrigues(torch.from_numpy(turn[:, 0])), torch.from_numpy(shift[:, 0]))


def calibrate_rig(
    sightings: BoardSightings, board: Board, where: Sequence[str], known: Cameras | None = None
) -> BoardRig:
    """Cameras from a board; the world's axes are the board's in its first frame (`place_by_floor`, `place_level`).

    Args:
        sightings: of the board.
        board: which it is.
        where: file or folder of every camera, for complaints.
        known: lenses that are known already, in the order of the cameras; places are found alone.

    Raises:
        InputError: fewer than two cameras see the board often enough, or together.
    """
    known = None if known is None else perspective_only(known, "calibrations by a board")
    lenses: dict[int, tuple[Tensor, Tensor]] = {}
    notes, reasons = list[str](), list[str]()
    for view, name in enumerate(sightings.cameras):
        if sightings.damaged[view]:
            notes.append(f"camera {name}: {sightings.damaged[view]} pictures cannot be read.")
        try:
            if known is None:
                lenses[view] = calibrate_lens(sightings, board, view, where[view])
            else:
                lenses[view] = known.matrix[view], known.distortion[view]
        except InputError as error:
            reasons.append(str(error))
    notes += [f"left out: {reason}" for reason in reasons]
    if len(lenses) < 2:
        raise InputError(reasons[0] if reasons else f"{where[0]}: a rig has at least two cameras, there is one.")
    placed = {
        (view, frame): board_pose(sightings, board, view, frame, lenses[view])
        for view, frame in usable(sightings, board).nonzero().tolist()
        if view in lenses
    }
    poses = {key: pose for key, pose in placed.items() if pose is not None}
    chain, apart = chain_cameras(sightings, sorted(lenses), poses, where)
    notes += apart
    views = tuple(sorted(chain))
    frames = sorted({frame for view, frame in poses if view in chain})
    parameters = [
        CameraParameters(name, sightings.size[view], *lenses[view], chain[view].rotation, chain[view].translation)
        for view, name in enumerate(sightings.cameras)
        if view in chain
    ]
    rig = as_cameras(where[0], parameters)
    corners = []
    for frame in frames:
        counts = {view: int(sightings.seen[view, frame].sum()) for view in views if (view, frame) in poses}
        best = max(counts, key=counts.__getitem__)
        motion = chain[best].inverse().after(poses[best, frame])
        corners.append(board.corners_mm @ motion.rotation.T + motion.translation)
    seen = sightings.seen[list(views)][:, frames] & usable(sightings, board)[list(views)][:, frames, None]
    xy = sightings.xy_image[list(views)][:, frames]
    noise = torch.full(seen.shape, CORNER_NOISE_PX, dtype=torch.float64)
    observations = RigObservations(torch.stack(corners), xy, noise, seen)
    free = LENS if known is None else EXTRINSICS
    found = adjust(observations, rig, free=free, move=move_rigidly, numbers=6, repeats=FIRMNESS)
    error = (found.cameras.project(found.xyz_world)[0] - xy).norm(dim=-1)
    error = torch.where(seen, error, torch.nan)
    numbers = tuple(sightings.numbers[frame] for frame in frames)
    return BoardRig(found.cameras, views, found.xyz_world, error, numbers, tuple(notes))


def chain_cameras(
    sightings: BoardSightings,
    views: Sequence[int],
    poses: dict[tuple[int, int], BoardPose],
    where: Sequence[str],
) -> tuple[dict[int, BoardPose], list[str]]:
    """Cameras from the first one, over the pairs that see the board together most often; and who stands apart.

    The first camera is the one with most such frames; its axes are the world's.
    """
    count = len(views)
    shared = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1, count):
            both = [frame for view, frame in poses if view == views[i] and (views[j], frame) in poses]
            shared[i, j] = len(both)
    cost = np.where(shared > 0, 1 / np.maximum(shared, 1), 0.0)
    tree = minimum_spanning_tree(cost)
    first = int((shared + shared.T).sum(1).argmax())
    order, before = breadth_first_order(tree, first, directed=False)
    one = torch.eye(3, dtype=torch.float64)
    chain = {views[first]: BoardPose(one, torch.zeros(3, dtype=torch.float64))}
    for k in order[1:].tolist():
        a, b = views[before[k]], views[k]
        frames = [frame for view, frame in poses if view == a and (b, frame) in poses]
        steps = [poses[b, frame].after(poses[a, frame].inverse()) for frame in frames]
        chain[b] = middle_motion(steps).after(chain[a])
    apart = [view for view in views if view not in chain]
    notes = [
        f"left out: {where[view]}: camera {sightings.cameras[view]} sees the board in "
        f"{sum(v == view for v, _ in poses)} pictures, in none together with another camera."
        for view in apart
    ]
    if len(chain) < 2:
        raise InputError(notes[0].removeprefix("left out: "))
    return chain, notes


def middle_motion(motions: Sequence[BoardPose]) -> BoardPose:
    """The one of some motions that the others are nearest to, in angle and in share of the distance."""
    rotation = torch.stack([one.rotation for one in motions])
    shift = torch.stack([one.translation for one in motions])
    trace = torch.einsum("aij,bij->ab", rotation, rotation)
    angle = torch.arccos(((trace - 1) / 2).clamp(-1, 1))
    apart = torch.cdist(shift, shift) / shift.norm(dim=-1).median().clamp(min=1.0)
    return motions[int((angle + apart).sum(1).argmin())]


def place_by_floor(rig: BoardRig, frame: int) -> BoardRig:
    """The world in which the board lies on the floor in one frame: x to its right, z up, its first corner the origin.

    Raises:
        InputError: no camera sees enough of the board in that frame.
    """
    if frame not in rig.frames:
        raise InputError(f"--floor-frame is {frame}, but no camera sees enough of the board there.")
    corners = rig.xyz_world[rig.frames.index(frame)]
    across = corners[1] - corners[0]
    normal = _normal(corners)
    # Cameras see the board's face, so they are above it.
    if float((rig.cameras.centres.mean(0) - corners.mean(0)) @ normal) < 0:
        normal = -normal
    return _placed(rig, _axes(across, normal), corners[0])


def place_level(rig: BoardRig) -> BoardRig:
    """The world in which cameras have no roll, as far as can be (rows of pixels are level); its origin is the board."""
    right, down = rig.cameras.rotation[:, 0], rig.cameras.rotation[:, 1]
    up = -down.mean(0)
    values, vectors = torch.linalg.eigh(right.T @ right / len(right))
    if float(values[1]) > LEVEL_SPREAD:
        up = vectors[:, 0] * torch.sign(vectors[:, 0] @ up)
    first = rig.xyz_world[0]
    return _placed(rig, _axes(right[0], up / up.norm()), first.mean(0))


def _normal(corners: Float[Tensor, "points 3"]) -> Float[Tensor, " 3"]:
    return torch.linalg.svd(corners - corners.mean(0)).Vh[2]


def _axes(ahead: Float[Tensor, " 3"], up: Float[Tensor, " 3"]) -> Float[Tensor, "3 3"]:
    """World axes (rows): z up, x along a direction as far as it is level."""
    x = ahead - (ahead @ up) * up
    x = x / x.norm()
    return torch.stack([x, torch.linalg.cross(up, x), up])


def _placed(rig: BoardRig, axes: Float[Tensor, "3 3"], origin: Float[Tensor, " 3"]) -> BoardRig:
    cameras = rig.cameras
    rotation = cameras.rotation @ axes.T
    translation = cameras.translation + (cameras.rotation @ origin[:, None])[..., 0]
    xyz = (rig.xyz_world - origin) @ axes.T
    return replace(rig, cameras=replace(cameras, rotation=rotation, translation=translation), xyz_world=xyz)
