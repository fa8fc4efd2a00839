"""The one place where cameras that come from files are put together and checked."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import pad

from dispose.errors import InputError
from dispose.geometry.rigid import rodrigues
from dispose.scene.cameras import Cameras

ORTHONORMAL_TOLERANCE = 1e-3
"""Largest accepted entry of ``|R Rᵀ - I|``: files print rotations with as few as four digits."""

UNIT_TOLERANCE = 1e-3
"""Largest accepted difference of a quaternion's length from 1."""

SAME_PLACE = 1e-5
"""Two cameras nearer to each other than this share of the rig's size stand at one place."""


FOCAL_SHARES = (0.05, 200.0)
"""Focal lengths, in widths of the image, from wider than any fisheye to longer than any lens at people."""

STRONGEST = 1e4
"""Of coefficients of distortion; those of rational models may be some hundreds that all but cancel."""

STRONGEST_AT_THE_RIM = 10.0
"""What one coefficient without a rational model may add to a point at the end of an image's longer side, in shares."""

MOST_ANISOTROPY, MOST_SKEW = 2.5, 0.5
"""Of one focal length to the other, and of the skew to it; pixels are square, or twice as wide as high."""

CENTRED, OFF_CENTRE, AT_THE_RIM = 0.1, 0.2, 0.45
"""Principal points nearer to the middle of an image than that share of its sides, and farther from it than usual."""

LONGEST_RIG = 1e6
"""A camera so far, mm, from all others that stand within a hundredth of it was written in another unit."""

MOST_PIXELS = 65_535
FARTHEST = 1e9
"""Translations above that, mm, are no place on Earth."""

