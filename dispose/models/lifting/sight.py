"""Single people in images: from a detector's keypoints to poses before their cameras, by any lifter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from dispose.association.claims import usual_noise
from dispose.association.packing import box_diagonal
from dispose.datasets.labelled_people import LabelledPeople
from dispose.geometry.pinhole import normalize_points
from dispose.models.lifting.view import ViewPeople, confidence_of, view_people
from dispose.scene.cameras import Cameras
from dispose.scene.lifted import Lifted, Placed, place_before_camera
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct

DOUBT = 1.5
"""Exponent by which keypoints of score 0 are less certain than those of score 1: 4.5 times."""

FEWEST_JOINTS = 4
"""Of people with fewer keypoints nothing is said."""

Picture = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, eq=False)
class PeopleInView(TensorStruct):
    """Single people, each in one image.

    Attributes:
        cameras: of every person one view.
        xy_image: keypoints, pixels.
        people: the same as lifters are told of them.
    """

    cameras: Cameras
    xy_image: Float[Tensor, "persons joints 2"]
    people: ViewPeople

    def __len__(self) -> int:
        return len(self.people)


LiftSeen = Callable[[PeopleInView, Picture | None, torch.Generator], Tensor]
"""``(people, their image, generator) -> hypotheses`` as `Lift` says them. Who reads keypoints alone needs no image."""


@dataclass(frozen=True, eq=False)
class PeopleLifter:
    """A way from keypoints in one image to poses: whose joints it knows, and the function."""

    skeleton: Skeleton
    lift: LiftSeen


def told_noise(
    xy_image: Float[Tensor, "persons joints 2"],
    score: Float[Tensor, "persons joints"],
    seen: Bool[Tensor, "persons joints"],
    size: Float[Tensor, "persons 2"],
) -> Float[Tensor, "persons joints"]:
    """Standard deviation that a detector's keypoints usually have in either direction, pixels.

    A share of how large the person looks, more at the border of the image, and more where the score is low.
    """
    usual = usual_noise(box_diagonal(xy_image, seen)[:, None], xy_image, size[:, None])
    return usual * torch.exp(DOUBT * (1 - score.clamp(0, 1)))


def sight_of(
    joints: tuple[str, ...],
    cameras: Cameras,
    xy_image: Float[Tensor, "persons joints 2"],
    score: Float[Tensor, "persons joints"],
    seen: Bool[Tensor, "persons joints"],
    *,
    upright: bool = True,
) -> PeopleInView:
    """People as they are lifted, from what a detector says of them.

    Args:
        joints: names of the keypoints.
        cameras: of every person one view.
        xy_image: pixels.
        score: from 0 to 1.
        seen: which keypoints there are.
        upright: whether the world's +Z is known to point up.
    """
    sigma = told_noise(xy_image, score, seen, cameras.size[:, 0])
    confidence = confidence_of(sigma, cameras.size[:, 0, :1])
    people = view_people(joints, cameras, xy_image, confidence, seen, sigma, upright=upright)
    return PeopleInView(cameras, torch.where(seen[..., None], xy_image, 0.0), people)


def one_view_each(cameras: Cameras, views: Int[Tensor, " persons"]) -> Cameras:
    """Of every person one view of a rig (``persons 1 …``)."""
    parts = (cameras.size, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    fisheye = None if cameras.fisheye is None else cameras.fisheye[views][:, None]
    return Cameras(("camera",), *(part[views][:, None] for part in parts), fisheye=fisheye)


def lift_people(lifter: PeopleLifter, sight: PeopleInView, image: Picture | None, generator: torch.Generator) -> Placed:
    """Poses of people in their camera's axes, each put where its joints are seen where the keypoints are.

    Args:
        lifter: knows the joints of the sight by these names, in this order.
        sight: of one person or more.
        image: the one they are all in, where the lifter looks at it.
        generator: of all that is drawn.
    """
    people, cameras = sight.people, sight.cameras
    metres = lifter.lift(sight, image, generator)
    xyz = 1000 * people.to_camera(metres.double())
    plane = normalize_points(sight.xy_image.double(), cameras.matrix[:, 0, None], cameras.lens[:, 0, None])
    rows = [people.joints.index(joint) for joint in lifter.skeleton.joints]
    weight = torch.where(people.seen, people.sigma.double().clamp(min=1e-4).reciprocal().square(), 0.0)[:, rows]
    place = place_before_camera(xyz, plane[:, None, rows], weight[:, None])
    return Placed(Lifted(lifter.skeleton, xyz), place)


def see_labelled(people: LabelledPeople) -> PeopleInView:
    """People with their keypoints, by the names that these have.

    A keypoint is told to be as uncertain as its file says; where that says nothing, as a detector's usually are. Of
    cameras whose place is not known, which have the world's axes for their own, it is not told which way is up.
    """
    width = people.cameras.size[:, 0]
    usual = told_noise(people.xy_image, people.seen.double(), people.seen, width)
    sigma = torch.where(people.sigma_px > 0, people.sigma_px, usual)
    confidence, joints = confidence_of(sigma, width[:, :1]), people.names.keypoints.joints
    rotation = people.cameras.rotation
    placed = not torch.equal(rotation, torch.eye(3).to(rotation).expand_as(rotation))
    view = view_people(joints, people.cameras, people.xy_image, confidence, people.seen, sigma, upright=placed)
    return PeopleInView(people.cameras, people.xy_image, view)
