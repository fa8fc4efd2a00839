"""The people of the last frames as one more view: what is expected of them takes part in deciding who is who.

A person who was found is expected a little further along their way (`dispose.inference.expected`). Who has just jumped
further than people do is expected where they would have been without: an exchange of people does not confirm itself.
"""

from dispose.inference.expected import with_expected, without_expected
from dispose.inference.tracking import Memory, believed_joints
from dispose.scene.frame import Frame
from dispose.scene.results import Associate, AssociationResult

MOST_FRAMES = 5
"""Who was not found for longer than this is no longer expected anywhere."""


def associate_after(associate: Associate, frame: Frame, memory: Memory) -> AssociationResult:
    """Who is who in a frame, the people remembered taking part."""
    (found,) = associate([with_past(frame, memory)])
    return without_expected(found, frame)


def associate_each_after(associate: Associate, memory: Memory) -> Associate:
    """The associator of frames that come next after what is remembered."""
    return lambda frames: [associate_after(associate, frame, memory) for frame in frames]


def with_past(frame: Frame, memory: Memory) -> Frame:
    """The frame with one more view, in which everybody is detected who is remembered; the same without anybody."""
    tracks = memory.tracks
    if tracks is None:
        return frame
    tracks = tracks[frame.number - tracks.number <= MOST_FRAMES]
    if not len(tracks.id):
        return frame
    return with_expected(frame, believed_joints(tracks, frame.number, memory.config), tracks.valid, "the past")
