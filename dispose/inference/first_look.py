"""Some people from all over a capture's detections, before its first frame: what is wrong with most is no odd value.

Told or refused here is what concerns all of a camera's people: the skeleton, scores in other units, coordinates of
another image. What concerns single ones is counted frame by frame (`dispose.formats.detections.people`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float

from dispose.errors import InputError
from dispose.formats.detections.people import BORDER_PX, DamagedFrameError, DetectionView, is_list_of, numbers_of
from dispose.formats.entry import short
from dispose.formats.files import name_without_number
from dispose.inference.skeleton_choice import choose_skeleton, doubt_of
from dispose.skeletons.catalog import body_of
from dispose.skeletons.skeleton import Skeleton

FRAMES_LOOKED_AT = 24
"""Frames of a camera, from all over it; where nobody is in any of them, the others one after the other."""

PEOPLE_TO_TELL_SKELETONS = 60

OTHER_SCORES = 2.0
"""Scores of SimCC heads reach 1.3, visibilities 2; scores of which half are larger are in other units."""

NORMALIZED_UP_TO, NORMALIZED_SHARE = 1.5, 0.9
"""Coordinates of which so many are below are shares of the image: none is that small, but single ones may be odd."""

STRANGE_SHARE, SAID_SHARE = 1 / 3, 0.05
"""Share of the people whose middle lies outside the image: refused, and said."""

SAME_SHARE = 0.5
"""Of a camera's people in another camera; nobody looks the same from two places."""

ENOUGH_PEOPLE = 5
USUAL_FACTORS = (4 / 3, 1.5, 1.6, 2.0, 2.25, 8 / 3, 3.0, 4.0, 4.5, 6.0, 8.0, 10.0)


@dataclass(frozen=True, eq=False)
class Sample:
    """Some people of one camera, ``x, y, score`` of the joints in the file; the score is 0 where a value is no number
    or the joint is at 0, 0.

    The place is that of the first of them.
    """

    view: DetectionView
    people: Float[np.ndarray, "people joints 3"]
    place: str


def settle_detections(
    source: str, views: Sequence[DetectionView], sizes: Sequence[tuple[float, float]], told: Skeleton | None
) -> tuple[tuple[DetectionView, ...], tuple[str, ...]]:
    """The views with the skeleton of their people, and sentences about what was worked out.

    Args:
        source: where they are, for complaints.
        views: a capture's cameras.
        sizes: width and height of every camera's image as calibrated.
        told: the skeleton, where the user has told it.

    Raises:
        InputError: nobody is detected and nothing tells the skeleton; the skeleton is unknown or not the one told;
            scores are in other units; or most people lie outside the image.
    """
    told = _told(source, views, told)
    joints = _usual_width(source, views, told)
    samples = [_sample(view, joints) for view in views]
    people = [torch.from_numpy(one) for one in _in_turn([sample.people for sample in samples])]
    if told is None:
        if not people:
            _refuse_nobody_of_use(source, views)
        skeleton, note = choose_skeleton(source, people)
    else:
        skeleton, note = told, doubt_of(told, people)
    body = body_of(skeleton)
    notes = [*(note for view in views for note in view.notes), *([note] if note else [])]
    if body != skeleton:
        notes.append(f"skeleton {skeleton.name}: of its {len(skeleton)} joints the {len(body)} of the body are read "
                     f"({body.name}).")  # fmt: skip
    settled = []
    for sample, size in zip(samples, sizes, strict=True):
        _refuse_other_scores(sample)
        view, sentences = _in_pixels(sample, size)
        settled.append(replace(view, skeleton=skeleton))
        notes += sentences
    return tuple(settled), (*notes, *_in_anothers_place(samples))


