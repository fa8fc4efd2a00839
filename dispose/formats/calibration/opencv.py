"""Calibrations in OpenCV's YAML or XML: EasyMocap's `intri.yml` beside `extri.yml` or both in one, and stereo pairs."""

import re
from pathlib import Path

import torch

from dispose.errors import InputError
from dispose.formats.calibration.documents import read_document
from dispose.formats.calibration.rig import CameraParameters, RigFile, lens_of, size_from_principal_point, turn_of
from dispose.formats.calibration.tables import IncompleteCameraError, is_null, numbers_or_none, usable_cameras
from dispose.formats.entry import VERY_ALIKE, Entry, almost

MATRIX_OF_TWO = ("K", "M", "cameraMatrix", "camera_matrix_", "camera_matrix", "CameraMatrix")
LENS_OF_TWO = ("D", "dist", "distCoeffs", "dist_coeffs_", "dist_coeffs", "distortion_coefficients", "DistCoeffs")
OF_CAMERA = ("K", "dist", "R", "RT", "T", "W", "H", "n", "bounds")
"""What EasyMocap's entries begin with, beside `Rot`."""

SAME_TURN = 1e-2
"""Largest difference between entries of one turn written in two ways, by few digits."""

SIZE_OF_TWO = ("imageSize", "image_size", "size", "ImageSize")


def opencv_pair(folder: Path) -> RigFile:
    """The cameras of ``intri.yml`` and ``extri.yml``: ``K_, dist_, R_`` or ``Rot_, T_`` with each one's name, metres.

    Sizes ``W_, H_`` are read where they exist; otherwise the image is taken as twice the principal point.
    """
    inner, outer = (_beside(folder, name) for name in ("intri", "extri"))
    return easymocap_rig(read_document(inner), read_document(outer))


def _beside(folder: Path, stem: str) -> Path:
    """The file of that name, in any capitals; the usual name where there is none."""
    found = [path for path in sorted(folder.glob("*")) if path.stem.lower() == stem and path.suffix.lower() in ENDINGS]
    return found[0] if found else folder / f"{stem}.yml"


ENDINGS = (".yml", ".yaml", ".xml")


def is_easymocap(root: Entry) -> bool:
    """Whether a file holds intrinsics or extrinsics as EasyMocap writes them."""
    keys = root.keys() if isinstance(root.value, dict) else ()
    return any(re.match(r"(K|R|Rot|T)_.", key) for key in keys)


def is_stereo(root: Entry) -> bool:
    """Whether a file holds two cameras, the second posed from the first."""
    return all(_first(root, MATRIX_OF_TWO, number) for number in "12") and root.has("R") and root.has("T")


def yaml_of_opencv(path: Path, root: Entry) -> RigFile:
    """The rig of one file: a stereo pair, or EasyMocap's whose other half may lie beside it."""
    if is_easymocap(root):
        keys = root.keys()
        halves = [any(key.startswith(start) for key in keys) for start in ("K_", "T_")]
        if all(halves):
            return easymocap_rig(root, root)
        other = _beside(path.parent, "extri" if halves[0] else "intri")
        if not other.is_file():
            what, lacking = ("intrinsics", "extri.yml") if halves[0] else ("extrinsics", "intri.yml")
            raise InputError(f"{path}: holds {what} only, and there is no {lacking} beside it.")
        return easymocap_rig(root, read_document(other)) if halves[0] else easymocap_rig(read_document(other), root)
    return stereo_rig(root)


def easymocap_rig(inner: Entry, outer: Entry) -> RigFile:
    """The rig of intrinsics and extrinsics, which may be one and the same file."""
    for half, what in ((inner, "intrinsics"), (outer, "extrinsics")):
        if not isinstance(half.value, dict):
            raise InputError(f"{half.place}: holds no {what} (K_, dist_ or R_, T_ with each camera's name).")
    if inner.has("names"):
        listed = inner.at("names").values()
        names = [str(name) for name in listed if isinstance(name, str | int)]
    else:
        keys = inner.keys()
        names = [key.removeprefix("K_") for key in keys if key.startswith("K_")]
    if not names:
        raise InputError(f"{inner.place}: no camera in it (no list 'names', and no matrix 'K_…').")

    def read(name: str, _: Entry) -> CameraParameters:
        return _easymocap_view(name, inner, outer)

    views, notes = usable_cameras([(name, inner) for name in names], read)
    more = [key.removeprefix("K_") for key in inner.keys() if key.startswith("K_")]  # noqa: SIM118
    left = tuple(f"camera {name} is left out: it is not in the list 'names'." for name in more if name not in names)
    return RigFile(outer.place, views, notes=(*notes, *left))


