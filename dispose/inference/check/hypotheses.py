"""What may be wrong with a rig: every usual mistake with the cameras as they would be right."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.spatial.transform import Rotation

from dispose.inference.check.agreement import Witness, witness_of
from dispose.inference.check.contest import Court, Hypothesis, quick_loss, rig_of, thinned
from dispose.inference.check.lags import LagCurve
from dispose.inference.check.one_camera import FOCAL, TURN, CameraFit, altered, fit_camera, fit_late_camera
from dispose.scene.cameras import Cameras
from dispose.scene.teaching import exchange_cameras

Repair = Callable[[Cameras], Cameras]

SIZES = (0.25, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.85, 1.2, 4 / 3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
"""Images are this many times as large as those of the calibration: where the search for a factor begins."""

FOCALS = (0.75, 0.85, 1.2, 1.35)
TURNS_DEG = (-14.0, -9.5, -5.0, 0.0, 5.0, 9.5, 14.0)
FEW_FRAMES = 10
CLEARLY = 0.98
"""A shift begins a search at whose best the distance is less than this share of the one without a shift."""

NO_BETTER = 0.99
"""A camera that agrees no better than so even turned and shifted, or zoomed, on the frames fitted on, is right."""

FAR = 0.05
"""A camera whose people lie this far from the others' is looked for farther away: in people's sizes."""


def inverted(cameras: Cameras) -> Cameras:
    """Every extrinsic inverted: right where the file holds world_from_camera."""
    return replace(cameras, rotation=cameras.rotation.mT.contiguous(), translation=cameras.centres)


def centre_as_translation(cameras: Cameras) -> Cameras:
    """The stored translation taken as the camera's centre."""
    shift = -(cameras.rotation @ cameras.translation[..., None])[..., 0]
    return replace(cameras, translation=shift)


def transposed_rotation(cameras: Cameras) -> Cameras:
    """Every rotation transposed, the translation kept."""
    return replace(cameras, rotation=cameras.rotation.mT.contiguous())


def turned_back_in_place(cameras: Cameras) -> Cameras:
    """Every rotation transposed where its camera stands."""
    return centre_as_translation(
        replace(cameras, rotation=cameras.rotation.mT.contiguous(), translation=cameras.centres)
    )


def opengl_camera(cameras: Cameras) -> Cameras:
    """Camera axes turned from OpenGL's (y up, looking along -z) to OpenCV's."""
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    return replace(cameras, rotation=flip[:, None] * cameras.rotation, translation=flip * cameras.translation)


def inverted_opengl(cameras: Cameras) -> Cameras:
    """World_from_camera of OpenGL's camera axes, as Blender and NeRF tools write it."""
    return opengl_camera(inverted(cameras))


REPAIRS: tuple[tuple[Repair, str], ...] = (
    (inverted, "the extrinsics are world_from_camera (camera to world); invert them"),
    (centre_as_translation, "the translation is the camera's centre; it must be t = -R C"),
    (transposed_rotation, "the rotations are transposed (world_from_camera) while the translations are not"),
    (
        turned_back_in_place,
        "the rotations are transposed (world_from_camera), and t = -R C was made of them; transpose "
        "R, keep the cameras' centres and make t anew",
    ),
    (opengl_camera, "the camera axes are OpenGL's (y up, looking along -z); flip y and z of the camera"),
    (inverted_opengl, "the extrinsics are world_from_camera with OpenGL's camera axes, as Blender writes them"),
)


def resized(cameras: Cameras, views: Sequence[int], factor: float) -> Cameras:
    """Some cameras for images so many times as large: pixel centres stay the middles of pixels."""
    rows = list(views)
    matrix, size = cameras.matrix.clone(), cameras.size.clone()
    matrix[rows, :2] *= factor
    matrix[rows, :2, 2] += (factor - 1) / 2
    size[rows] = (size[rows] * factor).round()
    return replace(cameras, matrix=matrix, size=size)


def with_focal(cameras: Cameras, views: Sequence[int], factor: float) -> Cameras:
    """Some cameras with a focal length so many times as long."""
    rows, matrix = list(views), cameras.matrix.clone()
    matrix[rows, 0, 0] *= factor
    matrix[rows, 1, 1] *= factor
    return replace(cameras, matrix=matrix)


def turned(cameras: Cameras, view: int, fit: CameraFit) -> Cameras:
    """One camera turned where it stands."""
    turn = torch.from_numpy(Rotation.from_rotvec(fit.turn).as_matrix())
    rotation, translation = cameras.rotation.clone(), cameras.translation.clone()
    rotation[view] = turn @ cameras.rotation[view]
    translation[view] = turn @ cameras.translation[view]
    return replace(cameras, rotation=rotation, translation=translation)


def of_the_whole_rig(court: Court, cameras: Cameras, lags: tuple[float, ...]) -> Iterator[Hypothesis]:
    """Extrinsics read otherwise, two cameras exchanged, all images of another size, all focal lengths wrong."""
    for row, (repair, _) in enumerate(REPAIRS):
        yield Hypothesis("extrinsics", (), repair(cameras), lags, value=float(row))
    for a, b in court.pairs:
        yield Hypothesis("exchanged", (a, b), exchange_cameras(cameras, a, b), lags)
    for kind, change, starts in (("resized", resized, SIZES), ("focal", with_focal, FOCALS)):
        factor = best_factor(court, cameras, lags, range(len(cameras)), change, starts)
        yield Hypothesis(kind, (), change(cameras, range(len(cameras)), factor), lags, 1, factor)


