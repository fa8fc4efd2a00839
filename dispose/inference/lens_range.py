"""Joints that a fisheye shows 90 degrees or more off its axis: there is no ray for them, so they are not seen."""

from dataclasses import replace

from dispose.formats.odd import BEYOND, Odd
from dispose.geometry.pinhole import in_lens_range
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections


def within_lenses(detections: Detections, cameras: Cameras, number: int) -> tuple[Detections, list[Odd]]:
    """The same people without joints beyond the range of their camera's lens, and how many those were.

    Args:
        detections: of one frame.
        cameras: that saw them.
        number: of the frame, for what is said.
    """
    if cameras.fisheye is None:
        return detections, []
    matrix, lens = cameras.matrix[:, None, None], cameras.lens[:, None, None]
    beyond = detections.visible & ~in_lens_range(detections.xy_image, matrix, lens)
    if not beyond.any():
        return detections, []
    view, slot, joint = beyond.nonzero()[0].tolist()
    x, y = detections.xy_image[view, slot, joint].tolist()
    who = f"{cameras.names[view]}, frame {number}, joint {detections.skeleton.joints[joint]}: x is {x:g}, y {y:g}"
    visible = detections.visible & ~beyond
    kept = replace(
        detections,
        xy_image=detections.xy_image.where(visible[..., None], 0.0),
        confidence=detections.confidence.where(visible, 0.0),
        visible=visible,
        valid=detections.valid & visible.any(-1),
    )
    return kept, [Odd(BEYOND, int(beyond.sum()), who)]
