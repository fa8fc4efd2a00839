"""Who says who is who when labels are made: the programme or the shipped Stage I, with the frames around or without."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dispose.baselines.integer_programme import integer_programme
from dispose.errors import InputError
from dispose.inference.tracking import TrackingConfig
from dispose.inference.window import PASSES, decide_in_memory, reach_of
from dispose.preparation.programme import Grouped, GroupFrames, ProgrammeConfig, group_by_programme
from dispose.scene.convert import keep_joints
from dispose.scene.frame import Frame
from dispose.scene.results import FrameResult
from dispose.zoo.checkpoints import load_associator
from dispose.zoo.triangulators import load_reconstruction

WINDOWS, PER_FRAME, PLAIN, LEARNED, LEARNED_WINDOWS = "windows", "per-frame", "plain", "learned", "learned-windows"
ASSOCIATORS = (WINDOWS, PER_FRAME, PLAIN, LEARNED, LEARNED_WINDOWS)
"""Names: the programme over windows of frames, the same for every frame by itself, the classic integer programme (its
gains, its gate), the shipped weights of Stage I, and these with the people of the frames around."""


@dataclass(frozen=True, eq=False)
class FrameGrouping:
    """A way to say who is who: what reports call it, the function, and how many frames around a frame it looks at."""

    title: str
    group: GroupFrames
    margin: int = 0


def grouping_of(name: str, joints: tuple[str, ...] = (), *, rate_hz: float = 30.0) -> FrameGrouping:
    """The grouping of a name; the programmes compare these joints alone (all where none is named).

    `rate_hz` is that of the frames' numbers. Raises `InputError` for another name.
    """
    config = ProgrammeConfig(joints=joints)
    if name == WINDOWS:
        by = partial(group_by_programme, config=config)
        return FrameGrouping(f"integer programme over windows of {2 * config.window + 1} frames", by, config.window)
    if name == PER_FRAME:
        alone = partial(group_by_programme, config=replace(config, window=0))
        return FrameGrouping("integer programme, every frame by itself", alone)
    if name == PLAIN:
        return FrameGrouping("classic integer programme", partial(_group_plainly, joints=joints))
    if name == LEARNED:
        return FrameGrouping("Stage I, shipped weights", _learned())
    if name == LEARNED_WINDOWS:
        tracking = TrackingConfig(rate_hz)
        grouped = _learned_in_windows(tracking)
        return FrameGrouping("Stage I, shipped weights, with the frames around", grouped, PASSES * reach_of(tracking))
    raise InputError(f"no associator named {name!r}; known: {', '.join(ASSOCIATORS)}.")


def _group_plainly(frames: Sequence[Frame], joints: tuple[str, ...]) -> list[Grouped]:
    shown = [replace(f, detections=keep_joints(f.detections, joints)) if joints else f for f in frames]
    return [Grouped(integer_programme(frame)) for frame in shown]


def _learned() -> GroupFrames:
    associate = load_associator().associate

    def group(frames: Sequence[Frame]) -> list[Grouped]:
        return [Grouped(one.association) for one in associate(frames)]

    return group


def _learned_in_windows(tracking: TrackingConfig) -> GroupFrames:
    associator = load_associator()
    reconstruct = load_reconstruction()

    def group(frames: Sequence[Frame]) -> list[Grouped]:
        found = associator.associate(frames)
        people = reconstruct(frames, [one.association for one in found])
        alone = [FrameResult(one, frame) for one, frame in zip(people, frames, strict=True)]
        decided = decide_in_memory(alone, associator.associate, reconstruct, tracking)
        return [Grouped(one.prediction.association) for one in decided]

    return group