def best_factor(
    court: Court,
    cameras: Cameras,
    lags: Sequence[float],
    views: Sequence[int],
    change: Callable[[Cameras, Sequence[int], float], Cameras],
    starts: Sequence[float],
) -> float:
    """The factor at which some cameras agree best with each other and with the others."""
    if not any(lags):
        # Points of the frames that are looked at are all that has to be undistorted anew for every factor.
        footage = court.footage.rows(thinned(court.learn, 2 * FEW_FRAMES))
        court = replace(court, footage=footage, learn=np.arange(len(footage)))
    few, some = thinned(court.learn, FEW_FRAMES), thinned(court.learn, 2 * FEW_FRAMES)
    rig = list(rig_of(court, cameras, lags))
    pairs = court.of(*views) if len(views) < len(cameras) else court.pairs

    def distance(logarithm: float, rows: np.ndarray) -> float:
        other = change(cameras, views, float(np.exp(logarithm)))
        for view in views:
            rig[view] = witness_of(court.footage, other, view, lags[view])
        return quick_loss(rig, pairs, rows)

    tried = {float(np.log(start)): distance(float(np.log(start)), few) for start in (1.0, *starts)}
    order = sorted(tried)
    best = order.index(min(tried, key=tried.__getitem__))
    low, high = order[max(best - 1, 0)], order[min(best + 1, len(order) - 1)]
    found = minimize_scalar(lambda x: distance(x, some), bounds=(low, high), method="bounded", options={"xatol": 2e-3})
    return float(np.exp(found.x))


def of_one_camera(
    court: Court, cameras: Cameras, lags: tuple[float, ...], rig: Sequence[Witness], view: int, curve: LagCurve
) -> Iterator[Hypothesis]:
    """One camera late, turned, with another focal length, or its images of another size.

    A lag is always fitted beside a turn: people walk one way, and a camera that is turned a little sees them as one
    does that is late.
    """
    begin = [np.zeros(5)]
    if curve.best and curve.distance.min() < CLEARLY * curve.distance[curve.lag == 0][0]:
        begin.append(np.array([0.0, 0.0, 0.0, 0.0, curve.best]))
    here = quick_loss(rig, court.of(view), court.learn)
    if here > FAR:
        begin.append(far_turn(court, rig, view))
        factor = best_factor(court, cameras, lags, (view,), resized, SIZES)
        yield Hypothesis("resized", (view,), resized(cameras, (view,), factor), lags, 1, factor)

    def fit(free: Sequence[int], values: Float[np.ndarray, " 5"]) -> CameraFit:
        return fit_camera(view, rig, free, court.learn, court.scale, values, tuple(court.of(view)))

    def fit_late(values: Float[np.ndarray, " 5"]) -> CameraFit:
        return fit_late_camera(view, rig, court.learn_time, court.scale, values, tuple(court.of(view)))

    def lost(fit: CameraFit) -> float:
        other = [fit.witness if v == view else one for v, one in enumerate(rig)]
        return quick_loss(other, court.of(view), court.learn_time)

    start, both = min(((values, fit_late(values)) for values in begin), key=lambda item: lost(item[1]))
    focal = fit(FOCAL, np.zeros(5))
    if min(lost(both), lost(focal)) > NO_BETTER * quick_loss(rig, court.of(view), court.learn_time):
        return
    shifted = tuple(both.lag if v == view else lag for v, lag in enumerate(lags))
    away, error = both.lag - lags[view], both.error[4]
    yield Hypothesis("late", (view,), cameras, shifted, 1, away, error)
    yield Hypothesis("late", (view,), turned(cameras, view, both), shifted, 4, away, error)
    still = np.array([*start[:4], 0.0])
    turn = fit(TURN, still)
    off = float(np.degrees(np.linalg.norm(turn.error[list(TURN)])))
    yield Hypothesis("turned", (view,), turned(cameras, view, turn), lags, 3, turn.degrees, off)
    yield Hypothesis("focal", (view,), with_focal(cameras, (view,), focal.focal), lags, 1, focal.focal)
    more = fit((*TURN, *FOCAL), np.array([*turn.turn, 0.0, 0.0]))
    other = turned(with_focal(cameras, (view,), more.focal), view, more)
    yield Hypothesis("focal", (view,), other, lags, 4, more.focal)


def far_turn(court: Court, rig: Sequence[Witness], view: int) -> Float[np.ndarray, " 5"]:
    """Where a camera looks that agrees best, on a grid of pan and tilt."""
    few = thinned(court.learn, FEW_FRAMES)
    best, least = np.zeros(5), np.inf
    for pan in TURNS_DEG:
        for tilt in TURNS_DEG:
            values = np.array([*np.radians((tilt, pan)), 0.0, 0.0, 0.0])
            other = [altered(one, values) if v == view else one for v, one in enumerate(rig)]
            found = quick_loss(other, court.of(view), few)
            if found < least:
                best, least = values, found
    return best
