"""Calibrations whose cameras are records of their own: by name, as a list, a file each, or number by number.

``{"cam1": {"K": …, "dist": …, "R": …, "t": …}}`` in the words of `records`; intrinsics and extrinsics of a camera
together or in tables of their own (``{"intrinsics": {camera: …}, "extrinsics": {camera: …}}``; multical's ``cameras``
and ``camera_poses``); MC-Calib's YAML; lists side by side as ZJU-MoCap's (``{"K": […], "D": […], "R": […], …}``).
"""

from collections.abc import Iterator, Sequence

import torch

from dispose.errors import InputError
from dispose.formats.calibration.records import (
    EXTRINSICS,
    INTRINSICS,
    LENS,
    MATRIX,
    POSES,
    ROTATION,
    SIZE,
    TRANSLATION,
    first_of,
    is_whole,
    refuse_almost,
    view_of,
)
from dispose.formats.calibration.rig import CameraParameters, RigFile
from dispose.formats.calibration.tables import IncompleteCameraError, usable_cameras
from dispose.formats.entry import Entry

NAME = ("name", "camera", "camera_name", "id", "cam_id", "camera_id", "serial")

OF_POSE2SIM = ("matrix", "rotation", "translation")

METRES_BELOW, MILLIMETRES_FROM = 80.0, 4000.0
"""Cameras that stand farthest apart by less, or by more, of the file's units: what these are is clear. Between the two
they may be centimetres."""

EXACT = 1e-6
"""A camera whose pose differs from none by less has the world's axes."""

APART = ((INTRINSICS, EXTRINSICS), (("cameras",), ("camera_poses",)))
"""Tables of intrinsics and of extrinsics; the last are multical's."""

GROUP, COUNT = "camera_group", "nb_camera"
"""MC-Calib's: cameras of one group have one world; how many there are."""

UNIT = ("units", "unit")
MM_PER_UNIT = {
    "mm": 1.0, "millimetre": 1.0, "millimeter": 1.0, "cm": 10.0, "centimetre": 10.0, "centimeter": 10.0,
    "m": 1000.0, "metre": 1000.0, "meter": 1000.0, "in": 25.4, "inch": 25.4, "inche": 25.4,
}  # fmt: skip
"""By the name in the singular; "inches" without its last letter too."""


def is_named_rig(root: Entry) -> bool:
    """Whether a tree holds cameras whose numbers have usual names; Panoptic's and Pose2Sim's are known by others."""
    if root.has("views") or any(one.has("distCoef") for one in _list_of(root) or ()):
        return False
    listed = _list_of(root) is not None  # as Pose2Sim's tables never are; AIST++ lists cameras in the same words
    return any(is_whole(camera) and (listed or not all(map(camera.has, OF_POSE2SIM))) for _, camera in _cameras(root))


def named_rig(root: Entry) -> RigFile:
    """The cameras; their unit is told by how far they stand apart, where that leaves no doubt."""
    named = _list_of(root) is None or _says_names(root)
    cameras = list(_cameras(root))
    if root.has(COUNT) and root.at(COUNT).whole() != (there := sum(is_whole(one) for _, one in cameras)):
        raise InputError(f"{root.place}: {COUNT} is {root.at(COUNT).whole()}, and {there} cameras are there.")
    return rig_of_records(root.place, cameras, named=named, mm_per_unit=_said_unit(root))


def rig_of_records(
    source: str, records: Sequence[tuple[str, Entry]], *, named: bool = True, mm_per_unit: float | None = None
) -> RigFile:
    """The rig of some cameras by name; `mm_per_unit`: where their format says it."""
    groups = [one.at(GROUP).value for _, one in records if one.has(GROUP)]

    def read(name: str, camera: Entry) -> CameraParameters:
        if camera.has(GROUP) and camera.at(GROUP).value != groups[0]:
            raise IncompleteCameraError(f"its {GROUP} is another than that of the first, whose world it does not share")
        return view_of(name, camera)

    cameras = [(name, Entry(f"{source}: camera {name}", one.value)) for name, one in records]
    views, notes = usable_cameras(cameras, read)
    unit, up, said = unit_and_up(views)
    if mm_per_unit is not None:
        unit, said = mm_per_unit, ()
    return RigFile(source, views, unit, up, (*notes, *said), named)


def _said_unit(root: Entry) -> float | None:
    """Millimetres that one unit is, where the file says so; `InputError` for what is no unit of length."""
    if (said := first_of(root, UNIT)) is None:
        return None
    name = said.text().strip().lower()
    unit = MM_PER_UNIT.get(name, MM_PER_UNIT.get(name.removesuffix("s")))
    if unit is None:
        raise InputError(f"{said.place}: units are {said.text()!r}; known are mm, cm, m and inch.")
    return unit


