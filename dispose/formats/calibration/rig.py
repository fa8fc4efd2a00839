"""The one place where cameras that come from files are put together and checked."""

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dispose.errors import InputError
from dispose.scene.cameras import Cameras

ORTHONORMAL_TOLERANCE = 1e-3
"""Largest accepted entry of ``|R Rᵀ - I|``: files print rotations with as few as four digits."""

UNIT_TOLERANCE = 1e-3
"""Largest accepted difference of a quaternion's length from 1."""

SAME_PLACE = 1e-5
"""Two cameras nearer to each other than this share of the rig's size stand at one place."""


@dataclass(frozen=True, eq=False)
class CameraParameters:
    """One camera as read from a file, in our units and axes: pixels, and ``camera_from_world`` in mm.

    There are up to eight of OpenCV's coefficients; missing ones are 0.
    """

    name: str
    size: Float[Tensor, " 2"]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, " coefficients"]
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, " 3"]


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
    w, x, y, z = (wxyz / length).tolist()
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.tensor(rows, dtype=torch.float64)


def as_cameras(source: str, views: list[CameraParameters]) -> Cameras:
    """Cameras of a rig, checked; `InputError` names the file, the camera and the value."""
    for view in views:
        check_view(source, view)
    check_rig(source, views)
    return Cameras(
        tuple(view.name for view in views),
        torch.stack([view.size for view in views]),
        torch.stack([view.matrix for view in views]),
        torch.stack([pad(view.distortion, (0, 8 - len(view.distortion))) for view in views]),
        torch.stack([view.rotation for view in views]),
        torch.stack([view.translation for view in views]),
    )


def check_view(source: str, view: CameraParameters) -> None:
    """Raise `InputError` where one camera cannot be right."""
    where = f"{source}: camera {view.name}"
    for name, tensor in vars(view).items():
        if isinstance(tensor, Tensor) and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{where}: {name} has an entry that is not finite ({tensor.flatten().tolist()}).")
    if bool((view.size < 1).any()):
        raise InputError(f"{where}: the picture is {view.size[0]:g} x {view.size[1]:g} pixels.")
    for axis, focal in (("x", float(view.matrix[0, 0])), ("y", float(view.matrix[1, 1]))):
        if focal <= 0:
            raise InputError(f"{where}: focal length in {axis} is {focal:g}, it must be positive.")
    if view.matrix[2].tolist() != [0.0, 0.0, 1.0] or float(view.matrix[1, 0]) != 0.0:
        raise InputError(f"{where}: intrinsic matrix is not upper triangular with last row 0 0 1.")
    check_rotation(where, view.rotation)


def check_rotation(where: str, rotation: Float[Tensor, "3 3"]) -> None:
    """Raise `InputError` unless a matrix is a rotation."""
    determinant = float(torch.linalg.det(rotation))
    deviation = float((rotation @ rotation.T - torch.eye(3, dtype=torch.float64)).abs().max())
    if abs(determinant) < 1e-6:
        raise InputError(f"{where}: rotation is singular (determinant {determinant:.3g}).")
    if deviation > ORTHONORMAL_TOLERANCE:
        raise InputError(f"{where}: rotation is not orthonormal (R Rᵀ differs from the identity by {deviation:.3g}).")
    if determinant < 0:
        raise InputError(f"{where}: rotation is a reflection (determinant {determinant:.3g}).")


def check_rig(source: str, views: list[CameraParameters]) -> None:
    """Raise `InputError` where several cameras cannot be a rig."""
    if len(views) < 2:
        names = views[0].name if views else "none"
        raise InputError(f"{source}: at least two cameras are needed, there is {len(views)} ({names}).")
    names = [view.name for view in views]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: camera {name}: the name occurs {names.count(name)} times.")
    centres = torch.stack([-(view.rotation.T @ view.translation) for view in views])
    extent = float((centres - centres.mean(0)).norm(dim=-1).max())
    for a, b in combinations(range(len(views)), 2):
        apart = math.dist(centres[a].tolist(), centres[b].tolist())
        if apart <= SAME_PLACE * extent:
            raise InputError(
                f"{source}: cameras {names[a]} and {names[b]} stand at one place ({apart:.3g} mm apart): "
                "one of them is probably a copy of the other."
            )
