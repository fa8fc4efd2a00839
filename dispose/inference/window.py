"""Who is who decided with the frames before and after: everybody found around a frame is expected in it.

First every frame is answered by itself. Then each is answered again with one view more, in which everybody is seen
where the frames to either side, without this one, say that they are (`dispose.inference.expected`): a line through
their joints that a few wrong frames do not bend. What was wrong in one frame and right around it is put right, and the
next pass expects the better answers. Nothing runs along with the frames, so that an error does not travel.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.inference.expected import with_expected, without_expected
from dispose.inference.readings import Reading
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.scene.frame import Frame, Labels
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
from dispose.tensors import TensorStruct

PASSES = 2
REACH_S = 0.2
"""Frames of so many seconds to either side say who is expected; the next ones always do."""

FEWEST_FRAMES = 2
"""Whom fewer frames around show is not expected."""

USUAL_MM = 60.0
"""A joint this far from the line through its places counts half."""

ROUNDS = 4
LEAST_SPREAD = 0.4
"""Added to the squared frames that a speed is told from: what two frames say of it is not believed whole."""


@dataclass(frozen=True, eq=False)
class FrameBlock:
    """Frames of fixed places with their answers; `settled` are those that the last pass did not group otherwise."""

    readings: Sequence[Reading]
    results: Sequence[FrameResult]
    settled: Sequence[bool]


@dataclass(frozen=True, eq=False)
class Ways(TensorStruct):
    """Everybody's joints in some frames, mm, and which are known; the numbers of the frames."""

    number: Int[Tensor, " frames"]
    xyz_world: Float[Tensor, "frames persons joints 3"]
    valid: Bool[Tensor, "frames persons joints"]


def reach_of(tracking: TrackingConfig) -> int:
    """How many frames to either side say who is expected."""
    return max(round(REACH_S * tracking.rate_hz), 1)