def unit_and_up(views: Sequence[CameraParameters]) -> tuple[float | None, str, tuple[str, ...]]:
    """Millimetres that one unit is, where the distances of the cameras tell, the axis up, and the sentence about both.

    A camera whose axes are the world's looks along its z: y is down.
    """
    eye = torch.eye(3, dtype=torch.float64)
    own = any(bool((view.rotation - eye).abs().max() < EXACT > view.translation.abs().max()) for view in views)
    up, why = ("-y", "a camera's y down") if own else ("z", "z up")
    if len(views) < 2:
        return 1.0, up, ()
    centres = torch.stack([-(view.rotation.mT @ view.translation) for view in views])
    far = float(torch.cdist(centres, centres).max())
    if METRES_BELOW <= far < MILLIMETRES_FROM:
        return None, up, ()
    factor, unit = (1000.0, "metres") if far < METRES_BELOW else (1.0, "millimetres")
    return (
        factor,
        up,
        (
            f"the calibration does not say its unit: {unit}, since its cameras stand up to {far:.4g} of them apart, "
            f"and {why} (else: --mm-per-unit, --up).",
        ),
    )


def _list_of(root: Entry) -> list[Entry] | None:
    """The cameras of a list, of one under ``cameras``, or of lists side by side."""
    inner = root.at("cameras") if root.has("cameras") else root
    return list(inner.items()) if isinstance(inner.value, list) else _side_by_side(inner)


def _side_by_side(root: Entry) -> list[Entry] | None:
    """A record per camera of an object whose entries are lists with something of every camera."""
    key = next((name for name in MATRIX if root.has(name)), None)
    matrices = None if key is None else root.at(key).value
    if not isinstance(matrices, list) or not matrices or any(_count(one) != 9 for one in matrices):
        return None
    records: list[dict[str, object]] = [{} for _ in matrices]
    for names in (SIZE, LENS):
        if first_of(root, names) is None:
            refuse_almost(root, names)
    for name, column in root.entries():
        of_each = name in SIZE and isinstance(column.value, list) and any(isinstance(one, list) for one in column.value)
        if not of_each and name not in (*MATRIX, *LENS, *ROTATION, *TRANSLATION, *EXTRINSICS, *POSES):
            continue
        if len(column.values()) != len(records):
            raise InputError(f"{column.place}: is of {len(column.values())} cameras; there are {len(records)}.")
        for record, value in zip(records, column.values(), strict=True):
            record[name] = value
    return [Entry(root.place, record) for record in records]


def _count(value: object) -> int:
    return sum(map(_count, value)) if isinstance(value, list) else 1


def _says_names(root: Entry) -> bool:
    return all(first_of(one, NAME) is not None for one in _list_of(root) or ())


def _cameras(root: Entry) -> Iterator[tuple[str, Entry]]:
    """Names and entries of everything that may be a camera."""
    listed = _list_of(root)
    if listed is not None:
        for number, one in enumerate(listed):
            name = first_of(one, NAME)
            yield str(number if name is None else name.value), one
        return
    inner = root.at("cameras") if root.has("cameras") else root
    if not isinstance(inner.value, dict):
        return
    for names in APART:
        first, second = (first_of(root if names is APART[-1] else inner, some) for some in names)
        if (
            first is not None
            and second is not None
            and isinstance(first.value, dict)
            and isinstance(second.value, dict)
        ):
            yield from _together(root, first, second)
            return
    for name, one in inner.entries():
        if isinstance(one.value, dict) and (
            first_of(one, MATRIX) or first_of(one, ROTATION) or first_of(one, EXTRINSICS)
        ):
            yield name, one


def _together(root: Entry, first: Entry, second: Entry) -> Iterator[tuple[str, Entry]]:
    """Cameras of which one table has the intrinsics and another the extrinsics."""
    names = first.keys()
    # multical's poses from a master are called `cam2_to_cam1`.
    relative = [name for name in second.keys() if "_to_" in name and name not in names]  # noqa: SIM118
    poses = {name.split("_to_")[0] if name in relative else name: one for name, one in second.entries()}
    masters = {name.split("_to_")[1] for name in relative}
    if len(masters) > 1:
        raise InputError(f"{second.place}: poses are told from several cameras ({', '.join(sorted(masters))}).")
    if not set(names) & set(poses) and any(
        isinstance(one.value, dict) and set(names) & set(one.value) for one in poses.values()
    ):
        raise InputError(
            f"{root.place}: holds extrinsics of several recordings ({', '.join(second.keys()[:8])}); keep those of "
            "one, by camera."
        )
    for name, one in first.entries():
        there = poses[name].value if name in poses else None
        yield name, Entry(one.place, {INTRINSICS[0]: one.value, EXTRINSICS[0]: there})