def _easymocap_view(name: str, inner: Entry, outer: Entry) -> CameraParameters:
    matrix = _numbers(inner, f"K_{name}", 9).reshape(3, 3)
    where = f"{inner.place}: camera {name}"
    # A misspelt `dist_` would mean a lens without distortion.
    lens = lens_of(where, _numbers(inner, f"dist_{name}"), fisheye=False)
    by_matrix = outer.has(f"Rot_{name}")
    others = [key.removesuffix(f"_{name}") for key in outer.keys() if key.endswith(f"_{name}")]  # noqa: SIM118
    odd = [one for one in others if one not in OF_CAMERA and almost(one, ("Rot",), VERY_ALIKE)]
    if odd and not by_matrix:
        raise InputError(f"{outer.place}: there is '{odd[0]}_{name}', but no 'Rot_{name}'; is it misspelt?")
    turn = _numbers(outer, f"Rot_{name}", 9) if by_matrix else _numbers(outer, f"R_{name}", 3, 9)
    rotation = turn_of(f"{outer.place}: camera {name}", turn)
    if by_matrix and outer.has(f"R_{name}") and not is_null(outer.at(f"R_{name}").value):
        said = turn_of(f"{outer.place}: camera {name}", _numbers(outer, f"R_{name}", 3, 9))
        if float((said - rotation).abs().max()) > SAME_TURN:
            raise InputError(f"{outer.place}: camera {name}: R_{name} and Rot_{name} are two different turns.")
    shift = _numbers(outer, f"T_{name}", 3)
    sides = [inner.at(f"{side}_{name}").number() for side in "WH" if inner.has(f"{side}_{name}")]
    guessed = len(sides) < 2 or 0 in sides
    size = size_from_principal_point(matrix) if guessed else torch.tensor(sides, dtype=torch.float64)
    return CameraParameters(name, size, matrix, lens, rotation, shift, size_is_guessed=guessed)


def _numbers(root: Entry, key: str, *lengths: int) -> torch.Tensor:
    if root.has(key) and is_null(root.at(key).value):
        raise IncompleteCameraError(f"its {key} is not known")
    if not root.has(key):
        raise InputError(f"{root.place}: no matrix {key!r}.")
    return root.at(key).numbers(*lengths)


def stereo_rig(root: Entry) -> RigFile:
    """Two cameras in one file: a matrix and a lens each (K1, D1, K2, D2), and the second's ``R, T`` from the first.

    The first camera's axes are the world's, so that down is about y; the unit is not told and taken as metres.
    """
    matrices = [_first(root, MATRIX_OF_TWO, number) for number in "12"]
    if not is_stereo(root):
        raise InputError(
            f"{root.place}: is YAML, but no calibration we know (neither EasyMocap's K_, R_, T_ with names, a stereo "
            "pair's K1, D1, K2, D2, R, T, nor Kalibr's cam0, cam1, …)."
        )
    rotation = turn_of(f"{root.place}: R", root.at("R").numbers(3, 9))
    poses = [(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))]
    poses.append((rotation, root.at("T").numbers(3)))
    views = []
    for number, key, (turn, shift) in zip("12", matrices, poses, strict=True):
        matrix, lens_key = root.at(str(key)).matrix(), _first(root, LENS_OF_TWO, number)
        if lens_key is None:
            raise InputError(f"{root.place}: no distortion of camera {number} ('D{number}').")
        lens = lens_of(f"{root.place}: camera {number}", numbers_or_none(root, lens_key), fisheye=False)
        size, guessed = _size_of_two(root, matrix)
        views.append(CameraParameters(number, size, matrix, lens, turn, shift, size_is_guessed=guessed))
    note = (
        "a stereo pair says neither its unit nor where up is: taken as metres (--mm-per-unit), and the first camera's "
        "y as down (--up)."
    )
    return RigFile(root.place, tuple(views), 1000.0, "-y", (note,), named=False)


def _first(root: Entry, stems: tuple[str, ...], number: str) -> str | None:
    return next((f"{stem}{number}" for stem in stems if root.has(f"{stem}{number}")), None)


def _size_of_two(root: Entry, matrix: torch.Tensor) -> tuple[torch.Tensor, bool]:
    for key in SIZE_OF_TWO:
        if root.has(key):
            return root.at(key).numbers(2), False
    if root.has("image_width") and root.has("image_height"):
        sides = [root.at(key).number() for key in ("image_width", "image_height")]
        return torch.tensor(sides, dtype=torch.float64), False
    return size_from_principal_point(matrix), True
