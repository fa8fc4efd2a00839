"""Any calibration that we read, told apart by its content."""

from pathlib import Path
from xml.etree.ElementTree import Element

from dispose.errors import InputError
from dispose.formats.calibration.camera_files import camera_files, read_record, rig_of_files
from dispose.formats.calibration.colmap import FILES as COLMAP_FILES
from dispose.formats.calibration.colmap import colmap_rig
from dispose.formats.calibration.documents import MOST_BYTES, read_document
from dispose.formats.calibration.json_files import holds_json_rig, json_rig
from dispose.formats.calibration.kalibr import is_kalibr, kalibr_rig
from dispose.formats.calibration.mm_or import mm_or_files, mm_or_rig
from dispose.formats.calibration.named import is_named_rig, named_rig
from dispose.formats.calibration.nerfstudio import is_nerfstudio, nerfstudio_rig
from dispose.formats.calibration.opencap import opencap_files, opencap_rig
from dispose.formats.calibration.opencv import is_easymocap, is_stereo, opencv_pair, yaml_of_opencv
from dispose.formats.calibration.pose2sim import has_tables, is_pose2sim, toml_rig
from dispose.formats.calibration.records import is_record
from dispose.formats.calibration.rig import CalibratedRig, RigFile, calibration_of
from dispose.formats.calibration.xml_files import xml_rig
from dispose.formats.entry import Entry
from dispose.formats.files import read_bytes
from dispose.scene.cameras import Cameras

KNOWN = (
    "Pose2Sim, anipose, FreeMoCap, Caliscope (TOML), our own, Panoptic, VoxelPose, multical (JSON), EasyMocap and "
    "stereo pairs (OpenCV's YAML or XML), Kalibr, MC-Calib (YAML), Qualisys .qca.txt, Vicon .xcp (XML), a file per "
    "camera of OpenCV, OpenPose and BioCV, folders of COLMAP, OpenCap and MM-OR"
)
ENDINGS = (".toml", ".json", ".yml", ".yaml", ".xcp", ".txt", ".xml", ".mcal", ".pickle", ".calib")
"""Endings of files that may be calibrations."""


def read_calibration(path: Path, *, mm_per_unit: float | None = None, up: str | None = None) -> Cameras:
    """The cameras of any format we know (`open_calibration`)."""
    return open_calibration(path, mm_per_unit=mm_per_unit, up=up).cameras


def open_calibration(path: Path, *, mm_per_unit: float | None = None, up: str | None = None) -> CalibratedRig:
    """A rig from any format we know, with what was left out or guessed.

    Args:
        path: a file, or a folder for COLMAP, OpenCap, MM-OR and EasyMocap.
        mm_per_unit: what one unit of its translations is, where that is not what the format says.
        up: the axis of its world that points up (x, -x, y, -y, z, -z), where that is another than the format says.

    Raises `InputError` for files that are none of them or damaged, and for cameras that cannot be right.
    """
    return calibration_of(rig_of(path), mm_per_unit=mm_per_unit, up=up)


def rig_of(path: Path) -> RigFile:
    """What a file or folder says of a rig, in its own units and axes."""
    try:
        there, folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be looked at ({error}).") from error
    if not there:
        raise InputError(f"{path}: there is no such calibration.")
    if folder:
        return _rig_of_folder(path)
    if path.name in COLMAP_FILES:
        return colmap_rig(path.parent)
    if path.suffix.lower() == ".pickle" or read_bytes(path, MOST_BYTES)[:1] == b"\x80":
        own = path.parent.parent if path.name == "cameraIntrinsicsExtrinsics.pickle" else path.parent
        return opencap_rig(own, opencap_files(own))
    return _rig_of_tree(path, read_record(path))


def _rig_of_folder(folder: Path) -> RigFile:
    if any((folder / name).exists() for name in COLMAP_FILES):
        return colmap_rig(folder)
    names = {path.stem.lower() for path in folder.iterdir() if path.suffix.lower() in (".yml", ".yaml", ".xml")}
    if {"intri", "extri"} & names:
        return opencv_pair(folder)
    pickles = opencap_files(folder)
    if pickles:
        return opencap_rig(folder, pickles)
    files = mm_or_files(folder)
    if len(files) > 1 and all(read_document(path).has("value0") for _, path in files):
        return mm_or_rig(folder, files)
    files = camera_files(folder)
    if files:
        return rig_of_files(folder, files)
    one = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS and path.is_file()]
    if len(one) == 1:
        return rig_of(one[0])
    raise InputError(f"{folder}: no calibration in it that we know; name the file. Known: {KNOWN}.")


def _rig_of_tree(path: Path, root: Entry) -> RigFile:
    if isinstance(root.value, Element):
        return xml_rig(path, root.value)
    if isinstance(root.value, list):
        return named_rig(root) if is_named_rig(root) else json_rig(root)
    if not isinstance(root.value, dict):
        raise InputError(f"{path}: no calibration that we know. Known: {KNOWN}.")
    if is_pose2sim(root):
        return toml_rig(root)
    if root.has("value0"):
        return mm_or_rig(path.parent, mm_or_files(path.parent))
    if is_kalibr(root):
        return kalibr_rig(root)
    if holds_json_rig(root):
        return json_rig(root)
    if is_stereo(root) or is_easymocap(root):
        return yaml_of_opencv(path, root)
    if is_nerfstudio(root):
        return nerfstudio_rig(root)
    if is_named_rig(root):
        return named_rig(root)
    if is_record(root):
        return rig_of_files(path.parent, camera_files(path.parent, path.suffix.lower()) or [(path.stem, path)])
    if has_tables(root):
        return toml_rig(root)
    # What it holds is none of these, or damaged: the complaint is that of the kind which its ending promises.
    ending = path.suffix.lower()
    return yaml_of_opencv(path, root) if ending in (".yml", ".yaml") else BY_ENDING.get(ending, json_rig)(root)


BY_ENDING = {".toml": toml_rig, ".json": json_rig}