OURS_FROM_UP = {
    "x": ((0.0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "-x": ((0.0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "y": ((1.0, 0, 0), (0, 0, -1), (0, 1, 0)),
    "-y": ((1.0, 0, 0), (0, 0, 1), (0, -1, 0)),
    "z": ((1.0, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-z": ((1.0, 0, 0), (0, -1, 0), (0, 0, -1)),
}
"""The turn from worlds where that axis points up to ours, where +z does."""

UP_AXES = tuple(OURS_FROM_UP)


@dataclass(frozen=True, eq=False)
class CameraParameters:
    """One camera as read from a file: pixels, and ``camera_from_world`` in the file's units and axes.

    There are up to eight of OpenCV's coefficients, or the four of a fisheye; missing ones are 0.
    """

    name: str
    size: Float[Tensor, " 2"]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, " coefficients"]
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, " 3"]
    fisheye: bool = False
    size_is_guessed: bool = False


@dataclass(frozen=True, eq=False)
class RigFile:
    """What a file says of a rig, in its own units and axes.

    Attributes:
        source: the file, for complaints.
        views: the cameras that can be used.
        mm_per_unit: of translations; None where the format leaves it open.
        up: the axis of the world that points up, one of `UP_AXES`.
        notes: sentences about what was left out or taken to be so.
        named: whether the cameras have names; otherwise they are counted in their order.
    """

    source: str
    views: tuple[CameraParameters, ...]
    mm_per_unit: float | None = 1000.0
    up: str = "z"
    notes: tuple[str, ...] = ()
    named: bool = True


@dataclass(frozen=True, eq=False)
class CalibratedRig:
    """A rig in our units and axes, and what a user should know about how it was read.

    Attributes:
        cameras: mm, +z up.
        guessed: the cameras whose image size the file does not say: taken as twice the principal point.
        notes: sentences about what was left out or taken to be so.
        named: whether the cameras have names; otherwise they are counted in their order.
    """

    cameras: Cameras
    guessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    named: bool = True


def calibration_of(rig: RigFile, *, mm_per_unit: float | None = None, up: str | None = None) -> CalibratedRig:
    """A file's rig in our units and axes; `InputError` where its unit is open and not told, and for impossible cameras.

    Args:
        rig: what the file says.
        mm_per_unit: what one unit of its translations is, where that is not what the format says.
        up: the axis of its world that points up, where that is another than the format says.
    """
    factor = rig.mm_per_unit if mm_per_unit is None else mm_per_unit
    if factor is None:
        raise InputError(f"{rig.source}: its scale is unknown; say how many mm one of its units is (--mm-per-unit).")
    if not 0 < factor < math.inf:
        raise InputError(f"{rig.source}: {factor:g} mm per unit are given, which is no length.")
    turn = torch.tensor(OURS_FROM_UP[rig.up if up is None else up], dtype=torch.float64)
    views = [
        replace(view, rotation=view.rotation @ turn.T, translation=view.translation * factor) for view in rig.views
    ]
    cameras = as_cameras(rig.source, views, notes=rig.notes)
    guessed = tuple(view.name for view in views if view.size_is_guessed)
    return CalibratedRig(cameras, guessed, (*rig.notes, *odd_lenses(views), *odd_middles(views)), rig.named)


def odd_lenses(views: Sequence[CameraParameters]) -> tuple[str, ...]:
    """A sentence of every camera whose distortion has another count of numbers than most, or none where most have some.

    Other lenses may be like that; a lost number or entry is, too.
    """
    told = [f"{len(view.distortion)} numbers" if bool(view.distortion.any()) else "none" for view in views]
    ((usual, count),) = Counter(told).most_common(1)
    if 2 * count <= len(views) or usual == "none":
        return ()
    return tuple(
        f"camera {view.name}: its distortion is {one}, that of most others {usual}; is something missing in the file?"
        for view, one in zip(views, told, strict=True) if one != usual
    )  # fmt: skip


def odd_middles(views: Sequence[CameraParameters]) -> Iterator[str]:
    """A sentence of every camera whose principal point lies at the rim of its pictures, or outside of them."""
    for view in views:
        (cx, cy), (width, height) = view.matrix[:2, 2].tolist(), view.size.tolist()
        if not view.size_is_guessed and max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > AT_THE_RIM:
            yield (
                f"camera {view.name}: its principal point is {[cx, cy]}, at the rim of its pictures of {width:g} x "
                f"{height:g} or outside; were they cut or made smaller after it was calibrated?"
            )


def pinhole_matrix(fx: float, fy: float, cx: float, cy: float) -> Float[Tensor, "3 3"]:
    """Intrinsics from focal lengths and principal point, pixels."""
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def size_from_principal_point(matrix: Float[Tensor, "3 3"]) -> Float[Tensor, " 2"]:
    """The image's size for formats that do not store it: the principal point taken as the centre."""
    return (2 * matrix[:2, 2] + 1).round()


def rotation_of_quaternion(where: str, wxyz: Float[Tensor, " 4"]) -> Float[Tensor, "3 3"]:
    """The rotation of a unit quaternion; `InputError` where its length is another."""
    length = float(wxyz.norm())
    if not abs(length - 1) <= UNIT_TOLERANCE:
        raise InputError(f"{where}: the rotation's quaternion has length {length:.6g}, it must be 1.")
    return torch.from_numpy(Rotation.from_quat(wxyz.roll(-1).numpy()).as_matrix())


THIN_PRISM = ("s1", "s2", "s3", "s4", "tau_x", "tau_y")
"""OpenCV's coefficients beyond the eighth."""


def lens_of(where: str, numbers: Float[Tensor, " coefficients"], *, fisheye: bool) -> Float[Tensor, " modelled"]:
    """The coefficients that we have a model for; `InputError` names others that are not 0, and odd counts.

    Of 4, 5, 8, 12 or 14 numbers those beyond the eighth are of a thin prism and a tilted sensor; of a fisheye's, those
    beyond the fourth mean nothing.
    """
    if len(numbers) not in (0, 4, 5, 8, 12, 14):
        raise InputError(f"{where}: distortion has {len(numbers)} numbers; it must have 4, 5, 8, 12 or 14.")
    known = 4 if fisheye else 8
    names = [f"number {k}" for k in range(5, 15)] if fisheye else THIN_PRISM
    for name, value in zip(names, numbers[known:].tolist(), strict=False):
        if value != 0:
            kind = "a fisheye has four coefficients" if fisheye else "lenses with it are not supported"
            raise InputError(f"{where}: distortion {name} is {value:g}, but {kind}; undistort the pictures first.")
    return numbers[:known]


def turn_of(where: str, numbers: Float[Tensor, " count"]) -> Float[Tensor, "3 3"]:
    """A rotation of nine numbers, or of a Rodrigues vector's three, which are radians."""
    if len(numbers) == 9:
        return numbers.reshape(3, 3)
    length = float(numbers.norm())
    if length > 2 * math.pi + 1e-3:
        raise InputError(f"{where}: the rotation is a turn by {length:g} radians; are these degrees?")
    return rodrigues(numbers)


def as_cameras(source: str, views: list[CameraParameters], notes: Sequence[str] = ()) -> Cameras:
    """Cameras of a rig, checked; `InputError` names the file, the camera and the value, and where few are left why."""
    for view in views:
        check_view(source, view)
    check_rig(source, views, notes)
    fisheye = torch.tensor([view.fisheye for view in views]) if any(view.fisheye for view in views) else None
    return Cameras(
        tuple(view.name for view in views),
        torch.stack([view.size for view in views]),
        torch.stack([view.matrix for view in views]),
        torch.stack([pad(view.distortion, (0, 8 - len(view.distortion))) for view in views]),
        torch.stack([view.rotation for view in views]),
        torch.stack([view.translation for view in views]),
        fisheye=fisheye,
    )


def check_view(source: str, view: CameraParameters) -> None:
    """Raise `InputError` where one camera cannot be right."""
    where = f"{source}: camera {view.name}"
    for name, tensor in vars(view).items():
        if isinstance(tensor, Tensor) and not all(map(math.isfinite, numbers := tensor.flatten().tolist())):
            raise InputError(f"{where}: {name} has an entry that is not finite ({numbers}).")
    width, height = view.size.tolist()
    (fx, _, cx), (below, fy, cy), last = view.matrix.tolist()
    if not (1 <= width <= MOST_PIXELS and 1 <= height <= MOST_PIXELS):
        raise InputError(f"{where}: the picture is {width:g} x {height:g} pixels.")
    if not view.name or len(view.name) > 200 or not view.name.isprintable():
        raise InputError(f"{where[:300]!r}: the name is no printable text of up to 200 letters.")
    if {"", "..", "."} & set(re.split(r"[/\\]", view.name)):
        # Folders are named after cameras: no file may be written beside the one that was asked for.
        raise InputError(f"{where}: the name is a path that leads elsewhere; give the camera another one.")
    least, most = (share * max(width, height) for share in FOCAL_SHARES)
    for axis, focal in (("x", fx), ("y", fy)):
        if focal <= 0:
            raise InputError(f"{where}: focal length in {axis} is {focal:g}, it must be positive.")
        if not least <= focal <= most:
            raise InputError(
                f"{where}: focal length in {axis} is {focal:g} pixels, which no lens has whose pictures are "
                f"{width:g} x {height:g}."
            )
    if (
        not view.size_is_guessed
        and max(abs(cx / height - 0.5), abs(cy / width - 0.5)) < CENTRED
        and max(abs(cx / width - 0.5), abs(cy / height - 0.5)) > OFF_CENTRE
    ):
        raise InputError(
            f"{where}: pictures are {width:g} x {height:g}, the principal point {[cx, cy]} is the middle of "
            f"{height:g} x {width:g}: are width and height exchanged?"
        )
    for axis, middle, side in (("x", cx, width), ("y", cy, height)):
        if not -side <= middle <= 2 * side:
            raise InputError(
                f"{where}: principal point in {axis} is {middle:g}, far outside of pictures of {width:g} x {height:g}."
            )
    if max(map(abs, translation := view.translation.tolist())) > FARTHEST:
        raise InputError(f"{where}: translation is {translation} mm, which is no place on Earth.")
    if last != [0.0, 0.0, 1.0] or below != 0.0:
        raise InputError(f"{where}: intrinsic matrix is not upper triangular with last row 0 0 1.")
    check_lens(where, view)
    check_rotation(where, view.rotation)


def check_lens(where: str, view: CameraParameters) -> None:
    """Raise `InputError` where no lens and sensor are like that."""
    (fx, skew, _), (_, fy, _), _ = view.matrix.tolist()
    if not 1 / MOST_ANISOTROPY <= fx / fy <= MOST_ANISOTROPY:
        raise InputError(f"{where}: focal lengths are {fx:g} and {fy:g} pixels; they are all but equal.")
    if abs(skew) > MOST_SKEW * fx:
        raise InputError(f"{where}: the intrinsic matrix has a skew of {skew:g} pixels, which no sensor has.")
    rim = max(view.size.tolist()) / (2 * min(fx, fy))
    lens = view.distortion.tolist()
    added = [abs(number) * rim**power for number, power in zip(lens, (2, 4, 1, 1, 6), strict=False)]
    plain = not view.fisheye and not any(lens[5:])
    if any(abs(number) > STRONGEST for number in lens) or (plain and any(one > STRONGEST_AT_THE_RIM for one in added)):
        raise InputError(f"{where}: distortion is {lens}, which no lens has.")


def check_rotation(where: str, rotation: Float[Tensor, "3 3"]) -> None:
    """Raise `InputError` unless a matrix is a rotation."""
    matrix = rotation.numpy()  # whose small matrices cost a tenth of torch's
    determinant = float(np.linalg.det(matrix))
    deviation = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    if abs(determinant) < 1e-6:
        raise InputError(f"{where}: rotation is singular (determinant {determinant:.3g}).")
    if deviation > ORTHONORMAL_TOLERANCE:
        raise InputError(f"{where}: rotation is not orthonormal (R Rᵀ differs from the identity by {deviation:.3g}).")
    if determinant < 0:
        raise InputError(f"{where}: rotation is a reflection (determinant {determinant:.3g}).")


def check_rig(source: str, views: list[CameraParameters], notes: Sequence[str] = ()) -> None:
    """Raise `InputError` where several cameras cannot be a rig; the notes say why others were left out."""
    if len(views) < 2:
        names = views[0].name if views else "none"
        why = " ".join(["", *(note[:1].upper() + note[1:] for note in notes if "left out" in note)])
        raise InputError(f"{source}: at least two cameras are needed, there is {len(views)} ({names}).{why}")
    names = [view.name for view in views]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: camera {name}: the name occurs {names.count(name)} times.")
    centres = np.stack([-(view.rotation.numpy().T @ view.translation.numpy()) for view in views])
    distances = cdist(centres, centres)
    require_one_unit(source, names, distances)
    extent = float(np.linalg.norm(centres - centres.mean(0), axis=-1).max())
    for a, b in combinations(range(len(views)), 2):
        apart = float(distances[a, b])
        if apart <= SAME_PLACE * extent:
            raise InputError(
                f"{source}: cameras {names[a]} and {names[b]} stand at one place ({apart:.3g} mm apart): "
                "one of them is probably a copy of the other."
            )


def require_one_unit(source: str, names: Sequence[str], apart: Float[np.ndarray, "views views"]) -> None:
    """Raise `InputError` where one of three or more cameras stands a thousand times too far away."""
    if len(names) < 3 or float(apart.max()) <= LONGEST_RIG:
        return
    for view in range(len(names)):
        others = np.arange(len(names)) != view
        nearest, extent = float(apart[view, others].min()), float(apart[others][:, others].max())
        if nearest > max(LONGEST_RIG, 100 * extent):
            raise InputError(
                f"{source}: camera {names[view]} stands {nearest / 1000:.4g} m from all others, which stand within "
                f"{extent / 1000:.3g} m: is its translation in another unit?"
            )
