"""Each view of a capture by itself: what it says of people, and whether that holds with what all views together say.

A view says as many poses as one likes, all equally likely. Placed before the camera and then in the room, they are a
cloud for every joint. In the room a cloud is long along the view's ray, because how far away somebody stands follows
from how large they are; compared from the middle of the hips only the pose counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.models.lifting.sight import FEWEST_JOINTS, PeopleLifter, lift_people, one_view_each, sight_of
from dispose.scene.convert import convert_detections, convert_poses
from dispose.scene.frame import Frame, Labels, Poses
from dispose.scene.lifted import spread_of
from dispose.scene.results import Association, Prediction
from dispose.tensors import ABSENT, TensorStruct, cat

LEAST_MM = 1.0
"""Clouds are never thought thinner than this."""

SHARE = 0.9


@dataclass(frozen=True, eq=False)
class Clouds(TensorStruct):
    """People as single views say them, one row for every person in every view that sees them, beside the truth.

    Attributes:
        frame: number of the frame.
        view: which camera.
        person: which person of the frame, by the truth's ids.
        xyz_world: poses in the room, mm.
        seen: keypoints that the view has.
        truth: where the joints are, mm; 0 where not known.
        known: of which joints the truth is known.
    """

    frame: Int[Tensor, " persons"]
    view: Int[Tensor, " persons"]
    person: Int[Tensor, " persons"]
    xyz_world: Float[Tensor, "persons hypotheses joints 3"]
    seen: Bool[Tensor, "persons joints"]
    truth: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]

    def __len__(self) -> int:
        return len(self.view)

    def from_hips(self, hips: Sequence[int]) -> "Clouds":
        """Every pose and the truth from the middle of its own hips; where the true hips are not known nothing is."""
        rows = list(hips)
        poses = self.xyz_world - self.xyz_world[:, :, rows].mean(2, keepdim=True)
        truth = self.truth - self.truth[:, rows].mean(1, keepdim=True)
        return replace(self, xyz_world=poses, truth=truth, known=self.known & self.known[:, rows].all(1, keepdim=True))


def lift_views(lifter: PeopleLifter, frame: Frame, labels: Labels, generator: torch.Generator) -> Clouds | None:
    """Every detection of somebody who is labelled, lifted alone and placed in the room; None where there is none.

    Args:
        lifter: that needs no image.
        frame: with detections.
        labels: who they are, and the truth.
        generator: of what is drawn.
    """
    skeleton, cameras = lifter.skeleton, frame.cameras
    detections, truth = convert_detections(frame.detections, skeleton), convert_poses(labels.poses, skeleton)
    enough = detections.valid & (detections.visible.sum(-1) >= FEWEST_JOINTS)
    rows = (enough & torch.isin(labels.identity, truth.id)).nonzero()
    if not len(rows):
        return None
    view, slot = rows.unbind(1)
    each = one_view_each(cameras, view)
    seen = detections.visible[view, slot]
    sight = sight_of(skeleton.joints, each, detections.xy_image[view, slot], detections.confidence[view, slot], seen)
    xyz = lift_people(lifter, sight, None, generator).to_world(each)
    person = labels.identity[view, slot]
    which = (person[:, None] == truth.id).int().argmax(1)
    number = torch.full_like(view, frame.number)
    return Clouds(number, view, person, xyz, seen, truth.xyz_world[which].double(), truth.valid[which])


def lift_capture(lifter: PeopleLifter, frames: Sequence[tuple[Frame, Labels]], generator: torch.Generator) -> Clouds:
    """`lift_views` of several frames; somebody must be in one of them."""
    found = [lift_views(lifter, frame, labels, generator) for frame, labels in frames]
    return cat([one for one in found if one is not None], "persons")


def as_labels(frame: Frame, prediction: Prediction, *, surest_mm: float = 40.0) -> Labels:
    """What all views together say as the truth for each of them: groups, and joints that claim to be this near."""
    association, poses = prediction.association, prediction.poses
    sure = poses.valid
    if poses.covariance is not None:
        sure = sure & (torch.diagonal(poses.covariance, dim1=-2, dim2=-1).sum(-1).sqrt() <= surest_mm)
    known = replace(poses, valid=sure, xyz_world=torch.where(sure[..., None], poses.xyz_world, 0.0))
    return Labels.of_detections(identity_of(frame, association, poses), known)


def identity_of(frame: Frame, association: Association, poses: Poses) -> Int[Tensor, "views slots"]:
    """Whose every detection is."""
    identity = torch.full_like(frame.detections.index, ABSENT)
    for row, members in enumerate(association.members.tolist()):
        for view, slot in enumerate(members):
            if slot != ABSENT:
                identity[view, slot] = poses.id[row]
    return identity


def inside_region(
    cloud: Float[Tensor, "*batch hypotheses 3"], point: Float[Tensor, "*batch 3"], share: float = SHARE
) -> Bool[Tensor, "*batch"]:
    """Whether a point lies in the ellipsoid of a cloud's own shape that holds this share of it."""
    middle = cloud.mean(-2)
    shape = spread_of(cloud) + LEAST_MM**2 * torch.eye(3, dtype=cloud.dtype, device=cloud.device)
    inverse = torch.linalg.inv(shape)
    off, own = point - middle, cloud - middle[..., None, :]
    reach = torch.quantile(((own @ inverse) * own).sum(-1), share, dim=-1)
    return ((off[..., None, :] @ inverse)[..., 0, :] * off).sum(-1) <= reach


