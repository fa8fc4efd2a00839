"""The only way through frames: read ahead, associate, reconstruct, link over time, hand to a sink."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, runtime_checkable

from tqdm import tqdm

from dispose.inference.past import associate_after
from dispose.inference.readings import Reading, Source, Summary
from dispose.inference.tracking import Memory, link
from dispose.scene.frame import Frame
from dispose.scene.labels import association_of_identities
from dispose.scene.results import (
    Associate,
    Association,
    AssociationResult,
    FrameResult,
    Hypotheses,
    Reconstruct,
    prune_hypotheses,
)

SECONDS_BEFORE_A_BAR = 2.0


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a run has come: ``summary.frames`` frames are done; the memory says who may come back."""

    summary: Summary = field(default_factory=Summary)
    memory: Memory = field(default_factory=Memory)


@runtime_checkable
class Sink(Protocol):
    """Where results go, block by block."""

    def resume(self) -> Progress:
        """What an earlier run has left here, of which nothing is computed again."""
        ...

    def add(self, results: Sequence[FrameResult], progress: Progress) -> None:
        """One block of frames, and how far the run is with them."""
        ...

    def finish(self, progress: Progress) -> None:
        """There are no more frames."""
        ...


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self.results: list[FrameResult] = []

    def resume(self) -> Progress:
        """Nothing is there."""
        return Progress()

    def add(self, results: Sequence[FrameResult], progress: Progress) -> None:
        """Keep them."""
        self.results += results

    def finish(self, progress: Progress) -> None:
        """Nothing is left to do."""


def run(
    source: Source,
    associate: Associate,
    reconstruct: Reconstruct,
    sink: Sink,
    *,
    reference: Callable[[Frame], Association] | None = None,
    batch: int = 16,
    past: bool = False,
    title: str = "predict",
) -> Progress:
    """Find everybody in every frame, with numbers that are stable over time; a progress bar over two seconds.

    Frames are taken in blocks of fixed places, so that a run that goes on where another was killed sees the same
    blocks. Labels are handed to the sink and to nobody else. A source that ends early ends the run.

    Args:
        source: read ahead by one block.
        associate: who is who.
        reconstruct: where every joint is.
        sink: takes what was found, members by slot of the detections they count.
        reference: a second opinion to keep beside the answer; it changes nothing.
        batch: frames of a block.
        past: the people of the last frames take part in every frame's association (`dispose.inference.past`), so that
            frames are answered one after the other.
        title: of the progress bar.
    """
    progress = sink.resume()
    total, done = len(source.numbers), progress.summary.frames
    with tqdm(
        total=total, initial=done, unit="frame", desc=title, delay=SECONDS_BEFORE_A_BAR, mininterval=0.5, leave=None
    ) as bar:
        for readings in _read_ahead(_blocks(source, done, batch)):
            results = []
            for some in [[reading] for reading in readings] if past else [readings]:
                after = partial(_associate_alone, associate, progress.memory) if past else associate
                found = _answer(some, after, reconstruct, reference)
                linked, progress = _link(some, found, progress)
                results += linked
            sink.add(results, progress)
            bar.update(len(results))
    sink.finish(progress)
    return progress


def results_of(
    source: Source,
    associate: Associate,
    reconstruct: Reconstruct,
    *,
    reference: Callable[[Frame], Association] | None = None,
    batch: int = 16,
) -> tuple[FrameResult, ...]:
    """Everybody in every frame, in memory."""
    sink = Kept()
    run(source, associate, reconstruct, sink, reference=reference, batch=batch)
    return tuple(sink.results)


def ended_early(source: Source, progress: Progress) -> tuple[str, ...]:
    """A sentence where a source has ended before it should have."""
    done, total = progress.summary.frames, len(source.numbers)
    return (
        (f"the source ends after {done} of {total} frames; what was found until there stays.",) if done < total else ()
    )


def _associate_alone(associate: Associate, memory: Memory, frames: Sequence[Frame]) -> list[AssociationResult]:
    """One frame, after what is remembered."""
    return [associate_after(associate, frame, memory) for frame in frames]


def _blocks(source: Source, done: int, batch: int) -> Iterator[list[Reading]]:
    """The frames not done yet, block by block, until the source ends."""
    for start in range(done, len(source.numbers), batch):
        block = []
        for number in source.numbers[start : start + batch]:
            reading = source.read(number)
            if reading is None:
                break
            block.append(reading)
        if block:
            yield block
        if len(block) < len(source.numbers[start : start + batch]):
            return


def _read_ahead(blocks: Iterator[list[Reading]]) -> Iterator[list[Reading]]:
    """The blocks, each read by another thread while the one before it is worked on."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block


def _answer(
    readings: Sequence[Reading],
    associate: Associate,
    reconstruct: Reconstruct,
    reference: Callable[[Frame], Association] | None,
) -> list[FrameResult]:
    """Who is where in a block of frames; of the images nothing is kept."""
    frames = [reading.frame for reading in readings]
    found = associate(frames)
    predictions = reconstruct(frames, [one.association for one in found])
    results = []
    for reading, one, prediction in zip(readings, found, predictions, strict=True):
        seen = replace(one.frame or reading.frame, images=None)
        second = None if reference is None else reference(seen)
        hypotheses = _worth_keeping(one, second, reading)
        results.append(FrameResult(prediction, seen, hypotheses, second, reading.labels))
    return results


def _worth_keeping(found: AssociationResult, second: Association | None, reading: Reading) -> Hypotheses | None:
    """The hypotheses that somebody may ask about: also those chosen by the second opinion, and the right ones."""
    if found.hypotheses is None:
        return None
    answers = [found.association.members]
    answers += [] if second is None else [second.members]
    if reading.labels is not None and found.frame is None:
        answers.append(association_of_identities(reading.labels.identity).members)
    return prune_hypotheses(found.hypotheses, answers)


def _link(
    readings: Sequence[Reading], found: Sequence[FrameResult], progress: Progress
) -> tuple[list[FrameResult], Progress]:
    """The results of a block with numbers that continue the earlier ones, and the progress after it."""
    memory, summary, results = progress.memory, progress.summary, []
    for reading, result in zip(readings, found, strict=True):
        assert result.frame is not None
        memory, prediction = link(memory, result.prediction, result.frame)
        summary = summary.plus(reading)
        results.append(replace(result, prediction=prediction))
    return results, Progress(summary, memory)
