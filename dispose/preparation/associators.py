"""Who says who is who when labels are made: the programme with windows or without, or the shipped Stage I."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from dispose.baselines.integer_programme import integer_programme
from dispose.errors import InputError
from dispose.preparation.programme import Grouped, GroupFrames, ProgrammeConfig, group_by_programme
from dispose.scene.convert import keep_joints
from dispose.scene.frame import Frame
from dispose.zoo.checkpoints import load_associator

WINDOWS, PER_FRAME, PLAIN, LEARNED = "windows", "per-frame", "plain", "learned"
ASSOCIATORS = (WINDOWS, PER_FRAME, PLAIN, LEARNED)
"""Names: the programme over windows of frames, the same for every frame by itself, the classic integer programme (its
gains, its gate), and the shipped weights of Stage I."""


@dataclass(frozen=True, eq=False)
class FrameGrouping:
    """A way to say who is who: what reports call it, the function, and how many frames around a frame it looks at."""

    title: str
    group: GroupFrames
    margin: int = 0


def grouping_of(name: str, joints: tuple[str, ...] = ()) -> FrameGrouping:
    """The grouping of a name; the programmes compare these joints alone (all where none is named).

    Raises `InputError` for another name.
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
    raise InputError(f"no associator named {name!r}; known: {', '.join(ASSOCIATORS)}.")


def _group_plainly(frames: Sequence[Frame], joints: tuple[str, ...]) -> list[Grouped]:
    shown = [replace(f, detections=keep_joints(f.detections, joints)) if joints else f for f in frames]
    return [Grouped(integer_programme(frame)) for frame in shown]


def _learned() -> GroupFrames:
    associate = load_associator().associate

    def group(frames: Sequence[Frame]) -> list[Grouped]:
        return [Grouped(one.association) for one in associate(frames)]

    return group
