"""From the images that a file names to cameras and frames."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

from dispose.errors import InputError
from dispose.formats.detections.listing import ImageListing
from dispose.formats.detections.people import NO_FRAME, DetectionView, Odd, counted
from dispose.formats.entry import MOST_WHOLE, short
from dispose.formats.files import frame_number, name_without_number


def views_of(listing: ImageListing, path: Path, camera: str | None) -> tuple[DetectionView, ...]:
    """The cameras of a file whose images name camera and frame; or the one camera that it is said to be of.

    Raises:
        InputError: no image names a frame or, where no camera is said, a camera.
    """
    cameras: dict[str, dict[int, list[object]]] = {} if camera is None else {camera: {}}
    lost: list[str] = []
    frames = listing.frames()
    for image, people in frames.items():
        try:
            name, number = _camera_and_frame(image, camera, path)
        except InputError as error:
            lost += [str(error).rstrip(".")] * max(len(people), 1)
            continue
        cameras.setdefault(name, {}).setdefault(number, []).extend(people)
    if lost and not any(cameras.values()):
        raise InputError(f"{lost[0]}.")
    short_of = _without_common_folder(list(cameras))
    odd = counted([*listing.odd, *([Odd(NO_FRAME, len(lost), lost[0])] if lost else [])])
    return tuple(
        DetectionView(
            short_of[name],
            dict.fromkeys(sorted(found), path),
            partial(people_listed, found),
            None if listing.joints is None else listing.joints.skeleton,
            odd=() if at else odd,
            notes=() if at else listing.notes,
        )
        for at, (name, found) in enumerate(sorted(cameras.items()))
    )


def _without_common_folder(cameras: Sequence[str]) -> dict[str, str]:
    """What cameras are called without the folders in which all of them lie."""
    parts = [name.split("/") for name in cameras]
    levels = zip(*parts, strict=False) if len(cameras) > 1 else ()
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return {name: "/".join(part[common:]) or name for name, part in zip(cameras, parts, strict=True)}


def people_listed(frames: Mapping[int, list[object]], number: int, place: str) -> list[object]:
    """The people of a frame, all of which are in memory."""
    return frames[number]


def number_in(name: Path) -> int | None:
    """The frame number in an image's name; None where there is none, or one that no array holds."""
    number = frame_number(name)
    return number if number is not None and number <= MOST_WHOLE else None


def _camera_and_frame(image: int | str, camera: str | None, path: Path) -> tuple[str, int]:
    if isinstance(image, int):
        if camera is None:
            raise InputError(
                f"{path}: image {image}: in a file of several cameras it must name camera and frame, as in "
                "'cam01/000042'."
            )
        return camera, image
    # Paths of Windows are names of folders too.
    name = Path(image.replace("\\", "/"))
    number = number_in(name)
    if number is None:
        raise InputError(f"{path}: image {short(image)} holds no frame number.")
    if camera is not None:
        return camera, number
    folder = name.parent.as_posix()
    found = folder if folder != "." else name_without_number(name)
    if not found:
        raise InputError(f"{path}: image {short(image)} names no camera.")
    return found, number
