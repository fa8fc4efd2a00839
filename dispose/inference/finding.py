"""Where a capture folder has its calibration and its recordings, however their names are capitalised."""

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.calibration.camera_files import camera_files
from dispose.formats.calibration.documents import MOST_BYTES
from dispose.formats.calibration.opencap import NAME as OPENCAP_NAME
from dispose.formats.calibration.read import rig_of
from dispose.formats.detections.read import is_of_a_camera
from dispose.formats.files import read_bytes, visible

# Pose2Sim writes synchronised detections and videos beside the raw ones; where there are any, they are the ones to use.
DETECTION_FOLDERS = ("pose-sync", "pose", "detections")
IMAGE_FOLDERS = ("images", "videos-sync", "videos")

ENDINGS = (".toml", ".json", ".yml", ".yaml", ".xml", ".xcp", ".qca.txt", ".mcal", ".cal", ".calib")
"""Of files that may be calibrations, lower case."""

FOLDER = re.compile(r"^calib|calib(ration)?s?$")
"""Folders of calibrations, lower case: `calibration`, `Calib_2024`, `S00_Calibration`."""

OWN_NAMES = ("cameras.json", "camera_array.toml", "camchain")
"""How files are called that tools write beside the recordings; the last is a beginning."""


def find_calibration(folder: Path) -> Path:
    """The one calibration of a capture folder, else of the session it lies in; `InputError` for none or several.

    A session's trials lie up to two folders below it (Pose2Sim: ``S00_P01/T01`` beside ``S00_Calibration``).
    """
    if not folder.is_dir():
        what = "is a file, not a capture folder" if folder.exists() else "there is no such capture folder"
        raise InputError(f"{folder}: {what}.")
    whole = folder.resolve()
    for place in (folder, whole.parent, whole.parent.parent):
        found = _candidates(place)
        # A folder of calibrations may hold settings and point lists too: what is one decides.
        chosen = found if len(found) < 2 else [path for path in found if _is_calibration(path)] or found
        # Pose2Sim writes its TOML beside the file that it converts.
        converted = [path for path in chosen if path.suffix.lower() == ".toml"]
        chosen = converted if len(converted) == 1 and _one_folder(chosen) else chosen
        if len(chosen) > 1:
            names = ", ".join(str(path.relative_to(place)) for path in chosen)
            raise InputError(f"{place}: several calibrations ({names}); choose one with --calibration.")
        if chosen:
            return chosen[0]
    for place in (folder, whole.parent, whole.parent.parent):
        _refuse_unknown(place)
    raise InputError(
        f"{folder}: no calibration in it, nor up to two folders above (looked for folders and files called calib…, and "
        f"for {', '.join(OWN_NAMES)}…)."
    )


def _refuse_unknown(place: Path) -> None:
    """`InputError` for a folder of calibrations that holds files, none of which we know by its name."""
    for inner in _inside(place):
        if inner.is_dir() and FOLDER.search(inner.name.lower()):
            files = [path.name for path in _inside(inner)]
            halves = re.compile(r"(intri|extri)\.(ya?ml|xml)", re.IGNORECASE)
            lone = next((name for name in files if halves.fullmatch(name)), None)
            if lone is not None:
                raise InputError(
                    f"{inner / lone}: EasyMocap's calibration is intri.yml and extri.yml; one is not there."
                )
            if files:
                raise InputError(
                    f"{inner}: no calibration that we know by its name in it (there are {', '.join(files[:6])}"
                    f"{' …' if len(files) > 6 else ''}); name the file with --calibration."
                )


def _candidates(place: Path) -> list[Path]:
    """Files and folders of a place that may be calibrations, by their names."""
    found: list[Path] = []
    inside = _inside(place)
    for path in inside:
        name = path.name.lower()
        if path.is_dir():
            found += _in_folder(path) if FOLDER.search(name) or name == "sparse" else []
            # OpenCap keeps every camera's calibration beside its videos.
            found += [path] if name == "videos" and any((one / OPENCAP_NAME).is_file() for one in _inside(path)) else []
        elif name.endswith(ENDINGS) and (
            name.startswith(("calib", *OWN_NAMES)) or name.endswith((".qca.txt", ".xcp", ".mcal", ".cal"))
        ):
            found.append(path)
    return found + _pairs(inside)