@dataclass(frozen=True, eq=False)
class Meeting(TensorStruct):
    """Where the clouds of a person's views meet if each is a Gaussian and they err independently: their product.

    Attributes:
        xyz_world: its middle, mm.
        covariance: its shape, mm².
        surprise: squared distances of the views' middles from it in their own units, over their mean: about 1 where the
            views agree.
    """

    xyz_world: Float[Tensor, "joints 3"]
    covariance: Float[Tensor, "joints 3 3"]
    surprise: Float[Tensor, "views joints"]


def meet(clouds: Float[Tensor, "views hypotheses joints 3"]) -> Meeting:
    """The views of one person together."""
    points = clouds.transpose(1, 2)
    middle = points.mean(2)
    inverse = torch.linalg.inv(spread_of(points) + LEAST_MM**2 * torch.eye(3, dtype=clouds.dtype))
    covariance = torch.linalg.inv(inverse.sum(0))
    xyz = (covariance @ (inverse @ middle[..., None]).sum(0))[..., 0]
    off = middle - xyz
    return Meeting(xyz, covariance, ((inverse @ off[..., None])[..., 0] * off).sum(-1) / 3)


@dataclass(frozen=True)
class Agreement:
    """How often the truth lies in a view's region, and how far single views and their meeting are from it.

    Attributes:
        joints_told: how many joints of people in views.
        in_room: share of joints inside the region of a view's poses placed in the room.
        from_hips: the same of poses from the middle of the hips.
        seen_in_room: the same as `in_room`, of the joints that the view has keypoints of.
        view_mm: mean error of the mean pose of a view in the room.
        pose_mm: mean error of the mean pose from the hips.
        meeting_mm: mean error of where the clouds of all views of a person meet, of people whom several see.
        median_meeting_mm: its median.
    """

    joints_told: int
    in_room: float
    from_hips: float
    seen_in_room: float
    view_mm: float
    pose_mm: float
    meeting_mm: float
    median_meeting_mm: float


def agreement_of(clouds: Clouds, hips: Sequence[int], share: float = SHARE) -> Agreement:
    """The figures of `Agreement`."""
    pose = clouds.from_hips(hips)
    room = inside_region(clouds.xyz_world.transpose(1, 2), clouds.truth, share)
    about = inside_region(pose.xyz_world.transpose(1, 2), pose.truth, share)
    off, turned = ((one.xyz_world.mean(1) - one.truth).norm(dim=-1) for one in (clouds, pose))
    met = [
        (meet(clouds.xyz_world[rows]).xyz_world - clouds.truth[rows[0]]).norm(dim=-1)[clouds.known[rows[0]]]
        for rows in people_of(clouds)
        if len(rows) > 1
    ]
    meeting = torch.cat(met) if met else off.new_full((1,), torch.nan)
    return Agreement(
        int(clouds.known.sum()),
        float(room[clouds.known].double().mean()),
        float(about[pose.known].double().mean()),
        float(room[clouds.known & clouds.seen].double().mean()),
        float(off[clouds.known].mean()),
        float(turned[pose.known].mean()),
        float(meeting.mean()),
        float(meeting.median()),
    )


def people_of(clouds: Clouds) -> list[Int[Tensor, " rows"]]:
    """The rows of every person in every frame."""
    keys = torch.stack([clouds.frame, clouds.person], 1)
    _, which = torch.unique(keys, dim=0, return_inverse=True)
    return [(which == one).nonzero()[:, 0] for one in range(int(which.max()) + 1)]