def _in_anothers_place(samples: Sequence[Sample]) -> Iterator[str]:
    """Sentences about cameras that have another's people, or whose files are called after another camera."""
    rows = [{one.tobytes() for one in sample.people if one[:, 2].any()} for sample in samples]
    for (a, mine), (b, others) in combinations(zip(samples, rows, strict=True), 2):
        share = len(mine & others) / max(1, min(len(mine), len(others)))
        if share > SAME_SHARE:
            yield (f"cameras {a.view.camera} and {b.view.camera} have the same people, {100 * share:.0f} % of them to "
                   f"the digit (the first: {b.place}): are one camera's files in another's place?")  # fmt: skip
    names = {sample.view.camera for sample in samples}
    for view in (sample.view for sample in samples):
        first = next(iter(view.files.values()), None)
        called = "" if first is None else name_without_number(first)
        if called != view.camera and called in names:
            yield f"{first}: is called after camera {called}, and is read as of {view.camera}: are folders exchanged?"


def _told(source: str, views: Sequence[DetectionView], told: Skeleton | None) -> Skeleton | None:
    """What user or files say of the skeleton; `InputError` where they contradict one another."""
    said = {view.skeleton.name: view.skeleton for view in views if view.skeleton is not None}
    if told is not None:
        said[told.name] = told
    if len(said) > 1:
        raise InputError(f"{source}: the skeleton is {' and '.join(said)}, by the files' own names of joints"
                         f"{'' if told is None else ' and by --skeleton'}; all cameras must have one.")  # fmt: skip
    return next(iter(said.values()), None)


