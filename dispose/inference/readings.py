"""Frames as they are read, one after the other, and the account of what was lost on the way."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dispose.formats.detections.people import Odd, counted
from dispose.scene.frame import Frame, Labels

SHOWN = 6
"""So many ranges of numbers, or kinds of trouble, are told one by one."""
REASONS = 10


@dataclass(frozen=True)
class Loss:
    """One frame of one camera that could not be used."""

    camera: str
    number: int
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """A frame as read, and what was not as it should be.

    Attributes:
        frame: what a method may see; a camera whose file is missing or damaged sees nobody, or has no image.
        labels: the truth, where the source knows it; for scores and for looking at, no method sees it.
        missing: cameras without a file for this frame.
        damaged: cameras whose file cannot be read, or whose image has another size than the calibration.
        odd: what was left out of the files, or taken otherwise.
    """

    frame: Frame
    labels: Labels | None = None
    missing: tuple[Loss, ...] = ()
    damaged: tuple[Loss, ...] = ()
    odd: tuple[Odd, ...] = ()


@dataclass(frozen=True, eq=False)
class Source:
    """Frames in order, of which nothing is read yet.

    Attributes:
        numbers: of the frames.
        read: the frame of a number; None where the source has ended, earlier than it said.
        recorded: numbers that cameras have of their own, beside those of the frames; None where these are all.
    """

    numbers: Sequence[int]
    read: Callable[[int], Reading | None]
    recorded: frozenset[int] | None = None

    @staticmethod
    def of(frames: Iterable[Frame | tuple[Frame, Labels]]) -> "Source":
        """Frames in memory, some of them with labels."""
        pairs = [(one, None) if isinstance(one, Frame) else one for one in frames]
        known = {frame.number: Reading(frame, labels) for frame, labels in pairs}
        return Source(tuple(known), known.get)


@dataclass(frozen=True)
class Spans:
    """How many numbers there were, and the first ranges of them."""

    count: int = 0
    ranges: tuple[tuple[int, int], ...] = ()

    def plus(self, number: int) -> "Spans":
        """One more number, above those before it."""
        ranges = self.ranges
        if len(ranges) <= SHOWN:
            follows = bool(ranges) and number == ranges[-1][1] + 1
            ranges = (*ranges[:-1], (ranges[-1][0], number)) if follows else (*ranges, (number, number))
        return Spans(self.count + 1, ranges)

    def __str__(self) -> str:
        words = [str(a) if a == b else f"{a}-{b}" for a, b in self.ranges]
        return ", ".join(words[:SHOWN]) + (", …" if len(words) > SHOWN else "")


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers as ranges: ``0-3, 7, 9-12``; long lists are cut."""
    found = Spans()
    for number in numbers:
        found = found.plus(number)
    return str(found)


def gaps_of(numbers: Sequence[int]) -> tuple[range, ...]:
    """Numbers left out of an ascending sequence that otherwise goes on in even steps; a gap may be of any length."""
    steps = Counter(b - a for a, b in pairwise(numbers))
    if not steps:
        return ()
    step = steps.most_common(1)[0][0]
    return tuple(range(a + step, b, step) for a, b in pairwise(numbers) if (b - a) % step == 0 and b - a > step)


def spans_of(gaps: Sequence[range]) -> str:
    """Gaps as ranges: ``4-9, 12``; long lists are cut."""
    ranges: list[tuple[int, int]] = []
    for gap in gaps[: SHOWN + 1]:
        # Numbers some steps apart stand one by one, as in `spans`.
        ranges += [(gap[0], gap[-1])] if gap.step == 1 else [(number, number) for number in gap[: SHOWN + 1]]
    return str(Spans(sum(map(len, gaps)), tuple(ranges)))


@dataclass(frozen=True)
class Missing:
    """The frames for which a camera has no file."""

    camera: str
    frames: Spans


@dataclass(frozen=True)
class Summary:
    """What was read, and what was lost: counts and ranges, which stay short however long a run is.

    So many frames with so many detections, or images, in them; of the losses of `Reading` the sums, and why the first
    frames of single cameras could not be used. `alone` are the frames with fewer than two images, `shared` counts those
    in which two cameras detect somebody.
    """

    frames: int = 0
    found: int = 0
    images: bool = False
    missing: tuple[Missing, ...] = ()
    damaged: int = 0
    reasons: tuple[str, ...] = ()
    alone: Spans = Spans()
    odd: tuple[Odd, ...] = ()
    shared: int = 0

    def plus(self, reading: Reading) -> "Summary":
        """The account with one more frame."""
        images = reading.frame.images
        found = int((reading.frame.detections.valid if images is None else images.present).sum())
        missing = {one.camera: one.frames for one in self.missing}
        for loss in reading.missing:
            missing[loss.camera] = missing.get(loss.camera, Spans()).plus(loss.number)
        return replace(
            self,
            frames=self.frames + 1,
            found=self.found + found,
            images=images is not None,
            missing=tuple(Missing(*item) for item in missing.items()),
            damaged=self.damaged + len(reading.damaged),
            reasons=(*self.reasons, *(loss.reason for loss in reading.damaged))[:REASONS],
            alone=self.alone if images is None or found > 1 else self.alone.plus(reading.frame.number),
            odd=counted([*self.odd, *reading.odd]),
            shared=self.shared + (images is None and int(reading.frame.detections.valid.any(1).sum()) > 1),
        )

    def sentences(self) -> tuple[str, ...]:
        """The account in words, one sentence per kind of loss."""
        what, file, more = (
            ("pictures", "picture", "pictures") if self.images else ("detections", "file", "frames of single cameras")
        )
        found = [f"{self.frames} frames read, {self.found} {what}."]
        for one in self.missing:
            found.append(f"camera {one.camera} has no {file} for {one.frames.count} frames ({one.frames}).")
        found += [f"lost: {reason}" for reason in self.reasons]
        if self.damaged > REASONS:
            found.append(f"lost: {self.damaged - REASONS} further {more}.")
        if self.alone.count:
            found.append(f"{self.alone.count} frames have fewer than two pictures, nobody is placed in them: "
                         f"{self.alone}.")  # fmt: skip
        return (*found, *map(str, self.odd))

    def why_nobody(self, advice: str) -> str:
        """Why nobody was found in any frame, in a sentence; `advice` where it is not the files."""
        if not self.images and not self.found:
            return "the detections hold nobody in any frame"
        if not self.images and not self.shared:
            return "in no frame is anybody seen by two cameras"
        return advice