def margin_of(tracking: TrackingConfig, batch: int) -> int:
    """Blocks before a block on which its answers depend, all passes together."""
    return PASSES * -(-reach_of(tracking) // batch)


def decide_again(
    blocks: Iterator[FrameBlock], associate: Associate, reconstruct: Reconstruct, tracking: TrackingConfig
) -> Iterator[FrameBlock]:
    """One pass: the blocks with their frames answered again, each as soon as the frames after it are known."""
    reach = reach_of(tracking)
    before, before_settled = list[FrameResult](), list[bool]()
    waiting, ended = deque[FrameBlock](), False
    while True:
        while not ended and sum(len(one.results) for one in list(waiting)[1:]) < reach:
            coming = next(blocks, None)
            ended = coming is None
            if coming is not None:
                waiting.append(coming)
        if not waiting:
            return
        block = waiting.popleft()
        after = [result for one in waiting for result in one.results][:reach]
        after_settled = [settled for one in waiting for settled in one.settled][:reach]
        if all((*before_settled, *block.settled, *after_settled)):
            # Nothing around has changed: the answers would be the same.
            yield block
        else:
            results = _answer_again(before, block.results, after, associate, reconstruct, tracking)
            same = [_alike(new, old) for new, old in zip(results, block.results, strict=True)]
            yield replace(block, results=results, settled=same)
        before = [*before, *block.results][-reach:]
        before_settled = [*before_settled, *block.settled][-reach:]


def decide_in_memory(
    results: Sequence[FrameResult], associate: Associate, reconstruct: Reconstruct, tracking: TrackingConfig
) -> Sequence[FrameResult]:
    """All passes over frames that were answered by themselves."""
    blocks = iter([FrameBlock([], results, [False] * len(results))])
    for _ in range(PASSES):
        blocks = decide_again(blocks, associate, reconstruct, tracking)
    return next(blocks).results


def follow(results: Sequence[FrameResult], tracking: TrackingConfig) -> Ways:
    """Everybody's way through some frames, by tracking from the first of them on."""
    memory, people = Memory(config=tracking), []
    for result in results:
        assert result.frame is not None
        memory, prediction = link(memory, result.prediction, result.frame)
        people.append(prediction.poses)
    persons = memory.next_id - 1
    joints = len(people[0].skeleton)
    xyz = torch.zeros(len(people), persons, joints, 3, dtype=torch.float64)
    valid = torch.zeros(len(people), persons, joints, dtype=torch.bool)
    for row, poses in enumerate(people):
        xyz[row, poses.id - 1] = poses.xyz_world.double()
        valid[row, poses.id - 1] = poses.valid
    return Ways(torch.tensor([result.prediction.number for result in results]), xyz, valid)


def frames_around(results: Sequence[FrameResult], row: int, reach: int) -> list[FrameResult]:
    """The frames that say who is expected in one of them: those within reach by their numbers, and the next ones."""
    number = results[row].prediction.number
    rows = range(max(row - reach, 0), min(row + reach + 1, len(results)))
    return [
        results[other]
        for other in rows
        if other != row and (abs(other - row) == 1 or abs(results[other].prediction.number - number) <= reach)
    ]


def expected_between(
    around: Ways, number: int
) -> tuple[Float[Tensor, "persons joints 3"], Bool[Tensor, "persons joints"]]:
    """Where everybody is expected in the frame of a number by the frames around it, mm, and of whom which joints are.

    A line through every joint's places, ``Σ w r |x_t - a - b t|²`` least, by weights ``w = 1 / |t|`` and, in turns,
    ``r = 1 / (1 + (residual / USUAL_MM)²)`` (Cauchy's).
    """
    away = (around.number - number).double()[:, None, None]
    shown = around.valid & (around.valid.any(-1).sum(0) >= FEWEST_FRAMES)[:, None]
    weight = shown / away.abs()
    robust = torch.ones_like(weight)
    middle = around.xyz_world.new_zeros(around.xyz_world.shape[1:])
    for _ in range(ROUNDS):
        counted = weight * robust
        total, first, second = (
            counted.sum(0),
            (counted * away).sum(0),
            (counted * away**2).sum(0) + LEAST_SPREAD,
        )
        places = (counted[..., None] * around.xyz_world).sum(0)
        moves = ((counted * away)[..., None] * around.xyz_world).sum(0)
        determinant = (total * second - first**2).clamp(min=1e-9)[..., None]
        middle = (second[..., None] * places - first[..., None] * moves) / determinant
        speed = (total[..., None] * moves - first[..., None] * places) / determinant
        residual = (around.xyz_world - middle - speed * away[..., None]).norm(dim=-1)
        robust = 1 / (1 + (residual / USUAL_MM) ** 2)
    return middle, shown.any(0)


def expect_people(results: Sequence[FrameResult], row: int, tracking: TrackingConfig) -> Frame:
    """One of the frames with one view more, in which everybody is seen whom the frames around expect there.

    They are followed through the frames around alone: what this frame says, and which frames are decided together with
    it, changes nothing.
    """
    frame, around = results[row].frame, frames_around(results, row, reach_of(tracking))
    assert frame is not None
    if not around:
        return frame
    return with_expected(frame, *expected_between(follow(around, tracking), frame.number), "frames around")


def _answer_again(
    before: Sequence[FrameResult],
    results: Sequence[FrameResult],
    after: Sequence[FrameResult],
    associate: Associate,
    reconstruct: Reconstruct,
    tracking: TrackingConfig,
) -> list[FrameResult]:
    """The frames of a block with whom the frames around expect in them."""
    known = [*before, *results, *after]
    extended = [expect_people(known, row, tracking) for row in range(len(before), len(before) + len(results))]
    frames = [result.frame for result in results if result.frame is not None]
    found = [without_expected(*pair) for pair in zip(associate(extended), frames, strict=True)]
    predictions = reconstruct(frames, [one.association for one in found])
    answers = []
    for result, one, prediction in zip(results, found, predictions, strict=True):
        weighed = keep_weighed(one, result.reference, result.labels)
        answers.append(replace(result, prediction=prediction, hypotheses=weighed))
    return answers


def keep_weighed(found: AssociationResult, second: Association | None, labels: Labels | None) -> Hypotheses | None:
    """The hypotheses that somebody may ask about: also those chosen by the second opinion, and the right ones."""
    if found.hypotheses is None:
        return None
    answers = [found.association.members]
    answers += [] if second is None else [second.members]
    if labels is not None and found.frame is None:
        answers.append(association_of_identities(labels.identity).members)
    return prune_hypotheses(found.hypotheses, answers)


def _alike(one: FrameResult, other: FrameResult) -> bool:
    """Whether two answers hold the same groups."""
    ours, theirs = (sorted(result.prediction.association.members.tolist()) for result in (one, other))
    return ours == theirs