def _some_frames(view: DetectionView) -> Iterator[int]:
    """Frames from all over a camera first, then the others."""
    first = view.numbers[:: max(1, len(view.numbers) // FRAMES_LOOKED_AT)]
    yield from first
    known = set(first)
    yield from (number for number in view.numbers if number not in known)


def _listed(view: DetectionView) -> Iterator[tuple[int, Sequence[object]]]:
    """The people of some frames; after the first ones only until somebody is found."""
    somebody = False
    for at, number in enumerate(_some_frames(view)):
        if at >= FRAMES_LOOKED_AT and somebody:
            return
        try:
            people = view.listed(number)
        except DamagedFrameError:
            continue
        somebody = somebody or any(isinstance(values, list) and values for values in people)
        yield number, people


def _usual_width(source: str, views: Sequence[DetectionView], told: Skeleton | None) -> int:
    """The number of joints that most people have; 0 where nobody is.

    Raises:
        InputError: it is not that of the skeleton that was told; most people have no whole number of joints.
    """
    widths: Counter[int] = Counter()
    for view in views:
        widths.update(len(values) for _, people in _listed(view) for values in people if isinstance(values, list))
    widths.pop(0, None)
    if not widths:
        return 0
    values, _ = widths.most_common(1)[0]
    if values % 3:
        raise InputError(f"{source}: people have {values} numbers, x, y and score of every joint are expected.")
    if told is not None and values != 3 * len(told):
        raise InputError(f"{source}: people have {values // 3} joints, but the skeleton {told.name} has {len(told)}; "
                         "leave --skeleton out, or give another.")  # fmt: skip
    return values // 3


def _sample(view: DetectionView, joints: int) -> Sample:
    """A camera's people with the usual number of joints."""
    found: list[list[object]] = []
    place = view.camera
    for number, people in _listed(view):
        mine = [values for values in people if is_list_of(values, joints)] if joints else []
        if mine and not found:
            place = view.where(number)
        found += mine  # type: ignore[arg-type]
    table = numbers_of(found).reshape(-1, joints, 3) if found else np.zeros((0, joints, 3))
    known = np.asarray(np.isfinite(table).all(-1) & (table[..., :2] != 0).any(-1))
    return Sample(view, np.where(known[..., None], table, 0.0), place)


def _refuse_nobody_of_use(source: str, views: Sequence[DetectionView]) -> None:
    """Raise `InputError` where people have keypoints of which none can be used, with the first of them."""
    listed = [
        (f"{view.where(number)}, person {n}", values)
        for view in views
        for number, people in _listed(view)
        for n, values in enumerate(people)
        # All zero, null or NaN is nobody.
        if isinstance(values, list) and any(value and value == value for value in values)
    ]
    if listed:
        place, values = listed[0]
        if isinstance(values[0], list):
            raise InputError(f"{source}: joints have {len(values[0])} values each (the first: {place}: "
                             f"{short(values[0])}); x, y and a score are expected.")  # fmt: skip
        raise InputError(
            f"{source}: {len(listed)} people are listed, but none has a joint of use (the first: {place}: its first "
            f"joint is {', '.join(short(one) for one in values[:3])}); a joint is two numbers and a score above 0."
        )


def _in_turn(samples: Sequence[Float[np.ndarray, "_ joints 3"]]) -> list[Float[np.ndarray, "joints 3"]]:
    """People of all cameras in turn, with scores that are 0 where nothing was seen."""
    found: list[Float[np.ndarray, "joints 3"]] = []
    for row in range(max((len(people) for people in samples), default=0)):
        found += [people[row] for people in samples if row < len(people) and np.any(people[row, :, 2] > 0)]
    return found[:PEOPLE_TO_TELL_SKELETONS]


def _refuse_other_scores(sample: Sample) -> None:
    """Raise `InputError` where half of a camera's scores are no scores."""
    told = np.extract(sample.people[..., 2] != 0, sample.people[..., 2])
    if len(told) and float(np.median(told)) < 0:
        raise InputError(f"{sample.place}: half of this camera's scores are below {np.median(told):.4g}, so they are "
                         "no scores (logits?); they must lie in [0, 1].")  # fmt: skip
    scores = np.extract(sample.people[..., 2] > 0, sample.people[..., 2])
    if len(scores) and float(np.median(scores)) > OTHER_SCORES:
        largest = float(scores.max())
        factor = next((unit for unit in (100, 255) if unit / 10 < largest <= unit * 1.3), None)
        likely = f"probably {factor} times too large" if factor else "in another unit"
        raise InputError(f"{sample.place}: scores of this camera reach {largest:.4g} and half of them are above "
                         f"{np.median(scores):.4g}, {likely}; they must lie in [0, 1].")  # fmt: skip


def _in_pixels(sample: Sample, size: tuple[float, float]) -> tuple[DetectionView, list[str]]:
    """A view whose coordinates are understood: pixels of the calibrated image, or shares of it, which is said.

    Raises:
        InputError: the middle of many people lies outside the image.
    """
    view, people = sample.view, sample.people
    seen = people[..., 2] > 0
    if not seen.any():
        return view, []
    xy, notes = people[..., :2], []
    if not view.normalized and float(np.quantile(np.abs(xy[seen]), NORMALIZED_SHARE)) <= NORMALIZED_UP_TO:
        view = replace(view, normalized=True)
        notes = [
            f"camera {view.camera}: coordinates are shares of the image, taken times {size[0]:.0f} x {size[1]:.0f}."
        ]
    xy = np.where(seen[..., None], xy * (size if view.normalized else 1.0), np.nan)[seen.any(1)]
    middle = np.nanmedian(xy, axis=1)
    outside = np.asarray((middle > np.array(size)) | (middle < BORDER_PX)).any(1)
    share = float(outside.mean())
    if len(xy) >= ENOUGH_PEOPLE and share >= STRANGE_SHARE:
        raise InputError(_of_another_image(sample, xy, share, size))
    if share >= SAID_SHARE:
        notes.append(f"camera {view.camera}: {100 * share:.0f} % of its people lie outside the calibrated image of "
                     f"{size[0]:.0f} x {size[1]:.0f} pixels; is it of another size?")  # fmt: skip
    return view, notes


def _of_another_image(
    sample: Sample, xy: Float[np.ndarray, "people joints 2"], share: float, size: tuple[float, float]
) -> str:
    """The sentence, with the least factor of a usual size of image that holds nearly all joints."""
    reach = float((np.nanquantile(xy, 0.98, axis=(0, 1)) / np.array(size)).max())
    factor = next((one for one in USUAL_FACTORS if one >= 0.97 * reach), None)
    sentence = (
        f"{sample.place}: {100 * share:.0f} % of the people of camera {sample.view.camera} lie outside the calibrated "
        f"image of {size[0]:.0f} x {size[1]:.0f} pixels: the detections are of another image size"
    )
    if factor is None or float(np.nanquantile(xy, 0.02)) < BORDER_PX:
        return f"{sentence}, or in another unit."
    width, height = (round(factor * side) for side in size)
    return (
        f"{sentence}, at least {factor:.4g} times as large ({width} x {height}); divide their coordinates by that, or "
        "calibrate for that size."
    )