def _in_folder(folder: Path) -> list[Path]:
    """Calibrations in a folder that is named after them."""
    inside = _inside(folder)
    if any((path / OPENCAP_NAME).is_file() for path in inside):
        return [folder]
    models = [place for place in (folder, *folder.glob("[0-9]"), *folder.glob("sparse"), *folder.glob("sparse/[0-9]"))
              if any((place / f"images{ending}").is_file() for ending in (".txt", ".bin"))]  # fmt: skip
    if models:
        return sorted(models)
    files = [path for path in inside if path.is_file() and (path.name.lower().endswith(ENDINGS) or _is_theias(path))]
    pairs = _pairs(files)
    single = [path for path in files if path.stem.lower() not in ("intri", "extri")]
    # MM-OR has a file per camera.
    if len(single) > 1 and all(path.stem.lower().startswith("camera") and path.suffix == ".json" for path in single):
        return [folder]
    cameras = camera_files(folder)
    if cameras:
        ending = cameras[0][1].suffix.lower()
        return [path for path in single if path.suffix.lower() != ending] + pairs + [folder]
    return single + pairs


def _is_theias(path: Path) -> bool:
    """Whether a file is XML by its beginning and a text by its ending, as Theia calls its calibrations."""
    with suppress(InputError):
        return path.suffix.lower() == ".txt" and read_bytes(path, MOST_BYTES).lstrip().startswith(b"<")
    return False


def _pairs(files: Sequence[Path]) -> list[Path]:
    """EasyMocap's intrinsics that have extrinsics beside them."""
    by_stem = {path.stem.lower(): path for path in files if path.suffix.lower() in (".yml", ".yaml", ".xml")}
    return [by_stem["intri"]] if {"intri", "extri"} <= set(by_stem) else []


def _inside(folder: Path) -> list[Path]:
    try:
        return visible(folder.iterdir())
    except OSError:
        return []


def _one_folder(paths: Sequence[Path]) -> bool:
    return len({path if path.is_dir() else path.parent for path in paths}) == 1


def _is_calibration(path: Path) -> bool:
    try:
        return len(rig_of(path).views) > 0
    except InputError:
        return False


def folder_named(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of some sub-folders that is there, in any capitals; None where none is."""
    inside = {path.name.lower(): path for path in reversed(_inside(folder)) if path.is_dir()}
    return next((inside[name] for name in names if name in inside), None)


def detections_in(folder: Path) -> Path | None:
    """Where the detections of a capture lie: in a folder of the usual name, else in the only one that holds some.

    The capture itself is such a folder where its cameras' folders lie in it, beside none that may hold something else.
    """
    usual = folder_named(folder, DETECTION_FOLDERS)
    if usual is not None:
        return usual
    holders = holders_of_detections(folder)
    return holders[0] if len(holders) == 1 else None


def holders_of_detections(folder: Path) -> list[Path]:
    """A capture folder and those in it, without calibrations, that hold folders of two or more cameras' detections."""
    inner = [path for path in _inside(folder) if path.is_dir()]
    return [path for path in (folder, *inner) if not FOLDER.search(path.name.lower()) and _holds_cameras(path)]


def _holds_cameras(folder: Path) -> bool:
    cameras = [path for path in _inside(folder) if path.is_dir() and is_of_a_camera(path)]
    return len(cameras) > 1 and not any(FOLDER.search(path.name.lower()) for path in cameras)


def trials_in(folder: Path, names: Sequence[str]) -> list[Path]:
    """Captures that lie up to two folders below: those in which one of the named folders is."""
    inner = [path for path in _inside(folder) if path.is_dir()]
    below = [path for one in inner for path in _inside(one) if path.is_dir()]
    return [path for path in (*inner, *below) if folder_named(path, names) is not None]
