"""The only way through frames: read ahead, associate, reconstruct, link over time, hand to a sink."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, runtime_checkable

from tqdm import tqdm

from dispose.inference.past import associate_each_after
from dispose.inference.readings import Reading, Source, Summary
from dispose.inference.tracking import Memory, link
from dispose.inference.window import PASSES, FrameBlock, decide_again, keep_weighed, margin_of
from dispose.scene.frame import Frame
from dispose.scene.results import Associate, Association, FrameResult, Reconstruct

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
    """A sink in memory, with what was read once the run is finished."""

    def __init__(self) -> None:
        self.results: list[FrameResult] = []
        self.summary = Summary()

    def resume(self) -> Progress:
        """Nothing is there."""
        return Progress()

    def add(self, results: Sequence[FrameResult], progress: Progress) -> None:
        """Keep them."""
        self.results += results

    def finish(self, progress: Progress) -> None:
        """Keep what was read."""
        self.summary = progress.summary


@dataclass(frozen=True)
class Methods:
    """Who is who, where every joint is, and a second opinion to keep beside the answer, which changes nothing."""

    associate: Associate
    reconstruct: Reconstruct
    reference: Callable[[Frame], Association] | None = None


Steps = Iterator[tuple[list[FrameResult], Progress]]
Decide = Callable[[Callable[[int], Iterator[list[Reading]]], Methods, Progress, int], Steps]
"""The blocks that are not done yet, with everybody's number and how far the run is with each; it is given the blocks
from a place on, who decides, how far the run is, and how many frames a block has."""


def each_alone(
    blocks_from: Callable[[int], Iterator[list[Reading]]], methods: Methods, progress: Progress, batch: int
) -> Steps:
    """Every frame by itself."""
    del batch
    for readings in blocks_from(progress.summary.frames):
        results, progress = _link(readings, _answer(readings, methods), progress)
        yield results, progress


def after_the_last(
    blocks_from: Callable[[int], Iterator[list[Reading]]], methods: Methods, progress: Progress, batch: int
) -> Steps:
    """Every frame with the people of those before it (`dispose.inference.past`), one after the other."""
    del batch
    for readings in blocks_from(progress.summary.frames):
        results = []
        for reading in readings:
            after = replace(methods, associate=associate_each_after(methods.associate, progress.memory))
            linked, progress = _link([reading], _answer([reading], after), progress)
            results += linked
        yield results, progress


def in_windows(
    blocks_from: Callable[[int], Iterator[list[Reading]]], methods: Methods, progress: Progress, batch: int
) -> Steps:
    """Every frame with the people of those before and after it (`dispose.inference.window`)."""
    tracking, done = progress.memory.config, progress.summary.frames
    # The frames before those to come have a part in their answers, so they are answered once more.
    place = max(done - margin_of(tracking, batch) * batch, 0)
    blocks = (FrameBlock(one, _answer(one, methods), [False] * len(one)) for one in blocks_from(place))
    for _ in range(PASSES):
        blocks = decide_again(blocks, methods.associate, methods.reconstruct, tracking)
    for block in blocks:
        place += len(block.results)
        if place > done:
            results, progress = _link(block.readings, block.results, progress)
            yield results, progress


def run(
    source: Source,
    associate: Associate,
    reconstruct: Reconstruct,
    sink: Sink,
    *,
    reference: Callable[[Frame], Association] | None = None,
    batch: int = 16,
    decide: Decide = each_alone,
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
        decide: what frames have to do with each other: nothing (`each_alone`), those before
            take part (`after_the_last`), those before and after do (`in_windows`).
        title: of the progress bar.
    """
    progress = sink.resume()
    total, done = len(source.numbers), progress.summary.frames
    methods = Methods(associate, reconstruct, reference)
    with tqdm(
        total=total, initial=done, unit="frame", desc=title, delay=SECONDS_BEFORE_A_BAR, mininterval=0.5, leave=None
    ) as bar:
        if done < total:
            steps = decide(partial(_read_ahead, source, batch), methods, progress, batch)
            for results, progress in steps:
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


def _blocks(source: Source, first: int, batch: int) -> Iterator[list[Reading]]:
    """The frames from a place on, block by block, until the source ends."""
    for start in range(first, len(source.numbers), batch):
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


def _read_ahead(source: Source, batch: int, first: int) -> Iterator[list[Reading]]:
    """The blocks from a place on, each read by another thread while the one before it is worked on."""
    blocks = _blocks(source, first, batch)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block


def _answer(readings: Sequence[Reading], methods: Methods) -> list[FrameResult]:
    """Who is where in a block of frames; of the images nothing is kept."""
    frames = [reading.frame for reading in readings]
    found = methods.associate(frames)
    predictions = methods.reconstruct(frames, [one.association for one in found])
    results = []
    for reading, one, prediction in zip(readings, found, predictions, strict=True):
        seen = replace(one.frame or reading.frame, images=None)
        second = None if methods.reference is None else methods.reference(seen)
        hypotheses = keep_weighed(one, second, reading.labels)
        results.append(FrameResult(prediction, seen, hypotheses, second, reading.labels))
    return results


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
