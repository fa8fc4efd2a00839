"""Any calibration file that we read, told apart by its content."""

from pathlib import Path

from dispose.errors import InputError
from dispose.formats.calibration.colmap import read_calibration_colmap
from dispose.formats.calibration.json_files import read_any_json
from dispose.formats.calibration.opencv import read_calibration_opencv
from dispose.formats.calibration.pose2sim import read_calibration_toml
from dispose.scene.cameras import Cameras


def read_calibration(path: Path, *, mm_per_unit: float | None = None) -> Cameras:
    """Cameras from any format we know.

    TOML (Pose2Sim, anipose), JSON (our own, Panoptic, Shelf/Campus), OpenCV YAML (EasyMocap), COLMAP text.

    Args:
        path: a file, or a folder for COLMAP and for OpenCV YAML.
        mm_per_unit: for COLMAP only, whose scale is unknown.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such calibration.")
    folder = path if path.is_dir() else path.parent
    if path.name in ("cameras.txt", "images.txt") or (path.is_dir() and (path / "images.txt").exists()):
        if mm_per_unit is None:
            raise InputError(f"{path}: COLMAP's scale is unknown; say how many mm one of its units is (--mm-per-unit).")
        return read_calibration_colmap(folder, mm_per_unit=mm_per_unit)
    if mm_per_unit is not None:
        raise InputError(f"{path}: {mm_per_unit:g} mm per unit are given, but only COLMAP leaves its unit open.")
    if path.suffix in (".yml", ".yaml") or (path.is_dir() and (path / "intri.yml").exists()):
        return read_calibration_opencv(path)
    if path.suffix == ".toml":
        return read_calibration_toml(path)
    if path.suffix == ".json":
        return read_any_json(path)
    raise InputError(
        f"{path}: unknown kind of calibration; known: .toml (Pose2Sim, anipose), .json (own, Panoptic, Shelf/Campus), "
        ".yml (OpenCV), a folder with cameras.txt and images.txt (COLMAP)."
    )
