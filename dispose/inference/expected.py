"""People who are expected in a frame, seen by a camera that does not exist: a view more, which helps to decide.

The expected skeletons, seen by that camera, are detections like any other, so candidates, network and polytope need not
know where they come from. Groups are of real detections alone: nobody is there because they were expected.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.association.decode import limit_untried
from dispose.geometry.rigid import look_at
from dispose.scene.cameras import Cameras, telling_fisheyes
from dispose.scene.frame import Detections, Frame
from dispose.scene.results import Association, AssociationResult, Hypotheses
from dispose.tensors import ABSENT, cat

FEWEST_JOINTS = 4
DISTANCE_MM = 4000.0
HEIGHT_MM = 600.0
FOCAL_PX = 900.0
SIZE_PX = 2000
"""Of the camera that does not exist: an ordinary one across a room, slightly above the people's middle."""

CONFIDENCE = 0.9
DIRECTIONS = 36


def with_expected(
    frame: Frame, xyz_world: Float[Tensor, "people joints 3"], valid: Bool[Tensor, "people joints"], name: str
) -> Frame:
    """The frame with one view more, in which these skeletons (mm) are detected; the same where nobody is expected.

    Of whom fewer than `FEWEST_JOINTS` joints are known is not expected anywhere.
    """
    enough = valid.sum(1) >= FEWEST_JOINTS
    if not enough.any():
        return frame
    xyz, valid = xyz_world[enough].double(), valid[enough]
    camera = imagined_camera(frame.cameras, xyz[valid].mean(0))
    if frame.cameras.present is not None:
        camera = replace(camera, present=torch.ones(1, dtype=torch.bool))
    if frame.cameras.fisheye is not None:
        camera = telling_fisheyes(camera)
    xy, front = camera.project(xyz)
    people = torch.cat([xy[0], CONFIDENCE * (valid & front[0]).double()[..., None]], -1)
    seen = Detections.from_lists(frame.detections.skeleton, [list(people)])
    slots = max(seen.valid.shape[1], frame.detections.valid.shape[1])
    cameras = cat([replace(frame.cameras, names=()).to(torch.float64), camera], "views")
    detections = cat([frame.detections.to(torch.float64).pad(slots=slots), seen.pad(slots=slots)], "views")
    return Frame(frame.number, replace(cameras, names=(*frame.cameras.names, name)), detections)


def without_expected(found: AssociationResult, frame: Frame) -> AssociationResult:
    """The answer to a frame that had one view more, without that view: groups of two real detections or more."""
    views = len(frame.cameras)
    if found.association.members.shape[1] == views:
        return found
    members = found.association.members[:, :views]
    several = (members != ABSENT).sum(1) >= 2
    association = Association(members[several], found.association.confidence[several])
    # The imagined camera is no second place: what real ones see from one place is as untried as without it.
    association = limit_untried(association, frame.cameras.centres)
    hypotheses = None if found.hypotheses is None else forget_view(found.hypotheses, views)
    return AssociationResult(association, hypotheses)


def imagined_camera(cameras: Cameras, middle: Float[Tensor, "3"]) -> Cameras:
    """A camera that looks at a point from where no real one does, nor its opposite: across their rays."""
    away = cameras.centres.double() - middle
    there = torch.atan2(away[:, 1], away[:, 0])
    around = 2 * math.pi / DIRECTIONS * torch.arange(DIRECTIONS, dtype=torch.float64)
    across = (around[:, None] - there).sin().abs().amin(1)
    angle = around[across.argmax()]
    centre = middle + torch.stack(
        [DISTANCE_MM * angle.cos(), DISTANCE_MM * angle.sin(), torch.full_like(angle, HEIGHT_MM)]
    )
    rotation, translation = look_at(centre[None], middle[None], middle.new_tensor([0.0, 0.0, 1.0]))
    matrix = torch.diag(middle.new_tensor([FOCAL_PX, FOCAL_PX, 1.0]))
    matrix[:2, 2] = (SIZE_PX - 1) / 2
    size = middle.new_full((1, 2), float(SIZE_PX))
    return Cameras((), size, matrix[None], middle.new_zeros(1, 8), rotation, translation)


def forget_view(hypotheses: Hypotheses, views: int) -> Hypotheses:
    """The tuples of the first views alone: what differs in the others only is one tuple, its mass their sum, at most 1.

    Its cost is that of the cheapest, its cue the best. Many views are decided on in blocks that do not know of each
    other (`dispose.association.view_blocks`), so that the mass of several tuples may add up to more than there is.
    """
    members = hypotheses.members[:, :views]
    kept = (members != ABSENT).any(1)
    members, row = torch.unique(members[kept], dim=0, return_inverse=True)
    count = len(members)

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(*values.shape[:-1], count).index_add(-1, row, values[..., kept]).clamp(max=1.0)

    cost = hypotheses.cost.new_full((count,), torch.inf).scatter_reduce(0, row, hypotheses.cost[kept], "amin")
    cue = hypotheses.cue.new_zeros(count).scatter_reduce(0, row, hypotheses.cue[kept], "amax")
    marginal, mass = total(hypotheses.marginal), total(hypotheses.mass)
    return Hypotheses(members, cost, cue, marginal, hypotheses.time, mass, hypotheses.dropped)
