"""Rigs with a file per camera: OpenCV's YAML, XML and JSON, OpenPose's XML, BioCV's text; named after the files."""

import re
from collections.abc import Sequence
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.calibration.documents import MOST_BYTES, read_document
from dispose.formats.calibration.named import rig_of_records
from dispose.formats.calibration.records import is_record
from dispose.formats.calibration.rig import RigFile
from dispose.formats.entry import Entry, number_of
from dispose.formats.files import decoded, read_bytes, visible

ENDINGS = (".yml", ".yaml", ".xml", ".json", ".calib", "")
VIDEO = re.compile(r"\.(?:mp4|avi|mov|mkv)$", re.IGNORECASE)

NUMBERS_OF_BIOCV = (2 + 9 + 16 + 4, 2 + 9 + 16 + 5)
"""Width and height, the matrix, 4 x 4 of extrinsics in mm, and the lens."""

MOST_BIOCV_BYTES = 4096


def camera_files(folder: Path, ending: str | None = None) -> list[tuple[str, Path]]:
    """The files of a folder, of one ending, that hold a camera each, by camera; empty where not one does.

    Where one does, all others of that ending are taken for cameras too, so that a damaged one is not overlooked; of
    those without an ending all that begin with a number, or have as many words as BioCV's.
    """
    paths = [path for path in visible(folder.iterdir()) if path.is_file()]
    for one in ENDINGS if ending is None else (ending,):
        files = [path for path in paths if path.suffix.lower() == one and (one or _may_be_of_biocv(path))]
        if len(files) > 1 and any(map(_holds_camera, files)):
            return [(VIDEO.sub("", path.name.removesuffix(path.suffix)), path) for path in files]
    return []


def _may_be_of_biocv(path: Path) -> bool:
    if path.stat().st_size > MOST_BIOCV_BYTES:
        return False
    data = read_bytes(path).lstrip()
    return data[:1].isdigit() or len(data.split()) in NUMBERS_OF_BIOCV


def _holds_camera(path: Path) -> bool:
    try:
        return is_record(read_record(path))
    except InputError:
        return False


def read_record(path: Path) -> Entry:
    """What one file says: the tree of a document, or BioCV's numbers by their names."""
    words = _words_of_biocv(path)
    if not words:
        return read_document(path)
    try:
        numbers = [number_of(word) for word in words]
    except ValueError as error:
        raise InputError(f"{path}: is no calibration of BioCV ({error}).") from error
    return Entry(str(path), dict(size=numbers[:2], K=numbers[2:11], RT=numbers[11:27], dist=numbers[27:]))


def _words_of_biocv(path: Path) -> list[str]:
    """The words of a file that is one of BioCV's, by their number; none of others."""
    data = read_bytes(path, MOST_BYTES)
    if len(data) > MOST_BIOCV_BYTES or not data.lstrip()[:1].isdigit() or len(data.split()) not in NUMBERS_OF_BIOCV:
        return []
    return decoded(data, path).split()


def rig_of_files(folder: Path, files: Sequence[tuple[str, Path]]) -> RigFile:
    """The rig of some files, one a camera."""
    records = [(name, read_record(path)) for name, path in files]
    return rig_of_records(str(folder), records, mm_per_unit=1.0 if _words_of_biocv(files[0][1]) else None)
